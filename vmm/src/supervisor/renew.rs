//! What the failure of one member means for its group: who restarts with it, and when the group
//! gives up.

use std::ops::Range;
use std::time::Duration;

use super::Supervisor;
use super::action::{Action, Ending, Why};
use super::leaving::Scope;
use super::life::Want;
use super::tree::Member;
use crate::manifest::{Escalation, Restart, Strategy};

impl Supervisor {
    /// A member of a group failed and is to be restarted, not before `resume`. If that is
    /// counted, it may be once too often.
    pub(super) fn failed(&mut self, member: Member, group: usize, counted: bool, resume: Duration) {
        let branch = &self.tree.groups[group];
        let window = &mut self.windows[group];
        if counted && !window.admit(self.now, branch.intensity, branch.period) {
            return self.give_up(group, resume);
        }
        if let Member::Domain(place) = member
            && resume > self.now
        {
            let (domain, pause) = (self.tree.leaves[place].number, resume.saturating_sub(self.now));
            self.actions.push_back(Action::Pause { domain, pause });
        }
        let own = self.tree.range(member);
        let (range, scope) = match (branch.strategy, member) {
            (Strategy::OneForOne, Member::Domain(place)) => (own, Scope::Domain(place)),
            (Strategy::OneForOne, Member::Group(inner)) => (own, Scope::Group(inner)),
            (Strategy::OneForAll, _) => (branch.range.clone(), Scope::Group(group)),
            (Strategy::RestForOne, _) => (own.start..branch.range.end, Scope::Group(group)),
        };
        if range.len() > 1 {
            self.actions.push_back(Action::GroupRestarts { group });
        }
        self.renew(group, range, scope, resume);
    }

    /// A group's restarts did not help: it has failed as a member of its parent.
    ///
    /// "If more than MaxR number of restarts occur in the last MaxT seconds, the supervisor
    /// terminates all the child processes and then itself" (OTP design principles, maximum
    /// restart intensity). Its parent then acts as for any other child.
    pub(super) fn give_up(&mut self, group: usize, resume: Duration) {
        self.actions.push_back(Action::GroupGivesUp { group });
        self.windows[group].clear();
        let branch = &self.tree.groups[group];
        match (branch.escalation, branch.parent) {
            (Escalation::StayDown, _) => self.retire(group, Why::GroupGaveUp),
            (Escalation::Parent, Some(parent)) => {
                self.failed(Member::Group(group), parent, true, resume);
            }
            (Escalation::Parent, None) => self.end_system(Ending::GaveUp),
        }
    }

    /// Has all domains in a range end, and start again when all have ended.
    fn renew(&mut self, group: usize, range: Range<usize>, scope: Scope, resume: Duration) {
        if range.len() > 1 {
            for inner in self.tree.groups_within(group, &range) {
                self.windows[inner].clear();
            }
        }
        for place in range {
            self.want_again(group, place);
            let life = &mut self.lives[place];
            life.not_before = life.not_before.max(resume);
            if life.is_alive() {
                self.leave(place, scope);
            } else if life.want == Want::Up {
                life.scope = Some(scope);
                self.queue(place);
            }
        }
    }

    /// What is wanted of a domain once `group` restarts it. For one in a group in that group this
    /// is a beginning: there is no checkpoint, and its policy has decided nothing yet.
    fn want_again(&mut self, group: usize, place: usize) {
        let leaf = &self.tree.leaves[place];
        let life = &mut self.lives[place];
        if leaf.group != group {
            life.checkpoint = false;
            life.want = Want::Up;
            return;
        }
        match leaf.restart {
            Restart::Always | Restart::OnFault => life.want = Want::Up,
            Restart::Never if life.is_alive() && life.scope.is_none() => {
                life.want = Want::Down(Why::Sibling);
            }
            // It is down for good, or about to start for the first time, or for an operator.
            Restart::Never => (),
        }
    }

    /// Has all domains of a group end, and stay down.
    pub(super) fn retire(&mut self, group: usize, why: Why) {
        for place in self.tree.groups[group].range.clone() {
            let life = &mut self.lives[place];
            let wanted = std::mem::replace(&mut life.want, Want::Down(why));
            if life.is_alive() {
                self.leave(place, Scope::Group(group));
            } else if wanted == Want::Up {
                self.rest(place, why);
            } else {
                life.want = wanted;
            }
        }
    }

    /// A living domain is to end within a scope, and no longer within another one.
    fn leave(&mut self, place: usize, scope: Scope) {
        if let Some(former) = self.lives[place].scope.replace(scope) {
            self.leaving.remove(former, place);
        }
        self.leaving.add(scope, place);
    }
}

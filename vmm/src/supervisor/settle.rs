//! Giving the orders that may be given now, and seeing to it that they are followed.
//!
//! After each event this compares what domains do with what is wanted of them. So an event
//! between two orders needs no special case: the next comparison takes it into account.

use super::Supervisor;
use super::action::Action;
use super::leaving::Scope;
use super::life::Phase;
use super::tree::ROOT;
use crate::manifest::RestartFrom;

impl Supervisor {
    pub(super) fn settle(&mut self) {
        for place in self.leaving.turns() {
            self.order_end(place);
        }
        let may: Vec<usize> =
            self.pending.iter().copied().filter(|place| self.may_start(*place)).collect();
        for place in may {
            self.launch(place);
        }
        if let Some(ending) = &self.ending
            && !self.over
            && self.leaving.all_gone(Scope::Group(ROOT))
        {
            self.over = true;
            let end = Action::EndSystem { code: ending.code(), why: ending.clone() };
            self.actions.push_back(end);
        }
    }

    /// It is a domain's turn to end.
    fn order_end(&mut self, place: usize) {
        match self.lives[place].phase {
            Phase::Up => {
                let leaf = &self.tree.leaves[place];
                let (domain, within) = (leaf.number, leaf.stop_deadline);
                self.lives[place].phase = Phase::Stopping;
                self.agenda.arm(place, self.now.saturating_add(within));
                self.actions.push_back(Action::Stop { domain, within });
            }
            // It has served nobody yet, and does not listen: there is no good order to keep.
            Phase::Initialising => self.force(place, Phase::Forced),
            // Its order to start is still to be answered, and there is a deadline for that.
            Phase::Launched(_) if self.agenda.has(place) => (),
            Phase::Launched(_) => self.force(place, Phase::Forced),
            Phase::Overdue | Phase::Stopping | Phase::Forced | Phase::Down => (),
        }
    }

    fn may_start(&self, place: usize) -> bool {
        let life = &self.lives[place];
        life.not_before <= self.now
            && life.scope.is_none_or(|scope| self.leaving.all_gone(scope))
            && self.tree.leaves[place].after.iter().all(|first| self.lives[*first].is_settled())
            && self.tree.built_on(place).all(|first| self.lives[first].is_settled())
    }

    fn launch(&mut self, place: usize) {
        let leaf = &self.tree.leaves[place];
        let life = &mut self.lives[place];
        let from = match leaf.restart_from {
            RestartFrom::Checkpoint if life.checkpoint => life.ladder.from(&leaf.backoff),
            RestartFrom::Checkpoint | RestartFrom::Image => RestartFrom::Image,
        };
        life.phase = Phase::Launched(from);
        life.scope = None;
        // An incarnation from the image takes a checkpoint of its own.
        life.checkpoint &= from == RestartFrom::Checkpoint;
        self.pending.remove(&place);
        self.agenda.arm(place, self.now.saturating_add(leaf.start_deadline));
        self.actions.push_back(Action::Start { domain: leaf.number, from });
    }

    /// A domain's time has come.
    pub(super) fn due(&mut self, place: usize) {
        let leaves = self.lives[place].scope.is_some();
        match self.lives[place].phase {
            // It is to end with others, when its turn comes.
            Phase::Launched(_) | Phase::Initialising if leaves => (),
            Phase::Launched(_) | Phase::Initialising => self.force(place, Phase::Overdue),
            Phase::Stopping => self.force(place, Phase::Forced),
            // Its pause is over: it starts, if nothing else keeps it.
            Phase::Down => (),
            Phase::Up | Phase::Overdue | Phase::Forced => (),
        }
    }

    fn force(&mut self, place: usize, phase: Phase) {
        self.lives[place].phase = phase;
        self.agenda.disarm(place);
        let domain = self.tree.leaves[place].number;
        self.actions.push_back(Action::Force { domain });
    }
}

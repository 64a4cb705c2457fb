//! What can be decided beforehand: the restart of one domain, alone, at once, from its checkpoint.
//!
//! Such a domain need not wait for its supervisor. It may go ahead, and is accounted for after
//! the fact, in the same way as if it had asked.

use std::time::Duration;

use super::Supervisor;
use super::action::{Action, End};
use super::ladder::MIN_RUN;
use super::life::Phase;
use crate::manifest::{Restart, RestartFrom, Strategy};

impl Supervisor {
    /// Whether a domain's next failure, whatever it is, would be answered by its restart from its
    /// checkpoint, at once, and by nothing else. Its incarnation has run for `uptime` by now.
    ///
    /// That others of its group fail first, so many that the group gives up, is the one thing that
    /// can come between: see [`Supervisor::went_ahead`].
    pub fn is_certain(&self, domain: usize, uptime: Duration) -> bool {
        let Some(place) = self.tree.place(domain) else { return false };
        let (leaf, life) = (&self.tree.leaves[place], &self.lives[place]);
        let group = &self.tree.groups[leaf.group];
        let lives = life.phase == Phase::Up && life.scope.is_none() && self.ending.is_none();
        lives
            && life.checkpoint
            && leaf.restart != Restart::Never
            && leaf.restart_from == RestartFrom::Checkpoint
            && leaf.after.is_empty()
            && self.tree.built_on(place).next().is_none()
            && group.strategy == Strategy::OneForOne
            && (uptime >= MIN_RUN || life.ladder.is_free_for_another(&leaf.backoff))
            && self.windows[leaf.group].has_room(self.now, group.intensity, group.period)
    }

    /// When [`Supervisor::is_certain`] may be true of a domain that it is not true of now: after
    /// so long a run.
    pub const fn probation() -> Duration {
        MIN_RUN
    }

    /// A domain failed, and went ahead as [`Supervisor::is_certain`] allowed. Returns whether that
    /// stands; if not, things had changed meanwhile: the incarnation that it began is to be ended
    /// without a word, and what follows is in [`Supervisor::next_action`].
    pub fn went_ahead(&mut self, domain: usize, end: End, uptime: Duration, now: Duration) -> bool {
        self.ended(domain, end, uptime, now);
        let begun = Action::Start { domain, from: RestartFrom::Checkpoint };
        let stands = self.actions.back() == Some(&begun);
        if stands {
            self.actions.pop_back();
            self.started(domain, now);
        }
        stands
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::tests::of;

    const SECOND: Duration = Duration::from_secs(1);
    const MS: Duration = Duration::from_millis(1);

    fn up(supervisor: &mut Supervisor, domain: usize, now: Duration) {
        while supervisor.next_action().is_some() {}
        supervisor.started(domain, now);
        supervisor.ready(domain, now);
    }

    #[test]
    fn a_lone_domain_with_a_checkpoint_goes_ahead_until_it_is_in_a_crash_loop() {
        let mut supervisor = of("[domains.a]\nimage = 'a'\nbackoff-free = 2");
        supervisor.begin(Duration::ZERO);
        assert!(!supervisor.is_certain(0, SECOND), "it has no checkpoint");
        up(&mut supervisor, 0, Duration::ZERO);
        let mut now = SECOND;
        for quick in [true, true] {
            assert_eq!(supervisor.is_certain(0, MS), quick);
            assert!(supervisor.went_ahead(0, End::Fault, MS, now));
            assert_eq!(supervisor.next_action(), None);
            now += MS;
        }
        assert!(!supervisor.is_certain(0, MS), "the next quick one begins from the image");
        assert!(supervisor.is_certain(0, MIN_RUN), "unless it ran for long");
        assert!(
            !supervisor.went_ahead(0, End::Fault, MS, now),
            "what it did all the same is undone"
        );
        let expected = Action::Start { domain: 0, from: RestartFrom::Image };
        assert_eq!(supervisor.next_action(), Some(expected));
    }

    #[test]
    fn who_went_ahead_while_its_group_gave_up_is_called_back() {
        let domain = |name| format!("[domains.{name}]\nimage = '{name}'\n");
        let (a, b) = (domain("a"), domain("b"));
        let mut supervisor = of(&format!("[supervision]\nintensity = 1\n{a}{b}"));
        supervisor.begin(Duration::ZERO);
        up(&mut supervisor, 0, Duration::ZERO);
        up(&mut supervisor, 1, Duration::ZERO);
        assert!(supervisor.is_certain(0, SECOND) && supervisor.is_certain(1, SECOND));
        assert!(supervisor.went_ahead(0, End::Fault, SECOND, SECOND));
        assert!(!supervisor.is_certain(1, SECOND), "there is room for one in 5 s");
        assert!(!supervisor.went_ahead(1, End::Fault, SECOND, SECOND));
        let given_up = Action::GroupGivesUp { group: 0 };
        assert_eq!(supervisor.next_action(), Some(given_up));
    }

    #[test]
    fn nobody_goes_ahead_whose_restart_concerns_others_or_is_not_to_be() {
        let one = "[domains.a]\nimage = 'a'\n";
        let cases = [
            format!("[supervision]\nstrategy = 'one-for-all'\n{one}"),
            format!("{one}restart = 'never'\n"),
            format!("{one}restart-from = 'image'\n"),
        ];
        for manifest in cases {
            let mut supervisor = of(&manifest);
            supervisor.begin(Duration::ZERO);
            up(&mut supervisor, 0, Duration::ZERO);
            assert!(!supervisor.is_certain(0, SECOND), "{manifest}");
        }
    }
}

//! What would follow an end, for those who may decide otherwise.

use std::time::Duration;

use super::Supervisor;
use super::action::{Action, End};
use crate::manifest::RestartFrom;

/// What the policy of the manifest would do about one domain's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forecast {
    /// Restart it at once.
    Restart(RestartFrom),
    /// Restart it after a pause.
    Pause(Duration),
    /// Restart it with others of its group.
    Group,
    /// Leave it down.
    StayDown,
    /// Give its group up.
    GiveUp,
    /// Nothing yet: it was to end, and others are to end before more follows.
    Wait,
}

impl Supervisor {
    /// What [`Supervisor::ended`] would lead to. Nothing changes.
    pub fn foresee(&self, domain: usize, end: End, uptime: Duration, now: Duration) -> Forecast {
        let mut trial = self.clone();
        trial.actions.clear();
        trial.ended(domain, end, uptime, now);
        let actions = &trial.actions;
        let gives_up = |action: &Action| {
            matches!(action, Action::GroupGivesUp { .. } | Action::EndSystem { .. })
        };
        if actions.iter().any(gives_up) {
            return Forecast::GiveUp;
        }
        if actions.iter().any(|action| matches!(action, Action::GroupRestarts { .. })) {
            return Forecast::Group;
        }
        let of_it = actions.iter().find_map(|action| match *action {
            Action::Start { domain: who, from } if who == domain => Some(Forecast::Restart(from)),
            Action::Pause { domain: who, pause } if who == domain => Some(Forecast::Pause(pause)),
            Action::StayDown { domain: who, .. } if who == domain => Some(Forecast::StayDown),
            _ => None,
        });
        of_it.unwrap_or(Forecast::Wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::tests::of;

    const A: &str = "[domains.a]\nimage = 'a'\n";
    const B: &str = "[domains.b]\nimage = 'b'\n";
    const SECOND: Duration = Duration::from_secs(1);

    fn up(tables: &str, ready: bool) -> Supervisor {
        let mut supervisor = of(tables);
        supervisor.begin(Duration::ZERO);
        while supervisor.next_action().is_some() {}
        supervisor.started(0, Duration::ZERO);
        if ready {
            supervisor.ready(0, Duration::ZERO);
        }
        supervisor
    }

    #[test]
    fn what_is_foreseen_is_what_comes() {
        let cases = [
            (A.to_owned(), true, Forecast::Restart(RestartFrom::Checkpoint)),
            (A.to_owned(), false, Forecast::Restart(RestartFrom::Image)),
            (format!("{A}restart = 'never'"), true, Forecast::StayDown),
            (format!("[supervision]\nstrategy = 'one-for-all'\n{A}{B}"), true, Forecast::Group),
        ];
        for (tables, ready, expected) in cases {
            let supervisor = up(&tables, ready);
            assert_eq!(supervisor.foresee(0, End::Fault, SECOND, SECOND), expected, "{tables}");
            let again = supervisor.foresee(0, End::Fault, SECOND, SECOND);
            assert_eq!(again, expected, "nothing has changed by that");
        }
    }

    #[test]
    fn pauses_and_the_end_of_patience_are_foreseen() {
        let supervisor = up(&format!("{A}backoff-free = 0\nrestart-from = 'image'"), true);
        let pause = supervisor.foresee(0, End::Fault, Duration::ZERO, SECOND);
        assert!(matches!(pause, Forecast::Pause(pause) if !pause.is_zero()), "{pause:?}");

        let mut supervisor = up(&format!("[supervision]\nintensity = 1\n{A}"), true);
        supervisor.replaced(0, RestartFrom::Checkpoint, SECOND);
        while supervisor.next_action().is_some() {}
        supervisor.started(0, SECOND);
        assert_eq!(supervisor.foresee(0, End::Fault, SECOND, SECOND), Forecast::GiveUp);
    }

    #[test]
    fn who_is_to_end_with_others_waits_for_them() {
        let c = "[domains.c]\nimage = 'c'\n";
        let tables = format!("[supervision]\nstrategy = 'one-for-all'\n{A}{B}{c}");
        let mut supervisor = up(&tables, true);
        for other in [1, 2] {
            supervisor.started(other, SECOND);
            supervisor.ready(other, SECOND);
        }
        supervisor.ended(2, End::Fault, SECOND, SECOND);
        assert_eq!(supervisor.foresee(0, End::Fault, SECOND, SECOND), Forecast::Wait);
    }
}

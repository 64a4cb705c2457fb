//! One restart, and its parts: what the client saw of it beside what the nucleus tells.

use std::time::Duration;

use super::echo::Seen;
use crate::domain::{Origin, Steps};

/// What the nucleus tells of a restart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Restarted {
    pub(super) origin: Origin,
    /// From the end of the old incarnation until the new one was put on its way, in microseconds.
    pub(super) micros: u64,
    /// Its steps, if the domain took them by itself.
    pub(super) steps: Option<Steps>,
}

/// One restart, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trial {
    /// From before the blow until the first reply.
    pub(super) whole: u64,
    /// From when the VMM saw the end until the first reply.
    pub(super) since_exit: u64,
    /// From before the blow until the VMM saw the end: the request, the fault, the exit.
    pub(super) exit: u64,
    /// What the VMM did then.
    pub(super) work: u64,
    /// The steps of that.
    pub(super) steps: Option<Steps>,
    /// From when the client was told of the end until the first reply: back into the guest, the
    /// request, the reply.
    pub(super) reply: u64,
    /// Pages that the vCPU's thread was given meanwhile.
    pub(super) page_faults: u64,
}

impl Trial {
    /// Puts both together. A client is told of the end as the last thing that the VMM does before
    /// the new incarnation runs: what the VMM did lies before that.
    pub(super) fn new(seen: Seen, page_faults: u64, told: Restarted) -> Self {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let work = told.steps.map_or(told.micros * 1000, |steps| nanos(steps.total()));
        let (until_told, whole) = (nanos(seen.told), nanos(seen.whole));
        let reply = whole - until_told.min(whole);
        // Where a domain did not go ahead by itself, its clients are told before the work is done.
        let exit = match told.steps {
            Some(_) => until_told.saturating_sub(work),
            None => until_told,
        };
        let since_exit = whole - exit.min(whole);
        Self { whole, since_exit, exit, work, steps: told.steps, reply, page_faults }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(told: u64, steps: Option<Steps>) -> Trial {
        let seen = Seen { told: Duration::from_nanos(told), whole: Duration::from_nanos(100_000) };
        Trial::new(seen, 3, Restarted { origin: Origin::Checkpoint, micros: 20, steps })
    }

    #[test]
    fn the_parts_make_up_the_whole() {
        let times = Steps { report: 10_000, memory: 4_000, registers: 5_000, ..Steps::default() };
        let steps = Steps { channels: 1_000, written: 4096, ..times };
        let trial = trial(70_000, Some(steps));
        assert_eq!((trial.exit, trial.work, trial.reply), (50_000, 20_000, 30_000));
        assert_eq!(trial.exit + trial.work + trial.reply, trial.whole);
        assert_eq!((trial.since_exit, trial.page_faults), (50_000, 3));
    }

    #[test]
    fn a_client_that_is_told_first_saw_the_exit_then() {
        let trial = trial(70_000, None);
        assert_eq!((trial.exit, trial.work, trial.since_exit), (70_000, 20_000, 30_000));
    }
}

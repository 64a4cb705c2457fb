//! What follows the end of an incarnation: pure policy, no clock of its own.
//!
//! A domain that faults is restarted at once. One that faults again and again as soon as it
//! starts is given growing pauses, so that a crash loop costs the others nothing (Hubris waits
//! 50 ms for the same reason).

use std::time::Duration;

use crate::domain::Origin;
use crate::manifest::Restart;

/// An incarnation that ran at least this long was up: its fault begins no crash loop.
const MIN_RUN: Duration = Duration::from_millis(50);
/// Faults in a row, each sooner than [`MIN_RUN`], that are answered without a pause.
const FREE_TRIES: u32 = 3;
/// Faults in a row, each as quick, after which the checkpoint is tried again.
const TRIES_FROM_CHECKPOINT: u32 = 1;
/// The first pause; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How an incarnation ended, as far as the policy cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// In good order: the server ended with status 0.
    Clean,
    /// In a fault.
    Fault,
    /// By an operator's hand: as a fault, but no sign of a crash loop.
    Killed,
}

/// What is to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The next incarnation, after a pause.
    Restart {
        /// The pause; zero for at once.
        after: Duration,
        /// From where.
        origin: Origin,
    },
    /// Nothing: the domain stays down.
    Stop,
}

/// The policy for one domain.
#[derive(Clone, Copy, Debug)]
pub struct Supervisor {
    restart: Restart,
    /// Quick faults in a row.
    quick: u32,
}

impl Supervisor {
    /// The policy that a manifest asks for.
    pub const fn new(restart: Restart) -> Self {
        Self { restart, quick: 0 }
    }

    /// Decides what follows an incarnation that ran for `uptime`.
    pub fn ended(&mut self, end: End, uptime: Duration) -> Verdict {
        let again = match (self.restart, end) {
            (Restart::Never, _) | (Restart::OnFault, End::Clean) => false,
            (Restart::OnFault, End::Fault | End::Killed) | (Restart::Always, _) => true,
        };
        if !again {
            return Verdict::Stop;
        }
        self.quick = match end {
            End::Killed => 0,
            End::Clean | End::Fault if uptime < MIN_RUN => self.quick.saturating_add(1),
            End::Clean | End::Fault => 0,
        };
        Verdict::Restart { after: self.pause(), origin: self.origin() }
    }

    /// Whether the next end, whatever it is, is answered by a new incarnation from the checkpoint,
    /// at once.
    pub const fn is_lenient(&self) -> bool {
        !matches!(self.restart, Restart::Never) && self.quick < TRIES_FROM_CHECKPOINT
    }

    /// The incarnation that began so long ago runs still; whether that changes anything.
    pub fn runs(&mut self, uptime: Duration) -> bool {
        let changes = self.quick > 0 && uptime >= MIN_RUN;
        if changes {
            self.quick = 0;
        }
        changes
    }

    /// How long an incarnation must run until [`Supervisor::runs`] changes something.
    pub fn probation(&self) -> Option<Duration> {
        (self.quick > 0).then_some(MIN_RUN)
    }

    /// An operator intervened: whatever was, the next fault is the first.
    pub fn forgive(&mut self) {
        self.quick = 0;
    }

    /// What fails again as soon as it is back may be in the checkpoint itself.
    const fn origin(&self) -> Origin {
        if self.quick <= TRIES_FROM_CHECKPOINT { Origin::Checkpoint } else { Origin::Image }
    }

    fn pause(&self) -> Duration {
        match self.quick.checked_sub(FREE_TRIES + 1) {
            None => Duration::ZERO,
            Some(doublings) => {
                let factor = 1u32.checked_shl(doublings).unwrap_or(u32::MAX);
                FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LONG: Duration = Duration::from_secs(1);
    const SHORT: Duration = Duration::from_millis(1);
    const AT_ONCE: Verdict =
        Verdict::Restart { after: Duration::ZERO, origin: Origin::Checkpoint };

    fn pauses(supervisor: &mut Supervisor, count: usize) -> Vec<u128> {
        let pause = |verdict| match verdict {
            Verdict::Restart { after, .. } => after.as_millis(),
            Verdict::Stop => panic!("it stopped"),
        };
        (0..count).map(|_| pause(supervisor.ended(End::Fault, SHORT))).collect()
    }

    #[test]
    fn a_crash_loop_is_slowed_down_up_to_a_limit() {
        let mut supervisor = Supervisor::new(Restart::OnFault);
        let expected = [0, 0, 0, 10, 20, 40, 80, 160, 320, 640, 1000, 1000];
        assert_eq!(pauses(&mut supervisor, 12), expected);
    }

    #[test]
    fn a_run_that_lasted_or_an_operator_ends_the_loop() {
        let mut supervisor = Supervisor::new(Restart::OnFault);
        pauses(&mut supervisor, 6);
        assert_eq!(supervisor.ended(End::Fault, LONG), AT_ONCE);
        pauses(&mut supervisor, 6);
        supervisor.forgive();
        assert_eq!(pauses(&mut supervisor, 1), [0]);
    }

    #[test]
    fn a_checkpoint_that_fails_again_at_once_is_left() {
        let mut supervisor = Supervisor::new(Restart::OnFault);
        let mut origin = |uptime| match supervisor.ended(End::Fault, uptime) {
            Verdict::Restart { origin, .. } => origin,
            Verdict::Stop => panic!("it stopped"),
        };
        let origins = [LONG, SHORT, SHORT, SHORT, LONG].map(&mut origin);
        use Origin::{Checkpoint, Image};
        assert_eq!(origins, [Checkpoint, Checkpoint, Image, Image, Checkpoint]);
    }

    #[test]
    fn kills_in_a_row_are_not_slowed_down() {
        let mut supervisor = Supervisor::new(Restart::OnFault);
        assert!((0..100).all(|_| supervisor.ended(End::Killed, SHORT) == AT_ONCE));
    }

    #[test]
    fn the_manifest_says_what_is_restarted() {
        let verdict = |restart, end| Supervisor::new(restart).ended(end, LONG) != Verdict::Stop;
        assert!(!verdict(Restart::Never, End::Fault));
        assert!(!verdict(Restart::Never, End::Clean));
        assert!(verdict(Restart::OnFault, End::Fault));
        assert!(!verdict(Restart::OnFault, End::Clean));
        assert!(verdict(Restart::Always, End::Fault));
        assert!(verdict(Restart::Always, End::Clean));
    }

    proptest! {
        #[test]
        fn pauses_are_bounded_and_never_shrink_in_a_loop(count in 1usize..200) {
            let all = pauses(&mut Supervisor::new(Restart::Always), count);
            prop_assert!(all.is_sorted());
            prop_assert!(all.iter().all(|&pause| pause <= LONGEST_PAUSE.as_millis()));
        }
    }
}

//! How a domain that fails again and again is answered: one rung after the other.
//!
//! | failures in a row, each soon after its start | answer |
//! |---|---|
//! | up to `backoff-free` | at once, from the checkpoint |
//! | one more, if there was a checkpoint | at once, from the image: the checkpoint may be what is wrong |
//! | further ones | from the image, after pauses that double up to a cap |
//!
//! Hubris slows a crash loop down for the same reason: it must cost the others nothing.

use std::time::Duration;

use super::action::End;
use super::random::Random;
use crate::manifest::{Backoff, RestartFrom};

/// An incarnation that ran at least this long was up: its fault begins no crash loop. (Hubris
/// has the same limit.)
pub const MIN_RUN: Duration = Duration::from_millis(50);
/// A pause is shortened by a random part of up to one in this many, so that servers that fail
/// together do not come back together for ever. It is never lengthened: the cap is a cap.
const JITTER: u64 = 4;

/// The state of one domain's ladder.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ladder {
    /// Failures in a row that came soon after the start.
    quick: u32,
    /// The image was tried at once instead of the checkpoint.
    fallen: bool,
    /// Pauses made so far.
    pauses: u32,
}

impl Ladder {
    /// Notes an end, and says how long to wait before the next incarnation. `was_ready` tells
    /// whether it got as far as being up, and `checkpoint` whether the next one could begin at
    /// one.
    pub(super) fn ended(
        &mut self,
        (end, uptime, was_ready): (End, Duration, bool),
        checkpoint: bool,
        backoff: &Backoff,
        random: &mut Random,
    ) -> Duration {
        let quick = match end {
            End::Killed => false,
            End::StartTimedOut => true,
            End::Clean | End::Fault | End::Hung => !was_ready || uptime < MIN_RUN,
        };
        if !quick {
            self.forgive();
            return Duration::ZERO;
        }
        self.quick = self.quick.saturating_add(1);
        if self.quick <= backoff.free {
            return Duration::ZERO;
        }
        if checkpoint && !self.fallen {
            self.fallen = true;
            return Duration::ZERO;
        }
        let doubled = 1_u32.checked_shl(self.pauses).unwrap_or(u32::MAX);
        self.pauses = self.pauses.saturating_add(1);
        shortened(backoff.first.saturating_mul(doubled).min(backoff.cap), random)
    }

    /// Where the next incarnation begins, if there is a checkpoint that it may begin at.
    pub(super) fn from(&self, backoff: &Backoff) -> RestartFrom {
        if self.quick <= backoff.free { RestartFrom::Checkpoint } else { RestartFrom::Image }
    }

    /// Whether one more quick failure would be answered without a pause, from the checkpoint.
    pub(super) fn is_free_for_another(&self, backoff: &Backoff) -> bool {
        self.quick < backoff.free
    }

    /// Whatever was, the next failure is the first.
    pub(super) fn forgive(&mut self) {
        *self = Self::default();
    }
}

fn shortened(pause: Duration, random: &mut Random) -> Duration {
    let nanos = u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX);
    let part = (u128::from(nanos / JITTER) * u128::from(random.bits())) >> 32;
    Duration::from_nanos(nanos - part as u64)
}

//! Succession: how a domain begins its next incarnation by itself.
//!
//! The nucleus decides what follows a fault. But for the plainest case it can decide beforehand:
//! it gives a domain a [`Licence`] to go back to its checkpoint once, and is told afterwards. The
//! vCPU's thread, which has just seen the fault, then does it all, and nobody has to be woken: a
//! crash costs microseconds, not turns of other threads.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::blueprint::Blueprint;
use super::fault::{Cause, Circumstances, Snapshot, report};
use crate::channel::restart_all;
use crate::nucleus::letters::{Obituary, line_of};

/// Leave to begin the next incarnation from the checkpoint, whatever ended this one; used up by
/// doing so.
#[derive(Debug, Default)]
pub struct Licence(AtomicBool);

impl Licence {
    /// Gives it. The nucleus does, when its answer to the next fault is known.
    pub fn grant(&self) {
        self.0.store(true, Relaxed);
    }

    /// Takes it back; whether it was there still.
    pub fn take(&self) -> bool {
        self.0.swap(false, Relaxed)
    }
}

/// What a domain did by itself.
#[derive(Debug)]
pub struct Succession {
    /// The new incarnation.
    pub epoch: u32,
    /// Why the last one ended.
    pub cause: Cause,
    /// Where it stood.
    pub snapshot: Box<Snapshot>,
    /// When the end was seen.
    pub ended: Instant,
    /// How long each step took.
    pub steps: Steps,
}

/// How long the steps of a restart took, in nanoseconds, and how much they had to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Steps {
    /// To note the registers and who called whom.
    pub report: u64,
    /// To take the memory back.
    pub memory: u64,
    /// To take the vCPU's registers back.
    pub registers: u64,
    /// To tell the other ends of all channels.
    pub channels: u64,
    /// Bytes of memory that were taken back: what the last incarnation had written to, and what lay
    /// with it in a page.
    #[serde(default)]
    pub written: u64,
}

impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { report, memory, registers, channels, written } = self;
        write!(
            f,
            "report {report} ns, registers {registers} ns, memory {memory} ns ({written} bytes), \
             channels {channels} ns"
        )
    }
}

impl Steps {
    /// The time of all of them.
    pub const fn total(self) -> Duration {
        Duration::from_nanos(self.report + self.memory + self.registers + self.channels)
    }
}

/// Tells the steps of a restart apart.
#[derive(Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Begins with the first step.
    pub const fn since(start: Instant) -> Self {
        Self(start)
    }

    /// Ends a step; its nanoseconds.
    pub fn lap(&mut self) -> u64 {
        let now = Instant::now();
        let lap = now - std::mem::replace(&mut self.0, now);
        u64::try_from(lap.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// [Readies all channels](restart_all) of a domain, which stands still, for its next incarnation.
/// `cause` and `snapshot` say what the last one died of.
pub fn renew_channels(blueprint: &Blueprint, epoch: u32, cause: &Cause, snapshot: &Snapshot) {
    let write = || {
        let epoch = epoch.wrapping_sub(1);
        let circumstances =
            Circumstances { epoch, vcpu: 0, uptime_micros: 0, restarts: 0, ended_micros: 0 };
        line_of(&report(blueprint, cause, snapshot, circumstances).summary())
    };
    let obituary = (*cause != Cause::Killed).then(|| Obituary::new(&write));
    let ends = blueprint.channels.iter().map(|end| (&end.memory, end.role, &*end.doorbell));
    restart_all(ends, epoch, obituary.as_ref());
}

//! Owns the probe that tells where the host has put this machine's CPUs.
//!
//! A shared host moves its virtual CPUs about: onto one physical core, onto two that share a cache,
//! onto two that do not. Whatever moves cache lines between threads is several times slower in the
//! last case. Only measurements of one class are compared, so each is bracketed by this probe: two
//! pinned threads that hand one cache line back and forth.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use serde::Serialize;

use super::figures::Sample;

/// Round trips timed together, so that reading the clock costs nothing.
const TRIPS: u64 = 200;
/// Such batches; their median shrugs off those in which another program had the CPU.
const BATCHES: u64 = 101;
/// Nanoseconds of a round trip above which the CPUs share no cache. Within a core a line comes back
/// in 60 ns and less, between two cores of one cache in 60 to 100, across caches in 200 and more.
const BORDER: f64 = 150.0;

/// What readers of a report are told of the classes.
pub const NOTE: &str = "placement: CPUs are near within a core or where two cores share a cache, and \
    else far;\nonly measurements of one class are compared";

/// How close the two CPUs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// They share no cache.
    Far,
    /// Within one core, or on two that share a cache: the probe cannot tell these apart.
    Near,
    /// There is but one CPU.
    OneCpu,
    /// It changed between the probe before and the one after.
    Changed,
}

impl Class {
    fn of(nanoseconds: f64) -> Self {
        if nanoseconds > BORDER { Self::Far } else { Self::Near }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Far => "far",
            Self::Near => "near",
            Self::OneCpu => "one CPU",
            Self::Changed => "changed",
        })
    }
}

/// What the probes around a measurement found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Placement {
    /// The class of both.
    pub class: Class,
    /// Nanoseconds of a round trip before.
    pub before: f64,
    /// And after.
    pub after: f64,
}

/// Runs `work` between two probes.
pub fn around<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Placement)> {
    let before = probe()?;
    let result = work()?;
    let after = probe()?;
    Ok((result, judge(before, after)))
}

fn judge(before: Option<f64>, after: Option<f64>) -> Placement {
    let class = match (before, after) {
        (Some(before), Some(after)) if Class::of(before) == Class::of(after) => Class::of(before),
        (None, None) => Class::OneCpu,
        _ => Class::Changed,
    };
    Placement { class, before: before.unwrap_or_default(), after: after.unwrap_or_default() }
}

/// The median round trip in nanoseconds between the first two CPUs that this process may use; nothing
/// if there is but one.
fn probe() -> Result<Option<f64>> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).context("asking which CPUs may be used")?;
    let mut cpus = (0..CpuSet::count()).filter(|&cpu| allowed.is_set(cpu).unwrap_or(false));
    let (Some(first), Some(second)) = (cpus.next(), cpus.next()) else { return Ok(None) };
    let line = Line::default();
    thread::scope(|scope| {
        let echo = scope.spawn(|| line.finish_after(|| pin(second).map(|()| line.echo())));
        let ping =
            scope.spawn(|| line.finish_after(|| pin(first).map(|()| line.ping(BATCHES, TRIPS))));
        let outcomes = (ping.join(), echo.join());
        let (Ok(ping), Ok(echo)) = outcomes else { anyhow::bail!("a probing thread panicked") };
        echo?;
        Ok(Sample::of(ping?).map(|sample| sample.median()))
    })
}

fn pin(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &set).with_context(|| format!("pinning to CPU {cpu}"))
}

/// A cache line of its own: even numbers are the pinger's turn, odd ones the echo's.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line {
    turn: AtomicU64,
    over: AtomicBool,
}

impl Line {
    /// Sets the other side free whatever became of this one.
    fn finish_after<T>(&self, work: impl FnOnce() -> T) -> T {
        let result = work();
        self.over.store(true, Ordering::Release);
        result
    }

    /// Waits for `turn`. Returns `false` if it is over.
    fn wait_for(&self, turn: u64) -> bool {
        while self.turn.load(Ordering::Acquire) != turn {
            if self.over.load(Ordering::Relaxed) {
                return false;
            }
            std::hint::spin_loop();
        }
        true
    }

    fn echo(&self) {
        let mut turn = 1;
        while self.wait_for(turn) {
            self.turn.store(turn + 1, Ordering::Release);
            turn += 2;
        }
    }

    /// Nanoseconds of a round trip, batch by batch.
    fn ping(&self, batches: u64, trips: u64) -> Vec<f64> {
        let mut turn = 0;
        let mut times = Vec::new();
        for _ in 0..batches {
            let start = Instant::now();
            for _ in 0..trips {
                self.turn.store(turn + 1, Ordering::Release);
                turn += 2;
                if !self.wait_for(turn) {
                    return times;
                }
            }
            times.push(start.elapsed().as_nanos() as f64 / trips as f64);
        }
        times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_that_disagree_make_no_class() {
        assert_eq!(judge(Some(228.0), Some(231.0)).class, Class::Far);
        assert_eq!(judge(Some(40.0), Some(95.0)).class, Class::Near);
        assert_eq!(judge(Some(40.0), Some(231.0)).class, Class::Changed);
        assert_eq!(judge(None, None).class, Class::OneCpu);
    }

    #[test]
    fn a_probe_counts_every_batch_and_takes_time() {
        let line = Line::default();
        let times = thread::scope(|scope| {
            scope.spawn(|| line.echo());
            line.finish_after(|| line.ping(3, 5))
        });
        assert_eq!(times.len(), 3);
        assert!(times.iter().all(|&time| time > 0.0));
        assert_eq!(line.turn.load(Ordering::Relaxed), 2 * 3 * 5);
    }

    #[test]
    fn a_side_that_fails_sets_the_other_free() {
        let line = Line::default();
        line.finish_after(|| ());
        assert!(line.ping(1, 1).is_empty());
    }
}

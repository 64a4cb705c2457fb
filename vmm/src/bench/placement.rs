//! The probe that tells where the host has put this machine's CPUs.
//!
//! A shared host moves its virtual CPUs about: onto one physical core, onto two that share a cache,
//! onto two that do not. Whatever moves cache lines between threads is twice as slow in the second
//! case as in the first, and several times slower in the last. Only measurements of one class are
//! compared, so each is bracketed by this probe: two pinned threads that hand one cache line back
//! and forth.
//!
//! The builder's benchmarks take this file as it is. It asks its parent module for `processors`, and
//! nothing else of the VMM.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::processors;

/// Round trips timed together, so that reading the clock costs nothing.
const TRIPS: u64 = 200;
/// Such batches; their median shrugs off those in which another program had the CPU.
const BATCHES: u64 = 51;

// The borders lie in the gaps between what was seen, over some thousand probes, on two-CPU machines
// in a cloud (AMD EPYC): 27 to 45 ns, 60 to 95 ns, 200 to 400 ns, and next to nothing in between.
// They are those of the three ways that a cache line can take: within a core's own cache, through
// one that some cores share, across the links between dies.

/// Nanoseconds of a round trip below which both CPUs are threads of one core.
const SIBLINGS_BELOW: f64 = 50.0;
/// Nanoseconds of a round trip above which the CPUs share no cache.
const FAR_ABOVE: f64 = 150.0;

/// Why the CPUs cannot be probed.
#[derive(Debug, Error)]
pub enum PlacementError {
    /// The host does not say which CPUs there are.
    #[error("cannot ask which CPUs may be used: {0}")]
    Affinity(Errno),
    /// One of them cannot be had.
    #[error("cannot run a thread on CPU {cpu}: {cause}; check the cpuset of this process")]
    Pin {
        /// The CPU.
        cpu: usize,
        /// What the host said.
        cause: Errno,
    },
    /// A thread did not come to its end.
    #[error("a probing thread died")]
    Died,
}

/// How close the two CPUs are, the farthest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// They share no cache.
    Far,
    /// They are cores of their own that share a cache.
    Near,
    /// They are threads of one core.
    Siblings,
    /// There is but one CPU.
    OneCpu,
    /// It changed between the probe before and the one after.
    Changed,
}

impl Class {
    /// Of a round trip in so many nanoseconds.
    fn of(probe: Option<f64>) -> Self {
        match probe {
            None => Self::OneCpu,
            Some(nanoseconds) if nanoseconds > FAR_ABOVE => Self::Far,
            Some(nanoseconds) if nanoseconds < SIBLINGS_BELOW => Self::Siblings,
            Some(_) => Self::Near,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Far => "far",
            Self::Near => "near",
            Self::Siblings => "siblings",
            Self::OneCpu => "one CPU",
            Self::Changed => "changed",
        })
    }
}

/// What the probes around a measurement found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Placement {
    /// The class of both.
    pub class: Class,
    /// Nanoseconds of a round trip before; None if there is but one CPU.
    pub before: Option<f64>,
    /// And after.
    pub after: Option<f64>,
}

impl Placement {
    /// What two probes amount to.
    pub fn between(before: Option<f64>, after: Option<f64>) -> Self {
        let (first, second) = (Class::of(before), Class::of(after));
        let class = if first == second { first } else { Class::Changed };
        Self { class, before, after }
    }
}

/// The median round trip in nanoseconds between the first two CPUs that this process may use;
/// nothing if there is but one.
///
/// # Errors
/// If a CPU that this process may use cannot be had.
pub fn probe() -> Result<Option<f64>, PlacementError> {
    let cpus = processors::allowed().map_err(PlacementError::Affinity)?;
    let [first, second, ..] = cpus[..] else { return Ok(None) };
    let line = Line::default();
    let mut times = thread::scope(|scope| {
        let echo = scope.spawn(|| line.finish_after(|| pin(second).map(|()| line.echo())));
        let ping =
            scope.spawn(|| line.finish_after(|| pin(first).map(|()| line.ping(BATCHES, TRIPS))));
        let (ping, echo) = (ping.join(), echo.join());
        echo.map_err(|_| PlacementError::Died)??;
        ping.map_err(|_| PlacementError::Died)?
    })?;
    times.sort_by(f64::total_cmp);
    // Without any, a side went before its time; but then it said why above.
    times.get(times.len() / 2).copied().map(Some).ok_or(PlacementError::Died)
}

fn pin(cpu: usize) -> Result<(), PlacementError> {
    let mut set = CpuSet::new();
    set.set(cpu)
        .and_then(|()| sched_setaffinity(Pid::from_raw(0), &set))
        .map_err(|cause| PlacementError::Pin { cpu, cause })
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
        let class = |before, after| Placement::between(before, after).class;
        assert_eq!(class(Some(228.0), Some(231.0)), Class::Far);
        assert_eq!(class(Some(62.0), Some(95.0)), Class::Near);
        assert_eq!(class(Some(27.0), Some(45.0)), Class::Siblings);
        assert_eq!(class(Some(45.0), Some(62.0)), Class::Changed);
        assert_eq!(class(Some(95.0), Some(231.0)), Class::Changed);
        assert_eq!(class(None, Some(231.0)), Class::Changed);
        assert_eq!(class(None, None), Class::OneCpu);
    }

    #[test]
    fn a_probe_takes_time_wherever_there_are_two_cpus() {
        let cpus = thread::available_parallelism().unwrap().get();
        match probe().unwrap() {
            Some(nanoseconds) => assert!(cpus > 1 && nanoseconds > 1.0, "{nanoseconds}"),
            None => assert_eq!(cpus, 1),
        }
    }

    #[test]
    fn every_batch_is_timed() {
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
        assert_eq!(
            pin(CpuSet::count()).unwrap_err().to_string().split(':').next(),
            Some("cannot run a thread on CPU 1024")
        );
    }
}

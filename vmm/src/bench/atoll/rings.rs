//! The bare rings between two threads: what the layers above them are compared with.

mod flow;
mod trips;

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use atoll_ipc::channel::Layout;

use super::super::subject::Sample;
use super::super::wire::{Case, Suite};
use super::floor::pin;
use super::system::cpus;
use super::{AtollError, times};
use crate::channel::ChannelMemory;
use crate::system::SystemError;

/// Measures one round.
pub(super) fn measure(case: &Case, millis: u32) -> Result<Sample, AtollError> {
    let memory = ChannelMemory::new(Layout::PLAIN).map_err(SystemError::from)?;
    let cpus = cpus()?;
    let (first, second) = (cpus[0], *cpus.get(1).unwrap_or(&cpus[0]));
    let meeting = Meeting::default();
    thread::scope(|scope| {
        scope.spawn(|| {
            pin(second);
            meeting.end_after(|| match case.suite {
                Suite::RoundTrip => trips::serve(&memory, case.size, &meeting),
                _ => flow::take(&memory, case.size, &meeting),
            });
        });
        let asked = scope.spawn(|| {
            pin(first);
            meeting.end_after(|| match case.suite {
                Suite::RoundTrip => {
                    let told = trips::ask(&memory, case.size, millis, &meeting);
                    times(&[told.map_err(AtollError::Ring)?])
                }
                _ => flow::send(&memory, case.size, millis, &meeting).map_err(AtollError::Ring),
            })
        });
        asked.join().map_err(|_| AtollError::Impossible("a dead thread".into()))?
    })
}

/// What the two threads tell each other outside the rings.
#[derive(Debug, Default)]
struct Meeting {
    /// The taking side has attached.
    ready: AtomicBool,
    /// A side has ended.
    over: AtomicBool,
}

impl Meeting {
    /// Sets the other side free whatever became of this one.
    fn end_after<T>(&self, work: impl FnOnce() -> T) -> T {
        let result = work();
        self.over.store(true, Ordering::Release);
        result
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    fn open(&self) {
        self.ready.store(true, Ordering::Release);
    }

    fn is_open(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Looks until there is something. Returns `false` if the other side ended first.
    #[inline(always)]
    fn wait_until(&self, mut is_there: impl FnMut() -> bool) -> bool {
        while !is_there() {
            if self.is_over() {
                return false;
            }
            spin_loop();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::fixture::case;

    #[test]
    fn round_trips_in_one_line_and_through_both_rings_are_timed() {
        for size in [8, 48, 64, 4096] {
            match measure(&case(Suite::RoundTrip, "atoll ring", size), 5).unwrap() {
                Sample::Times(times) => assert!(!times.is_empty() && times.max() > 0, "{size}"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn messages_one_way_are_counted() {
        match measure(&case(Suite::OneWay, "atoll ring", 64), 5).unwrap() {
            Sample::Rate(rate) => assert!(rate > 0.0),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_side_whose_other_side_has_ended_waits_no_more() {
        let meeting = Meeting::default();
        meeting.end_after(|| ());
        assert!(!meeting.wait_until(|| false));
        assert!(meeting.wait_until(|| true));
    }
}

//! Times round trips made by this process, as a load domain times its own: with the CPU's counter,
//! which costs less than what is measured.

use std::arch::x86_64::_rdtsc;
use std::time::{Duration, Instant};

use atoll_ipc::load::SAMPLES_MAX;

use super::system::Told;
use crate::machine::host::measured_tsc_hz;

/// The counter now. It is the same on all CPUs wherever KVM runs.
#[inline(always)]
fn ticks() -> u64 {
    // SAFETY: every x86-64 CPU has the instruction, Linux lets programs use it, and it has no effect
    // but its result.
    unsafe { _rdtsc() }
}

/// Repeats a round trip for so long, and keeps the time of each. A fifth of that goes before,
/// uncounted, to warm up everything that can be. Each round trip is told its number.
pub(super) fn timed<E>(
    millis: u32,
    mut round_trip: impl FnMut(u64) -> Result<(), E>,
) -> Result<Told, E> {
    let whole = Duration::from_millis(millis.into());
    let warm = Instant::now();
    let mut number = 0;
    while warm.elapsed() < whole / 5 {
        round_trip(number)?;
        number += 1;
    }
    let hz = measured_tsc_hz();
    let stretch = hz / 1000 * u64::from(millis);
    let (mut samples, mut messages) = (Vec::with_capacity(SAMPLES_MAX), 0);
    let began = ticks();
    let mut last = began;
    loop {
        round_trip(number + messages)?;
        messages += 1;
        let now = ticks();
        if samples.len() < SAMPLES_MAX {
            samples.push(u32::try_from(now - last).unwrap_or(u32::MAX));
        }
        last = now;
        if now - began >= stretch {
            return Ok(Told { messages, ticks: now - began, hz, exits: 0, samples });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_trip_is_told_its_number_and_only_those_after_the_warm_up_count() {
        let mut next = 0;
        let told = timed(5, |number| {
            assert_eq!(number, next);
            next += 1;
            Ok::<(), ()>(())
        })
        .unwrap();
        assert!(told.messages < next, "{} of {next}", told.messages);
        assert_eq!(told.samples.len() as u64, told.messages.min(SAMPLES_MAX as u64));
        let millis = told.ticks * 1000 / told.hz;
        assert!(millis >= 4, "{millis} ms of 5");
    }

    #[test]
    fn a_failure_ends_it_before_and_after_the_warm_up() {
        assert_eq!(timed(5, |_| Err("at once")).unwrap_err(), "at once");
        let began = Instant::now();
        let late =
            |_| if began.elapsed() < Duration::from_millis(3) { Ok(()) } else { Err("late") };
        assert_eq!(timed(10, late).unwrap_err(), "late");
    }
}

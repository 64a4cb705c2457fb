//! Owns time as the CPU counts it: reading it costs a few nanoseconds, less than what is measured.

use std::arch::x86_64::_rdtsc;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long the counter is held against the system's clock: long enough that the two readings,
/// some 50 ns apart at worst, are off by less than one part in 100,000.
const CALIBRATION: Duration = Duration::from_millis(10);

static TICKS_PER_NANOSECOND: OnceLock<f64> = OnceLock::new();

/// The counter now. It is the same on all CPUs wherever KVM runs.
#[inline(always)]
pub fn ticks() -> u64 {
    // SAFETY: every x86-64 CPU has the instruction, and Linux lets programs use it.
    unsafe { _rdtsc() }
}

/// How much the counter advances in some time.
pub fn ticks_in(time: Duration) -> u64 {
    (time.as_nanos() as f64 * ticks_per_nanosecond()) as u64
}

/// How fast the counter runs. The first call takes as long as the calibration.
pub fn ticks_per_nanosecond() -> f64 {
    *TICKS_PER_NANOSECOND.get_or_init(calibrate)
}

fn calibrate() -> f64 {
    let (begun, first) = (Instant::now(), ticks());
    loop {
        let (passed, last) = (begun.elapsed(), ticks());
        if passed >= CALIBRATION {
            return (last - first) as f64 / passed.as_nanos() as f64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_keeps_pace_with_the_system_clock() {
        ticks_per_nanosecond();
        let (begun, first) = (Instant::now(), ticks());
        while begun.elapsed() < Duration::from_millis(20) {}
        let counted = (ticks() - first) as f64 / ticks_in(Duration::from_millis(20)) as f64;
        // What comes on top is the time for which the test was not running.
        assert!(counted > 0.99, "20 ms were counted as {counted} of them");
    }
}

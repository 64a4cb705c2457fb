//! Repeating a measurement within a budget, and what its samples amount to.

use std::time::{Duration, Instant};

use serde::Serialize;

/// Runs that are made even if the budget of time is spent: fewer tell nothing.
const LEAST_RUNS: usize = 3;

/// How the cost of an operation is spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Spread {
    /// Half of the runs took at most this long, in nanoseconds.
    pub(super) p50_ns: u64,
    /// All but one in a hundred runs took at most this long.
    pub(super) p99_ns: u64,
    pub(super) runs: usize,
}

impl Spread {
    /// The spread of some samples; None without any.
    pub(super) fn of(samples: &[Duration]) -> Option<Self> {
        let mut sorted: Vec<u64> = samples.iter().map(|sample| sample.as_nanos() as u64).collect();
        sorted.sort_unstable();
        let p50_ns = percentile(&sorted, 50)?;
        Some(Self { p50_ns, p99_ns: percentile(&sorted, 99)?, runs: sorted.len() })
    }

    /// The median.
    pub(super) fn p50(&self) -> Duration {
        Duration::from_nanos(self.p50_ns)
    }
}

/// The least sample that at least `percent` of all samples do not exceed.
fn percentile(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

/// How long to go on measuring one thing: until either is used up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub(super) runs: usize,
    pub(super) time: Duration,
}

impl Budget {
    pub(super) const fn new(runs: usize, millis: u64) -> Self {
        Self { runs, time: Duration::from_millis(millis) }
    }

    /// Whether to stop after `done` runs that began at `began`.
    pub(super) fn is_spent(&self, done: usize, began: Instant) -> bool {
        done >= self.runs || (done >= LEAST_RUNS && began.elapsed() >= self.time)
    }

    /// Repeats a measurement.
    pub(super) fn collect<E>(
        &self,
        mut one: impl FnMut() -> Result<Duration, E>,
    ) -> Result<Vec<Duration>, E> {
        let (began, mut samples) = (Instant::now(), Vec::with_capacity(self.runs));
        while !self.is_spent(samples.len(), began) {
            samples.push(one()?);
        }
        Ok(samples)
    }
}

/// What `work` gives, and how long it took.
pub(super) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let result = work();
    (result, began.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn percentiles_are_samples() {
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!(percentile(&hundred, 50), Some(50));
        assert_eq!(percentile(&hundred, 99), Some(99));
        assert_eq!(percentile(&[7], 50), Some(7));
        assert_eq!(percentile(&[1, 2, 3], 99), Some(3));
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn a_spread_needs_no_order() {
        let samples = [9, 1, 5].map(Duration::from_micros);
        let expected = Spread { p50_ns: 5_000, p99_ns: 9_000, runs: 3 };
        assert_eq!(Spread::of(&samples), Some(expected));
        assert_eq!(Spread::of(&[]), None);
    }

    proptest! {
        #[test]
        fn a_percentile_bounds_its_share(
            mut values in prop::collection::vec(0u64..1000, 1..300),
            percent in 1usize..=100,
        ) {
            values.sort_unstable();
            let bound = percentile(&values, percent).unwrap();
            let within = values.iter().filter(|&&value| value <= bound).count();
            let below = values.iter().filter(|&&value| value < bound).count();
            prop_assert!(within * 100 >= values.len() * percent);
            prop_assert!(below * 100 < values.len() * percent);
        }
    }

    #[test]
    fn a_budget_ends_by_runs_or_by_time_but_not_before_it_tells_something() {
        let count = |budget: Budget| {
            budget.collect(|| Ok::<_, ()>(Duration::ZERO)).map(|samples| samples.len())
        };
        assert_eq!(count(Budget::new(10, 60_000)), Ok(10));
        assert_eq!(count(Budget::new(10, 0)), Ok(LEAST_RUNS));
        assert_eq!(count(Budget::new(2, 0)), Ok(2));
    }

    #[test]
    fn a_failure_ends_the_collection() {
        let result = Budget::new(10, 60_000).collect(|| Err("broken"));
        assert_eq!(result, Err("broken"));
    }
}

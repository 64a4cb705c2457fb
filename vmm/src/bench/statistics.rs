//! What the rounds of a case amount to.

use hdrhistogram::Histogram;
use serde::{Serialize, Serializer};

use super::histogram::{merged, to_text};
use super::subject::Sample;

/// How a figure is spread over the rounds. The lowest is the one to compare times by: what disturbs
/// a round only ever makes it slower.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Range {
    /// Of the lowest round.
    pub lowest: f64,
    /// Of the median round; of an even number, the mean of the two in the middle.
    pub median: f64,
    /// Of the highest round.
    pub highest: f64,
}

impl Range {
    /// The spread of some values; None without any.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (lowest, highest) = (*values.first()?, *values.last()?);
        let half = values.len() / 2;
        let median = match values.len() % 2 {
            0 => f64::midpoint(values[half - 1], values[half]),
            _ => values[half],
        };
        Some(Self { lowest, median, highest })
    }

    fn scaled(self, factor: f64) -> Self {
        let Self { lowest, median, highest } = self;
        Self { lowest: lowest * factor, median: median * factor, highest: highest * factor }
    }
}

/// Times of a message there and one back, in nanoseconds: each figure of a round by itself, then
/// spread over the rounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Times {
    /// Half of the times are at most this.
    pub p50: Range,
    /// Nine in ten are.
    pub p90: Range,
    /// All but one in a hundred are.
    pub p99: Range,
    /// All but one in a thousand are.
    pub p999: Range,
    /// All are.
    pub max: Range,
    /// How many times there are in all.
    pub count: u64,
    /// All of them, as a serialised histogram (`hdrhistogram`, V2, base 64).
    #[serde(serialize_with = "as_text")]
    pub histogram: Histogram<u64>,
}

fn as_text<S: Serializer>(times: &Histogram<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&to_text(times).map_err(serde::ser::Error::custom)?)
}

impl Times {
    pub(super) fn of(rounds: &[&Histogram<u64>]) -> Option<Self> {
        let at = |quantile: f64| {
            Range::of(rounds.iter().map(|times| times.value_at_quantile(quantile) as f64))
        };
        let histogram = merged(rounds.iter().copied())?;
        Some(Self {
            p50: at(0.5)?,
            p90: at(0.9)?,
            p99: at(0.99)?,
            p999: at(0.999)?,
            max: at(1.0)?,
            count: histogram.len(),
            histogram,
        })
    }
}

/// How much goes through.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rates {
    /// Messages in a second.
    pub messages: Range,
    /// Payload in a second, in units of 10^9 bytes.
    pub gigabytes: Range,
}

/// The figures of a case.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Figures {
    /// It was timed.
    Times(Times),
    /// It was counted.
    Rates(Rates),
}

impl Figures {
    /// What some rounds of messages of `size` bytes amount to; None without any, or if some were
    /// timed and some were counted.
    pub fn of<'a>(size: usize, rounds: impl IntoIterator<Item = &'a Sample>) -> Option<Self> {
        let (mut times, mut rates) = (Vec::new(), Vec::new());
        for round in rounds {
            match round {
                Sample::Times(histogram) => times.push(histogram),
                Sample::Rate(rate) => rates.push(*rate),
            }
        }
        match (times.is_empty(), rates.is_empty()) {
            (false, true) => Times::of(&times).map(Self::Times),
            (true, false) => {
                let messages = Range::of(rates)?;
                let gigabytes = messages.scaled(size as f64 / 1e9);
                Some(Self::Rates(Rates { messages, gigabytes }))
            }
            _ => None,
        }
    }

    /// The times, if it was timed.
    pub fn times(&self) -> Option<&Times> {
        match self {
            Self::Times(times) => Some(times),
            Self::Rates(_) => None,
        }
    }

    /// The rates, if it was counted.
    pub fn rates(&self) -> Option<&Rates> {
        match self {
            Self::Times(_) => None,
            Self::Rates(rates) => Some(rates),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::fixture::times;
    use proptest::prelude::*;

    fn range(lowest: f64, median: f64, highest: f64) -> Range {
        Range { lowest, median, highest }
    }

    #[test]
    fn a_range_needs_no_order() {
        assert_eq!(Range::of([3.0, 1.0, 2.0]), Some(range(1.0, 2.0, 3.0)));
        assert_eq!(Range::of([4.0, 1.0, 2.0, 3.0]), Some(range(1.0, 2.5, 4.0)));
        assert_eq!(Range::of([7.0]), Some(range(7.0, 7.0, 7.0)));
        assert_eq!(Range::of([]), None);
    }

    proptest! {
        #[test]
        fn half_of_the_values_are_on_either_side_of_the_median(
            values in prop::collection::vec(0.0..1e9f64, 1..40),
        ) {
            let Range { lowest, median, highest } = Range::of(values.iter().copied()).unwrap();
            prop_assert!(lowest <= median && median <= highest);
            prop_assert!(values.contains(&lowest) && values.contains(&highest));
            let below = values.iter().filter(|&&value| value < median).count();
            let above = values.iter().filter(|&&value| value > median).count();
            prop_assert!(below * 2 <= values.len() && above * 2 <= values.len());
        }
    }

    #[test]
    fn times_are_told_round_by_round_and_together() {
        let rounds = [times(&[100; 99], &[900]), times(&[200; 100], &[]), times(&[300; 50], &[])];
        let figures = Figures::of(8, &rounds).unwrap();
        let times = figures.times().unwrap();
        assert_eq!(times.p50, range(100.0, 200.0, 300.0));
        assert_eq!(times.p99, range(100.0, 200.0, 300.0));
        assert_eq!(times.max, range(200.0, 300.0, 900.0));
        assert_eq!((times.count, times.histogram.count_at(900)), (250, 1));
        assert!(figures.rates().is_none());
    }

    #[test]
    fn a_rate_is_also_told_in_bytes() {
        let figures = Figures::of(500_000_000, &[Sample::Rate(4e3), Sample::Rate(2e3)]).unwrap();
        let rates = figures.rates().unwrap();
        assert_eq!(rates.messages, range(2e3, 3e3, 4e3));
        assert_eq!(rates.gigabytes, range(1e3, 1.5e3, 2e3));
    }

    #[test]
    fn nothing_comes_of_nothing_or_of_rounds_that_do_not_belong_together() {
        assert_eq!(Figures::of(8, &[]), None);
        assert_eq!(Figures::of(8, &[Sample::Rate(1.0), times(&[1], &[])]), None);
    }

    #[test]
    fn the_histogram_is_text_in_the_report() {
        let figures = Figures::of(8, &[times(&[100; 3], &[])]).unwrap();
        let value = serde_json::to_value(&figures).unwrap();
        assert_eq!(value["times"]["p50"]["lowest"], 100.0);
        let text = value["times"]["histogram"].as_str().unwrap();
        assert_eq!(crate::bench::histogram::from_text(text).unwrap().len(), 3);
    }
}

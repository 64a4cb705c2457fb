//! Owns the times of a round and how they are handed over.

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2Serializer};

use crate::clock;
use crate::wire::Outcome;

/// The longest time that is told apart: ten seconds, longer than any round.
const LONGEST: u64 = 10_000_000_000;

/// Each time is kept to three digits.
const DIGITS: u8 = 3;

/// Times of single exchanges.
#[derive(Debug)]
pub struct Times {
    histogram: Histogram<u64>,
    ticks_per_nanosecond: f64,
}

impl Times {
    /// None yet.
    pub fn new() -> Result<Self> {
        let histogram = Histogram::new_with_bounds(1, LONGEST, DIGITS)
            .context("cannot make a histogram of nanoseconds")?;
        Ok(Self { histogram, ticks_per_nanosecond: clock::ticks_per_nanosecond() })
    }

    /// Adds one time.
    #[inline]
    pub fn add(&mut self, ticks: u64) {
        self.histogram.saturating_record((ticks as f64 / self.ticks_per_nanosecond) as u64);
    }

    /// All of them, as the outcome of a round.
    pub fn outcome(&self) -> Result<Outcome> {
        let mut bytes = Vec::new();
        V2Serializer::new()
            .serialize(&self.histogram, &mut bytes)
            .context("cannot serialise the histogram of a round")?;
        Ok(Outcome::Times(STANDARD.encode(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::Deserializer;

    use super::*;

    #[test]
    fn times_come_back_in_nanoseconds() {
        let mut times = Times::new().expect("the bounds are sound");
        for nanoseconds in [200_u32, 300, 4_000] {
            times.add((f64::from(nanoseconds) * times.ticks_per_nanosecond).ceil() as u64);
        }
        let Ok(Outcome::Times(text)) = times.outcome() else { panic!("these are times") };
        let bytes = STANDARD.decode(text).expect("it is base 64");
        let read: Histogram<u64> =
            Deserializer::new().deserialize(&mut bytes.as_slice()).expect("it is a histogram");
        assert_eq!(read.len(), 3);
        assert!(read.equivalent(read.min(), 200) && read.equivalent(read.max(), 4_000));
    }
}

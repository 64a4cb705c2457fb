//! Histograms of times as they travel between the parts of a run: as text, one each.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::serialization::V2Serializer;
use hdrhistogram::serialization::{DeserializeError, Deserializer, Serializer, V2SerializeError};
use hdrhistogram::{CreationError, Histogram};
use thiserror::Error;

/// The longest time that can be told from a longer one: ten seconds, in nanoseconds.
pub(super) const LONGEST: u64 = 10_000_000_000;
/// Significant decimal digits of a time.
const DIGITS: u8 = 3;

/// Why a text is no histogram.
#[derive(Debug, Error)]
pub enum HistogramError {
    /// It is not even base 64.
    #[error("the times are not base 64: {0}")]
    Text(#[from] base64::DecodeError),
    /// What it stands for is something else.
    #[error("the times are no histogram (V2): {0}")]
    Content(#[from] DeserializeError),
    /// It holds nothing.
    #[error("the times are a histogram without a single one")]
    Empty,
}

/// A histogram without times yet.
///
/// # Errors
/// Never with the bounds that stand above; the type wants it said.
pub fn empty() -> Result<Histogram<u64>, CreationError> {
    Histogram::new_with_bounds(1, LONGEST, DIGITS)
}

/// A histogram as text.
///
/// # Errors
/// If it is too large for the format.
pub fn to_text(times: &Histogram<u64>) -> Result<String, V2SerializeError> {
    let mut bytes = Vec::new();
    V2Serializer::new().serialize(times, &mut bytes)?;
    Ok(STANDARD.encode(bytes))
}

/// The histogram that a text stands for.
///
/// # Errors
/// If it stands for none, or for one without times.
pub fn from_text(text: &str) -> Result<Histogram<u64>, HistogramError> {
    let bytes = STANDARD.decode(text)?;
    let times = Deserializer::new().deserialize(&mut bytes.as_slice())?;
    if times.is_empty() { Err(HistogramError::Empty) } else { Ok(times) }
}

/// All times of several histograms; nothing if there are none.
pub(super) fn merged<'a>(
    each: impl IntoIterator<Item = &'a Histogram<u64>>,
) -> Option<Histogram<u64>> {
    let mut each = each.into_iter();
    let mut all = each.next()?.clone();
    // Then it takes times of any length, and adding cannot fail.
    all.auto(true);
    for times in each {
        all.add(times).ok()?;
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times: &[u64]) -> Histogram<u64> {
        let mut histogram = empty().unwrap();
        times.iter().for_each(|&time| histogram.record(time).unwrap());
        histogram
    }

    #[test]
    fn times_survive_the_journey() {
        let times = of(&[220, 223, 250, 9_000_000_000]);
        let there = from_text(&to_text(&times).unwrap()).unwrap();
        assert_eq!(there, times);
    }

    #[test]
    fn what_is_no_histogram_is_refused_for_what_it_is() {
        let error = |text| from_text(text).unwrap_err().to_string();
        assert!(error("~").starts_with("the times are not base 64: "), "{}", error("~"));
        assert!(error("AAAA").starts_with("the times are no histogram (V2): "));
        let nothing = to_text(&empty().unwrap()).unwrap();
        assert_eq!(error(&nothing), "the times are a histogram without a single one");
    }

    #[test]
    fn merging_loses_no_time_even_beyond_the_bounds_of_the_first() {
        let mut wide = Histogram::new(3).unwrap();
        wide.record(50 * LONGEST).unwrap();
        let all = merged([&of(&[5, 7]), &wide, &of(&[7])]).unwrap();
        assert_eq!((all.len(), all.count_at(7), all.min()), (4, 2, 5));
        assert!(all.max() >= 50 * LONGEST);
        assert!(merged([]).is_none());
    }
}

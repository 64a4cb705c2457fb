//! Lengths of time, as written (`500 ms`) and as used.

use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use crate::journal::printable;

use super::super::quantity::number_and_unit;
use super::super::source::Span;
use super::super::table::{Found, Problems, Table, wrong_type};
use super::error::SupervisionRule;

/// Shortest time that a key can mean: shorter ones are below what a host's timers keep to
/// under load.
const SHORTEST: Duration = Duration::from_millis(1);
/// Longest time: a day.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Text that is no length of time, or none that a key can mean.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not a number with a unit.
    #[error(
        "`{0}` is not a length of time; write a whole number and a unit: `500 ms`, `5 s`, `2 min`"
    )]
    Syntax(String),
    /// A unit that is not one of the three.
    #[error("`{unit}` is not a unit of time; use ms, s or min{}", hint(*.nearest))]
    Unit {
        /// As written.
        unit: String,
        /// The unit that was probably meant.
        nearest: Option<&'static str>,
    },
    /// Nothing, or beyond all reason.
    #[error("{0} is out of range; use `1 ms` to `1440 min`")]
    Range(String),
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map(|unit| format!(" (did you mean {unit}?)")).unwrap_or_default()
}

/// The length of time that `key` means, if the key is there.
pub(super) fn duration(
    table: &Table<'_>,
    key: &'static str,
    example: &str,
    problems: &mut Problems,
) -> Option<Found<Duration>> {
    let value: &Spanned<DeValue<'_>> = table.get(key)?;
    let span: Span = value.span();
    let Some(text) = value.get_ref().as_str() else {
        wrong_type(key, value, &format!("a string such as `{example}`"), problems);
        return None;
    };
    match length_of_time(text) {
        Ok(value) => Some(Found { value, span }),
        Err(error) => {
            problems.at(&span, SupervisionRule::Duration { key, error }.into());
            None
        }
    }
}

/// The length of time that a text means.
///
/// # Errors
/// If it means none.
pub fn length_of_time(text: &str) -> Result<Duration, DurationError> {
    let (number, unit) = number_and_unit(text);
    if number.is_empty() || unit.is_empty() {
        return Err(DurationError::Syntax(printable(text)));
    }
    let scale = milliseconds(unit)?;
    let length = number.parse::<u64>().ok().and_then(|number| number.checked_mul(scale));
    length
        .map(Duration::from_millis)
        .filter(|length| (SHORTEST..=LONGEST).contains(length))
        .ok_or_else(|| DurationError::Range(text.trim().to_owned()))
}

fn milliseconds(unit: &str) -> Result<u64, DurationError> {
    match unit {
        "ms" => Ok(1),
        "s" => Ok(1000),
        "min" => Ok(60 * 1000),
        other => Err(DurationError::Unit { nearest: likely_unit(other), unit: printable(other) }),
    }
}

fn likely_unit(unit: &str) -> Option<&'static str> {
    match unit.to_ascii_lowercase().as_str() {
        "ms" | "msec" | "millis" | "milliseconds" => Some("ms"),
        "s" | "sec" | "secs" | "second" | "seconds" => Some("s"),
        "m" | "min" | "mins" | "minute" | "minutes" => Some("min"),
        _ => None,
    }
}

/// A length of time as it would be written.
pub(super) fn written(length: Duration) -> String {
    match length.as_millis() {
        millis if millis.is_multiple_of(60_000) => format!("{} min", millis / 60_000),
        millis if millis.is_multiple_of(1000) => format!("{} s", millis / 1000),
        millis => format!("{millis} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(millis in 1_u64..=24 * 60 * 60 * 1000) {
            let length = Duration::from_millis(millis);
            prop_assert_eq!(length_of_time(&written(length)), Ok(length));
        }
    }

    #[test]
    fn space_before_a_unit_is_a_matter_of_taste() {
        assert_eq!(length_of_time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(length_of_time(" 2  min "), Ok(Duration::from_secs(120)));
    }
}

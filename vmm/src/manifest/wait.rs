//! How a domain waits for messages: a word, or how long it looks before it sleeps.

use std::time::Duration;

use super::domain::meaning;
use super::error::Rule;
use super::quantity::number_and_unit;
use super::table::{Problems, Table};
use crate::journal::printable;

/// How a domain's vCPUs wait for messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// They look for as long as a sleep would cost, and then sleep.
    #[default]
    Adaptive,
    /// They look and never sleep: for benchmarks and the least latency, with a CPU to themselves.
    Polling,
    /// They sleep at once.
    Blocking,
    /// They look for so long, whoever else wants the processor, and then sleep.
    For(Duration),
}

impl Wait {
    /// Every way that is a word, as written.
    pub(super) const WORDS: [(&'static str, Self); 3] =
        [("adaptive", Self::Adaptive), ("polling", Self::Polling), ("blocking", Self::Blocking)];

    /// Longest time to look: who waits longer has slept long ago, at next to no cost.
    pub const LONGEST: Duration = Duration::from_millis(100);
}

/// Reads the key `wait`.
pub(super) fn wait(table: &Table<'_>, problems: &mut Problems) -> Wait {
    let Some(text) = table.text("wait", problems) else { return Wait::default() };
    let (number, unit) = number_and_unit(text.value);
    if number.is_empty() {
        let unknown = |value, nearest| Rule::Wait { value, nearest };
        return meaning(&text, &Wait::WORDS, problems, unknown);
    }
    length(number, unit).map(Wait::For).unwrap_or_else(|| {
        problems.at(&text.span, Rule::WaitTime { value: printable(text.value) });
        Wait::default()
    })
}

/// A length of time as it is written here: far shorter than those of supervision.
fn length(number: &str, unit: &str) -> Option<Duration> {
    let scale = match unit {
        "us" => 1,
        "ms" => 1000,
        _ => return None,
    };
    let length = Duration::from_micros(number.parse::<u64>().ok()?.checked_mul(scale)?);
    (!length.is_zero() && length <= Wait::LONGEST).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Option<Duration> {
        let (number, unit) = number_and_unit(text);
        length(number, unit)
    }

    proptest! {
        #[test]
        fn a_time_to_look_is_read_as_written(micros in 1_u64..=100_000, space in " {0,2}") {
            let length = Duration::from_micros(micros);
            prop_assert_eq!(read(&format!("{micros}{space}us")), Some(length));
        }

        #[test]
        fn whatever_else_is_written_is_no_time_or_within_bounds(text in "[0-9]{0,22} {0,2}[a-z]{0,3}") {
            if let Some(length) = read(&text) {
                prop_assert!(length > Duration::ZERO && length <= Wait::LONGEST);
            }
        }
    }

    #[test]
    fn milliseconds_will_do_and_seconds_will_not() {
        assert_eq!(read("100 ms"), Some(Wait::LONGEST));
        for text in ["0 us", "101 ms", "1 s", "5", "us", "18446744073709551615 ms"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}

//! How a domain waits for messages: a word, or how long it looks before it sleeps.

use std::time::Duration;

use super::domain::nearest_of;
use super::error::Rule;
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

    /// The way that a text means.
    fn of(text: &str) -> Option<Self> {
        let word = Self::WORDS.iter().find(|(word, _)| *word == text);
        word.map(|(_, way)| *way).or_else(|| length(text).map(Self::For))
    }
}

/// Reads the key `wait`.
pub(super) fn wait(table: &Table<'_>, problems: &mut Problems) -> Wait {
    let Some(text) = table.text("wait", problems) else { return Wait::default() };
    Wait::of(text.value).unwrap_or_else(|| {
        let value = printable(text.value);
        let is_time = text.value.trim_start().starts_with(|first: char| first.is_ascii_digit());
        let rule = if is_time {
            Rule::WaitTime { value }
        } else {
            Rule::Wait { value, nearest: nearest_of(text.value, &Wait::WORDS) }
        };
        problems.at(&text.span, rule);
        Wait::default()
    })
}

/// A length of time as it is written here: far shorter than those of supervision.
fn length(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let scale = match unit.trim() {
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

    proptest! {
        #[test]
        fn a_time_to_look_is_read_as_written(micros in 1_u64..=100_000, space in " {0,2}") {
            let length = Duration::from_micros(micros);
            prop_assert_eq!(Wait::of(&format!("{micros}{space}us")), Some(Wait::For(length)));
        }

        #[test]
        fn whatever_else_is_written_is_no_way_or_within_bounds(text in "[0-9]{0,22} {0,2}[a-z]{0,3}") {
            if let Some(Wait::For(length)) = Wait::of(&text) {
                prop_assert!(length > Duration::ZERO && length <= Wait::LONGEST);
            }
        }
    }

    #[test]
    fn milliseconds_will_do_and_seconds_will_not() {
        assert_eq!(Wait::of("100 ms"), Some(Wait::For(Wait::LONGEST)));
        for text in ["0 us", "101 ms", "1 s", "5", "us", "18446744073709551615 ms"] {
            assert_eq!(Wait::of(text), None, "{text}");
        }
    }
}

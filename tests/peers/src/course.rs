//! Owns the course of a round: what messages are numbered with, and how both sides know when to
//! begin measuring and when to end.
//!
//! Each message carries a *word*: its number, from one up, so that no message can be lost, doubled
//! or overtaken unseen. Two marks ride on it. The side that sends looks at the clock and puts them
//! there; the side that receives has to compare one word for each message and nothing else.

use std::time::Instant;

use anyhow::{Result, bail, ensure};

use crate::budget::Budget;
use crate::clock;
use crate::wire::Outcome;

/// On the message from which on it is measured.
pub const MEASURED: u64 = 1 << 62;
/// On the last message of a round.
pub const LAST: u64 = 1 << 63;

/// Bytes that go by between two looks at the clock, so that they cost nothing to speak of.
const BYTES_BETWEEN_LOOKS: usize = 16 * 1024;
/// Messages that go by between two looks at most: slow ones must end in time too.
const MESSAGES_BETWEEN_LOOKS: usize = 256;

/// The words to send, in their order.
#[derive(Debug)]
pub struct Source {
    sent: u64,
    stride: usize,
    until_look: usize,
    phase: Phase,
    budget: Budget,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Unbegun,
    WarmingUp { until: u64 },
    Measuring { until: u64 },
    Over,
}

impl Source {
    /// Words of a round of messages of some size. Its time starts with the first.
    pub fn new(budget: Budget, size: usize) -> Self {
        let stride = (BYTES_BETWEEN_LOOKS / size.max(1)).clamp(1, MESSAGES_BETWEEN_LOOKS);
        clock::ticks_per_nanosecond();
        Self { sent: 0, stride, until_look: 1, phase: Phase::Unbegun, budget }
    }

    #[cold]
    fn look(&mut self) -> Option<u64> {
        self.until_look = self.stride;
        let now = clock::ticks();
        match self.phase {
            Phase::Unbegun => {
                let until = now + clock::ticks_in(self.budget.warm_up);
                self.phase = Phase::WarmingUp { until };
                Some(0)
            }
            Phase::WarmingUp { until } if now >= until => {
                let until = now + clock::ticks_in(self.budget.measured);
                self.phase = Phase::Measuring { until };
                Some(MEASURED)
            }
            Phase::Measuring { until } if now >= until => {
                self.phase = Phase::Over;
                Some(LAST)
            }
            Phase::WarmingUp { .. } | Phase::Measuring { .. } => Some(0),
            Phase::Over => {
                // The next look, and the one after it, finds nothing either.
                self.until_look = 1;
                None
            }
        }
    }
}

impl Iterator for Source {
    type Item = u64;

    #[inline]
    fn next(&mut self) -> Option<u64> {
        self.until_look -= 1;
        let mark = if self.until_look == 0 { self.look()? } else { 0 };
        if mark == LAST {
            // The next look ends it.
            self.until_look = 1;
        }
        self.sent += 1;
        Some(self.sent | mark)
    }
}

/// Where the words arrive: it checks and counts them.
#[derive(Debug, Default)]
pub struct Sink {
    received: u64,
    begun: Option<(Instant, u64)>,
}

/// What follows from a word that arrived.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrived {
    /// More are to come.
    More,
    /// It was the last; so many messages went through in a second.
    Last(f64),
}

impl Sink {
    /// Nothing has arrived yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next word.
    #[inline]
    pub fn take(&mut self, word: u64) -> Result<Arrived> {
        self.received += 1;
        if word == self.received { Ok(Arrived::More) } else { self.take_marked(word) }
    }

    #[cold]
    fn take_marked(&mut self, word: u64) -> Result<Arrived> {
        let number = word & !(MEASURED | LAST);
        ensure!(
            number == self.received,
            "message {number} came where message {} was due: one was lost, doubled or damaged",
            self.received
        );
        if word & MEASURED != 0 {
            self.begun = Some((Instant::now(), number));
        }
        if word & LAST == 0 {
            return Ok(Arrived::More);
        }
        let Some((begun, first)) = self.begun else {
            bail!("the last message came before the one from which on to measure");
        };
        Ok(Arrived::Last((number - first) as f64 / begun.elapsed().as_secs_f64()))
    }
}

impl Arrived {
    /// The outcome of a round that is over.
    pub fn outcome(self) -> Option<Outcome> {
        match self {
            Arrived::More => None,
            Arrived::Last(rate) => Some(Outcome::Rate(rate)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Vec<u64> {
        Source::new(Budget::of_milliseconds(2), 64).collect()
    }

    #[test]
    fn a_source_that_is_over_stays_so() {
        let mut source = Source::new(Budget::of_milliseconds(1), 1 << 20);
        while source.next().is_some() {}
        assert!((0..1000).all(|_| source.next().is_none()));
    }

    #[test]
    fn a_source_numbers_from_one_and_marks_each_phase_once() {
        let words = words();
        for (index, word) in words.iter().enumerate() {
            assert_eq!(word & !(MEASURED | LAST), index as u64 + 1);
        }
        assert_eq!(words.iter().filter(|&word| word & MEASURED != 0).count(), 1);
        assert_eq!(words.iter().filter(|&word| word & LAST != 0).count(), 1);
        assert_ne!(words.last().copied().unwrap_or_default() & LAST, 0);
    }

    #[test]
    fn a_sink_takes_a_whole_round() {
        let mut sink = Sink::new();
        let mut last = Arrived::More;
        for word in words() {
            assert_eq!(last, Arrived::More);
            last = sink.take(word).expect("it is in order");
        }
        assert!(matches!(last, Arrived::Last(rate) if rate > 0.0), "{last:?}");
    }

    #[test]
    fn a_sink_rejects_a_lost_a_doubled_and_a_damaged_message() {
        for wrong in [4, 2, 0, 3 | (1 << 40)] {
            let mut sink = Sink::new();
            assert!(sink.take(1).is_ok() && sink.take(2).is_ok());
            let error = sink.take(wrong).expect_err("three is due").to_string();
            assert!(error.contains("where message 3 was due"), "{error}");
        }
    }

    #[test]
    fn a_sink_rejects_an_end_without_a_beginning() {
        let mut sink = Sink::new();
        assert!(sink.take(1 | LAST).is_err());
    }
}

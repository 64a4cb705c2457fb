//! Clients that know what each reply must be.

use std::time::{Duration, Instant};

use crate::domain::Random;
use crate::journal::now_micros;

/// How long a client waits for its replies: four times as long as a watchdog does.
pub const PATIENCE: Duration = Duration::from_millis(400);

/// What a reply is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is what it must be.
    Good,
    /// What was stored is not there: right if the server began anew meanwhile, wrong if not.
    Forgotten,
    /// It is an error, or there was none in time: a definite outcome. In words.
    Failed(String),
    /// It claims to be right, and is not.
    Wrong(String),
}

/// A reply, or what came instead.
#[derive(Clone, Debug)]
pub struct Reply {
    /// What it is worth.
    pub verdict: Verdict,
    /// When its request was made, in microseconds since 1970.
    pub asked: u64,
    /// When it was there.
    pub answered: u64,
    /// The incarnation that gave it, if the client can know.
    pub epoch: Option<u32>,
}

impl Reply {
    /// What came just now.
    pub fn now(verdict: Verdict, asked: u64, epoch: Option<u32>) -> Self {
        Self { verdict, asked, answered: now_micros(), epoch }
    }
}

/// A client of one server.
pub trait Client: Send {
    /// Makes some requests, and waits for the replies until `deadline`. After the first that came
    /// to nothing, there may be no others.
    fn burst(&mut self, deadline: Instant) -> Vec<Reply>;
}

impl<C: Client + ?Sized> Client for Box<C> {
    fn burst(&mut self, deadline: Instant) -> Vec<Reply> {
        (**self).burst(deadline)
    }
}

/// What request `number` says: bytes that no other request has, of a length of its own.
pub fn payload(number: u64, longest: usize) -> Vec<u8> {
    let mut random = Random::new(number);
    let length = 16 + random.below(longest as u64 - 16) as usize;
    let mut bytes = number.to_le_bytes().to_vec();
    while bytes.len() < length {
        bytes.extend_from_slice(&random.draw().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// The difference between what came and what should have, in a line.
pub fn difference(came: &[u8], expected: &[u8]) -> String {
    if came.len() != expected.len() {
        return format!("{} bytes instead of {}", came.len(), expected.len());
    }
    let wrong: Vec<_> = (0..came.len()).filter(|&at| came[at] != expected[at]).collect();
    match wrong.first() {
        Some(&at) => format!(
            "{} of {} bytes differ, the first at {at}: {:#04x} instead of {:#04x}",
            wrong.len(),
            came.len(),
            came[at],
            expected[at]
        ),
        None => "nothing".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_requests_say_the_same() {
        let all: std::collections::HashSet<_> = (0..2000).map(|n| payload(n, 1000)).collect();
        assert_eq!(all.len(), 2000);
        assert!(all.iter().all(|bytes| (16..1000).contains(&bytes.len())));
        assert_eq!(payload(5, 1000), payload(5, 1000));
    }

    #[test]
    fn a_difference_is_told_with_its_place() {
        assert_eq!(difference(b"ab", b"abc"), "2 bytes instead of 3");
        assert_eq!(
            difference(b"axcy", b"abcd"),
            "2 of 4 bytes differ, the first at 1: 0x78 instead of 0x62"
        );
    }
}

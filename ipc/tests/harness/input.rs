//! Bytes as a stream of decisions.

use atoll_ipc::ring::key;

/// What is left of the bytes.
#[derive(Debug)]
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next byte; `None` when all are used up.
    pub fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    /// A small number.
    pub fn small(&mut self) -> Option<usize> {
        self.byte().map(usize::from)
    }

    /// Any number, and those that mean something more often than others: positions in a small
    /// ring, and numbers close to either end of what a word holds.
    pub fn value(&mut self) -> Option<u64> {
        let kind = self.byte()?;
        let small = u64::from(self.byte()?);
        Some(match kind % 4 {
            0 => small,
            1 => small * 16,
            2 => !small,
            _ => {
                let (low, rest) = self.0.split_first_chunk::<7>()?;
                self.0 = rest;
                low.iter().fold(small, |value, &byte| value << 8 | u64::from(byte))
            }
        })
    }
}

/// A secret that nobody who chooses the bytes can foresee, as the nucleus draws one at random: a
/// fuzzer that watches comparisons finds the keys of a constant one, and writes them down before
/// they count.
pub fn unforeseen(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0x5eed, |digest, &byte| key(digest ^ u64::from(byte), 0))
}

//! Owns a side's own copy of a message of any size.

use std::ops::{Deref, DerefMut};

use anyhow::{Result, ensure};

/// Bytes of a word.
const WORD: usize = size_of::<u64>();

/// A buffer that messages are copied from or to. It carries its word at its beginning and
/// again at its end, which are one for the shortest, so that a message which arrives in part is
/// found out.
#[derive(Debug)]
pub struct Payload(Vec<u8>);

impl Payload {
    /// A payload of some size, with room for one word or for two.
    pub fn new(size: usize) -> Result<Self> {
        ensure!(
            size == WORD || size >= 2 * WORD,
            "a payload of {size} B has no room for its number at both ends: take {WORD} B, or {} B \
             and more",
            2 * WORD
        );
        // Not zeroes: copying must not be able to tell that there is nothing to copy.
        Ok(Self(vec![0x5a; size]))
    }

    /// Writes a word into it.
    #[inline]
    pub fn stamp(&mut self, word: u64) {
        let bytes = word.to_le_bytes();
        let end = self.0.len() - WORD;
        self.0[end..].copy_from_slice(&bytes);
        self.0[..WORD].copy_from_slice(&bytes);
    }

    /// The word in it, once it is known to be whole.
    #[inline]
    pub fn word(&self) -> Result<u64> {
        whole_word(&self.0)
    }
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Payload {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

/// The word of a message, once its two ends are known to be of one message.
#[inline]
pub fn whole_word(message: &[u8]) -> Result<u64> {
    let (first, last) = (first_word(message)?, message.last_chunk::<WORD>());
    ensure!(
        last.copied().map(u64::from_le_bytes) == Some(first),
        "message {first:#x} ends as another one: it arrived in part"
    );
    Ok(first)
}

/// The word at the beginning of a message; its end is not looked at.
#[inline]
pub fn first_word(message: &[u8]) -> Result<u64> {
    let Some(bytes) = message.first_chunk::<WORD>() else {
        anyhow::bail!("a message of {} B came, shorter than its number", message.len());
    };
    Ok(u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_comes_back() {
        for size in [8, 16, 17, 64, 4096] {
            let mut payload = Payload::new(size).expect("there is room");
            payload.stamp(u64::MAX - 5);
            assert_eq!(payload.word().ok(), Some(u64::MAX - 5), "{size}");
        }
    }

    #[test]
    fn half_a_message_and_less_than_a_word_are_found_out() {
        let mut payload = Payload::new(64).expect("there is room");
        payload.stamp(7);
        payload[63] = 1;
        assert!(payload.word().is_err());
        assert!(whole_word(&payload[..4]).is_err());
        assert!(Payload::new(4).is_err() && Payload::new(12).is_err());
    }
}

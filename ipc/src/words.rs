//! Bytes in and out of shared memory, word by word.
//!
//! The other side may change shared memory at any instant, and may be hostile. Rust has no
//! meaning for a plain access that races with a write, so all shared bytes are read and written
//! as relaxed atomic words: each word is read exactly once, whatever it holds. On x86 these
//! compile to ordinary moves.

use crate::sync::{AtomicU64, Ordering::Relaxed};

/// Bytes in one word.
pub const WORD: usize = 8;

/// Copies `bytes` to the start of `words`; the rest of a last, partial word becomes zero.
///
/// # Panics
/// If `words` is too short.
pub fn write(words: &[AtomicU64], bytes: &[u8]) {
    let (whole, rest) = bytes.as_chunks::<WORD>();
    for (word, chunk) in words[..whole.len()].iter().zip(whole) {
        word.store(u64::from_le_bytes(*chunk), Relaxed);
    }
    if !rest.is_empty() {
        let mut last = [0; WORD];
        last[..rest.len()].copy_from_slice(rest);
        words[whole.len()].store(u64::from_le_bytes(last), Relaxed);
    }
}

/// Fills `bytes` from the start of `words`.
///
/// # Panics
/// If `words` is too short.
pub fn read(words: &[AtomicU64], bytes: &mut [u8]) {
    let (whole, rest) = bytes.as_chunks_mut::<WORD>();
    for (word, chunk) in words[..whole.len()].iter().zip(whole.iter_mut()) {
        *chunk = word.load(Relaxed).to_le_bytes();
    }
    if !rest.is_empty() {
        let last = words[whole.len()].load(Relaxed).to_le_bytes();
        rest.copy_from_slice(&last[..rest.len()]);
    }
}

#[cfg(test)]
mod tests;

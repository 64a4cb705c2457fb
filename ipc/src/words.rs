//! Bytes in and out of shared memory.
//!
//! The other side may change shared memory at any instant, and may be hostile. Rust has no
//! meaning for a plain access that races with a write, so short copies read and write relaxed
//! atomic words, which on x86 compile to ordinary moves. Long ones are made by instructions that
//! the compiler does not look into (`bulk`). Either way each byte is read exactly once, and
//! what it holds is believed by nobody.

use crate::sync::{AtomicU64, Ordering::Relaxed};

#[cfg(all(target_arch = "x86_64", not(loom), not(miri)))]
mod bulk;

/// Bytes in one word.
pub const WORD: usize = 8;

/// Copies `bytes` to the start of `words`; the rest of a last, partial word becomes zero.
///
/// # Panics
/// If `words` is too short.
#[inline]
pub fn write(words: &[AtomicU64], bytes: &[u8]) {
    let words = &words[..bytes.len().div_ceil(WORD)];
    #[cfg(all(target_arch = "x86_64", not(loom), not(miri)))]
    let (words, bytes) = bulk::write(words, bytes);
    let (whole, rest) = bytes.as_chunks::<WORD>();
    for (word, chunk) in words.iter().zip(whole) {
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
#[inline]
pub fn read(words: &[AtomicU64], bytes: &mut [u8]) {
    let words = &words[..bytes.len().div_ceil(WORD)];
    #[cfg(all(target_arch = "x86_64", not(loom), not(miri)))]
    let (words, bytes) = bulk::read(words, bytes);
    let (whole, rest) = bytes.as_chunks_mut::<WORD>();
    for (word, chunk) in words.iter().zip(whole.iter_mut()) {
        *chunk = word.load(Relaxed).to_le_bytes();
    }
    if !rest.is_empty() {
        let last = words[whole.len()].load(Relaxed).to_le_bytes();
        rest.copy_from_slice(&last[..rest.len()]);
    }
}

#[cfg(test)]
mod tests;

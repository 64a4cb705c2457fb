//! The memory that state lies in, as words: a region in a guest, or one in a test that dies.

use crate::sync::{AtomicU64, Ordering::Relaxed, full_fence};
use crate::words::{self, WORD};

/// Memory in words. Offsets are in bytes, and multiples of eight.
///
/// # Panics
/// All of it panics on what is outside.
pub trait Memory {
    /// Bytes.
    fn size(&self) -> usize;

    /// One word.
    fn load(&self, at: usize) -> u64;

    /// One word, after all that was stored before, and before all that will be.
    fn store(&self, at: usize, word: u64);

    /// Fills `bytes` from an offset on.
    fn read(&self, at: usize, bytes: &mut [u8]);

    /// Stores `bytes` from an offset on, in any order; the rest of a last, partial word becomes
    /// zero.
    fn write(&self, at: usize, bytes: &[u8]);
}

impl Memory for [AtomicU64] {
    fn size(&self) -> usize {
        size_of_val(self)
    }

    #[inline]
    fn load(&self, at: usize) -> u64 {
        self[at / WORD].load(Relaxed)
    }

    #[inline]
    fn store(&self, at: usize, word: u64) {
        full_fence();
        self[at / WORD].store(word, Relaxed);
        full_fence();
    }

    fn read(&self, at: usize, bytes: &mut [u8]) {
        words::read(&self[at / WORD..], bytes);
    }

    fn write(&self, at: usize, bytes: &[u8]) {
        words::write(&self[at / WORD..], bytes);
    }
}

impl<M: Memory + ?Sized> Memory for &M {
    fn size(&self) -> usize {
        (**self).size()
    }

    #[inline]
    fn load(&self, at: usize) -> u64 {
        (**self).load(at)
    }

    #[inline]
    fn store(&self, at: usize, word: u64) {
        (**self).store(at, word);
    }

    fn read(&self, at: usize, bytes: &mut [u8]) {
        (**self).read(at, bytes);
    }

    fn write(&self, at: usize, bytes: &[u8]) {
        (**self).write(at, bytes);
    }
}

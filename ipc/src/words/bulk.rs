//! Long copies, by instructions that move more than a word at a time.
//!
//! An assembly block may race where Rust code may not: the compiler assumes nothing of the shared
//! bytes that it touches. What these blocks do is what a loop of relaxed atomic byte accesses
//! would do, in an unspecified order, which is all that the callers count on.

use core::arch::asm;

use super::WORD;
use crate::sync::AtomicU64;

/// Bytes that one round moves. Below it, words are as fast.
///
/// The processor's own string moves would be faster between caches that are warm, but up to
/// fifteen times slower where the two places lie unluckily within their pages.
const ROUND: usize = 64;

/// Copies as many whole rounds as there are to the start of `words`; returns what is left.
#[inline]
pub(super) fn write<'w, 'b>(
    words: &'w [AtomicU64],
    bytes: &'b [u8],
) -> (&'w [AtomicU64], &'b [u8]) {
    let length = bytes.len() / ROUND * ROUND;
    if length == 0 {
        return (words, bytes);
    }
    let (to, words) = words.split_at(length / WORD);
    let (from, bytes) = bytes.split_at(length);
    // SAFETY: both hold `length` bytes, a multiple of ROUND that is not 0; atomic words may be
    // written through a shared reference.
    unsafe { copy(to.as_ptr() as *mut u8, from.as_ptr(), length) };
    (words, bytes)
}

/// Fills as many whole rounds as there are from the start of `words`; returns what is left.
#[inline]
pub(super) fn read<'w, 'b>(
    words: &'w [AtomicU64],
    bytes: &'b mut [u8],
) -> (&'w [AtomicU64], &'b mut [u8]) {
    let length = bytes.len() / ROUND * ROUND;
    if length == 0 {
        return (words, bytes);
    }
    let (from, words) = words.split_at(length / WORD);
    let (to, bytes) = bytes.split_at_mut(length);
    // SAFETY: as in `write`; `to` is ours alone.
    unsafe { copy(to.as_mut_ptr(), from.as_ptr().cast(), length) };
    (words, bytes)
}

/// # Safety
/// `length`, a multiple of [`ROUND`] and not 0, bytes must be readable at `from` and writable at
/// `to`, and the two must not overlap. Of the two, what is not shared memory must not be accessed
/// by anybody else meanwhile.
#[inline]
unsafe fn copy(to: *mut u8, from: *const u8, length: usize) {
    // SAFETY: copies `length` bytes in rounds, nothing else; what it changes is declared.
    unsafe {
        asm!(
            "2:",
            "movups {a}, [{from}]",
            "movups {b}, [{from} + 16]",
            "movups {c}, [{from} + 32]",
            "movups {d}, [{from} + 48]",
            "movups [{to}], {a}",
            "movups [{to} + 16], {b}",
            "movups [{to} + 32], {c}",
            "movups [{to} + 48], {d}",
            "add {from}, 64",
            "add {to}, 64",
            "sub {length}, 64",
            "jnz 2b",
            from = inout(reg) from => _,
            to = inout(reg) to => _,
            length = inout(reg) length => _,
            a = out(xmm_reg) _,
            b = out(xmm_reg) _,
            c = out(xmm_reg) _,
            d = out(xmm_reg) _,
            options(nostack)
        );
    }
}

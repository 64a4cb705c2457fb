//! A detour for buffers that lie where the host's disk cannot reach them without the page cache.
//!
//! Buffers that are lent in whole blocks begin at multiples of the block, so an honest domain never
//! comes here: one that lends a buffer of another length in between does.

use std::io;

use atoll_ipc::sync::AtomicU64;
use atoll_ipc::sync::Ordering::Relaxed;

/// Words that go at once: 128 KiB, of which a disk is no slower than of more.
const WORDS: usize = 16 << 10;

#[repr(C, align(4096))]
#[derive(Debug)]
struct Aligned([AtomicU64; WORDS]);

/// Where such bytes stop over.
#[derive(Debug)]
pub(super) struct Bounce {
    /// What addresses must be multiples of.
    align: usize,
    /// There once it was needed.
    memory: Option<Box<Aligned>>,
}

impl Bounce {
    pub(super) const fn new(align: usize) -> Self {
        Self { align, memory: None }
    }

    /// Whether this memory must take the detour.
    pub(super) fn is_needed(&self, memory: &[AtomicU64]) -> bool {
        !memory.as_ptr().addr().is_multiple_of(self.align)
    }

    /// Has `read` fill the detour, and copies to `memory` what it has read.
    pub(super) fn fill(
        &mut self,
        memory: &[AtomicU64],
        read: impl FnOnce(&[AtomicU64]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let detour = &self.memory()[..memory.len().min(WORDS)];
        let count = read(detour)?;
        copy(detour, memory, count);
        Ok(count)
    }

    /// Copies the beginning of `memory` to the detour, and has `write` write that.
    pub(super) fn drain(
        &mut self,
        memory: &[AtomicU64],
        write: impl FnOnce(&[AtomicU64]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let detour = &self.memory()[..memory.len().min(WORDS)];
        copy(memory, detour, size_of_val(detour));
        write(detour)
    }

    fn memory(&mut self) -> &[AtomicU64; WORDS] {
        let fresh = || Box::new(Aligned([const { AtomicU64::new(0) }; WORDS]));
        &self.memory.get_or_insert_with(fresh).0
    }
}

fn copy(from: &[AtomicU64], to: &[AtomicU64], bytes: usize) {
    for (from, to) in from.iter().zip(to).take(bytes / size_of::<u64>()) {
        to.store(from.load(Relaxed), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(of: impl Iterator<Item = u64>) -> Vec<AtomicU64> {
        of.map(AtomicU64::new).collect()
    }

    #[test]
    fn bytes_survive_the_detour_piece_by_piece() {
        let mut bounce = Bounce::new(512);
        let from = words(0..WORDS as u64 + 64);
        let mut seen = Vec::new();
        let mut left = &from[..];
        while !left.is_empty() {
            let count = bounce.drain(left, |memory| {
                assert!(memory.as_ptr().addr().is_multiple_of(4096));
                seen.extend(memory.iter().map(|word| word.load(Relaxed)));
                Ok(size_of_val(memory))
            });
            left = &left[count.unwrap() / 8..];
        }
        assert!(seen.iter().copied().eq(0..from.len() as u64));
    }

    #[test]
    fn only_what_was_read_is_copied() {
        let mut bounce = Bounce::new(512);
        let to = words([7; 128].into_iter());
        let read = |memory: &[AtomicU64]| {
            memory.iter().for_each(|word| word.store(1, Relaxed));
            Ok(512)
        };
        assert_eq!(bounce.fill(&to, read).unwrap(), 512);
        assert!(to[..64].iter().all(|word| word.load(Relaxed) == 1));
        assert!(to[64..].iter().all(|word| word.load(Relaxed) == 7));
        assert!(bounce.fill(&to, |_| Err(io::ErrorKind::Other.into())).is_err());
    }

    #[test]
    fn it_is_needed_where_addresses_do_not_suit() {
        let aligned = Aligned([const { AtomicU64::new(0) }; WORDS]);
        assert!(!Bounce::new(512).is_needed(&aligned.0[64..]));
        assert!(Bounce::new(512).is_needed(&aligned.0[8..]));
        assert!(!Bounce::new(1).is_needed(&aligned.0[1..]));
    }
}

//! A pool of buffers, lent with messages.
//!
//! What is too long for a ring, or is to be handed over without a copy, lies in the channel's
//! pool; the record carries an [`Item::Lent`] that says where. **A buffer belongs to its record**:
//! it is the consumer's from the moment the record is taken, and the producer's again when the
//! record is released. So a buffer needs no protocol of its own, and the death of either side
//! settles the fate of buffers together with that of messages.
//!
//! Each direction of a channel has a pool of its own, which its producer alone manages: this is
//! the book that it keeps, in private memory. Buffers are given out in order, like records; the
//! pool is used from its start again whenever nothing is lent, which keeps it in the caches.
//!
//! Neither side can take a buffer away from the other: both have the memory mapped, always. What
//! ownership gives is that an honest peer leaves it alone; a reader treats it as hostile.

use crate::record::Item;
use crate::ring::RingError;
use crate::sync::AtomicU64;
use crate::words::{self, WORD};

/// Most buffers of one direction that are lent at a time.
pub const LENT_MAX: usize = 64;
/// Buffers begin at multiples of this many bytes.
const ALIGN: u64 = 64;

/// What the consumer has released costs a cache miss to learn: it is asked once this many bytes, or
/// this many buffers, are out.
const SOFT: u64 = 128 << 10;
const MANY: u64 = 8;

/// Longest buffer of a pool: half of it, so that it fits wherever the last one ended.
pub const fn max_lent(pool: usize) -> usize {
    pool / 2
}

/// A buffer that its producer fills, before it is sent with a message.
///
/// It must be sent or given back ([`Lender::give_back`]).
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a buffer that is neither sent nor given back is lost until the peer restarts"]
pub struct Loan {
    entry: u64,
    offset: u64,
    length: u32,
}

impl Loan {
    /// Its bytes.
    #[expect(clippy::len_without_is_empty, reason = "nobody borrows nothing")]
    pub const fn len(&self) -> usize {
        self.length as usize
    }

    pub(crate) const fn item(&self) -> Item {
        Item::Lent { offset: self.offset, length: self.length }
    }

    pub(crate) const fn span(&self) -> Span {
        Span { offset: self.offset as u32, length: self.length }
    }
}

/// Where a buffer lies in its pool; checked against the pool's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// A pool is far smaller than 4 GiB.
    offset: u32,
    length: u32,
}

impl Span {
    /// Where a received item says that it lies; `None` if that is not within the pool.
    pub(crate) fn of(item: Item, pool: &[AtomicU64]) -> Option<Self> {
        let Item::Lent { offset, length } = item;
        let end = offset.checked_add(length.into())?;
        let fits = end <= size_of_val(pool) as u64 && offset.is_multiple_of(ALIGN);
        fits.then_some(Self { offset: offset as u32, length })
    }

    /// Its bytes.
    pub const fn len(self) -> usize {
        self.length as usize
    }

    /// Whether it has none.
    pub const fn is_empty(self) -> bool {
        self.length == 0
    }

    /// Fills `bytes` from the buffer, from `offset` on.
    ///
    /// # Panics
    /// If it asks for more than the buffer, or `offset` is not a multiple of 8.
    pub(crate) fn read(self, pool: &[AtomicU64], offset: usize, bytes: &mut [u8]) {
        words::read(&pool[self.word(offset, bytes.len())..], bytes);
    }

    /// Writes a part of the buffer.
    ///
    /// # Panics
    /// If it reaches beyond the buffer, or `offset` is not a multiple of 8.
    pub(crate) fn write(self, pool: &[AtomicU64], offset: usize, bytes: &[u8]) {
        words::write(&pool[self.word(offset, bytes.len())..], bytes);
    }

    /// The whole words of the buffer, for whoever hands them to somebody else to fill or to read.
    pub(crate) fn words(self, pool: &[AtomicU64]) -> &[AtomicU64] {
        let first = self.offset as usize / WORD;
        &pool[first..first + self.len() / WORD]
    }

    fn word(self, offset: usize, length: usize) -> usize {
        assert!(offset.is_multiple_of(WORD) && offset + length <= self.len());
        (self.offset as usize + offset) / WORD
    }
}

/// What has become of a buffer that was given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Its producer fills it.
    Filling,
    /// It went out with the record that ends there.
    Sent { record_end: u64 },
    /// It was given back.
    Free,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Where its place in the pool ends, with what was left out before it.
    end: u64,
    state: State,
}

/// The book that a producer keeps of its pool.
#[derive(Debug)]
pub struct Lender {
    bytes: u64,
    /// Where the next buffer goes, and where the oldest that is out begins; both count on from the
    /// last time that nothing was out, and are taken modulo the pool's size.
    tail: u64,
    head: u64,
    /// The oldest entry that is out and the next one; both only grow.
    oldest: u64,
    next: u64,
    entries: [Entry; LENT_MAX],
}

impl Lender {
    /// A book about a pool of which nothing is lent.
    pub const fn new(bytes: usize) -> Self {
        let entries = [Entry { end: 0, state: State::Free }; LENT_MAX];
        Self { bytes: bytes as u64, tail: 0, head: 0, oldest: 0, next: 0, entries }
    }

    /// Forgets all loans: for a new generation of the ring.
    pub const fn restart(&mut self) {
        (self.tail, self.head, self.oldest) = (0, 0, self.next);
    }

    /// Longest buffer that it can lend.
    pub const fn longest(&self) -> usize {
        max_lent(self.bytes as usize)
    }

    /// Whether a buffer of `length` bytes fits when nothing else is lent.
    pub(crate) const fn can_hold(&self, length: usize) -> bool {
        self.bytes > 0 && length <= self.longest()
    }

    /// A buffer of `length` bytes. `released` says how far the ring's consumer has released.
    ///
    /// # Errors
    /// [`RingError::TooLarge`] if the pool could never hold it, [`RingError::Full`] if it cannot
    /// now.
    pub fn lend(
        &mut self,
        length: usize,
        released: impl FnOnce() -> Result<u64, RingError>,
    ) -> Result<Loan, RingError> {
        if !self.can_hold(length) {
            return Err(RingError::TooLarge);
        }
        let place = (length.max(1) as u64).next_multiple_of(ALIGN);
        if !self.fits(place) || self.tail - self.head > SOFT || self.next - self.oldest > MANY {
            self.take_back(released()?);
        }
        if !self.fits(place) {
            return Err(RingError::Full);
        }
        let offset = (self.tail + self.skip(place)) % self.bytes;
        self.tail += self.skip(place) + place;
        let entry = self.next;
        self.entries[Self::place(entry)] = Entry { end: self.tail, state: State::Filling };
        self.next += 1;
        Ok(Loan { entry, offset, length: length as u32 })
    }

    /// The loan went out with the record that ends there.
    pub(crate) fn sent(&mut self, loan: Loan, record_end: u64) {
        self.set(loan.entry, State::Sent { record_end });
    }

    /// The loan was not sent after all.
    pub fn give_back(&mut self, loan: Loan) {
        self.set(loan.entry, State::Free);
    }

    fn set(&mut self, entry: u64, state: State) {
        // One of before a restart is nobody's any more.
        if self.oldest <= entry && entry < self.next {
            self.entries[Self::place(entry)].state = state;
        }
    }

    fn take_back(&mut self, released: u64) {
        while self.oldest != self.next {
            let entry = self.entries[Self::place(self.oldest)];
            match entry.state {
                State::Filling => return,
                State::Sent { record_end } if record_end > released => return,
                State::Sent { .. } | State::Free => (),
            }
            self.head = entry.end;
            self.oldest += 1;
        }
        (self.tail, self.head) = (0, 0);
    }

    fn fits(&self, place: u64) -> bool {
        let out = self.next - self.oldest;
        out < LENT_MAX as u64 && self.tail + self.skip(place) + place - self.head <= self.bytes
    }

    /// Bytes left out so that a buffer lies in one piece.
    fn skip(&self, place: u64) -> u64 {
        let left = self.bytes - self.tail % self.bytes;
        if place > left { left } else { 0 }
    }

    const fn place(entry: u64) -> usize {
        entry as usize % LENT_MAX
    }
}

#[cfg(test)]
mod tests;

//! The reading end: records that are looked at, taken, and released.

mod left;

use core::cell::Cell;

use super::{Memory, RingError, Writer, claim, declare, key, max_payload, reply_tag};
use crate::geometry::Geometry;
use crate::record::{self, HEADER, Head, HeadBits, Item, Kind, LINE};
use crate::sync::{Ordering, full_fence};
use crate::words::{self, WORD};
use Ordering::{Acquire, Relaxed, Release};

pub(crate) use left::Place;

/// A record that the consumer has before it. Its payload stays in the ring and is read through
/// [`Consumer::read`]; the head was read once and checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it begins; names the record within its generation.
    pub position: u64,
    /// Its checked header.
    pub bits: HeadBits,
}

impl Record {
    /// Payload bytes.
    #[expect(clippy::len_without_is_empty, reason = "an empty record is still a record")]
    #[inline(always)]
    pub const fn len(&self) -> usize {
        self.bits.length()
    }

    /// Position just behind the record.
    #[inline(always)]
    pub const fn end(&self) -> u64 {
        self.position + self.bits.size() as u64
    }

    /// Its header, taken apart.
    ///
    /// # Panics
    /// Never, for a record that a consumer has shown: its kind is known.
    pub const fn head(&self) -> Head {
        match self.bits.head() {
            Some(head) => head,
            None => panic!("a record of no kind"),
        }
    }
}

/// The reading end.
#[derive(Debug)]
pub struct Consumer<M> {
    memory: M,
    pub(super) geometry: Geometry,
    pub(super) key: u64,
    generation: u32,
    /// Start of the next record to take.
    pub(super) cursor: u64,
    head: u64,
    /// Largest record that is no pad.
    largest: usize,
    /// Room was given since it was last asked whether to kick.
    pub(super) released: Cell<bool>,
}

impl<M: Memory> Consumer<M> {
    /// The reading end of a ring. `resume` is 0 at the start of a generation, and otherwise where
    /// the last incarnation stopped taking, as the nucleus found it.
    pub fn new(memory: M, secret: u64, generation: u32, resume: u64) -> Self {
        let geometry = Geometry::of(memory.data().len());
        let released = Cell::new(false);
        let largest = record::size(0, max_payload(geometry.bytes() as usize));
        let mut consumer =
            Self { memory, geometry, key: 0, generation, cursor: 0, head: 0, largest, released };
        consumer.restart(secret, generation, resume);
        consumer
    }

    /// A reading end that begins at `position` and tells nobody: its producer's own view. It must
    /// not take anything.
    pub(super) fn unseen(memory: M, (key, generation): (u64, u32), position: u64) -> Self {
        let geometry = Geometry::of(memory.data().len());
        let largest = record::size(0, max_payload(geometry.bytes() as usize));
        let (cursor, head, released) = (position, position, Cell::new(false));
        Self { memory, geometry, key, generation, cursor, head, largest, released }
    }

    /// Goes over to another generation, and acknowledges it.
    pub fn restart(&mut self, secret: u64, generation: u32, resume: u64) {
        self.key = key(secret, generation);
        self.generation = generation;
        (self.cursor, self.head) = (resume, resume);
        let line = &self.memory.control().consumer.0;
        line.head.store(resume, Relaxed);
        line.taken.store(resume, Relaxed);
        line.generation.store(generation, Release);
        self.released.set(true);
    }

    /// The generation it reads.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Most records that the ring holds at a time: who has taken as many without a pause has
    /// taken all that were there at first, and a producer that goes on meanwhile has to wait.
    pub(crate) fn most_records(&self) -> usize {
        self.geometry.bytes() as usize / record::ALIGN
    }

    /// Whether a record, or rubbish, waits at the cursor.
    #[inline(always)]
    pub fn is_ready(&self) -> bool {
        let at = self.geometry.offset(self.cursor) / WORD;
        self.memory.data()[at].load(Acquire) == self.cursor ^ self.key
    }

    /// The next record, if one is published. It is not taken yet.
    ///
    /// # Errors
    /// [`RingError::Protocol`] if its header is impossible.
    #[inline(always)]
    pub fn peek(&mut self) -> Result<Option<Record>, RingError> {
        // At most one pad precedes a record: a second would begin at the data's start, where
        // none is ever needed.
        for _ in 0..2 {
            if !self.is_ready() {
                return Ok(None);
            }
            let record = self.head_at_cursor()?;
            if !record.bits.is(Kind::Pad) {
                return Ok(Some(record));
            }
            self.skip_pad(&record)?;
        }
        Err(RingError::Protocol)
    }

    /// Takes the record: the next [`Consumer::peek`] shows its successor. Its bytes stay until
    /// they are released.
    #[inline(always)]
    pub fn take(&mut self, record: &Record) {
        debug_assert_eq!(record.position, self.cursor);
        self.cursor = record.end();
        self.memory.control().consumer.0.taken.store(self.cursor, Release);
    }

    /// Fills `bytes` from the payload of a record that is not released yet. The bytes are as
    /// hostile as their sender.
    ///
    /// # Panics
    /// If it asks for more than the payload, or `offset` is not a multiple of 8.
    #[inline(always)]
    pub fn read(&self, record: &Record, offset: usize, bytes: &mut [u8]) {
        assert!(offset.is_multiple_of(WORD) && offset + bytes.len() <= record.len());
        let at = self.geometry.offset(record.position) + record.bits.payload_at() + offset;
        let at = at / WORD;
        words::read(&self.memory.data()[at..], bytes);
    }

    /// Where the reply to an exchange, of so many bytes, is written: over its request.
    #[inline(always)]
    pub(crate) fn place_of(&self, record: &Record, payload: usize) -> Writer<'_> {
        let at = (self.geometry.offset(record.position) + HEADER) / WORD;
        Writer { words: &self.memory.data()[at..at + record::SHORT / WORD], payload }
    }

    /// Publishes the reply that was written over an exchange, which is in service.
    #[inline(always)]
    pub(crate) fn publish_over(&self, record: &Record, head: Head) {
        let at = self.geometry.offset(record.position) / WORD;
        let data = self.memory.data();
        data[at + 1].store(head.to_bits(), Relaxed);
        data[at].store(reply_tag(record.position, self.key), Release);
    }

    /// Gives everything before `position` back to the producer.
    ///
    /// # Panics
    /// In debug builds, if `position` goes backwards or beyond what was taken.
    #[inline(always)]
    pub fn release(&mut self, position: u64) {
        debug_assert!(position >= self.head && position <= self.cursor);
        self.head = position;
        self.memory.control().consumer.0.head.store(position, Release);
        self.released.set(true);
    }

    /// Whether room was given since the last time, and the producer had declared that it waits
    /// for it. The caller that gets `true` must kick it; nobody else will.
    #[must_use = "a producer that waits for room must be kicked"]
    #[inline]
    pub fn must_kick(&self) -> bool {
        if !self.released.take() {
            return false;
        }
        full_fence();
        self.wakes_producer()
    }

    #[inline]
    pub(super) fn wakes_producer(&self) -> bool {
        let control = self.memory.control();
        claim(&control.waiting.0.starved, &control.consumer.0.kicks)
    }

    /// Counts a record that it refused.
    pub(crate) fn count_rejected(&self) {
        self.memory.control().consumer.0.rejected.add_one();
    }

    /// Declares that it is about to sleep. The caller must look for records once more after
    /// this, and sleep only if there are none; then a producer that publishes will kick.
    pub fn declare_asleep(&self) {
        declare(&self.memory.control().waiting.0.asleep);
    }

    /// Takes the declaration back: no kick is needed.
    pub fn declare_awake(&self) {
        self.memory.control().waiting.0.asleep.store(0, Relaxed);
    }

    #[inline(always)]
    fn head_at_cursor(&self) -> Result<Record, RingError> {
        let at = self.geometry.offset(self.cursor) / WORD;
        let bits = HeadBits(self.memory.data()[at + 1].load(Relaxed));
        let to_end = self.geometry.to_end(self.cursor);
        let fits = if bits.is(Kind::Exchange) {
            // A full line, which the ring's end never cuts.
            let in_line = bits.length() <= record::SHORT && bits.items() == 0;
            in_line && self.cursor.is_multiple_of(LINE as u64)
        } else if bits.is(Kind::Call) || bits.is(Kind::Send) || bits.is(Kind::Reply) {
            bits.items() <= 1 && bits.size() <= self.largest.min(to_end)
        } else {
            // A pad alone may be longer than any payload.
            let longest = if bits.is(Kind::Pad) { to_end } else { self.largest.min(to_end) };
            let known = bits.is(Kind::Pad) || bits.is(Kind::Cancel);
            known && bits.items() == 0 && bits.size() <= longest
        };
        let record = Record { position: self.cursor, bits };
        if fits { Ok(record) } else { Err(RingError::Protocol) }
    }

    /// What a record hands over, read from the ring: to be asked once.
    ///
    /// # Errors
    /// [`RingError::Protocol`] if it is nothing that exists.
    #[inline(always)]
    pub fn item(&self, record: &Record) -> Result<Option<Item>, RingError> {
        if record.bits.items() == 0 { Ok(None) } else { self.item_of(record).map(Some) }
    }

    #[cold]
    fn item_of(&self, record: &Record) -> Result<Item, RingError> {
        let data = self.memory.data();
        let at = (self.geometry.offset(record.position) + HEADER) / WORD;
        let words = [data[at].load(Relaxed), data[at + 1].load(Relaxed)];
        Item::from_words(words).ok_or(RingError::Protocol)
    }

    fn skip_pad(&mut self, pad: &Record) -> Result<(), RingError> {
        let fills_the_end = pad.end() & (self.geometry.bytes() - 1) == 0;
        // Before an exchange, to the next line; that of a full line would be for nothing.
        let aligns = pad.end().is_multiple_of(LINE as u64) && pad.bits.size() < LINE;
        if !(fills_the_end || aligns) || self.geometry.offset(self.cursor) == 0 {
            return Err(RingError::Protocol);
        }
        // Pads need no service: if everything before is released, so is this one.
        let nothing_in_service = self.head == self.cursor;
        self.take(pad);
        if nothing_in_service {
            self.release(self.cursor);
        }
        Ok(())
    }
}

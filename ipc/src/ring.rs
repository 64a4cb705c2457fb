//! A ring: records of any length from one producer to one consumer, in shared memory.
//!
//! ```text
//!  control                                 data (a power of two bytes)
//!  ┌──────────┬──────────┬──────────┐      ┌────────┬──────────────┬─────┬───────────────┐
//!  │ producer │ consumer │ waiting  │      │ record │ record       │ ... │ pad           │
//!  │ tail     │ head     │ asleep   │      └────────┴──────────────┴─────┴───────────────┘
//!  │          │ taken    │ starved  │       ▲ head    ▲ taken (= the consumer's cursor)
//!  └──────────┴──────────┴──────────┘        (released)
//! ```
//!
//! *Positions* count bytes from the start of a generation and never wrap; the place in `data` is
//! the position modulo the ring's size. Records lie in one piece: where one does not fit before
//! the end, a pad record fills up.
//!
//! **Who writes what.** `tail` is the producer's, `head` and `taken` are the consumer's; each
//! side works from private copies and never reads its own words back. The producer reads `head`
//! only when the ring looks full, and checks it. The consumer needs nothing but the records. (Their
//! own copies in shared memory exist for the nucleus, which reads them when a side has died.)
//!
//! **Ordering.** A record is published by the release store of its tag and seen by an acquire
//! load of the same word (see [`crate::record`]), so all of it is visible with it. Space comes
//! back by the release store of `head`, read with acquire, so no byte is overwritten before its
//! last read.
//!
//! **Sleeping.** A consumer that wants to sleep stores `asleep`, fences, and looks once more; a
//! producer that has published fences, and looks at `asleep`. The two fences are sequentially
//! consistent, so at least one of them sees the other: no wake-up is lost. Whoever clears the
//! flag kicks, so a sleeper is kicked once. A producer that found the ring full waits in the same
//! way, with `starved`, for the consumer to release.
//!
//! **Two phases.** Taking a record (`taken`) and giving its space back (`head`) are two steps. A
//! request stays in the ring until it is answered; if the consumer dies, what lies between
//! `head` and `taken` was in service, and what follows was not yet read and is still there for
//! the next incarnation.
//!
//! **Generations.** When the *producer* dies, half of a record may be written. Its next
//! incarnation starts a new generation: another key, position 0. The consumer first drains what
//! was published in the old one, then acknowledges the new one; until then the producer finds
//! the ring full. So a survivor is never overwritten while it reads.

mod left;
mod unread;

use core::cell::Cell;

use crate::control::Count;
use crate::geometry::Geometry;
use crate::record::{self, HEADER, Head, HeadBits, ITEM, Item, Kind, LINE, Short};
use crate::sync::{AtomicU32, AtomicU64, Ordering, full_fence};
use crate::words::{self, WORD};
use Ordering::{Acquire, Relaxed, Release};

pub use crate::control::{Claims, Control, Counts};
pub use crate::geometry::MIN_WORDS;
pub(crate) use left::Place;

/// Where a ring lies. Implemented by guests (static addresses), the VMM (a mapping it keeps
/// alive) and tests (a box).
pub trait Memory {
    /// The shared words.
    fn control(&self) -> &Control;
    /// The data area; its length must be a power of two, at least [`MIN_WORDS`], and the same at
    /// every call.
    fn data(&self) -> &[AtomicU64];
}

impl<M: Memory> Memory for &M {
    fn control(&self) -> &Control {
        M::control(self)
    }

    fn data(&self) -> &[AtomicU64] {
        M::data(self)
    }
}

/// Why a ring operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingError {
    /// No room now; the consumer has to release first.
    Full,
    /// The record could never fit: its payload is longer than [`max_payload`].
    TooLarge,
    /// The other side wrote what no correct peer writes; this ring is unusable until its
    /// generation changes.
    Protocol,
}

/// Longest payload in a ring with a data area of `bytes`: a record may take up half of it, so
/// that it fits whatever pad it needs.
pub const fn max_payload(bytes: usize) -> usize {
    let half = bytes / 2 - HEADER;
    if half < record::LENGTH_MAX { half } else { record::LENGTH_MAX }
}

/// The key of one generation of one ring (SplitMix64: each input bit changes half of the output).
pub const fn key(secret: u64, generation: u32) -> u64 {
    let mut z = secret.wrapping_add((generation as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    // Fresh memory is zero: the tag at position 0 must not be.
    (z ^ (z >> 31)) | 1
}

/// What tells the reply to an exchange from its request: another tag, at the same place.
#[inline(always)]
const fn reply_tag(position: u64, key: u64) -> u64 {
    !(position ^ key)
}

/// Puts a waiting flag up, before the last look.
fn declare(flag: &AtomicU32) {
    // An exchange rather than a store costs nothing beside the sleep, and orders this after the
    // peer's last exchange in any model of memory, not only by a subtle rule of one.
    flag.swap(1, Relaxed);
    full_fence();
}

/// Takes a waiting flag down; whether it was up, and this call is the one that owes a kick.
#[inline]
fn claim(flag: &AtomicU32, kicks: &Count) -> bool {
    let owes = flag.load(Relaxed) != 0 && flag.swap(0, Relaxed) != 0;
    if owes {
        kicks.add_one();
    }
    owes
}

/// [`Producer::must_kick`] and [`Consumer::must_kick`] of two rings that lead to and from the
/// same peer, for the price of one fence.
#[inline(always)]
pub(crate) fn must_kick(to: &Producer<impl Memory>, from: &Consumer<impl Memory>) -> bool {
    let (published, released) = (to.published.take(), from.released.take());
    if !(published || released) {
        return false;
    }
    full_fence();
    // Both flags are taken down by asking.
    (published && to.wakes_consumer()) | (released && from.wakes_producer())
}

/// An exchange, and its reply as it was when its place came back: other records may lie there now.
#[derive(Debug)]
struct Late {
    position: u64,
    reply: Result<Option<(u32, Short)>, RingError>,
}

/// The writing end.
#[derive(Debug)]
pub struct Producer<M> {
    memory: M,
    geometry: Geometry,
    key: u64,
    generation: u32,
    tail: u64,
    /// The consumer's last checked `head`; space is counted from here.
    head: u64,
    /// Longest payload, items included.
    longest: usize,
    /// The consumer has acknowledged this generation.
    ready: bool,
    /// The exchange whose reply is read late, maybe after its place was used again.
    late: Option<Late>,
    /// Something was published since it was last asked whether to kick. Two idle ends that asked
    /// without it would go on waking each other.
    published: Cell<bool>,
}

impl<M: Memory> Producer<M> {
    /// The writing end of an empty ring at the start of a generation.
    pub fn new(memory: M, secret: u64, generation: u32) -> Self {
        let geometry = Geometry::of(memory.data().len());
        let mut producer = Self {
            memory,
            geometry,
            key: 0,
            generation,
            tail: 0,
            head: 0,
            longest: max_payload(geometry.bytes() as usize),
            ready: false,
            late: None,
            published: Cell::new(false),
        };
        producer.restart(secret, generation);
        producer
    }

    /// Starts a new generation; the ring reads as full until the consumer has acknowledged it.
    pub fn restart(&mut self, secret: u64, generation: u32) {
        self.key = key(secret, generation);
        self.generation = generation;
        (self.tail, self.head, self.ready) = (0, 0, false);
        self.late = None;
        let line = &self.memory.control().producer.0;
        line.tail.store(0, Relaxed);
        line.generation.store(generation, Release);
    }

    /// The generation it writes.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// End of the last published record.
    pub fn tail(&self) -> u64 {
        self.tail
    }

    /// Longest payload that a record of this ring can have.
    pub fn max_payload(&self) -> usize {
        self.longest
    }

    /// Makes room for a record, to be filled in place and then committed. Nothing is visible to
    /// the consumer before that, and a reservation that is dropped leaves no trace.
    ///
    /// # Errors
    /// [`RingError::TooLarge`] if it could never fit, [`RingError::Full`] if it does not fit
    /// now, [`RingError::Protocol`] if the consumer's `head` is impossible.
    #[inline(always)]
    pub fn reserve(&mut self, payload: usize) -> Result<Reservation<'_, M>, RingError> {
        self.reserve_with(None, payload)
    }

    /// [`Producer::reserve`], for a record that hands over an item.
    ///
    /// # Errors
    /// As there.
    #[inline(always)]
    pub fn reserve_with(
        &mut self,
        item: Option<Item>,
        payload: usize,
    ) -> Result<Reservation<'_, M>, RingError> {
        let items = u8::from(item.is_some());
        if payload.saturating_add(usize::from(items) * ITEM) > self.max_payload() {
            return Err(RingError::TooLarge);
        }
        let size = record::size(items, payload);
        let pad = self.geometry.pad(self.tail, size);
        self.make_room((pad + size) as u64)?;
        let mut reservation = Reservation { producer: self, pad, items, payload };
        if let Some(item) = item {
            reservation.put(HEADER, &item.to_words());
        }
        Ok(reservation)
    }

    /// Whether the consumer has gone over to this generation: before that, it may still read what
    /// the last one wrote.
    #[inline]
    pub fn is_acknowledged(&mut self) -> bool {
        if !self.ready {
            let line = &self.memory.control().consumer.0;
            self.ready = line.generation.load(Acquire) == self.generation;
        }
        self.ready
    }

    /// Makes room for a [`Kind::Exchange`], which fills a cache line.
    ///
    /// # Errors
    /// As [`Producer::reserve`].
    #[inline(always)]
    pub(crate) fn reserve_line(&mut self, payload: usize) -> Result<Reservation<'_, M>, RingError> {
        if payload > record::SHORT {
            return Err(RingError::TooLarge);
        }
        let pad = (self.tail.wrapping_neg() % LINE as u64) as usize;
        self.make_room((pad + LINE) as u64)?;
        Ok(Reservation { producer: self, pad, items: 0, payload })
    }

    /// Whether the reply to the exchange at that position is there: the cheapest look.
    #[inline(always)]
    pub(crate) fn has_answer(&self, position: u64) -> bool {
        let at = self.geometry.offset(position) / WORD;
        self.memory.data()[at].load(Acquire) == reply_tag(position, self.key)
    }

    /// The reply to the exchange at that position: its word and payload, if it is there.
    ///
    /// # Errors
    /// [`RingError::Protocol`] if it is no short reply.
    #[inline(always)]
    pub(crate) fn answer(&self, position: u64) -> Result<Option<(u32, Short)>, RingError> {
        if !self.has_answer(position) {
            return Ok(None);
        }
        let at = self.geometry.offset(position) / WORD;
        // No line is there if it was no exchange that was asked for.
        let line = self.memory.data().get(at..at + LINE / WORD).ok_or(RingError::Protocol)?;
        let bits = HeadBits(line[1].load(Relaxed));
        let is_short = bits.length() <= record::SHORT && bits.items() == 0;
        if !bits.is(Kind::Reply) || !is_short {
            return Err(RingError::Protocol);
        }
        let mut words = [0; record::SHORT / WORD];
        let count = bits.length().div_ceil(WORD);
        for (word, shared) in words[..count].iter_mut().zip(&line[HEADER / WORD..]) {
            *word = shared.load(Relaxed);
        }
        Ok(Some((bits.word(), Short { words, length: bits.length() as u32 })))
    }

    /// The reply to this exchange is read late: it is to be kept when its place comes back.
    pub(crate) fn keep_answer(&mut self, position: u64) {
        self.late = Some(Late { position, reply: self.answer(position) });
    }

    /// [`Producer::answer`], even if its place was used again since
    /// [`Producer::keep_answer`].
    ///
    /// # Errors
    /// As there.
    pub(crate) fn late_answer(&self, position: u64) -> Result<Option<(u32, Short)>, RingError> {
        match (self.answer(position), &self.late) {
            (Ok(None), Some(late)) if late.position == position => late.reply,
            (answer, _) => answer,
        }
    }

    /// Counts a record that was published elsewhere than here; the next must-kick counts it.
    #[inline(always)]
    pub(crate) fn count_elsewhere(&self) {
        self.memory.control().producer.0.records.add_one();
        self.published.set(true);
    }

    /// Up to where the consumer has released, as it says now.
    ///
    /// # Errors
    /// [`RingError::Protocol`] if that is impossible.
    pub fn released(&mut self) -> Result<u64, RingError> {
        match self.find_room(0) {
            Ok(()) => Ok(self.head),
            // A consumer that has not acknowledged this generation speaks of the last one.
            Err(RingError::Full) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Whether something was published since the last time, and the consumer had declared itself
    /// asleep. The caller that gets `true` must kick it; nobody else will.
    #[must_use = "a consumer that sleeps must be kicked"]
    #[inline]
    pub fn must_kick(&self) -> bool {
        if !self.published.take() {
            return false;
        }
        full_fence();
        self.wakes_consumer()
    }

    /// There is something for the consumer beside records: the next [`Producer::must_kick`]
    /// counts it.
    pub(crate) fn announce(&self) {
        self.published.set(true);
    }

    #[inline]
    fn wakes_consumer(&self) -> bool {
        let control = self.memory.control();
        claim(&control.waiting.0.asleep, &control.producer.0.kicks)
    }

    /// Declares that it waits for room. The caller must try to reserve once more after this, and
    /// wait only if that fails; then a consumer that releases will kick.
    pub fn declare_starved(&self) {
        declare(&self.memory.control().waiting.0.starved);
    }

    #[inline(always)]
    fn make_room(&mut self, bytes: u64) -> Result<(), RingError> {
        if self.ready && self.fits(bytes) { Ok(()) } else { self.find_room(bytes) }
    }

    fn fits(&self, bytes: u64) -> bool {
        self.tail + bytes - self.head <= self.geometry.bytes()
    }

    /// What the consumer says of its progress costs a cache miss, so it is asked only when the
    /// ring looks full.
    #[cold]
    fn find_room(&mut self, bytes: u64) -> Result<(), RingError> {
        if !self.is_acknowledged() {
            return Err(RingError::Full);
        }
        self.refresh()?;
        if self.fits(bytes) { Ok(()) } else { Err(RingError::Full) }
    }

    fn refresh(&mut self) -> Result<u64, RingError> {
        let head = self.memory.control().consumer.0.head.load(Acquire);
        if head < self.head || head > self.tail {
            return Err(RingError::Protocol);
        }
        self.head = head;
        // The consumer answers before it gives the place back, and this end has not written to it
        // since: what is not there now will never be.
        if let Some(Late { position, reply: Ok(None) }) = self.late
            && position < head
        {
            self.keep_answer(position);
        }
        Ok(head)
    }

    #[inline(always)]
    fn publish(&mut self, head: Head, size: usize) {
        let at = self.geometry.offset(self.tail) / WORD;
        let tag = self.tail ^ self.key;
        self.tail += size as u64;
        // Before the tag, so that a record which was taken is always one that `tail` covers.
        self.memory.control().producer.0.tail.store(self.tail, Relaxed);
        let data = self.memory.data();
        data[at + 1].store(head.to_bits(), Relaxed);
        data[at].store(tag, Release);
        self.published.set(true);
    }
}

/// A payload that is being written, in place.
#[derive(Debug)]
pub struct Writer<'a> {
    words: &'a [AtomicU64],
    payload: usize,
}

impl Writer<'_> {
    /// Writes a part of it.
    ///
    /// # Panics
    /// If the part reaches beyond the payload, or `offset` is not a multiple of 8.
    #[inline(always)]
    pub fn write(&mut self, offset: usize, bytes: &[u8]) {
        assert!(offset.is_multiple_of(WORD) && offset + bytes.len() <= self.payload);
        words::write(&self.words[offset / WORD..], bytes);
    }
}

/// Room for one record, not yet visible to the consumer.
#[derive(Debug)]
pub struct Reservation<'a, M> {
    producer: &'a mut Producer<M>,
    /// Bytes of the pad that goes before the record.
    pad: usize,
    items: u8,
    payload: usize,
}

impl<M: Memory> Reservation<'_, M> {
    /// Writes a part of the payload, in place.
    ///
    /// # Panics
    /// If the part reaches beyond the payload, or `offset` is not a multiple of 8.
    #[inline(always)]
    pub fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.writer().write(offset, bytes);
    }

    /// Where the payload is written.
    #[inline(always)]
    pub fn writer(&mut self) -> Writer<'_> {
        let at = self.place(HEADER + usize::from(self.items) * ITEM);
        let words = self.payload.div_ceil(WORD);
        Writer { words: &self.producer.memory.data()[at..at + words], payload: self.payload }
    }

    /// Publishes the record. Returns its position.
    #[inline(always)]
    pub fn commit(self, kind: Kind, word: u32) -> u64 {
        if self.pad > 0 {
            let length = (self.pad - HEADER) as u32;
            self.producer.publish(Head { length, kind: Kind::Pad, items: 0, word: 0 }, self.pad);
        }
        let position = self.producer.tail;
        let head = Head { length: self.payload as u32, kind, items: self.items, word };
        self.producer.publish(head, head.size());
        self.producer.memory.control().producer.0.records.add_one();
        position
    }

    fn put(&mut self, offset: usize, values: &[u64; 2]) {
        let at = self.place(offset);
        for (word, value) in self.producer.memory.data()[at..].iter().zip(values) {
            word.store(*value, Relaxed);
        }
    }

    /// The word at an offset from the record's start.
    fn place(&self, offset: usize) -> usize {
        let position = self.producer.tail + self.pad as u64;
        (self.producer.geometry.offset(position) + offset) / WORD
    }
}

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
    geometry: Geometry,
    key: u64,
    generation: u32,
    /// Start of the next record to take.
    cursor: u64,
    head: u64,
    /// Largest record that is no pad.
    largest: usize,
    /// Room was given since it was last asked whether to kick.
    released: Cell<bool>,
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
    fn wakes_producer(&self) -> bool {
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

#[cfg(test)]
mod tests;

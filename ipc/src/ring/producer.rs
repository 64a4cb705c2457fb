//! The writing end: room, records that are filled in place, and the replies that come back over
//! them.

mod unread;

use core::cell::Cell;

use super::{Memory, RingError, claim, declare, key, max_payload, reply_tag};
use crate::geometry::Geometry;
use crate::record::{self, HEADER, Head, HeadBits, ITEM, Item, Kind, LINE, Short};
use crate::sync::{AtomicU64, Ordering, full_fence};
use crate::words::{self, WORD};
use Ordering::{Acquire, Relaxed, Release};

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
    pub(super) key: u64,
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
    pub(super) published: Cell<bool>,
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
    pub(super) fn wakes_consumer(&self) -> bool {
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
    pub(super) words: &'a [AtomicU64],
    pub(super) payload: usize,
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

//! The shared words of a ring beside its data, and who reads and writes which.

use crate::sync::Ordering::{Acquire, Relaxed, Release};
use crate::sync::{AtomicU32, AtomicU64};

/// Two lines of 64 bytes: the prefetcher of today's processors moves lines in pairs.
#[repr(C, align(128))]
#[derive(Debug, Default)]
pub(crate) struct Line<T>(pub(crate) T);

/// A count for display. It has one writer, so it needs no atomic addition.
#[repr(transparent)]
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add_one(&self) {
        self.0.store(self.0.load(Relaxed).wrapping_add(1), Relaxed);
    }
}

#[repr(C)]
#[derive(Debug, Default)]
pub(crate) struct ProducerLine {
    pub(crate) tail: AtomicU64,
    pub(crate) generation: AtomicU32,
    pub(crate) records: Count,
    pub(crate) kicks: Count,
}

#[repr(C)]
#[derive(Debug, Default)]
pub(crate) struct ConsumerLine {
    pub(crate) head: AtomicU64,
    pub(crate) taken: AtomicU64,
    pub(crate) generation: AtomicU32,
    pub(crate) kicks: Count,
    pub(crate) rejected: Count,
}

/// Read by both sides at each message and written only around a sleep, so that it stays in both
/// caches; beside `tail`, which every message writes, `starved` would cost a miss each.
#[repr(C)]
#[derive(Debug, Default)]
pub(crate) struct WaitingLine {
    pub(crate) asleep: AtomicU32,
    pub(crate) starved: AtomicU32,
}

/// The shared words of a ring beside its data.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Control {
    pub(crate) producer: Line<ProducerLine>,
    pub(crate) consumer: Line<ConsumerLine>,
    pub(crate) waiting: Line<WaitingLine>,
}

impl Control {
    /// What the two sides say of themselves, for the nucleus and for display. Hostile input: any
    /// value is possible.
    pub fn claims(&self) -> Claims {
        // In this order: generations before the positions that they give a meaning, and `tail`
        // last, so that an honest producer that goes on meanwhile is never behind `taken`.
        let producing = self.producer.0.generation.load(Acquire);
        let generation = self.consumer.0.generation.load(Acquire);
        let head = self.consumer.0.head.load(Acquire);
        let taken = self.consumer.0.taken.load(Acquire);
        let tail = self.producer.0.tail.load(Acquire);
        Claims { tail, taken, head, generation, producing }
    }

    /// Where the consumer begins in a generation, and that it has gone over to it.
    pub(crate) fn consume_from(&self, generation: u32, position: u64) {
        let line = &self.consumer.0;
        line.head.store(position, Relaxed);
        line.taken.store(position, Relaxed);
        line.generation.store(generation, Release);
    }

    /// Where the producer goes on in a generation, and that it has gone over to it.
    pub(crate) fn produce_from(&self, generation: u32, position: u64) {
        let line = &self.producer.0;
        line.tail.store(position, Relaxed);
        line.generation.store(generation, Release);
    }

    /// The consumer has gone over to no generation.
    pub(crate) fn forget_consumer(&self) {
        self.consumer.0.generation.store(0, Release);
    }

    /// Whether the consumer has said that it sleeps, and nobody has woken it since.
    pub(crate) fn is_consumer_asleep(&self) -> bool {
        self.waiting.0.asleep.load(Relaxed) != 0
    }

    /// Whether the consumer has gone over to that generation.
    pub(crate) fn is_consumed_in(&self, generation: u32) -> bool {
        self.consumer.0.generation.load(Acquire) == generation
    }

    /// What the two sides have counted, for display: as believable as they are.
    pub fn counts(&self) -> Counts {
        Counts {
            records: self.producer.0.records.0.load(Relaxed),
            producer_kicks: self.producer.0.kicks.0.load(Relaxed),
            consumer_kicks: self.consumer.0.kicks.0.load(Relaxed),
            rejected: self.consumer.0.rejected.0.load(Relaxed),
        }
    }
}

/// What the two sides of a ring have counted, over all generations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Records published, without pads.
    pub records: u64,
    /// Times that the producer kicked a sleeping consumer.
    pub producer_kicks: u64,
    /// Times that the consumer kicked a producer that waited for room.
    pub consumer_kicks: u64,
    /// Records that the consumer refused: replies to calls that nobody made, or that were
    /// answered already.
    pub rejected: u64,
}

/// Positions as the two sides publish them; unchecked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claims {
    /// End of the producer's last record.
    pub tail: u64,
    /// End of the consumer's last taken record.
    pub taken: u64,
    /// End of what the consumer has released.
    pub head: u64,
    /// The generation that the consumer has acknowledged.
    pub generation: u32,
    /// The generation that the producer writes, and to which `tail` belongs.
    pub producing: u32,
}

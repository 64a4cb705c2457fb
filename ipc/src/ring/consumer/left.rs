//! What lies in a ring of requests between two positions, whoever looks: the nucleus at what a dead
//! server left, its client, or the server's next incarnation.
//!
//! A record that is given back while an older one is still in service stays where it is, for space
//! comes back in the ring's order. Where requests are delivered again, its consumer marks it as
//! *done*, by another tag: its successor is not to take it a second time.

use core::cell::Cell;

use crate::geometry::Geometry;
use crate::record::{self, ALIGN, Kind, LINE};
use crate::ring::{Consumer, Memory, Record, key, max_payload, reply_tag};
use crate::sync::Ordering::{Acquire, Release};
use crate::words::WORD;

/// Tells a record that is done with from one that is not. Positions are far below this bit, so no
/// other record has that tag.
const DONE: u64 = 1 << 63;

/// What lies at a place of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A record that is not done with.
    Open(Record),
    /// One that is, because it was answered in its place or marked, and ends there.
    Done(u64),
    /// No record that anybody published.
    Nothing,
}

impl<'m, M: Memory> Consumer<&'m M> {
    /// A consumer that leaves no trace, with its cursor there.
    pub(crate) fn onlooker(memory: &'m M, secret: u64, generation: u32, position: u64) -> Self {
        let geometry = Geometry::of(memory.data().len());
        Self {
            memory,
            geometry,
            key: key(secret, generation),
            generation,
            cursor: position,
            head: position,
            largest: record::size(0, max_payload(geometry.bytes() as usize)),
            released: Cell::new(false),
        }
    }

    /// The last record before the cursor that reaches no further, if it is no longer than any may
    /// be. What was published last is found by its tag, as nothing tells where it begins.
    pub(crate) fn last_before(self) -> Option<Record> {
        let end = self.cursor;
        let furthest = end.saturating_sub((self.largest.min(self.data_bytes())) as u64);
        let mut looker = self;
        while looker.cursor > furthest {
            looker.cursor -= ALIGN as u64;
            if looker.is_ready() {
                return looker.head_at_cursor().ok().filter(|record| record.end() <= end);
            }
        }
        None
    }
}

impl<M: Memory> Consumer<M> {
    /// Where its cursor is.
    pub(crate) fn cursor(&self) -> u64 {
        self.cursor
    }

    fn data_bytes(&self) -> usize {
        self.geometry.bytes() as usize
    }

    /// What lies at the cursor.
    pub(crate) fn place(&self) -> Place {
        // In this order: a record is open first, and done with later, while somebody looks.
        if self.is_ready() {
            return self.head_at_cursor().map_or(Place::Nothing, Place::Open);
        }
        let at = self.geometry.offset(self.cursor) / WORD;
        let tag = self.memory.data()[at].load(Acquire);
        let in_line = self.cursor.is_multiple_of(LINE as u64);
        if in_line && tag == reply_tag(self.cursor, self.key) {
            return Place::Done(self.cursor + LINE as u64);
        }
        if tag != self.cursor ^ self.key ^ DONE {
            return Place::Nothing;
        }
        self.head_at_cursor().map_or(Place::Nothing, |record| Place::Done(record.end()))
    }

    /// Marks a record that is in service as done with.
    pub(crate) fn mark_done(&self, record: &Record) {
        let at = self.geometry.offset(record.position) / WORD;
        self.memory.data()[at].store(record.position ^ self.key ^ DONE, Release);
    }

    /// Takes what lies before `end` as one record of no interest.
    pub(crate) fn pass(&mut self, end: u64) {
        self.cursor = end;
        self.memory.control().consumer.0.taken.store(end, Release);
    }

    /// Takes a pad; whether it was one that may be there.
    pub(crate) fn passes_pad(&mut self, pad: &Record) -> bool {
        pad.bits.is(Kind::Pad) && self.skip_pad(pad).is_ok()
    }
}

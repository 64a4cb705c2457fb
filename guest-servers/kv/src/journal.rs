//! Owns what is to be told to a store of the changes since its last batch.
//!
//! Each key of the database is a chain of records there (see [`store::interface`]). What is gone
//! and what amends a chain is written at once, in its order. A value that is to be written as a
//! whole is only noted (its key is *dirty*), and written once, when the batch is
//! [sealed](crate::Database::seal): by then it may have changed many times.
//!
//! A command says first how many bytes of records it may cause, and is refused before it changes
//! anything if the store has no room for them, or one batch could not hold them.
//!
//! A batch that is sealed waits here until the store has it, so that it can be sent again. Meanwhile
//! changes go on, and make the next one.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem;

use store::interface::Ailment;
use store::record::{HEAD, Record};

use crate::change::Change;
use crate::encoding::{self, BASE_HEAD};
use crate::failure::Failure;
use crate::table::Effect;
use crate::value::Value;

/// Batches that are on their way to the store at a time: while one is made durable there, the next ones
/// are waiting already, and share a write.
pub(crate) const UNDER_WAY: usize = 4;

/// Records above which no further request is carried out before they are sent, or if they are on their
/// way, committed.
const SATED: usize = 256 << 10;

/// Room that only requests which take something out may use, so that a store that is full can be
/// emptied bit by bit.
const RESERVE: usize = 64 << 10;

/// Memory for records that is kept from one batch to the next.
const KEPT: usize = 1 << 20;

/// A place in the list of dirty keys whose key is gone.
const VACANT: u32 = u32::MAX;

/// Where a key's changes stand. All zeros: nothing to be written, and no chain.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mark {
    /// What the chain takes in the store, in units of [`UNIT`].
    chain: u32,
    /// The place in the list of dirty keys, and 1; 0 if it is in none.
    dirty: u32,
}

/// A short record costs a store more than its bytes: its place in an index, and the look at it.
const UNIT: usize = 64;

impl Mark {
    /// Whether its key is not dirty.
    pub(crate) fn is_clean(self) -> bool {
        self.dirty == 0
    }

    /// Counts a record of the chain.
    pub(crate) fn lengthen(&mut self, record: usize) {
        let units = u32::try_from(record.div_ceil(UNIT)).unwrap_or(u32::MAX);
        self.chain = self.chain.saturating_add(units);
    }

    /// The chain is this record alone.
    pub(crate) fn rebase(&mut self, record: usize) {
        *self = Self::default();
        self.lengthen(record);
    }

    /// Whether the chain has become so long that the value alone, of that weight, should take its
    /// place. Writing it costs less than half of what was written since the last time.
    fn is_long(self, weight: usize) -> bool {
        self.chain as usize * UNIT > weight.saturating_mul(3).saturating_add(4 << 10)
    }
}

/// What a [`Database`](crate::Database) is told of the store that keeps it.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Its identity: another one has other batches of the same numbers.
    pub store: [u64; 2],
    /// The last batch that the store has.
    pub batch: u64,
    /// Bytes of records that it has room for.
    pub room: u64,
    /// The longest batch that gets there.
    pub largest: usize,
    /// Why it takes no batches.
    pub ailment: Option<Ailment>,
}

/// Records that the store does not have yet, and what it has told of itself.
#[derive(Debug)]
pub(crate) struct Journal {
    terms: Terms,
    /// When the last batch was committed, in milliseconds since 1970.
    pub saved_ms: u64,
    /// Whole batches that the store may have been given, the oldest first.
    sealed: VecDeque<Vec<u8>>,
    /// Their bytes.
    sent: usize,
    /// The records of the next batch.
    records: Vec<u8>,
    /// Memory for those of the one after it.
    spare: Vec<u8>,
    /// Positions of dirty keys.
    dirty: Vec<u32>,
    /// No less than what the dirty keys' records will take.
    owed: usize,
    /// What the request in service may still cause.
    promised: usize,
    /// It found no room where it had said that there was some: see [`Journal::doubt`].
    doubted: bool,
}

impl Journal {
    pub(crate) fn new(terms: Terms, now_ms: u64) -> Self {
        Self {
            terms,
            saved_ms: now_ms,
            sealed: VecDeque::with_capacity(UNDER_WAY),
            sent: 0,
            records: Vec::new(),
            spare: Vec::new(),
            dirty: Vec::new(),
            owed: 0,
            promised: 0,
            doubted: false,
        }
    }

    /// The store refused a batch, for all the room that it told of: its host may have less.
    /// Nothing is believed to fit until it takes one, or that is [over](Self::believe).
    pub(crate) fn doubt(&mut self) {
        self.doubted = true;
    }

    /// The room is so much, and is believed to be there.
    pub(crate) fn believe(&mut self, room: u64) {
        self.terms.room = room;
        self.doubted = false;
    }

    pub(crate) fn terms(&self) -> &Terms {
        &self.terms
    }

    fn pending(&self) -> usize {
        self.records.len().saturating_add(self.owed)
    }

    pub(crate) fn is_sated(&self) -> bool {
        self.pending().max(self.sent) > SATED
    }

    /// Whether there is nothing for another batch.
    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.dirty.is_empty()
    }

    /// What the store's room has to hold: these records of the next batch, and those on their way.
    fn claim(&self, pending: usize) -> u64 {
        self.sent.saturating_add(pending) as u64
    }

    /// Asked before a request changes anything: it may cause so many bytes of records, and make
    /// so many keys dirty.
    pub(crate) fn admit(
        &mut self,
        effect: Effect,
        bytes: usize,
        keys: usize,
    ) -> Result<(), Failure> {
        match effect {
            Effect::Read | Effect::Other => return Ok(()),
            Effect::Grow | Effect::Write | Effect::Remove => {}
        }
        match self.terms.ailment {
            Some(Ailment::Failed) => return Err(Failure::StoreFailed),
            Some(Ailment::ReadOnly) => return Err(Failure::StoreReadOnly),
            None => {}
        }
        let pending = self.pending().saturating_add(bytes);
        if pending > self.terms.largest {
            return Err(Failure::BatchTooLong);
        }
        let needed = match effect {
            Effect::Grow => self.claim(pending.saturating_add(RESERVE)),
            Effect::Write => self.claim(pending),
            // Something must lead out of a full store.
            Effect::Remove | Effect::Read | Effect::Other => 0,
        };
        if needed > self.terms.room || (needed > 0 && self.doubted) {
            return Err(Failure::StoreFull);
        }
        self.records.try_reserve(self.owed.saturating_add(bytes))?;
        self.dirty.try_reserve(keys)?;
        self.promised = bytes;
        Ok(())
    }

    /// A value has changed that is to be written as a whole, or is dirty already; by `grown`
    /// bytes at most.
    pub(crate) fn soil(&mut self, at: usize, mark: &mut Mark, bytes: usize, grown: usize) {
        if mark.is_clean() {
            self.dirty.push(at as u32);
            mark.dirty = self.dirty.len() as u32;
            self.owed += HEAD + BASE_HEAD + bytes;
        } else {
            self.owed += grown;
        }
    }

    /// A value has changed, of which this must be known, and its key is not dirty.
    pub(crate) fn amend(&mut self, mark: &mut Mark, key: &[u8], change: Change<'_>) {
        let start = self.records.len();
        Record::Amend { key, value: &[] }.encode(&mut self.records);
        encoding::write_change(&mut self.records, change);
        self.close(start, key.len());
        mark.lengthen(self.records.len() - start);
    }

    /// Whether a change had better be written as the whole value: it is dirty already, or its
    /// chain has become long and there is room for another base.
    pub(crate) fn prefers_whole(&mut self, mark: Mark, key: usize, weight: usize) -> bool {
        !mark.is_clean()
            || mark.is_long(weight) && self.has_room_for(HEAD + BASE_HEAD + key + weight)
    }

    /// Whether there is room for records that nobody has asked for.
    fn has_room_for(&mut self, bytes: usize) -> bool {
        let all = self.pending().saturating_add(self.promised).saturating_add(bytes);
        let more = all - self.records.len();
        all <= self.terms.largest
            && self.claim(all + RESERVE) <= self.terms.room
            && self.records.try_reserve(more).is_ok()
            && self.dirty.try_reserve(1).is_ok()
    }

    /// A key is gone, because a command said so.
    pub(crate) fn remove(&mut self, mark: Mark, key: &[u8]) {
        self.vacate(mark);
        Record::Delete { key }.encode(&mut self.records);
    }

    /// A key is gone, because its time was over. The store has the deadline: if there is no room
    /// to say more, or nobody to say it to, a later incarnation finds out by itself.
    pub(crate) fn expire(&mut self, mark: Mark, key: &[u8]) {
        self.vacate(mark);
        let all = self.pending() + self.promised + HEAD + key.len();
        let heard = self.terms.ailment.is_none() && !self.doubted;
        let fits = heard && all <= self.terms.largest;
        if fits && self.records.try_reserve(all - self.records.len()).is_ok() {
            Record::Delete { key }.encode(&mut self.records);
        }
    }

    fn vacate(&mut self, mark: Mark) {
        if let Some(place) = self.dirty.get_mut((mark.dirty as usize).wrapping_sub(1)) {
            *place = VACANT;
        }
    }

    /// A key has another position.
    pub(crate) fn moved(&mut self, mark: Mark, to: usize) {
        if let Some(place) = self.dirty.get_mut((mark.dirty as usize).wrapping_sub(1)) {
            *place = to as u32;
        }
    }

    /// All keys are gone.
    pub(crate) fn clear(&mut self) {
        self.records.clear();
        self.dirty.clear();
        self.owed = 0;
        Record::Clear.encode(&mut self.records);
    }

    /// Takes the list of dirty keys' positions, to write each one's base.
    pub(crate) fn take_dirty(&mut self) -> Vec<u32> {
        mem::take(&mut self.dirty)
    }

    /// Whether a place in that list is one of a key.
    pub(crate) fn is_key(place: u32) -> bool {
        place != VACANT
    }

    /// Writes a dirty key's base.
    pub(crate) fn put(&mut self, mark: &mut Mark, key: &[u8], value: &Value, deadline: u64) {
        let start = self.records.len();
        Record::Put { key, value: &[] }.encode(&mut self.records);
        encoding::write_base(&mut self.records, value, deadline);
        self.close(start, key.len());
        mark.rebase(self.records.len() - start);
    }

    /// Gives the list back, empty, to be used again: all bases are written, and the batch is whole.
    pub(crate) fn seal(&mut self, mut dirty: Vec<u32>) {
        dirty.clear();
        self.dirty = dirty;
        self.owed = 0;
        self.sent += self.records.len();
        let records = mem::replace(&mut self.records, mem::take(&mut self.spare));
        self.sealed.push_back(records);
    }

    /// Puts the length of its value into a record at the end that was begun without one.
    fn close(&mut self, start: usize, key: usize) {
        let length = (self.records.len() - start - HEAD - key) as u32;
        // After the kind and the length of the key.
        self.records[start + 5..start + HEAD].copy_from_slice(&length.to_le_bytes());
    }

    /// How many batches may be on their way.
    pub(crate) fn under_way(&self) -> usize {
        self.sealed.len()
    }

    /// The numbers and the records of those, the oldest first.
    pub(crate) fn batches(&self) -> impl DoubleEndedIterator<Item = (u64, &[u8])> {
        let sealed = self.sealed.iter().map(Vec::as_slice).enumerate();
        sealed.map(|(place, records)| (self.terms.batch + 1 + place as u64, records))
    }

    /// Goes on with a store that stands so.
    pub(crate) fn rejoin(&mut self, terms: Terms) {
        self.terms = terms;
        self.promised = 0;
        self.doubted = false;
    }

    /// The oldest batch is in the store.
    pub(crate) fn committed(&mut self, room: u64, now_ms: u64) {
        self.terms.batch += 1;
        self.believe(room);
        self.saved_ms = now_ms;
        self.promised = 0;
        let Some(mut records) = self.sealed.pop_front() else { return };
        self.sent -= records.len();
        records.clear();
        if records.capacity() <= KEPT {
            self.spare = records;
        }
    }
}

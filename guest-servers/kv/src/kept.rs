//! Owns a database's dealings with the store that keeps it: what each change leaves in its
//! [`Journal`], the batches that are made of it, and what is told of them.

use core::mem;

use crate::change::Change;
use crate::db::Database;
use crate::dense::Weigh;
use crate::failure::Failure;
use crate::journal::{Journal, Mark, Terms, UNDER_WAY};
use crate::table::Effect;
use crate::value::Value;

impl Database {
    /// From here on changes are noted down for a store that stands so. What it has was
    /// [loaded](Self::load) before.
    pub fn keep(&mut self, terms: Terms, now_ms: u64) {
        self.journal = Some(Journal::new(terms, now_ms));
    }

    /// Whether a store keeps this database.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.journal.is_some()
    }

    /// Whether there are changes that are in no [batch](Self::seal) yet.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        self.journal.as_ref().is_some_and(|journal| !journal.is_empty())
    }

    /// How many batches the store may have been given, and is not known to [have](Self::committed).
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.journal.as_ref().map_or(0, Journal::under_way)
    }

    /// Whether another one can be made before the store has one of those.
    #[must_use]
    pub fn can_seal(&self) -> bool {
        self.under_way() < UNDER_WAY
    }

    /// Whether there are so many that they should be sent, or committed, before more is done.
    #[inline]
    #[must_use]
    pub fn is_sated(&self) -> bool {
        self.journal.as_ref().is_some_and(Journal::is_sated)
    }

    /// Makes a batch of the changes since the last one. It stays what it is until the store
    /// [has it](Self::committed).
    pub fn seal(&mut self) {
        let Some(journal) = &mut self.journal else { return };
        let dirty = journal.take_dirty();
        for &place in dirty.iter().filter(|place| Journal::is_key(**place)) {
            let (key, item) = self.keys.parts_mut(place as usize);
            journal.put(&mut item.mark, key, &item.value, item.deadline);
        }
        journal.seal(dirty);
    }

    /// The batches that the store is not known to have, the oldest first: their numbers, and their
    /// records.
    pub fn batches(&self) -> impl DoubleEndedIterator<Item = (u64, &[u8])> {
        self.journal.iter().flat_map(Journal::batches)
    }

    /// The oldest batch is in the store, which has so much room left.
    pub fn committed(&mut self, room: u64, now_ms: u64) {
        if let Some(journal) = &mut self.journal {
            journal.committed(room, now_ms);
        }
    }

    /// The store refused a batch for want of room, and has nothing of it. Everything is
    /// forgotten: what the store has is to be [loaded](Self::load) again, and the database to be
    /// [kept](Self::keep) as before.
    pub fn undo(&mut self) {
        self.journal = None;
        self.flush();
    }

    /// To be said after that: whatever the store says of its room, no request that needs some is
    /// carried out before the store has taken something, or [`believe`](Self::believe) is called.
    pub fn doubt(&mut self) {
        if let Some(journal) = &mut self.journal {
            journal.doubt();
        }
    }

    /// The store says that there is so much room, and may be right.
    pub fn believe(&mut self, room: u64) {
        if let Some(journal) = &mut self.journal {
            journal.believe(room);
        }
    }

    /// Asked before a request changes anything: whether the store takes what it may cause, that
    /// many bytes of records for that many keys.
    #[inline]
    pub(crate) fn admit_records(
        &mut self,
        effect: Effect,
        bytes: usize,
        keys: usize,
    ) -> Result<(), Failure> {
        match &mut self.journal {
            Some(journal) => journal.admit(effect, bytes, keys),
            None => Ok(()),
        }
    }

    /// Notes a change, that has been made, of a key which is still there. What its value weighs
    /// has `grown` by so much.
    #[inline]
    pub(crate) fn note(&mut self, at: usize, change: Change<'_>, grown: usize) {
        if let Some(journal) = &mut self.journal {
            let (key, item) = self.keys.parts_mut(at);
            note(journal, at, key, &mut item.mark, item.value.weight(), change, grown);
        }
    }

    /// Notes that members of a set are about to go, some of them but not all, in this order.
    pub(crate) fn note_drop(&mut self, at: usize, members: impl Iterator<Item = usize> + Clone) {
        if let Some(journal) = &mut self.journal {
            let (key, item) = self.keys.parts_mut(at);
            let Value::Set(set) = &item.value else { return };
            let names = |show: &mut dyn FnMut(&[u8])| {
                members.clone().for_each(|member| show(set.key(member)));
            };
            let weight = item.value.weight();
            note(journal, at, key, &mut item.mark, weight, Change::DropMembers(&names), 0);
        }
    }

    /// Takes a key out whose time is over.
    pub(crate) fn expire(&mut self, at: usize) {
        if let Some(journal) = &mut self.journal {
            let (key, item) = self.keys.parts_mut(at);
            journal.expire(mem::take(&mut item.mark), key);
        }
        self.take_out(at);
        self.stats.expired += 1;
    }
}

/// Writes a change down, or notes that the whole value is to be written.
fn note(
    journal: &mut Journal,
    at: usize,
    key: &[u8],
    mark: &mut Mark,
    weight: usize,
    change: Change<'_>,
    grown: usize,
) {
    let whole = match change {
        // The room that a dirty value takes may have grown all the same.
        Change::Unseen if mark.is_clean() => return,
        Change::Unseen | Change::Whole => true,
        _ => journal.prefers_whole(*mark, key.len(), weight),
    };
    if whole {
        journal.soil(at, mark, key.len() + weight, grown);
    } else {
        journal.amend(mark, key, change);
    }
}

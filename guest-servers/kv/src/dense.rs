//! Owns the table under the keyspace, hashes and sets: a hash index over entries that lie
//! densely in segments.
//!
//! Dense entries make a random pick one step, and they make SCAN simple. A removal fills the
//! hole with the last entry, so an entry only ever moves *down*. A scan goes from the top
//! down; what it has not seen yet lies below its cursor and stays there, whatever comes and
//! goes meanwhile. So an entry that is there throughout a scan is always found.
//!
//! Entries never move when the table grows (segments), and the index grows without looking
//! at a key (it holds the hashes).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem;

use hashbrown::HashTable;

use crate::failure::Failure;

/// Entries per segment: enough to make the segments' own table small, few enough that the
/// next segment (14 KiB for the keyspace) costs no noticeable pause.
const SEGMENT: usize = 256;

/// Up to this many entries, room that is not used any more is not worth giving back.
const SMALL: usize = 16;

/// What a value adds to the memory in use, beyond its place in the table.
pub(crate) trait Weigh {
    /// Bytes on the heap.
    fn weight(&self) -> usize;
}

impl Weigh for () {
    fn weight(&self) -> usize {
        0
    }
}

impl Weigh for Box<[u8]> {
    fn weight(&self) -> usize {
        self.len()
    }
}

#[derive(Debug)]
struct Slot<V> {
    hash: u32,
    key: Box<[u8]>,
    value: V,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    hash: u32,
    at: u32,
}

impl Place {
    fn spread(&self) -> u64 {
        spread(self.hash)
    }
}

/// The index takes its buckets from the low bits and its tags from the high ones.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

/// A table from byte strings to `V`, with its entries at positions `0..len`.
#[derive(Debug)]
pub(crate) struct Dense<V> {
    index: HashTable<Place>,
    segments: Vec<Vec<Slot<V>>>,
    len: usize,
    bytes: usize,
}

impl<V: Weigh> Dense<V> {
    /// An empty table, which holds no memory.
    pub(crate) const fn new() -> Self {
        Self { index: HashTable::new(), segments: Vec::new(), len: 0, bytes: 0 }
    }

    /// What an entry costs: its slot, its share of the index (9 bytes a bucket, two thirds
    /// full), the allocator's header for its key, key and value.
    pub(crate) const fn cost(key: usize, weight: usize) -> usize {
        size_of::<Slot<V>>() + 16 + 16 + key + weight
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The memory that the entries take, in the terms of [`cost`](Self::cost).
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    fn slot(&self, at: usize) -> &Slot<V> {
        &self.segments[at / SEGMENT][at % SEGMENT]
    }

    fn slot_mut(&mut self, at: usize) -> &mut Slot<V> {
        &mut self.segments[at / SEGMENT][at % SEGMENT]
    }

    /// The position of `key`.
    #[inline]
    pub(crate) fn find(&self, hash: u32, key: &[u8]) -> Option<usize> {
        self.index
            .find(spread(hash), |place| {
                place.hash == hash && *self.slot(place.at as usize).key == *key
            })
            .map(|place| place.at as usize)
    }

    pub(crate) fn key(&self, at: usize) -> &[u8] {
        &self.slot(at).key
    }

    pub(crate) fn value(&self, at: usize) -> &V {
        &self.slot(at).value
    }

    /// Changes a value, and the memory in use with it.
    pub(crate) fn edit<R>(&mut self, at: usize, change: impl FnOnce(&mut V) -> R) -> R {
        let value = &mut self.slot_mut(at).value;
        let before = value.weight();
        let result = change(value);
        let after = value.weight();
        self.bytes = self.bytes - before + after;
        result
    }

    /// A key and its value, of which nothing may be changed that it is weighed by.
    pub(crate) fn parts_mut(&mut self, at: usize) -> (&[u8], &mut V) {
        let slot = self.slot_mut(at);
        (&slot.key, &mut slot.value)
    }

    /// Makes room for `more` entries, after which that many inserts cannot fail.
    pub(crate) fn reserve(&mut self, more: usize) -> Result<(), Failure> {
        let len = self.len.checked_add(more).ok_or(Failure::Memory)?;
        if len > u32::MAX as usize {
            return Err(Failure::Memory);
        }
        self.index.try_reserve(more, Place::spread).map_err(|_| Failure::Memory)?;
        while self.room() < len {
            self.add_room(len)?;
        }
        Ok(())
    }

    /// How many entries the segments can hold.
    fn room(&self) -> usize {
        match self.segments.last() {
            None => 0,
            Some(last) => (self.segments.len() - 1) * SEGMENT + last.capacity().min(SEGMENT),
        }
    }

    fn add_room(&mut self, len: usize) -> Result<(), Failure> {
        // Small tables stay small: the first segment doubles, later ones come whole.
        if self.segments.len() == 1 && self.segments[0].capacity() < SEGMENT {
            let first = &mut self.segments[0];
            let target = (first.capacity() * 2).max(len).min(SEGMENT);
            return Ok(first.try_reserve_exact(target - first.len())?);
        }
        let target = if self.segments.is_empty() { len.clamp(4, SEGMENT) } else { SEGMENT };
        let mut segment = Vec::new();
        segment.try_reserve_exact(target)?;
        self.segments.try_reserve(1)?;
        self.segments.push(segment);
        Ok(())
    }

    /// Adds an entry whose key is not in the table, and tells its position.
    pub(crate) fn insert(&mut self, hash: u32, key: Box<[u8]>, value: V) -> Result<usize, Failure> {
        self.reserve(1)?;
        let at = self.len;
        self.bytes += Self::cost(key.len(), value.weight());
        self.index.insert_unique(spread(hash), Place { hash, at: at as u32 }, Place::spread);
        self.segments[at / SEGMENT].push(Slot { hash, key, value });
        self.len += 1;
        Ok(at)
    }

    /// Takes an entry out; the last one moves into its place.
    pub(crate) fn remove(&mut self, at: usize) -> Option<(Box<[u8]>, V)> {
        let last = self.len.checked_sub(1)?;
        self.forget_place(at);
        let mut slot = self.segments[last / SEGMENT].pop()?;
        self.len = last;
        if at != last {
            let moved = spread(slot.hash);
            if let Some(place) = self.index.find_mut(moved, |place| place.at as usize == last) {
                place.at = at as u32;
            }
            mem::swap(self.slot_mut(at), &mut slot);
        }
        self.bytes -= Self::cost(slot.key.len(), slot.value.weight());
        self.trim();
        Some((slot.key, slot.value))
    }

    fn forget_place(&mut self, at: usize) {
        let hash = spread(self.slot(at).hash);
        if let Ok(entry) = self.index.find_entry(hash, |place| place.at as usize == at) {
            entry.remove();
        }
    }

    /// Gives back what a table that has shrunk no longer needs. One spare segment stays, so
    /// that a table at the edge of one does not free and allocate with every entry.
    fn trim(&mut self) {
        while self.segments.len() > self.len.div_ceil(SEGMENT) + 1 {
            self.segments.pop();
        }
        if self.index.capacity() > SMALL && self.len * 8 < self.index.capacity() {
            self.shrink_index();
        }
        let first = self.segments.first().map_or(0, Vec::capacity);
        if first > SMALL && self.len * 4 < first {
            self.shrink_segments();
        }
    }

    /// Moves the last few entries into a segment of their size, if there is memory for it.
    fn shrink_segments(&mut self) {
        let mut smaller = Vec::new();
        if let [first, ..] = &mut *self.segments
            && smaller.try_reserve_exact(self.len * 2).is_ok()
        {
            smaller.append(first);
            *first = smaller;
            self.segments.truncate(1);
        }
    }

    /// Moves the index into a smaller one. Without memory for that, the large one stays.
    fn shrink_index(&mut self) {
        let mut smaller = HashTable::new();
        if smaller.try_reserve(self.len * 2, Place::spread).is_ok() {
            for place in self.index.drain() {
                smaller.insert_unique(place.spread(), place, Place::spread);
            }
            self.index = smaller;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &V)> {
        self.segments.iter().flatten().map(|slot| (&*slot.key, &slot.value))
    }

    /// One step of a scan: shows up to `count` entries below `cursor` (0 begins at the top)
    /// and returns the cursor to go on with, 0 when nothing is left.
    pub(crate) fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(&[u8], &V)) -> u64 {
        let end = match usize::try_from(cursor) {
            Ok(cursor) if cursor != 0 => cursor.min(self.len),
            _ => self.len,
        };
        let start = end.saturating_sub(count);
        for at in (start..end).rev() {
            let slot = self.slot(at);
            visit(&slot.key, &slot.value);
        }
        start as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Hasher;
    use proptest::prelude::*;
    use std::collections::{BTreeSet, HashMap};
    use std::string::ToString;
    use std::vec::Vec;

    fn add(table: &mut Dense<()>, number: u32) {
        let (hash, key) = entry(number);
        if table.find(hash, &key).is_none() {
            table.insert(hash, key, ()).unwrap();
        }
    }

    fn take(table: &mut Dense<()>, number: u32) {
        let (hash, key) = entry(number);
        if let Some(at) = table.find(hash, &key) {
            table.remove(at).unwrap();
        }
    }

    fn entry(number: u32) -> (u32, Box<[u8]>) {
        let key = number.to_string().into_bytes().into_boxed_slice();
        (Hasher::new(1).hash(&key), key)
    }

    fn number(key: &[u8]) -> u32 {
        std::str::from_utf8(key).unwrap().parse().unwrap()
    }

    #[test]
    fn finds_everything_through_growth_and_shrinking() {
        let mut table = Dense::new();
        (0..10_000).for_each(|n| add(&mut table, n));
        let big = table.index.capacity();
        (0..9_990).for_each(|n| take(&mut table, n));
        assert_eq!(table.len(), 10);
        assert!(table.index.capacity() < big / 8 && table.segments.len() <= 2);
        for n in 9_990..10_000 {
            let (hash, key) = entry(n);
            assert_eq!(table.key(table.find(hash, &key).unwrap()), &*key);
        }
        (9_990..10_000).for_each(|n| take(&mut table, n));
        assert_eq!((table.len(), table.bytes()), (0, 0));
    }

    #[test]
    fn a_few_entries_take_little_room_whatever_there_was_before() {
        let mut table = Dense::new();
        (0..300).for_each(|n| add(&mut table, n));
        (0..299).for_each(|n| take(&mut table, n));
        assert!(table.room() <= SMALL && table.index.capacity() <= 2 * SMALL);
        (0..300).for_each(|n| add(&mut table, n));
        assert_eq!(table.iter().count(), 300);
    }

    #[test]
    fn reserved_room_is_used() {
        let mut table = Dense::new();
        table.reserve(1_000).unwrap();
        let segments = table.segments.len();
        (0..1_000).for_each(|n| add(&mut table, n));
        assert_eq!(table.segments.len(), segments);
        assert_eq!(table.iter().count(), 1_000);
    }

    proptest! {
        #[test]
        fn a_scan_sees_all_that_stays(
            start in 1_u32..700,
            count in 1_usize..50,
            edits in prop::collection::vec((any::<bool>(), 0_u32..1_000), 0..400),
        ) {
            let mut table = Dense::new();
            (0..start).for_each(|n| add(&mut table, n));
            let mut stayed: BTreeSet<u32> = (0..start).collect();
            let mut seen = BTreeSet::new();
            let mut edits = edits.into_iter();
            let mut cursor = 0;
            loop {
                cursor = table.scan(cursor, count, |key, ()| { seen.insert(number(key)); });
                if cursor == 0 {
                    break;
                }
                for (adding, n) in edits.by_ref().take(20) {
                    if adding {
                        add(&mut table, n);
                    } else {
                        take(&mut table, n);
                        stayed.remove(&n);
                    }
                }
            }
            prop_assert!(seen.is_superset(&stayed));
        }

        #[test]
        fn same_as_a_map(edits in prop::collection::vec((0_u8..3, 0_u32..300), 0..2_000)) {
            let mut table = Dense::new();
            let mut model = HashMap::new();
            for (what, n) in edits {
                if what < 2 { add(&mut table, n); model.insert(n, ()); }
                else { take(&mut table, n); model.remove(&n); }
            }
            let mut found: Vec<u32> = table.iter().map(|(key, ())| number(key)).collect();
            found.sort_unstable();
            let mut expected: Vec<u32> = model.keys().copied().collect();
            expected.sort_unstable();
            prop_assert_eq!(&found, &expected);
            let bytes: usize =
                expected.iter().map(|n| Dense::<()>::cost(n.to_string().len(), 0)).sum();
            prop_assert_eq!(table.bytes(), bytes);
        }
    }
}

//! Owns what batches would make of the index, before any of them is carried out.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use atoll_ipc::message::Status;

use crate::index::{AMENDMENT, Index, Print};
use crate::record::{Record, records};

/// What batches that wait to be written would make of it.
#[derive(Debug, Default)]
pub struct Trial {
    clients: Vec<Changed>,
    /// By how much more, or less, would live.
    pub growth: i64,
    /// Keys that would be new.
    keys: usize,
}

/// What there is room for.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Encoded bytes that may live.
    pub live: u64,
    /// Bytes of memory for the index.
    pub memory: usize,
}

#[derive(Debug)]
struct Changed {
    name: String,
    last: u64,
    /// By how much more of it would live.
    growth: i64,
    changes: Changes,
}

/// Changes of a client's keys.
#[derive(Debug, Default)]
struct Changes {
    /// Whether only those keys have a chain that are listed.
    cleared: bool,
    /// Encoded bytes of chains; `None` if there is no chain any more.
    keys: BTreeMap<Print, Option<u64>>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// It can be carried out.
    New,
    /// It was before, or is about to be.
    Again,
}

impl Trial {
    /// Tries a batch.
    ///
    /// # Errors
    /// [`Status::Malformed`] or [`Status::Exhausted`]; then nothing has changed.
    pub fn batch(
        &mut self,
        index: &Index,
        name: &str,
        number: u64,
        bytes: &[u8],
        limits: Limits,
    ) -> Result<Tried, Status> {
        let known = self.clients.iter().position(|client| client.name == name);
        let last = match known {
            Some(known) => self.clients[known].last,
            None => index.client(name).map_or(0, |client| client.last),
        };
        match number {
            0 => return Err(Status::Malformed),
            _ if number == last => return Ok(Tried::Again),
            _ if number.checked_sub(1) != Some(last) || bytes.is_empty() => {
                return Err(Status::Malformed);
            }
            _ => (),
        }
        let mut one = One {
            index,
            name,
            before: known.map(|known| &self.clients[known].changes),
            changes: Changes::default(),
            lives: known.map_or(0, |known| self.clients[known].growth)
                + index.client(name).map_or(0, |client| client.bytes.cast_signed()),
            growth: 0,
            keys: 0,
            amendments: 0,
        };
        for record in records(bytes) {
            one.record(record.ok_or(Status::Malformed)?)?;
        }
        let One { changes, growth, keys, amendments, .. } = one;
        let live = index.live().cast_signed() + self.growth + growth;
        // What makes a full store smaller, or leaves it as it is, is always welcome.
        if growth > 0 && live > limits.live.cast_signed() {
            return Err(Status::Exhausted);
        }
        let memory = index.memory_with(name, self.keys + keys) + amendments * AMENDMENT;
        if keys + amendments > 0 && memory > limits.memory {
            return Err(Status::Exhausted);
        }
        self.growth += growth;
        self.keys += keys;
        match known {
            Some(known) => self.clients[known].join(number, growth, changes),
            None => {
                self.clients.push(Changed { name: name.into(), last: number, growth, changes });
            }
        }
        Ok(Tried::New)
    }

    /// Forgets all batches.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Changed {
    fn join(&mut self, number: u64, growth: i64, mut changes: Changes) {
        self.last = number;
        self.growth += growth;
        if changes.cleared {
            self.changes = changes;
        } else {
            self.changes.keys.append(&mut changes.keys);
        }
    }
}

/// One batch that is being tried.
struct One<'a> {
    index: &'a Index,
    name: &'a str,
    before: Option<&'a Changes>,
    changes: Changes,
    /// Encoded bytes of the client's records before the batch.
    lives: i64,
    growth: i64,
    keys: usize,
    amendments: usize,
}

impl One<'_> {
    fn record(&mut self, record: Record<'_>) -> Result<(), Status> {
        let length = record.encoded_len() as u64;
        let Some(key) = record.key() else {
            self.clear();
            return Ok(());
        };
        let print = self.index.print(key);
        let before = self.bytes(print);
        let after = match (&record, before) {
            (Record::Put { .. }, _) => Some(length),
            (Record::Amend { .. }, Some(before)) => Some(before + length),
            (Record::Amend { .. }, None) => return Err(Status::Malformed),
            (Record::Delete { .. } | Record::Clear, _) => None,
        };
        self.keys += usize::from(before.is_none() && after.is_some());
        self.amendments += usize::from(matches!(record, Record::Amend { .. }));
        let bytes = |bytes: Option<u64>| bytes.unwrap_or_default().cast_signed();
        self.growth += bytes(after) - bytes(before);
        self.changes.keys.insert(print, after);
        Ok(())
    }

    /// Encoded bytes of a chain, as it is now.
    fn bytes(&self, print: Print) -> Option<u64> {
        let mut layers = [Some(&self.changes), self.before].into_iter().flatten();
        let decided = layers.find_map(|changes| match changes.keys.get(&print) {
            Some(bytes) => Some(*bytes),
            None => changes.cleared.then_some(None),
        });
        decided.unwrap_or_else(|| {
            let client = self.index.client(self.name)?;
            client.chain(print).map(crate::index::Chain::bytes)
        })
    }

    fn clear(&mut self) {
        // Nothing of the client lives.
        self.growth = -self.lives;
        self.changes = Changes { cleared: true, keys: BTreeMap::new() };
    }
}

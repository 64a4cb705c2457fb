//! Owns the keyspace: keys, values, deadlines, and the account of the memory they take.
//!
//! A write first asks [`Database::admit`] for the bytes that it may need and is refused
//! before it has changed anything. What is really in use comes from the values themselves,
//! weighed before and after each change, so the account cannot drift. If a store keeps the
//! database, each change is noted for it here, too (see `kept`).

use alloc::vec::Vec;

use crate::change::Change;
use crate::dense::{Dense, Weigh};
use crate::failure::Failure;
use crate::hash::Hasher;
use crate::journal::{Journal, Mark};
use crate::memory::{Pool, copy};
use crate::request::Span;
use crate::value::Value;

/// What a [`Database`] is told at its making, beside its limit and seed.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether clients may crash the server with `DEBUG`.
    pub debug: bool,
    /// Bytes that the unfinished requests and undelivered replies of all sessions together
    /// may take. Not part of the database's limit.
    pub buffers: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { debug: false, buffers: 64 << 20 }
    }
}

/// Counters for INFO.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stats {
    pub commands: u64,
    pub errors: u64,
    pub expired: u64,
    pub hits: u64,
    pub misses: u64,
}

/// A value and the time, in milliseconds since 1970, after which it is gone (0: never).
#[derive(Debug)]
pub(crate) struct Item {
    pub value: Value,
    pub deadline: u64,
    /// How it stands in the store that keeps the database, if one does.
    pub mark: Mark,
}

impl Weigh for Item {
    fn weight(&self) -> usize {
        self.value.weight()
    }
}

impl Item {
    fn is_gone(&self, now: u64) -> bool {
        self.deadline != 0 && self.deadline <= now
    }
}

/// All keys and values, shared by every session.
#[derive(Debug)]
pub struct Database {
    pub(crate) keys: Dense<Item>,
    pub(crate) journal: Option<Journal>,
    hasher: Hasher,
    limit: usize,
    volatile: usize,
    sweep: usize,
    pub(crate) options: Options,
    pub(crate) pool: Pool,
    pub(crate) stats: Stats,
    /// The arguments of the request in service, kept to be used again.
    pub(crate) spans: Vec<Span>,
}

impl Database {
    /// An empty database that stores up to `limit` bytes. `seed` must be random: it keeps
    /// clients from choosing keys that collide.
    #[must_use]
    pub fn new(limit: usize, seed: u64, options: Options) -> Self {
        Self {
            keys: Dense::new(),
            journal: None,
            hasher: Hasher::new(seed),
            limit,
            volatile: 0,
            sweep: 0,
            options,
            pool: Pool::new(options.buffers),
            stats: Stats::default(),
            spans: Vec::new(),
        }
    }

    /// Bytes in use by keys and values.
    #[must_use]
    pub fn used(&self) -> usize {
        self.keys.bytes()
    }

    /// The most bytes that keys and values may take.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Keys, including those whose time is over but which nobody has noticed yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are no keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.len() == 0
    }

    /// Keys that have a deadline. While there are none, [`expire_some`](Self::expire_some)
    /// has nothing to do.
    #[must_use]
    pub fn volatile(&self) -> usize {
        self.volatile
    }

    /// Bytes held by sessions for requests and replies.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.options.buffers.saturating_sub(self.pool.left())
    }

    /// Looks at up to `budget` keys, going on where it stopped last time, and drops those
    /// whose time is over. Tells how many it dropped.
    pub fn expire_some(&mut self, now: u64, budget: usize) -> usize {
        if self.volatile == 0 {
            return 0;
        }
        let mut dropped = 0;
        for _ in 0..budget.min(self.keys.len()) {
            // Downwards, as a removal moves the last entry, seen earlier, into the hole.
            if self.sweep == 0 || self.sweep > self.keys.len() {
                self.sweep = self.keys.len();
            }
            let Some(at) = self.sweep.checked_sub(1) else { break };
            self.sweep = at;
            if self.keys.value(at).is_gone(now) {
                self.expire(at);
                dropped += 1;
            }
        }
        dropped
    }

    pub(crate) fn hasher(&self) -> Hasher {
        self.hasher
    }

    /// The position of a living key. A dead one that is met goes away.
    #[inline]
    pub(crate) fn find(&mut self, key: &[u8], now: u64) -> Option<usize> {
        let at = self.keys.find(self.hasher.hash(key), key)?;
        if self.keys.value(at).is_gone(now) {
            self.expire(at);
            return None;
        }
        Some(at)
    }

    /// [`find`](Self::find) for a command that only reads: counted as hit or miss.
    #[inline]
    pub(crate) fn look_up(&mut self, key: &[u8], now: u64) -> Option<usize> {
        let found = self.find(key, now);
        if found.is_some() {
            self.stats.hits += 1;
        } else {
            self.stats.misses += 1;
        }
        found
    }

    pub(crate) fn key(&self, at: usize) -> &[u8] {
        self.keys.key(at)
    }

    pub(crate) fn value(&self, at: usize) -> &Value {
        &self.keys.value(at).value
    }

    /// When the key is gone; 0 if never.
    pub(crate) fn deadline(&self, at: usize) -> u64 {
        self.keys.value(at).deadline
    }

    pub(crate) fn is_gone(&self, at: usize, now: u64) -> bool {
        self.keys.value(at).is_gone(now)
    }

    pub(crate) fn set_deadline(&mut self, at: usize, deadline: u64) {
        let old = self.keys.edit(at, |item| core::mem::replace(&mut item.deadline, deadline));
        self.volatile = self.volatile - usize::from(old != 0) + usize::from(deadline != 0);
        if old != deadline {
            self.note(at, Change::Deadline(deadline), 0);
        }
    }

    /// Whether `extra` more bytes fit.
    #[inline]
    pub(crate) fn admit(&self, extra: usize) -> Result<(), Failure> {
        if self.used().saturating_add(extra) > self.limit {
            return Err(Failure::Memory);
        }
        Ok(())
    }

    /// What a new key takes, with a value of that weight.
    pub(crate) fn key_cost(key: &[u8], weight: usize) -> usize {
        Dense::<Item>::cost(key.len(), weight)
    }

    /// Adds a key that is not there.
    pub(crate) fn create(&mut self, key: &[u8], value: Value) -> Result<usize, Failure> {
        self.create_owned(copy(key)?, value)
    }

    /// Makes room for `more` keys.
    pub(crate) fn reserve(&mut self, more: usize) -> Result<(), Failure> {
        self.keys.reserve(more)
    }

    /// Adds a key that is not there, with its copy already made.
    pub(crate) fn create_owned(
        &mut self,
        key: alloc::boxed::Box<[u8]>,
        value: Value,
    ) -> Result<usize, Failure> {
        let item = Item { value, deadline: 0, mark: Mark::default() };
        let at = self.keys.insert(self.hasher.hash(&key), key, item)?;
        self.note(at, Change::Whole, 0);
        Ok(at)
    }

    /// Puts another value in a key's place and forgets its deadline.
    pub(crate) fn replace(&mut self, at: usize, value: Value) {
        let before = self.used();
        self.keys.edit(at, |item| item.value = value);
        self.note(at, Change::Whole, self.used().saturating_sub(before));
        self.set_deadline(at, 0);
    }

    /// Takes a key out.
    pub(crate) fn remove(&mut self, at: usize) -> Option<Value> {
        if let Some(journal) = &mut self.journal {
            let (key, item) = self.keys.parts_mut(at);
            journal.remove(item.mark, key);
        }
        self.take_out(at)
    }

    /// Takes a key out of which nothing need be said any more.
    pub(crate) fn take_out(&mut self, at: usize) -> Option<Value> {
        let (_, item) = self.keys.remove(at)?;
        self.volatile -= usize::from(item.deadline != 0);
        if let Some(journal) = &mut self.journal
            && at < self.keys.len()
        {
            // The last key has moved into its place.
            journal.moved(self.keys.value(at).mark, at);
        }
        Some(item.value)
    }

    /// Drops everything.
    pub(crate) fn flush(&mut self) {
        self.keys = Dense::new();
        self.volatile = 0;
        self.sweep = 0;
        if let Some(journal) = &mut self.journal {
            journal.clear();
        }
    }

    /// One step of a scan; see [`Dense::scan`].
    pub(crate) fn scan(
        &self,
        cursor: u64,
        count: usize,
        now: u64,
        mut visit: impl FnMut(&[u8], &Value),
    ) -> u64 {
        self.keys.scan(cursor, count, |key, item| {
            if !item.is_gone(now) {
                visit(key, &item.value);
            }
        })
    }

    /// Changes a value, in a way that `change` tells of. A list, hash or set that is left empty
    /// takes its key with it.
    #[inline]
    pub(crate) fn edit<R>(
        &mut self,
        at: usize,
        change: Change<'_>,
        make: impl FnOnce(&mut Value) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        let before = self.used();
        let result = self.keys.edit(at, |item| make(&mut item.value));
        if self.value(at).is_void() {
            self.remove(at);
        } else if result.is_ok() && self.is_kept() {
            let now = self.used();
            let change = if now == before { change.of_same_weight() } else { change };
            self.note(at, change, now.saturating_sub(before));
        }
        result
    }
}

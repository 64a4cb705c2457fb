//! The typed interface: strings of the same [`Database`], for domains that call instead of
//! writing requests down in Redis's protocol.
//!
//! Both ways lead to the same keys, under the same rules: a key whose time is over is not there,
//! a write that does not fit in the memory limit changes nothing, and INFO counts the requests of
//! both. What a caller is told of a refusal is the status of the reply, no text:
//!
//! | status | a client's error | why |
//! |---|---|---|
//! | [`Status::Exhausted`] | `Exhausted` | the memory limit, or the heap, says no; so does the store, if there is one |
//! | [`Status::Denied`] | `Denied` | the request is in order, but not for what the key holds: a list, a hash or a set; a string that is no number, or one that the sum or the longer string would not fit; or the store takes no writes, as its disk failed or can only be read |
//! | [`Status::Malformed`] | `Rejected` | no key could be asked for that: a value or key above 8 MiB, a deadline that is none |
//!
//! Unless kv is durable its death empties it, as it keeps everything in memory. A repeated `get`, `set` or `delete`
//! then means what the first one meant, and their stubs repeat them; `increment`, `append` and
//! `set_if_absent` do not, and their callers say what they want: [`OnRestart`].
//!
//! [`OnRestart`]: atoll_ipc::interface::OnRestart

use alloc::vec::Vec;

use atoll_ipc::interface::{Bytes, Word};
use atoll_ipc::message::Status;

use crate::command::{RECORDS_MAX, STRING_MAX};
use crate::counters;
use crate::db::Database;
use crate::failure::Failure;
use crate::request::BULK_LIMIT;
use crate::strings;
use crate::table::Effect;
use crate::value::Value;

atoll_ipc::interface! {
    /// Keys, and strings of bytes under them.
    pub interface Kv = "kv" version 1, client KvClient, server KvServer {
        /// The string under the key, if there is one.
        1 => idempotent fn get(key: Bytes<'_>) -> Option<Bytes<'_>> as loan;
        /// Puts a string under the key, whatever was there; it stays until it is deleted.
        2 => idempotent fn set(key: Bytes<'_>, value: Bytes<'_>);
        /// As `set`, but it is gone after the deadline, in milliseconds since 1970. A time and not
        /// a span, so that a repetition does not make it live longer.
        3 => idempotent fn set_until(key: Bytes<'_>, value: Bytes<'_>, deadline: Word);
        /// As `set` if nothing is under the key; returns whether that was so.
        4 => once fn set_if_absent(key: Bytes<'_>, value: Bytes<'_>) -> bool;
        /// Sees to it that nothing is under the key, of whatever type. Does not tell whether
        /// there was: to be asked twice, it would give two answers.
        5 => idempotent fn delete(key: Bytes<'_>);
        /// Whether anything is under the key, of whatever type.
        6 => idempotent fn exists(key: Bytes<'_>) -> bool;
        /// The length of the string under the key; 0 if there is none.
        7 => idempotent fn length(key: Bytes<'_>) -> u64;
        /// Adds to the number that the string under the key is, 0 if there is none; returns the
        /// sum. Its deadline stays.
        8 => once fn increment(key: Bytes<'_>, amount: i64) -> i64;
        /// Puts bytes behind the string under the key, which is made if it is not there; returns
        /// its length. Its deadline stays.
        9 => once fn append(key: Bytes<'_>, bytes: Bytes<'_>) -> u64;
        /// How many keys there are, those included whose time is over but which nobody has
        /// noticed yet.
        10 => idempotent fn count() -> u64;
    }
}

/// A [`Database`] as a server of [`Kv`], for the length of one request.
#[derive(Debug)]
pub struct Typed<'a> {
    db: &'a mut Database,
    now: u64,
}

impl<'a> Typed<'a> {
    /// Serves `db`, at so many milliseconds since 1970.
    pub fn new(db: &'a mut Database, now: u64) -> Self {
        Self { db, now }
    }

    /// Carries an operation out, and counts it as the commands of sessions are counted.
    #[inline]
    fn carry_out<R>(
        &mut self,
        operation: impl FnOnce(&mut Database, u64) -> Result<R, Failure>,
    ) -> Result<R, Status> {
        self.db.stats.commands += 1;
        operation(self.db, self.now).map_err(|failure| {
            self.db.stats.errors += 1;
            status(failure)
        })
    }

    /// What the protocol of Redis has checked before anything is carried out, is checked here.
    #[inline]
    fn write<R>(
        &mut self,
        [key, bytes]: [&[u8]; 2],
        operation: impl FnOnce(&mut Database, u64) -> Result<R, Failure>,
    ) -> Result<R, Status> {
        self.carry_out(|db, now| {
            if key.len().max(bytes.len()) > BULK_LIMIT {
                return Err(Failure::Syntax);
            }
            db.admit_records(Effect::Grow, records(key.len() + bytes.len()), 1)?;
            operation(db, now)
        })
    }

    fn put(&mut self, key: &[u8], value: &[u8], deadline: u64) -> Result<(), Status> {
        self.write([key, value], |db, now| {
            let found = db.find(key, now);
            let at = strings::store(db, found, key, value)?;
            db.set_deadline(at, deadline);
            Ok(())
        })
    }
}

/// The most bytes of records that an operation causes whose arguments have that many.
fn records(arguments: usize) -> usize {
    arguments + 2 * STRING_MAX + RECORDS_MAX
}

/// What a client is told of a refusal.
fn status(failure: Failure) -> Status {
    match failure {
        Failure::Memory | Failure::StoreFull | Failure::BatchTooLong => Status::Exhausted,
        Failure::WrongType
        | Failure::NotInteger
        | Failure::StoreFailed
        | Failure::StoreReadOnly
        | Failure::Text(_) => Status::Denied,
        Failure::Syntax => Status::Malformed,
    }
}

impl KvServer for Typed<'_> {
    fn get(&mut self, key: Bytes<'_>) -> Result<Option<Bytes<'_>>, Status> {
        // The position first: a string that is lent could not be counted beside.
        let found = self.carry_out(|db, now| match db.look_up(&key, now) {
            Some(at) if !matches!(db.value(at), Value::Str(_)) => Err(Failure::WrongType),
            found => Ok(found),
        })?;
        Ok(self.db.string_at(found).map(|string| Bytes(string)))
    }

    fn set(&mut self, key: Bytes<'_>, value: Bytes<'_>) -> Result<(), Status> {
        self.put(&key, &value, 0)
    }

    fn set_until(
        &mut self,
        key: Bytes<'_>,
        value: Bytes<'_>,
        Word(deadline): Word,
    ) -> Result<(), Status> {
        // Commands that tell of times count them in 63 bits.
        if deadline == 0 || deadline > i64::MAX.cast_unsigned() {
            return self.carry_out(|_, _| Err(Failure::Syntax));
        }
        self.put(&key, &value, deadline)
    }

    fn set_if_absent(&mut self, key: Bytes<'_>, value: Bytes<'_>) -> Result<bool, Status> {
        self.write([&key, &value], |db, now| {
            let absent = db.find(&key, now).is_none();
            if absent {
                strings::store(db, None, &key, &value)?;
            }
            Ok(absent)
        })
    }

    fn delete(&mut self, key: Bytes<'_>) -> Result<(), Status> {
        self.carry_out(|db, now| {
            db.admit_records(Effect::Remove, records(key.len()), 1)?;
            if let Some(at) = db.find(&key, now) {
                db.remove(at);
            }
            Ok(())
        })
    }

    fn exists(&mut self, key: Bytes<'_>) -> Result<bool, Status> {
        self.carry_out(|db, now| Ok(db.look_up(&key, now).is_some()))
    }

    fn length(&mut self, key: Bytes<'_>) -> Result<u64, Status> {
        self.carry_out(|db, now| Ok(db.string(&key, now)?.map_or(0, Vec::len) as u64))
    }

    fn increment(&mut self, key: Bytes<'_>, amount: i64) -> Result<i64, Status> {
        self.write([&key, &[]], |db, now| counters::add_to(db, &key, amount, now))
    }

    fn append(&mut self, key: Bytes<'_>, bytes: Bytes<'_>) -> Result<u64, Status> {
        self.write([&key, &bytes], |db, now| {
            strings::append_to(db, &key, &bytes, now).map(|length| length as u64)
        })
    }

    fn count(&mut self) -> Result<u64, Status> {
        self.carry_out(|db, _| Ok(db.len() as u64))
    }
}

//! Owns the way back: a database from the records that a store has of it.
//!
//! Records come from a disk, so they are checked like anything else that comes from outside: what
//! cannot have been written here is an error, and never a guess.

use alloc::vec::Vec;
use core::fmt;

use store::record::Record;

use crate::db::Database;
use crate::encoding::{Reader, VERSION, tags};
use crate::failure::Failure;
use crate::hash::Hasher;
use crate::memory::{copy, copy_vec};
use crate::request::BULK_LIMIT;
use crate::value::{End, Hash, List, Set, Value, grown};
use crate::{hashes, sets};

/// Why a record was not taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// There is not enough memory for what the store has.
    Memory,
    /// It was written by a kv of another version.
    Version(u8),
    /// It makes no sense, by itself or after those before it.
    Malformed,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("there is no memory for it: give the domain more"),
            Self::Version(version) => {
                write!(f, "it has form {version}, and this kv reads form {}", VERSION >> 4)
            }
            Self::Malformed => f.write_str("it makes no sense here"),
        }
    }
}

impl core::error::Error for LoadError {}

impl From<Failure> for LoadError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Memory => Self::Memory,
            Failure::WrongType
            | Failure::Syntax
            | Failure::NotInteger
            | Failure::StoreFull
            | Failure::StoreFailed
            | Failure::StoreReadOnly
            | Failure::BatchTooLong
            | Failure::Text(_) => Self::Malformed,
        }
    }
}

impl From<alloc::collections::TryReserveError> for LoadError {
    fn from(_: alloc::collections::TryReserveError) -> Self {
        Self::Memory
    }
}

impl Database {
    /// Takes a record over that the store has. To be called for all of them, each key's in their
    /// order, before the database is [kept](Self::keep). Keys whose time is over come back as
    /// what they were: not there for any command, until they are noticed and dropped.
    ///
    /// # Errors
    /// [`LoadError`]; what the record was about is then not as it was.
    pub fn load(&mut self, record: &Record<'_>) -> Result<(), LoadError> {
        match *record {
            Record::Put { key, value } => self.load_base(key, value),
            Record::Amend { key, value } => self.load_amendment(key, value),
            // No living record says so.
            Record::Delete { .. } | Record::Clear => return Err(LoadError::Malformed),
        }?;
        let key = record.key().unwrap_or_default();
        if let Some(at) = self.place_of(key) {
            let (_, item) = self.keys.parts_mut(at);
            match record {
                Record::Put { .. } => item.mark.rebase(record.encoded_len()),
                Record::Amend { .. } | Record::Delete { .. } | Record::Clear => {
                    item.mark.lengthen(record.encoded_len());
                }
            }
        }
        Ok(())
    }

    /// The position of a key, whether or not its time is over.
    fn place_of(&self, key: &[u8]) -> Option<usize> {
        self.keys.find(self.hasher().hash(key), key)
    }

    fn load_base(&mut self, key: &[u8], bytes: &[u8]) -> Result<(), LoadError> {
        let mut reader = Reader::new(bytes);
        let tag = tag(&mut reader)?;
        let deadline = reader.number().filter(|at| *at <= i64::MAX.cast_unsigned());
        let deadline = deadline.ok_or(LoadError::Malformed)?;
        let value = base(tag, reader, self.hasher())?;
        let at = match self.place_of(key) {
            Some(at) => {
                self.replace(at, value);
                at
            }
            None => self.create(key, value)?,
        };
        self.set_deadline(at, deadline);
        Ok(())
    }

    fn load_amendment(&mut self, key: &[u8], bytes: &[u8]) -> Result<(), LoadError> {
        let at = self.place_of(key).ok_or(LoadError::Malformed)?;
        let mut reader = Reader::new(bytes);
        let tag = tag(&mut reader)?;
        if tag == tags::DEADLINE {
            let deadline = reader.number().filter(|at| *at <= i64::MAX.cast_unsigned());
            let deadline = deadline.filter(|_| reader.is_at_end()).ok_or(LoadError::Malformed)?;
            self.set_deadline(at, deadline);
            return Ok(());
        }
        let hasher = self.hasher();
        self.keys.edit(at, |item| match &mut item.value {
            Value::Str(string) => amend_string(string, tag, reader),
            Value::List(list) => amend_list(list, tag, reader),
            Value::Hash(hash) => amend_hash(hash, tag, reader, hasher),
            Value::Set(set) => amend_set(set, tag, reader, hasher),
        })?;
        // A value that was left empty took its key with it.
        if self.value(at).is_void() { Err(LoadError::Malformed) } else { Ok(()) }
    }
}

/// The lower half of a record's tag.
fn tag(reader: &mut Reader<'_>) -> Result<u8, LoadError> {
    let byte = reader.byte().ok_or(LoadError::Malformed)?;
    match byte & 0xf0 {
        VERSION => Ok(byte & 0x0f),
        version => Err(LoadError::Version(version >> 4)),
    }
}

fn base(tag: u8, reader: Reader<'_>, hasher: Hasher) -> Result<Value, LoadError> {
    let mut value = match tag {
        tags::STRING if reader.rest().len() <= BULK_LIMIT => {
            return Ok(Value::Str(copy_vec(reader.rest())?));
        }
        tags::LIST => Value::list()?,
        tags::HASH => Value::hash()?,
        tags::SET => Value::set()?,
        _ => return Err(LoadError::Malformed),
    };
    match &mut value {
        Value::Str(_) => {}
        Value::List(list) => amend_list(list, tags::PUSH_TAIL, reader)?,
        Value::Hash(hash) => amend_hash(hash, tags::SET_FIELDS, reader, hasher)?,
        Value::Set(set) => amend_set(set, tags::ADD_MEMBERS, reader, hasher)?,
    }
    if value.is_void() { Err(LoadError::Malformed) } else { Ok(value) }
}

fn amend_string(string: &mut Vec<u8>, tag: u8, mut reader: Reader<'_>) -> Result<(), LoadError> {
    let offset = match tag {
        tags::WRITE => reader.size(),
        _ => None,
    };
    let (offset, bytes) = offset.zip(Some(reader.rest())).ok_or(LoadError::Malformed)?;
    let end = offset.checked_add(bytes.len()).filter(|end| *end <= BULK_LIMIT);
    let end = end.ok_or(LoadError::Malformed)?;
    if end > string.len() {
        string.try_reserve_exact(grown(string.capacity(), end) - string.len())?;
        string.resize(end, 0);
    }
    string[offset..end].copy_from_slice(bytes);
    Ok(())
}

fn amend_list(list: &mut List, tag: u8, mut reader: Reader<'_>) -> Result<(), LoadError> {
    let known = match tag {
        tags::PUSH_HEAD | tags::PUSH_TAIL => {
            let end = if tag == tags::PUSH_HEAD { End::Head } else { End::Tail };
            list.push(end, strings(reader)?)?;
            Some(())
        }
        tags::TAKE_HEAD | tags::TAKE_TAIL => {
            let end = if tag == tags::TAKE_HEAD { End::Head } else { End::Tail };
            let count = reader.size().filter(|_| reader.is_at_end());
            count.map(|count| list.take(end, count))
        }
        tags::REPLACE => {
            let at = reader.size().filter(|at| *at < list.items().len());
            let item = copy(reader.rest())?;
            at.map(|at| list.replace(at, item))
        }
        tags::DROP_EQUAL => {
            let numbers = reader.size().zip(reader.size());
            numbers.map(|(skip, most)| {
                list.drop_equal(reader.rest(), skip, most);
            })
        }
        _ => None,
    };
    known.ok_or(LoadError::Malformed)
}

fn amend_hash(
    hash: &mut Hash,
    tag: u8,
    reader: Reader<'_>,
    hasher: Hasher,
) -> Result<(), LoadError> {
    let mut strings = strings(reader)?;
    match tag {
        tags::SET_FIELDS if strings.len().is_multiple_of(2) => {
            let mut pairs: Vec<hashes::Owned> = Vec::new();
            pairs.try_reserve_exact(strings.len() / 2)?;
            while let (Some(field), Some(value)) = (strings.next(), strings.next()) {
                pairs.push((copy(field)?, copy(value)?));
            }
            hashes::set_all(hash, hasher, pairs)?;
        }
        tags::DROP_FIELDS => {
            hashes::drop_all(hash, hasher, strings);
        }
        _ => return Err(LoadError::Malformed),
    }
    Ok(())
}

fn amend_set(set: &mut Set, tag: u8, reader: Reader<'_>, hasher: Hasher) -> Result<(), LoadError> {
    let strings = strings(reader)?;
    match tag {
        tags::ADD_MEMBERS => {
            sets::add_all(set, hasher, strings)?;
        }
        tags::DROP_MEMBERS => {
            sets::drop_all(set, hasher, strings);
        }
        _ => return Err(LoadError::Malformed),
    }
    Ok(())
}

/// All strings that are left, which must end where the record does.
fn strings(reader: Reader<'_>) -> Result<Strings<'_>, LoadError> {
    let (mut rest, mut count) = (reader, 0);
    while !rest.is_at_end() {
        rest.string().ok_or(LoadError::Malformed)?;
        count += 1;
    }
    Ok(Strings { reader, count })
}

struct Strings<'a> {
    reader: Reader<'a>,
    count: usize,
}

impl<'a> Iterator for Strings<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let string = self.reader.string()?;
        self.count -= 1;
        Some(string)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count, Some(self.count))
    }
}

impl ExactSizeIterator for Strings<'_> {}

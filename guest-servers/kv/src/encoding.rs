//! Owns the form in which values and changes are written into records.
//!
//! ```text
//!   base:       tag | deadline | contents     string: its bytes
//!                                             list, set: strings; hash: fields and values in turn
//!   amendment:  tag | numbers and strings, as `tags` says; the last string has no length
//! ```
//!
//! Numbers are LEB128; a string is its length and its bytes. The upper half of a tag is the
//! version of the form: what a later one has written is not guessed at.

use alloc::vec::Vec;

use crate::change::{Change, Strings};
use crate::value::{End, Value};

/// The version of all this, in its place in a tag.
pub(crate) const VERSION: u8 = 0x10;

/// The lower halves of tags. A base and an amendment may have the same.
pub(crate) mod tags {
    pub(crate) const STRING: u8 = 1;
    pub(crate) const LIST: u8 = 2;
    pub(crate) const HASH: u8 = 3;
    pub(crate) const SET: u8 = 4;

    /// The deadline.
    pub(crate) const DEADLINE: u8 = 1;
    /// Offset, bytes.
    pub(crate) const WRITE: u8 = 2;
    /// Strings with lengths.
    pub(crate) const PUSH_HEAD: u8 = 3;
    pub(crate) const PUSH_TAIL: u8 = 4;
    /// A count.
    pub(crate) const TAKE_HEAD: u8 = 5;
    pub(crate) const TAKE_TAIL: u8 = 6;
    /// Place, item.
    pub(crate) const REPLACE: u8 = 7;
    /// Skip, most, item.
    pub(crate) const DROP_EQUAL: u8 = 8;
    /// Strings with lengths, for these four.
    pub(crate) const SET_FIELDS: u8 = 9;
    pub(crate) const DROP_FIELDS: u8 = 10;
    pub(crate) const ADD_MEMBERS: u8 = 11;
    pub(crate) const DROP_MEMBERS: u8 = 12;
}

/// Bytes that a base takes beside what [`Weigh`](crate::dense::Weigh) says of its value, which
/// is never less than its contents take: the tag and a deadline.
pub(crate) const BASE_HEAD: usize = 1 + NUMBER_MAX;

/// The most bytes of a number.
const NUMBER_MAX: usize = 10;

/// Appends a base.
pub(crate) fn write_base(to: &mut Vec<u8>, value: &Value, deadline: u64) {
    let tag = match value {
        Value::Str(_) => tags::STRING,
        Value::List(_) => tags::LIST,
        Value::Hash(_) => tags::HASH,
        Value::Set(_) => tags::SET,
    };
    to.push(VERSION | tag);
    write_number(to, deadline);
    match value {
        Value::Str(string) => to.extend_from_slice(string),
        Value::List(list) => list.items().iter().for_each(|item| write_string(to, item)),
        Value::Hash(hash) => hash.iter().for_each(|(field, value)| {
            write_string(to, field);
            write_string(to, value);
        }),
        Value::Set(set) => set.iter().for_each(|(member, ())| write_string(to, member)),
    }
}

/// Appends an amendment. [`Change::Unseen`] and [`Change::Whole`] have none.
pub(crate) fn write_change(to: &mut Vec<u8>, change: Change<'_>) {
    match change {
        Change::Unseen | Change::Whole => {}
        Change::Deadline(deadline) => {
            to.push(VERSION | tags::DEADLINE);
            write_number(to, deadline);
        }
        Change::Write { offset, bytes } => {
            to.push(VERSION | tags::WRITE);
            write_number(to, offset as u64);
            to.extend_from_slice(bytes);
        }
        Change::Push { end, items } => {
            write_strings(to, at_end(end, tags::PUSH_HEAD, tags::PUSH_TAIL), items);
        }
        Change::Take { end, count } => {
            to.push(VERSION | at_end(end, tags::TAKE_HEAD, tags::TAKE_TAIL));
            write_number(to, count as u64);
        }
        Change::Replace { at, item } => {
            to.push(VERSION | tags::REPLACE);
            write_number(to, at as u64);
            to.extend_from_slice(item);
        }
        Change::DropEqual { item, skip, most } => {
            to.push(VERSION | tags::DROP_EQUAL);
            write_number(to, skip as u64);
            write_number(to, most as u64);
            to.extend_from_slice(item);
        }
        Change::SetFields(pairs) => write_strings(to, tags::SET_FIELDS, pairs),
        Change::DropFields(fields) => write_strings(to, tags::DROP_FIELDS, fields),
        Change::AddMembers(members) => write_strings(to, tags::ADD_MEMBERS, members),
        Change::DropMembers(members) => write_strings(to, tags::DROP_MEMBERS, members),
    }
}

fn at_end(end: End, head: u8, tail: u8) -> u8 {
    match end {
        End::Head => head,
        End::Tail => tail,
    }
}

fn write_strings(to: &mut Vec<u8>, tag: u8, strings: Strings<'_>) {
    to.push(VERSION | tag);
    strings(&mut |string| write_string(to, string));
}

fn write_string(to: &mut Vec<u8>, string: &[u8]) {
    write_number(to, string.len() as u64);
    to.extend_from_slice(string);
}

fn write_number(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

/// Reads what was written. What is not there is `None`, and nothing is read after it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    /// All that is left.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// A number in as few bytes as it takes; other spellings are none.
    pub(crate) fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for at in 0..NUMBER_MAX {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            let placed = bits.checked_shl(at as u32 * 7).filter(|p| p >> (at * 7) == bits)?;
            number |= placed;
            if byte & 0x80 == 0 {
                return (byte != 0 || at == 0).then_some(number);
            }
        }
        None
    }

    /// A number that a count or position can be. On the machines that this runs on, all can.
    pub(crate) fn size(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    pub(crate) fn string(&mut self) -> Option<&'a [u8]> {
        let length = self.size()?;
        let (string, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(string)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_and_strings_come_back(number: u64, string: Vec<u8>) {
            let mut bytes = Vec::new();
            write_number(&mut bytes, number);
            prop_assert!(bytes.len() <= NUMBER_MAX);
            write_string(&mut bytes, &string);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.number(), Some(number));
            prop_assert_eq!(reader.string(), Some(&*string));
            prop_assert!(reader.is_at_end());
        }

        #[test]
        fn a_number_has_one_spelling(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            let mut reader = Reader::new(&bytes);
            if let Some(number) = reader.number() {
                let mut again = Vec::new();
                write_number(&mut again, number);
                prop_assert_eq!(&again, &bytes[..bytes.len() - reader.rest().len()]);
            }
        }
    }
}

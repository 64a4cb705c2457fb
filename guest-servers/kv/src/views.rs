//! Owns the views of a [`Database`] as one type of value: where a key is that must hold it, what it
//! holds, and how that is changed.

use alloc::vec::Vec;

use crate::change::Change;
use crate::db::Database;
use crate::failure::Failure;
use crate::value::{Hash, List, Set, Value};

/// The position, reading view and changing view of one type of value.
macro_rules! typed {
    ($kind:ident, $type:ty, $find:ident, $read:ident, $edit:ident) => {
        impl Database {
            /// The position of a key that must hold this type, if it is there.
            pub(crate) fn $find(&mut self, key: &[u8], now: u64) -> Result<Option<usize>, Failure> {
                match self.find(key, now) {
                    Some(at) if matches!(self.value(at), Value::$kind(_)) => Ok(Some(at)),
                    Some(_) => Err(Failure::WrongType),
                    None => Ok(None),
                }
            }

            /// The value of a key that must hold this type, for a command that only reads.
            pub(crate) fn $read(
                &mut self,
                key: &[u8],
                now: u64,
            ) -> Result<Option<&$type>, Failure> {
                match self.look_up(key, now) {
                    None => Ok(None),
                    Some(at) => match self.value(at) {
                        Value::$kind(value) => Ok(Some(value)),
                        _ => Err(Failure::WrongType),
                    },
                }
            }

            /// Changes the value at a position that holds this type.
            pub(crate) fn $edit<R>(
                &mut self,
                at: usize,
                change: Change<'_>,
                make: impl FnOnce(&mut $type) -> Result<R, Failure>,
            ) -> Result<R, Failure> {
                self.edit(at, change, |value| match value {
                    Value::$kind(value) => make(value),
                    _ => Err(Failure::WrongType),
                })
            }
        }
    };
}

typed!(Str, Vec<u8>, find_string, string, edit_string);
typed!(List, List, find_list, list, edit_list);
typed!(Hash, Hash, find_hash, hash, edit_hash);
typed!(Set, Set, find_set, set, edit_set);

impl Database {
    /// The list at a position, if there is one.
    pub(crate) fn list_at(&self, at: Option<usize>) -> Option<&List> {
        match self.value(at?) {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    /// The hash at a position, if there is one.
    pub(crate) fn hash_at(&self, at: Option<usize>) -> Option<&Hash> {
        match self.value(at?) {
            Value::Hash(hash) => Some(hash),
            _ => None,
        }
    }

    /// The set at a position, if there is one.
    pub(crate) fn set_at(&self, at: Option<usize>) -> Option<&Set> {
        match self.value(at?) {
            Value::Set(set) => Some(set),
            _ => None,
        }
    }

    /// The string at a position, if there is one.
    pub(crate) fn string_at(&self, at: Option<usize>) -> Option<&Vec<u8>> {
        match self.value(at?) {
            Value::Str(string) => Some(string),
            _ => None,
        }
    }
}

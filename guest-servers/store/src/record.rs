//! Records: what a batch is made of, and what is loaded.
//!
//! ```text
//!   kind (1 byte) | length of the key (4) | length of the value (4) | key | value
//! ```
//!
//! back to back, numbers little-endian.

use alloc::vec::Vec;

/// Bytes before a record's key.
pub const HEAD: usize = 9;

/// A change of a client's space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// The key's chain is this base alone.
    Put {
        /// The key.
        key: &'a [u8],
        /// The base.
        value: &'a [u8],
    },
    /// The key's chain goes on with this. Refused where there is no chain.
    Amend {
        /// The key.
        key: &'a [u8],
        /// The amendment.
        value: &'a [u8],
    },
    /// The key has no chain.
    Delete {
        /// The key.
        key: &'a [u8],
    },
    /// No key has a chain.
    Clear,
}

const PUT: u8 = 1;
const AMEND: u8 = 2;
const DELETE: u8 = 3;
const CLEAR: u8 = 4;

impl<'a> Record<'a> {
    /// Bytes of its encoding.
    pub fn encoded_len(&self) -> usize {
        let (_, key, value) = self.parts();
        HEAD + key.len() + value.len()
    }

    /// Appends its encoding. There must be room for it in `to`, or memory for more.
    ///
    /// # Panics
    /// If key or value is longer than 4 GiB.
    pub fn encode(&self, to: &mut Vec<u8>) {
        let (kind, key, value) = self.parts();
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("a length of 32 bits");
        to.push(kind);
        to.extend_from_slice(&length(key).to_le_bytes());
        to.extend_from_slice(&length(value).to_le_bytes());
        to.extend_from_slice(key);
        to.extend_from_slice(value);
    }

    /// Its key, if it has one.
    pub fn key(&self) -> Option<&'a [u8]> {
        match *self {
            Self::Put { key, .. } | Self::Amend { key, .. } | Self::Delete { key } => Some(key),
            Self::Clear => None,
        }
    }

    fn parts(&self) -> (u8, &'a [u8], &'a [u8]) {
        match *self {
            Self::Put { key, value } => (PUT, key, value),
            Self::Amend { key, value } => (AMEND, key, value),
            Self::Delete { key } => (DELETE, key, &[]),
            Self::Clear => (CLEAR, &[], &[]),
        }
    }
}

/// The first record of `bytes`, and what follows it; `None` if there is no whole one.
pub fn first(bytes: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
    let length = |at: usize| {
        let word = head[at..at + 4].try_into().map(u32::from_le_bytes);
        word.map_or(usize::MAX, |length| length as usize)
    };
    let (key, rest) = rest.split_at_checked(length(1))?;
    let (value, rest) = rest.split_at_checked(length(5))?;
    let record = match head[0] {
        PUT => Record::Put { key, value },
        AMEND => Record::Amend { key, value },
        DELETE if value.is_empty() => Record::Delete { key },
        CLEAR if key.is_empty() && value.is_empty() => Record::Clear,
        _ => return None,
    };
    Some((record, rest))
}

/// All records of `bytes`; ends early, with `None`, where there is no whole one.
pub fn records(bytes: &[u8]) -> impl Iterator<Item = Option<Record<'_>>> {
    let mut rest = Some(bytes);
    core::iter::from_fn(move || match rest {
        None | Some([]) => None,
        Some(bytes) => match first(bytes) {
            Some((record, more)) => {
                rest = Some(more);
                Some(Some(record))
            }
            None => {
                rest = None;
                Some(None)
            }
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record<'a>(kind: u8, key: &'a [u8], value: &'a [u8]) -> Record<'a> {
        match kind {
            0 => Record::Put { key, value },
            1 => Record::Amend { key, value },
            2 => Record::Delete { key },
            _ => Record::Clear,
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            parts in prop::collection::vec((0_u8..4, any::<Vec<u8>>(), any::<Vec<u8>>()), 0..20),
            cut in any::<prop::sample::Index>(),
        ) {
            let all: Vec<_> = parts.iter().map(|(kind, key, value)| record(*kind, key, value)).collect();
            let mut bytes = Vec::new();
            all.iter().for_each(|record| record.encode(&mut bytes));
            prop_assert_eq!(bytes.len(), all.iter().map(Record::encoded_len).sum::<usize>());
            let read: Vec<_> = records(&bytes).map(Option::unwrap).collect();
            prop_assert_eq!(&read, &all);
            // Of a part, the whole records are read, and that it is a part is noticed.
            let cut = cut.index(bytes.len() + 1);
            let whole = records(&bytes[..cut]).map_while(|record| record).count();
            let end: usize = all[..whole].iter().map(Record::encoded_len).sum();
            prop_assert!(end <= cut);
            prop_assert_eq!(records(&bytes[..cut]).any(|record| record.is_none()), end != cut);
        }

        #[test]
        fn nonsense_is_not_read_beyond_its_end(bytes in any::<Vec<u8>>()) {
            for record in records(&bytes).flatten() {
                prop_assert!(record.encoded_len() <= bytes.len());
            }
        }
    }
}

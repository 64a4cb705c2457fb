//! Argument and reply types whose encoding is cheaper than the one they would get by themselves.

use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number in eight bytes, little-endian, whatever its value. A plain `u64` takes one to ten,
/// more the greater it is: this one suits hashes, addresses and times.
///
/// Its eight bytes are written with one store and read with one load: through the typed layer a
/// call with a `Word` each way costs 3 ns more than without that layer, one with a `u64` 20 to 60.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Word(pub u64);

// Postcard keeps one kind of number in eight bytes as they are, and moves them together: `f64`.
// Only the bits are lent to that type; to move a float about, even one that is no number, changes
// none of them. `postcard::fixint` would give the same bytes, one by one.
impl Serialize for Word {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(f64::from_bits(self.0))
    }
}

impl<'de> Deserialize<'de> for Word {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer).map(|bits| Self(bits.to_bits()))
    }
}

impl From<u64> for Word {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

impl From<Word> for u64 {
    fn from(word: Word) -> Self {
        word.0
    }
}

/// Borrowed bytes, encoded with one copy and decoded with none; `&[u8]` would be encoded byte by
/// byte. What [`Blob`] owns has the same encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes<'a>(pub &'a [u8]);

impl Deref for Bytes<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.0
    }
}

impl<'a> From<&'a [u8]> for Bytes<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl Serialize for Bytes<'_> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Bytes<'a> {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(Borrowed).map(Self)
    }
}

struct Borrowed;

impl<'de> Visitor<'de> for Borrowed {
    type Value = &'de [u8];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes to borrow")
    }

    #[inline]
    fn visit_borrowed_bytes<E: Error>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
        Ok(bytes)
    }
}

/// Owned bytes, kept in whatever keeps them: `Blob<Vec<u8>>`, `Blob<Box<[u8]>>`. Copied once each
/// way; a plain `Vec<u8>` would be copied byte by byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Blob<B>(pub B);

impl<B: AsRef<[u8]>> Serialize for Blob<B> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0.as_ref())
    }
}

impl<'de, B: for<'a> From<&'a [u8]>> Deserialize<'de> for Blob<B> {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(Owned(PhantomData)).map(Self)
    }
}

struct Owned<B>(PhantomData<B>);

impl<B: for<'a> From<&'a [u8]>> Visitor<'_> for Owned<B> {
    type Value = B;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    #[inline]
    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<B, E> {
        Ok(B::from(bytes))
    }
}

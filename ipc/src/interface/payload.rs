//! A typed value on its way into bytes.

use core::fmt;

use serde::{Deserialize, Serialize};

/// Longest payload that is encoded on the stack: what fits beside a record's head in one cache
/// line and so takes the short path all the way (L4's register messages).
pub const SHORT: usize = 48;

/// Bytes to send: there already, or to be made where they go.
#[derive(Clone, Copy)]
pub enum Payload<'a> {
    /// They are here.
    Bytes(&'a [u8]),
    /// So many bytes, which `encode` puts into a slice of that length.
    Encode {
        /// How many.
        length: usize,
        /// Overwrites the whole slice.
        encode: &'a dyn Fn(&mut [u8]),
    },
}

impl<'a> Payload<'a> {
    /// No bytes.
    pub const EMPTY: Self = Self::Bytes(&[]);

    /// How many bytes.
    #[inline]
    pub const fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Encode { length, .. } => *length,
        }
    }

    /// Whether there are none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes: as they are, or else encoded, once, into the slice of the asked length that
    /// `scratch` lends.
    ///
    /// # Panics
    /// If `scratch` lends fewer bytes than it is asked for.
    #[inline]
    pub fn bytes_in<'b>(self, scratch: impl FnOnce(usize) -> &'b mut [u8]) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Encode { length, encode } => {
                let into = &mut scratch(length)[..length];
                encode(into);
                into
            }
        }
    }
}

impl fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.len())
    }
}

/// Calls `with` on the encoded value; on `None` if it has no encoding (a `Serialize` of its own
/// that refuses, a sequence that does not know its length). Arguments are a tuple: for a client
/// that sends requests and does not wait, which stubs do.
#[inline]
pub fn encoded<V, R>(value: &V, with: impl FnOnce(Option<Payload<'_>>) -> R) -> R
where
    V: Serialize,
{
    let mut short = [0; SHORT];
    let encode;
    let payload = match postcard::to_slice(value, &mut short) {
        Ok(bytes) => Some(Payload::Bytes(bytes)),
        Err(_) => {
            encode = |into: &mut [u8]| encode_long(value, into);
            let length = postcard::experimental::serialized_size(value).ok();
            length.map(|length| Payload::Encode { length, encode: &encode })
        }
    };
    // One place to call from: what is inlined here is the whole of a transport's call.
    with(payload)
}

/// A value whose encoding changes from one time to the next does not get what the scratch held
/// before into the message.
fn encode_long(value: &impl Serialize, into: &mut [u8]) {
    let length = into.len();
    if !postcard::to_slice(value, into).is_ok_and(|bytes| bytes.len() == length) {
        into.fill(0);
    }
}

/// The value that all of the bytes encode, if they do.
#[inline]
pub(super) fn decoded<'a, V: Deserialize<'a>>(bytes: &'a [u8]) -> Option<V> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Some(value),
        _ => None,
    }
}

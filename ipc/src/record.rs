//! One record of a ring: the 16-byte header and its fields.
//!
//! ```text
//!  0                8            11       12        16                      16 + length
//!  | tag            | length:24  | kind:4 | word:32 | payload ...           | to a multiple of 16
//!  |                |            | flags:4|         |                       |
//! ```
//!
//! The **tag** is what publishes a record: it is the record's position in the ring, mixed with
//! the ring's key, and is stored last. A consumer polls the tag at its own cursor, so a short
//! message crosses between two processors in a single cache line; there is no index to fetch
//! beside it. What earlier laps left at that place cannot be taken for the tag: positions never
//! repeat under one key, and payload bytes equal a given tag by chance once in 2^64.

/// Bytes of the header.
pub const HEADER: usize = 16;
/// Records begin at multiples of this many bytes.
pub const ALIGN: usize = 16;
/// Payload that shares one 64-byte cache line with its header (L4's register message).
pub const SHORT: usize = 48;
/// Longest payload that the 24-bit length can express; a ring's own limit is lower.
pub const LENGTH_MAX: usize = (1 << 24) - 1;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Fills the end of the ring, where the next record did not fit.
    Pad = 1,
    /// A request whose sender waits for the reply.
    Call = 2,
    /// A request without a reply.
    Send = 3,
    /// The reply to a [`Kind::Call`].
    Reply = 4,
}

impl Kind {
    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            1 => Self::Pad,
            2 => Self::Call,
            3 => Self::Send,
            4 => Self::Reply,
            _ => return None,
        })
    }
}

/// The second word of a record's header.
///
/// `flags` are zero in this version except in replies, where they carry a
/// [`Status`](crate::message::Status); capability and memory items will announce themselves
/// there, and a receiver refuses flags that it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Payload bytes.
    pub length: u32,
    /// What the record is.
    pub kind: Kind,
    /// Four bits, by kind.
    pub flags: u8,
    /// In a request the operation code; in a reply the token of the request it answers.
    pub word: u32,
}

impl Head {
    /// As the header's second word.
    pub const fn to_bits(self) -> u64 {
        let low = self.length & LENGTH_MAX as u32
            | (self.kind as u32) << 24
            | ((self.flags & 15) as u32) << 28;
        low as u64 | (self.word as u64) << 32
    }

    /// From the header's second word; `None` if the kind is unknown.
    pub const fn from_bits(bits: u64) -> Option<Self> {
        let low = bits as u32;
        let Some(kind) = Kind::from_bits((low >> 24) as u8 & 15) else { return None };
        Some(Self {
            length: low & LENGTH_MAX as u32,
            kind,
            flags: (low >> 28) as u8,
            word: (bits >> 32) as u32,
        })
    }
}

/// Bytes that a record with this much payload takes in a ring.
pub const fn size(payload: usize) -> usize {
    HEADER + payload.next_multiple_of(ALIGN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::support::cases(256))]

        #[test]
        fn a_head_survives_its_bits(length in 0u32..1 << 24, kind in 1u8..=4, flags in 0u8..16, word: u32) {
            let head = Head { length, kind: Kind::from_bits(kind).unwrap(), flags, word };
            prop_assert_eq!(Head::from_bits(head.to_bits()), Some(head));
        }

        #[test]
        fn any_bits_are_a_head_or_none(bits: u64) {
            if let Some(head) = Head::from_bits(bits) {
                prop_assert_eq!(head.to_bits(), bits);
            }
        }
    }

    #[test]
    fn a_short_message_fills_one_cache_line() {
        assert_eq!(size(SHORT), 64);
        assert_eq!(size(0), 16);
        assert_eq!(size(1), 32);
    }
}

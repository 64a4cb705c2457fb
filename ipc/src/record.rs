//! One record of a ring: the 16-byte header, the items that may follow it, and the payload.
//!
//! ```text
//!  0                8            11        12        16                16 + 16 * items
//!  | tag            | length:24  | kind:4  | word:32 | items, 16 each  | payload ...
//!  |                |            | items:4 |         |                 | to a multiple of 16
//! ```
//!
//! The **tag** is what publishes a record: it is the record's position in the ring, mixed with
//! the ring's key, and is stored last. A consumer polls the tag at its own cursor, so a short
//! message crosses between two processors in a single cache line; there is no index to fetch
//! beside it. What earlier laps left at that place cannot be taken for the tag: positions never
//! repeat under one key, and payload bytes equal a given tag by chance once in 2^64.
//!
//! An **item** hands over more than bytes. Today that is a buffer of the channel's pool
//! ([`crate::lend`]); capabilities and mapped memory (StarOS; L4's map and grant) have their
//! place here, and are refused with `Protocol` until they exist.

/// Bytes of the header.
pub const HEADER: usize = 16;
/// Bytes of an item.
pub const ITEM: usize = 16;
/// Records begin at multiples of this many bytes.
pub const ALIGN: usize = 16;
/// Payload that shares one cache line with its header (L4's register message).
pub const SHORT: usize = LINE - HEADER;
/// Bytes of a cache line. A [`Kind::Exchange`] fills exactly one: the request is written there,
/// and the reply over it. So the line goes to and fro as one, where a reply in a line of its own
/// would have to be taken from its reader before it could be written.
pub const LINE: usize = 64;
/// A payload of at most [`SHORT`] bytes, in registers or nearly (L4's register message).
#[derive(Clone, Copy, Debug)]
pub struct Short {
    pub(crate) words: [u64; SHORT / 8],
    pub(crate) length: u32,
}

impl Short {
    /// Its bytes.
    #[inline(always)]
    pub fn bytes(&self) -> &[u8] {
        let bytes = self.words.as_ptr().cast::<u8>();
        let length = (self.length as usize).min(SHORT);
        // SAFETY: the words hold SHORT bytes, all initialised; a byte has no alignment. (They were
        // read from memory as little-endian words, and this is a little-endian machine's crate.)
        unsafe { core::slice::from_raw_parts(bytes, length) }
    }
}

const _: () = assert!(cfg!(target_endian = "little"));

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
    /// The sender of a call no longer waits for its reply.
    Cancel = 5,
    /// A short request whose reply, if it is short, takes its very place ([`LINE`]).
    Exchange = 6,
}

impl Kind {
    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            1 => Self::Pad,
            2 => Self::Call,
            3 => Self::Send,
            4 => Self::Reply,
            5 => Self::Cancel,
            6 => Self::Exchange,
            _ => return None,
        })
    }
}

/// What a client may send in a record of any length. (The others it makes by other means.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// The client waits for the reply.
    Call,
    /// There is no reply.
    Send,
}

impl From<RequestKind> for Kind {
    #[inline(always)]
    fn from(kind: RequestKind) -> Self {
        match kind {
            RequestKind::Call => Self::Call,
            RequestKind::Send => Self::Send,
        }
    }
}

/// The second word of a record's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Payload bytes, without the items.
    pub length: u32,
    /// What the record is.
    pub kind: Kind,
    /// How many items stand before the payload.
    pub items: u8,
    /// In a request its [`request`] word, in a reply its [`reply`] word, in a cancellation the
    /// token of the call.
    pub word: u32,
}

impl Head {
    /// As the header's second word.
    pub const fn to_bits(self) -> u64 {
        let low = self.length & LENGTH_MAX as u32
            | (self.kind as u32) << 24
            | ((self.items & 15) as u32) << 28;
        low as u64 | (self.word as u64) << 32
    }

    /// From the header's second word; `None` if the kind is unknown.
    pub const fn from_bits(bits: u64) -> Option<Self> {
        let low = bits as u32;
        let Some(kind) = Kind::from_bits((low >> 24) as u8 & 15) else { return None };
        Some(Self {
            length: low & LENGTH_MAX as u32,
            kind,
            items: (low >> 28) as u8,
            word: (bits >> 32) as u32,
        })
    }

    /// Bytes from the record's start to its payload.
    pub const fn payload_at(self) -> usize {
        HEADER + self.items as usize * ITEM
    }

    /// Bytes that the record takes in a ring.
    #[inline(always)]
    pub const fn size(self) -> usize {
        match self.kind {
            Kind::Exchange => LINE,
            _ => size(self.items, self.length as usize),
        }
    }
}

/// The second word of a header, as it is in the ring. What it says is taken out of it where it is
/// needed: that is cheaper than to take it apart and carry the parts around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadBits(pub(crate) u64);

impl HeadBits {
    /// Payload bytes, without the items.
    #[inline(always)]
    pub const fn length(self) -> usize {
        self.0 as usize & LENGTH_MAX
    }

    /// Whether the record is of that kind.
    #[inline(always)]
    pub const fn is(self, kind: Kind) -> bool {
        (self.0 >> 24) as u8 & 15 == kind as u8
    }

    /// How many items stand before the payload.
    #[inline(always)]
    pub const fn items(self) -> u8 {
        (self.0 >> 28) as u8 & 15
    }

    /// The word.
    #[inline(always)]
    pub const fn word(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Bytes from the record's start to its payload.
    #[inline(always)]
    pub const fn payload_at(self) -> usize {
        HEADER + self.items() as usize * ITEM
    }

    /// Bytes that the record takes in a ring.
    #[inline(always)]
    pub const fn size(self) -> usize {
        if self.is(Kind::Exchange) { LINE } else { size(self.items(), self.length()) }
    }

    /// All of it; `None` if the kind is unknown.
    pub const fn head(self) -> Option<Head> {
        Head::from_bits(self.0)
    }
}

/// Bytes that a record with so many items and so much payload takes in a ring.
pub const fn size(items: u8, payload: usize) -> usize {
    HEADER + items as usize * ITEM + payload.next_multiple_of(ALIGN)
}

/// A request's word: `operation:16 | flags:16`. No flag has a meaning yet, and a receiver refuses
/// those that it does not know.
pub mod request {
    /// The word of a request.
    pub const fn word(operation: u16) -> u32 {
        operation as u32
    }

    /// The operation; `None` if a flag is set.
    pub const fn operation(word: u32) -> Option<u16> {
        if word >> 16 == 0 { Some(word as u16) } else { None }
    }
}

/// A reply's word: `token:24 | status:8`.
pub mod reply {
    /// Bits of a token: a ring of 256 MiB has so many places for a record.
    pub const TOKEN_BITS: u32 = 24;

    /// The word of a reply.
    pub const fn word(token: u32, status: u8) -> u32 {
        token & ((1 << TOKEN_BITS) - 1) | (status as u32) << TOKEN_BITS
    }

    /// Token and status code.
    pub const fn parts(word: u32) -> (u32, u8) {
        (word & ((1 << TOKEN_BITS) - 1), (word >> TOKEN_BITS) as u8)
    }
}

/// What a record hands over beside bytes: two words.
///
/// ```text
///  | kind:8 | zero:24 | length:32 | offset:64 |
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// A buffer of the sender's pool; it goes back when the record is released.
    Lent {
        /// Where it begins in the pool.
        offset: u64,
        /// Its bytes.
        length: u32,
    },
}

impl Item {
    const LENT: u64 = 1;

    /// As two words.
    pub const fn to_words(self) -> [u64; 2] {
        let Self::Lent { offset, length } = self;
        [Self::LENT | (length as u64) << 32, offset]
    }

    /// From two words; `None` if its kind is none that exists.
    pub const fn from_words([first, offset]: [u64; 2]) -> Option<Self> {
        if first as u32 as u64 != Self::LENT {
            return None;
        }
        Some(Self::Lent { offset, length: (first >> 32) as u32 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::support::cases(256))]

        #[test]
        fn a_head_survives_its_bits(length in 0u32..1 << 24, kind in 1u8..=6, items in 0u8..16, word: u32) {
            let head = Head { length, kind: Kind::from_bits(kind).unwrap(), items, word };
            prop_assert_eq!(Head::from_bits(head.to_bits()), Some(head));
        }

        #[test]
        fn an_item_survives_its_words(offset: u64, length: u32) {
            let item = Item::Lent { offset, length };
            prop_assert_eq!(Item::from_words(item.to_words()), Some(item));
        }

        #[test]
        fn any_words_are_an_item_or_none(first: u64, second: u64) {
            if let Some(item) = Item::from_words([first, second]) {
                prop_assert_eq!(item.to_words(), [first, second]);
            }
        }

        #[test]
        fn words_keep_their_parts(operation: u16, token in 0u32..1 << 24, status: u8) {
            prop_assert_eq!(request::operation(request::word(operation)), Some(operation));
            prop_assert_eq!(reply::parts(reply::word(token, status)), (token, status));
            prop_assert_eq!(request::operation(request::word(operation) | 1 << 16), None);
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
        assert_eq!(size(0, SHORT), 64);
        assert_eq!(size(0, 0), 16);
        assert_eq!(size(0, 1), 32);
        assert_eq!(size(1, 32), 64);
    }
}

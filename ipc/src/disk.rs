//! What a domain and the VMM's disk service say to each other about the disk that the manifest
//! lends to the domain.
//!
//! A disk is an array of bytes of a fixed size, all zeros where nothing was written. Requests are
//! messages like any other, and their blocks lie in lent buffers: the service reads and writes the
//! host's file from and to the memory that both ends share.
//!
//! | operation | request | reply |
//! |---|---|---|
//! | [`Op::Describe`] | – | [`Description`] |
//! | [`Op::Read`] | [`Extent`] | an [`Outcome`], and the bytes in a buffer |
//! | [`Op::Write`] | [`Extent`], and the bytes in a buffer of just that length | an [`Outcome`] |
//! | [`Op::Flush`] | – | an [`Outcome`] |
//! | [`Op::Discard`] | [`Extent`] | an [`Outcome`] |
//! | [`Op::Note`] | text (one way) | – |
//!
//! A request that is no such thing, or reaches beyond the disk, or is not made of whole
//! [blocks](Description::block), is refused as `Malformed`. Requests are carried out one after the
//! other, in the order in which they were sent. What was written is safe from the death of the
//! domain at once; it is safe from that of the VMM, the host and its power when the write was
//! [`Extent::DURABLE`], or a later flush is answered with [`Outcome::Done`].
//!
//! A domain that restarts finds its outstanding requests settled: before the first request of the
//! new incarnation is looked at, each one that the old one sent was carried out or forgotten.

/// The name of the interface, and of the channel if the manifest gives no other.
pub const DISK: &str = "disk";

/// Version of what is spoken.
pub const VERSION: u32 = 1;

/// What can be asked of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Op {
    /// What kind of disk it is.
    Describe = 1,
    /// Bytes of it.
    Read = 2,
    /// Puts bytes onto it.
    Write = 3,
    /// Makes everything durable that was written so far.
    Flush = 4,
    /// Makes bytes zero again, and gives their room on the host back.
    Discard = 5,
    /// Says how the domain uses the disk, for people: lines of `name value`. They are shown as they
    /// are, and each note replaces the last one.
    Note = 6,
}

impl Op {
    /// The operation with this number, if there is one.
    pub const fn from_code(code: u16) -> Option<Self> {
        Some(match code {
            1 => Self::Describe,
            2 => Self::Read,
            3 => Self::Write,
            4 => Self::Flush,
            5 => Self::Discard,
            6 => Self::Note,
            _ => return None,
        })
    }
}

/// Most bytes of a note.
pub const NOTE_MAX: usize = 1024;

/// A part of a disk, and what is to be made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Its first byte.
    pub offset: u64,
    /// How many bytes it has.
    pub length: u64,
    /// [`Extent::DURABLE`], or nothing.
    pub flags: u64,
}

impl Extent {
    /// A write is answered when it, and all that was written before it, is durable.
    pub const DURABLE: u64 = 1;
    /// Bytes of its encoding: the three words, little-endian.
    pub const LEN: usize = 24;

    /// As it is sent.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        words([self.offset, self.length, self.flags])
    }

    /// From what was received.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let [offset, length, flags] = numbers(bytes)?;
        Some(Self { offset, length, flags })
    }
}

/// What kind of disk it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its bytes, as many as the manifest allows.
    pub size: u64,
    /// Offsets and lengths are multiples of this; a block is written whole or not at all, whatever
    /// happens meanwhile. A power of two from 512.
    pub block: u64,
    /// Most bytes of one request.
    pub most: u64,
    /// Bytes from here on were never written when the system was started: they are zero.
    pub fresh: u64,
}

impl Description {
    /// Bytes of its encoding: the four words, little-endian.
    pub const LEN: usize = 32;

    /// As it is sent.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        words([self.size, self.block, self.most, self.fresh])
    }

    /// From what was received.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let [size, block, most, fresh] = numbers(bytes)?;
        Some(Self { size, block, most, fresh })
    }
}

/// What came of a request, as the word that its reply's payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Outcome {
    /// It is done.
    Done = 0,
    /// The host has no room left. Nothing, or a part, was written.
    Full = 1,
    /// The host's disk failed. What an unsuccessful write, or a flush, was to make durable may or
    /// may not be so, and no later flush tells: whoever needs to know reads it again after a restart
    /// of the system.
    Failed = 2,
    /// The disk can only be read.
    ReadOnly = 3,
}

impl Outcome {
    /// Bytes of its encoding.
    pub const LEN: usize = 8;

    /// As it is sent.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        (self as u64).to_le_bytes()
    }

    /// From what was received.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let [code] = numbers(bytes)?;
        Some(match code {
            0 => Self::Done,
            1 => Self::Full,
            2 => Self::Failed,
            3 => Self::ReadOnly,
            _ => return None,
        })
    }
}

fn words<const N: usize, const LEN: usize>(words: [u64; N]) -> [u8; LEN] {
    const { assert!(LEN == N * size_of::<u64>()) };
    let mut bytes = [0; LEN];
    for (place, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
        *place = word.to_le_bytes();
    }
    bytes
}

fn numbers<const N: usize>(bytes: &[u8]) -> Option<[u64; N]> {
    let (words, []) = bytes.as_chunks() else { return None };
    let words: &[[u8; 8]; N] = words.try_into().ok()?;
    Some(words.map(u64::from_le_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_what_is_received() {
        let extent = Extent { offset: 1 << 40, length: 4096, flags: Extent::DURABLE };
        assert_eq!(Extent::from_bytes(&extent.to_bytes()), Some(extent));
        let disk = Description { size: 1 << 30, block: 4096, most: 1 << 20, fresh: 0 };
        assert_eq!(Description::from_bytes(&disk.to_bytes()), Some(disk));
        for outcome in [Outcome::Done, Outcome::Full, Outcome::Failed, Outcome::ReadOnly] {
            assert_eq!(Outcome::from_bytes(&outcome.to_bytes()), Some(outcome));
        }
    }

    #[test]
    fn what_is_too_short_or_too_long_or_unknown_is_nothing() {
        assert_eq!(Extent::from_bytes(&[0; 23]), None);
        assert_eq!(Extent::from_bytes(&[0; 32]), None);
        assert_eq!(Description::from_bytes(&[0; 24]), None);
        assert_eq!(Outcome::from_bytes(&[]), None);
        assert_eq!(Outcome::from_bytes(&4_u64.to_le_bytes()), None);
        for code in (0..10).chain([u16::MAX]) {
            assert_eq!(
                Op::from_code(code).map(|op| op as u16),
                (1..7).contains(&code).then_some(code)
            );
        }
    }
}

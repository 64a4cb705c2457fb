//! What clients and servers of a storm say to each other.
//!
//! Both ends can tell every byte of a message from its nonce, so whatever is lost, cut, mixed up
//! or answered with another's answer is noticed where it arrives.

use crate::random::nth;

/// Operations of the port `storm`.
pub mod op {
    /// Answered with its payload, each bit turned over: for messages too short for a [`Head`].
    ///
    /// [`Head`]: super::Head
    pub const INVERT: u16 = 1;
    /// A head and a body; the answer is a body of the length that the head asks for.
    pub const EXCHANGE: u16 = 2;
    /// Never answered, until [`RELEASE`].
    pub const KEEP: u16 = 3;
    /// Answers those that were kept, the latest first.
    pub const RELEASE: u16 = 4;
    /// What the server has counted, as a line of text.
    pub const COUNTS: u16 = 5;
    /// Which clients were served, in order, a byte each; forgets it.
    pub const ORDER: u16 = 6;
    /// Refused.
    pub const DENY: u16 = 7;
    /// Given up without an answer.
    pub const DROP: u16 = 8;
    /// Answered in place with more than the ring carries.
    pub const BURST: u16 = 9;
    /// The server scribbles over the memory of all its channels; the payload is the seed.
    pub const SCRIBBLE: u16 = 10;
    /// The server dies of it, unless it was delivered as often before as the payload has bytes. The
    /// answer is a byte for each time that it was.
    pub const CRASH: u16 = 11;
}

/// The answer lies in a buffer that the server lends, and its nonce beside it.
pub const LEND: u32 = 1;
/// The answer may be overtaken by others.
pub const DEFER: u32 = 2;

/// What an [`op::EXCHANGE`] begins with.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// From which both bodies follow.
    pub nonce: u64,
    /// Bytes of the answer.
    pub reply: u32,
    /// [`LEND`], [`DEFER`].
    pub flags: u32,
}

impl Head {
    pub const SIZE: usize = 16;

    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..8].copy_from_slice(&self.nonce.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.reply.to_le_bytes());
        bytes[12..].copy_from_slice(&self.flags.to_le_bytes());
        bytes
    }

    pub fn of(bytes: &[u8]) -> Option<Self> {
        let (nonce, rest) = bytes.split_first_chunk()?;
        let (reply, rest) = rest.split_first_chunk()?;
        let (flags, _) = rest.split_first_chunk()?;
        Some(Self {
            nonce: u64::from_le_bytes(*nonce),
            reply: u32::from_le_bytes(*reply),
            flags: u32::from_le_bytes(*flags),
        })
    }

    /// The nonce of the answer's body.
    pub const fn answer(self) -> u64 {
        !self.nonce
    }
}

/// Fills a body, or the part of one that begins at a multiple of 8.
pub fn fill(nonce: u64, at: usize, bytes: &mut [u8]) {
    for (n, chunk) in bytes.chunks_mut(8).enumerate() {
        chunk.copy_from_slice(&nth(nonce, at / 8 + n).to_le_bytes()[..chunk.len()]);
    }
}

/// Whether these are the bytes of a body, from a multiple of 8 on.
pub fn is_body(nonce: u64, at: usize, bytes: &[u8]) -> bool {
    let mut chunks = bytes.chunks(8).enumerate();
    chunks.all(|(n, chunk)| nth(nonce, at / 8 + n).to_le_bytes()[..chunk.len()] == *chunk)
}

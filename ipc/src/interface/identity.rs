//! Who an interface is, and whether both ends mean the same one.

use core::fmt;

pub use crate::abi::Interface;
use crate::abi::Name;

/// Why a stub was not bound: the channel leads to another interface than the stub speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindError {
    /// The channel.
    pub channel: Name,
    /// What the stub speaks.
    pub wanted: &'static Interface,
    /// What the port at the channel's other end speaks.
    pub found: Interface,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { channel, wanted, found } = self;
        if (wanted.name, wanted.version) == (found.name, found.version) {
            write!(
                f,
                "channel `{channel}` leads to another definition of interface {wanted} \
                 (fingerprint {:016x}, wanted {:016x}): build both ends from one definition, \
                 and raise the version when it changes",
                found.fingerprint, wanted.fingerprint
            )
        } else {
            write!(
                f,
                "channel `{channel}` leads to interface {found}, but {wanted} is wanted: \
                 join it to a port that speaks {wanted}"
            )
        }
    }
}

impl core::error::Error for BindError {}

/// Compares what a channel leads to with what a stub speaks.
pub(super) fn check(
    channel: Name,
    wanted: &'static Interface,
    found: Interface,
) -> Result<(), BindError> {
    if *wanted == found { Ok(()) } else { Err(BindError { channel, wanted, found }) }
}

/// A digest of operations, each given by its number and the text of its declaration.
///
/// Neither their order nor the spaces in the text count, for both may change where nothing else
/// does. Types enter by the text that names them: a field added to a struct goes unnoticed, and
/// is the author's to note in the version.
pub const fn fingerprint(operations: &[(u16, &str)]) -> u64 {
    let mut sum = 0u64;
    let mut at = 0;
    while at < operations.len() {
        let (number, text) = operations[at];
        sum = sum.wrapping_add(mix(digest(number, text.as_bytes())));
        at += 1;
    }
    sum
}

/// FNV-1a, 64 bits.
const fn digest(number: u16, text: &[u8]) -> u64 {
    let mut hash = absorb(absorb(0xcbf2_9ce4_8422_2325, number as u8), (number >> 8) as u8);
    let mut at = 0;
    while at < text.len() {
        if !text[at].is_ascii_whitespace() {
            hash = absorb(hash, text[at]);
        }
        at += 1;
    }
    hash
}

const fn absorb(hash: u64, byte: u8) -> u64 {
    (hash ^ byte as u64).wrapping_mul(0x0000_0100_0000_01b3)
}

/// SplitMix64's finaliser: FNV leaves the hashes of similar texts alike, and alike summands
/// could make up for each other's changes.
const fn mix(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// Whether no two of the numbers are the same.
pub const fn distinct(numbers: &[u16]) -> bool {
    let mut at = 0;
    while at < numbers.len() {
        let mut other = at + 1;
        while other < numbers.len() {
            if numbers[at] == numbers[other] {
                return false;
            }
            other += 1;
        }
        at += 1;
    }
    true
}

//! The layout of a file: a fixed header, a head in postcard, then the contents of memory.
//!
//! | offset | size | what |
//! |---:|---:|---|
//! | 0 | 8 | the bytes `ATOLSNAP` |
//! | 8 | 32 | BLAKE3 hash of everything from offset 40 to the end |
//! | 40 | 4 | format version |
//! | 44 | 4 | ABI version |
//! | 48 | 8 | length of the head |
//! | 56 | 8 | length of the contents |
//! | 64 | | head, then contents, and nothing behind it |

use atoll_ipc::abi::ABI_VERSION;
use serde::{Deserialize, Serialize};

use super::error::Unreadable;
use super::facts::{DomainFacts, OnDisk};
use super::host::HostFacts;

/// Version of the format that this module reads and writes.
pub(super) const FORMAT_VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"ATOLSNAP";
/// Where the hash lies; it covers everything from [`HASHED`] on.
const HASH: usize = 8;
const HASHED: usize = 40;
const ABI: usize = 44;
const HEAD_LENGTH: usize = 48;
const CONTENTS_LENGTH: usize = 56;
/// Length of the header.
pub(super) const HEADER: usize = 64;

/// The area of a domain that is its memory.
pub(super) const MEMORY: &str = "memory";
/// The area that is its state region, by offsets.
pub(super) const STATE: &str = "state";

/// All of a file but what was in memory.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Head {
    /// Version of the VMM that wrote it.
    pub(super) vmm: String,
    pub(super) host: HostFacts,
    /// The system's name.
    pub(super) system: String,
    /// The text of its manifest.
    pub(super) manifest: String,
    /// Whether it is one of the system, not of one domain.
    pub(super) is_whole: bool,
    /// Domains of the system that are not in it.
    pub(super) on_disks: Vec<OnDisk>,
    /// When it was taken, in microseconds since 1970.
    pub(super) taken: u64,
    /// The longest time that a domain stood still for it, in microseconds.
    pub(super) stood: u64,
    pub(super) domains: Vec<DomainHead>,
}

/// One domain.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct DomainHead {
    pub(super) facts: DomainFacts,
    pub(super) epoch: u32,
    pub(super) registers: Vec<u64>,
    pub(super) vectors: Vec<u8>,
    pub(super) areas: Vec<Area>,
}

/// A stretch of the domain's addresses. The contents of all areas follow each other in the file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Area {
    pub(super) name: String,
    /// First address and length of what is not zero, in their order.
    pub(super) extents: Vec<(u64, u64)>,
}

/// A whole file, taken apart.
#[derive(Debug)]
pub(super) struct Parts<'f> {
    pub(super) head: Head,
    pub(super) contents: &'f [u8],
}

/// Takes a file apart, if it is whole and of this version.
///
/// The format version comes before the hash, because another format may hash differently; the ABI
/// version after it, because damage should be called damage.
pub(super) fn split(file: &[u8]) -> Result<Parts<'_>, Unreadable> {
    let length = file.len() as u64;
    if !MAGIC.starts_with(&file[..file.len().min(MAGIC.len())]) || file.is_empty() {
        return Err(Unreadable::Magic);
    }
    let header = file.first_chunk::<HEADER>().ok_or(Unreadable::Headless { length })?;
    let format = u32_at(header, HASHED);
    if format != FORMAT_VERSION {
        return Err(Unreadable::Format { found: format });
    }
    let (head, contents) = (u64_at(header, HEAD_LENGTH), u64_at(header, CONTENTS_LENGTH));
    let stated = (HEADER as u64).saturating_add(head).saturating_add(contents);
    if length != stated {
        return Err(Unreadable::Length { length, stated });
    }
    if blake3::hash(&file[HASHED..]).as_bytes()[..] != header[HASH..HASHED] {
        return Err(Unreadable::Hash);
    }
    let abi = u32_at(header, ABI);
    if abi != ABI_VERSION {
        return Err(Unreadable::Abi { found: abi });
    }
    let (head, contents) = file[HEADER..].split_at(head as usize);
    let malformed = |why: String| Unreadable::Head { why };
    let (head, rest) =
        postcard::take_from_bytes(head).map_err(|error| malformed(error.to_string()))?;
    match rest.len() {
        0 => Ok(Parts { head, contents }),
        left => Err(malformed(format!("{left} bytes of it are left over"))),
    }
}

/// What a file begins with, for a head and contents in pieces.
pub(super) fn front(head: &Head, contents: &[Vec<u8>]) -> Result<Vec<u8>, postcard::Error> {
    let head = postcard::to_allocvec(head)?;
    let length: usize = contents.iter().map(Vec::len).sum();
    let mut front = Vec::with_capacity(HEADER + head.len());
    front.extend(MAGIC);
    front.extend([0; HASHED - HASH]);
    front.extend(FORMAT_VERSION.to_le_bytes());
    front.extend(ABI_VERSION.to_le_bytes());
    front.extend((head.len() as u64).to_le_bytes());
    front.extend((length as u64).to_le_bytes());
    front.extend(head);
    let mut hasher = blake3::Hasher::new();
    hasher.update(&front[HASHED..]);
    for piece in contents {
        hasher.update(piece);
    }
    front[HASH..HASHED].copy_from_slice(hasher.finalize().as_bytes());
    Ok(front)
}

fn u32_at(header: &[u8; HEADER], at: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&header[at..at + 4]);
    u32::from_le_bytes(bytes)
}

fn u64_at(header: &[u8; HEADER], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&header[at..at + 8]);
    u64::from_le_bytes(bytes)
}

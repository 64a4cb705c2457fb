//! The container: a fixed header around metadata and payload, with a hash over both.
//!
//! This file knows where the parts lie and whether they are whole; what they mean is the
//! business of [`crate::check`] and [`crate::payload`].

use crate::error::ImageError;
use crate::hash::Hash;
use crate::layout::{FILE_MAX, METADATA_MAX};
use crate::wire::Metadata;
use atoll_ipc::abi::ABI_VERSION;

/// Version of the file format that this crate reads and writes.
pub const FORMAT_VERSION: u32 = 2;

/// The first bytes of every image.
pub(crate) const MAGIC: [u8; 8] = *b"ATOLLIMG";

/// Where the hash lies; it covers everything from [`HASHED`] on.
const HASH: usize = 8;
const HASHED: usize = 40;
const ABI: usize = 44;
const METADATA_LENGTH: usize = 48;
const PAYLOAD_LENGTH: usize = 56;

/// Length of the header, and so the place of the metadata.
pub(crate) const HEADER: usize = 64;

/// A whole file, taken apart.
pub(crate) struct Parts<'a> {
    pub hash: Hash,
    pub abi_version: u32,
    pub metadata: &'a [u8],
    pub payload: &'a [u8],
}

/// Takes a file apart, if it is whole and of this version.
///
/// The format version comes before the hash, because another format may hash differently; the
/// ABI version after it, because damage should be called damage.
pub(crate) fn split(file: &[u8]) -> Result<Parts<'_>, ImageError> {
    let length = file.len() as u64;
    if length > FILE_MAX {
        return Err(ImageError::TooLong { length });
    }
    check_magic(file)?;
    let header = file.first_chunk::<HEADER>().ok_or(ImageError::Headless { length })?;
    check_format(header)?;
    let (metadata, payload) = split_body(header, file)?;
    let hash = check_hash(header, file)?;
    let abi_version = check_abi(header)?;
    Ok(Parts { hash, abi_version, metadata, payload })
}

fn check_magic(file: &[u8]) -> Result<(), ImageError> {
    let start = &file[..file.len().min(MAGIC.len())];
    if !MAGIC.starts_with(start) {
        return Err(ImageError::Magic { found: start.escape_ascii().to_string() });
    }
    Ok(())
}

fn check_format(header: &[u8; HEADER]) -> Result<(), ImageError> {
    let found = u32_at(header, HASHED);
    if found != FORMAT_VERSION {
        return Err(ImageError::FormatVersion { found });
    }
    Ok(())
}

fn check_abi(header: &[u8; HEADER]) -> Result<u32, ImageError> {
    let found = u32_at(header, ABI);
    if found != ABI_VERSION {
        return Err(ImageError::AbiVersion { found });
    }
    Ok(found)
}

/// Metadata and payload, if the file is exactly as long as its header says.
fn split_body<'a>(
    header: &[u8; HEADER],
    file: &'a [u8],
) -> Result<(&'a [u8], &'a [u8]), ImageError> {
    let metadata = u64_at(header, METADATA_LENGTH);
    let payload = u64_at(header, PAYLOAD_LENGTH);
    let length = file.len() as u64;
    let stated = (HEADER as u64).saturating_add(metadata).saturating_add(payload);
    if length < stated {
        return Err(ImageError::Truncated { length, stated });
    }
    if length > stated {
        return Err(ImageError::Trailing { length, stated });
    }
    if metadata > METADATA_MAX {
        return Err(ImageError::MetadataTooLong { length: metadata });
    }
    Ok(file[HEADER..].split_at(metadata as usize))
}

fn check_hash(header: &[u8; HEADER], file: &[u8]) -> Result<Hash, ImageError> {
    let mut stated = [0; HASHED - HASH];
    stated.copy_from_slice(&header[HASH..HASHED]);
    let stated = Hash::stated(stated);
    let actual = Hash::of(&file[HASHED..]);
    if stated != actual {
        return Err(ImageError::WrongHash { stated, actual });
    }
    Ok(actual)
}

/// The metadata, decoded to the last byte.
pub(crate) fn decode(metadata: &[u8]) -> Result<Metadata<'_>, ImageError> {
    let (decoded, rest) = postcard::take_from_bytes(metadata)
        .map_err(|error| ImageError::Metadata { detail: error.to_string() })?;
    if !rest.is_empty() {
        let detail = format!("{} bytes are left over", rest.len());
        return Err(ImageError::Metadata { detail });
    }
    Ok(decoded)
}

/// Puts a file together: the reverse of [`split`].
#[cfg(any(feature = "build", test))]
pub(crate) fn join(metadata: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut file = Vec::with_capacity(HEADER + metadata.len() + payload.len());
    file.extend(MAGIC);
    file.extend([0; HASHED - HASH]);
    file.extend(FORMAT_VERSION.to_le_bytes());
    file.extend(ABI_VERSION.to_le_bytes());
    file.extend((metadata.len() as u64).to_le_bytes());
    file.extend((payload.len() as u64).to_le_bytes());
    file.extend(metadata);
    file.extend(payload);
    let hash = Hash::of(&file[HASHED..]);
    file[HASH..HASHED].copy_from_slice(&hash.to_bytes());
    file
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

//! Image files: what the nucleus loads into a domain.
//!
//! An image is one server program, made ready to run: its segments with their rights, its entry,
//! the ports that it declares, its symbols for backtraces, and a hash over all of it. This
//! crate owns the file format ([`Image`] reads and verifies it) and, with the feature `build`,
//! the way from an ELF file to an image (`build`).
//!
//! The reader is written for hostile files: whatever the bytes, [`Image::parse`] returns an
//! image that keeps every rule below, or an error that names place, value and remedy. It never
//! panics, and what it allocates is bounded: the file, of at most [`FILE_MAX`] bytes, and its
//! decoded metadata, at worst some twenty times [`METADATA_MAX`].
//!
//! # The file
//!
//! All integers are little-endian.
//!
//! | offset | size | what |
//! |-------:|-----:|------|
//! | 0      | 8    | magic, `ATOLLIMG` |
//! | 8      | 32   | BLAKE3 hash of everything from offset 40 to the end of the file |
//! | 40     | 4    | format version, [`FORMAT_VERSION`] |
//! | 44     | 4    | ABI version, [`atoll_ipc::abi::ABI_VERSION`] of the guest kernel inside |
//! | 48     | 8    | length of the metadata |
//! | 56     | 8    | length of the payload |
//! | 64     |      | metadata, in postcard's encoding |
//! |        |      | payload: an ELF file of program headers and segment bytes, nothing else |
//!
//! The hash tells a damaged file from a whole one. It is no signature: who can write the file
//! can write the hash, which is why everything else is checked as well.
//!
//! # Rules that every image keeps
//!
//! - Segments begin on a page, lie in [`IMAGE_BASE`]`..`[`IMAGE_END`], ascend, share no page, and
//!   are never both writable and executable.
//! - The entry is in the bytes of an executable segment that ring 3 may use.
//! - A supervisor segment holds the exception stubs and nothing else, and there is at most one.
//! - Names are names ([`atoll_ipc::abi::Name`]); port names are unique.
//! - The payload's headers are exactly those that the metadata implies, with physical addresses
//!   equal to virtual ones.

#![warn(missing_docs)]

mod check;
mod container;
mod error;
mod executable;
#[cfg(test)]
mod fixture;
mod hash;
mod image;
mod layout;
mod payload;
mod symbols;
mod wire;

#[cfg(feature = "build")]
pub mod build;

pub use container::FORMAT_VERSION;
pub use error::{ImageError, OpenError};
pub use hash::Hash;
pub use image::{Image, Port, Rights, Segment};
pub use layout::{
    FILE_MAX, IMAGE_BASE, IMAGE_END, METADATA_MAX, PAGE_SIZE, PORTS_MAX, SEGMENTS_MAX,
};
pub use symbols::Symbol;

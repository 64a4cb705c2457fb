//! Owns why a store does not open.

use alloc::string::String;

use crate::disk::DiskError;
use crate::layout::{SIZE_MIN, UNIT};
use crate::superblock::VERSION;

/// Why a store does not open. Nothing was written then, but for what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The disk did not do what it should.
    #[error("{doing}: {error}")]
    Disk {
        /// What it should do.
        doing: &'static str,
        /// What it said.
        error: DiskError,
    },
    /// There is too little of the disk.
    #[error(
        "the disk has {size} bytes, and a store needs {SIZE_MIN}: give it a larger `size` in the \
         manifest"
    )]
    Small {
        /// Its bytes.
        size: u64,
    },
    /// Its blocks are too large.
    #[error("the disk has blocks of {block} bytes, and a store writes units of {UNIT}")]
    Block {
        /// Bytes of a block.
        block: u64,
    },
    /// The store was larger when it was made.
    #[error(
        "the disk has {size} bytes, and the store on it {wanted}: give the disk its former `size` \
         in the manifest; a store may grow but not shrink"
    )]
    Shrunk {
        /// The disk's bytes.
        size: u64,
        /// The store's.
        wanted: u64,
    },
    /// Somebody else's data.
    #[error(
        "the disk holds something that is no store (the first byte that is not zero is at \
         {offset}): it stays as it is. Name another file in the manifest, or remove this one"
    )]
    Foreign {
        /// Where it begins.
        offset: u64,
    },
    /// A store of another release.
    #[error(
        "the disk holds a store of format {found}, and this release reads format {VERSION}: it \
         stays as it is. Run the release that wrote it, or name another file in the manifest"
    )]
    Version {
        /// Its format.
        found: u32,
    },
    /// Another store.
    #[error(
        "the disk holds the store `{found}`, and this is `{wanted}`: it stays as it is. Name \
         another file in the manifest, or have the store take it over with the argument \
         `adopt={found}`"
    )]
    Other {
        /// The name of the store on the disk.
        found: String,
        /// The name of this one.
        wanted: String,
    },
    /// Both slots of the superblock are broken.
    #[error(
        "both copies of the store's superblock are damaged: it stays as it is. Restore the file \
         from a backup, or name another one in the manifest"
    )]
    Superblock,
    /// The log is broken where it is known to have been whole.
    #[error(
        "the store's log is damaged at byte {offset} of the disk ({what}): it stays as it is. \
         Restore the file from a backup; or have the log end there, and lose what came after, \
         with the argument `repair=truncate`"
    )]
    Damaged {
        /// Where the first broken frame begins.
        offset: u64,
        /// What is wrong.
        what: Damage,
    },
    /// The living keys do not fit into memory.
    #[error(
        "the keys of this store need more than the {memory} bytes of memory that there are for \
         them: give the domain more `memory` in the manifest"
    )]
    Memory {
        /// Bytes that there are.
        memory: usize,
    },
}

/// How a log is known to be damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Something that was written later is whole.
    #[error("frame {found}, which was written after it, is whole")]
    Later {
        /// The sequence number of a later frame.
        found: u64,
    },
    /// The superblock says that the log reaches further.
    #[error("the log is known to reach {missing} bytes further")]
    Short {
        /// How much further, at least.
        missing: u64,
    },
    /// The frame is whole, but no frame of this format.
    #[error("its contents make no sense")]
    Nonsense,
}

//! Snapshots: domains as they were at one moment, in a file, from which they can begin again: in
//! this system or another one, on this host or another one of its kind.
//!
//! A snapshot has what cannot be made again: of each domain the registers and the memory that its
//! server can write, taken while that was [at rest](crate::domain::Checkpoint). Everything else
//! follows from the manifest and the images, which the file names by their hashes. So nothing that
//! stands in a file gives a server anything that it could not have had before: no page table, no
//! privilege, no other memory.
//!
//! | file | what |
//! |---|---|
//! | `format` | how a file is laid out, and whether it is whole |
//! | `facts` | what a domain must be like for its checkpoint to fit |
//! | `host` | what a host must be like |
//! | `read`, `write` | from a file, and to one |
//! | `draft` | a file that is whole or not there |
//!
//! Reading trusts nothing: the hash finds damage, not malice, so that each length and address is
//! bounded before it is used.

mod draft;
mod error;
mod facts;
mod format;
mod host;
mod read;
mod write;

pub use draft::{Draft, DraftError};
pub use error::{Misfit, SnapshotError, Unreadable};
pub use facts::{ChannelFacts, DomainFacts, OnDisk};
pub use host::HostFacts;
pub use read::{Saved, Snapshot};
pub use write::{Shot, encode};

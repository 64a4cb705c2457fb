//! A store of keyed records that are on disk when it says so: all of it but its surroundings.
//!
//! What it speaks is in [`interface`] and [`record`]. It keeps its records in a log on a [`Disk`]:
//! a circle of frames, each with a checksum, each durable before the next one is written. What
//! lives is known in memory, and is moved from the log's end to its beginning before its old place
//! is used again.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod clean;
mod disk;
mod error;
mod frame;
mod index;
pub mod interface;
mod layout;
mod log;
pub mod record;
mod recover;
mod server;
mod store;
mod superblock;
mod tape;
mod trial;
mod window;

#[cfg(test)]
mod tests;

pub use clean::Trouble;
pub use disk::{Disk, DiskError};
pub use error::{Damage, OpenError};
pub use layout::{SIZE_MIN, UNIT};
pub use recover::{Options, Progress};
pub use server::{CHUNK, Space};
pub use store::{Added, Store};

//! A store of keyed records that are on disk when it says so.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod interface;
pub mod record;

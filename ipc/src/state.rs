//! State that a restart keeps: how it lies in a domain's state region, so that a half-written update
//! is never taken for a whole one.
//!
//! A region, or a part of one, begins with a page for two [`Stamp`]s. A stamp says whose the contents
//! are (name, version, image, size), which incarnation wrote them, and what they must add up to. It
//! counts when its last word, the seal, fits the others; that word is written last. So a death
//! between any two stores leaves a stamp that counts or one that does not, and the newer one of those
//! that do is the truth.
//!
//! | offset | what |
//! |---|---|
//! | 0, 256 | the two stamps |
//! | 512 | of an [`arena`]: its gate |
//! | 4096 | contents: two places for a [`Value`], or an arena's root and heap |
//!
//! What dies here is a vCPU, between two of its instructions: its stores before are all there, those
//! after are not. So it is enough that the compiler keeps the order of stores, where it matters.

pub mod arena;
mod checksum;
mod foreign;
mod memory;
mod stamp;
mod value;

pub use checksum::{Checksum, checksum};
pub use foreign::Foreign;
pub use memory::Memory;
pub use stamp::{FORMAT, HEAD, Kind, Owner, Stamp};
pub use value::{TooLong, Value};

#[cfg(test)]
mod tests;

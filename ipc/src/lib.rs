//! The protocol that domains and the nucleus share.
//!
//! Everything that crosses the wall between two micro-VMs, or between a micro-VM and the
//! nucleus, is defined here and nowhere else: how records lie in a ring ([`record`], [`ring`]),
//! what a channel's shared memory looks like ([`channel`]), the two ends of a channel
//! ([`client`], [`server`]), how a host byte stream becomes messages ([`stream`]), and what the
//! nucleus and a guest kernel promise each other ([`abi`]).
//!
//! The crate does no I/O, allocates nothing, and knows neither KVM nor any particular server,
//! so the same code runs in a guest, in the VMM, under Miri and under loom.

#![no_std]
#![warn(missing_docs)]

#[cfg(any(test, loom))]
extern crate std;

// Test support is shared with the integration tests, which know the crate by this name.
#[cfg(test)]
extern crate self as atoll_ipc;

pub mod abi;
pub mod channel;
pub mod client;
mod control;
mod geometry;
pub mod message;
pub mod record;
pub mod ring;
pub mod server;
pub mod stream;
pub mod sync;
pub mod words;

#[cfg(test)]
mod conversations;
#[cfg(test)]
mod hostile;
#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;

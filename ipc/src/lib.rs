//! The protocol that domains and the nucleus share.
//!
//! Everything that crosses the wall between two micro-VMs, or between a micro-VM and the
//! nucleus, is defined here and nowhere else: how records lie in a ring ([`record`], [`ring`]),
//! what a channel's shared memory looks like ([`channel`]), how buffers are lent ([`lend`]), how a
//! server finds who wants its attention ([`ready`]), the two ends of a channel ([`client`],
//! [`server`]), several calls at a time ([`calls`]), how a host byte stream becomes messages ([`stream`]), and what the
//! nucleus and a guest kernel promise each other ([`abi`]).
//!
//! What is said over a channel is typed by one definition for both ends ([`mod@interface`]). One
//! such definition is the system's own: what is asked of supervisor domains ([`bailout`]). What is
//! asked of disks has a form of its own, as their blocks are never copied ([`disk`]). What a domain
//! keeps when it is restarted lies in memory as [`state`] says.
//!
//! The crate does no I/O, allocates nothing (but to keep answers that nobody has asked for yet, in
//! [`calls`]), and knows neither KVM nor any particular server,
//! so the same code runs in a guest, in the VMM, under Miri and under loom.

#![no_std]
#![warn(missing_docs)]

#[cfg(any(test, loom))]
extern crate std;

// Test support is shared with the integration tests, which know the crate by this name.
#[cfg(test)]
extern crate self as atoll_ipc;

pub mod abi;
pub mod bailout;
pub mod calls;
pub mod channel;
pub mod client;
mod control;
pub mod disk;
mod geometry;
mod in_service;
pub mod interface;
pub mod lend;
pub mod load;
pub mod message;
pub mod ready;
pub mod record;
pub mod ring;
pub mod server;
pub mod state;
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

//! The harness of the whole-system tests: it starts a system on KVM as a user does, with the `vmm`
//! command and a manifest, and drives it as clients do, through its gateways and its control API.
//!
//! Nothing here links the VMM: what a test can see is what a user can see.
//!
//! | module | owns |
//! |---|---|
//! | [`environment`] | where things are, how patient to be, whether KVM is there |
//! | [`process`] | commands that must end in time |
//! | [`records`] | a running command's lines of JSON, waited for |
//! | [`system`] | one running system: its directory, its start, its orderly end |
//! | [`control`] | the control API, through the command line and as raw HTTP |
//! | [`socket`] | a client's connection, TCP or Unix alike |
//! | [`lines`] | clients of servers that speak lines |
//! | [`storm`] | clients and servers of storms of messages |
//! | [`resp`] | clients that speak RESP2, byte for byte |
//! | [`ledger`] | the independent judge of durability |
//! | [`snapshots`] | what tests of snapshots have in common |
//! | [`program`] | guest programs of a few instructions, made into images |
//!
//! Everything panics with a message when it is disappointed: it is a part of tests.

#![warn(missing_docs)]

pub mod control;
pub mod environment;
pub mod ledger;
pub mod lines;
pub mod process;
pub mod program;
pub mod records;
pub mod resp;
pub mod snapshots;
pub mod socket;
pub mod storm;
pub mod system;

pub use lines::Lines;
pub use resp::{Reply, Resp};
pub use system::{Place, System};

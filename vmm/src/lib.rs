//! Atoll's VMM: the nucleus that runs each server in a micro-VM of its own, as a library, and the
//! `vmm` command on top of it.
//!
//! ```text
//!   cli ──▶ system ──▶ nucleus ──▶ domain ──▶ machine ──▶ KVM
//!    │        │          │            │
//!    │        ├──▶ gateway, disk ──▶ channel
//!    │        └──▶ control ◀── (HTTP over a Unix socket)
//!    └──▶ control::Client, doctor, bench, campaign
//! ```
//!
//! | module | owns |
//! |---|---|
//! | [`manifest`] | what a system is to be: the TOML file, checked |
//! | [`machine`] | one micro-VM: memory, page tables, vCPUs |
//! | [`domain`] | a micro-VM with its server: threads, exits, fault reports |
//! | [`channel`] | the shared memory between two ends |
//! | [`ipc`] | the VMM itself as a client or server of domains |
//! | [`gateway`] | host sockets in front of a domain's port |
//! | [`disk`] | host files that are lent to domains as disks |
//! | [`nucleus`] | the running system: lives of domains |
//! | [`snapshot`] | domains in a file: its format, what must fit |
//! | [`supervisor`] | what follows when a domain ends: restarts, order, escalation |
//! | [`system`] | from a manifest to a running system |
//! | [`journal`] | log lines and events |
//! | [`control`] | the API to a running system, both ends |
//! | [`doctor`] | what this host's KVM is worth |
//! | [`bench`](mod@bench) | what communication costs here, beside others |
//! | [`campaign`] | faults injected on purpose, and what came of them |
//! | [`cli`] | the command |
//!
//! Nothing here knows a particular server, or what its clients say to it.

#![warn(missing_docs)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod bench;
pub mod campaign;
pub mod channel;
pub mod cli;
pub mod control;
pub mod disk;
pub mod doctor;
pub mod domain;
pub mod exit_code;
pub mod gateway;
pub mod ipc;
pub mod journal;
pub mod machine;
pub mod manifest;
pub mod nucleus;
pub mod snapshot;
pub mod supervisor;
pub mod system;

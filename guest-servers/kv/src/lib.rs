//! An in-memory key-value server that speaks RESP2, the protocol of Redis, to clients of the
//! host, and a [typed interface](typed) to domains: everything of it but the sockets.
//!
//! Bytes from a client go to its [`Session`], which cuts them into requests, runs those on
//! the one [`Database`] and holds the replies until they are taken. What the outside world
//! has to tell (time, chance, figures for INFO) comes through [`Env`]. Nothing here blocks,
//! and nothing that a client sends can make an allocation failure more than an error reply.
//!
//! A database can be [kept](Database::keep) by a store: it then notes what changes, whoever runs
//! it [commits](Database::seal) that, and a later incarnation [loads](Database::load) it. One that
//! lives where a restart keeps it is changed in [`Edits`], and [goes on](Database::resume) with a later
//! incarnation.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod change;
mod choose;
mod client;
mod command;
mod counters;
mod db;
mod dense;
mod encoding;
mod env;
mod expiry;
mod failure;
mod glob;
mod hash;
mod hashes;
mod info;
mod inline;
mod journal;
mod kept;
mod keys;
mod lists;
mod load;
mod memory;
mod number;
mod partial;
mod rejoin;
mod reply;
mod request;
mod saving;
mod scan;
mod server;
mod session;
mod sets;
mod settings;
mod strings;
mod table;
pub mod typed;
mod value;
mod views;
mod word;

#[cfg(test)]
mod tests;

pub use db::{Database, Options};
pub use env::{Crash, Edits, Env, Facts, Origin};
pub use journal::Terms;
pub use load::LoadError;
pub use rejoin::Stale;
pub use session::Session;

//! Typed interfaces: one definition, from which come the client's stub, the server's dispatch and
//! the identity that the two compare when they are joined.
//!
//! ```
//! use atoll_ipc::interface::{Answerable, BindError, Caller, OnRestart};
//! use atoll_ipc::message::{IpcError, Status};
//!
//! atoll_ipc::interface! {
//!     /// Adds, and keeps a journal.
//!     pub interface Adder = "adder" version 1, client AdderClient, server AdderServer {
//!         /// The sum.
//!         1 => idempotent fn add(a: u64, b: u64) -> u64;
//!         /// Appends a line to the journal; returns how many it has now.
//!         2 => once fn append(line: &str) -> u32;
//!         /// Sets how much is told.
//!         3 => oneway fn verbosity(level: u8);
//!         /// The journal's last line.
//!         4 => idempotent fn last() -> &str as loan;
//!     }
//! }
//!
//! #[derive(Default)]
//! struct Journal(Vec<String>, u8);
//!
//! impl AdderServer for Journal {
//!     fn add(&mut self, a: u64, b: u64) -> Result<u64, Status> {
//!         a.checked_add(b).ok_or(Status::Malformed)
//!     }
//!     fn append(&mut self, line: &str) -> Result<u32, Status> {
//!         self.0.push(line.into());
//!         Ok(self.0.len() as u32)
//!     }
//!     fn verbosity(&mut self, level: u8) {
//!         self.1 = level;
//!     }
//!     fn last(&mut self) -> Result<&str, Status> {
//!         Ok(self.0.last().map_or("", String::as_str))
//!     }
//! }
//!
//! /// The server's loop gives each message to this.
//! fn serve(journal: &mut Journal, message: impl Answerable) {
//!     Adder::dispatch(journal, message);
//! }
//!
//! /// And a client binds to a channel, once, and calls.
//! fn client(channel: impl Caller) -> Result<u64, Box<dyn std::error::Error>> {
//!     let mut adder = AdderClient::bind(channel)?;
//!     adder.append(OnRestart::Fail, "one and one")?;
//!     adder.verbosity(2)?;
//!     println!("{} bytes", adder.last(|line| line.len())?);
//!     Ok(adder.add(1, 1)?)
//! }
//! ```
//!
//! # Operations
//!
//! An operation has a number, which the wire carries and no other operation of the interface may
//! have, and one of three kinds, which say what a server's death means (Hubris's Idol asks for
//! the same, and the choice is the interface's, not the caller's, because its author alone
//! knows):
//!
//! - `idempotent`: to carry it out twice is to carry it out once. The stub repeats the call by
//!   itself after [`PeerRestarted`], at most [`RETRIES_MAX`] times and within the timeout.
//! - `once`: after the server's death nobody knows whether it was carried out. The stub's first
//!   argument makes the caller say what then: [`OnRestart`].
//! - `oneway`: there is no reply and no word of what became of it.
//!
//! Arguments may borrow; the server borrows from its copy of the message. A reply is owned,
//! unless the operation ends in `as loan`: then the server's method may return what borrows from
//! the server, and the stub's last argument is a function that is shown the reply in place.
//!
//! # What crosses the wall
//!
//! The arguments, as a tuple, in [postcard](https://postcard.jamesmunns.com/wire-format)'s
//! encoding, and nothing else; the same for a reply. Up to [`SHORT`] bytes are encoded on the
//! stack; longer ones are measured, then encoded once into the memory that the channel lends
//! ([`Payload`]). Neither side believes the other: what does not decode to its last byte is
//! [`Status::Malformed`] to a client and [`Protocol`] to a server, and costs nothing more.
//! One trap is left to the interface's author: a sequence of elements that take no bytes
//! (`Vec<()>`) lets ten bytes claim 2^64 of them, and decoding would count them all.
//!
//! # Identity
//!
//! An [`Interface`] is a name, a version and a [`fingerprint`] of the operations. `bind` compares
//! all three with those of the port that the channel leads to, so that what would be a stream of
//! malformed messages is one error that names both. The order of the operations does not count;
//! everything else in the definition does, except names of arguments and comments. The fields of
//! a struct are not in the definition: raise the version with them.
//!
//! The idea of one definition for both ends is that of the L4 world's stub generators (IDL4,
//! CAmkES on seL4); that of declaring what may be repeated is Hubris's.
//!
//! [`PeerRestarted`]: crate::message::IpcError::PeerRestarted
//! [`Protocol`]: crate::message::IpcError::Protocol
//! [`Status::Malformed`]: crate::message::Status::Malformed

mod dispatch;
mod identity;
mod macros;
mod payload;
mod stub;
mod transport;
mod types;

pub use dispatch::{answer, arguments};
pub use identity::{BindError, Interface, distinct, fingerprint};
pub use payload::{Payload, SHORT, encoded};
pub use stub::{OnRestart, RETRIES_MAX, Stub, loan, reply};
pub use transport::{Answerable, Caller};
pub use types::{Blob, Bytes, Word};

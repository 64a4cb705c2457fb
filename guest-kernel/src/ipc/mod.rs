//! Messages: receive and reply on [`Port`]s, call through [`Channel`]s.
//!
//! One vCPU does all IPC of a domain, so nothing here locks. Nothing exits either while the
//! other side runs: a doorbell is rung only for a peer that sleeps, and a domain that has work
//! puts the ringing off until it has none, or the peer would wait too long.

mod channel;
mod endpoints;
mod port;
mod wait;

pub use channel::{Channel, Reply};
pub use port::{Event, Message, Port, receive_any};
pub use wait::sleep_until;

pub(crate) use endpoints::adopt;

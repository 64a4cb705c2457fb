//! The VMM as one end of a channel: a [`Channel`] to a domain's port, a [`Port`] that a domain
//! calls.
//!
//! It is the same protocol as between two domains, with an eventfd where a domain has its
//! doorbell. Each end belongs to one thread, which may wait on it; the event loop's gateways, which
//! must not wait, use [`atoll_ipc::client`] themselves.

mod channel;
mod port;
mod wait;

pub use channel::{Channel, Pending};
pub use port::{InHand, Message, Port};
pub use wait::{Spin, Waiter};

use std::sync::Arc;

use atoll_ipc::abi::{Interface, Name};
use vmm_sys_util::eventfd::EventFd;

use crate::channel::ChannelMemory;

/// What an end is made from.
#[derive(Debug)]
pub struct End {
    /// The channel's name, at this end.
    pub name: Name,
    /// What is spoken on its port.
    pub interface: Interface,
    /// The channel.
    pub memory: ChannelMemory,
    /// Wakes the other end.
    pub peer: Arc<EventFd>,
    /// How this end waits.
    pub waiter: Waiter,
}

//! Channels between the VMM itself and domains: for programs that embed a system, and for what the
//! nucleus serves to domains.

use std::time::Duration;

use atoll_ipc::abi::Interface;
use atoll_ipc::channel::Layout;

use super::sleep::SleepCost;
use crate::ipc::{Channel, Port};
use crate::manifest::{DomainName, PortName, PortRef};

/// A channel that is to join the VMM and a domain.
#[derive(Clone, Debug)]
pub enum HostLink {
    /// The VMM calls a domain's port.
    Client {
        /// What the VMM calls the channel.
        name: PortName,
        /// The port.
        to: PortRef,
        /// Sizes of the channel.
        layout: Layout,
        /// How long the VMM spins before it sleeps; what a sleep costs here, if not said.
        spin: Option<Duration>,
    },
    /// A domain calls the VMM.
    Server {
        /// The domain.
        from: DomainName,
        /// What the domain calls the channel.
        alias: PortName,
        /// What is spoken on it.
        interface: Interface,
        /// Sizes of the channel.
        layout: Layout,
        /// How long the VMM spins before it sleeps; what a sleep costs here, if not said.
        spin: Option<Duration>,
    },
}

/// The VMM's ends, each kind in the order in which its links were asked for.
#[derive(Debug)]
pub struct HostEnds {
    /// Where the VMM is the client.
    pub channels: Vec<Channel>,
    /// Where it is the server.
    pub ports: Vec<Port>,
    /// What a sleep costs, and when that is known.
    pub sleep_cost: SleepCost,
}

impl HostEnds {
    /// No ends yet.
    pub(super) const fn new(sleep_cost: SleepCost) -> Self {
        Self { channels: Vec::new(), ports: Vec::new(), sleep_cost }
    }
}

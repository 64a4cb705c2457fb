//! The channels of a system: who is at which end, and how to wake them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use atoll_ipc::channel::{Region, Role};
use vmm_sys_util::eventfd::EventFd;

use super::letters::{Obituary, line_of};
use crate::channel::{ChannelMemory, restart_all};
use crate::control::api::{ChannelReport, ChannelRole, FaultSummary};
use crate::domain::signal;

/// One end of a channel.
#[derive(Clone, Debug)]
pub struct Party {
    /// The domain's number; `None` for a gateway.
    pub domain: Option<u32>,
    /// What it is called.
    pub name: String,
    /// What wakes it.
    pub wake: Arc<EventFd>,
}

impl Party {
    /// Wakes it whatever it waits for.
    fn rouse(&self) {
        signal(&self.wake);
    }
}

/// One channel.
#[derive(Debug)]
pub struct Link {
    /// The client's name for it.
    pub name: String,
    /// The server's port.
    pub port: String,
    /// The end that asks.
    pub client: Party,
    /// The end that answers.
    pub server: Party,
    /// The memory.
    pub memory: ChannelMemory,
}

impl Link {
    fn party(&self, role: Role) -> &Party {
        match role {
            Role::Client => &self.client,
            Role::Server => &self.server,
        }
    }

    fn role_of(&self, domain: u32) -> Option<Role> {
        [Role::Client, Role::Server].into_iter().find(|&r| self.party(r).domain == Some(domain))
    }
}

/// What is seen of a server's work. All of it is what the domains themselves wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// A request was sent, and is not released.
    pub is_waited_for: bool,
    /// Changes with each request that is answered or released.
    pub progress: u64,
    /// The incarnation.
    pub epoch: u32,
}

/// All channels of a system.
#[derive(Debug, Default)]
pub struct Links {
    all: Vec<Link>,
    /// What domains died of whose next incarnation has not begun yet, by their numbers.
    obituaries: RefCell<HashMap<u32, String>>,
}

impl Links {
    /// These channels.
    pub fn new(all: Vec<Link>) -> Self {
        Self { all, obituaries: RefCell::default() }
    }

    /// Notes what an incarnation died of, of itself and not by an order.
    pub fn died(&self, domain: u32, fault: &FaultSummary) {
        self.obituaries.borrow_mut().insert(domain, line_of(fault));
    }

    /// Takes it back: the incarnation goes on.
    pub fn lives(&self, domain: u32) {
        self.obituaries.borrow_mut().remove(&domain);
    }

    /// What a domain's clients wait for, and what it has done for them.
    pub fn load(&self, domain: u32) -> Load {
        let mut load = Load::default();
        for (link, _) in self.of(domain).filter(|(_, role)| *role == Role::Server) {
            let shared = link.memory.shared();
            let claims = shared.requests().claims();
            load.is_waited_for |= claims.tail != claims.head;
            let done = shared.replies().counts().records.wrapping_add(claims.head);
            load.progress = load.progress.wrapping_add(done);
        }
        load
    }

    /// Which domains call which: client and server, by number.
    pub fn calls(&self) -> Vec<(usize, usize)> {
        let number = |party: &Party| party.domain.map(|domain| domain as usize);
        let pairs = self.all.iter().map(|link| number(&link.client).zip(number(&link.server)));
        pairs.flatten().collect()
    }

    /// Whether some of these domains have sent a domain what it has not read, or not answered.
    pub fn has_unread(&self, domain: u32, is_client: impl Fn(u32) -> bool) -> bool {
        let served = self.of(domain).filter(|(_, role)| *role == Role::Server);
        let mut ours = served.filter(|(link, _)| link.client.domain.is_some_and(&is_client));
        ours.any(|(link, _)| {
            let claims = link.memory.shared().requests().claims();
            claims.tail != claims.head
        })
    }

    /// [Readies all channels](restart_all) of a domain, which stands still, for its next incarnation.
    pub fn restart(&self, domain: u32, epoch: u32) {
        let line = self.obituaries.borrow_mut().remove(&domain);
        let write = || line.clone().unwrap_or_default();
        let obituary = line.is_some().then(|| Obituary::new(&write));
        let ends = self
            .of(domain)
            .map(|(link, role)| (&link.memory, role, &*link.party(role.peer()).wake));
        restart_all(ends, epoch, obituary.as_ref());
    }

    /// Tells the other ends of all channels of a domain that it will not come back by itself.
    pub fn gone(&self, domain: u32) {
        for (link, role) in self.of(domain) {
            link.memory.status().set_gone(role, true);
            link.party(role.peer()).rouse();
        }
    }

    /// Tells a domain, which is to end, that those of its servers which are down will not answer it:
    /// they may be waiting for its end.
    pub fn forsake(&self, domain: u32, is_down: impl Fn(u32) -> bool) {
        for (link, _) in self.of(domain).filter(|(_, role)| *role == Role::Client) {
            if link.server.domain.is_some_and(&is_down) {
                link.memory.status().set_forsaken(true);
                link.client.rouse();
            }
        }
    }

    /// What can be said of a domain's channels.
    pub fn report(&self, domain: u32) -> Vec<ChannelReport> {
        self.of(domain).map(|(link, role)| describe(link, role)).collect()
    }

    fn of(&self, domain: u32) -> impl Iterator<Item = (&Link, Role)> {
        self.all.iter().filter_map(move |link| Some((link, link.role_of(domain)?)))
    }
}

fn describe(link: &Link, role: Role) -> ChannelReport {
    let shared = link.memory.shared();
    let (requests, replies) = (shared.requests().counts(), shared.replies().counts());
    let claims = shared.requests().claims();
    ChannelReport {
        name: link.name.clone(),
        peer: link.party(role.peer()).name.clone(),
        role: match role {
            Role::Client => ChannelRole::Client,
            Role::Server => ChannelRole::Server,
        },
        port: link.port.clone(),
        requests: requests.records,
        replies: replies.records,
        doorbells: match role {
            Role::Client => requests.producer_kicks.wrapping_add(replies.consumer_kicks),
            Role::Server => replies.producer_kicks.wrapping_add(requests.consumer_kicks),
        },
        rejected: match role {
            Role::Client => replies.rejected,
            Role::Server => requests.rejected,
        },
        unread_bytes: claims.tail.saturating_sub(claims.taken),
        in_service_bytes: claims.taken.saturating_sub(claims.head),
    }
}

//! Joins the nucleus to the domains that hear of faults: a channel to each port that is told, and
//! from each such domain one back, on which it asks about what is suspended.

use std::time::Duration;

use atoll_ipc::abi::Name;
use atoll_ipc::bailout::{NUCLEUS, SUSPENDED, Suspended};
use atoll_ipc::channel::{Layout, Role};

use super::{Assembly, SystemError, event, fresh_id};
use crate::channel::ChannelMemory;
use crate::domain::ChannelEnd;
use crate::ipc::{End, Port, Spin, Waiter};
use crate::manifest::DomainName;
use crate::nucleus::bailout::{Bailouts, Desk, Table};
use crate::nucleus::{Link, Party};

impl Assembly<'_> {
    /// Who is asked what follows a fault.
    pub(super) fn open_bailouts(&mut self) -> Result<Bailouts, SystemError> {
        let supervision = &self.manifest.supervision;
        let (mut names, mut desks): (Vec<DomainName>, Vec<Desk>) = (Vec::new(), Vec::new());
        let mut wards = Vec::with_capacity(supervision.domains.len());
        for policy in &supervision.domains {
            let Some(to) = policy.bailout else {
                wards.push(None);
                continue;
            };
            let desk = match names.iter().position(|name| *name == to.domain) {
                Some(desk) => desk,
                None => {
                    names.push(to.domain);
                    desks.push(self.open_desk(&to.domain)?);
                    desks.len() - 1
                }
            };
            let known = desks[desk].ports.iter().position(|(port, _)| *port == to.to_string());
            let port = match known {
                Some(port) => port,
                None => {
                    let channel = self.join_nucleus(NUCLEUS, &to, desks[desk].wake.clone())?;
                    desks[desk].ports.push((to.to_string(), channel));
                    desks[desk].ports.len() - 1
                }
            };
            wards.push(Some((desk, port)));
        }
        Ok(Bailouts::new(desks, wards, supervision.bailout_deadline))
    }

    /// The nucleus as the server of a domain that hears of faults.
    fn open_desk(&mut self, domain: &DomainName) -> Result<Desk, SystemError> {
        let (layout, name) = (Layout::PLAIN, Name::new(SUSPENDED));
        let client = self.party(domain)?;
        let own = Party { domain: None, name: NUCLEUS.to_owned(), wake: event()? };
        let memory = ChannelMemory::new(layout)?;
        let asks = ChannelEnd {
            name,
            peer: own.name.clone(),
            peer_domain: None,
            role: Role::Client,
            port: 0,
            port_id: fresh_id()?,
            interface: Suspended::INTERFACE,
            memory: memory.clone(),
            layout,
            alert: None,
            doorbell: own.wake.clone(),
        };
        self.give(domain, asks);
        let wake = own.wake.clone();
        let office = Port::new(End {
            name,
            interface: Suspended::INTERFACE,
            memory: memory.clone(),
            peer: client.wake.clone(),
            waiter: Waiter::new(wake.clone(), Spin::For(Duration::ZERO)),
        });
        let (name, port) = (SUSPENDED.to_owned(), SUSPENDED.to_owned());
        self.links.push(Link { name, port, client, server: own, memory });
        let office = office.without_patience();
        Ok(Desk { ports: Vec::new(), office, wake, cases: Table::default() })
    }
}

//! Joins the nucleus to the domains that hear of faults: a channel to each port that is told, and
//! from each such domain one back, on which it asks about what is suspended.

use std::time::Duration;

use atoll_ipc::abi::Name;
use atoll_ipc::bailout::{NUCLEUS, SUSPENDED, Suspended};
use atoll_ipc::channel::Layout;

use super::{Assembly, SystemError, event};
use crate::ipc::{Port, Spin};
use crate::manifest::DomainName;
use crate::nucleus::Party;
use crate::nucleus::bailout::{Bailouts, Desk, Table};

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
        let own = Party { domain: None, name: NUCLEUS.to_owned(), wake: event()? };
        let (wake, spin) = (own.wake.clone(), Spin::For(Duration::ZERO));
        let end = self.serve(domain, name, Suspended::INTERFACE, layout, own, spin)?;
        let office = Port::new(end).without_patience();
        Ok(Desk { ports: Vec::new(), office, wake, cases: Table::default() })
    }
}

//! One supervisor domain, as the nucleus speaks with it: channels to the ports to which it has
//! faults reported, and the one on which it asks about suspended domains. Nothing here waits.

use std::sync::Arc;
use std::time::Instant;

use atoll_ipc::bailout::{FAULTED, Suspended, Verdict};
use atoll_ipc::interface::{encoded, reply};
use atoll_ipc::message::IpcError;
use vmm_sys_util::eventfd::EventFd;

use super::clerk::Clerk;
use super::report::{Prospects, with_report};
use super::table::Table;
use super::{Case, Decided, Failure, Silence};
use crate::control::api::FaultReport;
use crate::domain::signal;
use crate::ipc::{Channel, Port};
use crate::nucleus::Member;

/// Questions that are answered in a turn; others have a right to the event loop, too.
const TURN: usize = 64;

/// A supervisor domain.
#[derive(Debug)]
pub struct Desk {
    /// Its ports to which faults are reported, with their domain.
    pub ports: Vec<(String, Channel)>,
    /// What it asks.
    pub office: Port,
    /// Signalled when there is something from it.
    pub wake: Arc<EventFd>,
    /// The domains that are suspended for it.
    pub cases: Table<Case>,
}

impl Desk {
    /// Reports a fault of a domain, which is suspended, to one of its ports.
    pub fn ask(
        &mut self,
        port: usize,
        fault: &FaultReport,
        case: Failure,
        deadline: Instant,
    ) -> Result<(), Silence> {
        let Failure { domain, end, uptime, faults, can_resume, forecast } = case;
        let case = Case { domain, end, uptime, port, deadline, call: None };
        let capability = self.cases.grant(case);
        let prospects = Prospects { capability, faults, can_resume, forecast };
        let channel = &mut self.ports[port].1;
        let sent = with_report(fault, prospects, |report| {
            encoded(&(report,), |payload| {
                let payload = payload.ok_or(IpcError::TooLarge)?;
                let mut scratch = vec![0; payload.len()];
                let payload = payload.bytes_in(|_| &mut scratch);
                channel.send_message(FAULTED, payload, Some(Instant::now()))
            })
        });
        match (sent, self.cases.get_mut(capability)) {
            (Ok(call), Some(case)) => {
                case.call = Some(call);
                Ok(())
            }
            (sent, _) => {
                self.cases.revoke(|case| case.domain == domain);
                // There is no room just now, and nobody waits for it.
                Err(sent.err().map_or(Silence::Busy, Silence::of))
            }
        }
    }

    /// What it has decided, and what it can decide no more.
    pub fn decided(&mut self, now: Instant) -> Vec<Decided> {
        let (mut decided, ports) = (Vec::new(), &mut self.ports);
        self.cases.revoke(|case| {
            let (port, channel) = &mut ports[case.port];
            let Some(call) = case.call.take() else { return true };
            let verdict = match channel.poll_answer(call) {
                Ok(answer) => answer.map_err(Silence::of).and_then(|bytes| verdict(&bytes)),
                Err(call) if case.deadline <= now => {
                    channel.cancel(call);
                    Err(Silence::Late)
                }
                Err(call) => {
                    case.call = Some(call);
                    return false;
                }
            };
            let Case { domain, end, uptime, .. } = *case;
            decided.push(Decided { domain, end, uptime, port: port.clone(), verdict });
            true
        });
        decided
    }

    /// Forgets cases that were decided by somebody else.
    pub fn withdraw(&mut self, mut is_over: impl FnMut(&Case) -> bool) {
        for case in self.cases.revoke(|case| is_over(case)) {
            if let Some(call) = case.call {
                self.ports[case.port].1.cancel(call);
            }
        }
    }

    /// Answers what it asks about domains that are suspended for it.
    pub fn answer(&mut self, members: &mut [Member]) {
        for _ in 0..TURN {
            match self.office.poll() {
                Ok(Some(message)) => {
                    let mut clerk = Clerk::new(&self.cases, members);
                    Suspended::dispatch(&mut clerk, self.office.in_hand(message));
                }
                Ok(None) => return,
                // Nothing more is heard of it before it restarts.
                Err(error) => return log::warn!("a supervisor domain is not heard: {error}"),
            }
        }
        signal(&self.wake);
    }
}

fn verdict(bytes: &[u8]) -> Result<Verdict, Silence> {
    reply(bytes).map_err(|_| Silence::Nonsense)
}

#[cfg(test)]
mod tests;

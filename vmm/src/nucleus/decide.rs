//! What follows a fault where a supervisor domain is asked, and what if that says nothing.

use std::time::{Duration, Instant};

use atoll_ipc::bailout::Verdict;

use super::bailout::{Decided, Failure, Silence};
use super::{Nucleus, World};
use crate::control::api::Decision;
use crate::journal::EventKind;
use crate::manifest::RestartFrom;
use crate::supervisor::End;

impl Nucleus {
    /// Asks what is to follow a failure of a domain, which is suspended.
    pub(super) fn ask(&mut self, domain: usize, end: End, uptime: Duration) {
        let Some(port) = self.bailouts.port_of(domain).map(str::to_owned) else { return };
        let member = &self.members[domain];
        let (Some(fault), Some(suspension)) = (member.history.last(), member.suspension()) else {
            return;
        };
        let failure = Failure {
            domain,
            end,
            uptime,
            faults: member.faults,
            can_resume: suspension.can_resume(),
            forecast: self.supervisor.foresee(domain, end, uptime, self.now()),
        };
        match self.bailouts.ask(fault, failure) {
            Ok(()) => {
                let event = EventKind::DomainSuspended { epoch: member.epoch().into(), port };
                self.journal.event(Some(member.name()), event);
            }
            Err(silence) => {
                self.carry_out(Decided { domain, end, uptime, port, verdict: Err(silence) });
            }
        }
    }

    /// Hears a supervisor domain: what it asks, and what it has decided.
    pub(super) fn hear_desk(&mut self, desk: usize) {
        self.bailouts.hear(desk, &mut self.members);
        self.settle();
    }

    /// Does what supervisor domains have decided, or what they have left to the manifest; whether
    /// there was anything.
    pub(super) fn hear_verdicts(&mut self) -> bool {
        let decided = self.bailouts.decided(Instant::now());
        let any = !decided.is_empty();
        decided.into_iter().for_each(|decided| self.carry_out(decided));
        any
    }

    fn carry_out(&mut self, decided: Decided) {
        let Decided { domain, end, uptime, port, mut verdict } = decided;
        let world = World { links: &self.links, journal: &self.journal, notices: &self.notices };
        let member = &mut self.members[domain];
        let Some(suspension) = member.suspension() else { return };
        if verdict == Ok(Verdict::Resume) && !suspension.can_resume() {
            verdict = Err(Silence::CannotResume);
        }
        let epoch = member.epoch().into();
        let decision = Decision {
            port: port.clone(),
            verdict: verdict.ok().map(|verdict| verdict.to_string()),
            overruled: verdict.err().map(|silence| silence.to_string()),
        };
        member.history.decided(epoch, decision);
        let event = match verdict {
            Ok(verdict) => EventKind::FaultDecided { epoch, port, verdict: verdict.to_string() },
            Err(silence) => EventKind::FaultUndecided { epoch, port, reason: silence.to_string() },
        };
        self.journal.event(Some(member.name()), event);
        if verdict == Ok(Verdict::Resume) {
            member.go_on(world);
            return;
        }
        member.end_suspension();
        let now = self.now();
        match verdict {
            Ok(Verdict::Restart) => self.supervisor.replaced(domain, RestartFrom::Checkpoint, now),
            Ok(Verdict::RestartFromImage) => {
                self.supervisor.replaced(domain, RestartFrom::Image, now);
            }
            Ok(Verdict::Hold) => self.supervisor.held(domain, now),
            Ok(Verdict::Escalate) => self.supervisor.escalated(domain, now),
            Ok(Verdict::BuiltIn | Verdict::Resume) | Err(_) => {
                self.supervisor.ended(domain, end, uptime, now);
            }
        }
    }
}

//! What the control API asks of the nucleus.

use super::{Member, Nucleus, World, residency};
use crate::control::api::{DomainReport, DomainStatus, HostKind, StateReport, SystemStatus};
use crate::control::{Answer, Operation, Refusal, Request};
use crate::disk::Desk;
use crate::domain::{Cause, CoreError, Names};
use crate::journal::EventKind;
use crate::machine::host::Host;

impl Nucleus {
    /// Answers one request of the control API. A client that no longer waits is no concern.
    pub(super) fn obey(&mut self, request: Request) {
        let world = World { links: &self.links, journal: &self.journal, notices: &self.notices };
        let members = &mut self.members;
        match request {
            Request::Status { answer } => drop(answer.send(Ok(self.status()))),
            Request::Inspect { domain, answer } => drop(answer.send(self.inspect(&domain))),
            Request::Faults { domain, answer } => {
                let reports = find(members, &domain).map(|member| member.history.reports());
                drop(answer.send(reports));
            }
            Request::Letters(request) => self.post_office.obey(request),
            Request::Core { domain, answer } => self.core_file(domain, answer),
            Request::Snapshot { domain, deadline, answer } => {
                self.take_snapshot(domain, deadline, answer);
            }
            Request::Kill { domain, answer } => {
                let result = find(members, &domain).and_then(|member| {
                    let epoch = member.epoch().into();
                    member.kill(Cause::Killed, world)?;
                    self.journal.event(Some(&domain), EventKind::DomainKilled { epoch });
                    Ok(())
                });
                drop(answer.send(result));
            }
            Request::Restart { domain, answer } => {
                drop(answer.send(self.restart(&domain, false)));
            }
            Request::ResetState { domain, answer } => {
                drop(answer.send(self.restart(&domain, true)));
            }
            Request::Pause { domain, answer } => {
                drop(answer.send(find(members, &domain).and_then(Member::pause)));
            }
            Request::Resume { domain, answer } => {
                let member = find(members, &domain);
                let resumed = member.and_then(|member| {
                    member.resume(world)?;
                    Ok(member.id() as usize)
                });
                if let Ok(domain) = resumed {
                    self.note_probation(domain);
                }
                drop(answer.send(resumed.map(drop)));
            }
            Request::Inject { domain, injection } => {
                // One that is not there answers by dropping the injection.
                if let Ok(member) = find(members, &domain) {
                    member.inject(injection);
                }
            }
            Request::Stop { answer } => {
                self.stop("an operator asked for it");
                drop(answer.send(Ok(())));
            }
        }
    }

    /// Begins a new incarnation, `afresh` with an empty state region.
    fn restart(&mut self, domain: &str, afresh: bool) -> Result<(), Refusal> {
        let member = find(&mut self.members, domain)?;
        if afresh {
            member.forget_state()?;
        } else {
            member.may_restart(Operation::Restart)?;
        }
        let number = member.id() as usize;
        let now = self.now();
        // A system that ends says so itself.
        if let Err(ending) = self.supervisor.restart(number, now) {
            log::info!("{domain} is not restarted: {ending}");
        }
        Ok(())
    }

    /// Has a core file written by the domain's own threads, which answer themselves.
    fn core_file(&mut self, domain: String, answer: Answer<Vec<u8>>) {
        let member = match find(&mut self.members, &domain) {
            Ok(member) => member,
            Err(refusal) => return drop(answer.send(Err(refusal))),
        };
        let image = member.domain.blueprint().image.name();
        let names = Names {
            program: format!("{image}.elf"),
            line: format!("{}/{domain}, epoch {}, image {image}", self.name, member.epoch()),
        };
        let deliver = |file: Result<_, CoreError>| {
            let refusal = |error: CoreError| Refusal::NoCore { domain, why: error.to_string() };
            drop(answer.send(file.map_err(refusal)));
        };
        member.domain.core_file(names, Box::new(deliver));
    }

    fn status(&self) -> SystemStatus {
        SystemStatus {
            name: self.name.clone(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_micros: self.started.elapsed().as_micros() as u64,
            host: host_kind(),
            restored_from: self.restored_from.clone(),
            domains: self.members.iter().map(describe).collect(),
        }
    }

    fn inspect(&self, domain: &str) -> Result<Box<DomainReport>, Refusal> {
        let Some(member) = self.members.iter().find(|member| member.name() == domain) else {
            return Err(Refusal::no_such_domain(domain, self.members.iter().map(Member::name)));
        };
        let gateways = self.gateways.iter().map(|gateway| gateway.borrow());
        let leading_here = gateways.filter(|gateway| gateway.to().domain.to_string() == domain);
        let disks = self.disks.iter().filter(|disk| disk.domain == member.id());
        Ok(Box::new(DomainReport {
            status: describe(member),
            image_hash: member.domain.blueprint().image.hash().to_string(),
            state_region: state_region(member),
            last_fault: member.history.last().cloned(),
            exits: member.domain.counters().exits(),
            channels: self.links.report(member.id()),
            gateways: leading_here.map(|gateway| gateway.report()).collect(),
            disks: disks.map(Desk::report).collect(),
        }))
    }
}

fn find<'m>(members: &'m mut [Member], name: &str) -> Result<&'m mut Member, Refusal> {
    match members.iter().position(|member| member.name() == name) {
        Some(at) => Ok(&mut members[at]),
        None => Err(Refusal::no_such_domain(name, members.iter().map(Member::name))),
    }
}

fn state_region(member: &Member) -> Option<StateReport> {
    let state = member.domain.blueprint().state.as_ref()?;
    // A host that does not tell how much is in use is no reason to show nothing.
    let populated_bytes = state.populated_bytes().unwrap_or_default();
    Some(StateReport { bytes: state.size(), populated_bytes })
}

fn describe(member: &Member) -> DomainStatus {
    let blueprint = member.domain.blueprint();
    DomainStatus {
        name: member.name().to_owned(),
        id: member.id(),
        image: blueprint.image.name().to_string(),
        state: member.state(),
        epoch: member.epoch().into(),
        restarts: member.restarts(),
        faults: member.faults,
        memory_bytes: member.domain.memory_bytes(),
        resident_bytes: residency::resident_bytes(member.domain.host_range()),
        cpu_micros: member.domain.cpu_micros(),
        uptime_micros: member.uptime().as_micros() as u64,
        vcpus: blueprint.plan.vcpus,
        restored: member.origin().cloned(),
    }
}

fn host_kind() -> HostKind {
    if Host::has_hardware_virtualisation() { HostKind::Hardware } else { HostKind::Software }
}

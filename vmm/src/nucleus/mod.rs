//! The nucleus: owns the domains and channels of one system, and decides what follows what.
//!
//! Its state has one owner, the event loop's thread. vCPU threads and the control API send it
//! messages; it never waits for either.

pub mod bailout;
mod decide;
mod history;
pub mod letters;
mod links;
mod member;
mod residency;
mod watchdog;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use atoll_ipc::abi::HostPage;
use event_manager::{EventOps, Events, MutEventSubscriber};
use nix::sys::signalfd::SignalFd;
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::eventfd::EventFd;

use crate::control::api::{DomainReport, DomainStatus, HostKind, SystemStatus};
use crate::control::{Answer, Refusal, Request};
use crate::domain::{Cause, CoreError, Names, Origin, Report};
use crate::gateway::Gateway;
use crate::journal::{EventKind, Journal};
use crate::machine::shared_page::SharedPage;
use crate::manifest::RestartFrom;
use crate::supervisor::{Action, Ending, Supervisor};

pub use links::{Link, Links, Party};
pub use member::{Member, Notices};
use member::{Notice, World};
pub use watchdog::Watchdog;

/// What the event loop's descriptors are about: news if they are none of these.
const SIGNALS: u32 = 1;
/// Of supervisor domains, by their places from here on.
const DESKS: u32 = 2;

/// The state of one running system.
#[derive(Debug)]
pub struct Nucleus {
    /// The system's name.
    pub name: String,
    /// What kind of KVM it runs on.
    pub host: HostKind,
    /// Its domains, by number.
    pub members: Vec<Member>,
    /// What happened to them that the supervisor is to know.
    pub notices: Notices,
    /// Its channels.
    pub links: Links,
    /// What its servers died of, and a way to send it again.
    pub post_office: letters::PostOffice,
    /// Its gateways.
    pub gateways: Vec<Rc<RefCell<Gateway>>>,
    /// Who runs.
    pub host_page: Arc<SharedPage<HostPage>>,
    /// Where events go.
    pub journal: Arc<Journal>,
    /// What vCPU threads report.
    pub reports: mpsc::Receiver<Report>,
    /// What the control API asks.
    pub requests: mpsc::Receiver<Request>,
    /// Signalled with each of both.
    pub news: Arc<EventFd>,
    /// Signals that end the process.
    pub signals: SignalFd,
    /// When the system started.
    pub started: Instant,
    /// What decides what follows what.
    pub supervisor: Supervisor,
    /// Names of its groups, by place.
    pub groups: Vec<String>,
    /// Who is asked what follows a fault.
    pub bailouts: bailout::Bailouts,
    /// Who looks for domains that hang.
    pub watchdogs: Vec<Watchdog>,
    /// It has begun to stop.
    pub stopping: bool,
    /// Set once it has ended: why.
    pub over: Option<Ending>,
}

impl Nucleus {
    /// Begins the first incarnation of every domain.
    pub fn start(&mut self) {
        self.supervisor.begin(self.now());
        self.bailouts.listen(&mut self.members);
        self.settle();
        self.journal.event(None, EventKind::SystemStarted);
    }

    /// How long the event loop may block before [`Nucleus::tick`]; `None` for as long as it likes.
    pub fn patience(&self) -> Option<Duration> {
        let licences = self.members.iter().filter_map(Member::deadline);
        let watchdogs = self.watchdogs.iter().map(Watchdog::deadline);
        let decision = self.supervisor.deadline().map(|after| self.started + after);
        let verdicts = self.bailouts.deadline();
        let first = licences.chain(watchdogs).chain(decision).chain(verdicts).min();
        first.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Does what has become due.
    pub fn tick(&mut self) {
        let now = Instant::now();
        for member in &mut self.members {
            if member.deadline().is_some_and(|deadline| deadline <= now) {
                member.license(&self.supervisor);
            }
        }
        let world = World { links: &self.links, journal: &self.journal, notices: &self.notices };
        for watchdog in &mut self.watchdogs {
            watchdog.tick(now, &mut self.members, world);
        }
        self.hear_complaints();
        if self.supervisor.deadline().is_some_and(|after| self.started + after <= now) {
            self.supervisor.tick(self.now());
        }
        self.settle();
    }

    /// The supervisor's time.
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Tells the supervisor what has happened, and does what it and supervisor domains say, until
    /// there is nothing more of any.
    fn settle(&mut self) {
        loop {
            self.obey_supervisor();
            while let Some((domain, notice)) = self.notices.take() {
                self.tell(domain as usize, notice);
                self.obey_supervisor();
            }
            self.bailouts.withdraw(&self.members);
            if !self.hear_verdicts() {
                return;
            }
        }
    }

    fn obey_supervisor(&mut self) {
        while let Some(action) = self.supervisor.next_action() {
            self.act(action);
        }
    }

    fn tell(&mut self, domain: usize, notice: Notice) {
        let now = self.now();
        match notice {
            Notice::Started => self.supervisor.started(domain, now),
            Notice::Ready => self.supervisor.ready(domain, now),
            Notice::Ended { end, uptime } => self.supervisor.ended(domain, end, uptime, now),
            Notice::Suspended { end, uptime } => self.ask(domain, end, uptime),
            Notice::WentAhead { end, uptime } => {
                if !self.supervisor.went_ahead(domain, end, uptime, now) {
                    self.members[domain].recall();
                }
            }
        }
        self.members[domain].license(&self.supervisor);
    }

    fn act(&mut self, action: Action) {
        let world = World { links: &self.links, journal: &self.journal, notices: &self.notices };
        match action {
            Action::Start { domain, from } => {
                let origin = match from {
                    RestartFrom::Checkpoint => Origin::Checkpoint,
                    RestartFrom::Image => Origin::Image,
                };
                self.members[domain].begin(origin, world);
            }
            Action::Stop { domain, .. } => self.members[domain].ask_to_stop(world),
            Action::Force { domain } if self.supervisor.is_overdue(domain) => {
                self.members[domain].force(Cause::NotReady, world);
            }
            Action::Force { domain } => self.members[domain].force(Cause::Killed, world),
            Action::StayDown { domain, why } => self.members[domain].stays_down(why, world),
            Action::Pause { domain, pause } => self.members[domain].pauses(pause, world),
            Action::GroupRestarts { group } => {
                let group = self.groups[group].clone();
                self.journal.event(None, EventKind::GroupRestarts { group });
            }
            Action::GroupGivesUp { group } => {
                let group = self.groups[group].clone();
                self.journal.event(None, EventKind::GroupGaveUp { group });
            }
            Action::EndSystem { why, .. } => self.over = Some(why),
        }
    }

    /// A server that broke the protocol towards a gateway is ended: nobody could speak with it.
    fn hear_complaints(&mut self) {
        let world = World { links: &self.links, journal: &self.journal, notices: &self.notices };
        for gateway in &self.gateways {
            let mut gateway = gateway.borrow_mut();
            if !gateway.take_complaint() {
                continue;
            }
            let accused = gateway.to().domain.to_string();
            let cause = Cause::Protocol { gateway: gateway.address().to_owned() };
            let member = self.members.iter_mut().find(|member| member.name() == accused);
            // It may have ended by itself meanwhile.
            if let Some(Err(refusal)) = member.map(|member| member.kill(cause, world)) {
                log::debug!("{accused} broke the protocol, and is gone already: {refusal}");
            }
        }
    }

    /// What is decided of one report must be decided before the next one is looked at: that one
    /// may be of an incarnation which, by then, is not to be.
    fn read_news(&mut self) {
        drop(self.news.read());
        while let Ok(report) = self.reports.try_recv() {
            let world =
                World { links: &self.links, journal: &self.journal, notices: &self.notices };
            if let Some(member) = self.members.get_mut(report.domain as usize) {
                member.reported(report.vcpu, report.kind, world);
            }
            self.settle();
        }
        while let Ok(request) = self.requests.try_recv() {
            self.obey(request);
            self.settle();
        }
    }

    /// Answers one request of the control API. A client that no longer waits is no concern.
    fn obey(&mut self, request: Request) {
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
                drop(answer.send(self.restart(&domain)));
            }
            Request::Pause { domain, answer } => {
                drop(answer.send(find(members, &domain).and_then(Member::pause)));
            }
            Request::Resume { domain, answer } => {
                drop(answer.send(find(members, &domain).and_then(|member| member.resume(world))));
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

    fn restart(&mut self, domain: &str) -> Result<(), Refusal> {
        let member = find(&mut self.members, domain)?;
        member.may_restart()?;
        let number = member.id() as usize;
        let now = self.now();
        // A system that ends says so itself.
        if let Err(ending) = self.supervisor.restart(number, now) {
            log::info!("{domain} is not restarted: {ending}");
        }
        Ok(())
    }

    /// Asks all domains to end in good order; asked again, ends without them.
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

    fn stop(&mut self, reason: &str) {
        if self.stopping {
            self.over = Some(Ending::Asked(reason.to_owned()));
            return;
        }
        self.stopping = true;
        self.journal.event(None, EventKind::SystemStopping { reason: reason.to_owned() });
        self.supervisor.stop(reason, self.now());
        self.settle();
    }

    fn read_signal(&mut self) {
        if let Ok(Some(signal)) = self.signals.read_signal() {
            self.stop(&format!("signal {}", signal.ssi_signo));
        }
    }

    fn status(&self) -> SystemStatus {
        SystemStatus {
            name: self.name.clone(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_micros: self.started.elapsed().as_micros() as u64,
            host: self.host,
            domains: self.members.iter().map(describe).collect(),
        }
    }

    fn inspect(&self, domain: &str) -> Result<Box<DomainReport>, Refusal> {
        let Some(member) = self.members.iter().find(|member| member.name() == domain) else {
            return Err(Refusal::no_such_domain(domain, self.members.iter().map(Member::name)));
        };
        let gateways = self.gateways.iter().map(|gateway| gateway.borrow());
        let leading_here = gateways.filter(|gateway| gateway.to().domain.to_string() == domain);
        Ok(Box::new(DomainReport {
            status: describe(member),
            image_hash: member.domain.blueprint().image.hash().to_string(),
            last_fault: member.history.last().cloned(),
            exits: member.domain.counters().exits(),
            channels: self.links.report(member.id()),
            gateways: leading_here.map(|gateway| gateway.report()).collect(),
        }))
    }
}

fn find<'m>(members: &'m mut [Member], name: &str) -> Result<&'m mut Member, Refusal> {
    match members.iter().position(|member| member.name() == name) {
        Some(at) => Ok(&mut members[at]),
        None => Err(Refusal::no_such_domain(name, members.iter().map(Member::name))),
    }
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
    }
}

impl MutEventSubscriber for Nucleus {
    fn init(&mut self, ops: &mut EventOps<'_>) {
        let news = Events::new(&*self.news, EventSet::IN);
        let signals = Events::with_data(&self.signals, SIGNALS, EventSet::IN);
        let desks = (DESKS..).zip(self.bailouts.wakes());
        let desks = desks.map(|(data, wake)| Events::with_data(&**wake, data, EventSet::IN));
        let all: Vec<_> = [news, signals].into_iter().chain(desks).collect();
        for events in all {
            if let Err(error) = ops.add(events) {
                log::error!("the nucleus cannot hear: {error}");
                self.stop("the event loop failed");
            }
        }
    }

    fn process(&mut self, events: Events, _: &mut EventOps<'_>) {
        match events.data() {
            SIGNALS => self.read_signal(),
            DESKS.. => self.hear_desk((events.data() - DESKS) as usize),
            _ => self.read_news(),
        }
    }
}

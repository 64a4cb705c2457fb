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
mod requests;
mod residency;
mod snapshot;
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

use crate::control::{Refusal, Request};
use crate::disk::Desk;
use crate::domain::{Cause, Origin, Report};
use crate::gateway::Gateway;
use crate::journal::{EventKind, Journal};
use crate::machine::host::Host;
use crate::machine::shared_page::SharedPage;
use crate::manifest::RestartFrom;
use crate::snapshot::OnDisk;
use crate::supervisor::{Action, Ending, Supervisor};

pub use links::{Link, Links, Party};
pub use member::{Member, Notices};
use member::{Notice, World};
pub use snapshot::Attempt;
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
    /// The text of its manifest.
    pub manifest: Arc<str>,
    /// Domains whose memory follows what is on a disk.
    pub on_disks: Vec<OnDisk>,
    /// The file that it was restored from.
    pub restored_from: Option<String>,
    /// The host's KVM.
    pub kvm: Arc<Host>,
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
    /// Its disks.
    pub disks: Vec<Desk>,
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
    /// When a member's licence is to be considered next.
    pub probation: Option<Instant>,
    /// The snapshot that is being taken.
    pub snapshot: Option<Attempt>,
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
        let watchdogs = self.watchdogs.iter().map(Watchdog::deadline);
        let decision = self.supervisor.deadline().map(|after| self.started + after);
        let verdicts = self.bailouts.deadline();
        let snapshot = self.snapshot.as_ref().and_then(Attempt::deadline);
        let others = self.probation.into_iter().chain(decision).chain(verdicts).chain(snapshot);
        let first = watchdogs.chain(others).min();
        first.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Does what has become due.
    pub fn tick(&mut self) {
        let now = Instant::now();
        if self.probation.is_some_and(|first| first <= now) {
            self.review(now);
        }
        let world = World { links: &self.links, journal: &self.journal, notices: &self.notices };
        for watchdog in &mut self.watchdogs {
            watchdog.tick(now, &mut self.members, world);
        }
        self.hear_complaints();
        self.go_on_with_snapshot();
        if self.supervisor.deadline().is_some_and(|after| self.started + after <= now) {
            self.supervisor.tick(self.now());
        }
        self.settle();
    }

    /// Considers the licences for which it is time.
    fn review(&mut self, now: Instant) {
        for member in &mut self.members {
            if member.deadline().is_some_and(|deadline| deadline <= now) {
                member.license(&self.supervisor);
            }
        }
        self.probation = self.members.iter().filter_map(Member::deadline).min();
    }

    /// Sees to it that a member's licence is considered in time. (All of them are looked at only
    /// when it is time for one: there may be a thousand.)
    fn note_probation(&mut self, domain: usize) {
        let deadline = self.members[domain].deadline();
        self.probation = self.probation.into_iter().chain(deadline).min();
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
        self.note_probation(domain);
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
            Action::Stop { domain, .. } => {
                self.members[domain].ask_to_stop(world);
                let is_down = |server: u32| self.members[server as usize].is_down();
                self.links.forsake(domain as u32, is_down);
            }
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

    fn read_news(&mut self) {
        drop(self.news.read());
        self.hear_reports();
        while let Ok(request) = self.requests.try_recv() {
            // Who asks may have seen already what a vCPU has reported meanwhile, and mean that.
            self.hear_reports();
            self.obey(request);
            self.settle();
        }
    }

    /// What is decided of one report must be decided before the next one is looked at: that one
    /// may be of an incarnation which, by then, is not to be.
    fn hear_reports(&mut self) {
        while let Ok(report) = self.reports.try_recv() {
            let world =
                World { links: &self.links, journal: &self.journal, notices: &self.notices };
            let domain = report.domain as usize;
            if let Some(member) = self.members.get_mut(domain) {
                member.reported(report.vcpu, report.kind, world);
                self.note_probation(domain);
                self.settle_rest(domain);
            }
            self.settle();
        }
    }

    /// Asks all domains to end in good order; asked again, ends without them.
    fn stop(&mut self, reason: &str) {
        if self.stopping {
            self.over = Some(Ending::Asked(reason.to_owned()));
            return;
        }
        self.stopping = true;
        self.give_up_snapshot(Refusal::ShuttingDown);
        self.journal.event(None, EventKind::SystemStopping { reason: reason.to_owned() });
        self.supervisor.stop(reason, self.now());
        self.settle();
    }

    fn read_signal(&mut self) {
        if let Ok(Some(signal)) = self.signals.read_signal() {
            self.stop(&format!("signal {}", signal.ssi_signo));
        }
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

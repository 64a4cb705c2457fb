//! One domain's life: incarnations, how they end.
//!
//! ```text
//!            begin            Started              Ended, or all parked
//!   Down ──────────▶ Starting ────────▶ Running ──▶ Parking ───┬──▶ Paused ─▶ Running
//!    ▲                                                         ├──▶ Suspended ─▶ Running
//!    └─────────────────────────────────────────────────────────┴─────────┘
//! ```
//!
//! A domain with a supervisor domain is suspended when it has failed: whole, until that has decided.
//!
//! What follows an end is the supervisor's to say. A member tells it what happened, as
//! [`Notice`]s, and does what it is told.
//!
//! Orders cross with ends: a vCPU may have ended its incarnation, and begun the next one by a
//! licence, when an order for the last one is on its way. So each order is for one incarnation, by
//! number, and whoever gets it in another lets it be.

mod ends;
mod notices;
mod orders;
mod rest;
mod suspension;

use std::time::{Duration, Instant};

use super::history::History;
use super::links::Links;
use crate::control::api::{DomainState, Restored};
use crate::domain::{Cause, Domain, DomainError, Origin, Snapshot};
use crate::journal::{EventKind, Journal};
use crate::supervisor::{End, Supervisor};

pub use notices::{Notice, Notices};
pub use suspension::Suspension;

/// Why all vCPUs of a domain are made to stand still.
#[derive(Clone, Debug)]
enum Purpose {
    /// One of them ended the incarnation.
    Ended { cause: Cause, snapshot: Box<Snapshot>, vcpu: u32 },
    /// An operator, or the nucleus itself, ends it as a crash does.
    Kill { cause: Cause },
    /// An operator wants it to stand still.
    Pause,
    /// None any more: what was ordered was meant for an incarnation that had ended by itself.
    GoOn,
    /// It began an incarnation by itself that is not wanted after all.
    Recall { then: Then },
}

/// What follows an incarnation that is called back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// Another one.
    Begin(Origin),
    /// None, for now.
    Rest(Rest),
}

#[derive(Debug)]
enum Phase {
    /// It is to run; or to end as soon as it does.
    Starting {
        doomed: Option<Cause>,
    },
    Running,
    Parking {
        purpose: Purpose,
        ticket: u32,
        still: u32,
        first: Option<Box<Snapshot>>,
    },
    Paused,
    /// It failed, and all vCPUs stand still.
    Suspended(Box<Suspension>),
    Down(Rest),
}

/// What a domain that is down waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// Its turn.
    Turn,
    /// The end of a pause.
    Pause,
    /// Nothing: it ended in good order.
    Stopped,
    /// Nothing: it failed.
    Faulted,
}

/// What a member's life touches beside itself.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// The system's channels.
    pub links: &'a Links,
    /// Where events go.
    pub journal: &'a Journal,
    /// What the supervisor is to know.
    pub notices: &'a Notices,
}

/// One life of a domain, from its start to its end.
#[derive(Clone, Copy, Debug)]
struct Incarnation {
    /// Its number; 0 before the first.
    epoch: u32,
    /// When it was started, and then when it began to run.
    since: Instant,
    /// It is to end, which is no fault of its own.
    leaving: bool,
    /// An operator ended it: should it fail on the way, there is nothing left to decide.
    condemned: bool,
    /// It stands still for a snapshot.
    at_rest: bool,
}

impl Incarnation {
    const fn new(epoch: u32, since: Instant) -> Self {
        Self { epoch, since, leaving: false, condemned: false, at_rest: false }
    }
}

/// One domain of the system, with its history.
#[derive(Debug)]
pub struct Member {
    /// The domain.
    pub domain: Domain,
    phase: Phase,
    /// The one that lives, or the last one.
    incarnation: Incarnation,
    /// Incarnations that ended in a fault.
    pub faults: u64,
    /// The last of them.
    pub history: History,
    ended: Instant,
    next_ticket: u32,
    /// Its machine failed: the next incarnation needs a new one.
    broken: bool,
    /// Its last incarnation ended in a fault.
    failed: bool,
    /// Its next incarnation is to find its state region empty.
    afresh: bool,
    /// When to ask again whether it may have a licence.
    probation: Option<Instant>,
    /// Its supervisor domain is told when it has failed.
    is_ward: bool,
    /// The number of its first incarnation in this system.
    first: u32,
    /// What that went on from, unless it began at the image.
    restored: Option<Restored>,
}

impl Member {
    /// A domain before its first incarnation.
    pub fn new(domain: Domain) -> Self {
        let now = Instant::now();
        Self {
            domain,
            phase: Phase::Down(Rest::Turn),
            incarnation: Incarnation::new(0, now),
            faults: 0,
            history: History::default(),
            ended: now,
            next_ticket: 0,
            broken: false,
            failed: false,
            afresh: false,
            probation: None,
            is_ward: false,
            first: 1,
            restored: None,
        }
    }

    /// The same, with a supervisor domain that is to be told when it has failed.
    #[must_use]
    pub fn reporting(self) -> Self {
        Self { is_ward: true, ..self }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.domain.blueprint().name.as_str()
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.domain.blueprint().id
    }

    /// The incarnation; 0 before the first.
    pub const fn epoch(&self) -> u32 {
        self.incarnation.epoch
    }

    /// How often it was restarted.
    pub fn restarts(&self) -> u64 {
        u64::from(self.epoch().saturating_sub(self.first))
    }

    /// What it is doing.
    pub const fn state(&self) -> DomainState {
        match self.phase {
            Phase::Starting { .. } | Phase::Down(Rest::Turn) => DomainState::Starting,
            Phase::Running | Phase::Parking { .. } => DomainState::Running,
            Phase::Paused => DomainState::Paused,
            Phase::Suspended(_) => DomainState::Suspended,
            Phase::Down(Rest::Pause) => DomainState::BackingOff,
            Phase::Down(Rest::Faulted) => DomainState::Faulted,
            Phase::Down(Rest::Stopped) => DomainState::Stopped,
        }
    }

    /// Whether its vCPUs run.
    pub const fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running)
    }

    /// Whether no incarnation lives.
    pub const fn is_down(&self) -> bool {
        matches!(self.phase, Phase::Down(_))
    }

    /// Whether it has no vCPU but one, which need not wait for others to stand still.
    fn is_single(&self) -> bool {
        self.domain.blueprint().plan.vcpus == 1
    }

    /// How long the incarnation has run; zero if none does.
    pub fn uptime(&self) -> Duration {
        match self.phase {
            Phase::Running | Phase::Parking { .. } | Phase::Paused => {
                self.incarnation.since.elapsed()
            }
            Phase::Suspended(_) => self.ended - self.incarnation.since,
            Phase::Starting { .. } | Phase::Down(_) => Duration::ZERO,
        }
    }

    /// When [`Member::license`] is to be asked again.
    pub fn deadline(&self) -> Option<Instant> {
        self.probation.filter(|_| self.is_running())
    }

    /// Lets it go back to its checkpoint by itself, if that is what will be decided anyway.
    pub fn license(&mut self, supervisor: &Supervisor) {
        self.probation = None;
        if !self.is_running() || self.incarnation.leaving || self.is_ward {
            return;
        }
        if supervisor.is_certain(self.id() as usize, self.uptime()) {
            self.domain.license();
        } else if self.uptime() < Supervisor::probation() {
            self.probation = Some(self.incarnation.since + Supervisor::probation());
        }
    }

    /// Begins the next incarnation, as soon as all vCPUs stand still.
    pub fn begin(&mut self, origin: Origin, world: World<'_>) {
        if let Phase::Parking { purpose: Purpose::Recall { then }, .. } = &mut self.phase {
            *then = Then::Begin(origin);
            return;
        }
        self.domain.revoke_licence();
        if self.broken
            && let Err(error) = self.rebuild()
        {
            log::error!("{}: it cannot be rebuilt: {error}", self.name());
            let ended = Notice::Ended { end: End::Fault, uptime: Duration::ZERO };
            return world.notices.give(self.id(), ended);
        }
        let epoch = self.epoch() + 1;
        self.incarnation = Incarnation::new(epoch, Instant::now());
        if epoch > 1 {
            world.links.restart(self.id(), epoch);
        }
        let afresh = std::mem::take(&mut self.afresh);
        if afresh {
            let event = EventKind::DomainStateEmptied { epoch: epoch.into() };
            world.journal.event(Some(self.name()), event);
        }
        self.phase = Phase::Starting { doomed: None };
        let goes_on = self.restored.is_some() && epoch == self.first;
        self.domain.start(epoch, if goes_on { Origin::Checkpoint } else { origin }, afresh);
    }

    fn rebuild(&mut self) -> Result<(), DomainError> {
        // The old one goes when it is replaced, and its threads with it.
        self.domain = self.domain.rebuild()?;
        self.broken = false;
        Ok(())
    }

    /// Lets all vCPUs, which stand still, run on.
    fn run_on(&mut self) {
        self.domain.resume();
        self.phase = Phase::Running;
        // Its licence was taken back when it was to stand still.
        self.probation = Some(Instant::now());
    }

    /// Has all vCPUs stand still.
    fn park(&mut self, purpose: Purpose) {
        self.domain.revoke_licence();
        self.incarnation.at_rest = false;
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        self.phase = Phase::Parking { purpose, ticket, still: 0, first: None };
        self.domain.park(ticket);
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

//! One domain's life: incarnations, how they end.
//!
//! ```text
//!            begin            Started              Ended, or all parked
//!   Down ──────────▶ Starting ────────▶ Running ──▶ Parking ───┬──▶ Paused ─▶ Running
//!    ▲                                                         │
//!    └─────────────────────────────────────────────────────────┘
//! ```
//!
//! What follows an end is the supervisor's to say. A member tells it what happened, as
//! [`Notice`]s, and does what it is told.

use std::time::{Duration, Instant};

use super::history::History;
use super::links::Links;
use crate::control::api::DomainState;
use crate::control::{Operation, Refusal};
use crate::domain::{
    Cause, Circumstances, Domain, DomainError, Injection, Origin, ReportKind, Snapshot, Succession,
};
use crate::journal::{EventKind, Journal, now_micros};
use crate::supervisor::{End, Supervisor, Why};

/// Why all vCPUs of a domain are made to stand still.
#[derive(Clone, Debug)]
enum Purpose {
    /// One of them ended the incarnation.
    Ended { cause: Cause, snapshot: Box<Snapshot>, vcpu: u32 },
    /// An operator, or the nucleus itself, ends it as a crash does.
    Kill { cause: Cause },
    /// An operator wants it to stand still.
    Pause,
    /// It began an incarnation by itself that is not wanted after all.
    Recall,
}

/// What the supervisor is to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// An incarnation runs.
    Started,
    /// Its server has begun.
    Ready,
    /// It ended.
    Ended {
        /// How.
        end: End,
        /// How long it had run.
        uptime: Duration,
    },
    /// It ended, and the next one runs.
    WentAhead {
        /// How it ended.
        end: End,
        /// How long it had run.
        uptime: Duration,
    },
}

#[derive(Debug)]
enum Phase {
    Starting,
    Running,
    Parking { purpose: Purpose, ticket: u32, still: u32, first: Option<Box<Snapshot>> },
    Paused,
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
}

/// One domain of the system, with its history.
#[derive(Debug)]
pub struct Member {
    /// The domain.
    pub domain: Domain,
    phase: Phase,
    /// The incarnation; 0 before the first.
    pub epoch: u32,
    /// Incarnations that ended in a fault.
    pub faults: u64,
    /// The last of them.
    pub history: History,
    started: Instant,
    ended: Instant,
    next_ticket: u32,
    /// An incarnation that is just starting is to be killed as soon as it runs.
    doomed: Option<Cause>,
    /// Its machine failed: the next incarnation needs a new one.
    broken: bool,
    /// It was ordered to end, and has not yet.
    killing: bool,
    /// It is to end, which is no fault of its own.
    leaving: bool,
    /// Its server may have been asked to end that is not to end any more.
    misled: bool,
    /// Its last incarnation ended in a fault.
    failed: bool,
    /// When to ask again whether it may have a licence.
    probation: Option<Instant>,
    /// It is to begin again as soon as it stands still.
    successor: Option<Origin>,
    notices: Vec<Notice>,
}

impl Member {
    /// A domain before its first incarnation.
    pub fn new(domain: Domain) -> Self {
        let now = Instant::now();
        Self {
            domain,
            phase: Phase::Down(Rest::Turn),
            epoch: 0,
            faults: 0,
            history: History::default(),
            started: now,
            ended: now,
            next_ticket: 0,
            doomed: None,
            broken: false,
            killing: false,
            leaving: false,
            misled: false,
            failed: false,
            probation: None,
            successor: None,
            notices: Vec::new(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.domain.blueprint().name.as_str()
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.domain.blueprint().id
    }

    /// How often it was restarted.
    pub fn restarts(&self) -> u64 {
        u64::from(self.epoch.saturating_sub(1))
    }

    /// What it is doing.
    pub fn state(&self) -> DomainState {
        match self.phase {
            Phase::Starting => DomainState::Starting,
            Phase::Running | Phase::Parking { .. } => DomainState::Running,
            Phase::Paused => DomainState::Paused,
            Phase::Down(Rest::Turn) => DomainState::Starting,
            Phase::Down(Rest::Pause) => DomainState::BackingOff,
            Phase::Down(Rest::Faulted) => DomainState::Faulted,
            Phase::Down(Rest::Stopped) => DomainState::Stopped,
        }
    }

    /// Whether its vCPUs run.
    pub fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running)
    }

    /// How long the incarnation has run; zero if none does.
    pub fn uptime(&self) -> Duration {
        match self.phase {
            Phase::Running | Phase::Parking { .. } | Phase::Paused => self.started.elapsed(),
            _ => Duration::ZERO,
        }
    }

    /// What the supervisor is to know, in order; told once.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// When [`Member::license`] is to be asked again.
    pub fn deadline(&self) -> Option<Instant> {
        self.probation.filter(|_| matches!(self.phase, Phase::Running))
    }

    /// Lets it go back to its checkpoint by itself, if that is what will be decided anyway.
    pub fn license(&mut self, supervisor: &Supervisor) {
        self.probation = None;
        if !matches!(self.phase, Phase::Running) || self.leaving {
            return;
        }
        if supervisor.is_certain(self.id() as usize, self.uptime()) {
            self.domain.license();
        } else if self.uptime() < Supervisor::probation() {
            self.probation = Some(self.started + Supervisor::probation());
        }
    }

    /// Begins the next incarnation. All vCPUs stand still.
    pub fn begin(&mut self, origin: Origin, world: World<'_>) {
        if self.broken
            && let Err(error) = self.rebuild()
        {
            log::error!("{}: it cannot be rebuilt: {error}", self.name());
            return self.notices.push(Notice::Ended { end: End::Fault, uptime: Duration::ZERO });
        }
        if matches!(self.phase, Phase::Parking { .. }) {
            self.successor = Some(origin);
            return;
        }
        (self.killing, self.leaving, self.misled) = (false, false, false);
        self.epoch += 1;
        if self.epoch > 1 {
            world.links.restart(self.id(), self.epoch);
        }
        self.phase = Phase::Starting;
        self.domain.start(self.epoch, origin);
    }

    /// A vCPU reported.
    pub fn reported(&mut self, vcpu: u32, kind: ReportKind, world: World<'_>) {
        match kind {
            ReportKind::Started { epoch, origin } if epoch == self.epoch => {
                self.now_runs(origin, world);
            }
            ReportKind::Ready { epoch, checkpoint, after } if epoch == self.epoch => {
                let event = EventKind::DomainReady {
                    epoch: epoch.into(),
                    micros: micros(after),
                    checkpoint,
                };
                world.journal.event(Some(self.name()), event);
                self.notices.push(Notice::Ready);
            }
            ReportKind::Started { .. } | ReportKind::Ready { .. } => (),
            ReportKind::Ended { cause, snapshot } => self.vcpu_ended(cause, snapshot, vcpu, world),
            ReportKind::Parked { ticket, snapshot } => {
                self.vcpu_parked(ticket, vcpu, snapshot, world)
            }
            ReportKind::Succeeded(succession) => self.succeeded(*succession, world),
            ReportKind::Broken(error) => self.broke(&error.to_string(), vcpu, world),
        }
    }

    fn now_runs(&mut self, origin: Origin, world: World<'_>) {
        self.started = Instant::now();
        self.phase = Phase::Running;
        self.domain.start_others(self.epoch);
        if let Some(cause) = self.doomed.take() {
            self.park(Purpose::Kill { cause });
        }
        let epoch = self.epoch.into();
        let event = match self.epoch {
            1 => EventKind::DomainStarted { epoch },
            _ => EventKind::DomainRestarted {
                epoch,
                origin,
                micros: micros(self.ended.elapsed()),
                steps: None,
            },
        };
        self.history.follow(&event);
        world.journal.event(Some(self.name()), event);
        self.notices.push(Notice::Started);
    }

    /// The domain began its next incarnation by itself, as it was allowed to.
    fn succeeded(&mut self, succession: Succession, world: World<'_>) {
        let Succession { epoch, cause, snapshot, ended, steps } = succession;
        self.killing = false;
        let uptime = ended - self.started;
        self.note_fault((&cause, &snapshot), 0, (ended, uptime), world);
        self.notices.push(Notice::WentAhead { end: end_of(&cause), uptime });
        (self.epoch, self.ended, self.started) = (epoch, ended, ended + steps.total());
        let event = EventKind::DomainRestarted {
            epoch: epoch.into(),
            origin: Origin::Checkpoint,
            micros: micros(steps.total()),
            steps: Some(steps),
        };
        self.history.follow(&event);
        world.journal.event(Some(self.name()), event);
    }

    fn vcpu_ended(&mut self, cause: Cause, snapshot: Box<Snapshot>, vcpu: u32, world: World<'_>) {
        if self.domain.blueprint().plan.vcpus == 1 {
            // Nobody else has to stand still first, whatever was under way.
            let purpose = match self.phase {
                Phase::Parking { purpose: Purpose::Recall, .. } => Purpose::Recall,
                _ => Purpose::Ended { cause, snapshot, vcpu },
            };
            return self.conclude(purpose, None, world);
        }
        let ended = Purpose::Ended { cause, snapshot, vcpu };
        match &mut self.phase {
            // The first cause stands; but a fault outweighs an order that it crossed.
            Phase::Parking { purpose: Purpose::Ended { .. }, .. } => (),
            Phase::Parking { purpose, .. } => *purpose = ended,
            _ => self.park(ended),
        }
    }

    fn park(&mut self, purpose: Purpose) {
        self.domain.revoke_licence();
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        self.phase = Phase::Parking { purpose, ticket, still: 0, first: None };
        self.domain.park(ticket);
    }

    fn vcpu_parked(&mut self, ticket: u32, vcpu: u32, snapshot: Box<Snapshot>, world: World<'_>) {
        let all = (1u32 << self.domain.blueprint().plan.vcpus) - 1;
        let Phase::Parking { purpose, ticket: expected, still, first } = &mut self.phase else {
            return;
        };
        if *expected != ticket {
            return;
        }
        *still |= 1 << vcpu;
        if vcpu == 0 {
            *first = Some(snapshot);
        }
        if *still == all {
            let (purpose, first) = (purpose.clone(), first.take());
            self.conclude(purpose, first, world);
        }
    }

    /// All vCPUs stand still.
    fn conclude(&mut self, purpose: Purpose, first: Option<Box<Snapshot>>, world: World<'_>) {
        match purpose {
            Purpose::Pause => {
                self.phase = Phase::Paused;
                world.journal.event(Some(self.name()), EventKind::DomainPaused);
            }
            Purpose::Recall => {
                self.phase = Phase::Down(Rest::Turn);
                if let Some(origin) = self.successor.take() {
                    self.begin(origin, world);
                }
            }
            Purpose::Kill { cause } => {
                self.end(&cause, &first.unwrap_or_default(), 0, world);
            }
            Purpose::Ended { cause, snapshot, vcpu } => self.end(&cause, &snapshot, vcpu, world),
        }
    }

    fn end(&mut self, cause: &Cause, snapshot: &Snapshot, vcpu: u32, world: World<'_>) {
        self.ended = Instant::now();
        self.killing = false;
        let uptime = self.ended - self.started;
        let end = match end_of(cause) {
            // It did what somebody else wanted, not what its own work had come to.
            End::Clean if self.leaving || self.misled => End::Killed,
            end => end,
        };
        let is_clean = matches!(cause, Cause::Exit { status: 0 });
        self.failed = !is_clean && !self.leaves_as_asked(end);
        if self.failed {
            self.note_fault((cause, snapshot), vcpu, (self.ended, uptime), world);
            if end != End::Killed
                && let Some(fault) = self.history.last()
            {
                world.links.died(self.id(), &fault.summary());
            }
        } else {
            let epoch = self.epoch.into();
            let event = match is_clean {
                true => EventKind::DomainStopped { epoch },
                false => EventKind::DomainForced { epoch },
            };
            world.journal.event(Some(self.name()), event);
        }
        self.phase = Phase::Down(Rest::Turn);
        self.notices.push(Notice::Ended { end, uptime });
    }

    /// Whether an end is what it was told to.
    const fn leaves_as_asked(&self, end: End) -> bool {
        self.leaving && matches!(end, End::Killed)
    }

    fn note_fault(
        &mut self,
        (cause, snapshot): (&Cause, &Snapshot),
        vcpu: u32,
        (ended, uptime): (Instant, Duration),
        world: World<'_>,
    ) {
        let circumstances = Circumstances {
            epoch: self.epoch,
            vcpu,
            ended_micros: now_micros().saturating_sub(micros(ended.elapsed())),
            uptime_micros: micros(uptime),
            restarts: self.restarts(),
        };
        let report = self.domain.report(cause, snapshot, circumstances);
        self.faults += 1;
        let event = EventKind::faulted(&report);
        world.journal.event(Some(self.name()), event);
        self.history.note(report);
    }

    /// The machine itself failed; only a new one can serve.
    fn broke(&mut self, error: &str, vcpu: u32, world: World<'_>) {
        log::error!("{}: its machine failed: {error}", self.name());
        self.broken = true;
        let cause = Cause::Stuck { reason: error.to_owned() };
        self.end(&cause, &Snapshot::default(), vcpu, world);
    }

    fn rebuild(&mut self) -> Result<(), DomainError> {
        // The old one goes when it is replaced, and its threads with it.
        self.domain = self.domain.rebuild()?;
        self.broken = false;
        Ok(())
    }

    /// Asks the server to end in good order.
    pub fn ask_to_stop(&mut self) {
        self.domain.revoke_licence();
        self.leaving = true;
        match self.phase {
            Phase::Running => self.domain.ask_to_stop(),
            // It cannot hear.
            _ => self.force(Cause::Killed),
        }
    }

    /// Ends the incarnation whatever it does.
    pub fn force(&mut self, cause: Cause) {
        self.domain.revoke_licence();
        // What was not ready in time has failed; the others are only in the way.
        self.leaving = cause == Cause::Killed;
        match &mut self.phase {
            Phase::Running | Phase::Paused => self.park(Purpose::Kill { cause }),
            Phase::Starting => self.doomed = Some(cause),
            Phase::Parking { purpose: purpose @ (Purpose::Pause | Purpose::Recall), .. } => {
                *purpose = Purpose::Kill { cause };
            }
            // It ends already, or has ended, and the supervisor is about to be told.
            Phase::Parking { .. } | Phase::Down(_) => (),
        }
    }

    /// The incarnation that it began by itself stands, whatever it was asked to do before.
    pub fn stands(&mut self) {
        if std::mem::replace(&mut self.leaving, false) {
            self.misled = true;
            self.domain.ask_to_go_on();
        }
    }

    /// Ends an incarnation that it began by itself and that is not wanted: nobody need know.
    pub fn recall(&mut self) {
        match &mut self.phase {
            Phase::Running | Phase::Paused => self.park(Purpose::Recall),
            Phase::Parking { purpose, .. } => *purpose = Purpose::Recall,
            Phase::Starting | Phase::Down(_) => (),
        }
    }

    /// It begins again after a pause.
    pub fn pauses(&mut self, pause: Duration, world: World<'_>) {
        self.phase = Phase::Down(Rest::Pause);
        let (epoch, micros) = (self.epoch.into(), micros(pause));
        let event = EventKind::DomainBackingOff { epoch, micros };
        self.history.follow(&event);
        world.journal.event(Some(self.name()), event);
    }

    /// Nothing follows its end.
    pub fn stays_down(&mut self, why: Why, world: World<'_>) {
        let rest = if self.failed { Rest::Faulted } else { Rest::Stopped };
        self.phase = Phase::Down(rest);
        self.history.stays_down(self.epoch.into());
        world.links.gone(self.id());
        if !matches!(why, Why::Finished | Why::SystemEnds) {
            let event = EventKind::DomainStaysDown { reason: why.to_string() };
            world.journal.event(Some(self.name()), event);
        }
    }

    /// Whether an operator may ask for a new incarnation now.
    ///
    /// # Errors
    /// If one is just beginning, or ending.
    pub fn may_restart(&self) -> Result<(), Refusal> {
        match self.phase {
            Phase::Starting | Phase::Parking { .. } => Err(self.wrong_state(Operation::Restart)),
            Phase::Running | Phase::Paused | Phase::Down(_) => Ok(()),
        }
    }

    /// Ends the incarnation as a crash does.
    ///
    /// # Errors
    /// If none runs.
    pub fn kill(&mut self, cause: Cause) -> Result<(), Refusal> {
        match &mut self.phase {
            Phase::Running if self.domain.blueprint().plan.vcpus == 1 && cause == Cause::Killed => {
                // Who is being killed need not be killed twice.
                if !std::mem::replace(&mut self.killing, true) {
                    self.domain.kill();
                }
            }
            Phase::Running | Phase::Paused => self.park(Purpose::Kill { cause }),
            Phase::Starting => self.doomed = Some(cause),
            Phase::Parking { purpose: purpose @ Purpose::Pause, .. } => {
                *purpose = Purpose::Kill { cause };
            }
            // It is ending already.
            Phase::Parking { .. } => (),
            Phase::Down(_) => return Err(self.wrong_state(Operation::Kill)),
        }
        Ok(())
    }

    /// Harms the guest, if it runs; if not, the injection is dropped, which is an answer.
    pub fn inject(&self, injection: Injection) {
        if matches!(self.phase, Phase::Running) {
            self.domain.inject(injection);
        }
    }

    /// Makes the domain stand still.
    ///
    /// # Errors
    /// If it does not run.
    pub fn pause(&mut self) -> Result<(), Refusal> {
        if !matches!(self.phase, Phase::Running) {
            return Err(self.wrong_state(Operation::Pause));
        }
        self.park(Purpose::Pause);
        Ok(())
    }

    /// Lets a paused domain run on.
    ///
    /// # Errors
    /// If it is not paused.
    pub fn resume(&mut self, world: World<'_>) -> Result<(), Refusal> {
        if !matches!(self.phase, Phase::Paused) {
            return Err(self.wrong_state(Operation::Resume));
        }
        self.domain.resume();
        self.phase = Phase::Running;
        world.journal.event(Some(self.name()), EventKind::DomainResumed);
        Ok(())
    }

    fn wrong_state(&self, operation: Operation) -> Refusal {
        let remedy = match self.phase {
            Phase::Starting | Phase::Parking { .. } => "try again in a moment",
            Phase::Running => "it need not be resumed",
            Phase::Paused => "`vmm resume` lets it run on",
            Phase::Down(Rest::Turn) => "it starts when those that it waits for are up",
            Phase::Down(Rest::Pause) => "`vmm restart` begins its next incarnation at once",
            Phase::Down(Rest::Faulted | Rest::Stopped) => {
                "`vmm restart` begins its next incarnation"
            }
        };
        Refusal::WrongState {
            domain: self.name().to_owned(),
            operation,
            state: self.state(),
            remedy: remedy.to_owned(),
        }
    }
}

/// How the supervisor sees an end.
const fn end_of(cause: &Cause) -> End {
    match cause {
        Cause::Exit { status: 0 } => End::Clean,
        Cause::Killed => End::Killed,
        Cause::Hung { .. } => End::Hung,
        Cause::NotReady => End::StartTimedOut,
        _ => End::Fault,
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

//! The bailout mailbox: domains that failed, and who is asked what is to follow.
//!
//! ```text
//!   suspended ──ask──▶ case ──┬── verdict ─────────────────────────▶ what it says
//!                             ├── none in time, a death, nonsense ──▶ the manifest's policy
//!                             └── an operator, its group, the end ──▶ withdrawn
//! ```
//!
//! StarOS suspended the process that failed, and sent a capability to it to the mailbox that was
//! designated for it. Here a supervisor domain is trusted with its wards and with nothing else: it
//! is not waited for longer than the manifest says, and what it says is bounded and checked.

mod clerk;
mod desk;
mod report;
mod table;

use std::sync::Arc;
use std::time::{Duration, Instant};

use atoll_ipc::bailout::Verdict;
use atoll_ipc::message::IpcError;
use thiserror::Error;
use vmm_sys_util::eventfd::EventFd;

use super::Member;
use crate::control::api::FaultReport;
use crate::ipc::Pending;
use crate::supervisor::{End, Forecast};

pub use desk::Desk;
pub use table::Table;

/// A domain that waits for a verdict.
#[derive(Debug)]
pub struct Case {
    domain: usize,
    end: End,
    uptime: Duration,
    /// Which of its supervisor domain's ports was told.
    port: usize,
    deadline: Instant,
    call: Option<Pending>,
}

/// A failure that is to be reported.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    /// The domain.
    pub domain: usize,
    /// How its incarnation ended.
    pub end: End,
    /// How long that had run.
    pub uptime: Duration,
    /// Faults of the domain so far.
    pub faults: u64,
    /// Whether it can be resumed.
    pub can_resume: bool,
    /// What the policy of the manifest would do.
    pub forecast: Forecast,
}

/// What became of a case.
#[derive(Debug)]
pub struct Decided {
    /// The domain.
    pub domain: usize,
    /// How its incarnation ended.
    pub end: End,
    /// How long that had run.
    pub uptime: Duration,
    /// The port that was told.
    pub port: String,
    /// What it says, or why it says nothing.
    pub verdict: Result<Verdict, Silence>,
}

/// Why a supervisor domain decides nothing. Each follows its port's name in a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Silence {
    /// It took too long.
    #[error("did not answer within the `bailout-deadline`")]
    Late,
    /// It died.
    #[error("died before it answered")]
    Died,
    /// It is down.
    #[error("is down for good")]
    Down,
    /// Its channel is full.
    #[error("has too much to read already")]
    Busy,
    /// It dropped the message, or answered with a failure.
    #[error("refused to decide")]
    Refused,
    /// Its answer is none.
    #[error("answered what is no verdict")]
    Nonsense,
    /// It wants what cannot be done.
    #[error("wants the domain to go on, which this fault does not allow")]
    CannotResume,
}

impl Silence {
    const fn of(error: IpcError) -> Self {
        match error {
            IpcError::PeerRestarted | IpcError::Poisoned => Self::Died,
            IpcError::PeerGone | IpcError::NotFound => Self::Down,
            IpcError::Timeout | IpcError::Full => Self::Busy,
            IpcError::Denied | IpcError::Rejected | IpcError::Exhausted => Self::Refused,
            IpcError::Protocol | IpcError::TooLarge => Self::Nonsense,
        }
    }
}

/// All supervisor domains of a system.
#[derive(Debug)]
pub struct Bailouts {
    desks: Vec<Desk>,
    /// By domain: who hears of its faults, as a desk and one of its ports.
    wards: Vec<Option<(usize, usize)>>,
    /// How long a verdict may take.
    patience: Duration,
}

impl Bailouts {
    /// These, for domains by their numbers.
    pub const fn new(
        desks: Vec<Desk>,
        wards: Vec<Option<(usize, usize)>>,
        patience: Duration,
    ) -> Self {
        Self { desks, wards, patience }
    }

    /// Has those of all domains report their faults of which somebody hears.
    pub fn mark(&self, members: Vec<Member>) -> Vec<Member> {
        let members = members.into_iter().enumerate();
        let mark = |(domain, member)| match self.port_of(domain) {
            Some(_) => Member::reporting(member),
            None => member,
        };
        members.map(mark).collect()
    }

    /// The port that hears of a domain's faults.
    pub fn port_of(&self, domain: usize) -> Option<&str> {
        let (desk, port) = (*self.wards.get(domain)?)?;
        Some(&self.desks[desk].ports[port].0)
    }

    /// What is signalled when there is news, by desk.
    pub fn wakes(&self) -> impl Iterator<Item = &Arc<EventFd>> {
        self.desks.iter().map(|desk| &desk.wake)
    }

    /// When [`Bailouts::decided`] has something to say at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        self.desks.iter().flat_map(|desk| desk.cases.iter()).map(|case| case.deadline).min()
    }

    /// Reports a failure of a domain, which is suspended.
    ///
    /// # Errors
    /// If its supervisor domain cannot be asked.
    pub fn ask(&mut self, fault: &FaultReport, failure: Failure) -> Result<(), Silence> {
        let ward = self.wards.get(failure.domain).copied().flatten();
        let (desk, port) = ward.ok_or(Silence::Down)?;
        self.desks[desk].ask(port, fault, failure, Instant::now() + self.patience)
    }

    /// Hears all desks, so that from now on their events tell of more.
    pub fn listen(&mut self, members: &mut [Member]) {
        (0..self.desks.len()).for_each(|desk| self.hear(desk, members));
    }

    /// Hears one desk: answers what it asks.
    pub fn hear(&mut self, desk: usize, members: &mut [Member]) {
        if let Some(desk) = self.desks.get_mut(desk) {
            drop(desk.wake.read());
            desk.answer(members);
        }
    }

    /// Cases that are decided, or will not be.
    pub fn decided(&mut self, now: Instant) -> Vec<Decided> {
        self.desks.iter_mut().flat_map(|desk| desk.decided(now)).collect()
    }

    /// Forgets cases of domains that are suspended no more: somebody else has decided.
    pub fn withdraw(&mut self, members: &[Member]) {
        let is_over =
            |case: &Case| members.get(case.domain).is_none_or(|m| m.suspension().is_none());
        self.desks.iter_mut().for_each(|desk| desk.withdraw(is_over));
    }
}

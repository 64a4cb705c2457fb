//! What the control API asks of the nucleus, and how the question gets there.
//!
//! The nucleus's state has one owner, so the API never looks into it: it sends a [`Request`],
//! wakes the owner's event loop, and waits for the answer that the request carries the way for.

use std::fmt;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::oneshot;

use crate::domain::Injection;

use super::api::{
    DeadLetter, DeadLetterLine, DomainReport, DomainState, FaultReport, Problem, ProblemKind,
    Replay, SystemStatus,
};

/// The way back for an answer. An owner that drops it unused has refused: the system is stopping.
pub type Answer<T> = oneshot::Sender<Result<T, Refusal>>;

/// How long the API waits for the nucleus. Its event loop never blocks, and a restart costs
/// milliseconds, so a later answer means that something is badly wrong.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// One question or order for the nucleus.
#[derive(Debug)]
pub enum Request {
    /// The system and its domains.
    Status {
        /// Where the answer goes.
        answer: Answer<SystemStatus>,
    },
    /// Everything about one domain.
    Inspect {
        /// The domain's name.
        domain: String,
        /// Where the answer goes.
        answer: Answer<Box<DomainReport>>,
    },
    /// The last faults of one domain, the oldest first.
    Faults {
        /// The domain's name.
        domain: String,
        /// Where the answer goes.
        answer: Answer<Vec<FaultReport>>,
    },
    /// Write a core file of one domain as it is.
    Core {
        /// The domain's name.
        domain: String,
        /// Where the file goes.
        answer: Answer<Vec<u8>>,
    },
    /// Take a snapshot of one domain, or of all.
    Snapshot {
        /// The domain's name; all if there is none.
        domain: Option<String>,
        /// How long it may take until all are at rest.
        deadline: Duration,
        /// Where the file goes, in pieces.
        answer: Answer<Vec<Vec<u8>>>,
    },
    /// End the running incarnation as a crash does.
    Kill {
        /// The domain's name.
        domain: String,
        /// Where the answer goes.
        answer: Answer<()>,
    },
    /// Begin a new incarnation; not a fault.
    Restart {
        /// The domain's name.
        domain: String,
        /// Where the answer goes.
        answer: Answer<()>,
    },
    /// Empty the domain's state region, and begin a new incarnation.
    ResetState {
        /// The domain's name.
        domain: String,
        /// Where the answer goes.
        answer: Answer<()>,
    },
    /// Hold the domain's vCPUs.
    Pause {
        /// The domain's name.
        domain: String,
        /// Where the answer goes.
        answer: Answer<()>,
    },
    /// Let a held domain's vCPUs run.
    Resume {
        /// The domain's name.
        domain: String,
        /// Where the answer goes.
        answer: Answer<()>,
    },
    /// Something about dead letters.
    Letters(LetterRequest),
    /// Harm a running guest, to see that nobody else minds. No route of the API makes this
    /// request: only code in the VMM's own process can, and only [`crate::campaign`] does.
    Inject {
        /// The domain's name.
        domain: String,
        /// What to do.
        injection: Injection,
    },
    /// Stop the whole system in good order. The answer says that stopping has begun.
    Stop {
        /// Where the answer goes.
        answer: Answer<()>,
    },
}

/// One question or order about dead letters.
#[derive(Debug)]
pub enum LetterRequest {
    /// All of them, without their payloads.
    List {
        /// Where the answer goes.
        answer: Answer<Vec<DeadLetterLine>>,
    },
    /// One of them.
    Show {
        /// Its number.
        number: u64,
        /// Where the answer goes.
        answer: Answer<Box<DeadLetter>>,
    },
    /// Send one again.
    Replay {
        /// Its number.
        number: u64,
        /// Where the answer goes.
        answer: Answer<Replay>,
    },
    /// Forget one.
    Drop {
        /// Its number.
        number: u64,
        /// Where the answer goes.
        answer: Answer<()>,
    },
}

/// Why the nucleus did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// No domain has that name.
    #[error("no domain is named `{name}`{}", hint(.nearest.as_deref()))]
    NoSuchDomain {
        /// The name that was asked for.
        name: String,
        /// The name that it is most like.
        nearest: Option<String>,
    },
    /// The domain's state does not allow it.
    #[error("cannot {operation} `{domain}`: it is {state}; {remedy}")]
    WrongState {
        /// The domain.
        domain: String,
        /// The verb that was asked for.
        operation: Operation,
        /// What the domain is doing.
        state: DomainState,
        /// What would help.
        remedy: String,
    },
    /// The domain's state cannot be had.
    #[error("no core file of `{domain}`: {why}")]
    NoCore {
        /// The domain.
        domain: String,
        /// What is in the way.
        why: String,
    },
    /// There can be no snapshot.
    #[error("no snapshot of {of}: {why}")]
    NoSnapshot {
        /// Of what.
        of: String,
        /// What is in the way, and what to do.
        why: String,
    },
    /// The domain keeps nothing.
    #[error(
        "`{domain}` has no state region, so every restart begins without; `state` in the manifest \
         would give it one"
    )]
    NoState {
        /// The domain.
        domain: String,
    },
    /// No dead letter has that number.
    #[error("there is no dead letter {number}; `vmm dead-letters` lists those there are")]
    NoSuchLetter {
        /// The number that was asked for.
        number: u64,
    },
    /// Not all of a dead letter was kept.
    #[error(
        "dead letter {number} was not kept whole, as it was long or came with a buffer: only its \
         client can send it again"
    )]
    LetterNotWhole {
        /// Its number.
        number: u64,
    },
    /// The system is stopping.
    #[error("the system is stopping and takes no more orders; start it again with `vmm run`")]
    ShuttingDown,
    /// The nucleus did not answer in time.
    #[error(
        "the nucleus gave no answer in {seconds} s; \
         see the system's own log, and stop it with SIGTERM if it stays so"
    )]
    NoAnswer {
        /// How long the API waited.
        seconds: u64,
    },
}

/// What can be asked of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the request of its name")]
pub enum Operation {
    Kill,
    Restart,
    ResetState,
    Pause,
    Resume,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kill => "kill",
            Self::Restart => "restart",
            Self::ResetState => "reset the state of",
            Self::Pause => "pause",
            Self::Resume => "resume",
        })
    }
}

fn hint(nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("; did you mean `{nearest}`?"),
        None => "; `vmm ps` lists those there are".to_owned(),
    }
}

impl Refusal {
    /// The refusal of a name that is none of `known`.
    pub fn no_such_domain<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let nearest = crate::manifest::nearest(name, known).map(str::to_owned);
        Self::NoSuchDomain { name: name.to_owned(), nearest }
    }

    /// The body of the HTTP answer.
    pub fn problem(&self) -> Problem {
        let (kind, status) = match self {
            Self::NoSuchDomain { .. } => (ProblemKind::NoSuchDomain, 404),
            Self::NoSuchLetter { .. } => (ProblemKind::NoSuchLetter, 404),
            Self::LetterNotWhole { .. } => (ProblemKind::LetterNotWhole, 409),
            Self::WrongState { .. } => (ProblemKind::WrongState, 409),
            Self::NoState { .. } => (ProblemKind::NoState, 409),
            Self::NoCore { .. } => (ProblemKind::NoCore, 500),
            Self::NoSnapshot { .. } => (ProblemKind::NoSnapshot, 409),
            Self::ShuttingDown => (ProblemKind::ShuttingDown, 503),
            Self::NoAnswer { .. } => (ProblemKind::NoAnswer, 504),
        };
        Problem { kind, status, message: self.to_string() }
    }
}

/// The sending end: many tasks may hold one.
#[derive(Clone)]
pub struct ControlHandle {
    requests: mpsc::Sender<Request>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for ControlHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlHandle").finish_non_exhaustive()
    }
}

impl ControlHandle {
    /// A handle that sends to `requests` and calls `wake` after each one.
    pub fn new(requests: mpsc::Sender<Request>, wake: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self { requests, wake }
    }

    /// Asks the system to stop, and does not wait for its answer.
    pub fn stop(&self) {
        let (answer, _) = oneshot::channel();
        // A nucleus that is gone has stopped.
        if self.requests.send(Request::Stop { answer }).is_ok() {
            (self.wake)();
        }
    }

    /// Sends an injection to a domain, and does not wait.
    pub(crate) fn inject(&self, domain: &str, injection: Injection) {
        let domain = domain.to_owned();
        // A nucleus that is gone drops it, and so answers.
        if self.requests.send(Request::Inject { domain, injection }).is_ok() {
            (self.wake)();
        }
    }

    /// As [`ControlHandle::ask`], for a thread that may block.
    ///
    /// # Errors
    /// The nucleus's refusal; [`Refusal::ShuttingDown`] when it is gone.
    pub(crate) fn ask_and_block<T>(
        &self,
        make: impl FnOnce(Answer<T>) -> Request,
    ) -> Result<T, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(make(answer)).map_err(|_| Refusal::ShuttingDown)?;
        (self.wake)();
        answered.blocking_recv().unwrap_or(Err(Refusal::ShuttingDown))
    }

    /// Sends the request that `make` builds around the way back, and waits for its answer.
    ///
    /// # Errors
    /// The nucleus's refusal; [`Refusal::ShuttingDown`] when it is gone.
    pub async fn ask<T>(&self, make: impl FnOnce(Answer<T>) -> Request) -> Result<T, Refusal> {
        self.ask_within(ANSWER_TIMEOUT, make).await
    }

    /// As [`ControlHandle::ask`], for what takes longer.
    ///
    /// # Errors
    /// The same.
    pub async fn ask_for_long<T>(
        &self,
        time: Duration,
        make: impl FnOnce(Answer<T>) -> Request,
    ) -> Result<T, Refusal> {
        self.ask_within(ANSWER_TIMEOUT + time, make).await
    }

    async fn ask_within<T>(
        &self,
        limit: Duration,
        make: impl FnOnce(Answer<T>) -> Request,
    ) -> Result<T, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(make(answer)).map_err(|_| Refusal::ShuttingDown)?;
        (self.wake)();
        match tokio::time::timeout(limit, answered).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Refusal::ShuttingDown),
            Err(_) => Err(Refusal::NoAnswer { seconds: limit.as_secs() }),
        }
    }
}

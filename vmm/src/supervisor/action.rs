//! What the supervisor is told, and what it wants done.

use std::fmt;
use std::time::Duration;

use crate::exit_code::ExitCode;
use crate::manifest::RestartFrom;

/// How an incarnation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// In good order: the server ended with status 0.
    Clean,
    /// In a fault.
    Fault,
    /// By an operator's hand: as a fault, but no sign that the server is at fault.
    Killed,
    /// It made no progress.
    Hung,
    /// It did not get ready in time.
    StartTimedOut,
}

/// Something that the nucleus is to do, or to know. Domains are meant by their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Begin an incarnation. Answered by `started`, unless it ends before.
    Start {
        /// The domain.
        domain: usize,
        /// Where it begins.
        from: RestartFrom,
    },
    /// Ask the server to end in good order. Answered by `stopped` or `ended`; if it takes too
    /// long, [`Action::Force`] follows.
    Stop {
        /// The domain.
        domain: usize,
        /// How long it may take.
        within: Duration,
    },
    /// End the incarnation whatever it does, also one that is only beginning. Answered by
    /// `stopped` or `ended`, always.
    Force {
        /// The domain.
        domain: usize,
    },
    /// Nothing follows the end of this domain, until an operator or its group's restart
    /// brings it back. Said once for each time that it goes down for good.
    StayDown {
        /// The domain.
        domain: usize,
        /// Why.
        why: Why,
    },
    /// To know: this domain failed again and again, and starts again after a pause.
    Pause {
        /// The domain.
        domain: usize,
        /// The pause.
        pause: Duration,
    },
    /// To know: several domains are restarted because one member of this group failed.
    GroupRestarts {
        /// The group, by its place in the manifest's list.
        group: usize,
    },
    /// To know: restarts in this group did not help.
    GroupGivesUp {
        /// The group.
        group: usize,
    },
    /// All domains are down, and are to stay so: end the process. The last action there is.
    EndSystem {
        /// With which code.
        code: ExitCode,
        /// Why.
        why: Ending,
    },
}

/// Why a domain stays down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It ended in good order, and its policy asks for no more.
    Finished,
    /// It failed, and is never to be restarted.
    Never,
    /// It was stopped with its group, and is never to be restarted.
    Sibling,
    /// Its group gave up, and stays down.
    GroupGaveUp,
    /// Who hears of its faults decided so.
    Held,
    /// The system ends.
    SystemEnds,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Finished => "it has finished",
            Self::Never => "it is never to be restarted",
            Self::Sibling => "its group restarts, and it is never to be restarted",
            Self::GroupGaveUp => "its group gave up",
            Self::Held => "its supervisor domain holds it down",
            Self::SystemEnds => "the system ends",
        })
    }
}

/// Why the system ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was asked to: by whom or what.
    Asked(String),
    /// Its domains kept failing until the root group gave up.
    GaveUp,
}

impl Ending {
    /// The exit code that tells it.
    pub fn code(&self) -> ExitCode {
        match self {
            Self::Asked(_) => ExitCode::Success,
            Self::GaveUp => ExitCode::GaveUp,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked(reason) => f.write_str(reason),
            Self::GaveUp => f.write_str("supervision gave up: restarts did not help"),
        }
    }
}

/// Where a domain stands, as far as supervision is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is to start, but not yet: others come first, or their ends.
    Waiting,
    /// It is to start when this time has come.
    Pausing {
        /// When, since the supervisor's time began.
        until: Duration,
    },
    /// It was started, and is not up yet.
    Starting,
    /// It is up.
    Up,
    /// It is to end, or was told to.
    Stopping,
    /// It is down, and nothing will change that by itself.
    Down(Why),
}

//! What the nucleus and a vCPU's thread say to each other.

use std::fmt;
use std::sync::mpsc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::checkpoint::{Room, Taken};
use super::super::core_file::Seat;
use super::super::fault::{Cause, Snapshot};
use super::super::injection::Injection;
use super::super::succession::Succession;
use crate::control::api::Registers;
use crate::machine::MachineError;

/// What the nucleus tells a vCPU.
#[derive(Debug)]
pub enum Order {
    /// Go to the start of an incarnation and run. vCPU 0 rolls the memory back first.
    Start {
        /// The incarnation.
        epoch: u32,
        /// From where.
        origin: Origin,
        /// With an empty state region.
        afresh: bool,
    },
    /// Stand still; the answer is [`ReportKind::Parked`] with the same ticket.
    Park {
        /// Tells this order's answer from an earlier one's.
        ticket: u32,
    },
    /// End the incarnation as a crash does, unless it is another one.
    Kill {
        /// The one that is meant.
        epoch: u32,
    },
    /// Run on from where it was parked.
    Resume,
    /// Go on with these registers in the incarnation that an exception had suspended.
    GoOn(Box<Registers>),
    /// A checkpoint of the server, which is at rest: take it there, and let it go on.
    Checkpoint {
        /// For the copy of its memory.
        room: Room,
        /// Where it goes.
        taken: mpsc::Sender<Taken>,
    },
    /// Go on from where the server is at rest.
    GoOnFromRest,
    /// Tell a core file where it stands, and stand still until that is written.
    Core(Seat),
    /// Do harm to the guest, which runs, and run on.
    Inject(Injection),
    /// End the thread.
    Quit,
}

/// From where an incarnation begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The server's entry, with memory as the image has it.
    Image,
    /// Where an earlier incarnation had begun; the image, if none came so far.
    Checkpoint,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Image => "image",
            Self::Checkpoint => "checkpoint",
        })
    }
}

/// What a vCPU tells the nucleus.
#[derive(Debug)]
pub struct Report {
    /// The domain's number.
    pub domain: u32,
    /// The vCPU's number.
    pub vcpu: u32,
    /// What happened.
    pub kind: ReportKind,
}

/// What happened to a vCPU.
#[derive(Debug)]
pub enum ReportKind {
    /// vCPU 0 has the memory ready and runs the incarnation.
    Started {
        /// The incarnation.
        epoch: u32,
        /// From where it really began.
        origin: Origin,
    },
    /// The server has begun.
    Ready {
        /// The incarnation.
        epoch: u32,
        /// Whether a later one can begin here.
        checkpoint: bool,
        /// How long it took to begin.
        after: Duration,
    },
    /// The server is at rest, as it was asked to be.
    Rested {
        /// The incarnation.
        epoch: u32,
    },
    /// It stands still, as ordered.
    Parked {
        /// The order's ticket.
        ticket: u32,
        /// Where it stands.
        snapshot: Box<Snapshot>,
    },
    /// The guest ended; it stands still.
    Ended {
        /// Why.
        cause: Cause,
        /// Where.
        snapshot: Box<Snapshot>,
    },
    /// The guest ended, and its next incarnation runs, by leave of a [`Licence`](super::super::succession::Licence).
    Succeeded(Box<Succession>),
    /// The vCPU cannot be used; its thread has ended.
    Broken(MachineError),
}

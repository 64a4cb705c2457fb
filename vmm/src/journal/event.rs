//! What happened to the system and its domains, as a closed list.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::control::api::{FaultReport, FaultSummary, Restored};
use crate::domain::{Origin, Steps};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Its number; numbers follow each other without a gap.
    pub seq: u64,
    /// When, in microseconds since 1970.
    pub time: u64,
    /// The domain it happened to, if it was one.
    pub domain: Option<String>,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum EventKind {
    /// Every domain and gateway is up.
    SystemStarted,
    /// The system begins to stop.
    SystemStopping {
        /// Who asked for it, or what went wrong.
        reason: String,
    },
    /// A domain's first incarnation runs.
    DomainStarted {
        /// The incarnation.
        epoch: u64,
    },
    /// A domain's first incarnation goes on from a snapshot.
    DomainRestored {
        /// The incarnation.
        epoch: u64,
        /// What it follows.
        from: Restored,
    },
    /// A snapshot was taken: of the domain, or of all.
    SnapshotTaken {
        /// How many domains are in it.
        domains: u64,
        /// Bytes of the file.
        bytes: u64,
        /// The longest time that one of them stood still, in microseconds.
        micros: u64,
    },
    /// An incarnation ended in a fault.
    DomainFaulted {
        /// The incarnation.
        epoch: u64,
        /// The fault, in a line.
        fault: FaultSummary,
    },
    /// A server has begun, and says so.
    DomainReady {
        /// The incarnation.
        epoch: u64,
        /// Time since it was started, in microseconds.
        micros: u64,
        /// Whether later incarnations can begin here.
        checkpoint: bool,
    },
    /// The next incarnation runs.
    DomainRestarted {
        /// The new incarnation.
        epoch: u64,
        /// From where it began.
        origin: Origin,
        /// Time from the end of the old one, in microseconds.
        micros: u64,
        /// How long each step took, if it went back to its checkpoint by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        steps: Option<Steps>,
    },
    /// The domain's state region is emptied before its next incarnation begins.
    DomainStateEmptied {
        /// The new incarnation.
        epoch: u64,
    },
    /// A restart waits, because faults came too fast.
    DomainBackingOff {
        /// The incarnation that ended.
        epoch: u64,
        /// Time until the next one, in microseconds.
        micros: u64,
    },
    /// The incarnation had to end, and was not asked, or did not do so in time.
    DomainForced {
        /// The incarnation.
        epoch: u64,
    },
    /// Nothing follows the end of the domain's last incarnation.
    DomainStaysDown {
        /// Why.
        reason: String,
    },
    /// The domain failed, and stands still until its supervisor domain has decided.
    DomainSuspended {
        /// The incarnation.
        epoch: u64,
        /// The port that the fault is reported to.
        port: String,
    },
    /// What follows a fault was decided by the domain's supervisor domain.
    FaultDecided {
        /// The incarnation.
        epoch: u64,
        /// The port that the fault was reported to.
        port: String,
        /// What is to follow.
        verdict: String,
    },
    /// The supervisor domain decided nothing that could be done: the manifest's policy acts.
    FaultUndecided {
        /// The incarnation.
        epoch: u64,
        /// The port that the fault was, or was to be, reported to.
        port: String,
        /// What is the matter.
        reason: String,
    },
    /// Several domains are restarted, because one of their group failed.
    GroupRestarts {
        /// The group.
        group: String,
    },
    /// Restarts in this group did not help.
    GroupGaveUp {
        /// The group.
        group: String,
    },
    /// An operator holds the domain.
    DomainPaused,
    /// The domain runs again.
    DomainResumed,
    /// An operator ended the incarnation as a crash.
    DomainKilled {
        /// The incarnation.
        epoch: u64,
    },
    /// The server ended in good order.
    DomainStopped {
        /// The incarnation.
        epoch: u64,
    },
    /// A domain says that the peer of one of its channels broke the protocol. Both ends can write
    /// a channel, so this is what it says, not what is proven.
    ProtocolBroken {
        /// The accuser's incarnation.
        epoch: u64,
        /// The channel, as the accuser names it.
        channel: String,
        /// The domain at its other end.
        accused: String,
    },
    /// A gateway takes connections.
    GatewayListening {
        /// Where, as bound.
        listen: String,
        /// The domain's port that it leads to.
        port: String,
    },
    /// A gateway turned a connection away.
    ConnectionRefused {
        /// The gateway.
        listen: String,
        /// Why.
        reason: String,
    },
}

impl EventKind {
    /// The event for this fault.
    pub fn faulted(report: &FaultReport) -> Self {
        Self::DomainFaulted { epoch: report.epoch, fault: report.summary() }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SystemStarted => f.write_str("system started"),
            Self::SystemStopping { reason } => write!(f, "system stopping: {reason}"),
            Self::DomainStarted { epoch } => write!(f, "started, epoch {epoch}"),
            Self::DomainRestored { epoch, from } => {
                write!(
                    f,
                    "restored from {}, epoch {} there, epoch {epoch} here",
                    from.file, from.epoch
                )
            }
            Self::SnapshotTaken { domains, bytes, micros } => {
                let counted = if *domains == 1 { "domain" } else { "domains" };
                write!(
                    f,
                    "snapshot taken: {domains} {counted}, {bytes} bytes, stood still for {micros} us"
                )
            }
            Self::DomainFaulted { epoch, fault } => faulted(f, *epoch, fault),
            Self::DomainReady { epoch, micros, checkpoint } => {
                let kept = if *checkpoint { ", checkpoint taken" } else { "" };
                write!(f, "ready after {micros} us, epoch {epoch}{kept}")
            }
            Self::DomainRestarted { epoch, origin, micros, .. } => {
                write!(f, "restarted from its {origin} in {micros} us, epoch {epoch}")
            }
            Self::DomainBackingOff { epoch, micros } => {
                write!(f, "restart waits {micros} us after the fault of epoch {epoch}")
            }
            Self::DomainStateEmptied { epoch } => {
                write!(f, "state region emptied before epoch {epoch}")
            }
            Self::DomainForced { epoch } => write!(f, "forced to end, epoch {epoch}"),
            Self::DomainStaysDown { reason } => write!(f, "stays down: {reason}"),
            Self::DomainSuspended { epoch, port } => {
                write!(f, "suspended in epoch {epoch}, until {port} decides")
            }
            Self::FaultDecided { epoch, port, verdict } => {
                write!(f, "fault of epoch {epoch}: {port} decides, {verdict}")
            }
            Self::FaultUndecided { epoch, port, reason } => {
                write!(f, "fault of epoch {epoch}: {port} {reason}, so the manifest decides")
            }
            Self::GroupRestarts { group } => write!(f, "group `{group}` restarts"),
            Self::GroupGaveUp { group } => {
                write!(f, "group `{group}` gave up: restarts did not help")
            }
            Self::DomainPaused => f.write_str("paused"),
            Self::DomainResumed => f.write_str("resumed"),
            Self::DomainKilled { epoch } => write!(f, "killed by an operator, epoch {epoch}"),
            Self::DomainStopped { epoch } => write!(f, "stopped in good order, epoch {epoch}"),
            Self::ProtocolBroken { epoch, channel, accused } => {
                write!(
                    f,
                    "says, in epoch {epoch}, that `{accused}` broke the protocol of channel `{channel}`"
                )
            }
            Self::GatewayListening { listen, port } => {
                write!(f, "gateway listens on {listen} for port {port}")
            }
            Self::ConnectionRefused { listen, reason } => {
                write!(f, "gateway {listen} refused a connection: {reason}")
            }
        }
    }
}

fn faulted(f: &mut fmt::Formatter<'_>, epoch: u64, fault: &FaultSummary) -> fmt::Result {
    write!(f, "faulted in epoch {epoch}: {} at {}", fault.what, fault.rip)?;
    match &fault.symbol {
        Some(symbol) => write!(f, " in {symbol}"),
        None => Ok(()),
    }
}

//! What `ps` shows: the system and a line for each of its domains.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The system, and a line for each domain in the manifest's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SystemStatus {
    /// The manifest's name for it.
    pub name: String,
    /// Process id of the VMM.
    pub pid: u32,
    /// Version of the VMM.
    pub version: String,
    /// Time since the system started, in microseconds.
    pub uptime_micros: u64,
    /// What kind of KVM it runs on.
    pub host: HostKind,
    /// The snapshot that it began from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_from: Option<String>,
    /// Its domains.
    pub domains: Vec<DomainStatus>,
}

/// How the host's KVM runs a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HostKind {
    /// VT-x or AMD-V: guest ring 0 runs natively.
    Hardware,
    /// Page-table virtual machines: guest ring 0 is emulated.
    Software,
}

impl fmt::Display for HostKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Hardware => "hardware KVM",
            Self::Software => "software KVM",
        })
    }
}

/// What a domain is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DomainState {
    /// Being built, or between two incarnations.
    Starting,
    /// Its vCPUs run, or wait for work.
    Running,
    /// Held by an operator.
    Paused,
    /// It failed, and stands still while its supervisor domain decides what follows.
    Suspended,
    /// Ended by a fault that no restart followed.
    Faulted,
    /// Ended by a fault; the next incarnation starts after a delay.
    BackingOff,
    /// Ended in good order.
    Stopped,
}

impl DomainState {
    /// The state's word, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Suspended => "suspended",
            Self::Faulted => "faulted",
            Self::BackingOff => "backing-off",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for DomainState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One domain, in a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DomainStatus {
    /// The manifest's name for it.
    pub name: String,
    /// Its number in this run of the system.
    pub id: u32,
    /// Name of the server in its image.
    pub image: String,
    /// What it is doing.
    pub state: DomainState,
    /// Which incarnation this is.
    pub epoch: u64,
    /// How often it was restarted, for whatever reason.
    pub restarts: u64,
    /// How often it faulted.
    pub faults: u64,
    /// Guest memory, in bytes.
    pub memory_bytes: u64,
    /// Guest memory that has host memory behind it, in bytes.
    pub resident_bytes: u64,
    /// Host CPU time of its vCPU threads, in microseconds.
    pub cpu_micros: u64,
    /// Time since this incarnation started, in microseconds; zero when none runs.
    pub uptime_micros: u64,
    /// Number of vCPUs.
    pub vcpus: u32,
    /// Where its first incarnation went on, if that did not begin at the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<Restored>,
}

/// What a domain went on from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Restored {
    /// The snapshot's file.
    pub file: String,
    /// The incarnation that was snapshotted.
    pub epoch: u64,
    /// When, in microseconds since 1970.
    pub taken: u64,
}

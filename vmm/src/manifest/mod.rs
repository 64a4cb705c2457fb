//! The system manifest: a TOML file that says which domains there are, who may talk to whom,
//! what the host's clients can reach, and what follows when a domain ends.
//!
//! Reading is strict. An unknown key is an error, and so is a value that could only fail later;
//! every error of a file is reported at once, each with its place and what to do. What depends
//! on the images is checked in a second pass, [`check_against`], once they are loaded.

mod areas;
mod check;
mod disks;
mod domain;
mod error;
mod links;
mod memory;
mod name;
mod nearest;
mod quantity;
mod reach;
mod read;
mod refs;
mod source;
mod state;
mod supervision;
mod table;
mod types;
mod wait;

pub use areas::AreaError;
pub use check::{ImageFacts, PortFacts, check_against};
pub use disks::{Disk, DiskRule, DiskSize, DiskSizeError, Durability};
pub use error::{ManifestError, Problem, Rule};
pub use memory::{MemorySize, MemorySizeError};
pub use name::{DiskName, DomainName, GroupName, NameError, PortName, SystemName};
pub use nearest::nearest;
pub use source::Place;
pub use state::{OnCrashLoop, State, StateError};
pub use supervision::{
    Backoff, Child, DurationError, Escalation, Group, OnCrash, Policy, PortPolicy, RestartFrom,
    Strategy, Supervision, SupervisionRule, length_of_time,
};
pub use types::{
    Channel, CpuSet, Domain, Gateway, ImageRef, Listen, Manifest, MaxConnections, PortRef, Restart,
    Vcpus,
};
pub use wait::Wait;

#[cfg(test)]
mod tests;

//! The types that cross the control API, one source for server, client and OpenAPI document.

mod aftermath;
mod disk;
mod fault;
mod hex;
mod letter;
mod problem;
mod report;
mod status;

pub use aftermath::{Aftermath, Decision};
pub use disk::{DiskLatency, DiskReport};
pub use fault::{FaultKind, FaultReport, FaultSummary, Frame, Registers};
pub use hex::{Hex, HexError};
pub use letter::{DeadLetter, DeadLetterLine, HexBytes, Replay};
pub use problem::{Problem, ProblemKind};
pub use report::{ChannelReport, ChannelRole, DomainReport, GatewayReport, StateReport};
pub use status::{DomainState, DomainStatus, HostKind, Restored, SystemStatus};

//! What a manifest says of supervision: `[supervision]`, `[groups.NAME]`, and those keys of
//! `[domains.NAME]` that say what follows when the domain ends.
//!
//! ```text
//!   read ──▶ groups, domains ──▶ order (who starts before whom) ──▶ Supervision
//!                          └───▶ bailout (who hears of whose faults)
//! ```

mod bailout;
mod domains;
mod duration;
mod error;
mod groups;
mod order;
mod read;
mod ring;
mod types;

pub use duration::{DurationError, length_of_time};
pub use error::SupervisionRule;
pub use types::{
    Backoff, Child, Escalation, Group, OnCrash, Policy, PortPolicy, RestartFrom, Strategy,
    Supervision,
};

#[cfg(test)]
pub(super) use domains::PORT_KEYS;
#[cfg(test)]
pub(super) use groups::{GROUP_KEYS, SYSTEM_KEYS};
pub(super) use read::supervision;
pub(super) use types::NamedPort;

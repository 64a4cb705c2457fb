//! A domain: one micro-VM with its server, its vCPU threads, and what is known of its faults.
//!
//! The nucleus owns the [`Domain`] and gives orders; each vCPU belongs to a thread of its own,
//! which carries them out and reports. The two sides share only what may be shared: memory, the
//! wake-up signal, counters.

mod backtrace;
mod birth;
mod blueprint;
mod checkpoint;
mod core_file;
mod counters;
mod fault;
mod handle;
mod injection;
mod registers;
mod succession;
mod vcpu_thread;

pub use blueprint::{Blueprint, ChannelEnd};
pub use checkpoint::{Checkpoint, Room, Taken};
pub use core_file::{CoreError, Names};
pub use counters::Counters;
pub use fault::{Cause, Circumstances, Snapshot};
pub use handle::{Domain, DomainError, Line, new_event};
pub use injection::{Harm, Injected, Injection, Random};
pub use succession::{Licence, Steps, Succession};
pub use vcpu_thread::{Origin, Report, ReportKind, signal};

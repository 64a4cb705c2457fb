//! Owns `cargo xtask bench restart`: how long kv is away when it dies, beside plain processes that are
//! killed and started again, and what an idle system costs.

mod crash;
mod idle;
mod measure;
#[cfg(test)]
mod pong;
mod report;

use std::fmt;

use serde::Serialize;

use super::placement::Placement;
use idle::Idle;

pub use measure::measure;
pub use report::{missed, report};

/// What dies, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Case {
    /// The kv domain, by the control API.
    Kill,
    /// The kv domain, by a read of memory that is not there.
    Segfault,
    /// The kv domain, by a panic.
    Panic,
    /// The redis-server process, by signal 9.
    Redis,
    /// A process that does nothing but answer, by signal 9.
    Pong,
}

impl Case {
    /// The ends of the domain, to which clients stay connected.
    const DOMAIN: [Self; 3] = [Self::Kill, Self::Segfault, Self::Panic];
    /// The ends of processes, to which clients connect anew.
    const PROCESSES: [Self; 2] = [Self::Redis, Self::Pong];
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kill => "kv, killed",
            Self::Segfault => "kv, DEBUG SEGFAULT",
            Self::Panic => "kv, DEBUG PANIC",
            Self::Redis => "redis-server, kill -9",
            Self::Pong => "least Rust process, kill -9",
        })
    }
}

/// One death, and the way back.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Death {
    case: Case,
    /// Whether redis-benchmark was at work meanwhile.
    loaded: bool,
    /// From before the blow to the first reply of the next incarnation, in microseconds.
    micros: f64,
    /// Requests of the same connection that were answered with an error meanwhile.
    errors: u32,
}

/// Deaths between two probes of the placement.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Series {
    placement: Placement,
    deaths: Vec<Death>,
}

/// Everything that was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Results {
    series: Vec<Series>,
    /// How often redis-benchmark lost a connection to a restart, and had to be started again.
    loads_lost: u32,
    /// An idle system that has done nothing yet.
    fresh: Idle,
    /// The same after all that.
    used: Idle,
}

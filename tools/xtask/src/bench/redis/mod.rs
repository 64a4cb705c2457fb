//! Owns `cargo xtask bench redis`: throughput of kv beside redis-server, under redis-benchmark.

mod measure;
mod report;

use serde::Serialize;

use super::cpu::Cpu;
use super::placement::Placement;

pub use measure::measure;
pub use report::{missed, report};

/// The tests, as redis-benchmark names them.
const TESTS: [&str; 4] = ["set", "get", "incr", "lpush"];

/// How deep requests are pipelined, and what is asked of kv there.
#[derive(Debug)]
struct Depth {
    pipeline: u32,
    /// Requests of one run, unless the user says otherwise: one or two seconds' worth.
    requests: u64,
    /// The least ratio to redis-server's throughput.
    bar: f64,
}

const DEPTHS: [Depth; 2] = [
    Depth { pipeline: 1, requests: 50_000, bar: 0.5 },
    Depth { pipeline: 16, requests: 500_000, bar: 0.7 },
];

/// One run of one test against one server.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Run {
    requests: u64,
    requests_per_second: f64,
    /// How long it took, in seconds.
    wall: f64,
    /// CPU time of redis-benchmark.
    client: Cpu,
    /// CPU time of the VMM's event loop, or of redis-server.
    server: Cpu,
    /// CPU time of the vCPU thread, if there is one.
    vcpu: Cpu,
    /// CPU time of everything else on the machine, in seconds.
    others: f64,
}

impl Run {
    /// CPU time of all that took part, in microseconds per request: it depends less than throughput on what
    /// else the machine does.
    fn cost(&self) -> f64 {
        (self.client + self.server + self.vcpu).total() * 1e6 / self.requests as f64
    }
}

/// A run against kv and one against redis-server, one right after the other.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Pair {
    test: &'static str,
    pipeline: u32,
    placement: Placement,
    kv: Run,
    redis: Run,
    /// vCPU exits per request.
    exits: f64,
    /// Requests that the gateway handed over at a time, on average.
    batch: f64,
}

impl Pair {
    fn ratio(&self) -> f64 {
        self.kv.requests_per_second / self.redis.requests_per_second
    }
}

/// All pairs in the order of measuring.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Results(Vec<Pair>);

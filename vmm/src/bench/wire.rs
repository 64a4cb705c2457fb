//! What a benchmark measures and what comes of it, as the parts of a run tell each other.
//!
//! A *subject* is something that carries messages: Atoll, or a peer. Peers live in a program of
//! their own, which the VMM starts; it is given one [`Case`] a line on its standard input and
//! answers each with one [`Outcome`] a line. Asked to `list`, it prints the cases that it knows.

use serde::{Deserialize, Serialize};

/// One thing to measure.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What is measured of it.
    pub suite: Suite,
    /// Who carries the messages.
    pub subject: String,
    /// Payload bytes of a message.
    pub size: usize,
    /// How the two sides wait.
    pub wait: Wait,
    /// Where the two sides run.
    pub cpus: Cpus,
    /// How many clients share one server.
    #[serde(default = "one")]
    pub clients: u32,
    /// Requests under way at a time, of each client.
    #[serde(default = "one")]
    pub depth: u32,
    /// Messages that are handed over together.
    #[serde(default = "one")]
    pub batch: u32,
}

fn one() -> u32 {
    1
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Suite {
    /// Time of a message there and one back, each timed by itself.
    RoundTrip,
    /// Messages one way, as many as go through, each copied in and out.
    OneWay,
    /// Messages one way, handed over in place: the payload is lent, and neither side touches it.
    Lent,
    /// Requests and replies, as many as go through.
    Calls,
    /// Time of a call through a chain of three domains.
    Chain,
}

/// How a side waits for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wait {
    /// It never sleeps.
    Polling,
    /// It looks for as long as a sleep would cost, then sleeps.
    Adaptive,
    /// It sleeps at once.
    Blocking,
}

/// Where two sides run: on the first two CPUs that the run may use, or both on the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cpus {
    /// Both on one.
    One,
    /// Each on its own.
    Two,
}

/// What came of one round of a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Times in nanoseconds, as a serialised histogram (`hdrhistogram`, V2, base 64).
    Times(String),
    /// Messages in a second.
    Rate(f64),
    /// It could not be measured, and why.
    Failed(String),
}

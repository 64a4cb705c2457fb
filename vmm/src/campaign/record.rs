//! What a worker says, a line each.

use serde::{Deserialize, Serialize};

use super::plan::Victim;
use super::resources::Resources;
use crate::domain::{Harm, Injected};

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "kebab-case")]
pub enum Line {
    /// All servers answer; nothing was done to them yet.
    Well {
        /// What the process holds.
        resources: Resources,
        /// Whether the host's KVM is the hardware's.
        hardware: bool,
    },
    /// A fault, and what came of it.
    Fault(Record),
    /// All faults were injected.
    Over {
        /// What the process holds.
        resources: Resources,
        /// How those did that nothing was done to.
        bystanders: Vec<Calm>,
    },
}

/// How one fault went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its number.
    pub number: u32,
    /// Whom it was done to.
    pub victim: Victim,
    /// What was done.
    pub harm: Harm,
    /// Where; `None` if the server had ended before it could be done.
    pub injected: Option<Injected>,
    /// Who noticed, and what.
    pub outcome: Outcome,
    /// Correct replies meanwhile.
    pub good: u32,
    /// Requests that were answered with an error, or not at all.
    pub failed: u32,
    /// Replies that were wrong, and said to be right.
    pub wrong: u32,
    /// The first of them, as it came and as it should have been.
    pub example: Option<String>,
    /// From the injection until it was noticed, in microseconds.
    pub noticed: Option<u64>,
    /// From then until the first correct reply, in microseconds.
    pub recovered: Option<u64>,
    /// The server did not answer again.
    pub lost: bool,
}

/// Who noticed a fault, and what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Nobody, as long as was looked: so many correct replies later.
    NoEffect,
    /// The nucleus: the incarnation ended. In the words of the fault's report, without numbers.
    Ended(String),
    /// Only the client. In the words of its error.
    Noticed(String),
    /// Only the client, which knows what the reply must be: it was another.
    WrongReply,
}

/// How those did that nothing was done to, over the whole campaign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calm {
    /// The domain.
    pub domain: String,
    /// Correct replies.
    pub good: u64,
    /// Everything else: errors, wrong replies, none within the deadline.
    pub disturbed: u64,
    /// The first of these.
    pub example: Option<String>,
    /// Events that the journal has of the domain since all were well.
    pub events: Vec<String>,
    /// Time to a reply, in microseconds: the median, that of 99 of 100, and the longest.
    pub delays: [u64; 3],
}

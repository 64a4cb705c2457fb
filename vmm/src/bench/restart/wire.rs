//! What a benchmark asks of the program of peers about processes that are killed and started
//! again, and what it answers: one line of JSON each.

use serde::{Deserialize, Serialize};

/// What is started, how, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The program.
    pub program: Program,
    /// How a process is made for it.
    pub way: Way,
    /// How often it is killed.
    pub kills: u32,
}

/// A program that answers each byte with itself, and does nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Program {
    /// In Rust with its standard library, on the C library that the system has for all.
    Dynamic,
    /// The same with a C library of its own.
    Static,
    /// Without any library: a few kilobytes.
    Tiny,
}

/// How a process is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// `fork`, then `exec`.
    Fork,
    /// `posix_spawn`, which is `vfork` and `exec`: nothing is copied.
    Vfork,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Times in nanoseconds.
    Times {
        /// From before the kill until the first reply of the next process, each.
        restarts: Vec<u64>,
        /// From before the start until the first reply, each.
        starts: Vec<u64>,
    },
    /// It could not be measured, and why.
    Failed(String),
}

//! What communication costs here, and crashes, and starts: Atoll beside its peers, in one run.
//!
//! ```text
//!   subjects ──▶ engine ──▶ report ──▶ bars
//!   (peers, Atoll) │           └─────▶ plot, the command's tables
//!              placement
//! ```
//!
//! | module | owns |
//! |---|---|
//! | [`wire`] | what the parts of a run tell each other: cases and outcomes |
//! | [`subject`] | what the engine asks of whatever carries messages |
//! | [`mod@atoll`] | Atoll itself |
//! | [`peers`] | the program that measures others |
//! | [`selection`] | which cases are measured |
//! | [`engine`] | the rounds, interleaved |
//! | [`placement`] | where the host has put the two CPUs |
//! | [`choice`] | which rounds make figures |
//! | [`histogram`] | times as text |
//! | [`statistics`] | what the rounds amount to |
//! | [`reference`](mod@reference) | what a case is compared with in tables |
//! | [`bars`] | what is asked of Atoll, and whether it holds |
//! | [`layers`] | what each layer of a message's way adds |
//! | [`report`] | the whole result |
//! | [`host`] | where a run was made |
//! | [`form`] | cases and figures in words |
//! | [`progress`] | the bar on the terminal |
//! | [`plot`] | pictures |
//! | `process` | a server that is a process of its own |
//! | `embed` | a system inside this process, to be measured from outside |
//! | [`mod@restart`] | what a crash costs: a benchmark of its own |
//! | [`mod@boot`] | what a cold start costs: another |
//! | [`mod@storm`] | what many kills cost those who go on asking: another |
//! | [`mod@kv`] | what kv serves beside redis-server: another |
//! | [`recovery`] | what it takes to get back what was kept: another |
//!
//! Each case is measured once a round, and rounds follow each other, so that whatever else goes on
//! here disturbs all alike. A probe before and after each measurement tells how far apart the two
//! CPUs are: only measurements of one class are compared. Cases that lack rounds of that class in
//! the end are given some more.

use crate::machine::processors;

pub mod atoll;
pub mod bars;
pub mod boot;
pub mod choice;
mod embed;
pub mod engine;
#[cfg(test)]
pub(crate) mod fixture;
pub mod form;
pub mod histogram;
pub mod host;
pub mod kv;
pub mod layers;
pub mod peers;
pub mod placement;
pub mod plot;
mod process;
pub mod progress;
pub mod recovery;
pub mod reference;
pub mod report;
pub mod restart;
pub mod selection;
pub mod statistics;
pub mod storm;
pub mod subject;
pub mod wire;

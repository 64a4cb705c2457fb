//! The fault-injection campaign: servers are harmed on purpose, thousands of times, while clients
//! check every reply, to see that each harm stays where it was done. After MINIX 3 (Herder et al.,
//! DSN 2007 and 2009), whose drivers were treated so.
//!
//! ```text
//!   vmm campaign ──▶ judge ── starts, reads lines from ──▶ worker: one system in its process
//!                      │                                     │ victims     echo, kv
//!                      ▼                                     │ bystanders  calm-echo, calm-kv
//!                    tally ──▶ report                        ▼ one fault at a time
//! ```
//!
//! | module | owns |
//! |---|---|
//! | [`plan`] | which fault is next: kinds and places, from a seed |
//! | [`client`] | clients that know what each reply must be |
//! | [`bystander`] | clients of servers that nothing is done to |
//! | [`worker`] | the system, and one fault after the other |
//! | [`observation`] | what is seen of one fault |
//! | [`judge`] | the worker's process: that it lives, and is told when not |
//! | [`tally`] | what came of all faults |
//! | [`report`] | the same as text |
//! | [`resources`] | what the VMM's process holds |
//!
//! The worker is the ordinary VMM, as it is shipped, and a fault is applied by the thread that runs
//! the vCPU. So the campaign tests what users run; that they cannot be harmed by it follows from
//! the way an [`crate::domain::Injection`] takes, which begins in this module and passes no socket.

pub mod bystander;
pub mod client;
pub mod judge;
pub mod observation;
pub mod plan;
pub mod record;
pub mod report;
pub mod resources;
pub mod tally;
pub mod worker;

mod echo;
mod kv;

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::control::Refusal;
use crate::manifest::ManifestError;
use crate::system::SystemError;

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Order {
    /// Where the images of `echo` and `kv` lie.
    pub images: PathBuf,
    /// How many faults.
    pub faults: u32,
    /// What chooses them.
    pub seed: u64,
}

/// Why a campaign ended before its end.
#[derive(Debug, Error)]
pub enum CampaignError {
    /// Its own manifest is refused.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Its system cannot be run.
    #[error(transparent)]
    System(#[from] SystemError),
    /// The nucleus refuses an order.
    #[error("the campaign's system refused an order: {0}")]
    Refused(#[from] Refusal),
    /// The host denied something.
    #[error("{what}: {cause}; see the limits on files and processes")]
    Host {
        /// What.
        what: &'static str,
        /// What the host said.
        cause: io::Error,
    },
    /// A worker's line is not one.
    #[error("the worker said something that is no record: {line}")]
    Garbled {
        /// What it said.
        line: String,
    },
    /// The worker could not begin.
    #[error("the worker ended before its first fault ({status}); its own words are above")]
    Stillborn {
        /// How.
        status: String,
    },
    /// A server did not come back; whatever came later would say nothing.
    #[error("`{domain}` did not answer again within {seconds} s after fault {number}")]
    Lost {
        /// The victim.
        domain: &'static str,
        /// The fault.
        number: u32,
        /// How long was waited.
        seconds: u64,
    },
    /// The two servers do not answer before anything was done to them.
    #[error("`{domain}` does not answer though nothing was done to it yet: {reply}")]
    NotWell {
        /// The server.
        domain: &'static str,
        /// What came instead.
        reply: String,
    },
}

impl CampaignError {
    fn host(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Host { what, cause }
    }
}

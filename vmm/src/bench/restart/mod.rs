//! What a crash costs: time from a fault to the first reply of the next incarnation, beside
//! processes that are killed and started again.
//!
//! ```text
//!   rig (a domain for each case) ──▶ trial ──┐
//!     echo, kv: clients that crash it        ├──▶ report ──▶ bars
//!   peer (processes) ──────────────────────▶ │
//!   count (exits) ─────────────────────────▶ ┘
//! ```
//!
//! | module | owns |
//! |---|---|
//! | [`case`] | what is measured |
//! | `system` | the system with a domain for each case |
//! | `rig` | that system at work: crashes in turn |
//! | `echo`, `kv` | one restart, as a client sees it |
//! | `trial` | one restart, in its parts |
//! | `control` | the system's control API |
//! | `thread` | a vCPU's thread, as the host accounts for it |
//! | [`count`] | exits of a restart |
//! | [`peer`] | processes, by the program of peers |
//! | [`wire`] | what that is asked and answers |
//! | [`bars`] | what is asked of restarts |
//! | [`report`] | the whole result |
//!
//! The client is this process. The clock starts before it sends the request that is the server's
//! end, and stops at the first good reply of the next incarnation; it calls all the time between.
//! All cases take turns, so that whatever else goes on here disturbs all alike.

pub mod bars;
pub mod case;
pub(super) mod control;
pub mod count;
pub(super) mod echo;
mod kv;
pub mod peer;
pub mod report;
pub(super) mod rig;
pub(super) mod system;
mod thread;
mod trial;
pub mod wire;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use super::atoll::AtollError;
use super::embed::Embedded;
use super::placement::{Placement, probe};
use crate::doctor::exit_costs;
use crate::machine::host::Host;
use case::{Beginning, Case, Fault, Server, cases};
use count::SPIN;
use peer::{Peers, Process};
use report::{CaseResult, Found, Report};
use rig::Rig;
use system::{WORK, domain, manifest};

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the images are.
    pub images: PathBuf,
    /// The program that measures processes.
    pub peers: Option<PathBuf>,
    /// How often everything is measured.
    pub rounds: u32,
    /// Restarts of each case in a round.
    pub turns: u32,
    /// Fewer cases.
    pub quick: bool,
    /// Only these faults; all if there is none.
    pub faults: Vec<Fault>,
    /// Only restarts from these; all if there is none.
    pub from: Vec<Beginning>,
}

impl Plan {
    fn cases(&self) -> Vec<Case> {
        let mut cases = cases(self.quick);
        cases.retain(|case| {
            (self.faults.is_empty() || self.faults.contains(&case.fault))
                && (self.from.is_empty() || self.from.contains(&case.from))
        });
        cases
    }
}

/// How far a run is, told before each case.
#[derive(Clone, Debug)]
pub struct Step {
    /// Measurements behind it.
    pub done: u64,
    /// Measurements in all.
    pub total: u64,
    /// What is measured next.
    pub what: String,
}

/// Measures what the plan says, and makes the report.
///
/// # Errors
/// If there is no system to measure. A case that fails is in the report.
pub fn run(plan: &Plan, watch: &mut (dyn FnMut(Step) + Send)) -> Result<Report, AtollError> {
    let cases = plan.cases();
    let place = TempDir::new().map_err(|cause| AtollError::Host {
        what: "a directory for the gateways' sockets",
        cause,
    })?;
    let text = manifest(&cases, place.path());
    let served = cases.iter().enumerate().filter(|(_, case)| case.server == Server::Echo);
    let ports: Vec<_> = served.map(|(number, _)| (domain(number), WORK)).collect();
    let system = Embedded {
        images: &plan.images,
        manifest: &text,
        ports: &ports,
        spin: Some(SPIN),
        settled: true,
    };
    let mut measured = Err(AtollError::Impossible("no system".into()));
    system.run(|ends, socket| {
        measured = Rig::new(&cases, ends.channels, socket, place.path())
            .map(|rig| measure(plan, rig, watch));
    })?;
    let mut found = measured?;
    for from in [Beginning::Checkpoint, Beginning::Image] {
        let mut faults: Vec<Fault> =
            cases.iter().filter(|case| case.from == from).map(|case| case.fault).collect();
        faults.sort();
        faults.dedup();
        match count::exits(&plan.images, from, &faults) {
            Ok(exits) => found.exits.extend(exits),
            Err(error) => found.failures.push(format!("exits from its {}: {error}", from.word())),
        }
    }
    found.exit_cost = exit_cost();
    Ok(Report::new(found))
}

fn measure(plan: &Plan, mut rig: Rig, watch: &mut (dyn FnMut(Step) + Send)) -> Found {
    let processes = if plan.peers.is_some() { &Process::ALL[..] } else { &[] };
    let program = plan.peers.as_deref().unwrap_or(Path::new(""));
    let mut peers = Peers::of(program, processes);
    let each = rig.subjects.len() as u64 * u64::from(plan.turns) + processes.len() as u64;
    let (mut done, total) = (0, each * u64::from(plan.rounds));
    let mut step = |what: String| {
        watch(Step { done, total, what });
        done += 1;
    };
    let (mut placements, mut failures) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        let before = probe();
        rig.round(plan.turns, &mut |case| step(case.to_string()));
        peers.round(plan.turns, &mut |process| step(process.to_string()));
        match (before, probe()) {
            (Ok(before), Ok(after)) => placements.push(Placement::between(before, after)),
            (Err(error), _) | (_, Err(error)) => failures.push(error.to_string()),
        }
    }
    let Rig { subjects, .. } = rig;
    Found {
        rounds: plan.rounds,
        turns: plan.turns,
        placements,
        cases: subjects.into_iter().map(CaseResult::of).collect(),
        peers: peers.results(),
        exits: Vec::new(),
        exit_cost: None,
        failures,
    }
}

fn exit_cost() -> Option<f64> {
    let host = Arc::new(Host::open().ok()?);
    exit_costs(&host).map(|(exit, _)| exit.as_nanos() as f64)
}

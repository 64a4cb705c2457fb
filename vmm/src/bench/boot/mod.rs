//! What a cold start costs: from nothing to the first reply of every domain, beside processes.
//!
//! | module | owns |
//! |---|---|
//! | `system` | a system of so many domains, started in this process |
//! | `deaths` | what it costs that one domain ends, alone and among many |
//! | `command` | `vmm run`, started as a process |
//! | `bars` | what is asked of starts |
//! | [`report`] | the whole result |
//!
//! Processes are measured as for [restarts](super::restart): by the program of peers.

mod bars;
mod command;
mod deaths;
pub mod report;
mod system;

use std::path::{Path, PathBuf};

use super::placement::{Placement, probe};
use super::restart::Step;
use super::restart::peer::{Peers, Process};
use deaths::Deaths;
use report::{DeathResult, Found, Report, SystemResult};
use system::Start;

/// Starts of each kind of process in a round, and of `vmm run`.
const PROCESSES: u32 = 20;
const COMMANDS: u32 = 3;

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the images are.
    pub images: PathBuf,
    /// The program that measures processes.
    pub peers: Option<PathBuf>,
    /// This program, to be started as a process; None to leave that out.
    pub vmm: Option<PathBuf>,
    /// How often everything is measured.
    pub rounds: u32,
    /// Sizes of systems, in domains.
    pub domains: Vec<u32>,
    /// How often one domain of each is killed.
    pub kills: u32,
}

/// Systems of one size so far.
#[derive(Debug, Default)]
struct Size {
    starts: Vec<Start>,
    failures: Vec<String>,
}

/// Measures what the plan says, and makes the report. What fails is in the report.
pub fn run(plan: &Plan, watch: &mut dyn FnMut(Step)) -> Report {
    let processes = if plan.peers.is_some() { &Process::ALL[..] } else { &[] };
    let program = plan.peers.as_deref().unwrap_or(Path::new(""));
    let mut peers = Peers::of(program, processes);
    let many = plan.domains.iter().copied().max().filter(|&domains| domains > 1);
    let each = plan.domains.len()
        + processes.len()
        + usize::from(plan.vmm.is_some())
        + usize::from(many.is_some());
    let (mut done, total) = (0, each as u64 * u64::from(plan.rounds));
    let mut step = |what: String| {
        watch(Step { done, total, what });
        done += 1;
    };
    let mut sizes: Vec<Size> = plan.domains.iter().map(|_| Size::default()).collect();
    let (mut command, mut placements, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    let mut rounds_of_deaths: Vec<Deaths> = Vec::new();
    for _ in 0..plan.rounds {
        let before = probe();
        for (&domains, size) in plan.domains.iter().zip(&mut sizes) {
            step(format!("a system of {domains}"));
            match system::start(&plan.images, domains, plan.kills) {
                Ok(start) => size.starts.push(start),
                Err(error) => size.failures.push(error.to_string()),
            }
        }
        if let Some(many) = many {
            step(format!("one domain's end, alone and among {many}"));
            match deaths::measure(&plan.images, many, plan.kills) {
                Ok(deaths) => rounds_of_deaths.push(deaths),
                Err(error) => failures.push(error.to_string()),
            }
        }
        peers.round(PROCESSES, &mut |process| step(process.to_string()));
        if let Some(vmm) = &plan.vmm {
            step("vmm run".to_owned());
            for _ in 0..COMMANDS {
                match command::start(vmm, &plan.images) {
                    Ok(time) => command.push(time),
                    Err(error) => failures.push(error.to_string()),
                }
            }
        }
        match (before, probe()) {
            (Ok(before), Ok(after)) => placements.push(Placement::between(before, after)),
            (Err(error), _) | (_, Err(error)) => failures.push(error.to_string()),
        }
    }
    let systems =
        plan.domains.iter().zip(sizes).map(|(&domains, Size { starts, failures })| {
            SystemResult::of(domains, &starts, failures)
        });
    let (rounds, systems, peers) = (plan.rounds, systems.collect(), peers.results());
    let deaths = many.map_or(Vec::new(), |many| DeathResult::of(many, &rounds_of_deaths));
    Report::new(Found { rounds, placements, systems, deaths, command, peers, failures })
}

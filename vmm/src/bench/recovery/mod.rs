//! What it takes to get back what was kept: kv's data after a crash of kv, and a store's log after
//! the end of everything.
//!
//! | module | owns |
//! |---|---|
//! | `crash` | kv that crashes: with memory that it keeps, and with nothing but its store |
//! | `log` | a store with a long log, started again and again |
//! | `file` | the same file, read from one end to the other |
//! | `bars` | what is asked, and whether it holds |
//! | [`report`] | the whole result |

mod bars;
mod crash;
mod file;
mod log;
pub mod report;

use serde::{Deserialize, Serialize};

use super::kv::error::KvError;
use super::kv::place;
use super::kv::server::Site;
use super::placement::{Placement, probe};
use super::restart::Step;
use crash::{Crashed, Victim};
use log::Written;
use report::{Found, Report};

/// What can be measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Crashes of kv.
    Crash,
    /// A store's long log.
    Log,
}

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Programs and places.
    pub site: Site,
    /// What is measured; everything if nothing is named.
    pub parts: Vec<Part>,
    /// Memory that a restart of kv keeps, in MiB.
    pub state: u64,
    /// The length of the log, in MiB.
    pub log: u64,
    /// Bytes of each value.
    pub size: usize,
    /// How often everything is measured.
    pub rounds: u32,
    /// Crashes of each kv in a round.
    pub turns: u32,
}

/// Measures what the plan says, and makes the report.
///
/// # Errors
/// If a system cannot be started, or does not take what it is to keep. What fails later is in the
/// report.
pub fn run(plan: &Plan, watch: &mut (dyn FnMut(Step) + Send)) -> Result<Report, KvError> {
    place::check(&plan.site.directory)?;
    let mut found = Found::default();
    let total = 2 * u64::from(plan.rounds) + 2;
    let mut done = 0;
    let mut step = |what: &str| {
        watch(Step { done, total, what: what.to_owned() });
        done += 1;
    };
    if plan.has(Part::Crash) {
        crash_all(plan, &mut found, &mut step)?;
    }
    if plan.has(Part::Log) {
        recover_all(plan, &mut found, &mut step)?;
    }
    Ok(Report::new(plan, found))
}

impl Plan {
    fn has(&self, part: Part) -> bool {
        self.parts.is_empty() || self.parts.contains(&part)
    }
}

fn crash_all(plan: &Plan, found: &mut Found, step: &mut impl FnMut(&str)) -> Result<(), KvError> {
    step("storing what crashes are to leave");
    let mut kept = Victim::start(plan, plan.state)?;
    let mut reload = Victim::start(plan, 0)?;
    (found.keys, found.bytes) = (kept.keys(), kept.bytes());
    for _ in 0..plan.rounds {
        step("crashes");
        around(&mut found.placements, &mut found.failures, || {
            found.kept.push(crashes(plan, &mut kept));
            found.reload.push(crashes(plan, &mut reload));
        });
    }
    Ok(())
}

fn recover_all(plan: &Plan, found: &mut Found, step: &mut impl FnMut(&str)) -> Result<(), KvError> {
    step("writing a long log");
    let written = Written::new(plan)?;
    found.log = written.log;
    for _ in 0..plan.rounds {
        step("recoveries");
        around(&mut found.placements, &mut found.failures, || {
            found.recoveries.push(written.round(plan));
        });
    }
    Ok(())
}

/// What came of a round's crashes.
type Crashes = (Vec<Crashed>, Option<String>);

/// Crashes a kv in turns, until that fails.
fn crashes(plan: &Plan, victim: &mut Victim) -> Crashes {
    let mut done = Vec::new();
    for _ in 0..plan.turns {
        match victim.crash() {
            Ok(crashed) => done.push(crashed),
            Err(error) => return (done, Some(error.to_string())),
        }
    }
    (done, None)
}

fn around(placements: &mut Vec<Placement>, failures: &mut Vec<String>, f: impl FnOnce()) {
    let before = probe();
    f();
    match (before, probe()) {
        (Ok(before), Ok(after)) => placements.push(Placement::between(before, after)),
        (Err(error), _) | (_, Err(error)) => failures.push(error.to_string()),
    }
}

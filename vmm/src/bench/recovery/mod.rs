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

use super::kv::error::KvError;
use super::kv::place;
use super::kv::server::Site;
use super::placement::{Placement, probe};
use super::restart::Step;
use crash::{Crashed, Victim};
use log::Written;
use report::{Found, Report};

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Programs and places.
    pub site: Site,
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
    let total = u64::from(plan.rounds) * 2 + 3;
    let mut step = |done: u64, what: &str| watch(Step { done, total, what: what.to_owned() });
    let mut found = Found::default();
    step(0, "a kv with memory that it keeps");
    let mut kept = Victim::start(plan, plan.state)?;
    step(1, "a kv with nothing but its store");
    let mut reload = Victim::start(plan, 0)?;
    (found.keys, found.bytes) = (kept.keys(), kept.bytes());
    for round in 0..plan.rounds {
        step(u64::from(round) + 2, "crashes");
        around(&mut found.placements, &mut found.failures, || {
            found.kept.push(crashes(plan, &mut kept));
            found.reload.push(crashes(plan, &mut reload));
        });
    }
    // Their memory is needed for what follows.
    drop((kept, reload));
    step(u64::from(plan.rounds) + 2, "writing a long log");
    let written = Written::new(plan)?;
    found.log = written.log;
    for round in 0..plan.rounds {
        step(u64::from(plan.rounds + round) + 3, "recoveries");
        around(&mut found.placements, &mut found.failures, || {
            found.recoveries.push(written.round(plan));
        });
    }
    Ok(Report::new(plan, found))
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

//! What a storm of kills costs: kv under load, with and without an operator who kills it a hundred
//! times a second, and what becomes of every single request.
//!
//! ```text
//!   load (connections) ──▶ gateway ──▶ kv ◀── killer
//!     book: what each reply must be              │
//!     tally ───────────────▶ report ◀────────────┘
//! ```
//!
//! | module | owns |
//! |---|---|
//! | `system` | the system that is killed |
//! | `book` | requests with numbers, and what each reply is worth |
//! | [`reply`] | replies as they stand in a stream of bytes |
//! | [`tally`] | what became of requests |
//! | `load` | the connections |
//! | `killer` | orders to kill, at a steady pace |
//! | [`report`] | the whole result |
//!
//! A round is a stretch without kills and one with them; every other round they change places, so
//! that whatever else goes on here disturbs both alike. The connections are the same all the time,
//! and never stop asking.

mod book;
mod killer;
mod load;
pub mod reply;
pub mod report;
mod system;
pub mod tally;

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::atoll::AtollError;
use super::embed::Embedded;
use super::placement::{Placement, probe};
use super::restart::Step;
use killer::Killer;
use load::Load;
use report::{Found, Report, Round};

/// Before anything is measured, for connections and caches.
const WARM_UP: Duration = Duration::from_millis(200);

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the images are.
    pub images: PathBuf,
    /// How long kv is killed in all. It is measured without kills for as long.
    pub length: Duration,
    /// In how many rounds.
    pub rounds: u32,
    /// Kills in a second.
    pub kills_per_second: u32,
    /// Connections to kv.
    pub connections: u32,
    /// Requests of each that are under way at a time.
    pub depth: u32,
}

/// Measures what the plan says, and makes the report.
///
/// # Errors
/// If there is no system to measure, or it cannot be killed. What becomes of requests is in the
/// report.
pub fn run(plan: &Plan, watch: &mut (dyn FnMut(Step) + Send)) -> Result<Report, AtollError> {
    let place = TempDir::new().map_err(|cause| AtollError::Host {
        what: "a directory for the gateway's socket",
        cause,
    })?;
    let socket = place.path().join("kv");
    let manifest = system::manifest(&socket);
    let images = &plan.images;
    let system = Embedded { images, manifest: &manifest, ports: &[], spin: None, settled: true };
    let mut found = Err(AtollError::Impossible("no system".into()));
    system.run(|_, control| found = measure(plan, &socket, control, watch))?;
    Ok(Report::new(plan, found?))
}

fn measure(
    plan: &Plan,
    socket: &Path,
    control: &Path,
    watch: &mut dyn FnMut(Step),
) -> Result<Found, AtollError> {
    let mut killer = Killer::at(control, plan.kills_per_second)?;
    let load = Load::new(socket, plan.depth);
    thread::scope(|scope| {
        let connections: Vec<_> =
            (0..plan.connections).map(|_| scope.spawn(|| load.converse())).collect();
        let rounds = storm(plan, &load, &mut killer, watch);
        load.stop();
        // One that panicked has lost what it knew of its requests.
        let tallies = connections.into_iter().map(|connection| connection.join().ok());
        let (rounds, placements) = rounds?;
        Ok(Found { rounds, placements, orders: killer.done(), tallies: tallies.collect() })
    })
}

fn storm(
    plan: &Plan,
    load: &Load<'_>,
    killer: &mut Killer,
    watch: &mut dyn FnMut(Step),
) -> Result<(Vec<Round>, Vec<Placement>), AtollError> {
    let stretch = plan.length / plan.rounds.max(1);
    let (mut rounds, mut placements) = (Vec::new(), Vec::new());
    thread::sleep(WARM_UP);
    for number in 0..plan.rounds {
        let before = probe();
        let mut rates = [0.0; 2];
        for half in 0..2 {
            let kills = (number + half) % 2 == 1;
            let (done, total) = (u64::from(2 * number + half), u64::from(2 * plan.rounds));
            let what = if kills { "with kills" } else { "without kills" };
            watch(Step { done, total, what: format!("round {}: {what}", number + 1) });
            let (begun, good) = (Instant::now(), load.good());
            if kills {
                killer.kill_for(stretch)?;
            } else {
                thread::sleep(stretch);
            }
            let rate = (load.good() - good) as f64 / begun.elapsed().as_secs_f64();
            rates[usize::from(kills)] = rate;
            if kills {
                killer.await_restarts()?;
            }
        }
        let [calm, storm] = rates;
        rounds.push(Round { calm, storm, restarts: killer.take_restarts()? });
        if let (Ok(before), Ok(after)) = (before, probe()) {
            placements.push(Placement::between(before, after));
        }
    }
    Ok((rounds, placements))
}

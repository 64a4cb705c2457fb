//! Owns the order of measuring: idle, then under load, all cases in turn, so that what disturbs the
//! machine disturbs all.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use anyhow::{Context, Result, ensure};

use super::crash::Crasher;
use super::{Case, Death, Results, Series, idle};
use crate::bench::Setting;
use crate::bench::bracket;
use crate::bench::load;
use crate::bench::peers::Peers;
use crate::bench::plain::Plain;
use crate::bench::resp::{Client, Reply};
use crate::bench::system::{self, System};
use crate::cli::BenchRestartArgs;

/// Rounds between two probes of the placement.
const ROUNDS: u32 = 10;
/// The load: one request at a time on each connection, for which a restart is an error reply. Longer
/// pipelines are cut by it now and then, which ends redis-benchmark.
const LOAD: &str = "set";

/// The smallest server process, to be compiled.
const PONG: &str = include_str!("pong.rs");

struct Rig<'a> {
    peers: &'a Peers,
    system: System,
    crasher: Crasher,
    redis: Plain,
    pong: Plain,
    loads_lost: u32,
}

/// Measures everything.
pub fn measure(setting: &Setting<'_>, arguments: &BenchRestartArgs) -> Result<Results> {
    let pong = Plain::start(Command::new(compile_pong(setting.scratch.path())?))?;
    let mut system = System::start(setting.workspace, setting.scratch.path())?;
    // Idle means that clients are connected and say nothing.
    let mut bystander = Client::connect(system.address)?;
    bystander.order("PING")?;
    let fresh = idle::watch(&mut system)?;
    let crasher = Crasher::new(&system)?;
    let redis = Plain::redis(&setting.peers)?;
    let mut rig = Rig { peers: &setting.peers, system, crasher, redis, pong, loads_lost: 0 };
    let mut series = rig.all(arguments.kills, false)?;
    series.extend(rig.all(arguments.kills, true)?);
    let used = idle::watch(&mut rig.system)?;
    let answer = bystander.order("PING").context("the idle connection did not survive")?;
    ensure!(answer == Reply::Simple("PONG".into()), "the idle connection was answered {answer:?}");
    let deaths: usize = series.iter().map(|series| count_of_domain(&series.deaths)).sum();
    let epoch = rig.system.kv()?.epoch;
    ensure!(epoch > deaths as u64, "{deaths} deaths have led to epoch {epoch}");
    rig.system.stop()?;
    Ok(Results { series, loads_lost: rig.loads_lost, fresh, used })
}

fn count_of_domain(deaths: &[Death]) -> usize {
    deaths.iter().filter(|death| Case::DOMAIN.contains(&death.case)).count()
}

fn compile_pong(directory: &Path) -> Result<PathBuf> {
    let (source, program) = (directory.join("pong.rs"), directory.join("pong"));
    std::fs::write(&source, PONG)?;
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(rustc);
    command.args(["--edition", "2024", "-O", "-C", "panic=abort", "-o"]).arg(&program).arg(&source);
    crate::process::run(&mut command)?;
    Ok(program)
}

impl Rig<'_> {
    fn all(&mut self, kills: u32, loaded: bool) -> Result<Vec<Series>> {
        let mut all = Vec::new();
        let mut left = kills;
        while left > 0 {
            let rounds = left.min(ROUNDS);
            left -= rounds;
            let (deaths, placement) = bracket::around(|| match loaded {
                true => self.under_load(rounds),
                false => self.idle(rounds),
            })?;
            let load = if loaded { "under load" } else { "idle" };
            eprintln!("bench: {} of {kills} kills of each kind, {load}", kills - left);
            all.push(Series { placement, deaths });
        }
        Ok(all)
    }

    fn idle(&mut self, rounds: u32) -> Result<Vec<Death>> {
        let mut deaths = Vec::new();
        for _ in 0..rounds {
            for case in Case::DOMAIN {
                deaths.push(self.crasher.crash(&mut self.system, case, false)?);
            }
            for case in Case::PROCESSES {
                let process = if case == Case::Redis { &mut self.redis } else { &mut self.pong };
                let micros = process.restart()?.as_secs_f64() * 1e6;
                deaths.push(Death { case, loaded: false, micros, errors: 0 });
            }
        }
        Ok(deaths)
    }

    fn under_load(&mut self, rounds: u32) -> Result<Vec<Death>> {
        let mut load = Loading::start(self.peers, &mut self.system)?;
        let mut deaths = Vec::new();
        for _ in 0..rounds {
            for case in Case::DOMAIN {
                if load.is_over()? {
                    self.loads_lost += 1;
                    load = Loading::start(self.peers, &mut self.system)?;
                }
                deaths.push(self.crasher.crash(&mut self.system, case, true)?);
            }
        }
        Ok(deaths)
    }
}

/// redis-benchmark at work; it ends with this value.
struct Loading(Child);

impl Loading {
    /// Starts it, and waits until its requests arrive.
    fn start(peers: &Peers, system: &mut System) -> Result<Self> {
        let before = system.kv()?.handed_over();
        let mut loading = Self(load::start(peers, system.address, LOAD, 1)?);
        while system.kv()?.handed_over() < before + u64::from(load::CONNECTIONS) * 10 {
            ensure!(!loading.is_over()?, "redis-benchmark ended as soon as it began");
        }
        Ok(loading)
    }

    fn is_over(&mut self) -> Result<bool> {
        Ok(self.0.try_wait().context("looking after redis-benchmark")?.is_some())
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        system::end(&mut self.0);
    }
}

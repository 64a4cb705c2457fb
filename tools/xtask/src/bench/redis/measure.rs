//! Owns the order of measuring: rounds of all tests, in each of them both servers in turn, so that what
//! disturbs the machine disturbs both.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::{DEPTHS, Depth, Pair, Results, Run, TESTS};
use crate::bench::Setting;
use crate::bench::bracket;
use crate::bench::cpu::{self, Cpu, Threads};
use crate::bench::load::{self, Load};
use crate::bench::peers::Peers;
use crate::bench::placement::Class;
use crate::bench::plain::Plain;
use crate::bench::resp::Client;
use crate::bench::system::System;
use crate::cli::BenchRedisArgs;

/// How often a pair is measured for one that can be judged.
const ATTEMPTS: u32 = 3;

/// Both servers.
struct Rig<'a> {
    peers: &'a Peers,
    kv: System,
    redis: Plain,
}

/// Measures all rounds.
pub fn measure(setting: &Setting<'_>, arguments: &BenchRedisArgs) -> Result<Results> {
    let kv = System::start(setting.workspace, setting.scratch.path())?;
    let redis = Plain::redis(&setting.peers)?;
    let mut rig = Rig { peers: &setting.peers, kv, redis };
    let mut pairs = Vec::new();
    for round in 0..arguments.rounds {
        for depth in &DEPTHS {
            for test in TESTS {
                let requests = arguments.requests.unwrap_or(depth.requests);
                let load = Load { test, pipeline: depth.pipeline, requests };
                let pair = rig.steady_pair(load, round % 2 == 0)?;
                say(round, depth, &pair);
                pairs.push(pair);
            }
        }
    }
    rig.kv.stop()?;
    Ok(Results(pairs))
}

fn say(round: u32, depth: &Depth, pair: &Pair) {
    eprintln!(
        "bench: round {}, P{} {}: kv {:.0}/s, redis {:.0}/s, ratio {:.2}, {}",
        round + 1,
        depth.pipeline,
        pair.test,
        pair.kv.requests_per_second,
        pair.redis.requests_per_second,
        pair.ratio(),
        pair.placement.class
    );
}

impl Rig<'_> {
    /// Measures both servers again, a few times at most, if the placement changed meanwhile.
    fn steady_pair(&mut self, load: Load<'_>, kv_first: bool) -> Result<Pair> {
        let mut pair = self.pair(load, kv_first)?;
        for _ in 1..ATTEMPTS {
            if pair.placement.class != Class::Changed {
                break;
            }
            pair = self.pair(load, kv_first)?;
        }
        Ok(pair)
    }

    /// Measures both servers; kv first in every other round, lest one always come second.
    fn pair(&mut self, load: Load<'_>, kv_first: bool) -> Result<Pair> {
        let before = self.kv.kv()?;
        let ((kv, redis), placement) = bracket::around(|| {
            if kv_first {
                let kv = self.run_kv(load)?;
                Ok((kv, self.run_redis(load)?))
            } else {
                let redis = self.run_redis(load)?;
                Ok((self.run_kv(load)?, redis))
            }
        })?;
        let after = self.kv.kv()?;
        ensure!(after.epoch == before.epoch, "kv was restarted under load: see `vmm inspect kv`");
        let handed_over = after.handed_over() - before.handed_over();
        let requests = load.requests as f64;
        let test = TESTS.into_iter().find(|test| *test == load.test).context("an unknown test")?;
        Ok(Pair {
            test,
            pipeline: load.pipeline,
            placement,
            kv,
            redis,
            exits: (after.all_exits() - before.all_exits()) as f64 / requests,
            batch: requests / handed_over.max(1) as f64,
        })
    }

    fn run_kv(&self, load: Load<'_>) -> Result<Run> {
        let vcpu = |name: &str| name.starts_with("kv/");
        run(self.peers, self.kv.address, self.kv.pid(), load, vcpu)
    }

    fn run_redis(&self, load: Load<'_>) -> Result<Run> {
        run(self.peers, self.redis.address, self.redis.pid(), load, |_| false)
    }
}

/// Runs `load` against the process `pid`, of whose threads `vcpu` knows the vCPUs; all others count as the
/// server's own.
fn run(
    peers: &Peers,
    address: SocketAddr,
    pid: u32,
    load: Load<'_>,
    vcpu: impl Fn(&str) -> bool,
) -> Result<Run> {
    let (machine, children, threads) = (cpu::of_machine()?, cpu::of_children()?, Threads::of(pid)?);
    let start = Instant::now();
    let requests_per_second = load::run(peers, address, load)?;
    let wall = start.elapsed().as_secs_f64();
    let used = Threads::of(pid)?.since(&threads);
    let client = cpu::of_children()? - children;
    let all = cpu::of_machine()? - machine;
    Client::connect(address)?.order("FLUSHALL")?;
    let (vcpu, server) = (used.named(&vcpu), used.named(|name| !vcpu(name)));
    let ours: Cpu = client + server + vcpu;
    // Rounding to ticks can make it a little less than nothing.
    let others = (all - ours.total()).max(0.0);
    Ok(Run { requests: load.requests, requests_per_second, wall, client, server, vcpu, others })
}

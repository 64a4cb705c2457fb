//! The result of a run, as `--json` gives it: one object.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::bars;
use super::deaths::{Deaths, ENDS};
use super::system::{Phases as Measured, Start};
use crate::bench::choice;
use crate::bench::host::Host;
use crate::bench::placement::{Class, Placement};
use crate::bench::restart::bars::Bar;
use crate::bench::restart::case::Fault;
use crate::bench::restart::peer::{PeerResult, of_nanoseconds};
use crate::bench::statistics::{Range, Times};

/// Everything that was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where it was measured.
    pub host: Host,
    /// Rounds that were measured.
    pub rounds: u32,
    /// Rounds by where the CPUs were. Starts move few cache lines: none is left out.
    pub classes: BTreeMap<Class, usize>,
    /// Systems, by their number of domains.
    pub systems: Vec<SystemResult>,
    /// One domain's end, alone and among many, in turns.
    pub deaths: Vec<DeathResult>,
    /// From the start of `vmm run` until kv has answered through its gateway, in nanoseconds.
    pub command: Option<Range>,
    /// Processes that were started.
    pub peers: Vec<PeerResult>,
    /// What could not be measured besides systems, and why.
    pub failures: Vec<String>,
    /// What is asked of starts, and whether it holds.
    pub bars: Vec<Bar>,
}

/// What came of systems of one size. Times are in nanoseconds.
#[derive(Clone, Debug, Serialize)]
pub struct SystemResult {
    /// How many domains they have.
    pub domains: u32,
    /// From nothing to the first reply.
    pub first: Option<Range>,
    /// From nothing until every domain has answered.
    pub all: Option<Range>,
    /// Where the time went until the first reply: medians.
    pub phases: Option<Phases>,
    /// Memory of this process for each domain, in bytes.
    pub memory: Option<Range>,
    /// The same of the host, the kernel's part included.
    pub host_memory: Option<Range>,
    /// From before the order to kill one of the domains until its next reply.
    pub kills: Option<Times>,
    /// Why starts failed.
    pub failures: Vec<String>,
}

/// What it costs that one domain ends: from before its end until its next reply, in nanoseconds.
#[derive(Clone, Debug, Serialize)]
pub struct DeathResult {
    /// How it ended.
    pub end: Fault,
    /// How many domains the larger system has.
    pub domains: u32,
    /// In a system of its own.
    pub alone: Option<Times>,
    /// In the larger one.
    pub among: Option<Times>,
}

impl DeathResult {
    /// Of some rounds.
    pub(super) fn of(domains: u32, rounds: &[Deaths]) -> Vec<Self> {
        let times = |of_round: &dyn Fn(&Deaths) -> Option<Histogram<u64>>| {
            let each: Vec<_> = rounds.iter().filter_map(of_round).collect();
            Times::of(&each.iter().collect::<Vec<_>>())
        };
        let result = |(place, end): (usize, Fault)| Self {
            end,
            domains,
            alone: times(&|deaths| of_nanoseconds(&deaths.alone[place])),
            among: times(&|deaths| of_nanoseconds(&deaths.among[place])),
        };
        ENDS.into_iter().enumerate().map(result).collect()
    }

    /// How many times as long as alone it takes among others: of all rounds together.
    pub(super) fn ratio(&self) -> Option<f64> {
        let p50 = |times: &Option<Times>| Some(times.as_ref()?.histogram.value_at_quantile(0.5));
        Some(p50(&self.among)? as f64 / p50(&self.alone)? as f64)
    }
}

/// Medians of the parts of a start, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Phases {
    /// The manifest is read and checked.
    pub manifest: f64,
    /// The images are read and checked.
    pub images: f64,
    /// VMs, memory, channels, threads and the control socket are made.
    pub making: f64,
    /// The vCPU is made, the memory filled.
    pub starting: f64,
    /// The server begins, and answers.
    pub answering: f64,
    /// KVM gets ready, beside the images.
    pub kvm: f64,
    /// What a sleep costs is measured, when all domains are up.
    pub sleep: f64,
}

impl Phases {
    /// Each with its name.
    pub fn named(&self) -> [(&'static str, f64); 7] {
        [
            ("manifest", self.manifest),
            ("images", self.images),
            ("making", self.making),
            ("starting", self.starting),
            ("answering", self.answering),
            ("beside: KVM", self.kvm),
            ("later: cost of a sleep", self.sleep),
        ]
    }
}

impl SystemResult {
    /// Of some starts.
    pub(super) fn of(domains: u32, starts: &[Start], failures: Vec<String>) -> Self {
        let range = |value: &dyn Fn(&Start) -> f64| Range::of(starts.iter().map(value));
        let kills: Vec<Histogram<u64>> =
            starts.iter().filter_map(|start| of_nanoseconds(&start.kills)).collect();
        let phase = |value: fn(&Measured) -> u64| {
            range(&move |start| value(&start.phases) as f64).map(|range| range.median)
        };
        let phases = || {
            Some(Phases {
                manifest: phase(|phases| phases.manifest)?,
                images: phase(|phases| phases.images)?,
                kvm: phase(|phases| phases.kvm)?,
                sleep: phase(|phases| phases.sleep)?,
                making: phase(|phases| phases.making)?,
                starting: phase(|phases| phases.starting)?,
                answering: phase(|phases| phases.answering)?,
            })
        };
        Self {
            domains,
            first: range(&|start| start.first as f64),
            all: range(&|start| start.all as f64),
            phases: phases(),
            memory: range(&|start| start.memory.own),
            host_memory: range(&|start| start.memory.host),
            kills: Times::of(&kills.iter().collect::<Vec<_>>()),
            failures,
        }
    }
}

/// What is in a report that is not computed from the rest.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) rounds: u32,
    pub(super) placements: Vec<Placement>,
    pub(super) systems: Vec<SystemResult>,
    pub(super) deaths: Vec<DeathResult>,
    pub(super) command: Vec<u64>,
    pub(super) peers: Vec<PeerResult>,
    pub(super) failures: Vec<String>,
}

impl Report {
    /// Makes a report of what was found.
    pub(super) fn new(found: Found) -> Self {
        let Found { rounds, placements, systems, deaths, command, peers, failures } = found;
        Self {
            host: Host::read(),
            rounds,
            classes: choice::count(&placements),
            command: Range::of(command.into_iter().map(|time| time as f64)),
            bars: bars::judge(&systems, &deaths, &peers),
            systems,
            deaths,
            peers,
            failures,
        }
    }

    /// Whether everything could be measured, and no bar is missed.
    pub fn is_flawless(&self) -> bool {
        self.failures.is_empty()
            && self.systems.iter().all(|system| system.failures.is_empty())
            && self.peers.iter().all(|peer| peer.failures.is_empty())
            && self.bars.iter().all(|bar| !bar.is_missed())
    }
}

//! What is asked of starts, and whether it holds.

use super::report::{DeathResult, SystemResult};
use crate::bench::bars::Side;
use crate::bench::restart::bars::Bar;
use crate::bench::restart::case::Fault;
use crate::bench::restart::peer::{PeerResult, Process};
use crate::bench::restart::wire::{Program, Way};

/// The reference: what an ordinary server would be.
const ORDINARY: Process = Process { program: Program::Dynamic, way: Way::Fork };
/// How many times as long as an ordinary process a system of one domain may take.
const SLOWER: f64 = 1.5;
/// A system that is large.
const MANY: u32 = 1000;
/// Seconds in which all of them are up.
const SECONDS: f64 = 3.0;
/// Memory of each, in MiB.
const MEBIBYTES: f64 = 1.0;
/// How many times as long as alone a kill may take among many: as fast, but for what two medians
/// of the same thing differ by.
const AMONG: f64 = 1.25;

/// Judges all.
pub(super) fn judge(
    systems: &[SystemResult],
    deaths: &[DeathResult],
    peers: &[PeerResult],
) -> Vec<Bar> {
    let of = |domains| systems.iter().find(|system| system.domains == domains);
    let (one, many) = (of(1), of(MANY));
    let process = peers.iter().find(|peer| peer.process == ORDINARY);
    let process = process.and_then(|peer| Some(peer.starts.as_ref()?.p50.median));
    let death = |end| {
        let found = deaths.iter().find(|death| death.end == end && death.domains == MANY);
        found.and_then(DeathResult::ratio)
    };
    let ratio = |ours: Option<f64>, theirs: Option<f64>| Some(ours? / theirs?);
    let first = one.and_then(|system| Some(system.first?.median));
    let up = many.and_then(|system| Some(system.all?.median / 1e9));
    let memory = many.and_then(|system| Some(system.memory?.median / f64::from(1 << 20)));
    let host = many.and_then(|system| Some(system.host_memory?.median / f64::from(1 << 20)));
    let (limit, most) = ("a limit", Side::AtMost);
    vec![
        Bar::new(
            "one domain, from nothing to its first reply",
            ORDINARY.to_string(),
            most,
            SLOWER,
            ratio(first, process),
        ),
        Bar::new("1,000 domains, until each has answered, in s", limit, most, SECONDS, up),
        Bar::new("memory of each of them, in MiB", limit, most, MEBIBYTES, memory),
        Bar::new("the same, the kernel's part included", limit, most, MEBIBYTES, host),
        Bar::new(
            "one kill among them",
            "one kill alone, in turns",
            most,
            AMONG,
            death(Fault::Kill),
        ),
        Bar::new(
            "one fault among them",
            "one fault alone, in turns",
            most,
            AMONG,
            death(Fault::PageFault),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::bars::Verdict;
    use crate::bench::restart::peer::of_nanoseconds;
    use crate::bench::statistics::{Range, Times};

    fn times(nanos: u64) -> Option<Times> {
        Times::of(&[&of_nanoseconds(&[nanos; 10]).unwrap()])
    }

    fn death(end: Fault, alone: u64, among: u64) -> DeathResult {
        DeathResult { end, domains: MANY, alone: times(alone), among: times(among) }
    }

    fn system(domains: u32, first: f64, all: f64, memory: f64) -> SystemResult {
        SystemResult {
            domains,
            first: Range::of([first]),
            all: Range::of([all]),
            phases: None,
            memory: Range::of([memory]),
            host_memory: Range::of([memory * 2.0]),
            kills: None,
            failures: Vec::new(),
        }
    }

    #[test]
    fn each_bar_has_its_side() {
        let process = PeerResult {
            process: ORDINARY,
            restarts: None,
            starts: times(1_000_000),
            failures: Vec::new(),
        };
        let alone = system(1, 1.4e6, 1.4e6, 9e9);
        let many = system(MANY, 1e9, 2.9e9, f64::from(700 << 10));
        let deaths =
            [death(Fault::Kill, 100_000, 130_000), death(Fault::PageFault, 100_000, 110_000)];
        let bars = judge(&[alone, many], &deaths, &[process]);
        let verdicts: Vec<_> = bars.iter().map(|bar| bar.verdict).collect();
        use Verdict::{GoalMet, Missed};
        assert_eq!(verdicts, [GoalMet, GoalMet, GoalMet, Missed, Missed, GoalMet]);
    }

    #[test]
    fn nothing_is_judged_that_was_not_measured() {
        let bars = judge(&[system(10, 1.0, 1.0, 1.0)], &[], &[]);
        assert!(bars.iter().all(|bar| bar.verdict == Verdict::NotMeasured));
    }
}

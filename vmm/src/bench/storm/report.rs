//! All that came of a run.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::Plan;
use super::tally::{Fates, Tally};
use crate::bench::bars::Side;
use crate::bench::choice;
use crate::bench::host::Host;
use crate::bench::placement::{Class, Placement};
use crate::bench::restart::bars::Bar;
use crate::bench::restart::peer::of_nanoseconds;
use crate::bench::statistics::{Range, Times};

/// What throughput under kills must be at least, as a part of that without.
const SHARE: f64 = 0.8;

/// A stretch without kills, and one with them.
#[derive(Clone, Debug)]
pub struct Round {
    /// Good replies in a second without kills.
    pub calm: f64,
    /// With them.
    pub storm: f64,
    /// How long each restart took.
    pub restarts: Histogram<u64>,
}

/// The whole result. Times are in nanoseconds, rates in good replies a second.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Where it was made.
    pub host: Host,
    /// How long kv was killed in all.
    pub seconds: f64,
    /// In how many rounds.
    pub rounds: u32,
    /// Kills that were asked for, in a second.
    pub kills_per_second: u32,
    /// Orders that the nucleus took.
    pub orders: u64,
    /// Incarnations that were ended by them: one that ends meanwhile leaves its order without.
    pub kills: u64,
    /// Connections.
    pub connections: u32,
    /// Requests of each under way at a time.
    pub depth: u32,
    /// How many rounds were made in each placement.
    pub classes: BTreeMap<Class, usize>,
    /// Throughput without kills.
    pub calm: Option<Range>,
    /// Throughput with them.
    pub storm: Option<Range>,
    /// The second as a part of the first, round by round.
    pub ratio: Option<Range>,
    /// What became of all requests.
    pub requests: Fates,
    /// From the end of an incarnation until the next one runs, as the nucleus tells.
    pub restarts: Option<Times>,
    /// From a connection's last good reply before a restart to its first one after it, where a
    /// request died.
    pub gaps: Option<Times>,
    /// Why something could not be measured, or was not as it must be.
    pub failures: Vec<String>,
    /// What is asked, and whether it holds.
    pub bars: Vec<Bar>,
}

/// What is in a report that is not computed from the rest.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) rounds: Vec<Round>,
    pub(super) placements: Vec<Placement>,
    pub(super) orders: u64,
    /// Of each connection; nothing of one that failed.
    pub(super) tallies: Vec<Option<Tally>>,
}

impl Report {
    pub(super) fn new(plan: &Plan, found: Found) -> Self {
        let Found { rounds, placements, orders, tallies } = found;
        let (mut requests, mut gaps, mut failures) = (Fates::default(), Vec::new(), Vec::new());
        let restarts: Vec<_> =
            rounds.iter().map(|round| &round.restarts).filter(|times| !times.is_empty()).collect();
        let restarts = Times::of(&restarts);
        let kills = restarts.as_ref().map_or(0, |times| times.count);
        for tally in tallies {
            match tally {
                Some(Tally { fates, gaps: ours, forgotten, example }) => {
                    requests.add_all(&fates);
                    gaps.extend(ours);
                    failures.extend(example);
                    if forgotten > kills {
                        let what = "the server forgot what it had";
                        failures.push(format!("{what} {forgotten} times, in {kills} restarts"));
                    }
                }
                None => failures.push("a connection panicked".to_owned()),
            }
        }
        if kills == 0 {
            failures.push(format!("{orders} orders to kill led to no restart"));
        }
        let ratio = Range::of(rounds.iter().map(|round| round.storm / round.calm));
        Self {
            host: Host::read(),
            seconds: plan.length.as_secs_f64(),
            rounds: plan.rounds,
            kills_per_second: plan.kills_per_second,
            orders,
            kills,
            connections: plan.connections,
            depth: plan.depth,
            classes: choice::count(&placements),
            calm: Range::of(rounds.iter().map(|round| round.calm)),
            storm: Range::of(rounds.iter().map(|round| round.storm)),
            bars: judge(ratio, &requests, kills),
            ratio,
            requests,
            restarts,
            gaps: of_nanoseconds(&gaps).and_then(|times| Times::of(&[&times])),
            failures,
        }
    }

    /// Whether everything was as it must be.
    pub fn is_flawless(&self) -> bool {
        self.failures.is_empty() && self.bars.iter().all(|bar| !bar.is_missed())
    }
}

fn judge(ratio: Option<Range>, requests: &Fates, kills: u64) -> Vec<Bar> {
    let share = ratio.map(|ratio| ratio.median);
    let indefinite = (kills > 0).then_some(requests.indefinite() as f64);
    vec![
        Bar::new("throughput under kills", "without kills", Side::AtLeast, SHARE, share),
        Bar::new("requests lost, doubled or wrong", "a limit", Side::AtMost, 0.0, indefinite),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::bars::Verdict;
    use crate::bench::histogram;
    use std::time::Duration;

    fn plan() -> Plan {
        Plan {
            images: "images".into(),
            length: Duration::from_secs(2),
            rounds: 2,
            kills_per_second: 100,
            connections: 2,
            depth: 4,
        }
    }

    fn round(calm: f64, storm: f64, restarts: &[u64]) -> Round {
        let mut times = histogram::empty().unwrap();
        restarts.iter().for_each(|&time| times.record(time).unwrap());
        Round { calm, storm, restarts: times }
    }

    fn tally(fates: Fates) -> Option<Tally> {
        Some(Tally { fates, gaps: vec![1000], forgotten: 1, example: None })
    }

    #[test]
    fn rounds_are_compared_each_with_itself() {
        let rounds = vec![round(100.0, 90.0, &[5000]), round(200.0, 140.0, &[7000])];
        let fates = Fates { good: 10, restarted: 1, ..Fates::default() };
        let tallies = vec![tally(fates), tally(fates)];
        let report = Report::new(&plan(), Found { rounds, placements: vec![], orders: 2, tallies });
        let ratio = report.ratio.unwrap();
        assert!((ratio.lowest - 0.7).abs() < 1e-9 && (ratio.median - 0.8).abs() < 1e-9);
        assert_eq!((report.requests.good, report.gaps.as_ref().unwrap().count), (20, 2));
        assert!(report.is_flawless(), "{report:?}");
    }

    #[test]
    fn a_request_without_a_definite_outcome_is_a_bar_missed() {
        for flaw in [
            Fates { lost: 1, ..Fates::default() },
            Fates { doubled: 1, ..Fates::default() },
            Fates { wrong: 1, ..Fates::default() },
        ] {
            let rounds = vec![round(100.0, 90.0, &[5000])];
            let found = Found { rounds, placements: vec![], orders: 1, tallies: vec![tally(flaw)] };
            let report = Report::new(&plan(), found);
            assert_eq!(report.bars[1].verdict, Verdict::Missed);
            assert!(!report.is_flawless());
        }
    }

    #[test]
    fn a_server_that_forgets_more_often_than_it_restarts_is_a_failure() {
        let rounds = vec![round(100.0, 90.0, &[5000])];
        let tallies = vec![Some(Tally { forgotten: 2, ..Tally::default() })];
        let found = Found { rounds, placements: vec![], orders: 1, tallies };
        let report = Report::new(&plan(), found);
        assert_eq!(report.failures, ["the server forgot what it had 2 times, in 1 restarts"]);
    }

    #[test]
    fn a_kill_without_a_restart_and_a_connection_that_failed_are_failures() {
        let rounds = vec![round(100.0, 90.0, &[])];
        let found = Found { rounds, placements: vec![], orders: 1, tallies: vec![None] };
        let report = Report::new(&plan(), found);
        assert_eq!(
            report.failures,
            ["a connection panicked", "1 orders to kill led to no restart"]
        );
        assert!(report.restarts.is_none() && !report.is_flawless());
    }
}

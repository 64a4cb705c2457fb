//! All that came of a run.

use std::collections::BTreeMap;

use serde::Serialize;

use super::case::{Subject, Task};
use super::{Plan, Turn, bars};
use crate::bench::choice;
use crate::bench::host::Host;
use crate::bench::placement::{Class, Placement};
use crate::bench::restart::bars::Bar;
use crate::bench::statistics::{Range, Times};

/// Who is compared with whom: those that promise the same; and what is durable with what half is.
const PAIRS: [(Subject, Subject); 3] = [
    (Subject::Kv, Subject::Redis),
    (Subject::KvDurable, Subject::RedisAlways),
    (Subject::KvDurable, Subject::RedisEverysec),
];

/// The whole result. Times are in nanoseconds, rates in replies a second.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Where it was made.
    pub host: Host,
    /// Of which version redis-server is.
    pub redis_version: Option<String>,
    /// How long each server was measured at each task in all.
    pub seconds: f64,
    /// In how many rounds.
    pub rounds: u32,
    /// Connections.
    pub connections: u32,
    /// Keys.
    pub keys: u32,
    /// Bytes of each value.
    pub size: usize,
    /// How many tasks of rounds were made in each placement.
    pub classes: BTreeMap<Class, usize>,
    /// What each server did at each task.
    pub results: Vec<CaseResult>,
    /// Throughput compared, round by round.
    pub ratios: Vec<Ratio>,
    /// Why something could not be measured.
    pub failures: Vec<String>,
    /// What is asked, and whether it holds.
    pub bars: Vec<Bar>,
}

/// What a server did at a task.
#[derive(Clone, Debug, Serialize)]
pub struct CaseResult {
    /// The server.
    pub subject: Subject,
    /// The task.
    #[serde(flatten)]
    pub task: Task,
    /// Replies a second; nothing if it failed.
    pub rate: Option<Range>,
    /// How long a reply took.
    pub times: Option<Times>,
    /// How many requests shared one write to the store's disk, where there is a store and it wrote.
    pub per_write: Option<Range>,
}

/// A server's throughput as a part of another's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// The server.
    pub subject: Subject,
    /// The other one.
    pub reference: Subject,
    /// At what.
    #[serde(flatten)]
    pub task: Task,
    /// The ratio.
    pub ratio: Range,
}

/// What came of a server.
#[derive(Debug)]
pub(super) struct ServerFound {
    pub(super) subject: Subject,
    /// By round, then by task; nothing where it failed.
    pub(super) samples: Vec<Vec<Option<Turn>>>,
    pub(super) failures: Vec<String>,
}

/// What is in a report that is not computed from the rest.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) redis_version: Option<String>,
    pub(super) placements: Vec<Placement>,
    pub(super) servers: Vec<ServerFound>,
    pub(super) failures: Vec<String>,
}

impl Report {
    pub(super) fn new(plan: &Plan, found: Found) -> Self {
        let Found { redis_version, placements, servers, mut failures } = found;
        let (mut results, mut ratios) = (Vec::new(), Vec::new());
        for (at, &task) in plan.tasks.iter().enumerate() {
            results.extend(servers.iter().map(|server| server.result(at, task)));
            ratios.extend(PAIRS.iter().filter_map(|&pair| ratio(&servers, pair, at, task)));
        }
        for ServerFound { subject, failures: each, .. } in &servers {
            failures.extend(each.iter().map(|failure| format!("{subject}: {failure}")));
        }
        Self {
            host: Host::read(),
            redis_version,
            seconds: plan.length.as_secs_f64(),
            rounds: plan.rounds,
            connections: plan.connections,
            keys: plan.keys,
            size: plan.size,
            classes: choice::count(&placements),
            bars: bars::judge(&ratios, plan.connections),
            results,
            ratios,
            failures,
        }
    }

    /// Whether everything was as it must be.
    pub fn is_flawless(&self) -> bool {
        self.failures.is_empty() && !self.bars.iter().any(Bar::is_missed)
    }
}

impl ServerFound {
    /// The measurements of a task, by round.
    fn turns(&self, task: usize) -> impl Iterator<Item = Option<&Turn>> {
        self.samples.iter().map(move |round| round.get(task)?.as_ref())
    }

    /// Its throughput at a task, by round.
    fn rates(&self, task: usize) -> impl Iterator<Item = Option<f64>> {
        self.turns(task).map(|turn| Some(turn?.sample.rate))
    }

    fn result(&self, at: usize, task: Task) -> CaseResult {
        let times = self.turns(at).flatten().map(|turn| &turn.sample.times);
        let times: Vec<_> = times.filter(|times| !times.is_empty()).collect();
        CaseResult {
            subject: self.subject,
            task,
            rate: Range::of(self.rates(at).flatten()),
            times: Times::of(&times),
            per_write: Range::of(self.turns(at).filter_map(|turn| turn?.per_write)),
        }
    }
}

/// The ratio at a task, of the rounds in which both were measured.
fn ratio(
    servers: &[ServerFound],
    (subject, reference): (Subject, Subject),
    at: usize,
    task: Task,
) -> Option<Ratio> {
    let of = |wanted| servers.iter().find(|server: &&ServerFound| server.subject == wanted);
    let rounds = of(subject)?.rates(at).zip(of(reference)?.rates(at));
    let each = rounds.filter_map(|(ours, theirs)| Some(ours? / theirs?));
    let ratio = Range::of(each.filter(|ratio| ratio.is_finite()))?;
    Some(Ratio { subject, reference, task, ratio })
}

#[cfg(test)]
mod tests {
    use super::super::case::Operation;
    use super::super::load::Sample;
    use super::super::server::Site;
    use super::*;
    use crate::bench::bars::Verdict;
    use crate::bench::restart::peer::of_nanoseconds;
    use std::time::Duration;

    const SET: Task = Task { operation: Operation::Set, depth: 16 };
    const GET: Task = Task { operation: Operation::Get, depth: 16 };

    fn plan() -> Plan {
        let site =
            Site { vmm: "v".into(), images: "i".into(), redis: "r".into(), directory: "d".into() };
        Plan {
            site,
            subjects: Subject::ALL.to_vec(),
            tasks: vec![SET, GET],
            connections: 50,
            keys: 10,
            size: 8,
            length: Duration::from_secs(2),
            rounds: 3,
            log_size: 64,
        }
    }

    fn turn(rate: f64) -> Option<Turn> {
        let times = of_nanoseconds(&[1000, 2000]).unwrap();
        Some(Turn { sample: Sample { rate, times, all: 2 }, per_write: Some(rate / 2.0) })
    }

    fn server(subject: Subject, rounds: [[f64; 2]; 3]) -> ServerFound {
        let samples = rounds.map(|tasks| tasks.map(turn).to_vec()).to_vec();
        ServerFound { subject, samples, failures: Vec::new() }
    }

    fn report(servers: Vec<ServerFound>) -> Report {
        let (placements, failures) = (Vec::new(), Vec::new());
        Report::new(&plan(), Found { redis_version: None, placements, servers, failures })
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let ours = server(Subject::Kv, [[90.0, 1.0], [80.0, 1.0], [500.0, 1.0]]);
        let theirs = server(Subject::Redis, [[100.0, 2.0], [100.0, 2.0], [1000.0, 2.0]]);
        let report = report(vec![ours, theirs]);
        assert_eq!(report.ratios.len(), 2);
        assert_eq!(report.ratios[0].task, SET);
        assert_eq!(report.ratios[0].ratio, Range { lowest: 0.5, median: 0.8, highest: 0.9 });
        assert_eq!(report.results[0].rate.unwrap().median, 90.0);
        assert_eq!(report.results[0].per_write.unwrap().highest, 250.0);
        assert!(!report.is_flawless(), "half of GET is too little");
        let verdicts: Vec<_> = report.bars.iter().map(|bar| bar.verdict).collect();
        assert_eq!(verdicts[2], Verdict::GoalMet);
        assert_eq!(verdicts[4], Verdict::Missed);
    }

    #[test]
    fn a_round_without_both_makes_no_ratio() {
        let mut ours = server(Subject::Kv, [[90.0, 1.0], [80.0, 1.0], [500.0, 1.0]]);
        ours.samples[0] = vec![None, None];
        ours.samples[1].clear();
        ours.failures.push("SET -P 16: it hung up".to_owned());
        let theirs = server(Subject::Redis, [[100.0, 1.0]; 3]);
        let report = report(vec![ours, theirs]);
        assert_eq!(report.ratios[0].ratio, Range { lowest: 5.0, median: 5.0, highest: 5.0 });
        assert_eq!(report.failures, ["kv, volatile: SET -P 16: it hung up"]);
        assert!(!report.is_flawless());
    }
}

//! All that came of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::log::{Recovery, Round};
use super::{Crashes, Plan, bars};
use crate::bench::choice;
use crate::bench::host::Host;
use crate::bench::placement::{Class, Placement};
use crate::bench::restart::bars::Bar;
use crate::bench::restart::peer::of_nanoseconds;
use crate::bench::statistics::{Range, Times};

/// The whole result. Times are in nanoseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Where it was made.
    pub host: Host,
    /// In how many rounds.
    pub rounds: u32,
    /// Crashes of each kv in a round.
    pub turns: u32,
    /// Bytes of each value.
    pub size: usize,
    /// Memory that a restart of kv keeps, in bytes.
    pub state: u64,
    /// How many halves of rounds were made in each placement.
    pub classes: BTreeMap<Class, usize>,
    /// Crashes of kv.
    pub crashes: CrashResults,
    /// Recoveries of a store.
    pub log: LogResults,
    /// Why something could not be measured.
    pub failures: Vec<String>,
    /// What is asked, and whether it holds.
    pub bars: Vec<Bar>,
}

/// From a crash of kv to its first good reply.
#[derive(Clone, Debug, Serialize)]
pub struct CrashResults {
    /// Keys that it had, and has again.
    pub keys: u32,
    /// Bytes of keys and values.
    pub bytes: u64,
    /// In memory that it kept.
    pub kept: Option<Times>,
    /// From its store.
    pub reload: Option<Times>,
}

/// Recoveries of a store from its log.
#[derive(Clone, Debug, Serialize)]
pub struct LogResults {
    /// Bytes of the log.
    pub bytes: u64,
    /// With the file in the host's memory.
    pub warm: RecoveryResult,
    /// Without.
    pub cold: RecoveryResult,
}

/// Recoveries of one kind.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RecoveryResult {
    /// How long the store says that it took.
    pub recovery: Option<Range>,
    /// Bytes that it read.
    pub read: Option<Range>,
    /// From the start of the system to kv's first good reply.
    pub answered: Option<Range>,
    /// How long a sequential read of as much of the file takes.
    pub sequential: Option<Range>,
    /// The recovery to that, round by round.
    pub ratio: Option<Range>,
}

/// What is in a report that is not computed from the rest.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) keys: u32,
    pub(super) bytes: u64,
    pub(super) log: u64,
    pub(super) kept: Vec<Crashes>,
    pub(super) reload: Vec<Crashes>,
    pub(super) recoveries: Vec<Round>,
    pub(super) placements: Vec<Placement>,
    pub(super) failures: Vec<String>,
}

impl Report {
    pub(super) fn new(plan: &Plan, found: Found) -> Self {
        let Found { keys, bytes, log, kept, reload, recoveries, placements, mut failures } = found;
        let crashes = CrashResults {
            keys,
            bytes,
            kept: times(kept, "kv with memory that it keeps", &mut failures),
            reload: times(reload, "kv with its store", &mut failures),
        };
        let (warm, cold): (Vec<_>, Vec<_>) =
            recoveries.into_iter().map(|Round { warm, cold }| (warm, cold)).unzip();
        let log = LogResults {
            bytes: log,
            warm: RecoveryResult::of(warm, &mut failures),
            cold: RecoveryResult::of(cold, &mut failures),
        };
        Self {
            host: Host::read(),
            rounds: plan.rounds,
            turns: plan.turns,
            size: plan.size,
            state: plan.state << 20,
            classes: choice::count(&placements),
            bars: bars::judge(&crashes, &log, plan.state, plan.log),
            crashes,
            log,
            failures,
        }
    }

    /// Whether everything was as it must be.
    pub fn is_flawless(&self) -> bool {
        self.failures.is_empty() && !self.bars.iter().any(Bar::is_missed)
    }
}

/// The times of all rounds; why one ended early is a failure.
fn times(rounds: Vec<Crashes>, who: &str, failures: &mut Vec<String>) -> Option<Times> {
    let mut all: Vec<Histogram<u64>> = Vec::new();
    for (crashes, failure) in rounds {
        let nanos: Vec<u64> = crashes.into_iter().map(nanoseconds).collect();
        all.extend(of_nanoseconds(&nanos));
        failures.extend(failure.map(|failure| format!("{who}: {failure}")));
    }
    Times::of(&all.iter().collect::<Vec<_>>())
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl RecoveryResult {
    fn of(rounds: Vec<Result<Recovery, String>>, failures: &mut Vec<String>) -> Self {
        let mut good = Vec::new();
        for round in rounds {
            match round {
                Ok(recovery) => good.push(recovery),
                Err(failure) => failures.push(failure),
            }
        }
        let range = |of: fn(&Recovery) -> f64| Range::of(good.iter().map(of));
        Self {
            recovery: range(|round| round.recovery.as_nanos() as f64),
            read: range(|round| round.read as f64),
            answered: range(|round| round.answered.as_nanos() as f64),
            sequential: range(|round| round.sequential.as_nanos() as f64),
            ratio: range(|round| {
                round.recovery.as_nanos() as f64 / round.sequential.as_nanos() as f64
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::kv::server::Site;
    use super::*;

    fn recovery(millis: u64, sequential: u64) -> Result<Recovery, String> {
        Ok(Recovery {
            recovery: Duration::from_millis(millis),
            read: 1 << 30,
            answered: Duration::from_millis(2 * millis),
            sequential: Duration::from_millis(sequential),
        })
    }

    fn plan() -> Plan {
        let site =
            Site { vmm: "v".into(), images: "i".into(), redis: "r".into(), directory: "d".into() };
        Plan { site, state: 64, log: 1024, size: 1024, rounds: 2, turns: 3 }
    }

    #[test]
    fn recoveries_are_compared_round_by_round() {
        let recoveries = vec![
            Round { warm: recovery(100, 100), cold: recovery(900, 300) },
            Round { warm: recovery(300, 200), cold: Err("no room".into()) },
        ];
        let crash = Duration::from_micros(500);
        let kept = vec![(vec![crash, crash], None)];
        let reload = vec![(vec![40 * crash], Some("it hung".into()))];
        let found = Found { recoveries, kept, reload, ..Found::default() };
        let report = Report::new(&plan(), found);
        let ratio = report.log.warm.ratio.unwrap();
        assert_eq!((ratio.lowest, ratio.median, ratio.highest), (1.0, 1.25, 1.5));
        assert_eq!(report.log.cold.ratio.unwrap().median, 3.0);
        assert_eq!(report.failures, ["kv with its store: it hung", "no room"]);
        assert_eq!(report.crashes.kept.as_ref().unwrap().count, 2);
        assert!(!report.bars[0].is_missed() && report.bars[2].is_missed());
        assert!(!report.is_flawless());
    }
}

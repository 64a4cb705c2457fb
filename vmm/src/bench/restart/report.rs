//! The result of a run, as `--json` gives it: one object.

use std::collections::BTreeMap;

use serde::Serialize;

use super::bars::{self, Bar};
use super::case::Case;
use super::count::Exits;
use super::peer::{PeerResult, of_nanoseconds};
use super::rig::Subject;
use super::trial::Trial;
use crate::bench::choice;
use crate::bench::host::Host;
use crate::bench::placement::{Class, Placement};
use crate::bench::statistics::{Range, Times};

/// Everything that was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where it was measured.
    pub host: Host,
    /// Rounds that were measured.
    pub rounds: u32,
    /// Restarts of each case in a round.
    pub turns: u32,
    /// Rounds by where the CPUs were. Restarts move few cache lines: none is left out.
    pub classes: BTreeMap<Class, usize>,
    /// Every case.
    pub cases: Vec<CaseResult>,
    /// Processes that were killed and started again.
    pub peers: Vec<PeerResult>,
    /// Exits of a restart.
    pub exits: Vec<Exits>,
    /// What an exit to the VMM costs here, in nanoseconds; None if it was not to be had.
    pub exit_cost: Option<f64>,
    /// What a host with hardware virtualisation would need, by what was counted and measured here.
    pub hardware: Option<Estimate>,
    /// What could not be measured besides cases, and why.
    pub failures: Vec<String>,
    /// What is asked of restarts, and whether it holds.
    pub bars: Vec<Bar>,
}

/// Times of a restart on a host whose exits cost 1 to 2 microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Exits that it takes.
    pub exits: f64,
    /// What the VMM does, as measured here, in nanoseconds.
    pub work: f64,
    /// Both together if an exit costs 1 us, in nanoseconds.
    pub least: f64,
    /// If it costs 2 us.
    pub most: f64,
}

/// What came of a case.
#[derive(Clone, Debug, Serialize)]
pub struct CaseResult {
    /// What was measured.
    #[serde(flatten)]
    pub case: Case,
    /// From before the blow until the first reply.
    pub times: Option<Times>,
    /// From when the VMM saw the end until the first reply.
    pub since_exit: Option<Times>,
    /// Where the time went.
    pub parts: Option<Parts>,
    /// Pages that the vCPU's thread was given in one restart.
    pub page_faults: Option<Range>,
    /// Why restarts failed.
    pub failures: Vec<String>,
}

/// Medians of the parts of a restart, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Parts {
    /// Request, fault, exit.
    pub exit: f64,
    /// The report; None where the nucleus tells no steps, as for the other three.
    pub report: Option<f64>,
    /// The registers.
    pub registers: Option<f64>,
    /// The memory.
    pub memory: Option<f64>,
    /// How much of it there was to take back, in bytes.
    pub written: Option<f64>,
    /// The channels.
    pub channels: Option<f64>,
    /// All that the VMM did.
    pub work: f64,
    /// Back into the guest, request, reply.
    pub reply: f64,
}

impl CaseResult {
    /// Of a subject that has been crashed.
    pub(super) fn of(subject: Subject) -> Self {
        let Subject { case, rounds, failures, .. } = subject;
        let times = |value: fn(&Trial) -> u64| {
            let each = rounds
                .iter()
                .filter_map(|round| of_nanoseconds(&round.iter().map(value).collect::<Vec<_>>()));
            Times::of(&each.collect::<Vec<_>>().iter().collect::<Vec<_>>())
        };
        let all: Vec<&Trial> = rounds.iter().flatten().collect();
        Self {
            case,
            times: times(|trial| trial.whole),
            since_exit: times(|trial| trial.since_exit),
            parts: Parts::of(&all),
            page_faults: Range::of(all.iter().map(|trial| trial.page_faults as f64)),
            failures,
        }
    }
}

impl Parts {
    fn of(trials: &[&Trial]) -> Option<Self> {
        let median = |value: &dyn Fn(&Trial) -> Option<u64>| {
            let values = trials.iter().filter_map(|trial| value(trial));
            Range::of(values.map(|value| value as f64)).map(|range| range.median)
        };
        let step =
            |value: fn(crate::domain::Steps) -> u64| median(&move |trial| trial.steps.map(value));
        Some(Self {
            exit: median(&|trial| Some(trial.exit))?,
            report: step(|steps| steps.report),
            registers: step(|steps| steps.registers),
            memory: step(|steps| steps.memory),
            written: step(|steps| steps.written),
            channels: step(|steps| steps.channels),
            work: median(&|trial| Some(trial.work))?,
            reply: median(&|trial| Some(trial.reply))?,
        })
    }
}

/// What is in a report that is not computed from the rest.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) rounds: u32,
    pub(super) turns: u32,
    pub(super) placements: Vec<Placement>,
    pub(super) cases: Vec<CaseResult>,
    pub(super) peers: Vec<PeerResult>,
    pub(super) exits: Vec<Exits>,
    pub(super) exit_cost: Option<f64>,
    pub(super) failures: Vec<String>,
}

impl Report {
    /// Makes a report of what was found.
    pub(super) fn new(found: Found) -> Self {
        let Found { rounds, turns, placements, cases, peers, exits, exit_cost, failures } = found;
        Self {
            host: Host::read(),
            rounds,
            turns,
            classes: choice::count(&placements),
            hardware: Estimate::of(&cases, &exits),
            bars: bars::judge(&cases, &peers, &exits, exit_cost),
            cases,
            peers,
            exits,
            exit_cost,
            failures,
        }
    }

    /// Whether everything could be measured, and no bar is missed.
    pub fn is_flawless(&self) -> bool {
        self.failures.is_empty()
            && self.cases.iter().all(|case| case.failures.is_empty())
            && self.peers.iter().all(|peer| peer.failures.is_empty())
            && self.bars.iter().all(|bar| !bar.is_missed())
    }
}

impl Estimate {
    fn of(cases: &[CaseResult], exits: &[Exits]) -> Option<Self> {
        let plain = bars::plain(cases)?;
        let Case { fault, from, .. } = plain.case;
        let exits = exits.iter().find(|exits| (exits.fault, exits.from) == (fault, from))?.exits;
        let work = plain.parts?.work;
        Some(Self { exits, work, least: work + exits * 1e3, most: work + exits * 2e3 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::restart::case::{Beginning, Fault, Server};
    use crate::domain::Steps;

    fn trial(work: u64) -> Trial {
        let steps = Some(Steps { report: work, ..Steps::default() });
        Trial { whole: 100, since_exit: 60, exit: 40, work, steps, reply: 30, page_faults: 0 }
    }

    #[test]
    fn parts_are_medians_and_steps_may_be_missing() {
        let parts = Parts::of(&[&trial(10), &trial(30), &trial(20)]).unwrap();
        assert_eq!((parts.exit, parts.work, parts.report), (40.0, 20.0, Some(20.0)));
        let untold = Trial { steps: None, ..trial(10) };
        assert_eq!(Parts::of(&[&untold]).unwrap().report, None);
        assert!(Parts::of(&[]).is_none());
    }

    #[test]
    fn the_estimate_is_what_the_vmm_does_and_the_exits() {
        let case = Case {
            server: Server::Echo,
            fault: Fault::PageFault,
            from: Beginning::Checkpoint,
            dirty: 0,
        };
        let parts = Parts::of(&[&trial(20_000)]);
        let result = CaseResult {
            case,
            times: None,
            since_exit: None,
            parts,
            page_faults: None,
            failures: Vec::new(),
        };
        let exits = Exits { fault: case.fault, from: case.from, exits: 2.0 };
        let estimate = Estimate::of(std::slice::from_ref(&result), &[exits]).unwrap();
        assert_eq!((estimate.least, estimate.most), (22_000.0, 24_000.0));
        assert_eq!(Estimate::of(&[result], &[]), None);
    }
}

//! What is asked of restarts, and whether it holds.

use serde::Serialize;

use super::case::{Beginning, Case, Fault, Server};
use super::count::Exits;
use super::peer::{PeerResult, Process};
use super::report::CaseResult;
use super::wire::{Program, Way};
use crate::bench::bars::{Side, Verdict};
use crate::bench::statistics::Times;

const MI: usize = 1 << 20;
/// Most memory of a server that is small.
const SMALL: usize = 64 << 10;

/// The reference: what an ordinary server would be.
const ORDINARY: Process = Process { program: Program::Dynamic, way: Way::Fork };
/// The least that a process can be.
const LEAST: Process = Process { program: Program::Tiny, way: Way::Vfork };

/// What is held against processes.
const JUDGED: [(Server, usize); 3] = [(Server::Echo, 0), (Server::Echo, MI), (Server::Kv, MI)];

/// How many times faster than an ordinary process a restart is at least.
const FASTER: f64 = 3.0;
/// Most exits of a restart.
const EXITS: f64 = 3.0;

/// Something that is asked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bar {
    /// What is measured.
    pub what: String,
    /// What it is compared with.
    pub reference: String,
    /// Whether the figure is to be at most or at least what is asked.
    pub side: Side,
    /// What must be reached.
    pub must: f64,
    /// What should be; None if that is no more than what must be.
    pub goal: Option<f64>,
    /// What was; None if it was not measured.
    pub figure: Option<f64>,
    /// What follows.
    pub verdict: Verdict,
}

impl Bar {
    /// Judges a figure.
    pub(in crate::bench) fn new(
        what: impl Into<String>,
        reference: impl Into<String>,
        side: Side,
        must: f64,
        figure: Option<f64>,
    ) -> Self {
        let verdict = match figure.map(|figure| reaches(figure, side, must)) {
            None => Verdict::NotMeasured,
            Some(true) => Verdict::GoalMet,
            Some(false) => Verdict::Missed,
        };
        let (what, reference) = (what.into(), reference.into());
        Self { what, reference, side, must, goal: None, figure, verdict }
    }

    /// The same with a goal beyond what must be.
    pub(in crate::bench) fn with_goal(self, goal: f64) -> Self {
        let falls_short = self.figure.is_some_and(|figure| !reaches(figure, self.side, goal));
        let verdict = match self.verdict {
            Verdict::GoalMet if falls_short => Verdict::MustMet,
            verdict => verdict,
        };
        Self { goal: Some(goal), verdict, ..self }
    }

    /// Whether it was measured, and does not hold.
    pub fn is_missed(&self) -> bool {
        self.verdict == Verdict::Missed
    }
}

fn reaches(figure: f64, side: Side, limit: f64) -> bool {
    match side {
        Side::AtMost => figure <= limit,
        Side::AtLeast => figure >= limit,
    }
}

/// The plainest case: a small server that reads where nothing is.
pub(super) fn plain(cases: &[CaseResult]) -> Option<&CaseResult> {
    find(cases, Server::Echo, 0)
}

fn find(cases: &[CaseResult], server: Server, dirty: usize) -> Option<&CaseResult> {
    let wanted = Case { server, fault: Fault::PageFault, from: Beginning::Checkpoint, dirty };
    cases.iter().find(|result| result.case == wanted)
}

/// Judges all. An exit to the VMM and back costs `exit_cost` nanoseconds.
pub(super) fn judge(
    cases: &[CaseResult],
    peers: &[PeerResult],
    exits: &[Exits],
    exit_cost: Option<f64>,
) -> Vec<Bar> {
    let ordinary = restarts(peers, ORDINARY);
    let least = restarts(peers, LEAST);
    let mut bars = Vec::new();
    for (server, dirty) in JUDGED {
        let ours = find(cases, server, dirty).and_then(|result| result.times.as_ref());
        let name = |quantile| {
            let dirty = crate::bench::form::size(dirty);
            format!("{server}, {dirty} dirty, from its checkpoint: {quantile}")
        };
        let faster =
            |theirs: Option<&Times>, quantile| Some(at(theirs?, quantile) / at(ours?, quantile));
        bars.push(Bar::new(
            name("p50"),
            ORDINARY.to_string(),
            Side::AtLeast,
            FASTER,
            faster(ordinary, 0.5),
        ));
        bars.push(Bar::new(
            name("p99"),
            ORDINARY.to_string(),
            Side::AtLeast,
            1.0,
            faster(ordinary, 0.99),
        ));
        bars.push(Bar::new(name("p50"), LEAST.to_string(), Side::AtLeast, 1.0, faster(least, 0.5)));
    }
    bars.push(Bar::new(
        "exits of a restart from a checkpoint, the worst fault",
        "counted",
        Side::AtMost,
        EXITS,
        worst_exits(exits),
    ));
    bars.push(Bar::new(
        "pages given to a small server in it: median",
        "counted",
        Side::AtMost,
        0.0,
        worst_page_faults(cases),
    ));
    for (server, dirty) in JUDGED {
        let dirty_text = crate::bench::form::size(dirty);
        let ours = || since_fault(find(cases, server, dirty)?, exit_cost?, 0.5);
        bars.push(Bar::new(
            format!("{server}, {dirty_text} dirty, the request to fault left out: p50"),
            ORDINARY.to_string(),
            Side::AtLeast,
            FASTER,
            ordinary.and_then(|theirs| Some(at(theirs, 0.5) / ours()?)),
        ));
    }
    bars
}

/// From the fault itself until the first reply. The VMM sees the fault when the guest has left,
/// which takes no longer than to leave and to come back.
fn since_fault(result: &CaseResult, exit_cost: f64, quantile: f64) -> Option<f64> {
    Some(at(result.since_exit.as_ref()?, quantile) + exit_cost)
}

fn restarts(peers: &[PeerResult], process: Process) -> Option<&Times> {
    peers.iter().find(|peer| peer.process == process)?.restarts.as_ref()
}

/// Of all rounds together.
fn at(times: &Times, quantile: f64) -> f64 {
    times.histogram.value_at_quantile(quantile) as f64
}

fn worst_exits(exits: &[Exits]) -> Option<f64> {
    let ours = exits.iter().filter(|exits| exits.from == Beginning::Checkpoint);
    ours.map(|exits| exits.exits).max_by(f64::total_cmp)
}

fn worst_page_faults(cases: &[CaseResult]) -> Option<f64> {
    let small = cases.iter().filter(|result| {
        let Case { server, from, dirty, .. } = result.case;
        server == Server::Echo && from == Beginning::Checkpoint && dirty <= SMALL
    });
    small.filter_map(|result| Some(result.page_faults?.median)).max_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::restart::peer::of_nanoseconds;
    use crate::bench::statistics::Range;

    fn times(nanos: &[u64]) -> Option<Times> {
        Times::of(&[&of_nanoseconds(nanos).unwrap()])
    }

    fn case(server: Server, dirty: usize, nanos: &[u64], pages: f64) -> CaseResult {
        let case = Case { server, fault: Fault::PageFault, from: Beginning::Checkpoint, dirty };
        let (times, page_faults) = (times(nanos), Range::of([pages]));
        let (since_exit, parts) = (times.clone(), None);
        CaseResult { case, times, since_exit, parts, page_faults, failures: Vec::new() }
    }

    fn peer(process: Process, nanos: &[u64]) -> PeerResult {
        PeerResult { process, restarts: times(nanos), starts: times(nanos), failures: Vec::new() }
    }

    fn verdicts(bars: &[Bar]) -> Vec<Verdict> {
        bars.iter().map(|bar| bar.verdict).collect()
    }

    #[test]
    fn a_goal_is_beyond_what_must_be() {
        let verdict = |side, figure| Bar::new("", "", side, 1.0, figure).with_goal(1.5).verdict;
        use Verdict::{GoalMet, Missed, MustMet, NotMeasured};
        let at_least = [Some(0.9), Some(1.2), Some(1.5), None];
        let found = at_least.map(|figure| verdict(Side::AtLeast, figure));
        assert_eq!(found, [Missed, MustMet, GoalMet, NotMeasured]);
        assert_eq!(verdict(Side::AtMost, Some(1.2)), Missed);
    }

    #[test]
    fn a_restart_is_held_against_both_processes() {
        let cases = [case(Server::Echo, 0, &[200; 100], 0.0)];
        let peers = [peer(ORDINARY, &[700; 100]), peer(LEAST, &[150; 100])];
        let exits = [Exits { fault: Fault::Panic, from: Beginning::Checkpoint, exits: 4.0 }];
        let bars = judge(&cases, &peers, &exits, None);
        use Verdict::{GoalMet, Missed, NotMeasured};
        assert_eq!(verdicts(&bars[..4]), [GoalMet, GoalMet, Missed, NotMeasured]);
        assert_eq!(verdicts(&bars[9..11]), [Missed, GoalMet]);
        assert!((bars[0].figure.unwrap() - 3.5).abs() < 0.01, "{:?}", bars[0]);
        assert_eq!(bars[11].verdict, NotMeasured);
    }

    #[test]
    fn the_way_of_the_request_can_be_left_out_and_the_exit_cannot() {
        let whole = case(Server::Kv, MI, &[400; 100], 0.0);
        let cases = [CaseResult { since_exit: times(&[200; 100]), ..whole }];
        let peers = [peer(ORDINARY, &[750; 100])];
        let figure = |exit_cost| judge(&cases, &peers, &[], Some(exit_cost))[13].figure.unwrap();
        assert!((figure(50.0) - 3.0).abs() < 0.02 && (figure(100.0) - 2.5).abs() < 0.02);
    }

    #[test]
    fn the_tail_counts_as_well_as_the_middle() {
        let mut slow = vec![200; 97];
        slow.extend([9000; 3]);
        let cases = [case(Server::Echo, 0, &slow, 1.0)];
        let bars = judge(&cases, &[peer(ORDINARY, &[700; 100])], &[], None);
        assert_eq!(verdicts(&bars[..2]), [Verdict::GoalMet, Verdict::Missed]);
        assert_eq!(bars[10].verdict, Verdict::Missed);
    }

    #[test]
    fn nothing_is_judged_that_was_not_measured() {
        let bars = judge(&[], &[], &[], Some(1.0));
        assert!(bars.iter().all(|bar| bar.verdict == Verdict::NotMeasured && !bar.is_missed()));
    }
}

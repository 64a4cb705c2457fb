//! Whether a bar is met: a ratio from the figures of a run, against what is asked.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{BARS, Bar, Compare, Pick, Quantile, Term};
use crate::bench::report::CaseResult;
use crate::bench::statistics::{Figures, Times};

/// What came of a bar.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BarResult {
    /// What is measured.
    pub what: &'static str,
    /// What it is compared with.
    pub reference: &'static str,
    /// Whether the figure is to be at most or at least what is asked.
    pub side: Side,
    /// What must be reached.
    pub must: f64,
    /// What should be; None if that is no more.
    pub goal: Option<f64>,
    /// The worst figure of all sizes; None if nothing could be compared.
    pub figure: Option<f64>,
    /// The size that it is of, in bytes; None for what has no size.
    pub size: Option<usize>,
    /// How many sizes were compared.
    pub sizes_compared: usize,
    /// The sizes at which the bar must hold; none for what has no size.
    pub sizes: &'static [usize],
    /// What follows.
    pub verdict: Verdict,
}

/// On which side of the bar a figure is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// It may not be more.
    AtMost,
    /// It may not be less.
    AtLeast,
}

/// Whether a bar is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// All that could be wished for.
    GoalMet,
    /// What must be, but less than wished for.
    MustMet,
    /// Less than what must be.
    Missed,
    /// One of the two was not measured.
    NotMeasured,
    /// One of the two was measured, but never while the CPUs were where the others' figures are
    /// from.
    NotMeasuredHere,
}

impl Side {
    fn holds(self, figure: f64, asked: f64) -> bool {
        match self {
            Self::AtMost => figure <= asked,
            Self::AtLeast => figure >= asked,
        }
    }

    fn is_worse(self, figure: f64, than: f64) -> bool {
        match self {
            Self::AtMost => figure > than,
            Self::AtLeast => figure < than,
        }
    }
}

/// Judges every bar by the figures of a run.
pub(in crate::bench) fn judge(
    cases: &[CaseResult],
    numbers: &BTreeMap<String, f64>,
) -> Vec<BarResult> {
    let found = Found { cases, numbers };
    BARS.iter().map(|bar| found.judge(bar)).collect()
}

/// What there is to judge by.
#[derive(Clone, Copy, Debug)]
struct Found<'a> {
    cases: &'a [CaseResult],
    numbers: &'a BTreeMap<String, f64>,
}

impl Found<'_> {
    fn judge(&self, bar: &Bar) -> BarResult {
        let side = match bar.compare {
            Compare::Slower(..) | Compare::Number(_) => Side::AtMost,
            Compare::Faster(..) | Compare::Rate(..) => Side::AtLeast,
        };
        let sized: Vec<Option<usize>> = match bar.sizes {
            [] => vec![None],
            sizes => sizes.iter().copied().map(Some).collect(),
        };
        let compared: Vec<(Option<usize>, f64)> = sized
            .iter()
            .filter_map(|&size| Some((size, self.figure(&bar.compare, size.unwrap_or(0))?)))
            .filter(|(_, figure)| figure.is_finite())
            .collect();
        let worst = compared
            .iter()
            .copied()
            .reduce(|worst, other| if side.is_worse(other.1, worst.1) { other } else { worst });
        BarResult {
            what: bar.what,
            reference: bar.reference,
            side,
            must: bar.must,
            goal: bar.goal,
            figure: worst.map(|(_, figure)| figure),
            size: worst.and_then(|(size, _)| size),
            sizes_compared: compared.len(),
            sizes: bar.sizes,
            verdict: match worst {
                Some((_, figure)) => verdict(bar, side, figure),
                None if self.was_elsewhere(bar) => Verdict::NotMeasuredHere,
                None => Verdict::NotMeasured,
            },
        }
    }

    fn figure(&self, compare: &Compare, size: usize) -> Option<f64> {
        match compare {
            Compare::Slower(quantile, pick, term) => {
                Some(self.time(pick, *quantile, size)? / self.term(term, *quantile, size)?)
            }
            Compare::Faster(quantile, pick, term) => {
                Some(self.term(term, *quantile, size)? / self.time(pick, *quantile, size)?)
            }
            Compare::Rate(pick, other) => Some(self.rate(pick, size)? / self.rate(other, size)?),
            Compare::Number(name) => self.numbers.get(*name).copied(),
        }
    }

    fn term(&self, term: &Term, quantile: Quantile, size: usize) -> Option<f64> {
        match term {
            Term::Case(pick) => self.time(pick, quantile, size),
            Term::Number(name) => self.numbers.get(*name).copied(),
        }
    }

    fn time(&self, pick: &Pick, quantile: Quantile, size: usize) -> Option<f64> {
        let lowest = |times: &Times| match quantile {
            Quantile::P50 => times.p50.lowest,
            Quantile::P99 => times.p99.lowest,
        };
        self.figures(pick, size).filter_map(Figures::times).map(lowest).min_by(f64::total_cmp)
    }

    fn rate(&self, pick: &Pick, size: usize) -> Option<f64> {
        let rates = self.figures(pick, size).filter_map(Figures::rates);
        rates.map(|rates| rates.messages.median).max_by(f64::total_cmp)
    }

    /// Whether something that was to be compared has rounds, but none that makes figures.
    fn was_elsewhere(&self, bar: &Bar) -> bool {
        self.cases.iter().any(|result| result.elsewhere && bar.needs(&result.case))
    }

    /// The figures of all cases that are meant.
    fn figures(&self, pick: &Pick, size: usize) -> impl Iterator<Item = &Figures> {
        let meant = move |result: &&CaseResult| pick.means(&result.case, size);
        self.cases.iter().filter(meant).filter_map(|result| result.figures.as_ref())
    }
}

fn verdict(bar: &Bar, side: Side, figure: f64) -> Verdict {
    if side.holds(figure, bar.goal.unwrap_or(bar.must)) {
        Verdict::GoalMet
    } else if side.holds(figure, bar.must) {
        Verdict::MustMet
    } else {
        Verdict::Missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::bars::{EXITS_PER_CALL, FLOOR_ONE_CPU, need};
    use crate::bench::fixture::{case, result, times};
    use crate::bench::subject::Sample;
    use crate::bench::wire::{Case, Cpus, Suite, Wait};

    fn trip(subject: &str, nanoseconds: u64) -> CaseResult {
        result(case(Suite::RoundTrip, subject, 8), &[times(&[nanoseconds], &[])])
    }

    fn flow(suite: Suite, subject: &str, size: usize, rate: f64) -> CaseResult {
        result(case(suite, subject, size), &[Sample::Rate(rate)])
    }

    fn bar(cases: &[CaseResult], what: &str, reference: &str) -> BarResult {
        let bars = judge(cases, &BTreeMap::new());
        let meant = |bar: &&BarResult| bar.what.starts_with(what) && bar.reference == reference;
        bars.iter().find(meant).unwrap().clone()
    }

    #[test]
    fn a_time_at_most_so_many_times_another() {
        for (atoll, expected) in [
            (250, Verdict::GoalMet),
            (251, Verdict::MustMet),
            (320, Verdict::MustMet),
            (321, Verdict::Missed),
        ] {
            let cases = [trip("atoll", atoll), trip("ping-pong", 200)];
            let bar = bar(&cases, "call, typed", "cache-line ping-pong, threads");
            assert_eq!((bar.verdict, bar.figure), (expected, Some(atoll as f64 / 200.0)));
            assert_eq!((bar.side, bar.size), (Side::AtMost, Some(8)));
        }
    }

    #[test]
    fn a_time_so_many_times_faster_and_the_same_case_at_another_quantile() {
        let rounds = [times(&[300; 60], &[900; 40])];
        let atoll = result(case(Suite::RoundTrip, "atoll", 8), &rounds);
        let cases = [atoll, trip("iceoryx2 request-response", 1200)];
        let p50 = bar(&cases, "call, typed", "iceoryx2 request-response, p50");
        assert_eq!((p50.verdict, p50.figure), (Verdict::Missed, Some(4.0)));
        let p99 = bar(&cases, "call, typed", "iceoryx2 request-response, p99");
        assert_eq!(p99.verdict, Verdict::GoalMet);
        assert!((p99.figure.unwrap() - 4.0 / 3.0).abs() < 0.01, "{p99:?}");
    }

    #[test]
    fn what_waits_otherwise_is_not_meant() {
        let polling = trip("unix-stream", 30);
        let blocking = Case { wait: Wait::Blocking, ..case(Suite::RoundTrip, "unix-stream", 8) };
        let cases = [trip("atoll", 200), polling, result(blocking, &[times(&[2_000], &[])])];
        let bar = bar(&cases, "call, typed", "Unix socket, blocking");
        assert_eq!((bar.verdict, bar.figure), (Verdict::Missed, Some(10.0)));
    }

    #[test]
    fn the_worst_size_counts_and_each_is_compared_with_its_own() {
        let both = |size, atoll, pipe| {
            [flow(Suite::OneWay, "atoll raw", size, atoll), flow(Suite::OneWay, "pipe", size, pipe)]
        };
        let mut cases: Vec<_> = [both(64, 9.0, 3.0), both(4096, 4.0, 5.0)].concat();
        cases.push(flow(Suite::OneWay, "pipe", 256, 100.0));
        let bar = bar(&cases, "throughput, one way", "pipe");
        assert_eq!((bar.verdict, bar.figure), (Verdict::Missed, Some(0.8)));
        assert_eq!((bar.size, bar.sizes_compared, bar.sizes.len()), (Some(4096), 2, 6));
    }

    #[test]
    fn batches_are_compared_with_batches() {
        let batched = |subject, rate| {
            let case = Case { batch: 32, ..case(Suite::OneWay, subject, 64) };
            result(case, &[Sample::Rate(rate)])
        };
        let single = |subject, rate| flow(Suite::OneWay, subject, 64, rate);
        let cases = [
            batched("atoll raw", 90.0),
            batched("rtrb", 100.0),
            single("atoll raw", 5.0),
            single("rtrb", 4.0),
        ];
        let batches = bar(&cases, "one way, batches", "rtrb, slices of 32, threads");
        assert_eq!((batches.verdict, batches.figure), (Verdict::MustMet, Some(0.9)));
        let single = bar(&cases, "one way, one by one", "rtrb, push and pop, threads");
        assert_eq!((single.verdict, single.figure), (Verdict::GoalMet, Some(1.25)));
    }

    #[test]
    fn lent_buffers_are_flat_against_themselves() {
        let lent = |size, rate| flow(Suite::Lent, "atoll raw", size, rate);
        let cases = [lent(64, 10.0), lent(1 << 20, 9.0)];
        let bar = bar(&cases, "lent buffers, flat", "itself at 64 B");
        assert_eq!((bar.figure, bar.size), (Some(0.9), Some(1 << 20)));
    }

    #[test]
    fn numbers_stand_for_a_reference_or_for_themselves() {
        let blocking =
            Case { wait: Wait::Blocking, cpus: Cpus::One, ..case(Suite::RoundTrip, "atoll", 8) };
        let cases = [result(blocking, &[times(&[1200], &[])])];
        let numbers =
            [(FLOOR_ONE_CPU.to_owned(), 1000.0), (EXITS_PER_CALL.to_owned(), 0.25)].into();
        let bars = judge(&cases, &numbers);
        let of = |what| bars.iter().find(|bar| bar.what == what).unwrap();
        let slept = of("call, blocking, one core");
        assert_eq!((slept.verdict, slept.figure), (Verdict::GoalMet, Some(1.2)));
        let exits = of("exits per call while both run");
        assert_eq!((exits.verdict, exits.figure, exits.size), (Verdict::Missed, Some(0.25), None));
        assert_eq!(of("CPU of sleeping domains").verdict, Verdict::NotMeasured);
    }

    #[test]
    fn nothing_is_met_by_what_was_not_measured_or_never_in_the_same_place() {
        assert!(
            judge(&[], &BTreeMap::new())
                .iter()
                .all(|bar| bar.verdict == Verdict::NotMeasured && bar.figure.is_none())
        );
        let mut cases = [trip("atoll", 100), trip("ping-pong", 200)];
        let against = |cases: &[CaseResult], reference| {
            let bar = bar(cases, "call, typed", reference);
            (bar.verdict, bar.figure)
        };
        let floor = "cache-line ping-pong, threads";
        assert_eq!(against(&cases, floor), (Verdict::GoalMet, Some(0.5)));
        (cases[1].elsewhere, cases[1].figures) = (true, None);
        assert_eq!(against(&cases, floor), (Verdict::NotMeasuredHere, None));
        assert_eq!(against(&cases, "two rtrb rings, threads"), (Verdict::NotMeasured, None));
    }

    #[test]
    fn bars_need_what_they_compare_and_nothing_else() {
        let trip = |subject, size| case(Suite::RoundTrip, subject, size);
        assert!(need(&trip("atoll", 8)) && need(&trip("ping-pong", 8)));
        assert!(!need(&trip("atoll", 64)) && !need(&trip("crossbeam", 8)));
        let blocking = Case { wait: Wait::Blocking, cpus: Cpus::One, ..trip("atoll", 8) };
        assert!(need(&blocking));
        assert!(need(&case(Suite::Lent, "atoll raw", 4096)));
        assert!(!need(&Case { batch: 32, ..case(Suite::OneWay, "pipe", 64) }));
    }

    #[test]
    fn every_goal_is_harder_than_what_must_be() {
        for (bar, result) in BARS.iter().zip(judge(&[], &BTreeMap::new())) {
            if let Some(goal) = bar.goal {
                assert!(result.side.is_worse(bar.must, goal), "{bar:?}");
            }
        }
    }
}

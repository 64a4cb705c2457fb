//! The result of a run, as `--json` gives it: one object.

use std::collections::BTreeMap;

use serde::Serialize;

use super::bars::{self, BarResult};
use super::engine::Round;
use super::host::Host;
use super::placement::Class;
use super::reference::{self, Relative};
use super::statistics::{Figures, Range};
use super::subject::Number;
use super::wire::{Case, Cpus};

/// Everything that was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where it was measured.
    pub host: Host,
    /// How often each case was to be measured.
    pub rounds: u32,
    /// Where the host had the two CPUs most of the time. Figures are of this class alone, for only
    /// measurements of one class are compared.
    pub class: Class,
    /// Measurements by class.
    pub classes: BTreeMap<Class, usize>,
    /// Nanoseconds that the probes around all measurements took; None if there is but one CPU. Where
    /// all are close to the border between classes, the classes say little.
    pub probes: Option<Range>,
    /// Every case, in the order of suites and sizes.
    pub cases: Vec<CaseResult>,
    /// Figures that belong to no case.
    pub numbers: BTreeMap<String, f64>,
    /// What is asked of Atoll, and whether it holds.
    pub bars: Vec<BarResult>,
}

/// What came of a case.
#[derive(Clone, Debug, Serialize)]
pub struct CaseResult {
    /// What was measured.
    #[serde(flatten)]
    pub case: Case,
    /// Rounds that made the figures.
    pub kept: usize,
    /// Rounds left out, since the CPUs were elsewhere.
    pub left_out: usize,
    /// Every round was measured with the CPUs elsewhere, and the figures are of those: they are not
    /// to be compared with others.
    pub elsewhere: bool,
    /// Why rounds failed, each by itself.
    pub failures: Vec<String>,
    /// None if no round succeeded.
    pub figures: Option<Figures>,
    /// How it compares with the reference of its suite.
    pub relative: Option<Relative>,
}

/// The rounds of a case, before anything is made of them.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) case: Case,
    pub(crate) rounds: Vec<Round>,
    pub(crate) failures: Vec<String>,
}

impl Measured {
    pub(crate) fn new(case: Case) -> Self {
        Self { case, rounds: Vec::new(), failures: Vec::new() }
    }

    /// Figures of the rounds that were measured in `class`; of the others only if there is none. On
    /// one CPU it does not matter how far away the other one is.
    fn result(self, class: Class) -> CaseResult {
        let Self { case, rounds, failures } = self;
        let counts = |round: &&Round| case.cpus == Cpus::One || round.placement.class == class;
        let mut kept: Vec<&Round> = rounds.iter().filter(counts).collect();
        let elsewhere = kept.is_empty() && !rounds.is_empty();
        if elsewhere {
            kept = rounds.iter().collect();
        }
        let figures = Figures::of(case.size, kept.iter().map(|round| &round.sample));
        let (kept, left_out) = (kept.len(), rounds.len() - kept.len());
        CaseResult { case, kept, left_out, elsewhere, failures, figures, relative: None }
    }
}

impl Report {
    pub(crate) fn new(rounds: u32, measured: Vec<Measured>, numbers: Vec<Number>) -> Self {
        let classes = count(&measured);
        let class = usual(&classes);
        let probes = Range::of(probes(&measured));
        let mut cases: Vec<_> =
            measured.into_iter().map(|measured| measured.result(class)).collect();
        reference::compare(&mut cases);
        let numbers = numbers.into_iter().map(|Number { name, value }| (name, value)).collect();
        let bars = bars::judge(&cases, &numbers);
        Self { host: Host::read(), rounds, class, classes, probes, cases, numbers, bars }
    }

    /// Measurements left out, since the CPUs were elsewhere.
    pub fn left_out(&self) -> usize {
        self.cases.iter().map(|case| case.left_out).sum()
    }

    /// Whether every case succeeded in every round, and no bar that was measured is missed.
    pub fn is_flawless(&self) -> bool {
        self.cases.iter().all(|case| case.failures.is_empty())
            && self.bars.iter().all(|bar| bar.verdict != bars::Verdict::Missed)
    }
}

fn count(measured: &[Measured]) -> BTreeMap<Class, usize> {
    let mut classes = BTreeMap::new();
    for round in measured.iter().flat_map(|measured| &measured.rounds) {
        *classes.entry(round.placement.class).or_default() += 1;
    }
    classes
}

fn probes(measured: &[Measured]) -> impl Iterator<Item = f64> {
    let rounds = measured.iter().flat_map(|measured| &measured.rounds);
    rounds.flat_map(|round| [round.placement.before, round.placement.after]).flatten()
}

/// The class of most measurements; of equals, the one whose CPUs are farthest apart. One that
/// changed is no class to be compared within.
fn usual(classes: &BTreeMap<Class, usize>) -> Class {
    let stable = classes.iter().filter(|(class, _)| **class != Class::Changed);
    // Of equal ones the last is taken, and the first is the farthest apart.
    stable.rev().max_by_key(|(_, count)| **count).map_or(Class::Changed, |(class, _)| *class)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::fixture::case;
    use crate::bench::placement::Placement;
    use crate::bench::subject::Sample;
    use crate::bench::wire::Suite;

    const FAR: Option<f64> = Some(225.0);
    const NEAR: Option<f64> = Some(45.0);

    fn round(before: Option<f64>, after: Option<f64>, rate: f64) -> Round {
        Round { placement: Placement::between(before, after), sample: Sample::Rate(rate) }
    }

    fn measured(subject: &str, rounds: &[Round]) -> Measured {
        let case = case(Suite::OneWay, subject, 64);
        Measured { rounds: rounds.to_vec(), ..Measured::new(case) }
    }

    fn median(result: &CaseResult) -> f64 {
        result.figures.as_ref().unwrap().rates().unwrap().messages.median
    }

    #[test]
    fn only_rounds_of_the_usual_class_make_figures() {
        let rounds = [
            round(FAR, FAR, 1.0),
            round(FAR, NEAR, 50.0),
            round(NEAR, NEAR, 90.0),
            round(FAR, FAR, 3.0),
        ];
        let report = Report::new(4, vec![measured("a", &rounds)], Vec::new());
        assert_eq!(report.class, Class::Far);
        let result = &report.cases[0];
        assert_eq!((result.kept, result.left_out, result.elsewhere), (2, 2, false));
        assert_eq!((median(result), report.left_out()), (2.0, 2));
        let counts = [(Class::Far, 2), (Class::Near, 1), (Class::Changed, 1)];
        assert_eq!(report.classes, BTreeMap::from(counts));
        let probes = Range { lowest: 45.0, median: 225.0, highest: 225.0 };
        assert_eq!(report.probes, Some(probes));
    }

    #[test]
    fn a_case_without_a_round_of_the_usual_class_keeps_what_it_has_and_says_so() {
        let usual = measured("a", &[round(FAR, FAR, 1.0), round(FAR, FAR, 1.0)]);
        let never = measured("b", &[round(NEAR, NEAR, 9.0)]);
        let report = Report::new(2, vec![usual, never], Vec::new());
        let result = &report.cases[1];
        assert_eq!((result.kept, result.left_out, result.elsewhere), (1, 0, true));
        assert_eq!(median(result), 9.0);
    }

    #[test]
    fn on_one_cpu_every_round_counts() {
        let mut one = measured("a", &[round(NEAR, NEAR, 1.0), round(FAR, NEAR, 3.0)]);
        one.case.cpus = Cpus::One;
        let far = measured("b", &[round(FAR, FAR, 1.0), round(FAR, FAR, 1.0)]);
        let report = Report::new(2, vec![one, far], Vec::new());
        assert_eq!(report.class, Class::Far);
        assert_eq!((report.cases[0].kept, median(&report.cases[0])), (2, 2.0));
    }

    #[test]
    fn change_is_never_usual_and_of_equal_classes_the_far_one_is() {
        let usual = |classes: &[(Class, usize)]| usual(&classes.iter().copied().collect());
        assert_eq!(usual(&[(Class::Changed, 9), (Class::Near, 1)]), Class::Near);
        assert_eq!(usual(&[(Class::Near, 4), (Class::Far, 4)]), Class::Far);
        assert_eq!(usual(&[(Class::Near, 5), (Class::Far, 4)]), Class::Near);
        assert_eq!(usual(&[(Class::OneCpu, 5)]), Class::OneCpu);
        assert_eq!(usual(&[]), Class::Changed);
    }

    #[test]
    fn the_object_names_what_scripts_look_for() {
        let numbers = vec![Number { name: "exits".into(), value: 0.5 }];
        let report = Report::new(1, vec![measured("a", &[round(FAR, FAR, 2.0)])], numbers);
        let value = serde_json::to_value(&report).unwrap();
        assert_eq!(value["class"], "far");
        assert_eq!(value["classes"]["far"], 1);
        let case = &value["cases"][0];
        assert_eq!((&case["suite"], &case["subject"]), (&"one-way".into(), &"a".into()));
        assert_eq!(case["figures"]["rates"]["messages"]["median"], 2.0);
        assert_eq!(value["numbers"]["exits"], 0.5);
        assert_eq!(value["bars"][0]["verdict"], "not-measured");
    }

    #[test]
    fn a_failure_is_a_flaw() {
        let mut broken = measured("a", &[round(FAR, FAR, 2.0)]);
        assert!(Report::new(1, vec![broken.clone()], Vec::new()).is_flawless());
        broken.failures.push("broken".into());
        assert!(!Report::new(1, vec![broken], Vec::new()).is_flawless());
    }
}

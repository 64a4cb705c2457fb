//! The result of a run, as `--json` gives it: one object.

use std::collections::BTreeMap;

use serde::Serialize;

use super::bars::{self, BarResult};
use super::choice::{self, Choice, Fate};
use super::engine::Round;
use super::host::Host;
use super::layers::{self, Layer};
use super::placement::{Class, Placement};
use super::reference::{self, Relative};
use super::statistics::{Figures, Range};
use super::subject::Number;
use super::wire::Case;

/// Everything that was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where it was measured.
    pub host: Host,
    /// How often each case was to be measured.
    pub rounds: u32,
    /// Where the host had the two CPUs most of the time, or where it was asked for. Figures are of
    /// this class alone, for only measurements of one class are compared.
    pub class: Class,
    /// The median of the probes around the measurements of this class, in nanoseconds; None without
    /// any, or if there is but one CPU.
    pub probe: Option<f64>,
    /// Measurements by class.
    pub classes: BTreeMap<Class, usize>,
    /// Nanoseconds that the probes around all measurements took; None if there is but one CPU. Where
    /// all are close to the border between classes, the classes say little.
    pub probes: Option<Range>,
    /// Every case, in the order of suites and sizes.
    pub cases: Vec<CaseResult>,
    /// Figures that belong to no case.
    pub numbers: BTreeMap<String, f64>,
    /// What each layer of a message's way adds.
    pub layers: Vec<Layer>,
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
    /// Rounds left out, since the CPUs can hardly have been where they were in most rounds of the
    /// same class: a probe is far from theirs.
    pub strays: usize,
    /// There were rounds, but all are left out.
    pub elsewhere: bool,
    /// Why rounds failed, each by itself.
    pub failures: Vec<String>,
    /// None if there is no round to make them of.
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

    /// Rounds that a choice keeps.
    pub(crate) fn kept(&self, choice: &Choice) -> impl Iterator<Item = &Round> {
        self.with_fate(choice, Fate::Kept)
    }

    fn with_fate(&self, choice: &Choice, fate: Fate) -> impl Iterator<Item = &Round> {
        let (choice, cpus) = (*choice, self.case.cpus);
        self.rounds.iter().filter(move |round| choice.fate(cpus, &round.placement) == fate)
    }

    /// Figures of the rounds that are kept.
    fn result(self, choice: &Choice) -> CaseResult {
        let figures = Figures::of(self.case.size, self.kept(choice).map(|round| &round.sample));
        let kept = self.kept(choice).count();
        let strays = self.with_fate(choice, Fate::Stray).count();
        let left_out = self.rounds.len() - kept - strays;
        let elsewhere = kept == 0 && !self.rounds.is_empty();
        let Self { case, failures, .. } = self;
        CaseResult { case, kept, left_out, strays, elsewhere, failures, figures, relative: None }
    }
}

/// Where the CPUs were in every round.
pub(crate) fn placements<'a>(measured: impl IntoIterator<Item = &'a Measured>) -> Vec<Placement> {
    let rounds = measured.into_iter().flat_map(|measured| &measured.rounds);
    rounds.map(|round| round.placement).collect()
}

impl Report {
    /// Makes figures of the class that is asked for, or else of the usual one.
    pub(crate) fn new(
        rounds: u32,
        asked: Option<Class>,
        measured: Vec<Measured>,
        numbers: Vec<Number>,
    ) -> Self {
        let placements = placements(&measured);
        let choice = Choice::among(&placements, asked);
        let mut cases: Vec<_> =
            measured.into_iter().map(|measured| measured.result(&choice)).collect();
        reference::compare(&mut cases);
        let numbers = numbers.into_iter().map(|Number { name, value }| (name, value)).collect();
        Self {
            host: Host::read(),
            rounds,
            class: choice.class,
            probe: choice.probe,
            classes: choice::count(&placements),
            probes: Range::of(placements.iter().flat_map(choice::probes)),
            layers: layers::of(&cases),
            bars: bars::judge(&cases, &numbers),
            cases,
            numbers,
        }
    }

    /// Measurements left out, since the CPUs were elsewhere.
    pub fn left_out(&self) -> usize {
        self.cases.iter().map(|case| case.left_out).sum()
    }

    /// Measurements of the class left out, since they stand out from the others.
    pub fn strays(&self) -> usize {
        self.cases.iter().map(|case| case.strays).sum()
    }

    /// Whether every case succeeded in every round, and no bar that was measured is missed.
    pub fn is_flawless(&self) -> bool {
        self.cases.iter().all(|case| case.failures.is_empty())
            && self.bars.iter().all(|bar| bar.verdict != bars::Verdict::Missed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::fixture::case;
    use crate::bench::subject::Sample;
    use crate::bench::wire::{Cpus, Suite};

    const FAR: Option<f64> = Some(225.0);
    const NEAR: Option<f64> = Some(70.0);

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
        let report = Report::new(4, None, vec![measured("a", &rounds)], Vec::new());
        assert_eq!(report.class, Class::Far);
        let result = &report.cases[0];
        assert_eq!((result.kept, result.left_out, result.elsewhere), (2, 2, false));
        assert_eq!((median(result), report.left_out()), (2.0, 2));
        let counts = [(Class::Far, 2), (Class::Near, 1), (Class::Changed, 1)];
        assert_eq!(report.classes, BTreeMap::from(counts));
        let probes = Range { lowest: 70.0, median: 225.0, highest: 225.0 };
        assert_eq!(report.probes, Some(probes));
    }

    #[test]
    fn a_case_without_a_round_of_the_class_has_no_figures_and_says_so() {
        let usual = measured("a", &[round(FAR, FAR, 1.0), round(FAR, FAR, 1.0)]);
        let never = measured("b", &[round(NEAR, NEAR, 9.0)]);
        let both = vec![usual, never];
        let report = Report::new(2, None, both.clone(), Vec::new());
        let result = &report.cases[1];
        assert_eq!((result.kept, result.left_out, result.elsewhere), (0, 1, true));
        assert_eq!(result.figures, None);
        let report = Report::new(2, Some(Class::Near), both, Vec::new());
        assert_eq!((report.class, report.probe), (Class::Near, NEAR));
        assert_eq!((report.cases[0].elsewhere, median(&report.cases[1])), (true, 9.0));
    }

    #[test]
    fn rounds_that_stand_out_from_their_class_are_told_by_themselves() {
        let odd = Some(230.0 * 1.6);
        let mut rounds = vec![round(FAR, FAR, 2.0); 3];
        rounds.extend([round(FAR, odd, 90.0), round(NEAR, NEAR, 90.0)]);
        let report = Report::new(5, None, vec![measured("a", &rounds)], Vec::new());
        let result = &report.cases[0];
        assert_eq!((result.kept, result.left_out, result.strays), (3, 1, 1));
        assert_eq!((median(result), report.left_out(), report.strays()), (2.0, 1, 1));
    }

    #[test]
    fn on_one_cpu_every_round_counts() {
        let mut one = measured("a", &[round(NEAR, NEAR, 1.0), round(FAR, NEAR, 3.0)]);
        one.case.cpus = Cpus::One;
        let far = measured("b", &[round(FAR, FAR, 1.0), round(FAR, FAR, 1.0)]);
        let report = Report::new(2, None, vec![one, far], Vec::new());
        assert_eq!(report.class, Class::Far);
        assert_eq!((report.cases[0].kept, median(&report.cases[0])), (2, 2.0));
    }

    #[test]
    fn the_object_names_what_scripts_look_for() {
        let numbers = vec![Number { name: "exits".into(), value: 0.5 }];
        let report = Report::new(1, None, vec![measured("a", &[round(FAR, FAR, 2.0)])], numbers);
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
        assert!(Report::new(1, None, vec![broken.clone()], Vec::new()).is_flawless());
        broken.failures.push("broken".into());
        assert!(!Report::new(1, None, vec![broken], Vec::new()).is_flawless());
    }
}

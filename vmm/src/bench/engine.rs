//! The run: all cases of all subjects, interleaved, round by round, each between two probes; then
//! some more rounds of what lacks any that count.

use thiserror::Error;

use super::choice::Choice;
use super::placement::{Class, Placement, PlacementError, probe};
use super::reference::is_timed;
use super::report::{Measured, Report, placements};
use super::selection::Selection;
use super::subject::{Number, Sample, Subject};
use super::wire::{Case, Wait};
use super::{bars, layers};

/// A case that failed this often is not tried again: what hangs would take a deadline each round.
const FAILURES_MAX: usize = 2;
/// A case that something depends on is measured further while fewer rounds than this count: of two
/// it is not known which one was disturbed.
const ENOUGH: usize = 3;

/// Why there is no report.
#[derive(Debug, Error)]
pub enum RunError {
    /// There is nothing to measure at all.
    #[error("there is nothing to measure; name a program of peers with --peers")]
    NoSubject,
    /// The filters leave nothing.
    #[error("no case is left to measure; the subjects are `{}`: loosen the filters", .0.join("`, `"))]
    NoCase(Vec<String>),
    /// The CPUs cannot be probed.
    #[error(transparent)]
    Placement(#[from] PlacementError),
}

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which cases.
    pub selection: Selection,
    /// How often each. A case that bars or layers depend on may be measured as often again, if too
    /// few of its rounds count.
    pub rounds: u32,
    /// The class whose rounds count; None for that of most rounds.
    pub placement: Option<Class>,
}

/// How far a run is, told before each measurement.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Measurements behind it.
    pub done: u64,
    /// Measurements in all.
    pub total: u64,
    /// The round, from 1.
    pub round: u32,
    /// What is measured next.
    pub case: &'a Case,
}

/// Measures what the plan says, and makes the report. `watch` is told of each step.
///
/// # Errors
/// If nothing is to be measured, or the CPUs cannot be probed. A case that fails is in the report.
pub fn run(
    subjects: &mut [Box<dyn Subject>],
    plan: &Plan,
    watch: &mut dyn FnMut(Step<'_>),
) -> Result<Report, RunError> {
    run_with(subjects, plan, watch, &mut probe)
}

type Probe<'a> = &'a mut dyn FnMut() -> Result<Option<f64>, PlacementError>;

/// A case, and what came of it so far.
#[derive(Debug)]
struct Job {
    subject: usize,
    measured: Measured,
}

fn run_with(
    subjects: &mut [Box<dyn Subject>],
    plan: &Plan,
    watch: &mut dyn FnMut(Step<'_>),
    probe: Probe<'_>,
) -> Result<Report, RunError> {
    let jobs = jobs(subjects, &plan.selection)?;
    // Nothing happens between two measurements: the probe after one is that before the next.
    let before = probe()?;
    let total = jobs.len() as u64 * u64::from(plan.rounds);
    let mut course = Course { subjects, jobs, watch, probe, before, done: 0, total };
    for round in 1..=plan.rounds {
        course.round(round, (0..course.jobs.len()).collect())?;
    }
    course.make_up(plan)?;
    let Course { subjects, jobs, .. } = course;
    let numbers: Vec<Number> = subjects.iter_mut().flat_map(|subject| subject.numbers()).collect();
    let measured = jobs.into_iter().map(|job| job.measured).collect();
    Ok(Report::new(plan.rounds, plan.placement, measured, numbers))
}

/// A run under way.
struct Course<'a> {
    subjects: &'a mut [Box<dyn Subject>],
    jobs: Vec<Job>,
    watch: &'a mut dyn FnMut(Step<'_>),
    probe: Probe<'a>,
    /// The last probe.
    before: Option<f64>,
    done: u64,
    total: u64,
}

impl Course<'_> {
    /// Measures some jobs once. Every other round runs backwards, so that no case always follows
    /// the same one.
    fn round(&mut self, round: u32, mut order: Vec<usize>) -> Result<(), PlacementError> {
        if round.is_multiple_of(2) {
            order.reverse();
        }
        for index in order {
            let Job { subject, measured } = &mut self.jobs[index];
            let (done, total) = (self.done, self.total);
            (self.watch)(Step { done, total, round, case: &measured.case });
            let subject = &mut *self.subjects[*subject];
            self.before = measure(subject, measured, self.before, self.probe)?;
            self.done += 1;
        }
        Ok(())
    }

    /// Measures as many rounds again, at most, of those jobs that lack rounds that count.
    fn make_up(&mut self, plan: &Plan) -> Result<(), PlacementError> {
        for further in 1..=plan.rounds {
            let lacking = self.lacking(plan);
            if lacking.is_empty() {
                break;
            }
            self.total += lacking.len() as u64;
            self.round(plan.rounds + further, lacking)?;
        }
        Ok(())
    }

    fn lacking(&self, plan: &Plan) -> Vec<usize> {
        let all = placements(self.jobs.iter().map(|job| &job.measured));
        let choice = Choice::among(&all, plan.placement);
        let enough = ENOUGH.min(plan.rounds as usize);
        let lacks = |measured: &Measured| {
            measured.failures.len() < FAILURES_MAX
                && (bars::need(&measured.case) || layers::need(&measured.case))
                && measured.kept(&choice).count() < enough
        };
        (0..self.jobs.len()).filter(|&index| lacks(&self.jobs[index].measured)).collect()
    }
}

/// One measurement, unless its case is given up. Returns the probe after it.
fn measure(
    subject: &mut dyn Subject,
    measured: &mut Measured,
    before: Option<f64>,
    probe: Probe<'_>,
) -> Result<Option<f64>, PlacementError> {
    if measured.failures.len() >= FAILURES_MAX {
        return Ok(before);
    }
    let result = subject.measure(&measured.case);
    let after = probe()?;
    match result {
        Ok(sample) => {
            measured.rounds.push(Round { placement: Placement::between(before, after), sample })
        }
        Err(error) => measured.failures.push(error.to_string()),
    }
    Ok(after)
}

/// A round that was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Round {
    /// Where the CPUs were.
    pub placement: Placement,
    /// What was measured.
    pub sample: Sample,
}

/// What is to be measured, with those cases next to each other that differ in the subject alone.
fn jobs(subjects: &[Box<dyn Subject>], selection: &Selection) -> Result<Vec<Job>, RunError> {
    let mut all: Vec<(usize, Case)> = Vec::new();
    for (number, subject) in subjects.iter().enumerate() {
        all.extend(subject.cases().into_iter().map(|case| (number, case)));
    }
    if all.is_empty() {
        return Err(RunError::NoSubject);
    }
    let mut known: Vec<String> = all.iter().map(|(_, case)| case.subject.clone()).collect();
    all.retain(|(_, case)| selection.takes(case));
    all.sort_by(|(_, a), (_, b)| order(a).cmp(&order(b)));
    all.dedup_by(|(_, a), (_, b)| a == b);
    if all.is_empty() {
        known.sort();
        known.dedup();
        return Err(RunError::NoCase(known));
    }
    Ok(all
        .into_iter()
        .map(|(subject, case)| Job { subject, measured: Measured::new(case) })
        .collect())
}

/// Those that sleep between round trips are compared with each other alone; of what goes through,
/// all of one size are compared.
fn order(case: &Case) -> impl Ord + use<'_> {
    let Case { suite, subject, size, wait, cpus, clients, depth, batch } = case;
    let asleep = is_timed(*suite) && *wait == Wait::Blocking;
    (suite, asleep, cpus, size, (clients, depth, batch), wait, subject)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;
    use crate::bench::fixture::case;
    use crate::bench::subject::MeasureError;
    use crate::bench::wire::Suite;

    /// A subject that keeps a record, shared by all, of what it is asked.
    #[derive(Debug)]
    struct Fake {
        cases: Vec<Case>,
        fails: bool,
        asked: Rc<RefCell<Vec<String>>>,
    }

    impl Subject for Fake {
        fn cases(&self) -> Vec<Case> {
            self.cases.clone()
        }

        fn measure(&mut self, case: &Case) -> Result<Sample, MeasureError> {
            self.asked.borrow_mut().push(format!("{} {}", case.subject, case.size));
            if self.fails {
                Err(MeasureError::Told("broken".into()))
            } else {
                Ok(Sample::Rate(5.0))
            }
        }

        fn numbers(&mut self) -> Vec<Number> {
            vec![Number { name: format!("of {}", self.cases[0].subject), value: 1.0 }]
        }
    }

    fn fake(name: &str, fails: bool, asked: &Rc<RefCell<Vec<String>>>) -> Box<dyn Subject> {
        let cases = [64, 8].map(|size| case(Suite::OneWay, name, size)).to_vec();
        Box::new(Fake { cases, fails, asked: Rc::clone(asked) })
    }

    fn plan(rounds: u32) -> Plan {
        Plan { selection: Selection::default(), rounds, placement: None }
    }

    fn far_apart() -> Result<Option<f64>, PlacementError> {
        Ok(Some(225.0))
    }

    #[test]
    fn subjects_take_turns_and_every_other_round_runs_backwards() {
        let asked = Rc::default();
        let mut subjects = [fake("b", false, &asked), fake("a", false, &asked)];
        let mut steps = Vec::new();
        let mut watch = |step: Step<'_>| steps.push((step.done, step.total, step.round));
        let report = run_with(&mut subjects, &plan(2), &mut watch, &mut far_apart).unwrap();
        let there = ["a 8", "b 8", "a 64", "b 64"];
        let back: Vec<_> = there.into_iter().rev().collect();
        assert_eq!(*asked.borrow(), [&there[..], &back].concat());
        assert_eq!((steps[0], steps[7]), ((0, 8, 1), (7, 8, 2)));
        assert!(report.cases.iter().all(|case| case.kept == 2));
        assert_eq!(report.numbers["of a"], 1.0);
    }

    #[test]
    fn each_measurement_stands_between_two_probes() {
        let asked = Rc::default();
        let mut subjects = [fake("a", false, &asked)];
        let mut probes = [225.0, 230.0, 75.0, 70.0, 72.0].into_iter();
        let mut probe = || Ok(probes.next());
        let report = run_with(&mut subjects, &plan(2), &mut |_| {}, &mut probe).unwrap();
        let counts: Vec<_> = report.classes.values().copied().collect();
        // One before the change, one across it, two after.
        assert_eq!(counts, [1, 2, 1]);
    }

    /// Probes of a machine that moves its CPUs after so many of them.
    fn moving(after: usize) -> impl FnMut() -> Result<Option<f64>, PlacementError> {
        let mut probes = 0;
        move || {
            probes += 1;
            Ok(Some(if probes <= after { 225.0 } else { 70.0 }))
        }
    }

    /// How often each of two cases is measured if the CPUs move after some probes: one that bars
    /// need, and one that nothing needs.
    fn counts(rounds: u32, placement: Option<Class>, after: usize) -> (usize, usize, Report) {
        let asked = Rc::default();
        let mut subjects = [fake("pipe", false, &asked)];
        let plan = Plan { placement, ..plan(rounds) };
        let mut probe = moving(after);
        let report = run_with(&mut subjects, &plan, &mut |_| {}, &mut probe).unwrap();
        let count = |what: &str| asked.borrow().iter().filter(|asked| *asked == what).count();
        (count("pipe 64"), count("pipe 8"), report)
    }

    #[test]
    fn what_bars_need_is_measured_further_until_enough_rounds_count() {
        // The CPUs move after four rounds, so most are far.
        assert_eq!(counts(6, None, 9).0, 6);
        let (needed, other, report) = counts(6, Some(Class::Near), 9);
        assert_eq!((needed, other), (7, 6));
        let kept: Vec<_> = report.cases.iter().map(|case| (case.case.size, case.kept)).collect();
        assert_eq!(kept, [(8, 1), (64, 3)]);
    }

    #[test]
    fn it_is_measured_as_often_again_at_most() {
        let (needed, other, report) = counts(4, Some(Class::Siblings), 100);
        assert_eq!((needed, other), (8, 4));
        assert!(report.cases.iter().all(|case| case.elsewhere && case.figures.is_none()));
        assert_eq!((report.class, report.classes[&Class::Far]), (Class::Siblings, 12));
    }

    #[test]
    fn a_case_that_keeps_failing_is_given_up_and_the_others_go_on() {
        let asked = Rc::default();
        let mut subjects = [fake("a", true, &asked), fake("b", false, &asked)];
        let report = run_with(&mut subjects, &plan(5), &mut |_| {}, &mut far_apart).unwrap();
        let count = |what: &str| asked.borrow().iter().filter(|asked| *asked == what).count();
        assert_eq!((count("a 8"), count("b 8")), (FAILURES_MAX, 5));
        assert_eq!(report.cases[0].failures, ["broken"; FAILURES_MAX]);
        assert_eq!(report.cases[0].figures, None);
    }

    #[test]
    fn nothing_to_measure_is_told_by_what_there_would_be() {
        let asked = Rc::default();
        let run = |subjects: &mut [Box<dyn Subject>], selection| {
            let plan = Plan { selection, rounds: 1, placement: None };
            run_with(subjects, &plan, &mut |_| {}, &mut far_apart).unwrap_err().to_string()
        };
        let nothing = "there is nothing to measure; name a program of peers with --peers";
        assert_eq!(run(&mut [], Selection::default()), nothing);
        let selection = Selection { subjects: vec!["c".into()], ..Selection::default() };
        assert_eq!(
            run(&mut [fake("b", false, &asked), fake("a", false, &asked)], selection),
            "no case is left to measure; the subjects are `a`, `b`: loosen the filters"
        );
        assert!(asked.borrow().is_empty());
    }
}

//! Which rounds make figures: those of one class of placement, and of those the ones whose probes
//! agree with the others.
//!
//! A class is wide, and a host may move its CPUs twice within a measurement, so that both probes
//! around it look alike. What stands out from the rest of its class was measured elsewhere.

use std::collections::BTreeMap;

use super::placement::{Class, Placement};
use super::statistics::Range;
use super::wire::Cpus;

/// How many times a probe may be the median of its class, or the median the probe.
const SPREAD: f64 = 1.5;

/// What becomes of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It makes figures.
    Kept,
    /// It is of another class.
    Elsewhere,
    /// It is of the class, but its probes are far from those of the others.
    Stray,
}

/// The class whose rounds make figures, and what its probes took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// The class.
    pub class: Class,
    /// The median of the probes around its rounds, in nanoseconds; None without any.
    pub probe: Option<f64>,
}

impl Choice {
    /// Chooses the class that was asked for, or else that of most rounds.
    pub fn among(rounds: &[Placement], asked: Option<Class>) -> Self {
        let class = asked.unwrap_or_else(|| usual(&count(rounds)));
        let of_class = rounds.iter().filter(|placement| placement.class == class);
        let probes = Range::of(of_class.flat_map(probes));
        Self { class, probe: probes.map(|probes| probes.median) }
    }

    /// What becomes of a round that was measured there. For two sides on one CPU it does not matter
    /// how far away the other one is.
    pub fn fate(&self, cpus: Cpus, placement: &Placement) -> Fate {
        if cpus == Cpus::One {
            Fate::Kept
        } else if placement.class != self.class || placement.class == Class::Changed {
            Fate::Elsewhere
        } else if probes(placement).any(|probe| self.is_odd(probe)) {
            Fate::Stray
        } else {
            Fate::Kept
        }
    }

    fn is_odd(&self, probe: f64) -> bool {
        self.probe.is_some_and(|usual| probe > usual * SPREAD || probe * SPREAD < usual)
    }
}

/// What was probed around a round: twice, or not at all.
pub(super) fn probes(placement: &Placement) -> impl Iterator<Item = f64> + use<> {
    [placement.before, placement.after].into_iter().flatten()
}

/// How many rounds there are of each class.
pub fn count(rounds: &[Placement]) -> BTreeMap<Class, usize> {
    let mut classes = BTreeMap::new();
    for placement in rounds {
        *classes.entry(placement.class).or_default() += 1;
    }
    classes
}

/// The class of most rounds; of equals, the one whose CPUs are farthest apart. One that changed is
/// no class to be compared within.
fn usual(classes: &BTreeMap<Class, usize>) -> Class {
    let stable = classes.iter().filter(|(class, _)| **class != Class::Changed);
    // Of equal ones the last is taken, and the first is the farthest apart.
    stable.rev().max_by_key(|(_, count)| **count).map_or(Class::Changed, |(class, _)| *class)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(before: f64, after: f64) -> Placement {
        Placement::between(Some(before), Some(after))
    }

    fn steady(probes: &[f64]) -> Vec<Placement> {
        probes.iter().map(|&probe| at(probe, probe)).collect()
    }

    #[test]
    fn change_is_never_usual_and_of_equal_classes_the_farthest_is() {
        let usual = |classes: &[(Class, usize)]| usual(&classes.iter().copied().collect());
        assert_eq!(usual(&[(Class::Changed, 9), (Class::Near, 1)]), Class::Near);
        assert_eq!(usual(&[(Class::Near, 4), (Class::Far, 4)]), Class::Far);
        assert_eq!(usual(&[(Class::Siblings, 4), (Class::Near, 4)]), Class::Near);
        assert_eq!(usual(&[(Class::Siblings, 5), (Class::Far, 4)]), Class::Siblings);
        assert_eq!(usual(&[(Class::OneCpu, 5)]), Class::OneCpu);
        assert_eq!(usual(&[]), Class::Changed);
    }

    #[test]
    fn the_class_of_most_rounds_is_chosen_unless_one_is_asked_for() {
        let rounds = steady(&[30.0, 70.0, 74.0, 340.0]);
        let majority = Choice::among(&rounds, None);
        assert_eq!(majority, Choice { class: Class::Near, probe: Some(72.0) });
        let asked = Choice::among(&rounds, Some(Class::Siblings));
        assert_eq!(asked, Choice { class: Class::Siblings, probe: Some(30.0) });
        assert_eq!(
            count(&rounds),
            BTreeMap::from([(Class::Far, 1), (Class::Near, 2), (Class::Siblings, 1)])
        );
    }

    #[test]
    fn rounds_of_another_class_and_those_that_changed_are_elsewhere() {
        let rounds = [at(70.0, 70.0), at(70.0, 30.0), at(30.0, 30.0), at(70.0, 72.0)];
        let choice = Choice::among(&rounds, None);
        let fates = rounds.map(|round| choice.fate(Cpus::Two, &round));
        assert_eq!(fates, [Fate::Kept, Fate::Elsewhere, Fate::Elsewhere, Fate::Kept]);
        assert!(rounds.iter().all(|round| choice.fate(Cpus::One, round) == Fate::Kept));
        let restless = [at(70.0, 30.0), at(30.0, 70.0)];
        let choice = Choice::among(&restless, None);
        assert_eq!(choice.class, Class::Changed);
        assert!(restless.iter().all(|round| choice.fate(Cpus::Two, round) == Fate::Elsewhere));
    }

    #[test]
    fn a_probe_far_from_the_median_of_its_class_is_a_stray_on_either_side() {
        let mut rounds = steady(&[75.0, 75.0, 75.0, 112.0, 113.0, 51.0]);
        rounds.push(at(75.0, 113.0));
        let choice = Choice::among(&rounds, None);
        assert_eq!(choice.probe, Some(75.0));
        let fates: Vec<_> = rounds.iter().map(|round| choice.fate(Cpus::Two, round)).collect();
        let kept = [Fate::Kept; 4];
        let strays = [Fate::Stray, Fate::Kept, Fate::Stray];
        assert_eq!(fates, [&kept[..], &strays].concat());
        let above = Choice { class: Class::Near, probe: Some(90.0) };
        assert_eq!(above.fate(Cpus::Two, &at(90.0, 59.0)), Fate::Stray);
    }

    #[test]
    fn nothing_is_chosen_of_a_class_that_never_was_and_one_cpu_has_no_strays() {
        let choice = Choice::among(&steady(&[70.0]), Some(Class::Far));
        assert_eq!(choice, Choice { class: Class::Far, probe: None });
        assert_eq!(choice.fate(Cpus::Two, &at(70.0, 70.0)), Fate::Elsewhere);
        let only = [Placement::between(None, None)];
        let choice = Choice::among(&only, None);
        assert_eq!(choice, Choice { class: Class::OneCpu, probe: None });
        assert_eq!(choice.fate(Cpus::Two, &only[0]), Fate::Kept);
    }
}

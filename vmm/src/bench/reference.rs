//! What each case is compared with in the tables: the measure of its suite.

use serde::Serialize;

use super::report::CaseResult;
use super::statistics::Figures;
use super::wire::{Case, Suite, Wait};

/// A case beside the reference of its suite.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Relative {
    /// The subject that is the reference.
    pub to: &'static str,
    /// Of times, the lowest p50 over that of the reference; of rates, the median over its median.
    pub ratio: f64,
}

/// The subject that cases of a suite are compared with.
pub fn subject(suite: Suite, wait: Wait) -> &'static str {
    match (suite, wait) {
        (Suite::RoundTrip | Suite::Chain, Wait::Polling | Wait::Adaptive) => "ping-pong",
        (Suite::RoundTrip | Suite::Chain, Wait::Blocking) => "eventfd",
        (Suite::OneWay, _) => "memcpy",
        (Suite::Lent, _) => "iceoryx2 pub-sub",
        (Suite::Calls, _) => "iceoryx2 request-response",
    }
}

/// Whether a suite is about times; the others are about rates.
pub fn is_timed(suite: Suite) -> bool {
    match suite {
        Suite::RoundTrip | Suite::Chain => true,
        Suite::OneWay | Suite::Lent | Suite::Calls => false,
    }
}

/// Puts the comparison into each case whose reference was measured.
pub(super) fn compare(cases: &mut [CaseResult]) {
    let relative: Vec<_> = cases.iter().map(|case| of(case, cases)).collect();
    for (case, relative) in cases.iter_mut().zip(relative) {
        case.relative = relative;
    }
}

fn of(result: &CaseResult, all: &[CaseResult]) -> Option<Relative> {
    let to = subject(result.case.suite, result.case.wait);
    let reference = all
        .iter()
        .find(|other| other.case.subject == to && is_measure_of(&other.case, &result.case))?;
    let ratio = ratio(result.figures.as_ref()?, reference.figures.as_ref()?)?;
    Some(Relative { to, ratio })
}

/// Whether one case is what another is compared with, subjects apart. Those of round trips have one
/// size, and do not depend on it.
fn is_measure_of(reference: &Case, case: &Case) -> bool {
    match case.suite {
        Suite::RoundTrip | Suite::Chain => {
            reference.suite == Suite::RoundTrip
                && (reference.wait == Wait::Blocking) == (case.wait == Wait::Blocking)
                && (reference.cpus == case.cpus)
        }
        Suite::OneWay | Suite::Lent | Suite::Calls => {
            reference.suite == case.suite
                && reference.size == case.size
                && reference.cpus == case.cpus
        }
    }
}

fn ratio(figures: &Figures, reference: &Figures) -> Option<f64> {
    match (figures, reference) {
        (Figures::Times(a), Figures::Times(b)) => Some(a.p50.lowest / b.p50.lowest),
        (Figures::Rates(a), Figures::Rates(b)) => Some(a.messages.median / b.messages.median),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::fixture::{case, result, times};
    use crate::bench::subject::Sample;
    use crate::bench::wire::Cpus;

    #[test]
    fn round_trips_are_compared_by_their_lowest_p50_whatever_the_size() {
        let mut cases = vec![
            result(
                case(Suite::RoundTrip, "ping-pong", 8),
                &[times(&[400], &[]), times(&[200], &[])],
            ),
            result(case(Suite::RoundTrip, "atoll", 256), &[times(&[300], &[]), times(&[900], &[])]),
        ];
        compare(&mut cases);
        assert_eq!(cases[1].relative, Some(Relative { to: "ping-pong", ratio: 1.5 }));
        assert_eq!(cases[0].relative.as_ref().unwrap().ratio, 1.0);
    }

    #[test]
    fn those_that_sleep_are_compared_with_one_that_sleeps_on_as_many_cpus() {
        let blocking = |subject: &str, cpus, nanoseconds| {
            let case = Case { wait: Wait::Blocking, cpus, ..case(Suite::RoundTrip, subject, 8) };
            result(case, &[times(&[nanoseconds], &[])])
        };
        let mut cases = vec![
            blocking("eventfd", Cpus::One, 500),
            blocking("eventfd", Cpus::Two, 1000),
            blocking("pipe", Cpus::Two, 1500),
            result(case(Suite::RoundTrip, "eventfd", 8), &[times(&[100], &[])]),
        ];
        compare(&mut cases);
        assert_eq!(cases[2].relative, Some(Relative { to: "eventfd", ratio: 1.5 }));
    }

    #[test]
    fn rates_are_compared_at_the_same_size_by_their_median() {
        let one_way =
            |subject, size, rate| result(case(Suite::OneWay, subject, size), &[Sample::Rate(rate)]);
        let mut cases = vec![
            one_way("memcpy", 64, 100.0),
            one_way("memcpy", 4096, 50.0),
            one_way("pipe", 4096, 25.0),
            one_way("pipe", 8, 25.0),
        ];
        compare(&mut cases);
        assert_eq!(cases[2].relative, Some(Relative { to: "memcpy", ratio: 0.5 }));
        assert_eq!(cases[3].relative, None);
    }

    #[test]
    fn nothing_is_compared_with_what_has_no_figures() {
        let mut cases = vec![
            result(case(Suite::OneWay, "memcpy", 64), &[Sample::Rate(1.0)]),
            result(case(Suite::OneWay, "pipe", 64), &[Sample::Rate(1.0)]),
        ];
        (cases[0].elsewhere, cases[0].figures) = (true, None);
        compare(&mut cases);
        assert_eq!(cases[1].relative, None);
    }
}

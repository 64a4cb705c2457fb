//! What each layer of a message's way adds, as differences between cases of one run.
//!
//! ```text
//!   socket ─▶ gateway ─▶ ┐
//!        typed stub ─▶ API ─▶ ring
//! ```

use serde::Serialize;

use super::atoll::{GATEWAY, RAW, RINGS, TYPED};
use super::report::CaseResult;
use super::statistics::{Figures, Range};
use super::wire::{Case, Cpus, Suite, Wait};

/// A peer beside the gateway: a client and a server on the two ends of a socket.
const SOCKET: &str = "unix-stream";

/// The sizes that all layers are measured at: one that goes in a cache line, and one that does not.
const SIZES: [usize; 2] = [8, 64];
const WAITS: [Wait; 2] = [Wait::Polling, Wait::Blocking];

/// A layer, the subject that goes through it, and the one that does not.
const LAYERS: [(&str, &str, Option<&str>); 5] = [
    ("ring", RINGS, None),
    ("API", RAW, Some(RINGS)),
    ("typed stub", TYPED, Some(RAW)),
    ("gateway", GATEWAY, Some(RAW)),
    ("gateway instead of a server at the socket", GATEWAY, Some(SOCKET)),
];

/// What a layer adds to a round trip between two CPUs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Layer {
    /// Which.
    pub layer: &'static str,
    /// Payload bytes.
    pub size: usize,
    /// How the two sides wait.
    pub wait: Wait,
    /// The subject that goes through it.
    pub of: &'static str,
    /// The subject that is subtracted; None if nothing is below it.
    pub less: Option<&'static str>,
    /// Nanoseconds by the lowest p50 of a round of each.
    pub lowest: f64,
    /// Nanoseconds by the median of the rounds' p50 of each.
    pub median: f64,
}

/// Whether the cost of any layer depends on a case.
pub(super) fn need(case: &Case) -> bool {
    let Case { suite, subject, size, wait, cpus, .. } = case;
    (*suite, *cpus) == (Suite::RoundTrip, Cpus::Two)
        && SIZES.contains(size)
        && WAITS.contains(wait)
        && LAYERS.iter().any(|(_, of, less)| subject == of || Some(subject.as_str()) == *less)
}

/// The cost of every layer both of whose subjects have figures.
pub(super) fn of(cases: &[CaseResult]) -> Vec<Layer> {
    let mut layers = Vec::new();
    for wait in WAITS {
        for size in SIZES {
            let each = LAYERS.iter().filter_map(|(layer, of, less)| {
                let (lowest, median) = difference(cases, (wait, size), of, *less)?;
                Some(Layer { layer, size, wait, of, less: *less, lowest, median })
            });
            layers.extend(each);
        }
    }
    layers
}

fn difference(
    cases: &[CaseResult],
    at: (Wait, usize),
    of: &str,
    less: Option<&str>,
) -> Option<(f64, f64)> {
    let whole = p50(cases, at, of)?;
    match less {
        None => Some((whole.lowest, whole.median)),
        Some(less) => {
            let below = p50(cases, at, less)?;
            Some((whole.lowest - below.lowest, whole.median - below.median))
        }
    }
}

fn p50(cases: &[CaseResult], (wait, size): (Wait, usize), subject: &str) -> Option<Range> {
    let meant = |result: &&CaseResult| {
        let case = &result.case;
        case.subject == subject && (case.wait, case.size) == (wait, size) && need(case)
    };
    let figures = cases.iter().find(meant)?.figures.as_ref();
    figures.and_then(Figures::times).map(|times| times.p50)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::fixture::{case, result, times};

    fn trip(subject: &str, size: usize, wait: Wait, rounds: [u64; 3]) -> CaseResult {
        let case = Case { wait, ..case(Suite::RoundTrip, subject, size) };
        result(case, &rounds.map(|p50| times(&[p50], &[])))
    }

    #[test]
    fn each_layer_is_told_by_what_lies_below_it() {
        let cases = [
            trip(TYPED, 8, Wait::Polling, [190, 200, 210]),
            trip(RAW, 8, Wait::Polling, [185, 180, 180]),
            trip(RINGS, 8, Wait::Polling, [130, 140, 150]),
            trip(GATEWAY, 8, Wait::Polling, [900, 980, 990]),
        ];
        let told: Vec<_> =
            of(&cases).iter().map(|layer| (layer.layer, layer.lowest, layer.median)).collect();
        let expected = [
            ("ring", 130.0, 140.0),
            ("API", 50.0, 40.0),
            ("typed stub", 10.0, 20.0),
            ("gateway", 720.0, 800.0),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn only_cases_of_one_size_and_one_way_to_wait_are_subtracted() {
        let cases = [
            trip(GATEWAY, 64, Wait::Blocking, [900; 3]),
            trip(RAW, 64, Wait::Polling, [100; 3]),
            trip(RAW, 8, Wait::Blocking, [200; 3]),
            trip(SOCKET, 64, Wait::Blocking, [600; 3]),
            trip(TYPED, 1024, Wait::Polling, [600; 3]),
        ];
        let layers = of(&cases);
        let [only] = layers.as_slice() else { panic!("{layers:?}") };
        assert_eq!((only.size, only.wait, only.less), (64, Wait::Blocking, Some(SOCKET)));
        assert_eq!(only.median, 300.0);
    }

    #[test]
    fn a_layer_without_figures_here_has_no_cost() {
        let mut cases = [trip(RINGS, 8, Wait::Polling, [100; 3])];
        assert_eq!(of(&cases).len(), 1);
        (cases[0].elsewhere, cases[0].figures) = (true, None);
        assert_eq!(of(&cases), []);
    }

    #[test]
    fn layers_need_round_trips_between_two_cpus() {
        let trip = |subject, size| case(Suite::RoundTrip, subject, size);
        assert!(need(&trip(RINGS, 64)) && need(&trip(SOCKET, 8)));
        assert!(!need(&trip(RINGS, 256)) && !need(&trip("pipe", 8)));
        assert!(!need(&Case { cpus: Cpus::One, ..trip(RAW, 8) }));
        assert!(!need(&Case { wait: Wait::Adaptive, ..trip(TYPED, 8) }));
        assert!(!need(&case(Suite::OneWay, RINGS, 64)));
    }
}

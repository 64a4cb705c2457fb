//! Everything that Atoll is measured at.

use super::super::wire::{Case, Cpus, Suite, Wait};

/// Through typed interfaces, between domains.
pub const TYPED: &str = "atoll";
/// Through untyped messages, between domains.
pub const RAW: &str = "atoll raw";
/// The bare rings, between two threads of the VMM.
pub const RINGS: &str = "atoll ring";
/// From a process's socket through a gateway to a domain.
pub const GATEWAY: &str = "atoll gateway";

const KI: usize = 1 << 10;
const SIZES: [usize; 8] = [0, 8, 64, 256, KI, 4 * KI, 64 * KI, KI * KI];

pub(super) fn all() -> Vec<Case> {
    [round_trips(), one_way(), calls(), chains()].concat()
}

fn case(suite: Suite, subject: &str, size: usize, wait: Wait, cpus: Cpus) -> Case {
    let subject = subject.to_owned();
    Case { suite, subject, size, wait, cpus, clients: 1, depth: 1, batch: 1 }
}

fn round_trips() -> Vec<Case> {
    let mut cases = Vec::new();
    for size in SIZES {
        for subject in [TYPED, RAW] {
            cases.push(case(Suite::RoundTrip, subject, size, Wait::Polling, Cpus::Two));
        }
    }
    for size in [8, KI, 64 * KI] {
        for (wait, cpus) in [
            (Wait::Adaptive, Cpus::Two),
            (Wait::Adaptive, Cpus::One),
            (Wait::Blocking, Cpus::Two),
            (Wait::Blocking, Cpus::One),
        ] {
            cases.push(case(Suite::RoundTrip, TYPED, size, wait, cpus));
        }
    }
    for size in [8, 64] {
        let two = |subject, wait| case(Suite::RoundTrip, subject, size, wait, Cpus::Two);
        cases.push(two(RINGS, Wait::Polling));
        cases.push(two(RAW, Wait::Blocking));
        cases.extend([Wait::Polling, Wait::Blocking].map(|wait| two(GATEWAY, wait)));
    }
    cases
}

fn one_way() -> Vec<Case> {
    let two = |suite, subject, size| case(suite, subject, size, Wait::Polling, Cpus::Two);
    let sizes = SIZES.into_iter().filter(|&size| size >= 8);
    let mut cases: Vec<_> = sizes.clone().map(|size| two(Suite::OneWay, RAW, size)).collect();
    cases.extend(sizes.filter(|&size| size >= 64).map(|size| two(Suite::Lent, RAW, size)));
    for size in [64, 256] {
        cases.push(Case { batch: 32, ..two(Suite::OneWay, RAW, size) });
    }
    cases.push(two(Suite::OneWay, RINGS, 64));
    cases
}

fn calls() -> Vec<Case> {
    let two = |size| case(Suite::Calls, RAW, size, Wait::Adaptive, Cpus::Two);
    let depths = [1, 4, 16, 64].map(|depth| Case { depth, ..two(64) });
    let clients = [2, 4, 8].map(|clients| Case { clients, depth: 4, ..two(64) });
    let sizes = [8, KI, 64 * KI].map(|size| Case { depth: 16, ..two(size) });
    [&depths[..], &clients[..], &sizes[..]].concat()
}

fn chains() -> Vec<Case> {
    [8, KI]
        .into_iter()
        .flat_map(|size| {
            [Wait::Adaptive, Wait::Blocking]
                .map(|wait| case(Suite::Chain, RAW, size, wait, Cpus::Two))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_case_is_there_twice() {
        let cases = all();
        assert_eq!(cases.iter().collect::<BTreeSet<_>>().len(), cases.len());
    }
}

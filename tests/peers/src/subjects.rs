//! Owns the table of the peers, and which cases there are of each.

use anyhow::{Result, bail};

use crate::ends::Ends;
use crate::peers;
use crate::task::Task;
use crate::wire::{Case, Cpus, Outcome, Suite, Wait};

/// Sizes of messages where any size goes, in round trips.
pub const SIZES: [usize; 7] = [8, 64, 256, 1 << 10, 4 << 10, 64 << 10, 1 << 20];
/// Sizes of messages where any size goes, one way.
pub const ONE_WAY_SIZES: [usize; 6] = [64, 256, 1 << 10, 4 << 10, 64 << 10, 1 << 20];

/// Something that carries messages.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// Its name in a [`Case`].
    pub name: &'static str,
    /// What can be measured of it.
    pub cases: fn() -> Vec<Case>,
    /// How it is measured.
    pub runner: Runner,
}

/// How a subject is measured.
#[derive(Clone, Copy, Debug)]
pub enum Runner {
    /// Between two threads of one process.
    Threads(fn(&Task) -> Result<Outcome>),
    /// Between two processes.
    Processes {
        /// What the two are started with.
        ends: fn(&Case) -> Result<[Ends; 2]>,
        /// One side; only one of the two finds something.
        side: fn(&Task) -> Result<Option<Outcome>>,
    },
}

/// All peers, fastest first.
static SUBJECTS: [Subject; 11] = [
    peers::ping_pong::SUBJECT,
    peers::rtrb::SUBJECT,
    peers::crossbeam::SUBJECT,
    peers::memcpy::SUBJECT,
    peers::unix_stream::SUBJECT,
    peers::pipe::SUBJECT,
    peers::eventfd::SUBJECT,
    peers::futex::SUBJECT,
    peers::ipc_channel::SUBJECT,
    peers::publish_subscribe::SUBJECT,
    peers::request_response::SUBJECT,
];

/// Every case that there is.
pub fn cases() -> Vec<Case> {
    SUBJECTS.iter().flat_map(|subject| (subject.cases)()).collect()
}

/// The subject of a case.
pub fn of(case: &Case) -> Result<Subject> {
    let Some(subject) = SUBJECTS.iter().find(|subject| subject.name == case.subject) else {
        let names: Vec<_> = SUBJECTS.iter().map(|subject| subject.name).collect();
        bail!("there is no subject {:?}: there are {}", case.subject, names.join(", "));
    };
    if !(subject.cases)().contains(case) {
        bail!("{} is not measured so: `list` shows its cases", subject.name);
    }
    Ok(*subject)
}

/// Round trips of each of some sizes.
pub fn round_trips(
    subject: &str,
    wait: Wait,
    cpus: Cpus,
    sizes: &[usize],
) -> impl Iterator<Item = Case> {
    each(sizes, Case { wait, cpus, ..polled(subject, Suite::RoundTrip) })
}

/// Round trips of each of some sizes in all three ways to wait that a descriptor has.
pub fn round_trips_over_descriptors(subject: &str, sizes: &[usize]) -> impl Iterator<Item = Case> {
    round_trips(subject, Wait::Polling, Cpus::Two, sizes)
        .chain(blocking_round_trips(subject, sizes))
}

/// Round trips of each of some sizes between sides that sleep.
pub fn blocking_round_trips(subject: &str, sizes: &[usize]) -> impl Iterator<Item = Case> {
    round_trips(subject, Wait::Blocking, Cpus::Two, sizes).chain(round_trips(
        subject,
        Wait::Blocking,
        Cpus::One,
        sizes,
    ))
}

/// Messages one way, of each of some sizes.
pub fn one_way(subject: &str, wait: Wait, sizes: &[usize]) -> impl Iterator<Item = Case> {
    each(sizes, Case { wait, ..polled(subject, Suite::OneWay) })
}

/// A case of the smallest message between sides that never sleep, each on its CPU.
pub fn polled(subject: &str, suite: Suite) -> Case {
    Case {
        suite,
        subject: subject.to_owned(),
        size: size_of::<u64>(),
        wait: Wait::Polling,
        cpus: Cpus::Two,
        clients: 1,
        depth: 1,
        batch: 1,
    }
}

/// One case in each of some sizes.
pub fn each(sizes: &[usize], case: Case) -> impl Iterator<Item = Case> {
    sizes.iter().map(move |&size| Case { size, ..case.clone() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_case_is_known_and_there_once() {
        let cases = cases();
        assert!(cases.iter().all(|case| of(case).is_ok_and(|known| known.name == case.subject)));
        assert_eq!(cases.iter().collect::<BTreeSet<_>>().len(), cases.len());
    }

    #[test]
    fn a_case_survives_its_way_over_a_line() {
        for case in cases() {
            let line = serde_json::to_string(&case).expect("a case can be written");
            assert_eq!(serde_json::from_str::<Case>(&line).ok(), Some(case));
        }
    }

    #[test]
    fn an_unknown_subject_and_an_unknown_size_are_told_apart() {
        let case = polled("carrier pigeon", Suite::RoundTrip);
        let error = of(&case).expect_err("nobody measures it").to_string();
        assert!(error.contains("carrier pigeon") && error.contains("iceoryx2 pub-sub"), "{error}");
        let case = Case { size: 9, ..polled("rtrb", Suite::RoundTrip) };
        let error = of(&case).expect_err("there is no such value").to_string();
        assert!(error.starts_with("rtrb is not measured so"), "{error}");
    }
}

//! Generated trees and generated misfortunes. Whatever happens, the model has no objection:
//! orders never contradict each other, come in their order, restarts keep to every limit, only
//! the root ends the system, and in the end every domain is up, or down for a stated reason.

use std::fmt::Write;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::End;
use super::world::{Outside, Temper, World};
use crate::manifest::{Manifest, RestartFrom, Supervision};

const STRATEGIES: [&str; 3] = ["one-for-one", "one-for-all", "rest-for-one"];
const RESTARTS: [&str; 4] = ["on-fault", "on-fault", "always", "never"];

/// A group: parent, strategy, intensity, period in milliseconds, whether it escalates.
type Group = (usize, usize, u32, u64, bool);
/// A domain: group, restart policy, whether it begins at checkpoints, what it is after, free
/// tries.
type Domain = (usize, usize, bool, Vec<usize>, u32);

/// Words for a group's keys.
fn keys(text: &mut String, (_, strategy, intensity, period, escalates): &Group) {
    let strategy = STRATEGIES[*strategy];
    let escalation = if *escalates { "parent" } else { "stay-down" };
    writeln!(
        text,
        "strategy = \"{strategy}\"\nintensity = {intensity}\nperiod = \"{period} ms\"\n\
         escalation = \"{escalation}\""
    )
    .unwrap();
}

/// A manifest of these; groups and domains take turns in it.
fn manifest(groups: &[Group], domains: &[Domain], after: bool) -> String {
    let mut text = String::from("name = \"test\"\n[supervision]\n");
    keys(&mut text, &groups[0]);
    for index in 0..domains.len() {
        if (1..groups.len()).contains(&index) {
            writeln!(text, "[groups.g{index}]").unwrap();
            let parent = groups[index].0 % index;
            if parent > 0 {
                writeln!(text, "parent = \"g{parent}\"").unwrap();
            }
            keys(&mut text, &groups[index]);
        }
        let (group, restart, checkpoint, others, free) = &domains[index];
        // The first domains see to it that no group is empty.
        let group = if index < groups.len() { index } else { group % groups.len() };
        writeln!(text, "[domains.d{index}]\nimage = \"x\"\nrestart = \"{}\"", RESTARTS[*restart])
            .unwrap();
        writeln!(text, "backoff-free = {free}\nbackoff-cap = \"80 ms\"").unwrap();
        writeln!(text, "start-deadline = \"30 ms\"\nstop-deadline = \"10 ms\"").unwrap();
        if group > 0 {
            writeln!(text, "group = \"g{group}\"").unwrap();
        }
        if !checkpoint {
            writeln!(text, "restart-from = \"image\"").unwrap();
        }
        let mut others: Vec<usize> = others.iter().map(|other| other % domains.len()).collect();
        others.sort_unstable();
        others.dedup();
        let others = others.iter().filter(|other| **other != index && after);
        let others: Vec<_> = others.map(|other| format!("\"d{other}\"")).collect();
        writeln!(text, "after = [{}]", others.join(", ")).unwrap();
    }
    text
}

/// The system, without start dependencies if those that were generated cannot be.
fn system(groups: &[Group], domains: &[Domain]) -> Supervision {
    let read = |after| {
        let text = manifest(groups, domains, after);
        Manifest::parse(text.as_bytes(), Path::new("test.toml"))
    };
    read(true).or_else(|_| read(false)).unwrap().supervision
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![4 => Just(End::Fault), 1 => Just(End::Clean), 1 => Just(End::Hung)]
}

fn temper() -> impl Strategy<Value = Temper> {
    prop_oneof![
        2 => Just(Temper::Good),
        1 => Just(Temper::Stillborn),
        1 => Just(Temper::Mute),
        1 => end().prop_map(Temper::Weak),
        1 => Just(Temper::Slow),
        6 => (end(), 0_u64..120).prop_map(|(end, after)| Temper::Ends(end, after)),
        1 => Just(Temper::Deaf),
        1 => Just(Temper::Clumsy),
    ]
}

fn outside() -> impl Strategy<Value = Outside> {
    prop_oneof![
        20 => (0_usize..9).prop_map(Outside::Kill),
        20 => (0_usize..9).prop_map(Outside::Restart),
        8 => (0_usize..9, prop_oneof![Just(RestartFrom::Checkpoint), Just(RestartFrom::Image)])
            .prop_map(|(domain, from)| Outside::Replace(domain, from)),
        4 => (0_usize..9).prop_map(Outside::Hold),
        4 => (0_usize..9).prop_map(Outside::Escalate),
        1 => Just(Outside::Stop),
    ]
}

fn within(outside: Outside, count: usize) -> Outside {
    match outside {
        Outside::Kill(domain) => Outside::Kill(domain % count),
        Outside::Restart(domain) => Outside::Restart(domain % count),
        Outside::Replace(domain, from) => Outside::Replace(domain % count, from),
        Outside::Hold(domain) => Outside::Hold(domain % count),
        Outside::Escalate(domain) => Outside::Escalate(domain % count),
        Outside::Stop => Outside::Stop,
    }
}

fn group() -> impl Strategy<Value = Group> {
    (0_usize..4, 0_usize..3, 1_u32..6, 20_u64..400, proptest::bool::weighted(0.8))
}

fn domain() -> impl Strategy<Value = Domain> {
    (0_usize..4, 0_usize..4, any::<bool>(), vec(0_usize..9, 0..3), 0_u32..4)
}

proptest! {
    #[test]
    fn whatever_happens(
        groups in vec(group(), 1..5),
        domains in vec(domain(), 5..9),
        announces in vec(any::<bool>(), 9),
        tempers in vec(vec(temper(), 0..12), 9),
        outside in vec((0_u64..600, outside()), 0..12),
        seed: u64,
    ) {
        let supervision = system(&groups, &domains);
        let count = domains.len();
        let outside: Vec<_> =
            outside.into_iter().map(|(at, what)| (at, within(what, count))).collect();
        let (announces, tempers) = (announces[..count].to_vec(), tempers[..count].to_vec());
        World::new(&supervision, announces, tempers, &outside, seed).run();
    }
}

//! Who starts before whom: the members of each group, in the order of the file as far as `after`
//! allows.
//!
//! A group starts as a whole, so a domain that is after one of another group puts its whole group
//! after the other. Thus one walk through the tree is an order for all domains.

use std::collections::{BTreeMap, BTreeSet};

use super::super::source::Span;
use super::super::table::Problems;
use super::domains;
use super::error::SupervisionRule;
use super::groups;
use super::ring::ring;
use super::types::{Child, ROOT};

/// Puts the members of each group in order.
pub(super) fn put_in_order(
    groups: &mut [groups::Written<'_>],
    domains: &[domains::Written<'_>],
    problems: &mut Problems,
) {
    gather(groups, domains);
    refuse_empty(groups, problems);
    if refuse_cycles(domains, problems) {
        return;
    }
    let mut edges = vec![Edges::new(); groups.len()];
    for (number, domain) in domains.iter().enumerate() {
        for (other, span) in domain.policy.after.iter().zip(&domain.after) {
            if let Some((group, first, second)) = meet(groups, domains, *other, number) {
                edges[group].entry(second).or_default().insert(first, span.clone());
            }
        }
    }
    for (index, edges) in edges.iter().enumerate() {
        sort(groups, index, edges, domains, problems);
    }
}

/// For each member, those that it is after, and where that is written.
type Edges = BTreeMap<Child, BTreeMap<Child, Span>>;

/// Gives each group its members in the order of the file.
fn gather(groups: &mut [groups::Written<'_>], domains: &[domains::Written<'_>]) {
    let inner = groups.iter().enumerate().skip(1);
    let inner = inner.map(|(n, w)| (w.at.start, w.group.parent.unwrap_or(0), Child::Group(n)));
    let leaves = domains.iter().enumerate();
    let leaves = leaves.map(|(n, w)| (w.at.start, w.policy.group, Child::Domain(n)));
    let mut members: Vec<_> = inner.chain(leaves).collect();
    members.sort_by_key(|(at, ..)| *at);
    for (_, group, child) in members {
        groups[group].group.children.push(child);
    }
}

fn refuse_empty(groups: &[groups::Written<'_>], problems: &mut Problems) {
    for written in groups
        .iter()
        .skip(1)
        .filter(|written| !written.is_parent && written.group.children.is_empty())
    {
        let group = written.group.title().to_owned();
        problems.at(&written.at, SupervisionRule::EmptyGroup { group }.into());
    }
}

/// Whether there is a ring of domains, each after the next; each one found is noted.
fn refuse_cycles(domains: &[domains::Written<'_>], problems: &mut Problems) -> bool {
    let after = |number: usize| domains[number].policy.after.clone();
    let Some(path) = ring(0..domains.len(), after) else { return false };
    let name = |number: &usize| domains[*number].policy.domain.to_string();
    let first = &domains[path[0]];
    let span = first.policy.after.iter().position(|other| *other == path[1]);
    let span = span.map_or(&first.at, |index| &first.after[index]);
    let path = path.iter().map(name).collect();
    problems.at(span, SupervisionRule::AfterCycle { path }.into());
    true
}

/// The innermost group that two domains are both in, and its members that they are in, if these
/// are two.
fn meet(
    groups: &[groups::Written<'_>],
    domains: &[domains::Written<'_>],
    first: usize,
    second: usize,
) -> Option<(usize, Child, Child)> {
    let (firsts, seconds) = (ancestry(groups, domains, first), ancestry(groups, domains, second));
    let shared = firsts.iter().zip(&seconds).take_while(|(a, b)| a == b).count();
    let Child::Group(group) = *firsts.get(shared.checked_sub(1)?)? else { return None };
    Some((group, *firsts.get(shared)?, *seconds.get(shared)?))
}

/// The groups that a domain is in, from the root, and itself.
fn ancestry(
    groups: &[groups::Written<'_>],
    domains: &[domains::Written<'_>],
    number: usize,
) -> Vec<Child> {
    let mut chain = vec![Child::Domain(number)];
    let mut at = Some(domains[number].policy.group);
    while let Some(group) = at {
        chain.push(Child::Group(group));
        at = groups[group].group.parent;
    }
    chain.reverse();
    chain
}

/// Sorts one group's members: of those that are after nothing left, always the first written.
fn sort(
    groups: &mut [groups::Written<'_>],
    index: usize,
    edges: &Edges,
    domains: &[domains::Written<'_>],
    problems: &mut Problems,
) {
    if edges.is_empty() {
        return;
    }
    let written = groups[index].group.children.clone();
    let after = |child: Child| edges.get(&child).into_iter().flat_map(BTreeMap::keys);
    if let Some(path) = ring(written.iter().copied(), |child| after(child).copied().collect()) {
        let title = |child: &Child| match *child {
            Child::Domain(number) => format!("domain {}", domains[number].policy.domain),
            Child::Group(group) => format!("group {}", groups[group].group.title()),
        };
        let span = edges[&path[0]][&path[1]].clone();
        let group = if index == 0 { ROOT } else { groups[index].group.title() }.to_owned();
        let path = path.iter().map(title).collect();
        return problems.at(&span, SupervisionRule::OrderCycle { group, path }.into());
    }
    let place: BTreeMap<Child, usize> =
        written.iter().enumerate().map(|(place, child)| (*child, place)).collect();
    let mut waits: Vec<usize> = written.iter().map(|child| after(*child).count()).collect();
    let mut followers = vec![Vec::new(); written.len()];
    for (second, firsts) in edges {
        firsts.keys().for_each(|first| followers[place[first]].push(place[second]));
    }
    let mut free: BTreeSet<usize> = (0..written.len()).filter(|at| waits[*at] == 0).collect();
    let mut sorted = Vec::with_capacity(written.len());
    while let Some(at) = free.pop_first() {
        sorted.push(written[at]);
        for follower in &followers[at] {
            waits[*follower] -= 1;
            if waits[*follower] == 0 {
                free.insert(*follower);
            }
        }
    }
    groups[index].group.children = sorted;
}

//! The tree of groups, laid out so that each group is a range of places.
//!
//! A domain's place is its position in the start order: a walk through the tree, members of
//! each group in their order. What comes after a member within its group is then a range, and
//! reverse start order is descending order.

use std::ops::Range;
use std::time::Duration;

use crate::manifest::{Backoff, Child, Escalation, Restart, RestartFrom, Strategy, Supervision};

/// The root's place in the list of groups.
pub(super) const ROOT: usize = 0;

#[derive(Clone, Debug)]
pub(super) struct Tree {
    /// By place.
    pub(super) leaves: Vec<Leaf>,
    pub(super) groups: Vec<Branch>,
    /// A domain's place, by number.
    places: Vec<Option<usize>>,
}

/// A domain.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) number: usize,
    pub(super) group: usize,
    pub(super) restart: Restart,
    pub(super) restart_from: RestartFrom,
    pub(super) backoff: Backoff,
    pub(super) start_deadline: Duration,
    pub(super) stop_deadline: Duration,
    /// Places of the domains that must be up before it starts.
    pub(super) after: Vec<usize>,
    /// Its server says itself when it is ready.
    pub(super) announces: bool,
}

/// A group.
#[derive(Clone, Debug)]
pub(super) struct Branch {
    pub(super) parent: Option<usize>,
    pub(super) strategy: Strategy,
    pub(super) intensity: u32,
    pub(super) period: Duration,
    pub(super) escalation: Escalation,
    /// Places of the domains in it, also in groups in it.
    pub(super) range: Range<usize>,
}

/// A member of a group that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Member {
    /// A domain, by place.
    Domain(usize),
    /// A group that gave up.
    Group(usize),
}

impl Tree {
    pub(super) fn new(supervision: &Supervision, announces: impl Fn(usize) -> bool) -> Self {
        let branch = |group: &crate::manifest::Group| Branch {
            parent: group.parent,
            strategy: group.strategy,
            intensity: group.intensity,
            period: group.period,
            escalation: group.escalation,
            range: 0..0,
        };
        let mut tree = Self {
            leaves: Vec::with_capacity(supervision.domains.len()),
            groups: supervision.groups.iter().map(branch).collect(),
            places: vec![None; supervision.domains.len()],
        };
        tree.walk(supervision, &announces);
        for leaf in &mut tree.leaves {
            let after = supervision.domains[leaf.number].after.iter();
            leaf.after = after.filter_map(|number| tree.places[*number]).collect();
        }
        tree
    }

    /// Visits all members in order; a stack of its own, since manifests may nest deeply.
    fn walk(&mut self, supervision: &Supervision, announces: &impl Fn(usize) -> bool) {
        let mut open = vec![(ROOT, 0)];
        while let Some((group, member)) = open.last_mut() {
            let (group, at) = (*group, *member);
            *member += 1;
            match supervision.groups[group].children.get(at) {
                Some(Child::Domain(number)) => self.plant(supervision, group, *number, announces),
                Some(Child::Group(inner)) => {
                    self.groups[*inner].range.start = self.leaves.len();
                    open.push((*inner, 0));
                }
                None => {
                    self.groups[group].range.end = self.leaves.len();
                    open.pop();
                }
            }
        }
    }

    fn plant(
        &mut self,
        supervision: &Supervision,
        group: usize,
        number: usize,
        announces: &impl Fn(usize) -> bool,
    ) {
        let policy = &supervision.domains[number];
        self.places[number] = Some(self.leaves.len());
        self.leaves.push(Leaf {
            number,
            group,
            restart: policy.restart,
            restart_from: policy.restart_from,
            backoff: policy.backoff,
            start_deadline: policy.start_deadline,
            stop_deadline: policy.stop_deadline,
            after: Vec::new(),
            announces: announces(number),
        });
    }

    /// The place of the domain with this number.
    pub(super) fn place(&self, number: usize) -> Option<usize> {
        self.places.get(number).copied().flatten()
    }

    /// The places that a member takes.
    pub(super) fn range(&self, member: Member) -> Range<usize> {
        match member {
            Member::Domain(place) => place..place + 1,
            Member::Group(group) => self.groups[group].range.clone(),
        }
    }

    /// Places whose domains start before the one at `place` because a `rest-for-one` group says
    /// that later members build on earlier ones; from the nearest.
    pub(super) fn built_on(&self, place: usize) -> impl Iterator<Item = usize> + '_ {
        let mut group = Some(self.leaves[place].group);
        let mut start = place;
        let levels = std::iter::from_fn(move || {
            let branch = &self.groups[group?];
            let before = match branch.strategy {
                Strategy::RestForOne => branch.range.start..start,
                Strategy::OneForOne | Strategy::OneForAll => start..start,
            };
            (group, start) = (branch.parent, branch.range.start);
            Some(before.rev())
        });
        levels.flatten()
    }

    /// The groups in `group` whose domains are all within a range of places.
    pub(super) fn groups_within(&self, group: usize, range: &Range<usize>) -> Vec<usize> {
        let within = |at: &usize| {
            let inner = &self.groups[*at].range;
            inner.start >= range.start && inner.end <= range.end && self.is_in(*at, group)
        };
        (0..self.groups.len()).filter(within).collect()
    }

    fn is_in(&self, inner: usize, outer: usize) -> bool {
        let mut at = self.groups[inner].parent;
        while let Some(group) = at.filter(|group| *group != outer) {
            at = self.groups[group].parent;
        }
        at.is_some()
    }
}

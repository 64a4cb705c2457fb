//! Which domains compete for processors: what the host page's groups stand for.
//!
//! Domains that are pinned alike form a group; all that are not pinned form group 0, with the
//! nucleus's own thread. A domain counts those awake in each group whose processors it may use.

use std::collections::BTreeSet;

use atoll_ipc::abi::{Crowd, GROUPS_MAX};

use crate::machine::processors;

/// A set of processors; empty for all of them.
type Processors = BTreeSet<usize>;

/// The groups of a system.
#[derive(Debug)]
pub(super) struct Groups {
    all: usize,
    sets: Vec<Processors>,
    /// Processors to which more than one domain is pinned, each to nothing else.
    shared: Processors,
}

impl Groups {
    /// Groups for domains that are pinned to these processors, each.
    pub(super) fn new(pinned: impl IntoIterator<Item = Processors>) -> Self {
        let all = processors::allowed().map_or(1, |cpus| cpus.len().max(1));
        Self::on(all, pinned)
    }

    fn on(all: usize, pinned: impl IntoIterator<Item = Processors>) -> Self {
        let mut sets = vec![Processors::new()];
        let (mut taken, mut shared) = (Processors::new(), Processors::new());
        for set in pinned {
            if let (1, Some(&only)) = (set.len(), set.first())
                && !taken.insert(only)
            {
                shared.insert(only);
            }
            if !sets.contains(&set) && sets.len() < GROUPS_MAX {
                sets.push(set);
            }
        }
        Self { all, sets, shared }
    }

    /// The group of a domain that is pinned to these processors. Where there are more kinds than
    /// groups, the last ones count as if they could run anywhere.
    pub(super) fn of(&self, processors: &Processors) -> usize {
        self.sets.iter().position(|set| set == processors).unwrap_or(0)
    }

    /// Whether a domain has but one processor, and another one has no other either. Then whoever
    /// looks keeps those that it waits for from running, be they counted as awake or not.
    pub(super) fn must_not_spin(&self, processors: &Processors) -> bool {
        processors.len() == 1 && !self.shared.is_disjoint(processors)
    }

    /// Whom such a domain shares its processors with.
    pub(super) fn crowd(&self, processors: &Processors) -> Crowd {
        let meet = |set: &Processors| {
            set.is_empty() || processors.is_empty() || !set.is_disjoint(processors)
        };
        let groups = self.sets.iter().enumerate().filter(|(_, set)| meet(set));
        let groups = groups.fold(0, |bits, (group, _)| bits | 1 << group);
        let count = if processors.is_empty() { self.all } else { processors.len() };
        Crowd { groups, processors: count as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(cpus: &[usize]) -> Processors {
        cpus.iter().copied().collect()
    }

    #[test]
    fn those_who_may_meet_count_each_other() {
        let groups = Groups::on(4, [set(&[0]), set(&[1]), set(&[0, 1]), set(&[0])]);
        assert_eq!((groups.of(&set(&[])), groups.of(&set(&[1]))), (0, 2));
        assert_eq!(groups.crowd(&set(&[0])), Crowd { groups: 0b1011, processors: 1 });
        assert_eq!(groups.crowd(&set(&[1])), Crowd { groups: 0b1101, processors: 1 });
        assert_eq!(groups.crowd(&set(&[0, 1])), Crowd { groups: 0b1111, processors: 2 });
        assert_eq!(groups.crowd(&set(&[])), Crowd { groups: 0b1111, processors: 4 });
    }

    #[test]
    fn two_on_one_processor_must_not_spin_and_one_alone_may() {
        let groups = Groups::on(4, [set(&[0]), set(&[1]), set(&[0, 1]), set(&[0]), set(&[])]);
        assert!(groups.must_not_spin(&set(&[0])));
        assert!(!groups.must_not_spin(&set(&[1])));
        assert!(!groups.must_not_spin(&set(&[0, 1])) && !groups.must_not_spin(&set(&[])));
    }

    #[test]
    fn more_kinds_than_groups_share_the_first() {
        let groups = Groups::on(64, (0..40).map(|cpu| set(&[cpu])));
        assert_eq!(groups.of(&set(&[30])), 0);
        assert_eq!(groups.of(&set(&[3])), 4);
        assert!(groups.crowd(&set(&[30])).groups & 1 != 0);
    }
}

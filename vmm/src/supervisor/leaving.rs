//! Domains that must end before others may start again.
//!
//! Each restart of several domains has a scope. Within a scope domains end one after the other,
//! the last started first, and none starts before all have ended. Scopes do not wait for each
//! other, so a server that takes its time to stop holds up only its own group.

use std::collections::{BTreeMap, BTreeSet};

/// What restarts, or ends, together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    /// Members of a group.
    Group(usize),
    /// One domain, by place.
    Domain(usize),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Leaving(BTreeMap<Scope, BTreeSet<usize>>);

impl Leaving {
    pub(super) fn add(&mut self, scope: Scope, place: usize) {
        self.0.entry(scope).or_default().insert(place);
    }

    pub(super) fn remove(&mut self, scope: Scope, place: usize) {
        if let Some(places) = self.0.get_mut(&scope) {
            places.remove(&place);
            if places.is_empty() {
                self.0.remove(&scope);
            }
        }
    }

    /// Whether all of a scope have ended.
    pub(super) fn all_gone(&self, scope: Scope) -> bool {
        !self.0.contains_key(&scope)
    }

    /// Of each scope the domain whose turn it is to end.
    pub(super) fn turns(&self) -> Vec<usize> {
        self.0.values().filter_map(|places| places.last().copied()).collect()
    }
}

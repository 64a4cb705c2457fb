//! What a domain's vCPU threads count.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::machine::exit::Exit;

/// Counts over all incarnations of a domain; written by its vCPU threads, read by anybody.
#[derive(Debug, Default)]
pub struct Counters {
    exits: [AtomicU64; Exit::NAMES.len()],
}

impl Counters {
    /// Counts an exit.
    pub fn count(&self, exit: &Exit) {
        self.exits[exit.index()].fetch_add(1, Relaxed);
    }

    /// Exits by name, without those that never happened.
    pub fn exits(&self) -> BTreeMap<String, u64> {
        let counts = self.exits.iter().map(|count| count.load(Relaxed));
        let named = Exit::NAMES.into_iter().zip(counts);
        named
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| (name.to_owned(), count))
            .collect()
    }
}

//! What a new incarnation of a server, and its client, are told of the requests that earlier
//! incarnations had taken and not answered: a table in the status page, which the nucleus writes.
//!
//! It lists a request by its position. What is listed as to be delivered again comes with how often
//! it was delivered before; so that number is the nucleus's, and nobody else can make one up.

use crate::in_service::IN_SERVICE_MAX;
use crate::sync::AtomicU64;
use crate::sync::Ordering::{Acquire, Release};

/// Poisoned requests, beyond those in service, of which a client may still have to hear: it is told
/// of all of them when it next looks, however often its server has died meanwhile.
const UNHEARD_MAX: usize = 32;

/// Most requests that are listed. (Under loom, where each word is costly, as many as models need.)
pub(crate) const LISTED_MAX: usize = if cfg!(loom) { 4 } else { IN_SERVICE_MAX + UNHEARD_MAX };

/// What becomes of a request that a dead server had taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is delivered again, after having been delivered so often before.
    Again(u32),
    /// It was answered: it is not delivered again.
    Done,
    /// Server after server has died of it: it is never delivered again.
    Poisoned,
}

const AGAIN: u64 = 0;
const DONE: u64 = 1;
const POISONED: u64 = 2;

impl Fate {
    const fn to_word(self) -> u64 {
        match self {
            Self::Again(times) => AGAIN | (times as u64) << 32,
            Self::Done => DONE,
            Self::Poisoned => POISONED,
        }
    }

    const fn from_word(word: u64) -> Self {
        match word as u32 as u64 {
            DONE => Self::Done,
            POISONED => Self::Poisoned,
            _ => Self::Again((word >> 32) as u32),
        }
    }
}

/// The table, as it was read or is to be written.
#[derive(Clone, Debug)]
pub(crate) struct Again {
    /// End of what was taken before: what lies behind is delivered for the first time.
    pub(crate) until: u64,
    count: usize,
    entries: [(u64, Fate); LISTED_MAX],
}

impl Again {
    pub(crate) const fn nothing() -> Self {
        Self::until(0)
    }

    /// Nothing is listed of what was taken before that position.
    pub(crate) const fn until(until: u64) -> Self {
        Self { until, count: 0, entries: [(0, Fate::Done); LISTED_MAX] }
    }

    /// Lists one more; `false` if there is no room.
    pub(crate) fn list(&mut self, position: u64, fate: Fate) -> bool {
        let Some(entry) = self.entries.get_mut(self.count) else { return false };
        *entry = (position, fate);
        self.count += 1;
        true
    }

    /// What becomes of the request there, if it is listed.
    pub(crate) fn fate_of(&self, position: u64) -> Option<Fate> {
        let listed = &self.entries[..self.count];
        listed.iter().find(|(listed, _)| *listed == position).map(|(_, fate)| *fate)
    }
}

/// The table in the status page.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Table {
    until: AtomicU64,
    count: AtomicU64,
    entries: [[AtomicU64; 2]; LISTED_MAX],
}

impl Default for Table {
    fn default() -> Self {
        let entries = core::array::from_fn(|_| Default::default());
        Self { until: AtomicU64::default(), count: AtomicU64::default(), entries }
    }
}

impl Table {
    pub(super) fn read(&self) -> Again {
        let mut again = Again::nothing();
        again.until = self.until.load(Acquire);
        // Only the nucleus writes this; but while it does, there may be any number.
        let count = self.count.load(Acquire) as usize;
        for [position, fate] in self.entries.iter().take(count) {
            again.list(position.load(Acquire), Fate::from_word(fate.load(Acquire)));
        }
        again
    }

    /// Each store is a release, as those of a view are.
    pub(super) fn write(&self, again: &Again) {
        self.until.store(again.until, Release);
        self.count.store(again.count as u64, Release);
        for ([at, what], (position, fate)) in self.entries.iter().zip(&again.entries[..again.count])
        {
            at.store(*position, Release);
            what.store(fate.to_word(), Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fate() -> impl Strategy<Value = Fate> {
        prop_oneof![any::<u32>().prop_map(Fate::Again), Just(Fate::Done), Just(Fate::Poisoned)]
    }

    /// Miri sees no more in a full table, which the test below this one makes, than in a short one.
    const MOST: usize = if cfg!(miri) { 8 } else { LISTED_MAX };

    proptest! {
        #![proptest_config(crate::support::cases(64))]

        #[test]
        fn a_table_says_what_was_written(
            until: u64,
            fates in prop::collection::btree_map(any::<u64>(), fate(), 0..=MOST),
        ) {
            let mut again = Again::until(until);
            for (&position, &fate) in &fates {
                prop_assert!(again.list(position, fate));
            }
            let table = Table::default();
            table.write(&again);
            let read = table.read();
            prop_assert_eq!(read.until, until);
            for (&position, &fate) in &fates {
                prop_assert_eq!(read.fate_of(position), Some(fate));
            }
            prop_assert_eq!(read.count, fates.len());
        }
    }

    #[test]
    fn a_full_table_takes_no_more() {
        let mut again = Again::nothing();
        assert!((0..LISTED_MAX as u64).all(|n| again.list(n * 16, Fate::Again(1))));
        assert!(!again.list(1 << 20, Fate::Poisoned));
        assert_eq!(again.fate_of(1 << 20), None);
    }
}

//! Log lines of all domains, bounded so that each domain loses its own lines first.
//!
//! A domain has a ring of its own. The system as a whole keeps a bounded number of lines too;
//! when that is reached, whoever has more than a fair share gives up its oldest line, so a
//! babbling domain pushes out nothing but its own babble.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How loud a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Something failed.
    Error,
    /// Something is wrong, and work goes on.
    Warn,
    /// Worth knowing.
    Info,
    /// For whoever debugs the server.
    Debug,
    /// Every step.
    Trace,
}

impl Level {
    /// The level's word, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// One line that a server logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// Its number in the system; later lines have higher ones.
    pub seq: u64,
    /// Its number in its domain, from 1. A gap between two lines of a domain means that the
    /// lines between were dropped before this reader came to them.
    pub number: u64,
    /// When, in microseconds since 1970.
    pub time: u64,
    /// The domain.
    pub domain: String,
    /// The incarnation that logged it.
    pub epoch: u64,
    /// How loud it is.
    pub level: Level,
    /// What it says: at most 4 KiB, otherwise as the guest wrote it, so escape it for a terminal.
    pub text: String,
}

/// How many lines are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of one domain.
    pub per_domain: usize,
    /// Of all domains together.
    pub in_all: usize,
}

impl Default for Limits {
    /// Enough for a few screens of every domain; at 4 KiB a line at most 40 MiB in all.
    fn default() -> Self {
        Self { per_domain: 2_000, in_all: 10_000 }
    }
}

#[derive(Debug, Default)]
struct Ring {
    lines: VecDeque<Arc<LogLine>>,
    logged: u64,
}

/// The kept lines. Knows no locks; the journal has one around it.
#[derive(Debug)]
pub(super) struct LogStore {
    limits: Limits,
    rings: HashMap<String, Ring>,
    kept: usize,
    last_seq: u64,
}

impl LogStore {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, rings: HashMap::new(), kept: 0, last_seq: 0 }
    }

    /// Keeps a line, gives it its numbers, and returns its sequence number.
    pub(super) fn push(&mut self, mut line: LogLine) -> u64 {
        self.last_seq += 1;
        line.seq = self.last_seq;
        if !self.rings.contains_key(&line.domain) {
            self.rings.insert(line.domain.clone(), Ring::default());
        }
        let fair = self.fair_share();
        let full = self.kept >= self.limits.in_all;
        let Some(ring) = self.rings.get_mut(&line.domain) else { return self.last_seq };
        ring.logged += 1;
        line.number = ring.logged;
        ring.lines.push_back(Arc::new(line));
        let held = ring.lines.len();
        if held > self.limits.per_domain || (full && held > fair) {
            ring.lines.pop_front();
        } else if full {
            self.drop_from_longest();
        } else {
            self.kept += 1;
        }
        self.last_seq
    }

    /// Lines of `domain`, or of all, after `seq`: the oldest `most` of them, in order.
    pub(super) fn since(&self, seq: u64, domain: Option<&str>, most: usize) -> Vec<Arc<LogLine>> {
        let mut found = Vec::new();
        let wanted = self.rings.iter().filter(|(name, _)| domain.is_none_or(|d| d == *name));
        for (_, ring) in wanted {
            let start = ring.lines.partition_point(|line| line.seq <= seq);
            found.extend(ring.lines.range(start..).take(most).cloned());
        }
        found.sort_unstable_by_key(|line| line.seq);
        found.truncate(most);
        found
    }

    fn fair_share(&self) -> usize {
        (self.limits.in_all / self.rings.len().max(1)).max(1)
    }

    fn drop_from_longest(&mut self) {
        if let Some(ring) = self.rings.values_mut().max_by_key(|ring| ring.lines.len()) {
            ring.lines.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(domain: &str) -> LogLine {
        LogLine {
            seq: 0,
            number: 0,
            time: 0,
            domain: domain.into(),
            epoch: 1,
            level: Level::Info,
            text: String::new(),
        }
    }

    fn numbers(store: &LogStore, domain: &str) -> Vec<u64> {
        store.since(0, Some(domain), usize::MAX).iter().map(|line| line.number).collect()
    }

    #[test]
    fn a_domain_keeps_its_newest_lines() {
        let mut store = LogStore::new(Limits { per_domain: 3, in_all: 100 });
        for _ in 0..5 {
            store.push(line("a"));
        }
        assert_eq!(numbers(&store, "a"), [3, 4, 5]);
        assert_eq!(store.kept, 3);
    }

    #[test]
    fn a_babbler_pushes_out_only_its_own() {
        let mut store = LogStore::new(Limits { per_domain: 80, in_all: 100 });
        for _ in 0..30 {
            store.push(line("quiet"));
        }
        for _ in 0..1000 {
            store.push(line("babble"));
        }
        assert_eq!(numbers(&store, "quiet"), (1..=30).collect::<Vec<_>>());
        assert_eq!(numbers(&store, "babble").len(), 70);
        assert_eq!(numbers(&store, "babble").last(), Some(&1000));
    }

    #[test]
    fn a_late_comer_gets_its_share_from_the_longest() {
        let mut store = LogStore::new(Limits { per_domain: 100, in_all: 100 });
        for _ in 0..100 {
            store.push(line("early"));
        }
        for _ in 0..50 {
            store.push(line("late"));
        }
        assert_eq!(numbers(&store, "late").len(), 50);
        assert_eq!(numbers(&store, "early"), (51..=100).collect::<Vec<_>>());
    }

    #[test]
    fn the_total_stays_bounded_with_many_domains() {
        let mut store = LogStore::new(Limits { per_domain: 5, in_all: 20 });
        for round in 0..40 {
            for domain in 0..50 {
                store.push(line(&format!("d{}", (domain * 7 + round) % 50)));
            }
        }
        let held: usize = store.rings.values().map(|ring| ring.lines.len()).sum();
        assert_eq!(held, store.kept);
        assert!(held <= 20, "{held}");
    }

    #[test]
    fn lines_of_several_domains_come_in_order() {
        let mut store = LogStore::new(Limits::default());
        for n in 0..10 {
            store.push(line(if n % 3 == 0 { "a" } else { "b" }));
        }
        let all: Vec<_> = store.since(2, None, 5).iter().map(|line| line.seq).collect();
        assert_eq!(all, [3, 4, 5, 6, 7]);
        assert!(store.since(10, None, 5).is_empty());
    }
}

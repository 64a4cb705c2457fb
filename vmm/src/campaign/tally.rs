//! What came of all faults: sums, and times in their order.

use std::collections::BTreeMap;

use serde::Serialize;

use super::plan::Victim;
use super::record::{Calm, Line, Outcome, Record};
use super::resources::Resources;
use crate::domain::Harm;

/// Resident memory that may be more at the end than at the beginning: the journal keeps the last
/// 10,000 events and some megabytes of log, and a campaign fills both.
const GROWTH_MAX: u64 = 32 << 20;

/// What came of a campaign.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tally {
    /// By what was done.
    pub harms: BTreeMap<Harm, Row>,
    /// By whom it was done to.
    pub victims: BTreeMap<Victim, Row>,
    /// Workers that died, which are whole VMMs.
    pub vmm_deaths: u32,
    /// Workers that said nothing any more.
    pub vmm_hangs: u32,
    /// How those did that nothing was done to, of each worker that told.
    pub bystanders: Vec<Calm>,
    /// What a worker held before its first fault and after its last.
    pub resources: Vec<(Resources, Resources)>,
    /// Whether the host's KVM is the hardware's.
    pub hardware: bool,
    #[serde(skip)]
    before: Option<Resources>,
    #[serde(skip)]
    last_lost: bool,
}

/// What came of one kind of faults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Row {
    /// How many there were.
    pub faults: u32,
    /// Those of which nobody noticed anything.
    pub no_effect: u32,
    /// Those that ended the server, by how.
    pub ended: BTreeMap<String, u32>,
    /// Those that only the client noticed, by what it was told.
    pub noticed: BTreeMap<String, u32>,
    /// Those of which only the client's check of replies told.
    pub wrong_only: u32,
    /// Replies that were wrong, over all faults, and faults with any.
    pub wrong_replies: u32,
    /// Faults with a wrong reply.
    pub with_wrong: u32,
    /// Replies that were correct.
    pub good_replies: u64,
    /// Requests answered with an error, or not at all.
    pub failed_requests: u64,
    /// Those after which the server did not answer again.
    pub lost: u32,
    /// A few wrong replies.
    pub examples: Vec<String>,
    /// From the injection until it was noticed, in microseconds.
    pub noticed_after: Times,
    /// From then until the first correct reply.
    pub recovered_after: Times,
}

/// Times in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times(Vec<u64>);

/// Examples kept of each kind.
const EXAMPLES: usize = 3;

impl Tally {
    /// Adds what a worker said.
    pub fn add(&mut self, line: Line) {
        match line {
            Line::Well { resources, hardware } => {
                self.before = Some(resources);
                self.hardware = hardware;
            }
            Line::Fault(record) => {
                self.last_lost = record.lost;
                self.harms.entry(record.harm).or_default().add(&record);
                self.victims.entry(record.victim).or_default().add(&record);
            }
            Line::Over { resources, bystanders } => {
                self.resources.extend(self.before.take().map(|before| (before, resources)));
                self.bystanders.extend(bystanders);
            }
        }
    }

    /// Whether any worker got as far as a system that runs.
    pub const fn has_begun(&self) -> bool {
        self.before.is_some() || !self.resources.is_empty()
    }

    /// Whether the last fault cost a victim for good.
    pub const fn last_was_lost(&self) -> bool {
        self.last_lost
    }

    /// Faults that were followed to their end.
    pub fn injected(&self) -> u32 {
        self.victims.values().map(|row| row.faults).sum()
    }

    /// Those after which the server did not answer again.
    pub fn lost(&self) -> u32 {
        self.victims.values().map(|row| row.lost).sum()
    }

    /// Everything together.
    pub fn all(&self) -> Row {
        let mut all = Row::default();
        self.victims.values().for_each(|row| all.merge(row));
        all
    }

    /// What must not be, and was.
    pub fn failures(&self, faults: u32) -> Vec<String> {
        let mut failures = Vec::new();
        let mut must_be_0 = |count: u64, what: &str| {
            if count > 0 {
                failures.push(format!("{what}: {count}"));
            }
        };
        must_be_0(self.vmm_deaths.into(), "deaths of the VMM");
        must_be_0(self.vmm_hangs.into(), "hangs of the VMM");
        must_be_0(self.lost().into(), "servers that did not answer again");
        must_be_0(
            u64::from(faults.saturating_sub(self.injected())),
            "faults not followed to an end",
        );
        for calm in &self.bystanders {
            must_be_0(
                calm.disturbed,
                &format!("requests of `{}` that were disturbed", calm.domain),
            );
            must_be_0(calm.events.len() as u64, &format!("events of `{}`", calm.domain));
            must_be_0(u64::from(calm.good == 0), &format!("`{}` without any reply", calm.domain));
        }
        for (before, after) in &self.resources {
            must_be_0(after.threads.saturating_sub(before.threads), "threads left over");
            must_be_0(after.files.saturating_sub(before.files), "files left open");
            let growth = after.resident.saturating_sub(before.resident);
            must_be_0(growth.saturating_sub(GROWTH_MAX), "bytes of memory left over");
        }
        failures
    }
}

impl Row {
    fn add(&mut self, record: &Record) {
        self.faults += 1;
        match &record.outcome {
            Outcome::NoEffect => self.no_effect += 1,
            Outcome::Ended(how) => *self.ended.entry(how.clone()).or_default() += 1,
            Outcome::Noticed(what) => *self.noticed.entry(what.clone()).or_default() += 1,
            Outcome::WrongReply => self.wrong_only += 1,
        }
        self.wrong_replies += record.wrong;
        self.with_wrong += u32::from(record.wrong > 0);
        self.good_replies += u64::from(record.good);
        self.failed_requests += u64::from(record.failed);
        self.lost += u32::from(record.lost);
        self.noticed_after.0.extend(record.noticed);
        self.recovered_after.0.extend(record.recovered);
        if let Some(example) = record.example.as_ref().filter(|_| self.examples.len() < EXAMPLES) {
            self.examples.push(example.clone());
        }
    }

    fn merge(&mut self, other: &Self) {
        self.faults += other.faults;
        self.no_effect += other.no_effect;
        for (mine, others) in [(&mut self.ended, &other.ended), (&mut self.noticed, &other.noticed)]
        {
            others.iter().for_each(|(what, count)| *mine.entry(what.clone()).or_default() += count);
        }
        self.wrong_only += other.wrong_only;
        self.wrong_replies += other.wrong_replies;
        self.with_wrong += other.with_wrong;
        self.good_replies += other.good_replies;
        self.failed_requests += other.failed_requests;
        self.lost += other.lost;
        self.noticed_after.0.extend(&other.noticed_after.0);
        self.recovered_after.0.extend(&other.recovered_after.0);
        self.examples.extend(other.examples.iter().cloned());
    }

    /// How many ended in a way that begins so.
    pub fn ended_by(&self, beginning: &str) -> u32 {
        let such = self.ended.iter().filter(|(how, _)| how.starts_with(beginning));
        such.map(|(_, count)| count).sum()
    }

    /// How many ended at all.
    pub fn all_ended(&self) -> u32 {
        self.ended.values().sum()
    }

    /// How many only the client noticed, by an error.
    pub fn all_noticed(&self) -> u32 {
        self.noticed.values().sum()
    }
}

impl Times {
    /// The time that this share of all is not above; `None` if there is none.
    pub fn at(&self, share: f64) -> Option<u64> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let place = (sorted.len() as f64 * share).ceil() as usize;
        sorted.get(place.saturating_sub(1)).copied()
    }

    /// How many there are.
    pub const fn count(&self) -> usize {
        self.0.len()
    }
}

impl Serialize for Times {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let figures = [("p50", 0.5), ("p99", 0.99), ("max", 1.0)];
        serializer.collect_map(figures.map(|(name, share)| (name, self.at(share))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(harm: Harm, outcome: Outcome, recovered: Option<u64>) -> Record {
        Record {
            number: 0,
            victim: Victim::Kv,
            harm,
            injected: None,
            outcome,
            good: 10,
            failed: 2,
            wrong: 0,
            example: None,
            noticed: recovered.map(|_| 7),
            recovered,
            lost: false,
        }
    }

    fn calm(disturbed: u64) -> Calm {
        let delays = [1, 2, 3];
        Calm {
            domain: "calm".into(),
            good: 9,
            disturbed,
            example: None,
            events: Vec::new(),
            delays,
        }
    }

    fn flawless() -> Tally {
        let mut tally = Tally::default();
        tally.add(Line::Well { resources: Resources::default(), hardware: true });
        let ended = Outcome::Ended("exception: page fault".into());
        tally.add(Line::Fault(record(Harm::Text, ended, Some(30))));
        tally.add(Line::Fault(record(Harm::Text, Outcome::Ended("panic".into()), Some(10))));
        tally.add(Line::Fault(record(Harm::Heap, Outcome::NoEffect, None)));
        tally.add(Line::Over { resources: Resources::default(), bystanders: vec![calm(0)] });
        tally
    }

    #[test]
    fn faults_are_counted_by_kind_and_by_what_came_of_them() {
        let tally = flawless();
        let text = &tally.harms[&Harm::Text];
        assert_eq!((text.faults, text.all_ended(), text.ended_by("exception")), (2, 2, 1));
        let times = [0.5, 0.99].map(|share| text.recovered_after.at(share));
        assert_eq!(times, [Some(10), Some(30)]);
        let all = tally.all();
        assert_eq!((all.faults, all.no_effect, all.good_replies), (3, 1, 30));
        assert_eq!(all.recovered_after.count(), 2);
        assert!(tally.failures(3).is_empty(), "{:?}", tally.failures(3));
    }

    #[test]
    fn whatever_must_not_be_is_a_failure() {
        let failures = |change: fn(&mut Tally)| {
            let mut tally = flawless();
            change(&mut tally);
            tally.failures(3).join("; ")
        };
        assert_eq!(failures(|tally| tally.vmm_deaths = 1), "deaths of the VMM: 1");
        assert_eq!(failures(|tally| tally.vmm_hangs = 2), "hangs of the VMM: 2");
        assert_eq!(
            failures(|tally| tally.bystanders.push(calm(4))),
            "requests of `calm` that were disturbed: 4"
        );
        assert_eq!(
            failures(|tally| tally.bystanders[0].events.push("x".into())),
            "events of `calm`: 1"
        );
        assert_eq!(failures(|tally| tally.resources[0].1.files = 1), "files left open: 1");
        assert_eq!(failures(|tally| tally.resources[0].1.threads = 3), "threads left over: 3");
        assert_eq!(
            failures(|tally| tally.resources[0].1.resident = GROWTH_MAX + 1),
            "bytes of memory left over: 1"
        );
        let lost = |tally: &mut Tally| {
            let lost = record(Harm::Ring, Outcome::NoEffect, None);
            tally.add(Line::Fault(Record { lost: true, ..lost }));
        };
        assert_eq!(failures(lost), "servers that did not answer again: 1");
        assert_eq!(flawless().failures(4).join("; "), "faults not followed to an end: 1");
    }

    #[test]
    fn times_are_told_by_share() {
        let times = Times((1..=100).rev().collect());
        assert_eq!([0.5, 0.99, 1.0].map(|share| times.at(share)), [Some(50), Some(99), Some(100)]);
        assert_eq!(Times::default().at(0.5), None);
        let json = serde_json::to_string(&times).unwrap();
        assert_eq!(json, r#"{"p50":50,"p99":99,"max":100}"#);
    }
}

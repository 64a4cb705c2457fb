//! Owns the lines of JSON that a running command prints: events and log lines, kept as they come,
//! and waited for. This is what tests wait on instead of time.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Instant;

use serde_json::Value;

use crate::environment::patience;

#[derive(Debug, Default)]
struct Kept {
    records: Vec<Value>,
    /// The command prints no more.
    ended: bool,
}

/// What a command has printed so far.
#[derive(Clone, Debug)]
pub struct Records(Arc<(Mutex<Kept>, Condvar)>);

impl Records {
    /// Reads a command's output on a thread of its own.
    pub fn read(pipe: impl Read + Send + 'static) -> Self {
        let shared = Arc::new((Mutex::new(Kept::default()), Condvar::new()));
        let keeper = Self(shared.clone());
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines() {
                let line = line.expect("output is text");
                let record = serde_json::from_str(&line)
                    .unwrap_or_else(|error| panic!("`{line}` is not a line of JSON: {error}"));
                keeper.add(|kept| kept.records.push(record));
            }
            keeper.add(|kept| kept.ended = true);
        });
        Self(shared)
    }

    fn add(&self, change: impl FnOnce(&mut Kept)) {
        change(&mut self.kept());
        self.0.1.notify_all();
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.0.lock().expect("no holder of this lock panics")
    }

    /// How many records there are: a mark for [`Records::after`].
    pub fn mark(&self) -> usize {
        self.kept().records.len()
    }

    /// All records so far.
    pub fn all(&self) -> Vec<Value> {
        self.kept().records.clone()
    }

    /// Waits for a record after a mark. `what` says which, should it never come.
    pub fn after(&self, mark: usize, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + patience();
        let mut kept = self.kept();
        let mut next = mark;
        loop {
            if let Some(at) = kept.records[next..].iter().position(&is_it) {
                return kept.records[next + at].clone();
            }
            next = kept.records.len();
            let left = deadline.saturating_duration_since(Instant::now());
            if kept.ended || left.is_zero() {
                let why = if kept.ended { "the command ended" } else { "time ran out" };
                let since: Vec<_> = kept.records[mark..].iter().map(Value::to_string).collect();
                drop(kept);
                panic!("{why} without {what}; since then there were:\n{}", since.join("\n"));
            }
            kept = self.0.1.wait_timeout(kept, left).expect("no holder of this lock panics").0;
        }
    }

    /// Waits until the command prints no more; returns all that it printed.
    pub fn to_the_end(&self) -> Vec<Value> {
        let deadline = Instant::now() + patience();
        let mut kept = self.kept();
        while !kept.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the command does not end");
            kept = self.0.1.wait_timeout(kept, left).expect("no holder of this lock panics").0;
        }
        kept.records.clone()
    }
}

/// Whether a record is an event of this kind, of this domain.
pub fn is_event(record: &Value, domain: &str, kind: &str) -> bool {
    record["kind"] == kind && record["domain"] == domain
}

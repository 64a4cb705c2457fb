//! What the system remembers of itself: log lines and events, each in a bounded store.
//!
//! vCPU threads and the event loop write, and never wait for a reader: a write takes a short
//! lock, and a reader holds it only while it copies a batch of pointers. A reader that is too
//! slow finds that lines are gone, and can tell from their numbers.

mod event;
mod log;
mod text;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

pub use event::{Event, EventKind};
pub use log::{Level, Limits, LogLine};
pub use text::{TEXT_MAX, bounded, printable};

use log::LogStore;

/// How many events are kept. They are few: starts, faults, restarts, operators' orders.
const EVENTS_KEPT: usize = 10_000;

/// Microseconds since 1970, by the host's clock.
pub fn now_micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The log lines and events of one system. Shared by reference; every method takes `&self`.
#[derive(Debug)]
pub struct Journal {
    logs: Mutex<LogStore>,
    events: Mutex<EventStore>,
    last_line: watch::Sender<u64>,
    last_event: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct EventStore {
    events: VecDeque<Arc<Event>>,
    last_seq: u64,
}

impl Default for Journal {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Journal {
    /// An empty journal that keeps this many log lines.
    pub fn new(limits: Limits) -> Self {
        Self {
            logs: Mutex::new(LogStore::new(limits)),
            events: Mutex::default(),
            last_line: watch::Sender::new(0),
            last_event: watch::Sender::new(0),
        }
    }

    /// Remembers a line that a guest logged. The bytes are the guest's: any length, any content.
    pub fn log(&self, domain: &str, epoch: u64, level: Level, text: &[u8]) {
        let text = bounded(text);
        let time = now_micros();
        let domain = domain.to_owned();
        let line = LogLine { seq: 0, number: 0, time, domain, epoch, level, text };
        let seq = locked(&self.logs).push(line);
        announce(&self.last_line, seq);
    }

    /// Remembers that something happened, to a domain or to the system.
    pub fn event(&self, domain: Option<&str>, kind: EventKind) {
        let time = now_micros();
        let seq = {
            let mut store = locked(&self.events);
            store.last_seq += 1;
            let seq = store.last_seq;
            let domain = domain.map(str::to_owned);
            if store.events.len() == EVENTS_KEPT {
                store.events.pop_front();
            }
            store.events.push_back(Arc::new(Event { seq, time, domain, kind }));
            seq
        };
        announce(&self.last_event, seq);
    }

    /// Log lines of `domain`, or of all, after `seq`: the oldest `most` of them, in order.
    pub fn lines_since(&self, seq: u64, domain: Option<&str>, most: usize) -> Vec<Arc<LogLine>> {
        locked(&self.logs).since(seq, domain, most)
    }

    /// Events after `seq`: the oldest `most` of them, in order.
    pub fn events_since(&self, seq: u64, most: usize) -> Vec<Arc<Event>> {
        let store = locked(&self.events);
        let start = store.events.partition_point(|event| event.seq <= seq);
        store.events.range(start..).take(most).cloned().collect()
    }

    /// Tells of every new log line: the value is the last one's sequence number.
    pub fn watch_lines(&self) -> watch::Receiver<u64> {
        self.last_line.subscribe()
    }

    /// Tells of every new event: the value is the last one's sequence number.
    pub fn watch_events(&self) -> watch::Receiver<u64> {
        self.last_event.subscribe()
    }

    /// How many readers follow log lines and events now.
    pub fn followers(&self) -> usize {
        self.last_line.receiver_count() + self.last_event.receiver_count()
    }
}

/// A writer that panicked between two statements leaves a store that is still well-formed.
fn locked<T>(store: &Mutex<T>) -> MutexGuard<'_, T> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Two writers may announce in the other order than they wrote; the number must not go back.
fn announce(last: &watch::Sender<u64>, seq: u64) {
    last.send_if_modified(|known| {
        let news = seq > *known;
        *known = seq.max(*known);
        news
    });
}

#[cfg(test)]
mod tests;

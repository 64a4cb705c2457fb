//! What a disk has done, for people and tests.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use atoll_ipc::disk::Outcome;
use hdrhistogram::Histogram;

use super::file::DiskFile;
use crate::control::api::{DiskLatency, DiskReport};

/// The longest time that can be told from a longer one, in nanoseconds: a minute, after which any
/// host has given its disk up.
const LONGEST: u64 = 60_000_000_000;
/// Significant decimal digits of a time: it takes 30 KB, and tells one percent apart.
const DIGITS: u8 = 2;

/// What was counted.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) reads: u64,
    pub(super) read_bytes: u64,
    pub(super) writes: u64,
    pub(super) written_bytes: u64,
    pub(super) discards: u64,
    /// Times that the host was asked to make things durable, and requests that waited for it.
    pub(super) syncs: u64,
    pub(super) synced: u64,
    pub(super) largest_batch: u64,
    pub(super) refused: u64,
    pub(super) full: u64,
    pub(super) failed: u64,
    /// Nothing can be made durable any more.
    pub(super) is_lost: bool,
    pub(super) note: Option<String>,
    /// How long durable writes took, in nanoseconds; there once there was one.
    times: Option<Histogram<u64>>,
}

impl Figures {
    /// Counts how a request ended.
    pub(super) const fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Done => (),
            Outcome::Full => self.full += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::ReadOnly => self.refused += 1,
        }
    }

    /// A durable write took so long.
    pub(super) fn took(&mut self, time: Duration) {
        if self.times.is_none() {
            self.times = Histogram::new_with_bounds(1, LONGEST, DIGITS).ok();
        }
        if let Some(times) = &mut self.times {
            times.saturating_record(time.as_nanos() as u64);
        }
    }

    fn latency(&self) -> Option<DiskLatency> {
        let times = self.times.as_ref()?;
        let micros = |ns: u64| ns.div_ceil(1000);
        Some(DiskLatency {
            count: times.len(),
            p50_micros: micros(times.value_at_quantile(0.5)),
            p90_micros: micros(times.value_at_quantile(0.9)),
            p99_micros: micros(times.value_at_quantile(0.99)),
            max_micros: micros(times.max()),
        })
    }
}

/// Figures that the disk's thread writes and the nucleus reads.
#[derive(Debug, Default)]
pub(super) struct Shared(Mutex<Figures>);

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Figures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn report(&self, disk: &DiskFile) -> DiskReport {
        let (file_bytes, host_bytes) = disk.room();
        let figures = self.lock();
        DiskReport {
            name: disk.name.clone(),
            channel: disk.channel.clone(),
            file: disk.path.display().to_string(),
            size_bytes: disk.size,
            file_bytes,
            host_bytes,
            direct: disk.direct,
            read_only: disk.read_only,
            failing: figures.is_lost,
            reads: figures.reads,
            read_bytes: figures.read_bytes,
            writes: figures.writes,
            written_bytes: figures.written_bytes,
            discards: figures.discards,
            syncs: figures.syncs,
            synced: figures.synced,
            largest_batch: figures.largest_batch,
            refused: figures.refused,
            full: figures.full,
            failed: figures.failed,
            durable_writes: figures.latency(),
            note: figures.note.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_told_once_there_are_some() {
        let mut figures = Figures::default();
        assert!(figures.latency().is_none());
        (1..=100).for_each(|ms| figures.took(Duration::from_millis(ms)));
        figures.took(Duration::from_secs(3600));
        let latency = figures.latency().unwrap();
        assert_eq!(latency.count, 101);
        let near = |found: u64, ms: u64| (ms * 990..=ms * 1010).contains(&found);
        assert!(near(latency.p50_micros, 51) && near(latency.p90_micros, 91), "{latency:?}");
        assert!(near(latency.max_micros, 60_000), "{latency:?}");
    }
}

//! Time from the processor's time stamp counter: reading it leaves nothing and costs some 10 ns.

use core::time::Duration;

use atoll_ipc::sync::{AtomicU64, Ordering::Relaxed};

use crate::boot;

/// TSC when this incarnation started, or 0 before it was first asked for.
static STARTED: AtomicU64 = AtomicU64::new(0);

/// What is added to the TSC, so that moments from before a snapshot can be compared with those
/// after it: the file may have been restored where the counter began elsewhere.
static OFFSET: AtomicU64 = AtomicU64::new(0);

/// A moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(u64);

impl Instant {
    /// This moment.
    pub fn now() -> Self {
        Self(counter().wrapping_add(OFFSET.load(Relaxed)))
    }

    /// Time since an earlier moment; zero if it was not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(ticks_to_ns(self.0.saturating_sub(earlier.0)))
    }

    /// The moment at which this incarnation has run for so long.
    pub(crate) fn at_uptime(uptime: Duration) -> Self {
        Self(STARTED.load(Relaxed)).after(uptime)
    }

    /// Ticks of the counter in so many nanoseconds.
    pub(crate) fn ticks(ns: u64) -> u64 {
        ns_to_ticks(ns)
    }

    /// Ticks of the time stamp counter since an earlier moment; [`hz`] of them in a second.
    #[inline]
    pub fn ticks_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This moment and a duration later.
    pub fn after(self, duration: Duration) -> Self {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(ns_to_ticks(ns)))
    }
}

/// Frequency of the time stamp counter, in Hz.
pub fn hz() -> u64 {
    boot::page().tsc_hz
}

/// Time since this incarnation started.
pub fn uptime() -> Duration {
    Instant::now().since(Instant(STARTED.load(Relaxed)))
}

/// Unix time, as exact as the start of a micro-VM is short (some 0.1 ms).
pub fn unix_time() -> Duration {
    Duration::from_nanos(boot::page().started_unix_ns.load(Relaxed)) + uptime()
}

pub(crate) fn adopt() {
    STARTED.store(Instant::now().0, Relaxed);
}

/// Adopts the clock in an incarnation that began from a snapshot, which was taken at a moment that
/// had this Unix time. It is as much later now as the host's clock says; no earlier in any case.
pub(crate) fn adopt_after(moment: Instant, unix_time: Duration) {
    let now = Duration::from_nanos(boot::page().started_unix_ns.load(Relaxed));
    let now = moment.after(now.saturating_sub(unix_time));
    OFFSET.store(now.0.wrapping_sub(counter()), Relaxed);
    adopt();
}

fn counter() -> u64 {
    // SAFETY: RDTSC is allowed in ring 3, reads a counter and has no other effect.
    unsafe { core::arch::x86_64::_rdtsc() }
}

fn ticks_to_ns(ticks: u64) -> u64 {
    let hz = u128::from(boot::page().tsc_hz.max(1));
    (u128::from(ticks) * 1_000_000_000 / hz) as u64
}

fn ns_to_ticks(ns: u64) -> u64 {
    (u128::from(ns) * u128::from(boot::page().tsc_hz) / 1_000_000_000) as u64
}

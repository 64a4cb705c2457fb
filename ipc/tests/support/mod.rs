//! Rings and channels on the heap, for tests: inside the crate, beside it, and under loom.

#![allow(dead_code, reason = "each test binary uses another part of it")]

use std::boxed::Box;
use std::fmt;
use std::sync::Arc;

use atoll_ipc::channel::{Region, Shared, Status};
use atoll_ipc::ring::{Control, Memory};
use atoll_ipc::sync::AtomicU64;

/// A data area of zeros.
fn zeros(words: usize) -> Box<[AtomicU64]> {
    (0..words).map(|_| AtomicU64::new(0)).collect()
}

/// A ring that both ends hold.
#[derive(Clone)]
pub struct HeapRing(Arc<(Control, Box<[AtomicU64]>)>);

impl HeapRing {
    pub fn new(words: usize) -> Self {
        Self(Arc::new((Control::default(), zeros(words))))
    }
}

impl fmt::Debug for HeapRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeapRing({} words)", self.0.1.len())
    }
}

impl Memory for HeapRing {
    fn control(&self) -> &Control {
        &self.0.0
    }

    fn data(&self) -> &[AtomicU64] {
        &self.0.1
    }
}

struct Parts {
    status: Box<Status>,
    shared: Box<Shared>,
    requests: Box<[AtomicU64]>,
    replies: Box<[AtomicU64]>,
}

/// A channel that both ends and the nucleus hold. Its rings may be smaller than a real one's, so
/// that tests reach their ends soon.
#[derive(Clone)]
pub struct HeapChannel(Arc<Parts>);

impl HeapChannel {
    /// A channel whose two ends are in epoch 1.
    pub fn new(request_words: usize, reply_words: usize) -> Self {
        let parts = Parts {
            status: Box::default(),
            shared: Box::default(),
            requests: zeros(request_words),
            replies: zeros(reply_words),
        };
        parts.status.initialise(0x5eed, 1, 1);
        Self(Arc::new(parts))
    }
}

impl fmt::Debug for HeapChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeapChannel({} + {} words)", self.0.requests.len(), self.0.replies.len())
    }
}

impl Region for HeapChannel {
    fn status(&self) -> &Status {
        &self.0.status
    }

    fn shared(&self) -> &Shared {
        &self.0.shared
    }

    fn requests(&self) -> &[AtomicU64] {
        &self.0.requests
    }

    fn replies(&self) -> &[AtomicU64] {
        &self.0.replies
    }
}

/// How many cases a property is tried with; Miri, a thousand times slower, gets a handful.
#[cfg(not(loom))]
pub fn cases(cases: u32) -> proptest::test_runner::Config {
    let mut config = proptest::test_runner::Config::with_cases(cases);
    if cfg!(miri) {
        config.cases = 2;
        // Failed cases are stored in files, which Miri does not let a test touch.
        config.failure_persistence = None;
    }
    config
}

/// How many operations a case may have; fewer under Miri, for the same reason.
pub const fn steps(most: usize) -> usize {
    if cfg!(miri) { 25 } else { most }
}

/// Each value from 0 up to and with the highest; under Miri only some of them, and the highest.
pub fn each(highest: usize, miri_step: usize) -> impl Iterator<Item = usize> {
    let step = if cfg!(miri) { miri_step } else { 1 };
    (0..highest).step_by(step).chain([highest])
}

/// Payload bytes that differ from record to record and from place to place.
pub fn pattern(seed: u64, length: usize) -> std::vec::Vec<u8> {
    let mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..length).map(|at| (mixed >> (at % 8 * 8)) as u8 ^ (at / 8) as u8).collect()
}

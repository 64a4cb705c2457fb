//! One copy into shared memory and one out of it for each message, between two threads: the floor
//! under every carrier that copies.

use std::cell::UnsafeCell;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;

use crate::payload::Payload;
use crate::side::as_threads;
use crate::subjects::{ONE_WAY_SIZES, Runner, Subject, one_way, round_trips};
use crate::suites::{self, Link, Receive, Send};
use crate::task::Task;
use crate::wire::{Case, Cpus, Outcome, Suite, Wait};

/// Messages under way at most: enough that neither side waits for the other's copy to end.
const SLOTS: usize = 4;

/// The peer.
pub const SUBJECT: Subject = Subject { name: "memcpy", cases, runner: Runner::Threads(measure) };

fn cases() -> Vec<Case> {
    round_trips(SUBJECT.name, Wait::Polling, Cpus::Two, &ONE_WAY_SIZES)
        .chain(one_way(SUBJECT.name, Wait::Polling, &ONE_WAY_SIZES))
        .collect()
}

fn measure(task: &Task) -> Result<Outcome> {
    match task.case.suite {
        Suite::RoundTrip => there_and_back(task),
        _ => one_direction(task),
    }
}

/// The slots of one direction, used in turn by one [`Writer`] and one [`Reader`].
#[derive(Debug)]
struct Lane([Slot; SLOTS]);

/// A place for one message. The flag says whose it is: the writer's while it is down, the reader's
/// while it is up, and only its owner changes it.
#[derive(Debug)]
#[repr(align(128))]
struct Slot {
    full: AtomicBool,
    bytes: UnsafeCell<Vec<u8>>,
}

// SAFETY: `bytes` is only touched by the side that owns the slot, and the flag hands it over: stored
// with Release after the last access, loaded with Acquire before the first. `Lane::ends` gives out
// one writer and one reader.
unsafe impl Sync for Slot {}

impl Slot {
    #[inline]
    #[expect(clippy::missing_spin_loop, reason = "PAUSE would put off the sight of the change")]
    fn wait_until(&self, full: bool) {
        while self.full.load(Ordering::Acquire) != full {}
    }
}

#[derive(Debug)]
struct Writer<'a> {
    lane: &'a Lane,
    next: usize,
    payload: Payload,
}

#[derive(Debug)]
struct Reader<'a> {
    lane: &'a Lane,
    next: usize,
    payload: Payload,
}

impl Lane {
    fn new(size: usize) -> Self {
        Self(std::array::from_fn(|_| Slot {
            full: AtomicBool::new(false),
            bytes: UnsafeCell::new(vec![0; size]),
        }))
    }

    /// The two ends. The lane stays borrowed for as long as they live: there are no others.
    fn ends(&mut self, size: usize) -> Result<(Writer<'_>, Reader<'_>)> {
        let lane = &*self;
        let writer = Writer { lane, next: 0, payload: Payload::new(size)? };
        let reader = Reader { lane, next: 0, payload: Payload::new(size)? };
        Ok((writer, reader))
    }
}

impl Send for Writer<'_> {
    #[inline]
    fn send(&mut self, word: u64) -> Result<()> {
        let slot = &self.lane.0[self.next];
        self.next = (self.next + 1) % SLOTS;
        self.payload.stamp(word);
        slot.wait_until(false);
        // SAFETY: the flag is down, so the slot is the writer's, and this is the only writer.
        unsafe { &mut *slot.bytes.get() }.copy_from_slice(&self.payload);
        slot.full.store(true, Ordering::Release);
        Ok(())
    }
}

impl Receive for Reader<'_> {
    #[inline]
    fn receive(&mut self) -> Result<u64> {
        let slot = &self.lane.0[self.next];
        self.next = (self.next + 1) % SLOTS;
        slot.wait_until(true);
        // SAFETY: the flag is up, so the slot is the reader's, and this is the only reader.
        self.payload.copy_from_slice(unsafe { &*slot.bytes.get() });
        slot.full.store(false, Ordering::Release);
        black_box(&mut self.payload).word()
    }
}

fn there_and_back(task: &Task) -> Result<Outcome> {
    let size = task.case.size;
    let (mut there, mut back) = (Lane::new(size), Lane::new(size));
    let ((there, out), (back, home)) = (there.ends(size)?, back.ends(size)?);
    as_threads(
        task,
        move || suites::round_trips(&mut Link(there, home), task.budget()).map(Some),
        move || suites::echo(&mut Link(back, out)).map(|()| None),
    )
}

fn one_direction(task: &Task) -> Result<Outcome> {
    let mut lane = Lane::new(task.case.size);
    let (mut writer, mut reader) = lane.ends(task.case.size)?;
    as_threads(
        task,
        move || suites::produce(&mut writer, task.budget(), task.case.size).map(|()| None),
        move || suites::consume(&mut reader).map(Some),
    )
}

//! The bare rings between two threads: what the layers above them are compared with.

use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use atoll_ipc::channel::{Layout, Replies, Requests};
use atoll_ipc::record::Kind;
use atoll_ipc::ring::{Consumer, Memory, Producer, Record};

use super::super::histogram;
use super::super::subject::Sample;
use super::super::wire::{Case, Suite};
use super::AtollError;
use super::floor::pin;
use super::system::cpus;
use crate::channel::ChannelMemory;
use crate::system::SystemError;

const SECRET: u64 = 7;
/// Messages between two looks at the clock.
const STRIDE: u64 = 256;

/// Measures one round.
pub(super) fn measure(case: &Case, millis: u32) -> Result<Sample, AtollError> {
    let memory = ChannelMemory::new(Layout::PLAIN).map_err(SystemError::from)?;
    let cpus = cpus()?;
    let (first, second) = (cpus[0], *cpus.get(1).unwrap_or(&cpus[0]));
    let (over, ready) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let time = Duration::from_millis(millis.into());
    thread::scope(|scope| {
        scope.spawn(|| {
            pin(second);
            serve(&memory, case, &ready, &over);
        });
        let asked = scope.spawn(|| {
            pin(first);
            while !ready.load(Ordering::Acquire) {
                spin_loop();
            }
            let sample = match case.suite {
                Suite::RoundTrip => round_trips(&memory, case.size, time),
                _ => Ok(one_way(&memory, case.size, time)),
            };
            over.store(true, Ordering::Release);
            sample
        });
        asked.join().map_err(|_| AtollError::Impossible("a dead thread".into()))?
    })
}

fn serve(memory: &ChannelMemory, case: &Case, ready: &AtomicBool, over: &AtomicBool) {
    let mut requests = Consumer::new(Requests(memory.clone()), SECRET, 1, 0);
    let mut replies = Producer::new(Replies(memory.clone()), !SECRET, 1);
    let mut payload = vec![0; case.size];
    ready.store(true, Ordering::Release);
    loop {
        let Some(record) = next(&mut requests, || over.load(Ordering::Acquire)) else { return };
        requests.read(&record, 0, &mut payload);
        if case.suite == Suite::RoundTrip {
            put(&mut replies, Kind::Reply, &payload);
        }
        requests.take(&record);
        requests.release(record.end());
    }
}

/// Publishes a record, as soon as there is room.
fn put<M: Memory>(producer: &mut Producer<M>, kind: Kind, payload: &[u8]) {
    loop {
        if let Ok(mut reservation) = producer.reserve(payload.len()) {
            reservation.write(0, payload);
            reservation.commit(kind, 0);
            // Nobody sleeps here; but asking is part of what a message costs.
            let _ = producer.must_kick();
            return;
        }
        spin_loop();
    }
}

/// The next record, if it comes before the end.
fn next<M: Memory>(consumer: &mut Consumer<M>, is_over: impl Fn() -> bool) -> Option<Record> {
    loop {
        if let Ok(Some(record)) = consumer.peek() {
            return Some(record);
        }
        if is_over() {
            return None;
        }
        spin_loop();
    }
}

fn round_trips(memory: &ChannelMemory, size: usize, time: Duration) -> Result<Sample, AtollError> {
    let mut requests = Producer::new(Requests(memory.clone()), SECRET, 1);
    let mut replies = Consumer::new(Replies(memory.clone()), !SECRET, 1, 0);
    let (mut payload, mut times) = (vec![0; size], histogram::empty()?);
    let began = Instant::now();
    let mut last = began;
    while last.duration_since(began) < time {
        put(&mut requests, Kind::Call, &payload);
        let Some(record) = next(&mut replies, || false) else { break };
        replies.read(&record, 0, &mut payload);
        replies.take(&record);
        replies.release(record.end());
        let now = Instant::now();
        times.saturating_record(now.duration_since(last).as_nanos() as u64);
        last = now;
    }
    Ok(Sample::Times(times))
}

fn one_way(memory: &ChannelMemory, size: usize, time: Duration) -> Sample {
    let mut requests = Producer::new(Requests(memory.clone()), SECRET, 1);
    let payload = vec![0; size];
    let began = Instant::now();
    let mut sent = 0;
    while began.elapsed() < time {
        for _ in 0..STRIDE {
            put(&mut requests, Kind::Send, &payload);
        }
        sent += STRIDE;
    }
    // What is still under way is no more than a ring.
    while requests.released().is_ok_and(|released| released < requests.tail()) {
        spin_loop();
    }
    Sample::Rate(sent as f64 / began.elapsed().as_secs_f64())
}

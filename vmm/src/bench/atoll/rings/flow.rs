//! Messages one way through the request ring.

use std::hint::spin_loop;
use std::time::{Duration, Instant};

use atoll_ipc::channel::Requests;
use atoll_ipc::message::IpcError;
use atoll_ipc::record::Kind;
use atoll_ipc::ring::{Consumer, Memory, Producer};

use super::Meeting;
use crate::bench::subject::Sample;
use crate::channel::ChannelMemory;

/// Both sides agree on it.
const SECRET: u64 = 7;
/// Messages between two looks at the clock.
const STRIDE: u64 = 256;

/// Takes messages until the other side ends.
pub(super) fn take(memory: &ChannelMemory, size: usize, meeting: &Meeting) {
    let mut requests = Consumer::new(Requests(memory.clone()), SECRET, 1, 0);
    let mut payload = vec![0; size];
    meeting.open();
    loop {
        match requests.peek() {
            Ok(Some(record)) => {
                requests.read(&record, 0, &mut payload);
                requests.take(&record);
                requests.release(record.end());
            }
            Ok(None) if !meeting.is_over() => spin_loop(),
            Ok(None) | Err(_) => return,
        }
    }
}

/// Sends messages for a while, and until all are taken.
pub(super) fn send(
    memory: &ChannelMemory,
    size: usize,
    millis: u32,
    meeting: &Meeting,
) -> Result<Sample, IpcError> {
    if !meeting.wait_until(|| meeting.is_open()) {
        return Err(IpcError::PeerGone);
    }
    let mut requests = Producer::new(Requests(memory.clone()), SECRET, 1);
    let (payload, time) = (vec![0; size], Duration::from_millis(millis.into()));
    let began = Instant::now();
    let mut sent = 0;
    while began.elapsed() < time {
        for _ in 0..STRIDE {
            put(&mut requests, &payload, meeting)?;
        }
        sent += STRIDE;
    }
    // What is still under way is no more than a ring.
    if !meeting.wait_until(|| requests.released().is_ok_and(|end| end >= requests.tail())) {
        return Err(IpcError::PeerGone);
    }
    Ok(Sample::Rate(sent as f64 / began.elapsed().as_secs_f64()))
}

/// Publishes a record, as soon as there is room.
#[inline(always)]
fn put<M: Memory>(
    producer: &mut Producer<M>,
    payload: &[u8],
    meeting: &Meeting,
) -> Result<(), IpcError> {
    loop {
        if let Ok(mut reservation) = producer.reserve(payload.len()) {
            reservation.write(0, payload);
            reservation.commit(Kind::Send, 0);
            // Nobody sleeps here; but asking is part of what a message costs.
            let _ = producer.must_kick();
            return Ok(());
        }
        if meeting.is_over() {
            return Err(IpcError::PeerGone);
        }
        spin_loop();
    }
}

//! Every interleaving of small programs on rings and channels, as the memory model allows them.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test -p atoll-ipc --release --test loom`. A wake-up
//! that is lost shows as a deadlock, which loom reports.

#![cfg(loom)]

#[path = "loom/channel.rs"]
mod channel;
#[path = "loom/exchange.rs"]
mod exchange;
#[path = "loom/ready.rs"]
mod ready;
mod support;

use std::sync::Arc;

use atoll_ipc::record::Kind;
use atoll_ipc::ring::{Consumer, MIN_WORDS, Memory, Producer, RingError, max_payload};
use loom::sync::{Condvar, Mutex};
use loom::thread;
use support::HeapRing;

const SECRET: u64 = 0x5eed;

/// Explores every interleaving with at most so many forced switches between threads.
fn model_within(preemptions: Option<usize>, program: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.max_branches = 20_000;
    builder.check(program);
}

/// Explores every interleaving: most programs here are small enough.
fn model(program: impl Fn() + Sync + Send + 'static) {
    model_within(None, program);
}

/// Bytes of stack for a thread that has ends of channels on it.
const STACK: usize = 256 << 10;

/// A thread that has room for ends of channels.
fn spawn<T: Send + 'static>(part: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    // Loom passes the size on to a library that counts in words.
    thread::Builder::new().stack_size(STACK / size_of::<usize>()).spawn(part).unwrap()
}

/// [`model_within`] for a program whose first thread has ends of channels, too.
fn channel_model(preemptions: Option<usize>, program: impl Fn() + Copy + Sync + Send + 'static) {
    model_within(preemptions, move || spawn(program).join().unwrap());
}

/// An eventfd: kicks coalesce, and a wait takes them all.
#[derive(Default)]
struct Bell {
    state: Mutex<(bool, u32)>,
    rung: Condvar,
}

impl Bell {
    fn kick(&self) {
        let mut state = self.state.lock().unwrap();
        *state = (true, state.1 + 1);
        self.rung.notify_one();
    }

    fn wait(&self) {
        let mut state = self.state.lock().unwrap();
        while !state.0 {
            state = self.rung.wait(state).unwrap();
        }
        state.0 = false;
    }

    fn kicks(&self) -> u32 {
        self.state.lock().unwrap().1
    }
}

fn ring() -> (HeapRing, Producer<HeapRing>, Consumer<HeapRing>) {
    let memory = HeapRing::new(MIN_WORDS);
    let producer = Producer::new(memory.clone(), SECRET, 1);
    let consumer = Consumer::new(memory.clone(), SECRET, 1, 0);
    (memory, producer, consumer)
}

fn push(producer: &mut Producer<HeapRing>, value: u64) -> Result<(), RingError> {
    let mut reservation = producer.reserve(8)?;
    reservation.write(0, &value.to_le_bytes());
    reservation.commit(Kind::Send, value as u32);
    Ok(())
}

/// Takes, checks and releases a record.
fn pop(consumer: &mut Consumer<HeapRing>) -> Option<u64> {
    let record = consumer.peek().unwrap()?;
    let mut bytes = [0; 8];
    consumer.read(&record, 0, &mut bytes);
    consumer.take(&record);
    consumer.release(record.end());
    let value = u64::from_le_bytes(bytes);
    assert_eq!(record.head().word, value as u32, "header and payload are of one record");
    Some(value)
}

#[test]
fn loom_what_is_published_is_seen_whole_and_in_order() {
    model(|| {
        let (_, mut producer, mut consumer) = ring();
        let writer = thread::spawn(move || {
            push(&mut producer, 11).unwrap();
            push(&mut producer, 12).unwrap();
        });
        let mut next = 11;
        while next <= 12 {
            match pop(&mut consumer) {
                Some(value) => {
                    assert_eq!(value, next);
                    next += 1;
                }
                None => thread::yield_now(),
            }
        }
        writer.join().unwrap();
        assert_eq!(pop(&mut consumer), None);
    });
}

#[test]
fn loom_no_byte_is_overwritten_before_its_last_read() {
    model(|| {
        let (_, mut producer, mut consumer) = ring();
        for value in 1..=4 {
            push(&mut producer, value).unwrap();
        }
        assert_eq!(push(&mut producer, 5), Err(RingError::Full));
        let writer = thread::spawn(move || {
            while push(&mut producer, 5) == Err(RingError::Full) {
                thread::yield_now();
            }
        });
        for value in 1..=4 {
            assert_eq!(pop(&mut consumer), Some(value));
        }
        writer.join().unwrap();
        assert_eq!(pop(&mut consumer), Some(5));
    });
}

/// The consumer's part: wait for a record the way that a server waits.
fn pop_or_sleep(consumer: &mut Consumer<HeapRing>, bell: &Bell) -> (u64, bool) {
    let mut declared = false;
    loop {
        if let Some(value) = pop(consumer) {
            return (value, declared);
        }
        consumer.declare_asleep();
        declared = true;
        if let Some(value) = pop(consumer) {
            consumer.declare_awake();
            return (value, declared);
        }
        bell.wait();
    }
}

#[test]
fn loom_a_consumer_that_sleeps_is_woken_and_one_that_is_awake_is_not_kicked() {
    model(|| {
        let (_, mut producer, mut consumer) = ring();
        let bell = Arc::new(Bell::default());
        let theirs = bell.clone();
        let writer = thread::spawn(move || {
            push(&mut producer, 7).unwrap();
            if producer.must_kick() {
                theirs.kick();
            }
        });
        let (value, declared) = pop_or_sleep(&mut consumer, &bell);
        assert_eq!(value, 7);
        writer.join().unwrap();
        assert!(bell.kicks() <= u32::from(declared), "a kick without a sleeper");
    });
}

#[test]
fn loom_a_consumer_that_sleeps_again_and_again_is_woken_each_time() {
    model(|| {
        let (_, mut producer, mut consumer) = ring();
        let bell = Arc::new(Bell::default());
        let theirs = bell.clone();
        let writer = thread::spawn(move || {
            for value in 1..=2 {
                push(&mut producer, value).unwrap();
                if producer.must_kick() {
                    theirs.kick();
                }
            }
        });
        assert_eq!(pop_or_sleep(&mut consumer, &bell).0, 1);
        assert_eq!(pop_or_sleep(&mut consumer, &bell).0, 2);
        writer.join().unwrap();
    });
}

#[test]
fn loom_a_producer_that_waits_for_room_is_woken() {
    model(|| {
        let (_, mut producer, mut consumer) = ring();
        let longest = max_payload(MIN_WORDS * 8);
        for _ in 0..2 {
            producer.reserve(longest).unwrap().commit(Kind::Send, 0);
        }
        let bell = Arc::new(Bell::default());
        let theirs = bell.clone();
        let reader = thread::spawn(move || {
            for _ in 0..2 {
                let record = consumer.peek().unwrap().unwrap();
                consumer.take(&record);
                consumer.release(record.end());
                if consumer.must_kick() {
                    theirs.kick();
                }
            }
        });
        let mut declared = 0;
        while push(&mut producer, 9) == Err(RingError::Full) {
            producer.declare_starved();
            declared += 1;
            if push(&mut producer, 9).is_ok() {
                break;
            }
            bell.wait();
        }
        reader.join().unwrap();
        assert!(bell.kicks() <= declared);
    });
}

#[test]
fn loom_what_a_live_producer_claims_is_never_behind_what_a_dead_consumer_took() {
    model(|| {
        let (memory, mut producer, mut consumer) = ring();
        let reader = thread::spawn(move || {
            while pop(&mut consumer).is_none() {
                thread::yield_now();
            }
        });
        let writer = thread::spawn(move || push(&mut producer, 3).unwrap());
        reader.join().unwrap();
        let claims = memory.control().claims();
        assert_eq!(claims.taken, 32);
        assert!(claims.taken <= claims.tail, "{claims:?}");
        writer.join().unwrap();
    });
}

//! Rings and channels between real threads: what arrives is what was sent, whole and in order,
//! nobody is left asleep, and a server may die under its client again and again.

#![cfg(not(loom))]

mod support;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use atoll_ipc::channel::restart_server;
use atoll_ipc::client::{Client, ClientEvent};
use atoll_ipc::message::{IpcError, Status};
use atoll_ipc::record::{Kind, RequestKind};
use atoll_ipc::ring::{Consumer, Producer, Record, RingError};
use atoll_ipc::server::Server;
use support::{HeapChannel, HeapRing, pattern};

const SECRET: u64 = 0x5eed;
/// Far beyond what any wait here lasts: reaching it is a lost wake-up.
const FOR_EVER: Duration = Duration::from_secs(60);

/// Less under Miri, which is a thousand times slower.
const fn scaled(count: u64, miri: u64) -> u64 {
    if cfg!(miri) { miri } else { count }
}

/// Tells the other threads when one of them fails, so that none spins for ever.
#[derive(Default)]
struct Alarm(AtomicBool);

impl Alarm {
    /// One turn of a waiting loop.
    fn pause(&self) {
        assert!(!self.0.load(Relaxed), "another thread failed");
        thread::yield_now();
    }
}

/// Raises the alarm if its thread panics.
struct Guard(Arc<Alarm>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.0.fetch_or(thread::panicking(), Relaxed);
    }
}

/// Numbers that look random and are the same in both threads (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }
}

/// An eventfd: kicks coalesce, and a wait takes them all.
#[derive(Default)]
struct Bell(Mutex<bool>, Condvar);

impl Bell {
    fn kick(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_one();
    }

    fn wait(&self) {
        let rung = self.0.lock().unwrap();
        let (mut rung, result) = self.1.wait_timeout_while(rung, FOR_EVER, |rung| !*rung).unwrap();
        assert!(!result.timed_out(), "a wake-up was lost");
        *rung = false;
    }
}

fn check(consumer: &Consumer<HeapRing>, record: &Record, seed: u64, length: usize) {
    assert_eq!((record.head().word, record.len()), (seed as u32, length));
    let mut payload = vec![0; length];
    consumer.read(record, 0, &mut payload);
    assert_eq!(payload, pattern(seed, length));
}

#[test]
fn records_of_any_size_arrive_whole_and_in_order() {
    let records = scaled(100_000, 60);
    let memory = HeapRing::new(64);
    let mut producer = Producer::new(memory.clone(), SECRET, 1);
    let mut consumer = Consumer::new(memory, SECRET, 1, 0);
    let limit = producer.max_payload() + 1;
    let alarm = Arc::new(Alarm::default());
    let guard = Guard(alarm.clone());
    let writer = thread::spawn(move || {
        let mut sizes = Numbers(1);
        for seed in 0..records {
            let payload = pattern(seed, sizes.below(limit));
            let mut reservation = loop {
                // Asked twice, because a reservation that is kept would borrow the producer
                // beyond the loop that waits for it.
                match producer.reserve(payload.len()).map(drop) {
                    Ok(()) => break producer.reserve(payload.len()).unwrap(),
                    Err(error) => assert_eq!(error, RingError::Full),
                }
                guard.0.pause();
            };
            reservation.write(0, &payload);
            reservation.commit(Kind::Send, seed as u32);
        }
    });
    let _guard = Guard(alarm.clone());
    let mut sizes = Numbers(1);
    for seed in 0..records {
        let record = loop {
            match consumer.peek().unwrap() {
                Some(record) => break record,
                None => alarm.pause(),
            }
        };
        check(&consumer, &record, seed, sizes.below(limit));
        consumer.take(&record);
        consumer.release(record.end());
    }
    writer.join().unwrap();
    assert_eq!(consumer.peek(), Ok(None));
}

/// One end's part of a ping-pong that sleeps whenever it finds nothing to do.
fn sleep_unless(
    mut works: impl FnMut() -> bool,
    declare: impl Fn(),
    awake: impl Fn(),
    bell: &Bell,
) {
    while !works() {
        declare();
        if works() {
            awake();
            return;
        }
        bell.wait();
    }
}

#[test]
fn two_ends_that_sleep_whenever_they_can_are_always_woken() {
    let rounds = scaled(20_000, 20);
    let bells = Arc::new((Bell::default(), Bell::default()));
    let theirs = bells.clone();
    let (there, back) = (HeapRing::new(16), HeapRing::new(16));
    let mut echo_in = Consumer::new(there.clone(), SECRET, 1, 0);
    let mut echo_out = Producer::new(back.clone(), SECRET, 1);
    let mut out = Producer::new(there, SECRET, 1);
    let mut replies = Consumer::new(back, SECRET, 1, 0);
    let echo = thread::spawn(move || {
        for _ in 0..rounds {
            let word = next(&mut echo_in, &theirs.1);
            echo_out.reserve(0).unwrap().commit(Kind::Reply, word);
            if echo_out.must_kick() {
                theirs.0.kick();
            }
        }
    });
    for round in 0..rounds as u32 {
        out.reserve(0).unwrap().commit(Kind::Call, round);
        if out.must_kick() {
            bells.1.kick();
        }
        assert_eq!(next(&mut replies, &bells.0), round);
    }
    echo.join().unwrap();
}

/// The word of the next record, which it waits for asleep.
fn next(consumer: &mut Consumer<HeapRing>, bell: &Bell) -> u32 {
    let reader = std::cell::RefCell::new(consumer);
    let mut word = 0;
    let works = || {
        let mut consumer = reader.borrow_mut();
        let Some(record) = consumer.peek().unwrap() else { return false };
        consumer.take(&record);
        consumer.release(record.end());
        word = record.head().word;
        true
    };
    let (declare, awake) =
        (|| reader.borrow().declare_asleep(), || reader.borrow().declare_awake());
    sleep_unless(works, declare, awake, bell);
    word
}

#[test]
fn a_producer_that_sleeps_until_there_is_room_is_always_woken() {
    let records = scaled(20_000, 30) as u32;
    let memory = HeapRing::new(16);
    let mut producer = Producer::new(memory.clone(), SECRET, 1);
    let mut consumer = Consumer::new(memory, SECRET, 1, 0);
    let bell = Arc::new(Bell::default());
    let theirs = bell.clone();
    let alarm = Arc::new(Alarm::default());
    let guard = Guard(alarm.clone());
    let reader = thread::spawn(move || {
        let mut expected = 0;
        while expected < records {
            let Some(record) = consumer.peek().unwrap() else {
                guard.0.pause();
                continue;
            };
            assert_eq!(record.head().word, expected);
            expected += 1;
            consumer.take(&record);
            consumer.release(record.end());
            if consumer.must_kick() {
                theirs.kick();
            }
        }
    });
    let _guard = Guard(alarm);
    for word in 0..records {
        let length = word as usize % (producer.max_payload() + 1);
        while producer.reserve(length).is_err() {
            producer.declare_starved();
            if producer.reserve(length).is_err() {
                bell.wait();
            }
        }
        producer.reserve(length).unwrap().commit(Kind::Send, word);
    }
    reader.join().unwrap();
}

/// A server that echoes a random number of requests and then dies with one in its hands; the
/// nucleus sends in the next, until the client has had enough.
fn mortal_servers(channel: &HeapChannel, alarm: &Alarm, done: &AtomicBool) -> u32 {
    let mut lives = Numbers(7);
    for epoch in 2.. {
        let mut server = Server::attach(channel.clone());
        let mut left = 1 + lives.below(40);
        while left > 0 {
            if done.load(Relaxed) {
                return epoch - 2;
            }
            let Some(mut request) = server.poll().unwrap() else {
                alarm.pause();
                continue;
            };
            left -= 1;
            let word = u32::from(request.operation());
            while let Err((again, error)) = server.reply(request, Status::Ok, 4, |room| {
                room.write(0, &word.to_le_bytes());
            }) {
                assert_eq!(error, IpcError::Full);
                if done.load(Relaxed) {
                    return epoch - 2;
                }
                alarm.pause();
                request = again;
            }
        }
        drop(server.poll());
        restart_server(channel, epoch);
    }
    unreachable!("epochs are not used up")
}

#[test]
fn each_call_to_servers_that_die_again_and_again_has_one_outcome() {
    let calls = scaled(50_000, 40) as usize;
    let channel = HeapChannel::new(64, 64);
    let (alarm, done) = (Arc::new(Alarm::default()), Arc::new(AtomicBool::new(false)));
    let (theirs, over, guard) = (channel.clone(), done.clone(), Guard(alarm.clone()));
    let nucleus = thread::spawn(move || mortal_servers(&theirs, &guard.0, &over));
    let _guard = Guard(alarm.clone());

    let mut client = Client::attach(channel);
    let mut waiting = std::collections::BTreeMap::new();
    let (mut sent, mut answered, mut failed) = (0, 0, 0);
    while answered + failed < calls {
        let operation = sent as u16;
        if sent < calls
            && let Ok(ticket) = client.request(RequestKind::Call, operation, 0, |_| ())
        {
            assert_eq!(waiting.insert(ticket.token(), (ticket, operation)), None);
            sent += 1;
        }
        match client.poll().unwrap() {
            Some(ClientEvent::Reply(reply)) => {
                let mut bytes = [0; 4];
                client.read(&reply, 0, &mut bytes);
                let (_, operation) = waiting.remove(&reply.token).expect("its only outcome");
                assert_eq!(u32::from_le_bytes(bytes), u32::from(operation));
                client.release(reply);
                answered += 1;
            }
            Some(ClientEvent::Restarted { resume }) => {
                let before = waiting.len();
                waiting.retain(|_, (ticket, _)| !ticket.was_taken(resume));
                failed += before - waiting.len();
            }
            None => alarm.pause(),
        }
    }
    done.store(true, Relaxed);
    let deaths = nucleus.join().unwrap();
    assert!(answered > 0 && failed > 0 && deaths > 0);
    assert!(failed <= deaths as usize, "a death costs the one call that was in service");
}

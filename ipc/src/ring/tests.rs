//! The ring, one rule at a time. `exchange` is about replies over their requests, `model` compares the
//! ring with a queue, `hostile` scribbles over it.

mod exchange;
mod hostile;
mod model;

use std::vec;
use std::vec::Vec;

use super::*;
use crate::record::{self, Head, ITEM, Item, Kind};
use crate::support::{HeapRing, each, pattern};
use crate::words::WORD;

const SECRET: u64 = 0x00c0_ffee;
/// The smallest data area, so that each test goes round it many times.
const BYTES: u64 = (MIN_WORDS * WORD) as u64;
const MAX: usize = max_payload(BYTES as usize);

impl Control {
    /// Overwrites one of the shared words, as a hostile peer could.
    pub(crate) fn scribble(&self, which: u8, value: u64) {
        let (producer, consumer, waiting) = (&self.producer.0, &self.consumer.0, &self.waiting.0);
        match which % 7 {
            0 => producer.tail.store(value, Relaxed),
            1 => producer.generation.store(value as u32, Relaxed),
            2 => consumer.head.store(value, Relaxed),
            3 => consumer.taken.store(value, Relaxed),
            4 => consumer.generation.store(value as u32, Relaxed),
            5 => waiting.asleep.store(value as u32, Relaxed),
            _ => waiting.starved.store(value as u32, Relaxed),
        }
    }
}

type Ends = (HeapRing, Producer<HeapRing>, Consumer<HeapRing>);

fn ring() -> Ends {
    let memory = HeapRing::new(MIN_WORDS);
    let producer = Producer::new(memory.clone(), SECRET, 1);
    let consumer = Consumer::new(memory.clone(), SECRET, 1, 0);
    (memory, producer, consumer)
}

/// A ring whose next record begins at `position`, and in which nothing waits.
fn ring_at(position: u64) -> Ends {
    let (memory, mut producer, mut consumer) = ring();
    while producer.tail() < position {
        push(&mut producer, 0).unwrap();
        pop(&mut consumer);
    }
    (memory, producer, consumer)
}

/// A record with a pattern that follows from its length.
fn push(producer: &mut Producer<HeapRing>, length: usize) -> Result<u64, RingError> {
    let mut reservation = producer.reserve(length)?;
    reservation.write(0, &pattern(length as u64, length));
    Ok(reservation.commit(Kind::Send, length as u32))
}

fn take(consumer: &mut Consumer<HeapRing>) -> Option<Record> {
    let record = consumer.peek().unwrap()?;
    consumer.take(&record);
    Some(record)
}

fn read(consumer: &Consumer<HeapRing>, record: &Record) -> Vec<u8> {
    let mut bytes = vec![0; record.len()];
    consumer.read(record, 0, &mut bytes);
    bytes
}

/// Takes a record, checks its pattern and releases it; returns its length.
fn pop(consumer: &mut Consumer<HeapRing>) -> Option<usize> {
    let record = take(consumer)?;
    assert_eq!(read(consumer, &record), pattern(record.head().word.into(), record.len()));
    consumer.release(record.end());
    Some(record.len())
}

#[test]
fn a_key_is_odd_and_differs_between_generations_and_secrets() {
    let keys: Vec<u64> =
        (0..64).flat_map(|n| [key(SECRET, n), key(SECRET + 1, n), key(!SECRET, n)]).collect();
    for (at, key) in keys.iter().enumerate() {
        assert!(key & 1 == 1, "fresh memory must not be taken for a record");
        assert!(!keys[..at].contains(key));
    }
}

#[test]
fn the_longest_payload_takes_up_half_of_the_ring() {
    assert_eq!(MAX, 48);
    assert_eq!(record::size(0, max_payload(1 << 20)), 1 << 19);
    assert_eq!(max_payload(1 << 28), record::LENGTH_MAX);
}

#[test]
fn a_record_of_any_length_passes_at_any_offset_with_the_pad_it_needs() {
    for offset in (0..BYTES).step_by(16) {
        for length in each(MAX, 15) {
            let (_, mut producer, mut consumer) = ring_at(BYTES + offset);
            let size = record::size(0, length) as u64;
            let pad = if offset + size > BYTES { BYTES - offset } else { 0 };
            assert_eq!(push(&mut producer, length), Ok(BYTES + offset + pad));
            assert_eq!(producer.tail(), BYTES + offset + pad + size);
            assert_eq!(pop(&mut consumer), Some(length));
            assert_eq!(consumer.peek(), Ok(None));
        }
    }
}

#[test]
fn a_ring_can_be_filled_to_its_last_byte_and_no_further() {
    let (_, mut producer, mut consumer) = ring();
    for _ in 0..BYTES / 16 {
        push(&mut producer, 0).unwrap();
    }
    assert_eq!(producer.tail(), BYTES);
    assert_eq!(push(&mut producer, 0), Err(RingError::Full));
    assert_eq!(pop(&mut consumer), Some(0));
    push(&mut producer, 0).unwrap();
    assert_eq!(push(&mut producer, 0), Err(RingError::Full));
}

#[test]
fn taking_gives_no_space_back_before_the_release() {
    let (_, mut producer, mut consumer) = ring();
    push(&mut producer, MAX).unwrap();
    push(&mut producer, MAX).unwrap();
    let (first, second) = (take(&mut consumer).unwrap(), take(&mut consumer).unwrap());
    assert_eq!(push(&mut producer, 0), Err(RingError::Full));
    consumer.release(first.end());
    assert_eq!(push(&mut producer, MAX), Ok(BYTES));
    assert_eq!(push(&mut producer, 0), Err(RingError::Full));
    assert_eq!(read(&consumer, &second), pattern(MAX as u64, MAX), "it is not released yet");
}

#[test]
fn a_payload_that_could_never_fit_is_too_large_even_in_an_empty_ring() {
    let (_, mut producer, _) = ring();
    for length in [MAX + 1, BYTES as usize, record::LENGTH_MAX + 1, usize::MAX] {
        assert_eq!(producer.reserve(length).err(), Some(RingError::TooLarge));
    }
    assert_eq!(producer.max_payload(), MAX);
    assert!(producer.reserve(MAX).is_ok());
}

#[test]
fn a_dropped_reservation_leaves_no_trace_even_where_it_needs_a_pad() {
    for offset in (0..BYTES).step_by(16) {
        let (memory, mut producer, mut consumer) = ring_at(offset);
        let before = memory.control().claims();
        producer.reserve(MAX).unwrap().write(0, &[0xff; MAX]);
        assert_eq!(memory.control().claims(), before);
        assert!(!consumer.is_ready());
        assert_eq!(push(&mut producer, 0), Ok(offset));
        assert_eq!(pop(&mut consumer), Some(0));
    }
}

#[test]
fn nothing_is_visible_before_the_commit() {
    let (_, mut producer, mut consumer) = ring();
    let mut reservation = producer.reserve(16).unwrap();
    reservation.write(0, &[1; 16]);
    assert_eq!(consumer.peek(), Ok(None));
    reservation.commit(Kind::Call, 77);
    let record = consumer.peek().unwrap().unwrap();
    assert_eq!(record.head(), Head { length: 16, kind: Kind::Call, items: 0, word: 77 });
    assert_eq!((record.position, record.end()), (0, 32));
}

#[test]
fn parts_may_be_written_and_read_in_any_order() {
    let (_, mut producer, mut consumer) = ring();
    let mut reservation = producer.reserve(20).unwrap();
    reservation.write(16, &[3; 4]);
    reservation.write(0, &[1; 8]);
    reservation.write(8, &[2; 8]);
    reservation.commit(Kind::Send, 0);
    let record = take(&mut consumer).unwrap();
    let mut part = [0; 4];
    for (offset, value) in [(16, 3), (8, 2), (0, 1)] {
        consumer.read(&record, offset, &mut part);
        assert_eq!(part, [value; 4]);
    }
}

#[test]
#[should_panic]
fn a_write_beyond_the_payload_panics() {
    let (_, mut producer, _) = ring();
    producer.reserve(8).unwrap().write(8, &[0]);
}

#[test]
#[should_panic]
fn a_read_beyond_the_payload_panics() {
    let (_, mut producer, mut consumer) = ring();
    push(&mut producer, 8).unwrap();
    let record = take(&mut consumer).unwrap();
    consumer.read(&record, 8, &mut [0]);
}

#[test]
fn a_pad_gives_its_space_back_by_itself_only_if_nothing_is_in_service_before_it() {
    for in_service in [false, true] {
        let (memory, mut producer, mut consumer) = ring_at(BYTES - 32);
        push(&mut producer, 0).unwrap();
        let before = take(&mut consumer).unwrap();
        if !in_service {
            consumer.release(before.end());
        }
        push(&mut producer, MAX).unwrap();
        assert!(consumer.peek().unwrap().is_some());
        let head = memory.control().claims().head;
        assert_eq!(head, if in_service { BYTES - 32 } else { BYTES });
        consumer.release(before.end().max(head));
        assert_eq!(pop(&mut consumer), Some(MAX));
        assert_eq!(memory.control().claims().head, BYTES + 64);
    }
}

#[test]
fn a_new_producer_has_no_room_until_the_consumer_has_gone_over_to_it() {
    let (memory, mut producer, mut consumer) = ring();
    push(&mut producer, 8).unwrap();
    push(&mut producer, 9).unwrap();
    let mut producer = Producer::new(memory, SECRET, 2);
    assert_eq!(push(&mut producer, 1), Err(RingError::Full));
    assert_eq!((pop(&mut consumer), pop(&mut consumer)), (Some(8), Some(9)));
    assert_eq!(consumer.peek(), Ok(None));
    assert_eq!(push(&mut producer, 1), Err(RingError::Full));
    consumer.restart(SECRET, 2, 0);
    assert_eq!((producer.generation(), consumer.generation()), (2, 2));
    assert_eq!(push(&mut producer, 1), Ok(0));
    assert_eq!(pop(&mut consumer), Some(1));
}

#[test]
fn what_an_earlier_generation_left_in_the_data_is_never_taken_for_a_record() {
    let (_, mut producer, mut consumer) = ring();
    for generation in 2..20 {
        for _ in 0..BYTES / 16 {
            push(&mut producer, 0).unwrap();
        }
        producer.restart(SECRET, generation);
        consumer.restart(SECRET, generation, 0);
        assert_eq!(consumer.peek(), Ok(None));
    }
}

#[test]
fn a_half_written_record_of_a_dead_producer_is_never_seen() {
    let (memory, mut producer, mut consumer) = ring();
    push(&mut producer, 8).unwrap();
    producer.reserve(MAX).unwrap().write(0, &[0xff; 16]);
    let mut producer = Producer::new(memory, SECRET, 2);
    assert_eq!(pop(&mut consumer), Some(8));
    assert_eq!(consumer.peek(), Ok(None));
    consumer.restart(SECRET, 2, 0);
    push(&mut producer, 3).unwrap();
    assert_eq!(pop(&mut consumer), Some(3));
}

#[test]
fn a_new_consumer_goes_on_behind_what_the_last_one_took() {
    let (memory, mut producer, mut consumer) = ring();
    for length in [1, 2, 3] {
        push(&mut producer, length).unwrap();
    }
    let in_service = take(&mut consumer).unwrap();
    let claims = memory.control().claims();
    assert_eq!((claims.head, claims.taken, claims.tail), (0, in_service.end(), producer.tail()));
    let mut consumer = Consumer::new(memory.clone(), SECRET, 1, claims.taken);
    assert_eq!(memory.control().claims().head, claims.taken, "what was in service is given back");
    assert_eq!((pop(&mut consumer), pop(&mut consumer)), (Some(2), Some(3)));
    assert_eq!(consumer.peek(), Ok(None));
    push(&mut producer, 4).unwrap();
    assert_eq!(pop(&mut consumer), Some(4));
}

#[test]
fn both_ends_may_begin_anew_at_once() {
    let (memory, mut producer, mut consumer) = ring();
    push(&mut producer, 1).unwrap();
    push(&mut producer, 2).unwrap();
    take(&mut consumer).unwrap();
    for consumer_first in [false, true] {
        let generation = 2 + u32::from(consumer_first);
        let (mut producer, mut consumer);
        if consumer_first {
            consumer = Consumer::new(memory.clone(), SECRET, generation, 0);
            producer = Producer::new(memory.clone(), SECRET, generation);
        } else {
            producer = Producer::new(memory.clone(), SECRET, generation);
            consumer = Consumer::new(memory.clone(), SECRET, generation, 0);
        }
        assert_eq!(consumer.peek(), Ok(None));
        assert_eq!(push(&mut producer, 5), Ok(0));
        assert_eq!(pop(&mut consumer), Some(5));
    }
}

#[test]
fn claims_tell_to_whose_generation_each_position_belongs() {
    let (memory, mut producer, _) = ring();
    push(&mut producer, 0).unwrap();
    Producer::new(memory.clone(), SECRET, 2);
    let claims = memory.control().claims();
    assert_eq!((claims.producing, claims.tail, claims.generation), (2, 0, 1));
}

#[test]
fn a_sleeper_is_kicked_once_and_a_consumer_that_is_awake_never() {
    let (_, mut producer, consumer) = ring();
    push(&mut producer, 0).unwrap();
    assert!(!producer.must_kick());
    consumer.declare_asleep();
    push(&mut producer, 0).unwrap();
    assert!(producer.must_kick());
    push(&mut producer, 0).unwrap();
    assert!(!producer.must_kick());
    consumer.declare_asleep();
    consumer.declare_awake();
    push(&mut producer, 0).unwrap();
    assert!(!producer.must_kick());
}

#[test]
fn nobody_is_kicked_for_nothing() {
    let (_, mut producer, mut consumer) = ring();
    consumer.declare_asleep();
    assert!(!producer.must_kick(), "nothing was published");
    push(&mut producer, 0).unwrap();
    assert!(producer.must_kick());
    assert!(!consumer.must_kick(), "nobody waits");
    producer.declare_starved();
    assert!(!consumer.must_kick(), "no room was given");
    pop(&mut consumer);
    assert!(consumer.must_kick());
}

#[test]
fn a_producer_that_waits_for_room_is_kicked_once() {
    let (_, mut producer, mut consumer) = ring();
    push(&mut producer, MAX).unwrap();
    push(&mut producer, MAX).unwrap();
    assert_eq!(push(&mut producer, 0), Err(RingError::Full));
    producer.declare_starved();
    assert_eq!(push(&mut producer, 0), Err(RingError::Full));
    pop(&mut consumer);
    assert!(consumer.must_kick());
    assert!(!consumer.must_kick());
    push(&mut producer, 0).unwrap();
}

#[test]
fn a_producer_that_waits_for_its_generation_is_kicked_when_it_is_acknowledged() {
    let (memory, _, mut consumer) = ring();
    assert!(!consumer.must_kick());
    let mut producer = Producer::new(memory, SECRET, 2);
    producer.declare_starved();
    assert_eq!(push(&mut producer, 0), Err(RingError::Full));
    consumer.restart(SECRET, 2, 0);
    assert!(consumer.must_kick());
    push(&mut producer, 0).unwrap();
}

#[test]
fn the_two_reasons_to_wait_are_apart() {
    let (_, mut producer, mut consumer) = ring();
    push(&mut producer, 0).unwrap();
    producer.declare_starved();
    assert!(!producer.must_kick());
    consumer.declare_asleep();
    pop(&mut consumer);
    assert!(consumer.must_kick());
    push(&mut producer, 0).unwrap();
    assert!(producer.must_kick());
}

#[test]
fn one_question_answers_for_both_directions_of_a_channel() {
    for (sleeps, waits) in [(false, false), (true, false), (false, true), (true, true)] {
        let (_, mut to, peer_reads) = ring();
        let (_, mut peer_writes, mut from) = ring();
        if sleeps {
            peer_reads.declare_asleep();
        }
        if waits {
            peer_writes.declare_starved();
        }
        push(&mut peer_writes, 0).unwrap();
        assert!(!must_kick(&to, &Consumer::new(HeapRing::new(MIN_WORDS), SECRET, 1, 0)));
        push(&mut to, 0).unwrap();
        pop(&mut from);
        assert_eq!(must_kick(&to, &from), sleeps || waits);
        push(&mut to, 0).unwrap();
        push(&mut peer_writes, 0).unwrap();
        pop(&mut from);
        assert!(!must_kick(&to, &from), "both flags are taken down");
    }
}

#[test]
fn words_that_one_side_writes_often_share_no_line_with_what_the_other_reads_often() {
    let control = Control::default();
    let line = |address: usize| address / 128;
    let producer = line(&raw const control.producer.0.tail as usize);
    let consumer = line(&raw const control.consumer.0.head as usize);
    for flag in [&control.waiting.0.asleep, &control.waiting.0.starved] {
        let waiting = line(&raw const *flag as usize);
        assert!(waiting != producer && waiting != consumer);
    }
    assert_ne!(producer, consumer);
}

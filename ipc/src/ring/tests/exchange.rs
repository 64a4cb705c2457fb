//! Exchanges in a ring: a request that fills a cache line, and the reply over it.

use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::record::{LINE, SHORT};
use crate::support::{cases, steps};

/// An exchange with a pattern that follows from its length.
fn ask(producer: &mut Producer<HeapRing>, length: usize) -> Result<u64, RingError> {
    let mut reservation = producer.reserve_line(length)?;
    reservation.write(0, &pattern(length as u64, length));
    Ok(reservation.commit(Kind::Exchange, length as u32))
}

/// Answers an exchange that is in service.
fn answer(consumer: &Consumer<HeapRing>, record: &Record, bytes: &[u8], word: u32) {
    consumer.place_of(record, bytes.len()).write(0, bytes);
    let head = Head { length: bytes.len() as u32, kind: Kind::Reply, items: 0, word };
    consumer.publish_over(record, head);
}

fn heard(producer: &Producer<HeapRing>, position: u64) -> Option<(u32, Vec<u8>)> {
    let (word, short) = producer.answer(position).unwrap()?;
    Some((word, short.bytes().to_vec()))
}

#[test]
fn an_exchange_of_any_length_passes_both_ways_from_any_offset() {
    for offset in (0..BYTES).step_by(16) {
        for length in each(SHORT, 15) {
            let (_, mut producer, mut consumer) = ring_at(BYTES + offset);
            let line = (BYTES + offset).next_multiple_of(LINE as u64);
            assert_eq!(ask(&mut producer, length), Ok(line));
            assert_eq!(producer.tail(), line + LINE as u64);
            let record = take(&mut consumer).unwrap();
            assert_eq!((record.position, record.len()), (line, length));
            assert_eq!(record.head().kind, Kind::Exchange);
            assert_eq!(read(&consumer, &record), pattern(length as u64, length));
            assert_eq!(heard(&producer, line), None, "a request is no reply");
            let reply = pattern(!0, SHORT - length);
            answer(&consumer, &record, &reply, 9);
            assert_eq!(heard(&producer, line), Some((9, reply)));
            consumer.release(record.end());
            assert_eq!(consumer.peek(), Ok(None), "a reply is no request");
        }
    }
}

#[test]
fn an_exchange_needs_room_for_its_line_and_the_pad_before_it() {
    let (_, mut producer, mut consumer) = ring();
    push(&mut producer, 0).unwrap();
    assert_eq!(ask(&mut producer, 0), Ok(64));
    assert_eq!(ask(&mut producer, 0), Err(RingError::Full));
    assert_eq!(push(&mut producer, 0), Err(RingError::Full));
    pop(&mut consumer);
    assert_eq!(ask(&mut producer, 0), Err(RingError::Full), "the pad is not given back yet");
    let record = take(&mut consumer).unwrap();
    consumer.release(record.end());
    assert_eq!(ask(&mut producer, SHORT), Ok(128));
    assert_eq!(ask(&mut producer, SHORT), Ok(192));
    assert_eq!(ask(&mut producer, SHORT + 1), Err(RingError::TooLarge));
}

#[test]
fn a_pad_up_to_a_line_is_short_and_stands_alone() {
    let pad = |length: u32| Head { length, kind: Kind::Pad, items: 0, word: 0 }.to_bits();
    let forge = |at: u64, head: u64, (memory, _, consumer): &Ends| {
        let place = (at % BYTES) as usize / WORD;
        memory.data()[place].store(at ^ consumer.key, Relaxed);
        memory.data()[place + 1].store(head, Relaxed);
    };
    // That of a full line, and one that ends within a line.
    for (offset, length, found) in [
        (0, 48, Err(RingError::Protocol)),
        (16, 16, Err(RingError::Protocol)),
        (16, 32, Ok(None)),
        (48, 0, Ok(None)),
        (48, 64, Ok(None)),
    ] {
        let mut ends = ring_at(BYTES + offset);
        forge(BYTES + offset, pad(length), &ends);
        assert_eq!(ends.2.peek(), found, "{length} at {offset}");
    }
    let mut ends = ring_at(BYTES + 48);
    forge(BYTES + 48, pad(0), &ends);
    forge(BYTES + 64, pad(48), &ends);
    assert_eq!(ends.2.peek(), Err(RingError::Protocol), "two in a row");
}

#[test]
fn an_answer_that_is_no_short_reply_is_a_breach_of_the_protocol() {
    let good = Head { length: SHORT as u32, kind: Kind::Reply, items: 0, word: 1 };
    for (head, found) in [
        (good, Ok(true)),
        (Head { length: SHORT as u32 + 1, ..good }, Err(RingError::Protocol)),
        (Head { items: 1, ..good }, Err(RingError::Protocol)),
        (Head { kind: Kind::Exchange, ..good }, Err(RingError::Protocol)),
    ] {
        let (_, mut producer, mut consumer) = ring();
        let position = ask(&mut producer, 8).unwrap();
        let record = take(&mut consumer).unwrap();
        consumer.publish_over(&record, head);
        let answered = producer.answer(position);
        assert_eq!(answered.map(|answer| answer.is_some()), found, "{head:?}");
    }
}

#[test]
fn what_earlier_laps_left_in_a_place_is_neither_its_answer_nor_a_request() {
    let (_, mut producer, mut consumer) = ring();
    for lap in 0..4_u64 {
        for line in [0, 64] {
            let position = ask(&mut producer, 8).unwrap();
            assert_eq!(position, lap * BYTES + line);
            let record = take(&mut consumer).unwrap();
            for before in 0..lap {
                assert_eq!(heard(&producer, before * BYTES + line), None);
            }
            answer(&consumer, &record, &position.to_le_bytes(), lap as u32);
            assert_eq!(heard(&producer, position).unwrap().1, position.to_le_bytes());
            consumer.release(record.end());
            assert!(!consumer.is_ready());
        }
    }
}

#[test]
fn an_answer_of_another_generation_is_none() {
    let (memory, mut producer, mut consumer) = ring();
    let position = ask(&mut producer, 8).unwrap();
    let record = take(&mut consumer).unwrap();
    answer(&consumer, &record, b"old", 1);
    assert!(producer.has_answer(position));
    producer.restart(SECRET, 2);
    assert!(!producer.has_answer(position));
    consumer.restart(SECRET, 2, 0);
    assert_eq!(ask(&mut producer, 8), Ok(position));
    assert!(!producer.has_answer(position) && consumer.is_ready());
    // The old tag once more, from a consumer that has not noticed.
    let old = reply_tag(position, key(SECRET, 1));
    memory.data()[0].store(old, Relaxed);
    assert!(!producer.has_answer(position));
}

#[test]
fn an_answer_that_is_asked_for_late_is_kept_when_its_place_is_used_again() {
    let (_, mut producer, mut consumer) = ring();
    let position = ask(&mut producer, 8).unwrap();
    producer.keep_answer(position);
    assert_eq!(producer.late_answer(position).unwrap().map(|(word, _)| word), None);
    let record = take(&mut consumer).unwrap();
    answer(&consumer, &record, b"answer", 7);
    consumer.release(record.end());
    for _ in 0..BYTES / 16 {
        push(&mut producer, 0).unwrap();
    }
    assert_eq!(heard(&producer, position), None, "its place is another's");
    let (word, short) = producer.late_answer(position).unwrap().unwrap();
    assert_eq!((word, short.bytes()), (7, &b"answer"[..]));
    assert!(producer.late_answer(position + 64).unwrap().is_none(), "that of no other exchange");
    producer.restart(SECRET, 2);
    assert!(producer.late_answer(position).unwrap().is_none());
}

#[derive(Clone, Debug)]
enum Op {
    Push { length: usize },
    Ask { length: usize },
    Take,
    Answer { which: usize, length: usize },
    Release,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => (0..=MAX).prop_map(|length| Op::Push { length }),
        4 => (0..=SHORT).prop_map(|length| Op::Ask { length }),
        5 => Just(Op::Take),
        4 => (any::<usize>(), 0..=SHORT).prop_map(|(which, length)| Op::Answer { which, length }),
        3 => Just(Op::Release),
    ]
}

proptest! {
    #![proptest_config(cases(300))]

    /// The producer reads its answers before it writes, so that it misses none.
    #[test]
    fn exchanges_among_other_records_are_each_answered_once(
        size in 4..8_u32,
        ops in prop::collection::vec(op(), 1..=steps(300)),
    ) {
        let memory = HeapRing::new(1 << size);
        let mut producer = Producer::new(memory.clone(), SECRET, 1);
        let mut consumer = Consumer::new(memory, SECRET, 1, 0);
        // Exchanges without an answer, what is said to some of them, and what is taken.
        let mut waiting: Vec<u64> = Vec::new();
        let mut said: Vec<(u64, Vec<u8>)> = Vec::new();
        let mut held: Vec<(Record, bool)> = Vec::new();
        for op in ops {
            for (position, bytes) in said.drain(..) {
                prop_assert_eq!(heard(&producer, position), Some((position as u32, bytes)));
            }
            for &position in &waiting {
                prop_assert_eq!(heard(&producer, position), None);
            }
            match op {
                Op::Push { length } => _ = push(&mut producer, length),
                Op::Ask { length } => waiting.extend(ask(&mut producer, length)),
                Op::Take => if let Some(record) = take(&mut consumer) {
                    let sent = pattern(record.head().word.into(), record.len());
                    prop_assert_eq!(read(&consumer, &record), sent);
                    let is_asked = record.head().kind == Kind::Exchange;
                    prop_assert_eq!(is_asked, waiting.contains(&record.position));
                    held.push((record, !is_asked));
                },
                Op::Answer { which, length } if !held.is_empty() => {
                    let at = which % held.len();
                    let (record, is_done) = &mut held[at];
                    if !*is_done {
                        let bytes = pattern(!record.position, length);
                        answer(&consumer, record, &bytes, record.position as u32);
                        waiting.retain(|&position| position != record.position);
                        said.push((record.position, bytes));
                        *is_done = true;
                    }
                }
                Op::Release => {
                    let count = held.iter().take_while(|(_, is_done)| *is_done).count();
                    if let Some((record, _)) = held.drain(..count).next_back() {
                        consumer.release(record.end());
                    }
                }
                Op::Answer { .. } => {}
            }
        }
    }
}

//! A peer that writes anything anywhere: the other end neither panics nor leaves the ring, nor
//! does it go on for ever.

use std::vec;

use proptest::prelude::*;

use super::*;
use crate::support::{cases, steps};

#[derive(Clone, Debug)]
enum Op {
    Reserve {
        length: usize,
    },
    Commit {
        length: usize,
    },
    Exchange {
        length: usize,
    },
    Take,
    /// The consumer answers the exchange that it took last, and the producer looks.
    Answer,
    Release,
    Restart {
        generation: u32,
    },
    MustKick,
    /// A random word into the data.
    Data {
        at: usize,
        value: u64,
    },
    /// A random word into the control block.
    Control {
        which: u8,
        value: u64,
    },
    /// The right tag at the consumer's cursor, and then any header: what a peer that knows the
    /// key can do.
    Forge {
        head: u64,
    },
}

/// Numbers near those that mean something, and any others.
fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0..512_u64,
        (0..64_u64).prop_map(|n| n * 16),
        (0..64_u64).prop_map(|n| u64::MAX - n),
    ]
}

/// Headers whose fields are each probable.
fn header() -> impl Strategy<Value = u64> {
    let length = prop_oneof![2 => 0..=48_u32, 2 => 0..300_u32, 1 => any::<u32>()];
    prop_oneof![
        3 => (length, 0..8_u64, 0..3_u64).prop_map(|(length, kind, items)| u64::from(length & 0x00ff_ffff) | kind << 24 | items << 28),
        1 => any::<u64>(),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        1 => (0..300_usize).prop_map(|length| Op::Reserve { length }),
        3 => (0..300_usize).prop_map(|length| Op::Commit { length }),
        2 => (0..60_usize).prop_map(|length| Op::Exchange { length }),
        3 => Just(Op::Take),
        2 => Just(Op::Answer),
        2 => Just(Op::Release),
        1 => (0..4_u32).prop_map(|generation| Op::Restart { generation }),
        1 => Just(Op::MustKick),
        3 => (any::<usize>(), value()).prop_map(|(at, value)| Op::Data { at, value }),
        3 => (any::<u8>(), value()).prop_map(|(which, value)| Op::Control { which, value }),
        4 => header().prop_map(|head| Op::Forge { head }),
    ]
}

/// An honest end of each kind, on a ring that anybody writes to.
struct Victims {
    memory: HeapRing,
    producer: Producer<HeapRing>,
    consumer: Consumer<HeapRing>,
    /// The exchange that was made last, and the one that was taken last.
    asked: u64,
    taken: Option<Record>,
}

impl Victims {
    fn new(words: usize) -> Self {
        let memory = HeapRing::new(words);
        let producer = Producer::new(memory.clone(), SECRET, 1);
        let consumer = Consumer::new(memory.clone(), SECRET, 1, 0);
        Self::of((memory, producer, consumer))
    }

    fn of((memory, producer, consumer): Ends) -> Self {
        Self { memory, producer, consumer, asked: 0, taken: None }
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Reserve { length } => drop(self.producer.reserve(length)),
            Op::Commit { length } => {
                let _ = push(&mut self.producer, length);
            }
            Op::Exchange { length } => {
                if let Ok(room) = self.producer.reserve_line(length) {
                    self.asked = room.commit(Kind::Exchange, 0);
                    self.producer.keep_answer(self.asked);
                }
            }
            Op::Take => self.take(),
            Op::Answer => self.answer(),
            Op::Release => self.consumer.release(self.consumer.cursor),
            Op::Restart { generation } => {
                self.producer.restart(SECRET, generation);
                self.consumer.restart(SECRET, generation, 0);
                self.taken = None;
            }
            Op::MustKick => {
                let _ = (self.producer.must_kick(), self.consumer.must_kick());
            }
            Op::Data { at, value } => {
                let data = self.memory.data();
                data[at % data.len()].store(value, Relaxed);
            }
            Op::Control { which, value } => self.memory.control().scribble(which, value),
            Op::Forge { head } => self.forge(head),
        }
    }

    fn forge(&self, head: u64) {
        let data = self.memory.data();
        let at = (self.consumer.cursor as usize / WORD) % data.len();
        data[at].store(self.consumer.cursor ^ self.consumer.key, Relaxed);
        data[at + 1].store(head, Relaxed);
    }

    /// What is taken lies within the ring, in one piece, and is no longer than allowed.
    fn take(&mut self) {
        let before = self.consumer.cursor;
        let bytes = self.consumer.geometry.bytes();
        match self.consumer.peek() {
            Ok(Some(record)) => {
                assert!(record.len() <= max_payload(bytes as usize));
                assert!(record.position % bytes + record.head().size() as u64 <= bytes);
                read(&self.consumer, &record);
                self.consumer.take(&record);
                self.taken = (record.head().kind == Kind::Exchange).then_some(record);
                assert!(self.consumer.cursor - before < 2 * bytes);
            }
            Ok(None) | Err(RingError::Protocol) => {}
            Err(error) => panic!("{error:?} is no answer to a hostile producer"),
        }
    }

    /// What is written over a request stays within its line, and what is heard is short.
    fn answer(&mut self) {
        if let Some(record) = self.taken.take() {
            let end = record.position % self.consumer.geometry.bytes() + record::LINE as u64;
            assert!(
                end <= self.consumer.geometry.bytes() && end.is_multiple_of(record::LINE as u64)
            );
            self.consumer.place_of(&record, record::SHORT).write(0, &[3; record::SHORT]);
            let head = Head { length: 48, kind: Kind::Reply, items: 0, word: 0 };
            self.consumer.publish_over(&record, head);
        }
        for heard in [self.producer.answer(self.asked), self.producer.late_answer(self.asked)] {
            match heard {
                Ok(Some((_, short))) => assert!(short.bytes().len() <= record::SHORT),
                Ok(None) | Err(RingError::Protocol) => {}
                Err(error) => panic!("{error:?} is no answer to a hostile consumer"),
            }
        }
    }
}

/// Whether an honest producer can have written this at that place, in words of its own.
fn is_possible(offset: u64, head: u64) -> bool {
    let (length, kind, items) = (head & 0x00ff_ffff, head >> 24 & 15, head >> 28 & 15);
    let size = 16 + items * 16 + length.div_ceil(16) * 16;
    let (end, half) = (offset + size, BYTES / 2);
    match kind {
        // A pad: to the end of the ring, or less than a line to the end of one.
        1 => {
            let is_due = end == BYTES || (end % 64 == 0 && size < 64);
            items == 0 && offset != 0 && end <= BYTES && is_due
        }
        2..=4 => items <= 1 && size <= half && end <= BYTES,
        5 => items == 0 && size <= half && end <= BYTES,
        6 => items == 0 && length <= 48 && offset.is_multiple_of(64),
        _ => false,
    }
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn a_hostile_peer_breaks_nothing_but_its_own_ring(
        size in 4..8_u32,
        ops in prop::collection::vec(op(), 1..=steps(200)),
    ) {
        let mut victims = Victims::new(1 << size);
        for op in &ops {
            victims.apply(op);
        }
    }

    #[test]
    fn whatever_a_header_says_a_record_stays_within_the_ring(
        offset in 0..BYTES / 16,
        head in header(),
    ) {
        let mut victims = Victims::of(ring_at(offset * 16));
        victims.forge(head);
        prop_assert_eq!(victims.consumer.peek().is_ok(), is_possible(offset * 16, head));
        victims.take();
        victims.answer();
    }

    #[test]
    fn whatever_lies_over_an_exchange_is_read_within_its_line(
        offset in 0..BYTES / 16,
        head in header(),
        rest in any::<[u64; 6]>(),
    ) {
        let mut victims = Victims::of(ring_at(offset * 16));
        victims.apply(&Op::Exchange { length: 8 });
        let position = victims.asked;
        let at = (position % BYTES) as usize / WORD;
        let words = [reply_tag(position, victims.producer.key), head];
        for (step, &word) in words.iter().chain(&rest).enumerate() {
            victims.memory.data()[at + step].store(word, Relaxed);
        }
        let is_short = head & 0x00ff_ffff <= 48 && head >> 24 & 0xff == 4;
        match victims.producer.answer(position) {
            Ok(Some((word, short))) => {
                let bytes: Vec<u8> = rest.iter().flat_map(|word| word.to_le_bytes()).collect();
                prop_assert!(is_short && word == (head >> 32) as u32);
                prop_assert_eq!(short.bytes(), &bytes[..(head & 0xff) as usize]);
            }
            found => {
                prop_assert!(!is_short);
                prop_assert_eq!(found.err(), Some(RingError::Protocol));
            }
        }
    }
}

/// The error of a producer that has pushed two records and then reads this as `head`.
fn reserve_with_head(head: u64) -> Option<RingError> {
    let (memory, mut producer, mut consumer) = ring();
    push(&mut producer, MAX).unwrap();
    pop(&mut consumer);
    push(&mut producer, MAX).unwrap();
    push(&mut producer, MAX).unwrap();
    memory.control().consumer.0.head.store(head, Relaxed);
    producer.reserve(0).err()
}

#[test]
fn a_head_beyond_the_tail_or_behind_an_earlier_head_is_a_breach_of_the_protocol() {
    assert_eq!(reserve_with_head(64), Some(RingError::Full));
    assert_eq!(reserve_with_head(80), None);
    assert_eq!(reserve_with_head(192), None);
    for head in [0, 48, 208, u64::MAX] {
        assert_eq!(reserve_with_head(head), Some(RingError::Protocol), "{head}");
    }
}

#[test]
fn a_reply_over_what_was_no_exchange_is_none_or_lies_within_the_ring() {
    for offset in (0..BYTES).step_by(16) {
        let (memory, mut producer, _) = ring_at(offset);
        let position = push(&mut producer, 0).unwrap();
        let at = offset as usize / WORD;
        memory.data()[at].store(reply_tag(position, producer.key), Relaxed);
        let head = Head { length: 48, kind: Kind::Reply, items: 0, word: 0 };
        memory.data()[at + 1].store(head.to_bits(), Relaxed);
        assert_eq!(producer.answer(position).is_ok(), offset + 64 <= BYTES, "{offset}");
    }
}

#[test]
fn a_pad_is_refused_where_none_is_needed() {
    let pad = |length: u32| Head { length, kind: Kind::Pad, items: 0, word: 0 }.to_bits();
    for (offset, length) in [(0, BYTES as u32 - 16), (16, 0), (16, 16), (BYTES - 16, 16)] {
        let mut victims = Victims::of(ring_at(BYTES + offset));
        victims.forge(pad(length));
        let found = victims.consumer.peek();
        assert_eq!(found, Err(RingError::Protocol), "at {offset}: {length}");
    }
}

#[test]
fn two_pads_in_a_row_are_refused() {
    let mut victims = Victims::of(ring_at(BYTES - 16));
    let pad = Head { length: 0, kind: Kind::Pad, items: 0, word: 0 }.to_bits();
    victims.forge(pad);
    let data = victims.memory.data();
    data[0].store(BYTES ^ victims.consumer.key, Relaxed);
    data[1].store(pad, Relaxed);
    assert_eq!(victims.consumer.peek(), Err(RingError::Protocol));
}

#[test]
fn the_tail_in_shared_memory_means_nothing_to_either_end() {
    let (memory, mut producer, mut consumer) = ring();
    memory.control().scribble(0, u64::MAX);
    assert_eq!(consumer.peek(), Ok(None));
    assert_eq!(push(&mut producer, 4), Ok(0));
    memory.control().scribble(3, 0);
    assert_eq!(pop(&mut consumer), Some(4));
}

#[test]
fn a_payload_that_changes_under_its_reader_is_read_within_bounds() {
    let (memory, mut producer, mut consumer) = ring();
    push(&mut producer, MAX).unwrap();
    let record = take(&mut consumer).unwrap();
    for word in memory.data() {
        word.store(u64::MAX, Relaxed);
    }
    let mut bytes = vec![0; MAX];
    consumer.read(&record, 0, &mut bytes);
    assert_eq!((record.len(), bytes), (MAX, vec![0xff; MAX]), "the header was read once");
}

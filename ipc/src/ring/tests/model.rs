//! Random operations on a ring and on a queue beside it: they never disagree.

use std::collections::VecDeque;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::support::{cases, steps};

#[derive(Clone, Debug)]
enum Op {
    /// Publish a payload of this length (as a share of the longest), in parts of so many words.
    Push {
        share: u8,
        part: usize,
        kind: u8,
        item: Option<Item>,
        word: u32,
    },
    /// Publish an exchange with a payload of this length.
    Ask {
        length: usize,
    },
    /// Reserve and write, but never commit.
    Drop {
        share: u8,
    },
    Take,
    /// Release the oldest so many of the records that are taken.
    Release {
        count: usize,
    },
    RestartProducer,
    /// The consumer goes over to the newest generation, if it has drained its own.
    Follow,
    RestartConsumer,
}

fn item() -> impl Strategy<Value = Option<Item>> {
    let lent = |(offset, length)| Item::Lent { offset, length };
    prop::option::weighted(0.3, any::<(u64, u32)>().prop_map(lent))
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (any::<u8>(), 1..9_usize, 2..=4_u8, item(), any::<u32>())
            .prop_map(|(share, part, kind, item, word)| Op::Push { share, part, kind, item, word }),
        4 => (0..=record::SHORT).prop_map(|length| Op::Ask { length }),
        2 => any::<u8>().prop_map(|share| Op::Drop { share }),
        8 => Just(Op::Take),
        5 => (0..4_usize).prop_map(|count| Op::Release { count }),
        1 => Just(Op::RestartProducer),
        2 => Just(Op::Follow),
        1 => Just(Op::RestartConsumer),
    ]
}

/// What a record should be when it arrives.
#[derive(Clone, Debug, PartialEq)]
struct Message {
    position: u64,
    end: u64,
    head: Head,
    item: Option<Item>,
    payload: Vec<u8>,
}

/// A ring with its two ends, and what they ought to hold.
struct Pair {
    memory: HeapRing,
    bytes: u64,
    producer: Producer<HeapRing>,
    consumer: Consumer<HeapRing>,
    published: VecDeque<Message>,
    taken: VecDeque<(Message, Record)>,
    tail: u64,
    /// Where the consumer stands; everything before, down to the oldest in `taken`, is held.
    cursor: u64,
    head: u64,
    pushed: u64,
}

impl Pair {
    fn new(words: usize) -> Self {
        let memory = HeapRing::new(words);
        Self {
            bytes: (words * WORD) as u64,
            producer: Producer::new(memory.clone(), SECRET, 1),
            consumer: Consumer::new(memory.clone(), SECRET, 1, 0),
            memory,
            published: VecDeque::new(),
            taken: VecDeque::new(),
            tail: 0,
            cursor: 0,
            head: 0,
            pushed: 0,
        }
    }

    fn length(&self, share: u8, item: Option<Item>) -> usize {
        let longest = self.producer.max_payload() - item.map_or(0, |_| ITEM);
        longest * usize::from(share) / 255
    }

    fn is_followed(&self) -> bool {
        self.consumer.generation() == self.producer.generation()
    }

    /// Where a record of this length would lie, if it fits now.
    fn place(&self, items: u8, length: usize) -> Option<(u64, u64)> {
        if !self.is_followed() {
            return None;
        }
        let size = (16 + usize::from(items) * 16 + length.div_ceil(16) * 16) as u64;
        let left = self.bytes - self.tail % self.bytes;
        let position = if size > left { self.tail + left } else { self.tail };
        let fits = position + size - self.head <= self.bytes;
        fits.then_some((position, position + size))
    }

    /// Where an exchange would lie, if it fits now.
    fn line(&self) -> Option<(u64, u64)> {
        let position = self.tail.next_multiple_of(64);
        let fits = self.is_followed() && position + 64 - self.head <= self.bytes;
        fits.then_some((position, position + 64))
    }

    fn ask(&mut self, length: usize) {
        self.pushed += 1;
        let (payload, place) = (pattern(self.pushed, length), self.line());
        match self.producer.reserve_line(length) {
            Ok(mut reservation) => {
                let (position, end) = place.expect("the model has no room");
                reservation.write(0, &payload);
                assert_eq!(reservation.commit(Kind::Exchange, 7), position);
                self.tail = end;
                let kind = Kind::Exchange;
                let head = Head { length: length as u32, kind, items: 0, word: 7 };
                self.published.push_back(Message { position, end, head, item: None, payload });
            }
            Err(error) => assert_eq!((error, place), (RingError::Full, None)),
        }
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Push { share, part, kind, item, word } => {
                let kind = [Kind::Call, Kind::Send, Kind::Reply][usize::from(kind) - 2];
                let length = self.length(share, item) as u32;
                let items = u8::from(item.is_some());
                self.push(part * WORD, Head { length, kind, items, word }, item);
            }
            Op::Ask { length } => self.ask(length),
            Op::Drop { share } => self.reserve_and_drop(self.length(share, None)),
            Op::Take => self.take(),
            Op::Release { count } => self.release(count),
            Op::RestartProducer if self.is_followed() => {
                let generation = self.producer.generation() + 1;
                self.producer = Producer::new(self.memory.clone(), SECRET, generation);
                self.tail = 0;
            }
            Op::Follow if !self.is_followed() && self.published.is_empty() => {
                self.consumer.restart(SECRET, self.producer.generation(), 0);
                self.taken.clear();
                (self.cursor, self.head) = (0, 0);
            }
            Op::RestartConsumer => {
                let resume = self.memory.control().claims().taken;
                assert_eq!(resume, self.cursor);
                let generation = self.consumer.generation();
                self.consumer = Consumer::new(self.memory.clone(), SECRET, generation, resume);
                self.taken.clear();
                self.head = self.cursor;
            }
            Op::RestartProducer | Op::Follow => {}
        }
    }

    fn push(&mut self, part: usize, head: Head, item: Option<Item>) {
        let length = head.length as usize;
        self.pushed += 1;
        let payload = pattern(self.pushed, length);
        let place = self.place(head.items, length);
        match self.producer.reserve_with(item, length) {
            Ok(mut reservation) => {
                let (position, end) = place.expect("the model has no room");
                for (at, bytes) in payload.chunks(part).enumerate() {
                    reservation.write(at * part, bytes);
                }
                assert_eq!(reservation.commit(head.kind, head.word), position);
                self.tail = end;
                self.published.push_back(Message { position, end, head, item, payload });
            }
            Err(error) => assert_eq!((error, place), (RingError::Full, None)),
        }
    }

    fn reserve_and_drop(&mut self, length: usize) {
        let place = self.place(0, length);
        match self.producer.reserve(length) {
            Ok(mut reservation) => {
                assert!(place.is_some());
                reservation.write(0, &pattern(!0, length));
            }
            Err(error) => assert_eq!((error, place), (RingError::Full, None)),
        }
    }

    fn take(&mut self) {
        let record = self.consumer.peek().unwrap();
        let Some(message) = self.published.pop_front() else {
            assert_eq!(record, None);
            return;
        };
        let record = record.expect("the model has a record");
        // Skipping a pad releases it if nothing is in service before it.
        if self.taken.is_empty() && self.head == self.cursor {
            self.head = message.position;
        }
        assert_eq!(
            (record.position, record.end(), record.head(), self.consumer.item(&record).unwrap()),
            (message.position, message.end, message.head, message.item)
        );
        self.consumer.take(&record);
        self.cursor = message.end;
        self.taken.push_back((message, record));
    }

    fn release(&mut self, count: usize) {
        let count = count.min(self.taken.len());
        if let Some((_, record)) = self.taken.drain(..count).next_back() {
            self.consumer.release(record.end());
            self.head = record.end();
        }
    }

    fn check(&self) {
        for (message, record) in &self.taken {
            let mut payload = vec![0; record.len()];
            self.consumer.read(record, 0, &mut payload);
            assert_eq!(payload, message.payload, "a held record is never overwritten");
        }
        let claims = self.memory.control().claims();
        assert_eq!((claims.tail, claims.taken, claims.head), (self.tail, self.cursor, self.head));
        assert_eq!(self.producer.tail(), self.tail);
        assert_eq!(self.consumer.is_ready(), !self.published.is_empty());
    }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn a_ring_behaves_like_a_queue(size in 4..10_u32, ops in prop::collection::vec(op(), 1..=steps(300))) {
        let mut pair = Pair::new(1 << size);
        for op in &ops {
            pair.apply(op);
            pair.check();
        }
    }
}

//! One ring with an honest end of each kind, and a hand that writes to all of its memory.

use std::collections::VecDeque;
use std::vec;

use atoll_ipc::record::{Head, Item, Kind};
use atoll_ipc::ring::{Consumer, Memory, Producer, Record, RingError, key, max_payload};
use atoll_ipc::sync::Ordering::Relaxed;
use atoll_ipc::words::WORD;

use super::super::heap::HeapRing;
use super::input::{Input, unforeseen};

const SECRET: u64 = 0x5eed;

/// The first byte says how large the ring is, the others what is done to it.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let Some(size) = input.byte() else { return };
    let mut victims = Victims::new(16 << (size % 4));
    while victims.step(&mut input).is_some() {}
    victims.recover(unforeseen(bytes));
}

struct Victims {
    memory: HeapRing,
    producer: Producer<HeapRing>,
    consumer: Consumer<HeapRing>,
    generation: u32,
    /// Where the consumer stands, as it knows and nobody else can change.
    cursor: u64,
    held: VecDeque<Record>,
}

impl Victims {
    fn new(words: usize) -> Self {
        let memory = HeapRing::new(words);
        let producer = Producer::new(memory.clone(), SECRET, 1);
        let consumer = Consumer::new(memory.clone(), SECRET, 1, 0);
        Self { memory, producer, consumer, generation: 1, cursor: 0, held: VecDeque::new() }
    }

    fn step(&mut self, input: &mut Input<'_>) -> Option<()> {
        match input.byte()? % 12 {
            0 | 1 => self.push(None, input.small()?),
            2 => {
                let (offset, length) = (input.value()?, input.value()? as u32);
                self.push(Some(Item::Lent { offset, length }), input.small()?);
            }
            3 => drop(self.producer.reserve(input.value()? as usize)),
            4 | 5 => self.take(),
            6 => self.release(input.small()?),
            7 => self.sleep(),
            8 => self.memory.scribble(input.small()?, input.value()?),
            9 => self.overwrite(input.small()?, input.value()?),
            10 => self.forge(input.value()?, input.byte()?),
            _ => self.restart(input.byte()?),
        }
        Some(())
    }

    fn push(&mut self, item: Option<Item>, length: usize) {
        let bytes = vec![length as u8; length];
        match self.producer.reserve_with(item, length) {
            Ok(mut room) => {
                room.write(0, &bytes);
                room.commit(Kind::Send, length as u32);
            }
            Err(RingError::Full | RingError::TooLarge | RingError::Protocol) => (),
        }
        let _ = self.producer.released();
    }

    /// What is taken lies within the ring, in one piece, and is no longer than allowed.
    fn take(&mut self) {
        let bytes = (self.memory.data().len() * WORD) as u64;
        match self.consumer.peek() {
            Ok(Some(record)) => {
                assert!(record.len() <= max_payload(bytes as usize));
                assert!(record.position % bytes + record.head().size() as u64 <= bytes);
                assert!(record.position >= self.cursor && record.end() - self.cursor < 2 * bytes);
                self.consumer.read(&record, 0, &mut vec![0; record.len()]);
                self.consumer.take(&record);
                self.cursor = record.end();
                self.held.push_back(record);
            }
            Ok(None) | Err(RingError::Protocol) => (),
            Err(error) => panic!("{error:?} is no answer to a hostile producer"),
        }
    }

    /// Reads what is still held once more, and releases the oldest of it.
    fn release(&mut self, count: usize) {
        for record in &self.held {
            self.consumer.read(record, 0, &mut vec![0; record.len()]);
        }
        let count = count.min(self.held.len());
        if let Some(record) = self.held.drain(..count).next_back() {
            self.consumer.release(record.end());
        }
    }

    fn sleep(&mut self) {
        self.consumer.declare_asleep();
        self.producer.declare_starved();
        let _ = (self.producer.must_kick(), self.consumer.must_kick());
        assert!(!self.producer.must_kick() && !self.consumer.must_kick(), "kicked twice");
        self.consumer.declare_awake();
    }

    fn overwrite(&self, at: usize, value: u64) {
        let data = self.memory.data();
        data[at % data.len()].store(value, Relaxed);
    }

    /// The right tag at the consumer's cursor before any header: the work of a producer that
    /// knows the key. Of the header, kind and items come from a byte of their own.
    fn forge(&self, head: u64, kind: u8) {
        let head = head & 0xffff_ffff_00ff_ffff | u64::from(kind) << 24;
        let at = self.cursor as usize / WORD;
        self.overwrite(at, self.cursor ^ key(SECRET, self.generation));
        self.overwrite(at + 1, head);
    }

    fn restart(&mut self, which: u8) {
        match which % 3 {
            0 => {
                // What a nucleus does that believes nothing it has not checked.
                let generation = self.generation;
                self.consumer = Consumer::new(self.memory.clone(), SECRET, generation, self.cursor);
            }
            1 => {
                self.generation += 1;
                self.producer.restart(SECRET, self.generation);
                self.consumer.restart(SECRET, self.generation, 0);
                self.cursor = 0;
            }
            _ => {
                self.generation += 1;
                self.producer = Producer::new(self.memory.clone(), SECRET, self.generation);
                self.consumer = Consumer::new(self.memory.clone(), SECRET, self.generation, 0);
                self.cursor = 0;
            }
        }
        self.held.clear();
    }

    /// In a new generation, an honest pair gets along in what is left.
    fn recover(&mut self, secret: u64) {
        self.generation += 1;
        self.producer.restart(secret, self.generation);
        self.consumer.restart(secret, self.generation, 0);
        assert_eq!(self.consumer.peek(), Ok(None));
        let item = Some(Item::Lent { offset: 64, length: 7 });
        let mut room = self.producer.reserve_with(item, 5).expect("an empty ring has room");
        room.write(0, b"fresh");
        room.commit(Kind::Call, 9);
        let record = self.consumer.peek().expect("honest").expect("published");
        let head = Head { length: 5, kind: Kind::Call, items: 1, word: 9 };
        let found = self.consumer.item(&record).expect("an honest item");
        assert_eq!((record.position, record.head(), found), (0, head, item));
        let mut bytes = [0; 5];
        self.consumer.read(&record, 0, &mut bytes);
        assert_eq!(&bytes, b"fresh");
    }
}

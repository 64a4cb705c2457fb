//! `rtrb`: a wait-free ring between two threads of one process.

use std::hint::black_box;

use anyhow::Result;
use rtrb::{Consumer, Producer, RingBuffer};

use crate::course::{Sink, Source};
use crate::message::{Message, SIZES, with_message};
use crate::side::as_threads;
use crate::subjects::{Runner, Subject, each, one_way, polled, round_trips};
use crate::suites::{self, Link, Receive, Send};
use crate::task::Task;
use crate::wire::{Case, Cpus, Outcome, Suite, Wait};

/// Messages in a ring.
const CAPACITY: usize = 1024;
/// Messages in a slice, where they go in slices.
const SLICE: u32 = 32;

/// The peer.
pub const SUBJECT: Subject = Subject { name: "rtrb", cases, runner: Runner::Threads(measure) };

fn cases() -> Vec<Case> {
    let sliced = Case { batch: SLICE, ..polled(SUBJECT.name, Suite::OneWay) };
    round_trips(SUBJECT.name, Wait::Polling, Cpus::Two, &SIZES)
        .chain(one_way(SUBJECT.name, Wait::Polling, &SIZES))
        .chain(each(&SIZES, sliced))
        .collect()
}

fn measure(task: &Task) -> Result<Outcome> {
    match (task.case.suite, task.case.batch) {
        (Suite::RoundTrip, _) => with_message!(task.case.size, there_and_back(task)),
        (_, SLICE) => with_message!(task.case.size, in_slices(task)),
        _ => with_message!(task.case.size, one_by_one(task)),
    }
}

/// The end of a ring that messages go into, and the message that goes.
#[derive(Debug)]
struct Into<M>(Producer<M>, M);

impl<M: Message> Send for Into<M> {
    #[inline]
    fn send(&mut self, word: u64) -> Result<()> {
        self.1.stamp(word);
        while self.0.push(self.1).is_err() {}
        Ok(())
    }
}

/// The end that they come out of.
#[derive(Debug)]
struct OutOf<M>(Consumer<M>);

impl<M: Message> Receive for OutOf<M> {
    #[inline]
    fn receive(&mut self) -> Result<u64> {
        loop {
            if let Ok(message) = self.0.pop() {
                return Ok(black_box(&message).word());
            }
        }
    }
}

fn ring<M: Message>() -> (Into<M>, OutOf<M>) {
    let (producer, consumer) = RingBuffer::new(CAPACITY);
    (Into(producer, M::blank()), OutOf(consumer))
}

fn there_and_back<M: Message>(task: &Task) -> Result<Outcome> {
    let (there, out) = ring::<M>();
    let (back, home) = ring::<M>();
    as_threads(
        task,
        move || suites::round_trips(&mut Link(there, home), task.budget()).map(Some),
        move || suites::echo(&mut Link(back, out)).map(|()| None),
    )
}

fn one_by_one<M: Message>(task: &Task) -> Result<Outcome> {
    let (mut into, mut out) = ring::<M>();
    as_threads(
        task,
        move || suites::produce(&mut into, task.budget(), task.case.size).map(|()| None),
        move || suites::consume(&mut out).map(Some),
    )
}

fn in_slices<M: Message>(task: &Task) -> Result<Outcome> {
    let (into, out) = ring::<M>();
    as_threads(
        task,
        move || {
            produce_slices(into, Source::new(task.budget(), task.case.size));
            Ok(None)
        },
        move || consume_slices(out).map(Some),
    )
}

fn produce_slices<M: Message>(into: Into<M>, mut words: Source) {
    let Into(mut producer, message) = into;
    let mut slice = [message; SLICE as usize];
    loop {
        let stamped = slice.iter_mut().zip(&mut words).map(|(message, word)| message.stamp(word));
        let messages = stamped.count();
        if messages == 0 {
            return;
        }
        while producer.push_entire_slice(&slice[..messages]).is_err() {}
    }
}

fn consume_slices<M: Message>(out: OutOf<M>) -> Result<Outcome> {
    let OutOf(mut consumer) = out;
    let mut sink = Sink::new();
    let mut slice = [M::blank(); SLICE as usize];
    loop {
        let (messages, _) = consumer.pop_partial_slice(&mut slice);
        for message in black_box(messages) {
            if let Some(outcome) = sink.take(message.word())?.outcome() {
                return Ok(outcome);
            }
        }
    }
}

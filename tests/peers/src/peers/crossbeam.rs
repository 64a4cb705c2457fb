//! `crossbeam-channel`: a bounded channel between two threads of one process, never slept on.

use std::hint::black_box;

use anyhow::{Result, bail};
use crossbeam_channel::{Receiver, Sender, TryRecvError, TrySendError, bounded};

use crate::message::{Message, SIZES, with_message};
use crate::side::as_threads;
use crate::subjects::{Runner, Subject, one_way, round_trips};
use crate::suites::{self, Link, Receive, Send};
use crate::task::Task;
use crate::wire::{Case, Cpus, Outcome, Suite, Wait};

/// Messages in a channel.
const CAPACITY: usize = 1024;

/// The peer.
pub const SUBJECT: Subject = Subject { name: "crossbeam", cases, runner: Runner::Threads(measure) };

fn cases() -> Vec<Case> {
    round_trips(SUBJECT.name, Wait::Polling, Cpus::Two, &SIZES)
        .chain(one_way(SUBJECT.name, Wait::Polling, &SIZES))
        .collect()
}

fn measure(task: &Task) -> Result<Outcome> {
    match task.case.suite {
        Suite::RoundTrip => with_message!(task.case.size, there_and_back(task)),
        _ => with_message!(task.case.size, one_by_one(task)),
    }
}

/// The end of a channel that messages go into, and the message that goes.
#[derive(Debug)]
struct Into<M>(Sender<M>, M);

impl<M: Message> Send for Into<M> {
    #[inline]
    fn send(&mut self, word: u64) -> Result<()> {
        self.1.stamp(word);
        loop {
            match self.0.try_send(self.1) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(_)) => {}
                Err(TrySendError::Disconnected(_)) => bail!("the receiver has gone"),
            }
        }
    }
}

impl<M: Message> Receive for Receiver<M> {
    #[inline]
    fn receive(&mut self) -> Result<u64> {
        loop {
            match self.try_recv() {
                Ok(message) => return Ok(black_box(&message).word()),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => bail!("the sender has gone"),
            }
        }
    }
}

fn channel<M: Message>() -> (Into<M>, Receiver<M>) {
    let (sender, receiver) = bounded(CAPACITY);
    (Into(sender, M::blank()), receiver)
}

fn there_and_back<M: Message>(task: &Task) -> Result<Outcome> {
    let (there, out) = channel::<M>();
    let (back, home) = channel::<M>();
    as_threads(
        task,
        move || suites::round_trips(&mut Link(there, home), task.budget()).map(Some),
        move || suites::echo(&mut Link(back, out)).map(|()| None),
    )
}

fn one_by_one<M: Message>(task: &Task) -> Result<Outcome> {
    let (mut into, mut out) = channel::<M>();
    as_threads(
        task,
        move || suites::produce(&mut into, task.budget(), task.case.size).map(|()| None),
        move || suites::consume(&mut out).map(Some),
    )
}

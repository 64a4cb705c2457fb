//! Owns what is measured of a carrier of messages, whichever it is.

use anyhow::{Result, ensure};

use crate::budget::Budget;
use crate::clock;
use crate::course::{LAST, Sink, Source};
use crate::times::Times;
use crate::wire::Outcome;

/// Something that messages go into.
pub trait Send {
    /// Sends one message with this word in it, and waits for room if there is none.
    fn send(&mut self, word: u64) -> Result<()>;
}

/// Something that messages come out of.
pub trait Receive {
    /// Waits for the next message and gives its word.
    fn receive(&mut self) -> Result<u64>;
}

/// Two carriers, one each way: messages go into the first and come out of the second.
#[derive(Debug)]
pub struct Link<S, R>(pub S, pub R);

impl<S: Send, R> Send for Link<S, R> {
    #[inline]
    fn send(&mut self, word: u64) -> Result<()> {
        self.0.send(word)
    }
}

impl<S, R: Receive> Receive for Link<S, R> {
    #[inline]
    fn receive(&mut self) -> Result<u64> {
        self.1.receive()
    }
}

/// Times round trips, each by itself, with a peer that does [`echo`].
pub fn round_trips(link: &mut (impl Send + Receive), budget: Budget) -> Result<Outcome> {
    let mut times = Times::new()?;
    let mut word = 1;
    // The other side may still have to start.
    trip(link, word)?;
    let warm_up = clock::ticks() + clock::ticks_in(budget.warm_up);
    while clock::ticks() < warm_up {
        word += 1;
        trip(link, word)?;
    }
    let end = clock::ticks() + clock::ticks_in(budget.measured);
    loop {
        word += 1;
        let begun = clock::ticks();
        trip(link, word)?;
        let ended = clock::ticks();
        times.add(ended - begun);
        if ended >= end {
            break;
        }
    }
    trip(link, (word + 1) | LAST)?;
    times.outcome()
}

#[inline]
fn trip(link: &mut (impl Send + Receive), word: u64) -> Result<()> {
    link.send(word)?;
    let back = link.receive()?;
    ensure!(back == word, "message {word:#x} was sent and {back:#x} came back");
    Ok(())
}

/// Sends back what comes, up to the last message.
pub fn echo(link: &mut (impl Send + Receive)) -> Result<()> {
    let mut due = 0;
    loop {
        let word = link.receive()?;
        due += 1;
        ensure!(word & !LAST == due, "message {word:#x} came where message {due:#x} was due");
        link.send(word)?;
        if word & LAST != 0 {
            return Ok(());
        }
    }
}

/// Sends messages one way for a round, as many as go through.
pub fn produce(link: &mut impl Send, budget: Budget, size: usize) -> Result<()> {
    Source::new(budget, size).try_for_each(|word| link.send(word))
}

/// Receives the messages of a round and counts them.
pub fn consume(link: &mut impl Receive) -> Result<Outcome> {
    let mut sink = Sink::new();
    loop {
        if let Some(outcome) = sink.take(link.receive()?)?.outcome() {
            return Ok(outcome);
        }
    }
}

//! A cache line each way, which one thread writes and the other watches: the floor under every
//! exchange between two CPUs.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;

use crate::side::as_threads;
use crate::subjects::{Runner, Subject, polled};
use crate::suites::{Receive, Send, echo, round_trips};
use crate::task::Task;
use crate::wire::{Case, Outcome, Suite};

/// The peer.
pub const SUBJECT: Subject = Subject { name: "ping-pong", cases, runner: Runner::Threads(measure) };

fn cases() -> Vec<Case> {
    vec![polled(SUBJECT.name, Suite::RoundTrip)]
}

/// A line. It has its neighbour's place to itself too, because CPUs fetch lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line(AtomicU64);

/// One line each way: with both words in one line it takes a tenth longer.
#[derive(Debug, Default)]
struct Lines {
    there: Line,
    back: Line,
}

#[derive(Debug)]
struct Player<'a> {
    mine: &'a AtomicU64,
    theirs: &'a AtomicU64,
    seen: u64,
}

impl Send for Player<'_> {
    #[inline]
    fn send(&mut self, word: u64) -> Result<()> {
        self.mine.store(word, Ordering::Release);
        Ok(())
    }
}

impl Receive for Player<'_> {
    #[inline]
    fn receive(&mut self) -> Result<u64> {
        // No PAUSE: the loop is to see the change as soon as it can be seen.
        loop {
            let word = self.theirs.load(Ordering::Acquire);
            if word != self.seen {
                self.seen = word;
                return Ok(word);
            }
        }
    }
}

fn measure(task: &Task) -> Result<Outcome> {
    let lines = Lines::default();
    let mut first = Player { mine: &lines.there.0, theirs: &lines.back.0, seen: 0 };
    let mut second = Player { mine: &lines.back.0, theirs: &lines.there.0, seen: 0 };
    as_threads(
        task,
        || round_trips(&mut first, task.budget()).map(Some),
        || echo(&mut second).map(|()| None),
    )
}

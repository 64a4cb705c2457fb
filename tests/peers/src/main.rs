//! Carriers of messages other than Atoll, measured as Atoll measures itself.
//!
//! ```text
//!   main ──▶ supervisor ──▶ side ──▶ peers/* ──▶ suites ──▶ course, times
//!              │  (one round: one or two processes)
//!              └──▶ subjects: which peers and cases there are
//!   main ──▶ lives: processes that are killed and started again
//! ```
//!
//! The VMM's benchmark starts this program, gives it one case a line and reads one outcome a line.

#![warn(missing_docs)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod budget;
mod clock;
mod course;
mod cpus;
mod ends;
/// The same about processes that are killed and started again.
#[path = "../../../vmm/src/bench/restart/wire.rs"]
mod life;
mod lives;
mod message;
mod payload;
mod peers;
mod room;
mod side;
mod subjects;
mod suites;
mod supervisor;
mod task;
mod times;
/// What the VMM's benchmark and this program tell each other. The file is the VMM's; it is taken
/// as it is, so that this program need not be built with the whole VMM.
#[path = "../../../vmm/src/bench/wire.rs"]
mod wire;

use std::io::{self, BufRead, Write};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use serde::Serialize;

use crate::wire::{Case, Outcome};

/// Measures other carriers of messages beside Atoll.
///
/// It is made to be driven by the VMM's benchmark: a case is one line of JSON, and so is what came
/// of it. The two sides of a measurement are tied to the first two CPUs that this program may use,
/// so `taskset` chooses them. Every message is numbered and checked.
#[derive(Debug, Parser)]
#[command(version, after_long_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  What can be measured of rings between threads:
    atoll-peers list | grep rtrb

  One round of everything that goes one way in 64 KiB:
    atoll-peers list | grep one-way | grep ':65536,' | atoll-peers run

  A longer round of one case:
    atoll-peers list | grep ping-pong | atoll-peers run --milliseconds 1000";

#[derive(Debug, Subcommand)]
enum Command {
    /// Print every case that can be measured, one a line.
    List,
    /// Measure one round of each case on the standard input, and print what came of it.
    ///
    /// Each line is answered by one line, in order: times of round trips as a histogram
    /// (hdrhistogram, V2, base 64), or messages in a second, or why it failed. A case that cannot
    /// be measured does not end the run; the end of the input does.
    Run {
        /// How long to measure in one round, after a fifth of that to warm up.
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=60_000))]
        milliseconds: u64,
    },
    /// Kill processes and start them again, as the standard input asks, and print how long each was
    /// away.
    ///
    /// Each line asks for one kind of process, and is answered by one line, in order: nanoseconds
    /// from before the kill, and from before the start, until the first reply; or why it failed.
    Lives,
    /// Be one side of a round: `run` starts this.
    #[command(hide = true)]
    Side {
        /// What to do, as `run` writes it.
        task: String,
    },
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::List => subjects::cases().iter().try_for_each(print),
        Command::Run { milliseconds } => run(milliseconds),
        Command::Lives => lives(),
        Command::Side { task } => side::run(&task),
    }
}

fn run(milliseconds: u64) -> Result<()> {
    answer_all(|line| match serde_json::from_str::<Case>(line) {
        Ok(case) => supervisor::measure(&case, milliseconds),
        Err(error) => Outcome::Failed(format!("this line is no case: {error}")),
    })
}

fn lives() -> Result<()> {
    answer_all(|line| match serde_json::from_str(line) {
        Ok(question) => lives::measure(&question),
        Err(error) => life::Answer::Failed(format!("this line is no question: {error}")),
    })
}

/// Answers each line of the standard input with one on the standard output.
fn answer_all<T: Serialize>(mut answer: impl FnMut(&str) -> T) -> Result<()> {
    room::remove_forsaken();
    for line in io::stdin().lock().lines() {
        print(&answer(&line.context("cannot read the standard input")?))?;
    }
    Ok(())
}

/// Prints a line at once: whoever reads it waits for it.
fn print(value: &impl Serialize) -> Result<()> {
    let line = serde_json::to_string(value).context("cannot write a line of JSON")?;
    let mut output = io::stdout().lock();
    writeln!(output, "{line}").and_then(|()| output.flush()).context("cannot print a line")
}

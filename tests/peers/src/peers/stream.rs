//! What the peers that are descriptors share: they are read and written, and either sleep or give
//! back at once.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;

use anyhow::{Context, Result, bail};
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::ends::{self, Meeting};
use crate::payload::Payload;
use crate::suites::{Receive, Send, consume, echo, produce, round_trips};
use crate::task::{Role, Task};
use crate::wire::{Outcome, Suite, Wait};

/// A side's two descriptors, and its copy of a message.
#[derive(Debug)]
struct Stream {
    input: File,
    output: File,
    payload: Payload,
}

/// One side of a round over the standard input and output, whatever kind of descriptor they are.
pub fn side(task: &Task) -> Result<Option<Outcome>> {
    let mut stream = Stream::open(task)?;
    let size = task.case.size;
    match (task.case.suite, task.role) {
        (Suite::RoundTrip, Role::First) => round_trips(&mut stream, task.budget()).map(Some),
        (Suite::RoundTrip, Role::Second) => echo(&mut stream).map(|()| None),
        (_, Role::First) => produce(&mut stream, task.budget(), size).map(|()| None),
        (_, Role::Second) => consume(&mut stream).map(Some),
    }
}

impl Stream {
    fn open(task: &Task) -> Result<Self> {
        let (input, output) = (ends::input()?, ends::output()?);
        if task.case.wait == Wait::Polling {
            never_sleep(&input)?;
            never_sleep(&output)?;
        }
        if task.case.suite == Suite::OneWay {
            // Round trips need no such thing: their first is one.
            Meeting::over(&input, &output)?.meet()?;
        }
        Ok(Self { input, output, payload: Payload::new(task.case.size)? })
    }
}

impl Send for Stream {
    fn send(&mut self, word: u64) -> Result<()> {
        self.payload.stamp(word);
        let mut rest = &self.payload[..];
        while !rest.is_empty() {
            match self.output.write(rest) {
                Ok(0) => bail!("the other side takes no more: it has ended"),
                Ok(written) => rest = &rest[written..],
                Err(error) if again(&error) => {}
                Err(error) => return Err(error).context("cannot send to the other side"),
            }
        }
        Ok(())
    }
}

impl Receive for Stream {
    fn receive(&mut self) -> Result<u64> {
        let mut rest = &mut self.payload[..];
        while !rest.is_empty() {
            match self.input.read(rest) {
                Ok(0) => bail!("no more comes from the other side: it has ended"),
                Ok(read) => rest = &mut rest[read..],
                Err(error) if again(&error) => {}
                Err(error) => return Err(error).context("cannot receive from the other side"),
            }
        }
        self.payload.word()
    }
}

fn again(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

fn never_sleep(file: &File) -> Result<()> {
    let flags = fcntl(file.as_fd(), FcntlArg::F_GETFL).context("cannot read a file's flags")?;
    let flags = OFlag::from_bits_retain(flags) | OFlag::O_NONBLOCK;
    fcntl(file.as_fd(), FcntlArg::F_SETFL(flags)).context("cannot keep a file from sleeping")?;
    Ok(())
}

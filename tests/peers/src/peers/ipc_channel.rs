//! `ipc-channel`: its channels of bytes between two processes.

use std::io::{BufRead, BufReader, Write};

use anyhow::{Context, Result, anyhow, ensure};
use ipc_channel::ipc::{
    IpcBytesReceiver, IpcBytesSender, IpcOneShotServer, IpcSender, bytes_channel,
};

use crate::ends::{self, Ends};
use crate::payload::{Payload, whole_word};
use crate::subjects::{ONE_WAY_SIZES, Runner, SIZES, Subject, blocking_round_trips, one_way};
use crate::suites::{Link, Receive, Send, consume, echo, produce, round_trips};
use crate::task::{Role, Task};
use crate::wire::{Case, Outcome, Suite, Wait};

/// The peer.
pub const SUBJECT: Subject =
    Subject { name: "ipc-channel", cases, runner: Runner::Processes { ends, side } };

fn cases() -> Vec<Case> {
    blocking_round_trips(SUBJECT.name, &SIZES)
        .chain(one_way(SUBJECT.name, Wait::Blocking, &ONE_WAY_SIZES))
        .collect()
}

fn ends(_: &Case) -> Result<[Ends; 2]> {
    ends::pipes()
}

/// The first side's ends of the two channels, as the second hands them over.
type FirstEnds = (IpcBytesSender, IpcBytesReceiver);

fn side(task: &Task) -> Result<Option<Outcome>> {
    let size = task.case.size;
    let payload = Payload::new(size)?;
    let (sender, receiver) = match task.role {
        Role::First => offer()?,
        Role::Second => connect()?,
    };
    let mut link = Link(Sender(sender, payload), Receiver(receiver, size));
    match (task.case.suite, task.role) {
        (Suite::RoundTrip, Role::First) => round_trips(&mut link, task.budget()).map(Some),
        (Suite::RoundTrip, Role::Second) => echo(&mut link).map(|()| None),
        (_, Role::First) => produce(&mut link, task.budget(), size).map(|()| None),
        (_, Role::Second) => consume(&mut link).map(Some),
    }
}

/// The first side: it tells the other its name, and is given its ends.
fn offer() -> Result<FirstEnds> {
    let (server, name) =
        IpcOneShotServer::<FirstEnds>::new().context("cannot make a server for one")?;
    writeln!(ends::output()?, "{name}").context("cannot tell the other side a name")?;
    let (_, ends) = server.accept().map_err(|error| anyhow!("nobody connected: {error}"))?;
    Ok(ends)
}

/// The second side: it makes both channels and keeps its ends.
fn connect() -> Result<(IpcBytesSender, IpcBytesReceiver)> {
    let mut name = String::new();
    BufReader::new(ends::input()?)
        .read_line(&mut name)
        .context("cannot read what the other side is called")?;
    let server = IpcSender::<FirstEnds>::connect(name.trim_end().to_owned())
        .with_context(|| format!("cannot connect to {name:?}"))?;
    let (there, out) = bytes_channel().context("cannot make a channel")?;
    let (back, home) = bytes_channel().context("cannot make a channel")?;
    server.send((there, home)).map_err(|error| anyhow!("cannot hand over a channel: {error}"))?;
    Ok((back, out))
}

#[derive(Debug)]
struct Sender(IpcBytesSender, Payload);

impl Send for Sender {
    fn send(&mut self, word: u64) -> Result<()> {
        self.1.stamp(word);
        self.0.send(&self.1).context("cannot send to the other side")
    }
}

#[derive(Debug)]
struct Receiver(IpcBytesReceiver, usize);

impl Receive for Receiver {
    fn receive(&mut self) -> Result<u64> {
        let message = self
            .0
            .recv()
            .map_err(|error| anyhow!("cannot receive from the other side: {error}"))?;
        ensure!(
            message.len() == self.1,
            "a message of {} B came instead of {} B",
            message.len(),
            self.1
        );
        whole_word(&message)
    }
}

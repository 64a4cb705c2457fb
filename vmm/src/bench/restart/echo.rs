//! One restart of a load server, seen from its channel.

use std::time::{Duration, Instant};

use atoll_ipc::load::work;
use atoll_ipc::message::IpcError;

use super::case::Fault;
use super::control::Control;
use crate::bench::atoll::AtollError;
use crate::ipc::Channel;

/// Longer than any restart takes.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Calls after which the server is awake, and whatever a call needs is at hand.
const WARM: usize = 3;

/// What a client saw of a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bench) struct Seen {
    /// From before the blow until it was told of the end of the old incarnation.
    pub(in crate::bench) told: Duration,
    /// From before the blow until the first reply of the new one.
    pub(in crate::bench) whole: Duration,
}

/// A client that crashes the server that it calls.
#[derive(Debug)]
pub(in crate::bench) struct Client(Channel);

impl Client {
    /// A client at this end.
    pub(in crate::bench) const fn new(channel: Channel) -> Self {
        Self(channel)
    }

    /// Has the server write to so much memory.
    pub(in crate::bench) fn dirty(&mut self, bytes: usize) -> Result<(), AtollError> {
        let bytes = u32::try_from(bytes)
            .map_err(|_| AtollError::Impossible(format!("{bytes} bytes to write")))?;
        if bytes > 0 {
            self.0.call(work::DIRTY, &bytes.to_le_bytes(), deadline())?;
        }
        Ok(())
    }

    /// Sends a message there and back.
    pub(in crate::bench) fn echo(&mut self) -> Result<(), AtollError> {
        Ok(self.ask()?)
    }

    /// Ends the server's incarnation, and calls until the next one answers.
    pub(in crate::bench) fn crash(
        &mut self,
        fault: Fault,
        control: &Control,
        domain: &str,
    ) -> Result<Seen, AtollError> {
        for _ in 0..WARM {
            self.ask()?;
        }
        let epoch = self.0.server_epoch();
        let begun = Instant::now();
        let mut told = None;
        match fault.number() {
            None => control.kill(domain)?,
            Some(number) => match self.0.call(work::CRASH, &[number], deadline()) {
                Err(IpcError::PeerRestarted) => told = Some(begun.elapsed()),
                other => return Err(survived(fault, &other)),
            },
        }
        while begun.elapsed() < PATIENCE {
            match self.ask() {
                Ok(()) if self.0.server_epoch() != epoch => {
                    let whole = begun.elapsed();
                    return Ok(Seen { told: told.unwrap_or(whole), whole });
                }
                // An operator's order takes its time.
                Ok(()) => (),
                Err(IpcError::PeerRestarted) => told = told.or(Some(begun.elapsed())),
                Err(error) => return Err(error.into()),
            }
        }
        Err(IpcError::Timeout.into())
    }

    fn ask(&mut self) -> Result<(), IpcError> {
        const QUESTION: &[u8] = b"are you there?";
        let answer = self.0.call(work::ECHO, QUESTION, deadline())?;
        if answer == QUESTION { Ok(()) } else { Err(IpcError::Protocol) }
    }
}

fn deadline() -> Option<Instant> {
    Instant::now().checked_add(PATIENCE)
}

fn survived(fault: Fault, answer: &Result<Vec<u8>, IpcError>) -> AtollError {
    AtollError::Impossible(format!("{answer:?} to a request that ends it ({fault})"))
}

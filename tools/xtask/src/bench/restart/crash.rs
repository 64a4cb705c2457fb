//! Owns the killing of kv under a client's eyes: the blow, and the wait for the next incarnation's reply.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{Case, Death};
use crate::bench::resp::{Client, Reply};
use crate::bench::system::{KV, System};

/// No restart takes longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The least age at which an incarnation may fault without being taken for one in a crash loop, which the
/// supervisor would slow down (50 ms), and something for the difference between its clock and ours.
const AGE: Duration = Duration::from_millis(60);
/// A key that only the incarnation that is about to die has.
const MARK: &str = "bench:mark";

/// What is needed to kill kv and to watch it.
#[derive(Debug)]
pub struct Crasher {
    /// Sees the death from an open connection.
    witness: Client,
    /// Asks for faults, each of which is answered with an error.
    culprit: Client,
    born: Instant,
}

impl Crasher {
    /// Connects to the kv domain of `system`.
    pub fn new(system: &System) -> Result<Self> {
        let witness = Client::connect(system.address)?;
        let culprit = Client::connect(system.address)?;
        Ok(Self { witness, culprit, born: Instant::now() })
    }

    /// Ends the running incarnation and waits for a reply of the next.
    pub fn crash(&mut self, system: &mut System, case: Case, loaded: bool) -> Result<Death> {
        self.witness.order(&format!("SET {MARK} 1"))?;
        let verb = match case {
            Case::Kill => None,
            Case::Segfault => Some("SEGFAULT"),
            Case::Panic => Some("PANIC"),
            Case::Redis | Case::Pong => bail!("{case} is no end of a domain"),
        };
        if verb.is_some() {
            thread::sleep(AGE.saturating_sub(self.born.elapsed()));
        }
        let start = Instant::now();
        match verb {
            None => system.control.kill(KV)?,
            Some(verb) => self.culprit.send(&format!("DEBUG {verb}"))?,
        }
        let errors = self.until_next(start)?;
        let micros = start.elapsed().as_secs_f64() * 1e6;
        self.born = Instant::now();
        if verb.is_some() {
            self.sentence()?;
        }
        Ok(Death { case, loaded, micros, errors })
    }

    /// Asks for the mark until it is gone. Returns how many requests were answered with an error.
    fn until_next(&mut self, start: Instant) -> Result<u32> {
        let mut errors = 0;
        while start.elapsed() < PATIENCE {
            match self.witness.ask(&format!("EXISTS {MARK}"))? {
                Reply::Integer(0) => return Ok(errors),
                Reply::Integer(_) => (),
                Reply::Error(_) => errors += 1,
                Reply::Simple(text) => bail!("EXISTS was answered with `{text}`"),
            }
        }
        bail!("kv was told to die {} s ago and has not been restarted", PATIENCE.as_secs())
    }

    /// The request that was the death of its server must have an answer, too.
    fn sentence(&mut self) -> Result<()> {
        match self.culprit.receive()? {
            Reply::Error(_) => Ok(()),
            reply => bail!("a request that killed its server was answered with {reply:?}"),
        }
    }
}

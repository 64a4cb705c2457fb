//! Whoever kills kv, at a steady pace, by the orders that an operator has.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::system::DOMAIN;
use crate::bench::atoll::AtollError;
use crate::bench::histogram;
use crate::bench::restart::control::Control;
use crate::journal::EventKind;

/// The nucleus keeps ten thousand events, and some follow each kill: they are read before that.
const UNREAD_MAX: u64 = 500;

/// Longer than a restart takes.
const PATIENCE: Duration = Duration::from_secs(1);

/// Kills a domain.
#[derive(Debug)]
pub(super) struct Killer {
    control: Control,
    pause: Duration,
    done: u64,
    heard: u64,
    restarts: Histogram<u64>,
}

impl Killer {
    /// One that gives so many orders a second.
    pub(super) fn at(socket: &Path, rate: u32) -> Result<Self, AtollError> {
        let mut control = Control::at(socket)?;
        // Of what was before, nothing is of interest.
        control.events()?;
        let pause = Duration::from_secs(1) / rate.max(1);
        Ok(Self { control, pause, done: 0, heard: 0, restarts: histogram::empty()? })
    }

    /// Orders that were taken so far.
    pub(super) const fn done(&self) -> u64 {
        self.done
    }

    /// Kills for so long. An order that comes too late is not made up for.
    pub(super) fn kill_for(&mut self, length: Duration) -> Result<(), AtollError> {
        let begun = Instant::now();
        let mut due = begun;
        while due.duration_since(begun) < length {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            self.done += u64::from(self.control.kill_if_it_runs(DOMAIN)?);
            if self.done.is_multiple_of(UNREAD_MAX) {
                self.listen()?;
            }
            due = (due + self.pause).max(Instant::now());
        }
        Ok(())
    }

    /// Waits until a restart has followed each order, or none does: an order that crosses the end of
    /// an incarnation comes to nothing.
    pub(super) fn await_restarts(&mut self) -> Result<(), AtollError> {
        let begun = Instant::now();
        self.listen()?;
        while self.heard < self.done && begun.elapsed() < PATIENCE {
            self.listen()?;
        }
        self.heard = self.done;
        Ok(())
    }

    /// Times of the restarts since it was last asked, from the end of an incarnation until the next
    /// one runs.
    pub(super) fn take_restarts(&mut self) -> Result<Histogram<u64>, AtollError> {
        Ok(std::mem::replace(&mut self.restarts, histogram::empty()?))
    }

    fn listen(&mut self) -> Result<(), AtollError> {
        for event in self.control.events()? {
            if let EventKind::DomainRestarted { micros, steps, .. } = event.kind {
                let time = steps.map_or(Duration::from_micros(micros), |steps| steps.total());
                let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
                self.restarts.saturating_record(nanos.max(1));
                self.heard += 1;
            }
        }
        Ok(())
    }
}

//! Atoll itself, as a subject: systems of load and echo domains, made for one round each.
//!
//! A round is measured by a domain, with its own clock: the VMM only says what to do, and is told
//! how it went. So nothing of the VMM is on the way of what is measured.

mod cases;
mod clock;
mod floor;
mod gateway;
mod rings;
mod system;

use std::io;
use std::path::PathBuf;

use hdrhistogram::Histogram;
use thiserror::Error;

use atoll_ipc::interface::BindError;
use atoll_ipc::load::{How, Work};
use atoll_ipc::message::IpcError;

use super::bars::{EXITS_PER_CALL, FLOOR_ONE_CPU, FLOOR_TWO_CPUS, SLEEPING_CPU};
use super::histogram;
use super::subject::{MeasureError, Number, Sample, Subject};
use super::wire::{Case, Cpus, Suite, Wait};
use crate::control::ClientError;
use crate::manifest::ManifestError;
use crate::system::SystemError;

pub use cases::{GATEWAY, RAW, RINGS, TYPED};
use system::{Told, measure_in_system};

/// Why Atoll could not be measured.
#[derive(Debug, Error)]
pub enum AtollError {
    /// The system for it could not be had.
    #[error(transparent)]
    System(#[from] SystemError),
    /// Its manifest is wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A system's control API does not do what it is asked.
    #[error(transparent)]
    Control(#[from] ClientError),
    /// A domain did not do its work.
    #[error("the load domain did not answer: {0}")]
    Load(#[from] IpcError),
    /// The bare ring did not carry what it should.
    #[error("the bare ring failed: {0}")]
    Ring(IpcError),
    /// The images are of another version.
    #[error("{0}; build the images anew (`cargo xtask images`)")]
    Bind(#[from] BindError),
    /// The host denied something.
    #[error("{what}: {cause}")]
    Host {
        /// What was asked of it.
        what: &'static str,
        /// What it said.
        cause: io::Error,
    },
    /// There is nothing to count times in.
    #[error(transparent)]
    Histogram(#[from] hdrhistogram::CreationError),
    /// The domain's figures cannot be.
    #[error("the load domain told {0}, which cannot be")]
    Impossible(String),
}

impl From<AtollError> for MeasureError {
    fn from(error: AtollError) -> Self {
        Self::Subject(Box::new(error))
    }
}

/// Atoll.
#[derive(Debug)]
pub struct Atoll {
    images: PathBuf,
    millis: u32,
    /// Calls and exits of domains that both ran, so far.
    calls: u64,
    exits: u64,
}

impl Atoll {
    /// With images from this directory, and rounds of this length.
    pub fn new(images: PathBuf, millis: u32) -> Self {
        Self { images, millis, calls: 0, exits: 0 }
    }

    fn in_domains(&mut self, case: &Case) -> Result<Sample, AtollError> {
        let work = work_of(case, self.millis);
        let told = measure_in_system(&self.images, case, work)?;
        if case.suite == Suite::RoundTrip && (case.wait, case.cpus) == (Wait::Polling, Cpus::Two) {
            self.calls += told.iter().map(|told| told.messages).sum::<u64>();
            self.exits += told.iter().map(|told| told.exits).sum::<u64>();
        }
        match case.suite {
            Suite::RoundTrip | Suite::Chain => times(&told),
            Suite::OneWay | Suite::Lent | Suite::Calls => rate(&told),
        }
    }
}

impl Subject for Atoll {
    fn cases(&self) -> Vec<Case> {
        cases::all()
    }

    fn measure(&mut self, case: &Case) -> Result<Sample, MeasureError> {
        Ok(match case.subject.as_str() {
            RINGS => rings::measure(case, self.millis),
            GATEWAY => gateway::measure(&self.images, case, self.millis),
            _ => self.in_domains(case),
        }?)
    }

    fn numbers(&mut self) -> Vec<Number> {
        let mut numbers = Vec::new();
        let mut add = |name: &str, value: f64| numbers.push(Number { name: name.into(), value });
        if self.calls > 0 {
            add(EXITS_PER_CALL, self.exits as f64 / self.calls as f64);
        }
        match floor::sleeping_cpu(&self.images) {
            Ok(share) => add(SLEEPING_CPU, share),
            Err(error) => log::warn!("the CPU of sleeping domains was not measured: {error}"),
        }
        for (name, cpus) in [(FLOOR_TWO_CPUS, Cpus::Two), (FLOOR_ONE_CPU, Cpus::One)] {
            match floor::of_a_blocking_call(cpus) {
                Ok(nanoseconds) => add(name, nanoseconds),
                Err(error) => log::warn!("{name}: not measured: {error}"),
            }
        }
        numbers
    }
}

fn work_of(case: &Case, millis: u32) -> Work {
    let how = match (case.suite, case.subject.as_str()) {
        (Suite::RoundTrip, TYPED) => How::Typed,
        (Suite::RoundTrip | Suite::Chain, _) => How::Raw,
        (Suite::Calls, _) => How::Calls { depth: case.depth },
        (Suite::OneWay, _) => How::Sent,
        (Suite::Lent, _) => How::Lent,
    };
    Work { how, size: case.size as u32, batch: case.batch, millis }
}

/// The times of all clients together.
fn times(told: &[Told]) -> Result<Sample, AtollError> {
    let mut all: Histogram<u64> = histogram::empty()?;
    for told in told {
        for ticks in &told.samples {
            all.saturating_record(nanoseconds(u64::from(*ticks), told.hz));
        }
    }
    if all.is_empty() { Err(impossible(told)) } else { Ok(Sample::Times(all)) }
}

/// The rates of all clients together: they worked at the same time.
fn rate(told: &[Told]) -> Result<Sample, AtollError> {
    let of_one = |told: &Told| told.messages as f64 * told.hz as f64 / told.ticks as f64;
    let sum: f64 = told.iter().map(of_one).sum();
    if sum.is_finite() && sum > 0.0 { Ok(Sample::Rate(sum)) } else { Err(impossible(told)) }
}

fn impossible(told: &[Told]) -> AtollError {
    let summary: Vec<_> = told.iter().map(|told| (told.messages, told.ticks, told.hz)).collect();
    AtollError::Impossible(format!("{summary:?} (messages, ticks, ticks a second)"))
}

fn nanoseconds(ticks: u64, hz: u64) -> u64 {
    (u128::from(ticks) * 1_000_000_000 / u128::from(hz.max(1))) as u64
}

//! What the engine asks of whatever carries messages.

use std::error::Error;
use std::fmt;

use hdrhistogram::Histogram;
use thiserror::Error;

use super::histogram::{self, HistogramError};
use super::peers::PeerError;
use super::wire::{Case, Outcome};

/// Something that carries messages, and can be measured doing so.
pub trait Subject: fmt::Debug {
    /// Everything that it can be measured at. A case is measured only by the subject that named it.
    fn cases(&self) -> Vec<Case>;

    /// Measures one round of a case.
    ///
    /// # Errors
    /// If it could not be measured; the run goes on with the next case.
    fn measure(&mut self, case: &Case) -> Result<Sample, MeasureError>;

    /// Figures that belong to no case, by the names in [`bars`](super::bars): asked for when all
    /// rounds are over.
    fn numbers(&mut self) -> Vec<Number> {
        Vec::new()
    }
}

/// A figure that belongs to no case.
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    /// What it is: one of the names in [`bars`](super::bars), or any other for the report alone.
    pub name: String,
    /// How much.
    pub value: f64,
}

/// What was measured in one round.
#[derive(Clone, Debug, PartialEq)]
pub enum Sample {
    /// Times in nanoseconds; there is at least one.
    Times(Histogram<u64>),
    /// Messages in a second, or requests, where those are counted.
    Rate(f64),
}

/// Why a round could not be measured.
#[derive(Debug, Error)]
pub enum MeasureError {
    /// The program that does it failed.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The subject says why.
    #[error("{0}")]
    Told(String),
    /// The times that came cannot be read.
    #[error(transparent)]
    Times(#[from] HistogramError),
    /// The rate is no rate.
    #[error("{0} messages in a second are not possible")]
    Rate(f64),
    /// Whatever else a subject meets.
    #[error(transparent)]
    Subject(Box<dyn Error + Send + Sync>),
}

impl Sample {
    /// What another program says came of a round, checked.
    ///
    /// # Errors
    /// If it says that nothing came of it, or something impossible.
    pub fn from_outcome(outcome: Outcome) -> Result<Self, MeasureError> {
        match outcome {
            Outcome::Times(text) => Ok(Self::Times(histogram::from_text(&text)?)),
            Outcome::Rate(rate) if rate.is_finite() && rate > 0.0 => Ok(Self::Rate(rate)),
            Outcome::Rate(rate) => Err(MeasureError::Rate(rate)),
            Outcome::Failed(reason) => Err(MeasureError::Told(reason)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_believed_only_if_they_are_possible() {
        assert_eq!(Sample::from_outcome(Outcome::Rate(2.5)).unwrap(), Sample::Rate(2.5));
        let error = |outcome| Sample::from_outcome(outcome).unwrap_err().to_string();
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(
                error(Outcome::Rate(rate)),
                format!("{rate} messages in a second are not possible")
            );
        }
        assert_eq!(error(Outcome::Failed("no pipe".into())), "no pipe");
        assert!(error(Outcome::Times("~".into())).contains("base 64"));
    }
}

//! What followed the end of an incarnation.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{Origin, Steps};

/// What followed a fault, as far as it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Aftermath {
    /// The next incarnation runs.
    Restarted {
        /// The new incarnation.
        epoch: u64,
        /// From where it began.
        origin: Origin,
        /// Time from the end of the old one, pauses among it, in microseconds.
        micros: u64,
        /// How long each step took, if the domain went back to its checkpoint by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        steps: Option<Steps>,
    },
    /// The next incarnation waits.
    BackingOff {
        /// From the end of the old one on, in microseconds.
        micros: u64,
    },
    /// The incarnation goes on.
    Resumed,
    /// The domain stays down.
    StayedDown,
}

/// Who decided what follows a fault, where a supervisor domain was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Decision {
    /// The port that the fault was reported to.
    pub port: String,
    /// What it answered: `built-in`, `restart`, `restart-from-image`, `resume`, `hold` or
    /// `escalate`.
    pub verdict: Option<String>,
    /// Why the policy of the manifest acted instead.
    pub overruled: Option<String>,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { port, verdict, overruled } = self;
        match (verdict, overruled) {
            (_, Some(why)) => write!(f, "decided by the manifest's policy: {port} {why}"),
            (Some(verdict), None) => write!(f, "decided by {port}: {verdict}"),
            (None, None) => write!(f, "{port} was asked"),
        }
    }
}

impl fmt::Display for Aftermath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Restarted { epoch, origin, micros, steps } => {
                write!(f, "restarted from its {origin} in {micros} us, epoch {epoch}")?;
                steps.map_or(Ok(()), |steps| write!(f, " ({steps})"))
            }
            Self::BackingOff { micros } => write!(f, "restart waits {micros} us"),
            Self::Resumed => f.write_str("resumed, in the same epoch"),
            Self::StayedDown => f.write_str("stays down"),
        }
    }
}

//! What the control API says when it cannot do what it was asked.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which rule stood in the way; one word for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// The system has no domain of that name (404).
    NoSuchDomain,
    /// The system has no dead letter of that number (404).
    NoSuchLetter,
    /// The dead letter was not kept whole (409).
    LetterNotWhole,
    /// The domain is in a state that does not allow the operation (409).
    WrongState,
    /// The domain has no state region (409).
    NoState,
    /// The state of a domain could not be read or copied (500).
    NoCore,
    /// There can be no snapshot (409).
    NoSnapshot,
    /// The system is stopping (503).
    ShuttingDown,
    /// The nucleus gave no answer in time (504).
    NoAnswer,
    /// Too many streams are open, or a core file is on its way already (503).
    TooManyStreams,
    /// No such route, method or parameter (400, 404, 405).
    BadRequest,
}

/// The body of every answer outside 2xx.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Which rule stood in the way.
    pub kind: ProblemKind,
    /// The HTTP status, repeated.
    pub status: u16,
    /// What was asked, why it cannot be, and what to do instead.
    pub message: String,
}

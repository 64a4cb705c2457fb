//! What a domain keeps when it is restarted: the keys `state` and `state-on-crash-loop`.

use std::str::FromStr;

use atoll_ipc::abi::layout::STATE_MAX;

use crate::journal::printable;

use super::domain::word;
use super::error::Rule;
use super::memory::{MemorySize, MemorySizeError};
use super::source::Span;
use super::table::{Integer, Problems, Table, as_integer, wrong_type};

/// A state region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Its size, at most [`STATE_MAX`].
    pub size: MemorySize,
    /// What becomes of it when no restart helps.
    pub on_crash_loop: OnCrashLoop,
}

/// What becomes of a state region when its domain fails again and again, from its image, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnCrashLoop {
    /// It is kept; an operator may empty it.
    #[default]
    Keep,
    /// Further incarnations find it empty.
    Drop,
}

impl OnCrashLoop {
    /// Every answer, as written.
    pub(super) const WORDS: [(&'static str, Self); 2] =
        [("keep", Self::Keep), ("drop", Self::Drop)];
}

/// A size that no state region can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// No amount of memory, or one of part pages.
    #[error(transparent)]
    Size(MemorySizeError),
    /// Nothing, or too much.
    #[error(
        "{0} is out of range; use 4 KiB to {max} GiB, or remove the key for a domain that keeps \
         nothing",
        max = STATE_MAX >> 30
    )]
    Range(String),
}

/// The state region that a domain's table asks for; `None` also if a problem was noted.
pub(super) fn state(table: &Table<'_>, problems: &mut Problems) -> Option<State> {
    let unknown = |value, nearest| Rule::OnCrashLoop { value, nearest };
    let on_crash_loop = word(table, "state-on-crash-loop", &OnCrashLoop::WORDS, problems, unknown);
    let Some(value) = table.get("state") else {
        if let Some(value) = table.get("state-on-crash-loop") {
            problems.at(&value.span(), Rule::OnCrashLoopWithoutState);
        }
        return None;
    };
    let span: Span = value.span();
    let size = if let Some(text) = value.get_ref().as_str() {
        within(MemorySize::from_str(text), &printable(text.trim()))
    } else if let Some(integer) = as_integer(value) {
        let Integer { written, value } = integer.value;
        let bytes = value.ok_or(MemorySizeError::Range(written.clone()));
        within(bytes.and_then(MemorySize::from_bytes), &written)
    } else {
        wrong_type("state", value, "a string such as `64 MiB`, or bytes as an integer", problems);
        return None;
    };
    let size = size.map_err(|error| problems.at(&span, Rule::State(error))).ok()?;
    Some(State { size, on_crash_loop })
}

fn within(
    size: Result<MemorySize, MemorySizeError>,
    written: &str,
) -> Result<MemorySize, StateError> {
    match size {
        Ok(size) if size.bytes() <= STATE_MAX => Ok(size),
        Ok(_) | Err(MemorySizeError::Range(_)) => Err(StateError::Range(written.to_owned())),
        Err(
            error @ (MemorySizeError::Syntax(_)
            | MemorySizeError::Unit { .. }
            | MemorySizeError::Pages(_)),
        ) => Err(StateError::Size(error)),
    }
}

//! Owns the errors that a command answers with: their texts are Redis's own, since
//! clients match on them.

use alloc::collections::TryReserveError;

/// Why a command was refused. A refused command has changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The key holds a value of another type.
    WrongType,
    /// The arguments do not make sense together.
    Syntax,
    /// An argument, or a stored value, is not a 64-bit integer.
    NotInteger,
    /// The memory limit, or the allocator, says no.
    Memory,
    /// The store that keeps the database has no room for it.
    StoreFull,
    /// The store's disk failed.
    StoreFailed,
    /// The store's disk can only be read.
    StoreReadOnly,
    /// What it changes is more than the store takes at once.
    BatchTooLong,
    /// Anything else, with its text.
    Text(&'static str),
}

impl Failure {
    /// The text of the reply, without the dash.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::WrongType => "WRONGTYPE Operation against a key holding the wrong kind of value",
            Self::Syntax => "ERR syntax error",
            Self::NotInteger => "ERR value is not an integer or out of range",
            Self::Memory => "OOM command not allowed when used memory > 'maxmemory'.",
            Self::StoreFull => {
                "ERR the store is full: its disk has no room for this write; delete keys, or give \
                 it a larger disk"
            }
            Self::StoreFailed => {
                "MISCONF the disk of the store failed: what it holds can be read, but nothing can \
                 be written until the disk is replaced and the store restarted"
            }
            Self::StoreReadOnly => {
                "MISCONF the disk of the store can only be read, so nothing can be written"
            }
            Self::BatchTooLong => {
                "ERR the write is too long for one batch of the store: write less at once"
            }
            Self::Text(text) => text,
        }
    }
}

impl From<TryReserveError> for Failure {
    fn from(_: TryReserveError) -> Self {
        Self::Memory
    }
}

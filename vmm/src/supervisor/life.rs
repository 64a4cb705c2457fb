//! One domain as the supervisor sees it: what it does, and what is wanted of it.
//!
//! ```text
//!          Start            started               ready
//!   Down ────────▶ Launched ────────▶ Initialising ────▶ Up ──Stop──▶ Stopping
//!                      │                   │                             │ deadline
//!                      └──── deadline ─────┴──▶ Overdue                  ▼
//!                                          └── stopped with others ──▶ Forced
//! ```
//!
//! From each of them an end leads back to `Down`. At most one order is outstanding at any time;
//! only `Force` overtakes others, and nothing overtakes it.

use std::time::Duration;

use super::action::Why;
use super::ladder::Ladder;
use super::leaving::Scope;
use crate::manifest::RestartFrom;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// No incarnation is alive.
    Down,
    /// One was ordered.
    Launched(RestartFrom),
    /// It runs, and has not said that it is ready.
    Initialising,
    /// It serves.
    Up,
    /// It was not ready in time, and is forced to end: that will be its failure.
    Overdue,
    /// It was asked to stop.
    Stopping,
    /// It is forced to end, which is no failure of its own.
    Forced,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    Up,
    Down(Why),
}

#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) phase: Phase,
    pub(super) want: Want,
    /// What it is restarted or ended with. A live domain with a scope is to end; one that is
    /// down is to start when the others of its scope are down too.
    pub(super) scope: Option<Scope>,
    /// There is a checkpoint of an incarnation that the next one may follow.
    pub(super) checkpoint: bool,
    pub(super) ladder: Ladder,
    /// It does not start before.
    pub(super) not_before: Duration,
}

impl Life {
    /// A domain before its first incarnation.
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Down,
            want: Want::Up,
            scope: None,
            checkpoint: false,
            ladder: Ladder::default(),
            not_before: Duration::ZERO,
        }
    }

    pub(super) fn is_alive(&self) -> bool {
        self.phase != Phase::Down
    }

    /// Whether those that start after it need not wait any more: it is up, or nothing will
    /// bring it up. (A domain that has finished, or failed for good, does not hold up the
    /// others: `after` is about order, not about need.)
    pub(super) fn is_settled(&self) -> bool {
        match (self.phase, self.want) {
            (Phase::Up, _) => self.scope.is_none(),
            (Phase::Down, Want::Down(_)) => true,
            _ => false,
        }
    }
}

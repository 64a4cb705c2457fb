//! What the supervisor is to know, in the order in which it happened.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;

use crate::supervisor::End;

/// Something that happened to a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// An incarnation runs.
    Started,
    /// Its server has begun.
    Ready,
    /// It ended.
    Ended {
        /// How.
        end: End,
        /// How long it had run.
        uptime: Duration,
    },
    /// It failed, and is kept as it is until somebody has decided.
    Suspended {
        /// How.
        end: End,
        /// How long it had run.
        uptime: Duration,
    },
    /// It ended, and the next one runs.
    WentAhead {
        /// How it ended.
        end: End,
        /// How long it had run.
        uptime: Duration,
    },
}

/// Those that the supervisor has not been told of yet.
#[derive(Debug, Default)]
pub struct Notices(RefCell<VecDeque<(u32, Notice)>>);

impl Notices {
    /// Adds one of a domain.
    pub fn give(&self, domain: u32, notice: Notice) {
        self.0.borrow_mut().push_back((domain, notice));
    }

    /// Takes the oldest.
    pub fn take(&self) -> Option<(u32, Notice)> {
        self.0.borrow_mut().pop_front()
    }
}

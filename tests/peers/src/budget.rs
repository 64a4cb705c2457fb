//! Owns how long a round may take.

use std::time::Duration;

/// The time of one round.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// What goes by first, unmeasured: caches, page tables and branch predictors settle.
    pub warm_up: Duration,
    /// What is measured.
    pub measured: Duration,
}

impl Budget {
    /// A round that measures for some milliseconds, after a fifth of that to warm up.
    pub fn of_milliseconds(milliseconds: u64) -> Self {
        let measured = Duration::from_millis(milliseconds);
        Self { warm_up: measured / 5, measured }
    }
}

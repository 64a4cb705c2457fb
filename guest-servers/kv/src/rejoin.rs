//! Owns how a database that a restart has kept finds its store again: what the last incarnation had
//! told the store may be anything up to the batch that was under way, and the store says how much of it
//! there is.
//!
//! | the store's last batch is | so |
//! |---|---|
//! | the database's | what changed since is to be committed, for the first time or once more |
//! | the one after it, and that was made | it was committed, and nobody was told |
//! | any other | one of the two has another history: the database is stale |

use core::fmt;

use store::interface::Ailment;

use crate::db::Database;
use crate::journal::{Journal, Terms};

/// Why a database cannot go on with its store, and is to be loaded from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// The last incarnation had not loaded all of it.
    Partial,
    /// It was kept by another store.
    Store,
    /// The store has neither the last batch that the database knows of nor the one under way.
    Batch {
        /// The last one that the database knows of.
        known: u64,
        /// The last one that the store has.
        stored: u64,
    },
    /// There are changes that the store does not have and will not take.
    Ailing(Ailment),
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partial => f.write_str("the last incarnation had not loaded all of it"),
            Self::Store => f.write_str("it was kept by another store"),
            Self::Batch { known, stored } => {
                write!(f, "the store's last batch is {stored}, and the last one known is {known}")
            }
            Self::Ailing(ailment) => {
                write!(f, "it has changes, and the store takes no writes: {ailment:?}")
            }
        }
    }
}

impl core::error::Error for Stale {}

/// Which batches a store has, beside those that the database knows that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// No other.
    Level,
    /// The one that was under way.
    Ahead,
}

impl Database {
    /// Whether a database that a restart has kept can go on with a store that stands so.
    ///
    /// # Errors
    /// Why it cannot: it is to be forgotten, and [loaded](Self::load) again.
    pub fn fits(&self, terms: &Terms) -> Result<(), Stale> {
        standing(self.journal.as_ref(), terms).map(|_| ())
    }

    /// Goes on with a store that stands so. What has [changed](Self::has_changes) must be
    /// committed before anything is shown or changed.
    ///
    /// # Errors
    /// As [`fits`](Self::fits).
    pub fn rejoin(&mut self, terms: Terms, now_ms: u64) -> Result<(), Stale> {
        let standing = standing(self.journal.as_ref(), &terms)?;
        if let Some(journal) = &mut self.journal {
            match standing {
                Standing::Level => {}
                Standing::Ahead => journal.committed(terms.room, now_ms),
            }
            journal.rejoin(terms);
        }
        Ok(())
    }
}

fn standing(journal: Option<&Journal>, terms: &Terms) -> Result<Standing, Stale> {
    // A database is kept from when all is loaded.
    let journal = journal.ok_or(Stale::Partial)?;
    let known = journal.terms();
    if known.store != terms.store {
        return Err(Stale::Store);
    }
    let standing = match terms.batch.checked_sub(known.batch) {
        Some(0) => Standing::Level,
        // No other can have come from here.
        Some(1) if journal.is_sealed() => Standing::Ahead,
        Some(_) | None => {
            return Err(Stale::Batch { known: known.batch, stored: terms.batch });
        }
    };
    match (standing, terms.ailment) {
        (Standing::Level, Some(ailment)) if !journal.is_empty() => Err(Stale::Ailing(ailment)),
        (Standing::Level | Standing::Ahead, _) => Ok(standing),
    }
}

//! Owns how a database that a restart has kept finds its store again: what the last incarnation had
//! told the store may be anything up to the last batch that was under way, and the store says how much of
//! it there is.
//!
//! | the store's last batch is | so |
//! |---|---|
//! | the last one that the database knows of | what changed since is to be committed, for the first time or once more |
//! | one of those after it that were made | up to there they were committed, and nobody was told |
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
    /// The store has neither the last batch that the database knows of nor one that was under way.
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

impl Database {
    /// Whether a database that a restart has kept can go on with a store that stands so.
    ///
    /// # Errors
    /// Why it cannot: it is to be forgotten, and [loaded](Self::load) again.
    pub fn fits(&self, terms: &Terms) -> Result<(), Stale> {
        ahead(self.journal.as_ref(), terms).map(|_| ())
    }

    /// Goes on with a store that stands so. The [batches](Self::batches) that are left, and what has
    /// [changed](Self::has_changes) since, must be committed before anything is shown or changed.
    ///
    /// # Errors
    /// As [`fits`](Self::fits).
    pub fn rejoin(&mut self, terms: Terms, now_ms: u64) -> Result<(), Stale> {
        let ahead = ahead(self.journal.as_ref(), &terms)?;
        if let Some(journal) = &mut self.journal {
            (0..ahead).for_each(|_| journal.committed(terms.room, now_ms));
            journal.rejoin(terms);
        }
        Ok(())
    }
}

/// How many batches the store has, beside those that the database knows that it has.
fn ahead(journal: Option<&Journal>, terms: &Terms) -> Result<usize, Stale> {
    // A database is kept from when all is loaded.
    let journal = journal.ok_or(Stale::Partial)?;
    let known = journal.terms();
    if known.store != terms.store {
        return Err(Stale::Store);
    }
    let ahead = terms.batch.checked_sub(known.batch).and_then(|ahead| ahead.try_into().ok());
    // No others can have come from here.
    let Some(ahead) = ahead.filter(|&ahead: &usize| ahead <= journal.under_way()) else {
        return Err(Stale::Batch { known: known.batch, stored: terms.batch });
    };
    let has_more = ahead < journal.under_way() || !journal.is_empty();
    match terms.ailment {
        Some(ailment) if has_more => Err(Stale::Ailing(ailment)),
        Some(_) | None => Ok(ahead),
    }
}

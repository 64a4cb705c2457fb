//! Owns what is said of a change to a value, so that a journal can write it down.
//!
//! A change is the effect of a command, not the command: what was put in, what was taken out.
//! Carried out again on the value as it was, in the same order, it makes the value as it is,
//! whatever the command knew of the time, of chance or of other keys.

use crate::value::End;

/// Strings, shown one after the other to whoever is given.
pub(crate) type Strings<'a> = &'a dyn Fn(&mut dyn FnMut(&[u8]));

/// A change of one value.
#[derive(Clone, Copy)]
pub(crate) enum Change<'a> {
    /// None that anybody could see.
    Unseen,
    /// Any: the new value is small, or nothing of the old one is left.
    Whole,
    /// The time after which it is gone, in milliseconds since 1970; 0: never.
    Deadline(u64),
    /// Bytes of a string from an offset on; what lies between its end and them is zeros.
    Write { offset: usize, bytes: &'a [u8] },
    /// Items at one end of a list, one after the other.
    Push { end: End, items: Strings<'a> },
    /// So many items of one end of a list are gone.
    Take { end: End, count: usize },
    /// Another item in the place of one.
    Replace { at: usize, item: &'a [u8] },
    /// Items equal to this one are gone, but for the first `skip`; `most` of them.
    DropEqual { item: &'a [u8], skip: usize, most: usize },
    /// Fields of a hash and their values, in turn.
    SetFields(Strings<'a>),
    /// Fields of a hash are gone.
    DropFields(Strings<'a>),
    /// Members of a set.
    AddMembers(Strings<'a>),
    /// Members of a set are gone.
    DropMembers(Strings<'a>),
}

impl Change<'_> {
    /// What is to be said of it if the value weighs what it weighed before: nothing, if what it
    /// tells of did not take place.
    pub(crate) fn of_same_weight(self) -> Self {
        match self {
            Self::DropFields(_) | Self::AddMembers(_) | Self::DropMembers(_) => Self::Unseen,
            Self::Unseen
            | Self::Whole
            | Self::Deadline(_)
            | Self::Write { .. }
            | Self::Push { .. }
            | Self::Take { .. }
            | Self::Replace { .. }
            | Self::DropEqual { .. }
            | Self::SetFields(_) => self,
        }
    }
}

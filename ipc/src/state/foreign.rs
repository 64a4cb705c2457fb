//! Contents that are not those that a server looks for.

use core::fmt;

use crate::abi::Name;

/// Why what is in a state region cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// It was written by another version of the guest kernel.
    Format {
        /// The version of its format.
        found: u32,
    },
    /// It is something else.
    Owner {
        /// What it calls itself.
        found: Name,
        /// What is looked for.
        wanted: Name,
    },
    /// It has that name, but is a value where a heap is looked for, or the other way round.
    Kind {
        /// What it is.
        name: Name,
    },
    /// It has another form.
    Version {
        /// What it is.
        name: Name,
        /// The version that it has.
        found: u32,
        /// The version that is looked for.
        wanted: u32,
    },
    /// It was made for a region of another size.
    Size {
        /// What it is.
        name: Name,
        /// That size.
        found: u64,
        /// The size of this one.
        wanted: u64,
    },
    /// It can be used only by the very image that made it, and this is another.
    Image {
        /// What it is.
        name: Name,
    },
    /// Its contents do not add up to what it says: something wrote over them.
    Damaged {
        /// What it is.
        name: Name,
    },
}

/// What can be done, whatever is the matter.
const REMEDY: &str = "`vmm reset-state DOMAIN` empties the region";

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format { found } => write!(
                f,
                "the state region has format {found}, and this image knows {}; run the image that \
                 wrote it, or start over: {REMEDY}",
                super::FORMAT
            ),
            Self::Owner { found, wanted } => write!(
                f,
                "the state region holds `{found}`, and this server keeps `{wanted}`; start over: \
                 {REMEDY}"
            ),
            Self::Kind { name } => write!(
                f,
                "`{name}` in the state region is a value where this server keeps a heap, or a heap \
                 where it keeps a value; start over: {REMEDY}"
            ),
            Self::Version { name, found, wanted } => write!(
                f,
                "the state region holds version {found} of `{name}`, and this server keeps version \
                 {wanted}; run the image that wrote it, or start over: {REMEDY}"
            ),
            Self::Size { name, found, wanted } => write!(
                f,
                "`{name}` was made for a state region of {found} bytes, and this one has {wanted}; \
                 set `state` in the manifest to {found}, or start over: {REMEDY}"
            ),
            Self::Image { name } => write!(
                f,
                "`{name}` in the state region was made by another image, and only that can use it; \
                 run that image, or start over: {REMEDY}"
            ),
            Self::Damaged { name } => write!(
                f,
                "`{name}` in the state region does not add up: something wrote over it; start \
                 over: {REMEDY}"
            ),
        }
    }
}

impl core::error::Error for Foreign {}

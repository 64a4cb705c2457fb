//! Names of systems, domains, groups, disks and ports: one rule, five types, so that they cannot be mixed up.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use atoll_ipc::abi::{NAME_MAX, Name};

/// Text that is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a name; use 1 to {NAME_MAX} letters, digits, `-` and `_`, \
     beginning with a letter"
)]
pub struct NameError {
    /// The text, made safe to print.
    pub text: String,
}

fn abi_name(text: &str) -> Result<Name, NameError> {
    // Padding makes `a` and `a\0` alike, so the text itself is what is checked.
    if Name::is_valid(text.as_bytes()) {
        Ok(Name::new(text))
    } else {
        Err(NameError { text: crate::journal::printable(text) })
    }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub struct $name(Name);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// The name as guests see it.
            pub fn to_abi(self) -> Name {
                self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                abi_name(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }

        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.as_str().hash(state);
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }
    )*};
}

names! {
    /// A system's name; its control socket is named after it.
    SystemName;
    /// A domain's name, unique in its system.
    DomainName;
    /// A group's name, unique in its system.
    GroupName;
    /// A disk's name, unique in its system.
    DiskName;
    /// A port's name, or a client's name for a channel.
    PortName;
}

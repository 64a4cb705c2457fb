//! Memory sizes, as written (`256 MiB`) and as used (bytes, whole pages).

use std::fmt;
use std::str::FromStr;

use atoll_ipc::abi::layout::{MEMORY_MAX, PAGE};

use super::quantity::number_and_unit;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// An amount of guest memory: whole pages, at least one, at most [`MEMORY_MAX`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemorySize(u64);

/// An amount that no domain can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemorySizeError {
    /// Not a number with a unit.
    #[error(
        "`{0}` is not a memory size; write bytes as an integer, or `64 KiB`, `256 MiB`, `2 GiB`"
    )]
    Syntax(String),
    /// A unit that is not one of the three.
    #[error("`{unit}` is not a unit of memory; use KiB, MiB or GiB{}", hint(*.nearest))]
    Unit {
        /// As written.
        unit: String,
        /// The unit that was probably meant.
        nearest: Option<&'static str>,
    },
    /// Not whole pages.
    #[error(
        "{0} bytes is not a whole number of 4 KiB pages; the next one is {next}",
        next = .0.next_multiple_of(PAGE)
    )]
    Pages(u64),
    /// Nothing, or beyond all reason.
    #[error("{0} is out of range; use 4 KiB to {max} GiB", max = MEMORY_MAX / GIB)]
    Range(String),
}

impl MemorySize {
    /// The largest size.
    pub const MAX: Self = Self(MEMORY_MAX);

    /// This many bytes.
    ///
    /// # Errors
    /// When it is not whole pages, or out of range.
    pub fn from_bytes(bytes: u64) -> Result<Self, MemorySizeError> {
        if bytes == 0 || bytes > MEMORY_MAX {
            Err(MemorySizeError::Range(bytes.to_string()))
        } else if !bytes.is_multiple_of(PAGE) {
            Err(MemorySizeError::Pages(bytes))
        } else {
            Ok(Self(bytes))
        }
    }

    /// The number of bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for MemorySize {
    type Err = MemorySizeError;

    fn from_str(text: &str) -> Result<Self, MemorySizeError> {
        Self::from_bytes(amount(text)?)
    }
}

/// The bytes that a text such as `256 MiB` means, be they many or few.
pub(super) fn amount(text: &str) -> Result<u64, MemorySizeError> {
    let (number, unit) = number_and_unit(text);
    if number.is_empty() || unit.is_empty() {
        return Err(MemorySizeError::Syntax(crate::journal::printable(text)));
    }
    let scale = unit_scale(unit)?;
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(scale));
    bytes.ok_or_else(|| MemorySizeError::Range(text.trim().to_owned()))
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map(|unit| format!(" (did you mean {unit}?)")).unwrap_or_default()
}

fn unit_scale(unit: &str) -> Result<u64, MemorySizeError> {
    match unit {
        "KiB" => Ok(KIB),
        "MiB" => Ok(MIB),
        "GiB" => Ok(GIB),
        other => Err(MemorySizeError::Unit {
            nearest: likely_unit(other),
            unit: crate::journal::printable(other),
        }),
    }
}

/// `MB`, `m` and `mib` mean MiB to whoever writes them for a machine's memory.
fn likely_unit(unit: &str) -> Option<&'static str> {
    match unit.to_ascii_lowercase().as_str() {
        "k" | "kb" | "kib" => Some("KiB"),
        "m" | "mb" | "mib" => Some("MiB"),
        "g" | "gb" | "gib" => Some("GiB"),
        _ => None,
    }
}

impl fmt::Display for MemorySize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, unit) = match self.0 {
            n if n.is_multiple_of(GIB) => (n / GIB, "GiB"),
            n if n.is_multiple_of(MIB) => (n / MIB, "MiB"),
            n => (n / KIB, "KiB"),
        };
        write!(f, "{number} {unit}")
    }
}

impl fmt::Debug for MemorySize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

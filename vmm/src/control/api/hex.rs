//! A 64-bit number that JSON carries as hexadecimal text.
//!
//! Addresses and registers use all 64 bits; a JSON number keeps only 53 of them in many readers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

/// An address or a register: `"0x00000000004010a0"` in JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
#[schema(value_type = String, pattern = "^0x[0-9a-f]{16}$", example = "0x00000000004010a0")]
pub struct Hex(pub u64);

/// Text that is no `0x` number of at most 64 bits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a hexadecimal number of at most 64 bits; write it as `0x1f`")]
pub struct HexError {
    text: String,
}

impl From<u64> for Hex {
    fn from(value: u64) -> Self {
        Self(value)
    }
}

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#018x}", self.0)
    }
}

impl FromStr for Hex {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, HexError> {
        text.strip_prefix("0x")
            .filter(|digits| !digits.starts_with('+'))
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .map(Self)
            .ok_or_else(|| HexError { text: text.to_owned() })
    }
}

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_all_bits() {
        let json = serde_json::to_string(&Hex(u64::MAX - 1)).unwrap();
        assert_eq!(json, "\"0xfffffffffffffffe\"");
        assert_eq!(serde_json::from_str::<Hex>(&json).unwrap(), Hex(u64::MAX - 1));
    }

    #[test]
    fn other_text_is_refused() {
        for text in ["", "12", "0x", "0x+1", "0xg", "0x10000000000000000"] {
            assert_eq!(text.parse::<Hex>(), Err(HexError { text: text.into() }));
        }
    }
}

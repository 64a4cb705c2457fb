//! Dead letters: requests of which server after server has died.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;

/// A dead letter, without its payload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetterLine {
    /// Its number; none is used twice.
    pub number: u64,
    /// When it was put aside, in microseconds since 1970.
    pub time: u64,
    /// The domain that it was sent to.
    pub domain: String,
    /// The port that it was sent to.
    pub port: String,
    /// The last incarnation that died of it.
    pub epoch: u64,
    /// Who sent it.
    pub client: String,
    /// Which incarnation of the sender.
    pub client_epoch: u64,
    /// What it asks for.
    pub operation: u16,
    /// Whether its sender waited for a reply.
    pub is_call: bool,
    /// How often it was delivered.
    pub deliveries: u32,
    /// Bytes of its payload.
    pub bytes: u64,
    /// Bytes of a buffer that came beside the payload; they are not kept.
    pub buffer_bytes: u64,
    /// What the last incarnation died of.
    pub fault: String,
}

/// A dead letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetter {
    /// All but the payload.
    #[serde(flatten)]
    pub line: DeadLetterLine,
    /// The payload, or its beginning if it is long.
    pub payload: HexBytes,
}

/// What became of a letter that was sent again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Replay {
    /// The reply, if there was one.
    pub reply: Option<HexBytes>,
    /// Why there was none, though one was waited for.
    pub error: Option<String>,
}

/// Bytes, as text two hexadecimal digits each.
#[derive(Clone, Debug, Default, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, example = "00ff")]
pub struct HexBytes(pub Vec<u8>);

impl Serialize for HexBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl std::fmt::Display for HexBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl<'de> Deserialize<'de> for HexBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
        let digits = digits.filter(|digits| digits.len().is_multiple_of(2));
        let digits = digits.ok_or_else(|| de::Error::custom("not pairs of hexadecimal digits"))?;
        Ok(Self(digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_survive_their_digits(bytes: Vec<u8>) {
            let text = serde_json::to_string(&HexBytes(bytes.clone())).unwrap();
            prop_assert_eq!(serde_json::from_str::<HexBytes>(&text).unwrap().0, bytes);
        }
    }

    #[test]
    fn half_a_byte_and_other_letters_are_refused() {
        for text in ["\"0\"", "\"0g\"", "\"+1\"", "7"] {
            assert!(serde_json::from_str::<HexBytes>(text).is_err(), "{text}");
        }
    }
}

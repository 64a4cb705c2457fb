//! Owns the reading and writing of numbers as Redis does it: one spelling each.

/// Reads a signed integer: no sign but `-`, no blanks, no leading zeros, no `-0`.
pub(crate) fn parse(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut magnitude = 0_u64;
    for &byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        // Nineteen digits cannot overflow 64 unsigned bits.
        magnitude = magnitude * 10 + u64::from(byte - b'0');
    }
    if negative { 0_i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

/// The decimal digits of a number, on the stack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Digits {
    bytes: [u8; 20],
    start: u8,
}

impl Digits {
    /// Writes `number` down.
    #[inline]
    pub(crate) fn new(number: i64) -> Self {
        let mut digits = Self { bytes: [b'0'; 20], start: 20 };
        let mut rest = number.unsigned_abs();
        loop {
            digits.push((rest % 10) as u8 + b'0');
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if number < 0 {
            digits.push(b'-');
        }
        digits
    }

    /// Writes a length or a count down.
    #[inline]
    pub(crate) fn of_length(length: usize) -> Self {
        Self::new(i64::try_from(length).unwrap_or(i64::MAX))
    }

    fn push(&mut self, byte: u8) {
        self.start -= 1;
        self.bytes[usize::from(self.start)] = byte;
    }

    /// The digits.
    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[usize::from(self.start)..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    #[test]
    fn accepts_one_spelling_only() {
        for text in ["", "-", "+1", " 1", "1 ", "01", "-0", "00", "1.0", "9223372036854775808", "x"]
        {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(parse(b"0"), Some(0));
        assert_eq!(parse(b"9223372036854775807"), Some(i64::MAX));
        assert_eq!(parse(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(parse(b"-9223372036854775809"), None);
        assert_eq!(parse(b"99999999999999999999"), None);
    }

    proptest! {
        #[test]
        fn writes_what_it_reads(number: i64) {
            let (digits, expected) = (Digits::new(number), number.to_string());
            prop_assert_eq!(digits.as_bytes(), expected.as_bytes());
            prop_assert_eq!(parse(digits.as_bytes()), Some(number));
        }
    }
}

//! Owns inline requests: a line of words, as a person types them into a plain connection,
//! with quotes and escapes.

use alloc::vec::Vec;

use crate::failure::Failure;
use crate::request::{Span, Violation};

/// Why a line gives no words.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BadLine {
    /// The quotes do not match.
    Violation(Violation),
    /// There is no memory for the words.
    Failure(Failure),
}

impl From<alloc::collections::TryReserveError> for BadLine {
    fn from(_: alloc::collections::TryReserveError) -> Self {
        Self::Failure(Failure::Memory)
    }
}

/// Splits `line` into words: their bytes go, unescaped, to `words`, their places to `spans`.
pub(crate) fn split(
    line: &[u8],
    words: &mut Vec<u8>,
    spans: &mut Vec<Span>,
) -> Result<(), BadLine> {
    // No escape is shorter than what it stands for.
    words.try_reserve(line.len())?;
    spans.clear();
    let mut rest = line.trim_ascii_start();
    while !rest.is_empty() {
        let start = words.len();
        rest = word(rest, words).ok_or(BadLine::Violation(Violation::Quotes))?;
        spans.try_reserve(1)?;
        spans.push(Span::new(start, words.len() - start));
        rest = rest.trim_ascii_start();
    }
    Ok(())
}

/// Reads one word; `None` if a quote in it is not closed, or closed in mid-word.
fn word<'a>(mut rest: &'a [u8], words: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return Some(rest),
            [blank, ..] if blank.is_ascii_whitespace() => return Some(rest),
            [quote @ (b'"' | b'\''), quoted @ ..] => {
                let after = if *quote == b'"' {
                    double_quoted(quoted, words)?
                } else {
                    single_quoted(quoted, words)?
                };
                let ends = after.first().is_none_or(u8::is_ascii_whitespace);
                return ends.then_some(after);
            }
            [byte, after @ ..] => {
                words.push(*byte);
                rest = after;
            }
        }
    }
}

fn double_quoted<'a>(mut rest: &'a [u8], words: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, after) = match rest {
            [] => return None,
            [b'"', after @ ..] => return Some(after),
            [b'\\', b'x', high, low, after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (hex(*high) << 4 | hex(*low), after)
            }
            [b'\\', escaped, after @ ..] => (unescape(*escaped), after),
            [byte, after @ ..] => (*byte, after),
        };
        words.push(byte);
        rest = after;
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], words: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, after) = match rest {
            [] => return None,
            [b'\\', b'\'', after @ ..] => (b'\'', after),
            [b'\'', after @ ..] => return Some(after),
            [byte, after @ ..] => (*byte, after),
        };
        words.push(byte);
        rest = after;
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Args;
    use proptest::prelude::*;

    fn words(line: &[u8]) -> Result<Vec<Vec<u8>>, BadLine> {
        let (mut bytes, mut spans) = (Vec::new(), Vec::new());
        split(line, &mut bytes, &mut spans)?;
        Ok(Args::new(&bytes, &spans).from(0).map(<[u8]>::to_vec).collect())
    }

    #[test]
    fn words_quotes_and_escapes() {
        let cases: &[(&[u8], &[&[u8]])] = &[
            (b"SET a b", &[b"SET", b"a", b"b"]),
            (b"  GET \t k  ", &[b"GET", b"k"]),
            (b"SET k \"a b\\n\\x41\\\"\"", &[b"SET", b"k", b"a b\nA\""]),
            (b"SET k 'a \\' \\n'", &[b"SET", b"k", b"a ' \\n"]),
            (b"\"\" ''", &[b"", b""]),
            (b"a\"b c\"", &[b"ab c"]),
            (b"", &[]),
        ];
        for (line, expected) in cases {
            assert_eq!(words(line).unwrap(), *expected, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn unbalanced_quotes_are_refused() {
        for line in [&b"\"a"[..], b"'a", b"\"a\"b", b"'a'b", b"\"a\\\""] {
            assert_eq!(words(line), Err(BadLine::Violation(Violation::Quotes)));
        }
    }

    proptest! {
        #[test]
        fn words_never_take_more_than_the_line(line: Vec<u8>) {
            if let Ok(words) = words(&line) {
                prop_assert!(words.iter().map(Vec::len).sum::<usize>() <= line.len());
            }
        }
    }
}

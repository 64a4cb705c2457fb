//! Replies as they stand in a stream of bytes (RESP2).

/// A reply. Arrays are not asked for, so there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// A word of success.
    Status(&'a [u8]),
    /// A refusal.
    Error(&'a [u8]),
    /// A number.
    Number(i64),
    /// Bytes; nothing if there is no such value.
    Value(Option<&'a [u8]>),
    /// None that is known here.
    Strange(&'a [u8]),
}

impl<'a> Reply<'a> {
    /// The reply that the bytes begin with, and how long it is; nothing if more must come first.
    pub fn first_of(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
        let (line, after) = (&bytes[..end], end + 2);
        let number = || str::from_utf8(&line[1..]).ok()?.parse::<i64>().ok();
        let reply = match line.first() {
            Some(b'+') => Self::Status(&line[1..]),
            Some(b'-') => Self::Error(&line[1..]),
            Some(b':') => number().map_or(Self::Strange(line), Self::Number),
            Some(b'$') => match number().map(usize::try_from) {
                Some(Ok(length)) => return value(bytes, after, length),
                Some(Err(_)) => Self::Value(None),
                None => Self::Strange(line),
            },
            _ => Self::Strange(line),
        };
        Some((reply, after))
    }
}

fn value(bytes: &[u8], start: usize, length: usize) -> Option<(Reply<'_>, usize)> {
    let end = start.checked_add(length)?;
    let value = bytes.get(start..end)?;
    match bytes.get(end..end + 2)? {
        b"\r\n" => Some((Reply::Value(Some(value)), end + 2)),
        _ => Some((Reply::Strange(value), end)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reply_ends_where_the_next_begins() {
        let stream = b"+OK\r\n-RESTARTED it may be\r\n:42\r\n$3\r\na\r\n\r\n$-1\r\n?\r\n";
        let (mut rest, mut found) = (&stream[..], Vec::new());
        while let Some((reply, length)) = Reply::first_of(rest) {
            found.push(reply);
            rest = &rest[length..];
        }
        let expected = [
            Reply::Status(b"OK"),
            Reply::Error(b"RESTARTED it may be"),
            Reply::Number(42),
            Reply::Value(Some(b"a\r\n")),
            Reply::Value(None),
            Reply::Strange(b"?"),
        ];
        assert_eq!((&found[..], rest), (&expected[..], &b""[..]));
    }

    #[test]
    fn half_a_reply_is_none() {
        for whole in [&b"+OK\r\n"[..], b":7\r\n", b"$5\r\nab\r\nc\r\n"] {
            for end in 0..whole.len() {
                assert_eq!(Reply::first_of(&whole[..end]), None, "{:?}", &whole[..end]);
            }
            assert_eq!(Reply::first_of(whole).unwrap().1, whole.len());
        }
    }

    #[test]
    fn what_is_no_reply_is_strange() {
        for bytes in [&b":x\r\n"[..], b"$y\r\n", b"$1\r\nabc\r\n", b"\r\n"] {
            let (reply, _) = Reply::first_of(bytes).unwrap();
            assert!(matches!(reply, Reply::Strange(_)), "{reply:?}");
        }
    }
}

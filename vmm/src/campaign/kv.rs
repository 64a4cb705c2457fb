//! A client of the key-value server, through its gateway.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Instant;

use super::client::{Client, Reply, Verdict, difference, payload};
use crate::journal::now_micros;

/// Longest value.
const LONGEST: usize = 700;
/// Longest line that a reply may begin with; longer is no reply.
const LINE_MAX: u64 = 512;

/// Stores values that are never the same, and asks for them.
#[derive(Debug)]
pub(super) struct KvClient {
    socket: PathBuf,
    stream: Option<BufReader<UnixStream>>,
    number: u64,
    width: usize,
}

/// What a request must be answered with.
enum Expected {
    Stored,
    Value(Vec<u8>),
}

impl KvClient {
    /// A client that sends `width` pairs of `SET` and `GET` at a time.
    pub(super) const fn new(socket: PathBuf, width: usize) -> Self {
        Self { socket, stream: None, number: 0, width }
    }

    fn connection(&mut self) -> io::Result<&mut BufReader<UnixStream>> {
        if self.stream.is_none() {
            self.stream = Some(BufReader::new(UnixStream::connect(&self.socket)?));
        }
        self.stream.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// The next requests, and what is expected of each.
    fn requests(&mut self) -> (Vec<u8>, Vec<Expected>) {
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        for place in 0..self.width {
            self.number += 1;
            let (key, value) = (format!("key:{place}"), payload(self.number, LONGEST));
            command(&mut bytes, &[b"SET", key.as_bytes(), &value]);
            command(&mut bytes, &[b"GET", key.as_bytes()]);
            expected.extend([Expected::Stored, Expected::Value(value)]);
        }
        (bytes, expected)
    }

    fn exchange(
        &mut self,
        deadline: Instant,
        asked: u64,
        replies: &mut Vec<Reply>,
    ) -> io::Result<()> {
        let (bytes, expected) = self.requests();
        let stream = self.connection()?;
        stream.get_ref().set_write_timeout(Some(left(deadline)?))?;
        stream.get_mut().write_all(&bytes)?;
        for expected in expected {
            stream.get_ref().set_read_timeout(Some(left(deadline)?))?;
            let verdict = judge(stream, &expected)?;
            let goes_on = matches!(verdict, Verdict::Good | Verdict::Forgotten);
            replies.push(Reply::now(verdict, asked, None));
            if !goes_on {
                // What follows belongs to other requests, perhaps.
                self.stream = None;
                break;
            }
        }
        Ok(())
    }
}

impl Client for KvClient {
    fn burst(&mut self, deadline: Instant) -> Vec<Reply> {
        let (asked, mut replies) = (now_micros(), Vec::new());
        if let Err(error) = self.exchange(deadline, asked, &mut replies) {
            self.stream = None;
            let words = match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "the deadline passed",
                _ => "the connection was closed",
            };
            replies.push(Reply::now(Verdict::Failed(words.to_owned()), asked, None));
        }
        replies
    }
}

fn left(deadline: Instant) -> io::Result<std::time::Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn command(bytes: &mut Vec<u8>, words: &[&[u8]]) {
    bytes.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
}

/// Reads one reply. An error is one of the stream.
fn judge(stream: &mut impl BufRead, expected: &Expected) -> io::Result<Verdict> {
    let mut line = Vec::new();
    stream.by_ref().take(LINE_MAX).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let line = line.strip_suffix(b"\r\n").unwrap_or(&line);
    match (line.split_first(), expected) {
        (Some((b'-', words)), _) => {
            let word = words.split(|byte| *byte == b' ').next().unwrap_or_default();
            let known = word.iter().all(u8::is_ascii_uppercase) && (2..16).contains(&word.len());
            let what = if known { word } else { b"garbled" };
            Ok(Verdict::Failed(format!("an error, `{}`", what.escape_ascii())))
        }
        (Some((b'+', b"OK")), Expected::Stored) => Ok(Verdict::Good),
        (Some((b'$', b"-1")), Expected::Value(_)) => Ok(Verdict::Forgotten),
        (Some((b'$', length)), Expected::Value(value))
            if length == value.len().to_string().as_bytes() =>
        {
            let mut bytes = vec![0; value.len() + 2];
            stream.read_exact(&mut bytes)?;
            let came = bytes.strip_suffix(b"\r\n").unwrap_or(&bytes);
            Ok(if came == value { Verdict::Good } else { Verdict::Wrong(difference(came, value)) })
        }
        _ => {
            let shown = line[..line.len().min(40)].escape_ascii();
            Ok(Verdict::Wrong(format!("`{shown}`, which is no answer to that")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(bytes: &[u8], expected: &Expected) -> Verdict {
        judge(&mut &*bytes, expected).unwrap()
    }

    #[test]
    fn replies_are_good_only_if_they_are_what_was_stored() {
        let value = Expected::Value(b"abc".to_vec());
        assert_eq!(judged(b"+OK\r\n", &Expected::Stored), Verdict::Good);
        assert_eq!(judged(b"$3\r\nabc\r\n", &value), Verdict::Good);
        assert_eq!(judged(b"$-1\r\n", &value), Verdict::Forgotten);
        let restarted = Verdict::Failed("an error, `RESTARTED`".to_owned());
        assert_eq!(judged(b"-RESTARTED it may be\r\n", &value), restarted);
        let garbled = Verdict::Failed("an error, `garbled`".to_owned());
        assert_eq!(judged(b"-\xaeR|R it\r\n", &value), garbled);
        for wrong in [&b"$3\r\nabd\r\n"[..], b"$4\r\nabcd\r\n", b"+OK\r\n", b"\xff\xff", b":3\r\n"]
        {
            assert!(matches!(judged(wrong, &value), Verdict::Wrong(_)), "{wrong:?}");
        }
        assert!(matches!(judged(b"$3\r\nabc\r\n", &Expected::Stored), Verdict::Wrong(_)));
        assert!(judge(&mut &b""[..], &value).is_err());
    }

    #[test]
    fn requests_are_what_the_server_reads() {
        let mut bytes = Vec::new();
        command(&mut bytes, &[b"GET", b"k"]);
        assert_eq!(bytes, b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
    }
}

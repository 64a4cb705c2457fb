//! Owns clients that speak RESP2 byte for byte, for what a client library would hide: which reply
//! belongs to which request, and what exactly becomes of a connection.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};

use crate::socket::{Socket, is_closed};

/// A reply.
#[derive(Clone, PartialEq, Eq)]
pub enum Reply {
    /// `+OK`
    Simple(String),
    /// `-ERR …`
    Error(String),
    /// `:1`
    Integer(i64),
    /// `$3`, or nil.
    Bulk(Option<Vec<u8>>),
    /// `*2`, or nil.
    Array(Option<Vec<Reply>>),
}

impl Reply {
    /// A reply of these bytes.
    pub fn bulk(bytes: impl AsRef<[u8]>) -> Self {
        Self::Bulk(Some(bytes.as_ref().to_vec()))
    }

    /// `+OK`
    pub fn ok() -> Self {
        Self::Simple("OK".to_owned())
    }

    /// Nil.
    pub const NIL: Self = Self::Bulk(None);

    /// Whether it says that the server restarted with the request in its hands.
    pub fn is_restarted(&self) -> bool {
        self.is_error("RESTARTED")
    }

    /// Whether it is an error of this kind.
    pub fn is_error(&self, kind: &str) -> bool {
        matches!(self, Self::Error(text) if text.split(' ').next() == Some(kind))
    }

    /// Its bytes as text.
    pub fn text(&self) -> String {
        match self {
            Self::Bulk(Some(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
            Self::Simple(text) => text.clone(),
            other => panic!("{other:?} is no text"),
        }
    }
}

impl fmt::Debug for Reply {
    /// Short, whatever is in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simple(text) => write!(f, "+{text}"),
            Self::Error(text) => write!(f, "-{text}"),
            Self::Integer(number) => write!(f, ":{number}"),
            Self::Bulk(None) => f.write_str("nil"),
            Self::Bulk(Some(bytes)) => {
                let head = &bytes[..bytes.len().min(60)];
                write!(f, "\"{}\" ({} bytes)", head.escape_ascii(), bytes.len())
            }
            Self::Array(None) => f.write_str("nil array"),
            Self::Array(Some(replies)) => f.debug_list().entries(replies).finish(),
        }
    }
}

/// A request's bytes.
pub fn request(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend(b"\r\n");
    }
    bytes
}

/// The bytes of a request of plain words.
pub fn command(line: &str) -> Vec<u8> {
    let words: Vec<_> = line.split(' ').map(str::as_bytes).collect();
    request(&words)
}

/// A connection that speaks RESP2.
#[derive(Debug)]
pub struct Resp(BufReader<Socket>);

impl Resp {
    /// Connects.
    pub fn connect(address: &str) -> Self {
        Self(BufReader::new(Socket::connect(address)))
    }

    /// A connection that somebody else made.
    pub fn over(socket: Socket) -> Self {
        Self(BufReader::new(socket))
    }

    /// The connection.
    pub fn socket(&mut self) -> &mut Socket {
        self.0.get_mut()
    }

    /// Sends bytes as they are. Returns whether the connection took them; it does not if it was
    /// closed.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        match self.0.get_mut().write_all(bytes) {
            Ok(()) => true,
            Err(error) if is_closed(&error) => false,
            Err(error) => panic!("a request cannot be sent: {error}"),
        }
    }

    /// The next reply; `None` if the connection was closed instead.
    pub fn reply(&mut self) -> Option<Reply> {
        match self.read() {
            Ok(reply) => Some(reply),
            Err(error) if is_closed(&error) => None,
            Err(error) => panic!("no reply and no end: {error}"),
        }
    }

    /// Sends a request of plain words and returns its reply.
    pub fn ask(&mut self, line: &str) -> Reply {
        self.send(&command(line));
        self.reply().unwrap_or_else(|| panic!("`{line}` closed the connection"))
    }

    /// Whether the connection is usable, and no reply too many is under way on it.
    pub fn is_in_step(&mut self, token: &str) -> bool {
        self.send(&request(&[b"ECHO", token.as_bytes()]))
            && self.reply() == Some(Reply::bulk(token))
    }

    fn read(&mut self) -> io::Result<Reply> {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        assert_eq!(line.pop(), Some(b'\r'), "`{}` ends a line", line.escape_ascii());
        let text = String::from_utf8_lossy(line.get(1..).unwrap_or_default()).into_owned();
        let number = || text.parse::<i64>().unwrap_or_else(|_| panic!("`{text}` is a number"));
        Ok(match line.first() {
            Some(b'+') => Reply::Simple(text),
            Some(b'-') => Reply::Error(text),
            Some(b':') => Reply::Integer(number()),
            Some(b'$') => Reply::Bulk(self.read_bulk(number())?),
            Some(b'*') => Reply::Array(self.read_array(number())?),
            _ => panic!("`{}` is no reply", line.escape_ascii()),
        })
    }

    fn read_bulk(&mut self, length: i64) -> io::Result<Option<Vec<u8>>> {
        let Ok(length) = usize::try_from(length) else { return Ok(None) };
        let mut bytes = vec![0; length + 2];
        self.0.read_exact(&mut bytes)?;
        assert!(bytes.ends_with(b"\r\n"), "a bulk reply ends with a line's end");
        bytes.truncate(length);
        Ok(Some(bytes))
    }

    fn read_array(&mut self, length: i64) -> io::Result<Option<Vec<Reply>>> {
        let Ok(length) = usize::try_from(length) else { return Ok(None) };
        (0..length).map(|_| self.read()).collect::<io::Result<_>>().map(Some)
    }
}

//! A conversation with a server, one request at a time.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::connection::told;
use super::error::KvError;
use crate::bench::storm::reply::Reply;

/// Longer than a reply takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes that are read at a time.
const CHUNK: usize = 16 << 10;

/// A conversation.
#[derive(Debug)]
pub(in crate::bench) struct Talk {
    stream: UnixStream,
    /// What has been read beyond the last reply.
    input: Vec<u8>,
}

impl Talk {
    /// Over a connection that is there.
    pub(in crate::bench) fn over(stream: UnixStream) -> Result<Self, KvError> {
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
        Ok(Self { stream, input: Vec::new() })
    }

    /// Sends a request, and has its reply looked at.
    pub(in crate::bench) fn ask<T>(
        &mut self,
        request: &[u8],
        look: impl FnOnce(Reply<'_>) -> T,
    ) -> Result<T, KvError> {
        self.stream.write_all(request).map_err(failed)?;
        self.next(look)
    }

    /// Has the next reply looked at, where there is more than one: an array is a strange one, and
    /// then each of its elements.
    pub(in crate::bench) fn next<T>(
        &mut self,
        look: impl FnOnce(Reply<'_>) -> T,
    ) -> Result<T, KvError> {
        let mut chunk = [0; CHUNK];
        loop {
            if let Some((reply, length)) = Reply::first_of(&self.input) {
                let seen = look(reply);
                self.input.drain(..length);
                return Ok(seen);
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(failed(ErrorKind::UnexpectedEof.into())),
                Ok(count) => self.input.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// Sends a command in one line, and tells the reply in words.
    pub(in crate::bench) fn order(&mut self, command: &str) -> Result<String, KvError> {
        self.ask(format!("{command}\r\n").as_bytes(), told)
    }

    /// The same where there is only one good reply.
    pub(in crate::bench) fn expect(&mut self, command: &str, good: &str) -> Result<(), KvError> {
        let reply = self.order(command)?;
        if reply == good {
            return Ok(());
        }
        Err(KvError::Reply { request: command.to_owned(), reply })
    }
}

fn failed(cause: io::Error) -> KvError {
    KvError::Host { what: "talking to the server".into(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(answers: &[u8]) -> (Talk, UnixStream) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(answers).unwrap();
        (Talk::over(ours).unwrap(), theirs)
    }

    #[test]
    fn replies_are_taken_one_by_one() {
        let (mut talk, _theirs) = after(b"+PONG\r\n*2\r\n$3\r\nkey\r\n$5\r\nvalue\r\n-ERR no\r\n");
        talk.expect("PING", "PONG").unwrap();
        assert_eq!(talk.order("CONFIG GET key").unwrap(), "*2");
        assert_eq!(talk.next(told).unwrap(), "key");
        assert_eq!(talk.next(told).unwrap(), "value");
        let error = talk.expect("PING", "PONG").unwrap_err().to_string();
        assert_eq!(error, "`ERR no` to PING");
    }

    #[test]
    fn an_end_instead_of_a_reply_is_an_error() {
        let (mut talk, theirs) = after(b"+PO");
        drop(theirs);
        assert!(talk.next(told).is_err());
    }
}

//! One of the connections of a load: it sends so many requests at a time, and checks every reply.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use super::case::Operation;
use super::content::Content;
use super::error::KvError;
use crate::bench::storm::reply::Reply;

/// A connection, which never waits.
#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    operation: Operation,
    /// The keys of requests without a reply, the oldest first.
    waiting: VecDeque<u32>,
    /// What is sent, and how much of it is gone.
    output: Vec<u8>,
    sent: usize,
    /// The part of a reply whose rest is still to come.
    input: Vec<u8>,
    /// When the requests under way were made.
    asked: Instant,
}

impl Connection {
    /// One to the server that listens there.
    pub(super) fn to(socket: &Path, operation: Operation) -> Result<Self, KvError> {
        let stream = UnixStream::connect(socket)
            .and_then(|stream| stream.set_nonblocking(true).map(|()| stream))
            .map_err(KvError::host("connecting to the server"))?;
        Ok(Self {
            stream,
            operation,
            waiting: VecDeque::new(),
            output: Vec::new(),
            sent: 0,
            input: Vec::new(),
            asked: Instant::now(),
        })
    }

    /// Requests without a reply.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// When the requests under way were made.
    pub(super) const fn asked(&self) -> Instant {
        self.asked
    }

    /// Whether something is still to be sent.
    pub(super) fn is_blocked(&self) -> bool {
        self.sent < self.output.len()
    }

    /// Sends requests for these keys, or begins to: there must be none under way.
    pub(super) fn ask(
        &mut self,
        content: &Content,
        keys: impl Iterator<Item = u32>,
    ) -> Result<(), KvError> {
        self.output.clear();
        self.sent = 0;
        for key in keys {
            match self.operation {
                Operation::Set => content.set(key, &mut self.output),
                Operation::Get => content.get(key, &mut self.output),
            }
            self.waiting.push_back(key);
        }
        self.asked = Instant::now();
        self.send()
    }

    /// Sends what is still to be sent, as far as it is taken.
    pub(super) fn send(&mut self) -> Result<(), KvError> {
        while self.is_blocked() {
            match self.stream.write(&self.output[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(())
    }

    /// Reads what is there, by way of `chunk`, and checks it; tells how many replies there were.
    pub(super) fn hear(&mut self, content: &Content, chunk: &mut [u8]) -> Result<u64, KvError> {
        let count = match self.stream.read(chunk) {
            Ok(0) => return Err(failed(ErrorKind::UnexpectedEof.into())),
            Ok(count) => count,
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                return Ok(0);
            }
            Err(error) => return Err(failed(error)),
        };
        if self.input.is_empty() {
            let (replies, end) = self.check(content, &chunk[..count])?;
            self.input.extend_from_slice(&chunk[end..count]);
            return Ok(replies);
        }
        let mut input = std::mem::take(&mut self.input);
        input.extend_from_slice(&chunk[..count]);
        let (replies, end) = self.check(content, &input)?;
        input.drain(..end);
        self.input = input;
        Ok(replies)
    }

    /// Checks all whole replies; tells how many there are, and where they end.
    fn check(&mut self, content: &Content, bytes: &[u8]) -> Result<(u64, usize), KvError> {
        let (mut replies, mut at) = (0, 0);
        while let Some((reply, length)) = Reply::first_of(&bytes[at..]) {
            self.judge(content, reply)?;
            at += length;
            replies += 1;
        }
        Ok((replies, at))
    }

    fn judge(&mut self, content: &Content, reply: Reply<'_>) -> Result<(), KvError> {
        let key = self.waiting.pop_front();
        let good = key.is_some_and(|key| match (self.operation, reply) {
            (Operation::Set, Reply::Status(word)) => word == b"OK",
            (Operation::Get, Reply::Value(Some(value))) => content.is_value(key, value),
            (
                Operation::Set | Operation::Get,
                Reply::Status(_)
                | Reply::Error(_)
                | Reply::Number(_)
                | Reply::Value(_)
                | Reply::Strange(_),
            ) => false,
        });
        if good {
            return Ok(());
        }
        let operation = self.operation;
        let request = key.map_or("nothing".to_owned(), |key| format!("{operation} of key {key}"));
        Err(KvError::Reply { request, reply: told(reply) })
    }
}

impl AsRawFd for Connection {
    fn as_raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}

/// As much of a reply as a sentence has room for.
pub(in crate::bench) fn told(reply: Reply<'_>) -> String {
    let text = match reply {
        Reply::Number(number) => return number.to_string(),
        Reply::Value(None) => return "no value".to_owned(),
        Reply::Status(text) | Reply::Error(text) | Reply::Value(Some(text)) => text,
        Reply::Strange(text) => text,
    };
    String::from_utf8_lossy(&text[..text.len().min(80)]).into_owned()
}

fn failed(cause: io::Error) -> KvError {
    KvError::Host { what: "talking to the server".into(), cause }
}

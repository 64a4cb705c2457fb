//! One restart of kv, seen from a connection to its gateway.

use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use super::echo::{PATIENCE, Seen};
use crate::bench::atoll::AtollError;

/// Bytes of a value that is stored to dirty memory.
const VALUE: usize = 16 << 10;

/// A connection, which outlives what it crashes.
#[derive(Debug)]
pub(super) struct Client {
    stream: BufReader<UnixStream>,
    /// Values that are stored to dirty as much as is wanted; None before any were.
    values: Option<usize>,
}

impl Client {
    /// Connects.
    pub(super) fn connect(socket: &Path) -> Result<Self, AtollError> {
        let stream = UnixStream::connect(socket).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        Ok(Self { stream: BufReader::new(stream), values: None })
    }

    /// Has kv write to so much memory.
    pub(super) fn dirty(&mut self, bytes: usize) -> Result<(), AtollError> {
        let value = "v".repeat(VALUE);
        for number in 0..*self.values.get_or_insert(bytes / VALUE) {
            let key = format!("dirt:{number}");
            let request =
                format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${VALUE}\r\n{value}\r\n", key.len());
            self.expect(request.as_bytes(), "+OK")?;
        }
        Ok(())
    }

    /// Learns how much was written to where so much was wanted: beside its values, kv writes to memory
    /// that requests pass through, to tables and to its stack.
    pub(super) fn learn(&mut self, wanted: usize, written: u64) {
        if let Some(values) = &mut self.values
            && wanted > 0
        {
            let more = (wanted as i64 - written.cast_signed()) / VALUE as i64;
            *values = values.saturating_add_signed(more as isize).max(1);
        }
    }

    /// Ends kv's incarnation, and asks for what only that had until the next one answers.
    pub(super) fn crash(&mut self) -> Result<Seen, AtollError> {
        self.expect(b"SET mark 1\r\n", "+OK")?;
        self.expect(b"PING\r\n", "+PONG")?;
        let begun = Instant::now();
        let sentence = self.ask(b"DEBUG SEGFAULT\r\n")?;
        let told = begun.elapsed();
        if !sentence.starts_with('-') {
            return Err(wrong("DEBUG SEGFAULT", &sentence));
        }
        while begun.elapsed() < PATIENCE {
            let answer = self.ask(b"EXISTS mark\r\n")?;
            match answer.as_str() {
                ":0" => return Ok(Seen { told, whole: begun.elapsed() }),
                ":1" => (),
                _ if answer.starts_with('-') => (),
                _ => return Err(wrong("EXISTS", &answer)),
            }
        }
        Err(failed(ErrorKind::TimedOut.into()))
    }

    fn expect(&mut self, request: &[u8], expected: &str) -> Result<(), AtollError> {
        let answer = self.ask(request)?;
        if answer == expected { Ok(()) } else { Err(wrong(expected, &answer)) }
    }

    /// Sends a request, and waits for the line that answers it.
    fn ask(&mut self, request: &[u8]) -> Result<String, AtollError> {
        self.stream.get_mut().write_all(request).map_err(failed)?;
        let mut line = String::new();
        if self.stream.read_line(&mut line).map_err(failed)? == 0 {
            return Err(failed(ErrorKind::UnexpectedEof.into()));
        }
        line.truncate(line.trim_end().len());
        Ok(line)
    }
}

fn failed(cause: io::Error) -> AtollError {
    AtollError::Host { what: "talking to kv through its gateway", cause }
}

fn wrong(asked: &str, answer: &str) -> AtollError {
    AtollError::Impossible(format!("`{answer}` to `{asked}`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixListener;
    use std::thread;

    /// Answers each request with the next of some lines, whatever it is.
    fn crashed(answers: &'static [&'static str]) -> Result<Seen, AtollError> {
        let place = tempfile::tempdir().unwrap();
        let socket = place.path().join("kv");
        let listener = UnixListener::bind(&socket).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut chunk = [0; 256];
                for answer in answers {
                    assert!(stream.read(&mut chunk).unwrap() > 0);
                    stream.write_all(answer.as_bytes()).unwrap();
                }
            });
            Client::connect(&socket)?.crash()
        })
    }

    #[test]
    fn the_first_answer_that_knows_nothing_is_the_new_incarnations() {
        let answers = &["+OK\r\n", "+PONG\r\n", "-ERR restarted\r\n", ":1\r\n", ":0\r\n"];
        let seen = crashed(answers).unwrap();
        assert!(seen.told <= seen.whole);
    }

    #[test]
    fn a_server_that_survives_is_no_measurement() {
        let error = crashed(&["+OK\r\n", "+PONG\r\n", "+OK\r\n"]).unwrap_err().to_string();
        assert!(error.contains("`+OK` to `DEBUG SEGFAULT`"), "{error}");
        assert!(crashed(&["+OK\r\n", "+PONG\r\n"]).is_err());
    }
}

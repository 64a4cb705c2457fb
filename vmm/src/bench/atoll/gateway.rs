//! A client of a domain's byte stream: a process's socket, the gateway in the VMM's event loop, the
//! channel, and kv, which is asked to `ECHO` the payload.
//!
//! How it waits is said of the client's socket. Where the client never sleeps, the domain does when
//! it has nothing to do: on two CPUs the event loop would not run beside two that never sleep.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::super::subject::Sample;
use super::super::wire::{Case, Wait};
use super::clock::timed;
use super::floor::pin;
use super::system::{Told, cpus, in_system};
use super::{AtollError, times};

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(10);
/// Looks at a socket between two looks at the clock.
const LOOKS: u32 = 1 << 14;

/// Measures one round.
pub(super) fn measure(images: &Path, case: &Case, millis: u32) -> Result<Sample, AtollError> {
    let cpus = cpus()?;
    let (first, second) = (cpus[0], *cpus.get(1).unwrap_or(&cpus[0]));
    let place = TempDir::new().map_err(denied("a directory for the gateway's socket"))?;
    let socket = place.path().join("stream");
    let mut told = Err(AtollError::Impossible("no system".into()));
    in_system(images, &manifest(&socket, case.wait, second), &[], |_| {
        pin(first);
        told = ask(&socket, case, millis).map_err(denied("talking through the gateway"));
    })?;
    times(&[told?])
}

fn denied(what: &'static str) -> impl FnOnce(io::Error) -> AtollError {
    move |cause| AtollError::Host { what, cause }
}

fn manifest(socket: &Path, wait: Wait, cpu: usize) -> String {
    let wait = if wait == Wait::Blocking { "blocking" } else { "adaptive" };
    format!(
        "name = \"bench\"\n\
         [domains.kv]\nimage = \"kv\"\nmemory = \"256 MiB\"\nwait = \"{wait}\"\n\
         restart = \"never\"\ncpus = [{cpu}]\n\
         [[gateways]]\nlisten = \"unix:{}\"\nto = \"kv:redis\"\n",
        socket.display()
    )
}

fn ask(socket: &Path, case: &Case, millis: u32) -> io::Result<Told> {
    let mut client = Client::connect(socket, case.wait)?;
    timed(millis, |number| client.echo(number, case.size))
}

/// The client's end of a connection.
#[derive(Debug)]
struct Client {
    stream: UnixStream,
    wait: Wait,
    request: Vec<u8>,
    expected: Vec<u8>,
    answer: Vec<u8>,
}

impl Client {
    fn connect(socket: &Path, wait: Wait) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_nonblocking(wait == Wait::Polling)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, wait, request: Vec::new(), expected: Vec::new(), answer: Vec::new() })
    }

    /// Sends a payload that is a number of so many digits, and waits until it is back.
    fn echo(&mut self, number: u64, size: usize) -> io::Result<()> {
        self.request.clear();
        self.expected.clear();
        write!(self.request, "ECHO {number:0size$}\r\n")?;
        write!(self.expected, "${size}\r\n{number:0size$}\r\n")?;
        self.stream.write_all(&self.request)?;
        self.answer.resize(self.expected.len(), 0);
        self.fill_answer()?;
        if self.answer == self.expected {
            return Ok(());
        }
        let answer = String::from_utf8_lossy(&self.answer).into_owned();
        Err(io::Error::new(ErrorKind::InvalidData, format!("it answered {answer:?}")))
    }

    fn fill_answer(&mut self) -> io::Result<()> {
        let mut rest = &mut self.answer[..];
        let (mut looks, mut began) = (0_u32, None);
        while !rest.is_empty() {
            match self.stream.read(rest) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => rest = &mut rest[read..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // One that sleeps gets this when its patience is at an end.
                Err(error)
                    if error.kind() == ErrorKind::WouldBlock && self.wait == Wait::Polling =>
                {
                    looks = looks.wrapping_add(1);
                    if looks.is_multiple_of(LOOKS)
                        && began.get_or_insert_with(Instant::now).elapsed() > PATIENCE
                    {
                        return Err(ErrorKind::TimedOut.into());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::fixture::case;
    use crate::bench::wire::Suite;
    use crate::manifest::Manifest;
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::UnixListener;
    use std::thread;

    /// A server of one connection that answers each line with what `answer` makes of its payload.
    fn served(wait: Wait, answer: fn(&str) -> String) -> io::Result<Told> {
        let place = tempfile::tempdir().unwrap();
        let socket = place.path().join("stream");
        let listener = UnixListener::bind(&socket).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                for line in lines {
                    let line = line.unwrap();
                    let payload = line.strip_prefix("ECHO ").unwrap().trim_end();
                    if stream.write_all(answer(payload).as_bytes()).is_err() {
                        return;
                    }
                }
            });
            let case = Case { wait, ..case(Suite::RoundTrip, "atoll gateway", 8) };
            ask(&socket, &case, 5)
        })
    }

    #[test]
    fn answers_are_timed_however_the_client_waits() {
        for wait in [Wait::Polling, Wait::Blocking] {
            let told = served(wait, |payload| format!("$8\r\n{payload}\r\n")).unwrap();
            assert!(told.messages > 0 && told.messages == told.samples.len() as u64, "{wait:?}");
        }
    }

    #[test]
    fn an_answer_to_something_else_is_no_round_trip() {
        let error = served(Wait::Blocking, |_| "$8\r\n99999999\r\n".to_owned()).unwrap_err();
        assert_eq!(error.to_string(), r#"it answered "$8\r\n99999999\r\n""#);
    }

    #[test]
    fn the_system_is_one_that_can_be() {
        for wait in [Wait::Polling, Wait::Blocking] {
            let text = manifest(Path::new("/run/stream"), wait, 1);
            let manifest = Manifest::parse(text.as_bytes(), Path::new("bench.toml")).unwrap();
            assert_eq!(manifest.gateways[0].to.to_string(), "kv:redis");
        }
    }
}

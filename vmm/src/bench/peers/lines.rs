//! Lines from a program that may hang: each is waited for until a deadline.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// No line is longer; a histogram takes some 60 KiB.
const LINE_MAX: usize = 16 << 20;

/// What came instead of a line, or did not.
#[derive(Debug)]
pub(super) enum NoLine {
    /// Nothing more will come.
    End,
    /// Nothing came in time.
    Silence,
    /// It does not end.
    TooLong,
    /// Reading failed.
    Failed(io::Error),
}

/// The unread rest of what a program writes.
#[derive(Debug)]
pub(super) struct Lines<R> {
    source: R,
    read: Vec<u8>,
}

impl<R: Read + AsFd> Lines<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, read: Vec::new() }
    }

    /// The next line, without its end; bytes that are no text are replaced.
    pub(super) fn next(&mut self, deadline: Instant) -> Result<String, NoLine> {
        let mut searched = 0;
        loop {
            let fresh = &self.read[searched..];
            if let Some(end) = fresh.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=searched + end).collect();
                return Ok(String::from_utf8_lossy(&line[..line.len() - 1]).into_owned());
            }
            searched = self.read.len();
            if searched > LINE_MAX {
                return Err(NoLine::TooLong);
            }
            self.more(deadline)?;
        }
    }

    /// Reads whatever there is, once there is something.
    fn more(&mut self, deadline: Instant) -> Result<(), NoLine> {
        if !wait_readable(&self.source, deadline).map_err(NoLine::Failed)? {
            return Err(NoLine::Silence);
        }
        let mut chunk = [0; 16 << 10];
        match self.source.read(&mut chunk) {
            Ok(0) => Err(NoLine::End),
            Ok(count) => {
                self.read.extend_from_slice(&chunk[..count]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(NoLine::Failed(error)),
        }
    }
}

/// Waits until a descriptor can be read from; tells whether it can.
pub(super) fn wait_readable(source: &impl AsFd, deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut source = [PollFd::new(source.as_fd(), PollFlags::POLLIN)];
        match poll(&mut source, timeout(left)) {
            Ok(0) if left.is_zero() => return Ok(false),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Rounded up, lest a rest below a millisecond is waited for without waiting.
fn timeout(left: Duration) -> PollTimeout {
    PollTimeout::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(PollTimeout::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    fn pair() -> (UnixStream, Lines<UnixStream>) {
        let (near, far) = UnixStream::pair().unwrap();
        (near, Lines::new(far))
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[test]
    fn lines_come_whole_however_they_were_written() {
        let (mut near, mut lines) = pair();
        near.write_all(b"one\ntw").unwrap();
        assert_eq!(lines.next(soon()).unwrap(), "one");
        near.write_all(b"o\n\n\xffx\nrest").unwrap();
        drop(near);
        assert_eq!(lines.next(soon()).unwrap(), "two");
        assert_eq!(lines.next(soon()).unwrap(), "");
        assert_eq!(lines.next(soon()).unwrap(), "\u{fffd}x");
        assert!(matches!(lines.next(soon()), Err(NoLine::End)));
    }

    #[test]
    fn a_line_longer_than_one_reading_comes_whole() {
        let (mut near, mut lines) = pair();
        let long = "x".repeat(100 << 10);
        let writer = std::thread::spawn({
            let long = long.clone();
            move || near.write_all(format!("{long}\nafter\n").as_bytes())
        });
        assert_eq!(lines.next(soon()).unwrap(), long);
        assert_eq!(lines.next(soon()).unwrap(), "after");
        writer.join().unwrap().unwrap();
    }

    #[test]
    fn silence_is_told_at_the_deadline_and_loses_nothing() {
        let (mut near, mut lines) = pair();
        near.write_all(b"ha").unwrap();
        let deadline = Instant::now() + Duration::from_millis(20);
        assert!(matches!(lines.next(deadline), Err(NoLine::Silence)));
        assert!(Instant::now() >= deadline);
        near.write_all(b"lf\n").unwrap();
        assert_eq!(lines.next(soon()).unwrap(), "half");
    }
}

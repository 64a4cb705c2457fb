//! A server that is a process of its own: started, connected to, and asked to go in the end.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid, getppid};
use tempfile::NamedTempFile;

/// A process. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// What it says, for those who want to know why it ended.
    log: NamedTempFile,
}

impl Process {
    /// Starts one.
    pub(super) fn start(command: &mut Command) -> io::Result<Self> {
        let log = NamedTempFile::new()?;
        let [out, err] = [appending(log.path())?, appending(log.path())?];
        die_with_us(command);
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn()?;
        Ok(Self { child, log })
    }

    /// Connects as soon as somebody listens: it looks all the time, for a pause would be in what
    /// is measured.
    pub(super) fn connect(
        &mut self,
        socket: &Path,
        began: Instant,
        patience: Duration,
    ) -> io::Result<UnixStream> {
        loop {
            match UnixStream::connect(socket) {
                Ok(stream) => return Ok(stream),
                Err(error) if began.elapsed() > patience => return Err(error),
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::NotFound | ErrorKind::ConnectionRefused
                    ) =>
                {
                    if let Some(status) = self.ended()? {
                        let said = self.last_words();
                        return Err(io::Error::other(format!("it ended ({status}): {said}")));
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// How it ended, if it did.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// The last line that it wrote.
    pub(super) fn last_words(&self) -> String {
        let text = fs::read(self.log.path()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let last = text.lines().rev().find(|line| !line.trim().is_empty());
        last.unwrap_or("it said nothing").trim().to_owned()
    }

    /// Ends it without asking.
    pub(super) fn kill(&mut self) {
        // One that is gone already needs no end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to go, and waits until it has.
    pub(super) fn stop(&mut self) {
        // One that has ended was waited for, and its number may be another's by now.
        if matches!(self.ended(), Ok(None)) {
            // Nothing is left to be done about one that cannot be asked.
            let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM);
            let _ = self.child.wait();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Asks the kernel to end the program with the thread that starts it, even by a signal.
pub(super) fn die_with_us(process: &mut Command) {
    let parent = getpid();
    let arrange = move || {
        // SAFETY: the call takes numbers alone and writes no memory of this process.
        if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // If the parent died before the request, the signal will never come.
        if getppid() == parent { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    };
    // SAFETY: between fork and exec the closure makes two system calls, both allowed in signal
    // handlers, and allocates nothing.
    unsafe {
        process.pre_exec(arrange);
    }
}

/// Both streams go into one file, and neither overwrites the other.
fn appending(path: &Path) -> io::Result<File> {
    File::options().append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_ends_is_waited_for_no_longer() {
        let place = tempfile::tempdir().unwrap();
        let mut process =
            Process::start(Command::new("sh").args(["-c", "echo no >&2; echo luck; exit 3"]))
                .unwrap();
        let socket = place.path().join("none");
        let error = process.connect(&socket, Instant::now(), Duration::from_secs(60)).unwrap_err();
        assert_eq!(error.to_string(), "it ended (exit status: 3): luck");
    }

    #[test]
    fn one_that_goes_on_ends_when_it_is_dropped() {
        let mut process = Process::start(Command::new("sleep").arg("1000")).unwrap();
        assert!(process.ended().unwrap().is_none());
        process.stop();
        assert!(process.ended().unwrap().is_some());
    }
}

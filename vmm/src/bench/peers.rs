//! The peers: a program that measures other means of communication, spoken to line by line.

mod lines;

use std::io::{self, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use thiserror::Error;

use super::process::die_with_us;
use super::subject::{MeasureError, Sample, Subject};
use super::wire::Case;
use lines::{Lines, NoLine, wait_readable};

/// No round takes longer beyond the time that it is to last, unless something hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a program may take to end after it has closed its output.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// How the program of peers can fail.
#[derive(Debug, Error)]
pub enum PeerError {
    /// It does not start.
    #[error("cannot start `{}`: {cause}; check --peers", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the host said.
        cause: io::Error,
    },
    /// Talking to it failed.
    #[error("cannot talk to `{}`: {cause}", program.display())]
    Talk {
        /// The program.
        program: PathBuf,
        /// What the host said.
        cause: io::Error,
    },
    /// It ended before it had answered.
    #[error("`{}` ended without an answer ({status})", program.display())]
    Ended {
        /// The program.
        program: PathBuf,
        /// How it ended.
        status: ExitStatus,
    },
    /// It did not answer in time, and was ended.
    #[error("`{}` did not answer within {} s, and was ended", program.display(), patience.as_secs())]
    Silent {
        /// The program.
        program: PathBuf,
        /// How long it was waited for.
        patience: Duration,
    },
    /// It answered something else than is agreed upon.
    #[error("`{}` answered `{line}`: {cause}", program.display())]
    Garbled {
        /// The program.
        program: PathBuf,
        /// The beginning of its answer.
        line: String,
        /// What is wrong with it.
        cause: serde_json::Error,
    },
    /// It wrote more than any answer has.
    #[error("`{}` answered with a line that does not end", program.display())]
    Endless {
        /// The program.
        program: PathBuf,
    },
}

/// A program of peers. It is started when something is to be measured, again after it failed, and
/// ends with this value or with this process, whichever is first.
#[derive(Debug)]
pub struct Peers {
    program: Program,
    cases: Vec<Case>,
    running: Option<Running>,
}

impl Peers {
    /// Asks a program what it can measure, in rounds that last `milliseconds`, or as long as it
    /// likes.
    ///
    /// # Errors
    /// If it does not start, or does not say.
    pub fn of(program: &Path, milliseconds: Option<u32>) -> Result<Self, PeerError> {
        // Whoever measures warms up as well, and makes some rounds twice as long.
        let round = Duration::from_millis(u64::from(milliseconds.unwrap_or(0)));
        Self::with_patience(program, milliseconds, PATIENCE + 2 * round)
    }

    fn with_patience(
        program: &Path,
        milliseconds: Option<u32>,
        patience: Duration,
    ) -> Result<Self, PeerError> {
        let program = Program { path: program.to_owned(), milliseconds, patience };
        let cases = program.list()?;
        Ok(Self { program, cases, running: None })
    }
}

impl Subject for Peers {
    fn cases(&self) -> Vec<Case> {
        self.cases.clone()
    }

    fn measure(&mut self, case: &Case) -> Result<Sample, MeasureError> {
        let mut running = match self.running.take() {
            Some(running) => running,
            None => self.program.start("run")?,
        };
        // One that failed is not kept: its next answer might be to an older question.
        let answer = self.program.ask(&mut running, case)?;
        self.running = Some(running);
        Sample::from_outcome(answer)
    }
}

/// How to run it.
#[derive(Debug)]
pub(super) struct Program {
    path: PathBuf,
    milliseconds: Option<u32>,
    patience: Duration,
}

impl Program {
    /// A program that answers within so long.
    pub(super) fn new(path: &Path, patience: Duration) -> Self {
        Self { path: path.to_owned(), milliseconds: None, patience }
    }

    /// Starts it with a command that reads questions and answers them.
    pub(super) fn start(&self, command: &str) -> Result<Running, PeerError> {
        let mut process = Command::new(&self.path);
        process.arg(command).stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        if let (Some(milliseconds), "run") = (self.milliseconds, command) {
            process.arg("--milliseconds").arg(milliseconds.to_string());
        }
        die_with_us(&mut process);
        let failed = |cause| PeerError::Start { program: self.path.clone(), cause };
        let mut child = process.spawn().map_err(failed)?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        match (stdin, stdout) {
            (Some(stdin), Some(stdout)) => {
                Ok(Running { child, questions: stdin, answers: Lines::new(stdout) })
            }
            _ => Err(failed(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn list(&self) -> Result<Vec<Case>, PeerError> {
        let mut running = self.start("list")?;
        let deadline = Instant::now() + self.patience;
        let mut cases = Vec::new();
        loop {
            match running.answers.next(deadline) {
                Ok(line) => cases.push(self.parse(&line)?),
                Err(NoLine::End) => break,
                Err(other) => return Err(self.no_line(other, &mut running)),
            }
        }
        match running.ended() {
            Ok(status) if status.success() => Ok(cases),
            Ok(status) => Err(PeerError::Ended { program: self.path.clone(), status }),
            Err(cause) => Err(PeerError::Talk { program: self.path.clone(), cause }),
        }
    }

    /// Asks it something, and waits for its answer.
    pub(super) fn ask<Q, T>(&self, running: &mut Running, question: &Q) -> Result<T, PeerError>
    where
        Q: serde::Serialize,
        T: serde::de::DeserializeOwned,
    {
        let deadline = Instant::now() + self.patience;
        // If it is gone, its answers end as well, and tell how it went.
        if let Err(cause) = running.put(question)
            && cause.kind() != io::ErrorKind::BrokenPipe
        {
            return Err(PeerError::Talk { program: self.path.clone(), cause });
        }
        match running.answers.next(deadline) {
            Ok(line) => self.parse(&line),
            Err(other) => Err(self.no_line(other, running)),
        }
    }

    fn parse<T: serde::de::DeserializeOwned>(&self, line: &str) -> Result<T, PeerError> {
        serde_json::from_str(line).map_err(|cause| {
            let line = line.chars().take(80).collect();
            PeerError::Garbled { program: self.path.clone(), line, cause }
        })
    }

    fn no_line(&self, why: NoLine, running: &mut Running) -> PeerError {
        let program = self.path.clone();
        match why {
            NoLine::End => match running.ended() {
                Ok(status) => PeerError::Ended { program, status },
                Err(cause) => PeerError::Talk { program, cause },
            },
            NoLine::Silence => PeerError::Silent { program, patience: self.patience },
            NoLine::TooLong => PeerError::Endless { program },
            NoLine::Failed(cause) => PeerError::Talk { program, cause },
        }
    }
}

/// One run of the program.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    questions: ChildStdin,
    answers: Lines<ChildStdout>,
}

impl Running {
    fn put(&mut self, question: &impl serde::Serialize) -> io::Result<()> {
        let mut line = serde_json::to_string(question)?;
        line.push('\n');
        self.questions.write_all(line.as_bytes())
    }

    /// How it ended, once it has closed its output: it is given a moment, lest the signal stands
    /// for the status that it chose.
    fn ended(&mut self) -> io::Result<ExitStatus> {
        let exit = pidfd(&self.child)?;
        wait_readable(&exit, Instant::now() + LAST_MOMENT)?;
        self.end()
    }

    /// Ends it and its children.
    fn end(&mut self) -> io::Result<ExitStatus> {
        let group = Pid::from_raw(self.child.id() as i32);
        // If the group is gone, so is the child, and waiting for it succeeds at once.
        let _ = killpg(group, Signal::SIGKILL);
        self.child.wait()
    }
}

/// A descriptor that can be read from when the child has ended.
fn pidfd(child: &Child) -> io::Result<OwnedFd> {
    // SAFETY: the call takes two numbers and no pointer.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id() as libc::pid_t, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made the descriptor, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

impl Drop for Running {
    fn drop(&mut self) {
        // An ended child has been waited for, and its number may be another's by now.
        if matches!(self.child.try_wait(), Ok(None)) {
            // Nothing is left to be done about a child that cannot be ended.
            let _ = self.end();
        }
    }
}

#[cfg(test)]
mod tests;

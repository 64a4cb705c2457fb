//! Owns processes that are killed and started again until their first reply: what a crash costs
//! where a server is a process.

use std::ffi::CString;
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, dup2_stdin, dup2_stdout, execv, fork};

use crate::life::{Answer, Program, Question, Way};
use crate::room::Room;

/// No reply takes longer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Lives before those that count: the program's file is at hand then.
const WARM: u32 = 3;

/// The programs, as the build script made them.
const DYNAMIC: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/dynamic"));
const STATIC: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/static"));
const TINY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tiny"));

/// Kills a process as often as is asked, and tells how long each was away.
pub fn measure(question: &Question) -> Answer {
    match try_measure(question) {
        Ok((restarts, starts)) => Answer::Times { restarts, starts },
        Err(error) => Answer::Failed(format!("{error:#}")),
    }
}

fn try_measure(question: &Question) -> Result<(Vec<u64>, Vec<u64>)> {
    let room = Room::new()?;
    let file = unpack(question.program, room.path())?;
    let mut life = Life::start(&file, question.way)?;
    life.answer()?;
    let (mut restarts, mut starts) = (Vec::new(), Vec::new());
    for number in 0..question.kills + WARM {
        let begun = Instant::now();
        life.end()?;
        let ended = Instant::now();
        life = Life::start(&file, question.way)?;
        life.answer()?;
        let answered = Instant::now();
        if number >= WARM {
            restarts.push((answered - begun).as_nanos() as u64);
            starts.push((answered - ended).as_nanos() as u64);
        }
    }
    life.end()?;
    Ok((restarts, starts))
}

fn unpack(program: Program, room: &Path) -> Result<PathBuf> {
    let (name, bytes) = match program {
        Program::Dynamic => ("dynamic", DYNAMIC),
        Program::Static => ("static", STATIC),
        Program::Tiny => ("tiny", TINY),
    };
    let path = room.join(name);
    fs::write(&path, bytes)
        .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o700)))
        .with_context(|| format!("cannot put a program at {}", path.display()))?;
    Ok(path)
}

/// A process that answers. It ends when this is dropped, at the latest.
#[derive(Debug)]
struct Life {
    process: Option<Pid>,
    socket: UnixStream,
}

impl Life {
    fn start(file: &Path, way: Way) -> Result<Self> {
        let (socket, far) = UnixStream::pair().context("cannot make a pair of sockets")?;
        socket.set_read_timeout(Some(PATIENCE)).context("cannot set a deadline")?;
        let process = match way {
            Way::Fork => forked(file, far),
            Way::Vfork => spawned(file, far),
        };
        let process = process.with_context(|| format!("cannot start {}", file.display()))?;
        Ok(Self { process: Some(process), socket })
    }

    /// Sends a byte, and waits until it is back.
    fn answer(&mut self) -> Result<()> {
        let mut byte = [0];
        let exchanged =
            self.socket.write_all(b"?").and_then(|()| self.socket.read_exact(&mut byte));
        exchanged.context("a process that was started does not answer")?;
        ensure!(byte == *b"?", "a process that was started answered {byte:?}");
        Ok(())
    }

    /// Kills it, and waits until it is gone.
    fn end(&mut self) -> Result<()> {
        let Some(process) = self.process.take() else { return Ok(()) };
        kill(process, Signal::SIGKILL).context("cannot kill a process")?;
        waitpid(process, None).context("cannot wait for a process that was killed")?;
        Ok(())
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        // One that cannot be killed ends when its socket has no other end.
        let _ = self.end();
    }
}

fn forked(file: &Path, far: UnixStream) -> Result<Pid> {
    let path = CString::new(file.as_os_str().as_bytes())?;
    // SAFETY: this program has one thread while it is here, so the child may do what any process
    // may; all that it does is to make the socket its input and its output, and to leave.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let ready = dup2_stdin(&far).and_then(|()| dup2_stdout(&far));
            // It returns only if it fails, and then the silence of this process tells so.
            let _ = ready.and_then(|()| execv(&path, &[&path]));
            // SAFETY: ends the process at once, without the exit handlers of its parent.
            unsafe { libc::_exit(127) }
        }
    }
}

/// The standard library starts a process by `posix_spawn` if nothing is to be done in it before,
/// and that by `vfork`.
fn spawned(file: &Path, far: UnixStream) -> Result<Pid> {
    let output = far.try_clone()?;
    let mut command = Command::new(file);
    let child = command.stdin(OwnedFd::from(far)).stdout(OwnedFd::from(output)).spawn()?;
    Ok(Pid::from_raw(child.id() as i32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::errno::Errno;
    use nix::sys::wait::{WaitPidFlag, WaitStatus};

    #[test]
    fn every_program_answers_however_it_is_started_and_each_life_is_another() {
        for program in [Program::Dynamic, Program::Static, Program::Tiny] {
            for way in [Way::Fork, Way::Vfork] {
                match measure(&Question { program, way, kills: 3 }) {
                    Answer::Times { restarts, starts } => {
                        assert_eq!((restarts.len(), starts.len()), (3, 3));
                        let longer = |(restart, start)| restart > start;
                        assert!(restarts.iter().zip(&starts).all(longer), "{program:?} {way:?}");
                    }
                    Answer::Failed(reason) => panic!("{program:?} {way:?}: {reason}"),
                }
            }
        }
    }

    #[test]
    fn a_process_is_gone_when_it_is_told_to_end() {
        let room = Room::new().expect("there is room");
        let file = unpack(Program::Tiny, room.path()).expect("it can be written");
        let mut life = Life::start(&file, Way::Vfork).expect("it starts");
        let process = life.process.expect("it lives");
        assert_eq!(waitpid(process, Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::StillAlive));
        life.end().expect("it can be killed");
        assert_eq!(kill(process, None), Err(Errno::ESRCH));
        assert!(life.answer().is_err());
    }

    #[test]
    fn the_tiny_program_is_tiny_and_the_others_are_what_they_are_called() {
        let interpreter = |program: &[u8]| program.windows(9).any(|bytes| bytes == b"ld-linux-");
        assert!(TINY.len() < 16 << 10, "{} bytes", TINY.len());
        assert!(interpreter(DYNAMIC) && !interpreter(TINY));
        assert!(STATIC.len() > DYNAMIC.len());
    }
}

//! Owns one round from outside: it starts the sides, waits for their end but not forever, and
//! tells what came of it. The sides are processes of their own, so that a peer which hangs, crashes
//! or leaves something behind costs its own round and nothing else.

use std::env;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::process::{self, Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::cpus;
use crate::ends::Ends;
use crate::room::Room;
use crate::subjects::{self, Runner};
use crate::task::{Role, Task, read_report};
use crate::wire::{Case, Outcome};

/// What a round may take over its budget: starting, and the pauses of a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// Measures one round of a case.
pub fn measure(case: &Case, milliseconds: u64) -> Outcome {
    try_measure(case, milliseconds).unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")))
}

fn try_measure(case: &Case, milliseconds: u64) -> Result<Outcome> {
    let subject = subjects::of(case)?;
    let cpus = cpus::of_sides(case.cpus)?;
    let room = Room::new()?;
    let ends = match subject.runner {
        Runner::Threads(_) => vec![Ends { input: Stdio::null(), output: Stdio::null() }],
        Runner::Processes { ends, .. } => Vec::from(ends(case)?),
    };
    let task = |role| Task {
        case: case.clone(),
        role,
        milliseconds,
        cpus,
        room: room.path().to_path_buf(),
        parent: process::id() as i32,
    };
    let sides = [Role::First, Role::Second]
        .into_iter()
        .zip(ends)
        .map(|(role, ends)| Side::start(&task(role), ends))
        .collect::<Result<Vec<_>>>()?;
    let limit = PATIENCE + 3 * Duration::from_millis(milliseconds);
    wait_for(sides, room.path(), limit)?;
    reported(room.path())?.context("the sides ended without a word")
}

/// Waits until all sides have ended well. The first that has not, or the end of the time, ends the
/// others too.
fn wait_for(mut sides: Vec<Side>, room: &Path, limit: Duration) -> Result<()> {
    let deadline = Instant::now() + limit;
    while !sides.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            bail!("it did not end within {} s", limit.as_secs());
        }
        let ended = wait_for_any(&sides, left)?;
        for index in ended.into_iter().rev() {
            sides.swap_remove(index).ended_well(room)?;
        }
    }
    Ok(())
}

/// Which of the sides have ended; none if time ran out or a signal came.
fn wait_for_any(sides: &[Side], limit: Duration) -> Result<Vec<usize>> {
    let mut waited: Vec<_> =
        sides.iter().map(|side| PollFd::new(side.life.as_fd(), PollFlags::POLLIN)).collect();
    // Rounded up, so that the last millisecond is not spent in a loop.
    let timeout = PollTimeout::try_from(limit + Duration::from_millis(1))
        .map_err(|_| anyhow!("a round of {} s is too long to wait for", limit.as_secs()))?;
    match poll(&mut waited, timeout) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(error) => return Err(error).context("cannot wait for the sides of a round"),
    }
    let ended = |polled: &PollFd| polled.any().unwrap_or(false);
    Ok(waited.iter().enumerate().filter(|(_, polled)| ended(polled)).map(|(at, _)| at).collect())
}

/// What the sides found, or why they failed.
fn reported(room: &Path) -> Result<Option<Outcome>> {
    let first = read_report(room, Role::First)?;
    let second = read_report(room, Role::Second)?;
    Ok(first.or(second))
}

/// A process that is one side of a round. It ends when this is dropped.
#[derive(Debug)]
struct Side {
    role: Role,
    child: Child,
    life: OwnedFd,
}

impl Side {
    fn start(task: &Task, ends: Ends) -> Result<Self> {
        let program = env::current_exe().context("cannot find this program's own file")?;
        let text = serde_json::to_string(task).context("cannot write a task as JSON")?;
        let mut child = Command::new(&program)
            .args(["side", &text])
            // Peers that make temporary files of their own make them in the room.
            .env("TMPDIR", &task.room)
            .stdin(ends.input)
            .stdout(ends.output)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        match life_of(&child) {
            Ok(life) => Ok(Self { role: task.role, child, life }),
            Err(error) => {
                end(&mut child);
                Err(error)
            }
        }
    }

    /// Checks how this side, which has ended, did so.
    fn ended_well(mut self, room: &Path) -> Result<()> {
        let status = self.child.wait().context("cannot learn how a side ended")?;
        if status.success() {
            return Ok(());
        }
        match read_report(room, self.role)? {
            Some(Outcome::Failed(reason)) => Err(anyhow!(reason)),
            _ => Err(anyhow!("its {:?} side ended with {status}", self.role)),
        }
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn end(child: &mut Child) {
    // Both fail only for a child that has been waited for already.
    let _ = child.kill();
    let _ = child.wait();
}

/// A descriptor that becomes readable when a child ends.
fn life_of(child: &Child) -> Result<OwnedFd> {
    // SAFETY: the call takes an id and flags, and no memory of ours. The id is that of a child
    // that has not been waited for, so it is nobody else's.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id(), 0) };
    Errno::result(descriptor).context("cannot watch a side of a round")?;
    // SAFETY: the kernel has just opened it for us, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor as i32) })
}

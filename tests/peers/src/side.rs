//! Owns the life of a process that is one side of a measurement, or both as two threads.

use std::process;
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::getppid;

use crate::cpus;
use crate::subjects::{self, Runner};
use crate::task::{Role, Task};
use crate::wire::Outcome;

/// Does the task that whoever started this process wrote on its command line.
pub fn run(task: &str) -> Result<()> {
    let task: Task = serde_json::from_str(task).context("a side's task is no JSON of a task")?;
    end_with(task.parent)?;
    match measure(&task) {
        Ok(outcome) => outcome.map_or(Ok(()), |outcome| task.report(&outcome)),
        Err(error) => fail(&task, &error),
    }
}

fn measure(task: &Task) -> Result<Option<Outcome>> {
    match subjects::of(&task.case)?.runner {
        Runner::Threads(measure) => measure(task).map(Some),
        Runner::Processes { side, .. } => {
            cpus::pin(task.cpu(task.role))?;
            side(task)
        }
    }
}

/// Runs the two sides as threads of this process, each on its CPU, and gives what either found.
pub fn as_threads(
    task: &Task,
    first: impl FnOnce() -> Result<Option<Outcome>>,
    second: impl FnOnce() -> Result<Option<Outcome>> + Send,
) -> Result<Outcome> {
    let (of_first, of_second) = thread::scope(|scope| {
        let second = scope.spawn(|| to_the_end(task, Role::Second, second));
        let of_first = to_the_end(task, Role::First, first);
        (of_first, second.join())
    });
    let of_second = of_second.map_err(|_| anyhow!("the second side panicked"))?;
    of_first.or(of_second).context("neither side measured anything")
}

fn to_the_end(
    task: &Task,
    role: Role,
    side: impl FnOnce() -> Result<Option<Outcome>>,
) -> Option<Outcome> {
    match cpus::pin(task.cpu(role)).and_then(|()| side()) {
        Ok(outcome) => outcome,
        // The other side may be waiting for this one, and never look up.
        Err(error) => fail(task, &error),
    }
}

/// Reports why this side failed, and ends the process with all of its threads.
fn fail(task: &Task, error: &anyhow::Error) -> ! {
    if let Err(unreported) = task.report(&Outcome::Failed(format!("{error:#}"))) {
        eprintln!("atoll-peers: {error:#} ({unreported:#})");
    }
    process::exit(1)
}

/// Sees to it that this process ends with the one that started it.
fn end_with(parent: i32) -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL).context("cannot tie this process to its parent")?;
    // It may have ended before it could be tied to.
    ensure!(getppid().as_raw() == parent, "process {parent}, which started this one, has ended");
    Ok(())
}

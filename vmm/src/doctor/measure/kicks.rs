//! What it costs to reach a vCPU from another thread: to wake it, and to get it out of its guest.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::unistd::{Pid, gettid};
use vmm_sys_util::eventfd::EventFd;

use super::{Figures, MeasureError};
use crate::doctor::guest::{self, Machine};
use crate::doctor::sample::{Budget, Spread};
use crate::machine::exit::Exit;
use crate::machine::host::Host;
use crate::machine::interrupt::interrupt;
use crate::machine::memory::DomainMemory;

const BUDGET: Budget = Budget::new(1_000, 200);

/// How long to wait for what takes microseconds, on a host that is busy or emulated.
const PATIENCE: Duration = Duration::from_secs(5);

/// What it costs to wake a vCPU that sleeps.
pub(super) fn wake_up(host: &Arc<Host>, budget: Budget) -> Result<Option<Spread>, MeasureError> {
    Ok(Spread::of(&Remote::with(host, Duty::Sleep, |remote| remote.wakes(budget))?))
}

pub(super) fn measure(host: &Arc<Host>, figures: &mut Figures) -> Result<(), MeasureError> {
    figures.wake = wake_up(host, BUDGET)?;
    figures.interrupt = Spread::of(&Remote::with(host, Duty::Run, Remote::interruptions)?);
    Ok(())
}

/// What a vCPU's thread does.
#[derive(Clone, Copy, Debug)]
enum Duty {
    /// Runs the guest for a moment and sleeps until the event is signalled, again and again.
    Sleep,
    /// Runs the guest without end, and tells when it was interrupted.
    Run,
}

/// What the thread and the one who measures share.
#[derive(Debug)]
struct Line {
    event: EventFd,
    quit: AtomicBool,
}

/// What the thread tells when it is ready.
struct Ready {
    memory: Arc<DomainMemory>,
    thread: Pid,
}

/// A vCPU on a thread of its own, seen from outside.
struct Remote {
    line: Arc<Line>,
    ready: Ready,
    interrupted: Receiver<Instant>,
    handle: JoinHandle<Result<(), MeasureError>>,
}

impl Remote {
    /// Measures with such a vCPU, and ends it.
    fn with(
        host: &Arc<Host>,
        duty: Duty,
        measure: impl FnOnce(&Self) -> Result<Vec<Duration>, MeasureError>,
    ) -> Result<Vec<Duration>, MeasureError> {
        let remote = Self::start(host.clone(), duty)?;
        let measured = measure(&remote);
        // The reason why the thread ended says more than that it was not heard of.
        remote.stop().and(measured)
    }

    fn start(host: Arc<Host>, duty: Duty) -> Result<Self, MeasureError> {
        let event = EventFd::new(libc::EFD_CLOEXEC)
            .map_err(|cause| MeasureError::Denied { what: "an event", cause })?;
        let line = Arc::new(Line { event, quit: AtomicBool::new(false) });
        let (ready, is_ready) = mpsc::channel();
        let (tell, interrupted) = mpsc::channel();
        let theirs = line.clone();
        let handle = thread::Builder::new()
            .name("doctor".to_owned())
            .spawn(move || serve(&host, duty, &theirs, &ready, &tell))
            .map_err(|cause| MeasureError::Denied { what: "a thread", cause })?;
        match is_ready.recv() {
            Ok(ready) => Ok(Self { line, ready, interrupted, handle }),
            Err(_) => Err(ended(handle).err().unwrap_or(silent("begin to run"))),
        }
    }

    fn stop(self) -> Result<(), MeasureError> {
        self.line.quit.store(true, Relaxed);
        wake(&self.line.event)?;
        interrupt(&self.handle);
        ended(self.handle)
    }

    /// From the signal until the guest counts on.
    fn wakes(&self, budget: Budget) -> Result<Vec<Duration>, MeasureError> {
        let count = guest::count(&self.ready.memory)?;
        let mut expected = 1;
        budget.collect(|| {
            self.until("fall asleep", || {
                count.load(Relaxed) == expected && is_asleep(self.ready.thread)
            })?;
            let began = Instant::now();
            wake(&self.line.event)?;
            self.until("wake up", || count.load(Relaxed) != expected)?;
            expected += 1;
            Ok(began.elapsed())
        })
    }

    /// From the signal until the thread has left the guest.
    fn interruptions(&self) -> Result<Vec<Duration>, MeasureError> {
        let count = guest::count(&self.ready.memory)?;
        BUDGET.collect(|| {
            let before = count.load(Relaxed);
            self.until("run on", || count.load(Relaxed) != before)?;
            // Signals that others sent to the process are not what is measured.
            while self.interrupted.try_recv().is_ok() {}
            let began = Instant::now();
            interrupt(&self.handle);
            let out = self.interrupted.recv_timeout(PATIENCE);
            let out = out.map_err(|_| silent("stop when interrupted"))?;
            Ok(out.saturating_duration_since(began))
        })
    }

    /// Watches for a condition. On a host with one processor, the thread needs it meanwhile.
    fn until(&self, what: &'static str, is_so: impl Fn() -> bool) -> Result<(), MeasureError> {
        let began = Instant::now();
        while !is_so() {
            if self.handle.is_finished() || began.elapsed() > PATIENCE {
                return Err(silent(what));
            }
            thread::yield_now();
        }
        Ok(())
    }
}

/// The life of a vCPU's thread.
fn serve(
    host: &Host,
    duty: Duty,
    line: &Line,
    ready: &Sender<Ready>,
    interrupted: &Sender<Instant>,
) -> Result<(), MeasureError> {
    let code = match duty {
        Duty::Sleep => guest::counting_exits(),
        Duty::Run => guest::counting(),
    };
    let mut machine = Machine::new(host, &code)?;
    let hello = Ready { memory: machine.memory.clone(), thread: gettid() };
    if ready.send(hello).is_err() {
        return Ok(());
    }
    while !line.quit.load(Relaxed) {
        match duty {
            Duty::Sleep => sleep(&mut machine, &line.event)?,
            Duty::Run => {
                let out = run(&mut machine)?;
                if interrupted.send(out).is_err() {
                    break;
                }
            }
        }
    }
    Ok(())
}

fn sleep(machine: &mut Machine, event: &EventFd) -> Result<(), MeasureError> {
    machine.step()?;
    match event.read() {
        Err(cause) if cause.kind() != io::ErrorKind::Interrupted => {
            Err(MeasureError::Denied { what: "an event's signal", cause })
        }
        _ => Ok(()),
    }
}

/// Runs the guest until a signal; the result is when that was.
fn run(machine: &mut Machine) -> Result<Instant, MeasureError> {
    let exit = machine.vcpu.run()?;
    let out = Instant::now();
    match exit {
        Exit::Interrupted => Ok(out),
        exit => Err(MeasureError::Unexpected { exit: Exit::NAMES[exit.index()] }),
    }
}

fn wake(event: &EventFd) -> Result<(), MeasureError> {
    event.write(1).map_err(|cause| MeasureError::Denied { what: "an event's signal", cause })
}

fn ended(handle: JoinHandle<Result<(), MeasureError>>) -> Result<(), MeasureError> {
    handle.join().unwrap_or(Err(silent("end")))
}

fn silent(what: &'static str) -> MeasureError {
    MeasureError::Silent { what }
}

/// Whether a thread of this process sleeps.
fn is_asleep(thread: Pid) -> bool {
    fs::read_to_string(format!("/proc/self/task/{thread}/stat")).is_ok_and(|stat| sleeps(&stat))
}

/// The state follows the name, which is in parentheses and may hold any character.
fn sleeps(stat: &str) -> bool {
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('S'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threads_state_is_read_whatever_its_name() {
        assert!(sleeps("7 (doctor) S 1 2"));
        assert!(!sleeps("7 (doctor) R 1 2"));
        assert!(!sleeps("7 (a) S) R 1 2"));
        assert!(!sleeps(""));
        assert!(!is_asleep(gettid()), "this thread runs");
    }
}

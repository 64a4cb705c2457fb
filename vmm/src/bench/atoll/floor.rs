//! What a blocking call cannot be faster than here, and what sleeping domains cost.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use vmm_sys_util::eventfd::EventFd;

use super::super::wire::Cpus;
use super::AtollError;
use super::system::{cpus, in_system};
use crate::doctor::exit_costs;
use crate::machine::host::Host;

/// Round trips through eventfds that are measured.
const TRIPS: usize = 2000;
/// How long sleeping domains are watched.
const NIGHT: Duration = Duration::from_millis(500);
/// Less than this share of a CPU is what looking costs.
const NOTHING: f64 = 0.002;

const SLEEPERS: &str = r#"
name = "sleepers"
[domains.a]
image = "relay"
[domains.b]
image = "relay"
[domains.c]
image = "echo"
[[channels]]
from = "a"
as = "next"
to = "b:relay"
[[channels]]
from = "b"
as = "next"
to = "c:echo"
"#;

/// Two wakes through an eventfd, the exits with which both sides go to sleep, and the doorbell of
/// the answer, in nanoseconds.
pub(super) fn of_a_blocking_call(where_: Cpus) -> Result<f64, AtollError> {
    let host = Arc::new(Host::open().map_err(crate::system::SystemError::from)?);
    let (exit, doorbell) =
        exit_costs(&host).ok_or_else(|| AtollError::Impossible("no cost of an exit".to_owned()))?;
    let wakes = eventfd_round_trip(where_)?;
    Ok((wakes + 2 * exit + doorbell).as_nanos() as f64)
}

/// The median time of a round trip between two threads that sleep on eventfds.
fn eventfd_round_trip(where_: Cpus) -> Result<Duration, AtollError> {
    let cpus = cpus()?;
    let first = cpus[0];
    let second = if where_ == Cpus::Two { *cpus.get(1).unwrap_or(&first) } else { first };
    let event = || {
        EventFd::new(libc::EFD_CLOEXEC)
            .map_err(|cause| AtollError::Host { what: "an event", cause })
    };
    let (there, back) = (event()?, event()?);
    thread::scope(|scope| {
        scope.spawn(|| {
            pin(second);
            for _ in 0..TRIPS {
                if there.read().and_then(|_| back.write(1)).is_err() {
                    return;
                }
            }
        });
        let asker = scope.spawn(|| {
            pin(first);
            let trip = |_| {
                let began = Instant::now();
                there.write(1).and_then(|()| back.read())?;
                Ok(began.elapsed())
            };
            (0..TRIPS).map(trip).collect::<Result<Vec<_>, std::io::Error>>()
        });
        let trips = asker.join().map_err(|_| AtollError::Impossible("a dead thread".into()))?;
        let mut trips =
            trips.map_err(|cause| AtollError::Host { what: "signalling an event", cause })?;
        trips.sort_unstable();
        Ok(trips[trips.len() / 2])
    })
}

/// Where it cannot be pinned, it runs where it can.
pub(super) fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    if set.set(cpu).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set)).is_err() {
        log::warn!("a thread of the benchmark cannot be pinned to CPU {cpu}");
    }
}

/// CPU seconds a second of a system whose domains all sleep, the VMM's own included.
pub(super) fn sleeping_cpu(images: &Path) -> Result<f64, AtollError> {
    let mut share = Err(AtollError::Impossible("no night".into()));
    in_system(images, SLEEPERS, &[], |_| {
        // Until the domains have begun, found nothing to do, and gone to sleep.
        thread::sleep(NIGHT);
        let (began, before) = (Instant::now(), cpu_time());
        thread::sleep(NIGHT);
        let used = cpu_time().saturating_sub(before).as_secs_f64() / began.elapsed().as_secs_f64();
        share = Ok(if used < NOTHING { 0.0 } else { used });
    })?;
    share
}

/// CPU time of this process.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

//! A system of so many domains, and its start.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::bench::atoll::AtollError;
use crate::bench::embed::{Embedded, place};
use crate::bench::restart::case::Fault;
use crate::bench::restart::control::Control;
use crate::bench::restart::echo::Client;
use crate::doctor::sleep_cost;
use crate::journal::{Event, EventKind};
use crate::machine::host::Host;
use crate::manifest::Manifest;
use crate::system::{HostEnds, SystemError, check};

/// The port of every domain that is called.
const PORT: &str = "echo";
/// The domain that is killed.
const VICTIM: &str = "domain0";

/// One start.
#[derive(Clone, Debug)]
pub(super) struct Start {
    /// From nothing to the first reply, in nanoseconds.
    pub(super) first: u64,
    /// From nothing until every domain has answered once.
    pub(super) all: u64,
    /// Where the time went until the first reply.
    pub(super) phases: Phases,
    /// Memory that came with it, for each domain, in bytes.
    pub(super) memory: Memory,
    /// From before the order to kill one of the domains until its next reply, each.
    pub(super) kills: Vec<u64>,
}

/// Where the time goes until the first reply, in nanoseconds; and what is done beside that, which
/// is measured by itself like the first two, right before. The others are what events tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Phases {
    /// The manifest is read and checked.
    pub(super) manifest: u64,
    /// The images are read and checked.
    pub(super) images: u64,
    /// Everything is made: VMs, memory, channels, threads, the control socket.
    pub(super) making: u64,
    /// Until the first domain runs: its vCPU is made.
    pub(super) starting: u64,
    /// Until it has answered.
    pub(super) answering: u64,
    /// KVM gets ready, beside the images.
    pub(super) kvm: u64,
    /// What a sleep costs is measured, when all domains are up.
    pub(super) sleep: u64,
}

/// Memory for each domain, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    /// Of this process: what is shared counts in part.
    pub(super) own: f64,
    /// Of the host, the kernel's part included, by what it still has: other programs show in it.
    pub(super) host: f64,
}

/// Starts a system of so many domains, has each answer once, and kills one of them so often.
pub(super) fn start(images: &Path, domains: u32, kills: u32) -> Result<Start, AtollError> {
    let text = manifest(domains);
    let apart = Apart::measure(&text, images)?;
    let ports: Vec<_> = (0..domains).map(|number| (format!("domain{number}"), PORT)).collect();
    let place = place()?;
    let before = (proportional_set()?, available()?);
    let (wall, began) = (unix_nanos(), Instant::now());
    let mut started = Err(AtollError::Impossible("no system".into()));
    let system = Embedded { images, manifest: &text, ports: &ports, spin: None, settled: false };
    system.run_in(&place, |ends, socket| {
        let made = began.elapsed();
        started = (|| {
            let sleep_cost = ends.sleep_cost.clone();
            let (mut clients, first, all) = call(ends, began)?;
            sleep_cost.wait();
            let memory = Memory {
                own: each(proportional_set()?, before.0, domains),
                host: each(before.1, available()?, domains),
            };
            let mut control = Control::at(socket)?;
            let running = running_after(&control.events()?, wall);
            let kills = kill(&mut clients, &control, kills)?;
            let phases = apart.phases(made, running, first);
            let (first, all) = (nanos(first), nanos(all));
            Ok(Start { first, all, phases, memory, kills })
        })();
    })?;
    started
}

fn manifest(domains: u32) -> String {
    let mut text = String::from("name = \"bench\"\n");
    for number in 0..domains {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "[domains.domain{number}]\nimage = \"echo\"");
    }
    text
}

/// Calls every domain once: first and last reply.
fn call(ends: HostEnds, began: Instant) -> Result<(Vec<Client>, Duration, Duration), AtollError> {
    let mut clients: Vec<_> = ends.channels.into_iter().map(Client::new).collect();
    let mut first = None;
    for client in &mut clients {
        client.echo()?;
        first.get_or_insert_with(|| began.elapsed());
    }
    let all = began.elapsed();
    Ok((clients, first.unwrap_or(all), all))
}

fn kill(clients: &mut [Client], control: &Control, kills: u32) -> Result<Vec<u64>, AtollError> {
    let Some(client) = clients.first_mut() else { return Ok(Vec::new()) };
    let crashed = (0..kills).map(|_| client.crash(Fault::Kill, control, VICTIM));
    crashed.map(|seen| Ok(nanos(seen?.whole))).collect()
}

/// What can be measured by itself.
#[derive(Debug)]
struct Apart {
    manifest: Duration,
    images: Duration,
    kvm: Duration,
    sleep: Duration,
}

impl Apart {
    fn measure(text: &str, images: &Path) -> Result<Self, AtollError> {
        let (manifest, parsed) =
            timed(|| Manifest::parse(text.as_bytes(), Path::new("bench.toml")));
        let parsed = parsed?;
        let (images, checked) = timed(|| check(&parsed, images));
        checked?;
        let (kvm, host) = timed(|| {
            Host::open().inspect(|host| {
                host.want(1);
                drop(host.make_first());
            })
        });
        let host = Arc::new(host.map_err(SystemError::from)?);
        let (sleep, _) = timed(|| sleep_cost(&host));
        Ok(Self { manifest, images, kvm, sleep })
    }

    /// What remains of each stretch belongs to what cannot be measured by itself.
    fn phases(&self, made: Duration, running: Option<Duration>, first: Duration) -> Phases {
        let known = self.manifest + self.images;
        let running = running.unwrap_or(made).clamp(made.min(first), first);
        Phases {
            manifest: nanos(self.manifest),
            images: nanos(self.images),
            making: nanos(made.saturating_sub(known)),
            starting: nanos(running.saturating_sub(made)),
            answering: nanos(first - running),
            kvm: nanos(self.kvm),
            sleep: nanos(self.sleep),
        }
    }
}

fn timed<T>(f: impl FnOnce() -> T) -> (Duration, T) {
    let began = Instant::now();
    let result = f();
    (began.elapsed(), result)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn unix_nanos() -> u64 {
    nanos(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// When the domain that is called first ran, from `start` on.
fn running_after(events: &[Event], start: u64) -> Option<Duration> {
    let started = events.iter().find(|event| {
        matches!(event.kind, EventKind::DomainStarted { .. })
            && event.domain.as_deref() == Some(VICTIM)
    })?;
    Some(Duration::from_nanos((started.time * 1000).saturating_sub(start)))
}

fn each(more: u64, less: u64, domains: u32) -> f64 {
    (more as f64 - less as f64) / f64::from(domains)
}

fn proportional_set() -> Result<u64, AtollError> {
    kilobytes("/proc/self/smaps_rollup", "Pss:")
}

fn available() -> Result<u64, AtollError> {
    kilobytes("/proc/meminfo", "MemAvailable:")
}

/// Bytes that a line of a file in `/proc` tells of in kilobytes.
fn kilobytes(path: &str, name: &str) -> Result<u64, AtollError> {
    let failed = |cause| AtollError::Host { what: "asking how much memory there is", cause };
    let text = fs::read_to_string(path).map_err(failed)?;
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    let number =
        value.and_then(|value| value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    number
        .map(|number| number * 1024)
        .ok_or_else(|| failed(io::Error::other(format!("{path} has no {name}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_told_in_bytes() {
        assert!(proportional_set().unwrap() > 1 << 20);
        assert!(available().unwrap() > 1 << 20);
        assert!(kilobytes("/proc/meminfo", "Nothing:").is_err());
    }

    #[test]
    fn a_system_has_as_many_domains_as_are_asked_for() {
        let text = manifest(10);
        let parsed = Manifest::parse(text.as_bytes(), Path::new("bench.toml")).unwrap();
        assert_eq!(parsed.domains.len(), 10);
    }

    #[test]
    fn the_phases_make_up_the_time_to_the_first_reply() {
        let millis = Duration::from_millis;
        let apart =
            Apart { manifest: millis(1), images: millis(2), kvm: millis(3), sleep: millis(4) };
        let phases = apart.phases(millis(15), Some(millis(18)), millis(20));
        let Phases { making, starting, answering, .. } = phases;
        assert_eq!([making, starting, answering], [12_000_000, 3_000_000, 2_000_000]);
        let unknown = apart.phases(millis(15), None, millis(20));
        assert_eq!([unknown.starting, unknown.answering], [0, 5_000_000]);
    }
}

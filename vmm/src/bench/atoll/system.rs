//! A system for one round: who is in it, and what its load domains told.

use std::fmt::Write;
use std::path::Path;

use atoll_ipc::load::{LoadClient, Tally, Work};
use atoll_ipc::message::IpcError;

use super::super::embed::Embedded;
use super::super::wire::{Case, Cpus, Suite, Wait};
use super::{AtollError, TYPED};
use crate::ipc::Channel;
use crate::machine::processors;
use crate::system::HostEnds;

/// What a load domain told, in memory of one's own.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) messages: u64,
    pub(super) ticks: u64,
    pub(super) hz: u64,
    pub(super) exits: u64,
    pub(super) samples: Vec<u32>,
}

impl From<Tally<'_>> for Told {
    fn from(tally: Tally<'_>) -> Self {
        let (samples, _) = tally.samples.as_chunks();
        Self {
            messages: tally.messages,
            ticks: tally.ticks,
            hz: tally.hz,
            exits: tally.exits,
            samples: samples.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect(),
        }
    }
}

/// Makes a system for the case, lets its load domains do the work, and ends it.
pub(super) fn measure_in_system(
    images: &Path,
    case: &Case,
    work: Work,
) -> Result<Vec<Told>, AtollError> {
    let text = manifest(case)?;
    let makers = (0..case.clients).map(|client| format!("maker{client}")).collect::<Vec<_>>();
    let mut told = Ok(Vec::new());
    in_system(images, &text, &makers, |ends| told = drive(ends.channels, work))?;
    told
}

/// Runs a system with a channel to the `control` port of each of these domains, as long as `f`
/// takes.
pub(super) fn in_system(
    images: &Path,
    manifest: &str,
    controlled: &[String],
    f: impl FnOnce(HostEnds) + Send,
) -> Result<(), AtollError> {
    let ports: Vec<_> = controlled.iter().map(|domain| (domain.clone(), "control")).collect();
    Embedded { images, manifest, ports: &ports, spin: None, settled: true }.run(|ends, _| f(ends))
}

/// All load domains work at the same time: each is told before any is waited for.
fn drive(channels: Vec<Channel>, work: Work) -> Result<Vec<Told>, AtollError> {
    if let [_] = channels.as_slice() {
        return channels.into_iter().map(|channel| one(channel, work)).collect();
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            channels.into_iter().map(|channel| scope.spawn(move || one(channel, work))).collect();
        let joined = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or(Err(AtollError::Load(IpcError::PeerGone))));
        joined.collect()
    })
}

fn one(channel: Channel, work: Work) -> Result<Told, AtollError> {
    let mut load = LoadClient::bind(channel)?;
    let told = load.run(atoll_ipc::interface::OnRestart::Fail, work, |tally| Told::from(tally))?;
    Ok(told)
}

/// Who is in the system.
fn manifest(case: &Case) -> Result<String, AtollError> {
    let cpus = cpus()?;
    let second = match case.cpus {
        Cpus::One => cpus[0],
        Cpus::Two => *cpus.get(1).unwrap_or(&cpus[0]),
    };
    let wait = match case.wait {
        Wait::Polling => "polling",
        Wait::Adaptive => "adaptive",
        Wait::Blocking => "blocking",
    };
    let typed = case.subject == TYPED;
    let server = if typed { "echo" } else { "load" };
    let mut text = String::from("name = \"bench\"\n");
    let mut domain = |name: &str, image: &str, argument: &str, cpu: Option<usize>| {
        let pinned = cpu.map_or(String::new(), |cpu| format!("cpus = [{cpu}]\n"));
        let _ = writeln!(
            text,
            "[domains.{name}]\nimage = \"{image}\"\nmemory = \"64 MiB\"\nwait = \"{wait}\"\n\
             arguments = [\"{argument}\"]\nrestart = \"never\"\n{pinned}"
        );
    };
    domain("taker", server, "take", Some(second));
    let port = if typed { "taker:typed" } else { "taker:work" };
    let next = if case.suite == Suite::Chain {
        domain("between", "relay", "", Some(cpus[0]));
        "between:relay"
    } else {
        port
    };
    // Several clients share the CPUs as the host sees fit.
    let pin = (case.clients == 1).then_some(cpus[0]);
    let makers: Vec<_> = (0..case.clients).map(|client| format!("maker{client}")).collect();
    makers.iter().for_each(|maker| domain(maker, "load", "make", pin));
    let mut join = |from: &str, alias: &str, to: &str| {
        let _ = writeln!(
            text,
            "[[channels]]\nfrom = \"{from}\"\nas = \"{alias}\"\nto = \"{to}\"\n\
             buffers = \"{}\"\n",
            if case.size >= 1 << 20 { "4 MiB" } else { "2 MiB" }
        );
    };
    makers.iter().for_each(|maker| join(maker, "peer", next));
    if case.suite == Suite::Chain {
        join("between", "next", port);
    }
    Ok(text)
}

/// The CPUs that this process may use.
pub(super) fn cpus() -> Result<Vec<usize>, AtollError> {
    let denied = |errno: nix::errno::Errno| AtollError::Host {
        what: "asking which CPUs may be used",
        cause: errno.into(),
    };
    let cpus = processors::allowed().map_err(denied)?;
    if cpus.is_empty() { Err(AtollError::Impossible("no CPU".into())) } else { Ok(cpus) }
}

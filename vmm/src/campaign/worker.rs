//! The worker: a system in this process, and one fault after the other.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, TryRecvError};
use std::time::{Duration, Instant};

use atoll_ipc::channel::Layout;
use tempfile::TempDir;

use super::bystander::Bystander;
use super::client::{Client, PATIENCE, Verdict};
use super::echo::EchoClient;
use super::kv::KvClient;
use super::observation::{Next, Observation, how};
use super::plan::{Fault, Victim, fault};
use super::record::{Calm, Line};
use super::resources::Resources;
use super::{CampaignError, Order};
use crate::control::Request;
use crate::domain::Injection;
use crate::journal::EventKind;
use crate::machine::host::Host;
use crate::manifest::{Manifest, PortRef};
use crate::system::{Groundwork, HostEnds, HostLink, Output, RunOptions, Stop, run_with};

/// Requests that a victim's client has under way at a time.
const WIDTH: usize = 8;
/// The same of a bystander's.
const CALM_WIDTH: usize = 2;
/// A victim that does not answer for so long is lost.
const LOST: Duration = Duration::from_secs(5);
/// Bursts, and kills, before the first fault: then all memory that is ever touched has been.
const WARM_UP: u32 = 50;
/// Domains that nothing is done to.
const CALM: [&str; 2] = ["calm-echo", "calm-kv"];
/// Most events looked at in one go; the others come next.
const EVENTS: usize = 256;

/// Injects faults `first` and following, and tells of each on `out`.
///
/// # Errors
/// If the system cannot run, or a victim does not come back.
pub fn run(order: &Order, first: u32, out: &mut (dyn Write + Send)) -> Result<(), CampaignError> {
    let place = TempDir::with_prefix("atoll-campaign-")
        .map_err(CampaignError::host("a directory for sockets"))?;
    let text = manifest(place.path());
    let manifest = Manifest::parse(text.as_bytes(), Path::new("campaign.toml"))?;
    let options = RunOptions {
        images_dir: order.images.clone(),
        socket: Some(place.path().join("control")),
        output: Output::None,
        from: None,
        disk_faults: Vec::new(),
    };
    let mut result = Ok(());
    let links = vec![link("echo")?, link("calm-echo")?];
    run_with(Groundwork::begin(), manifest, options, links, |ends, stop| {
        result = Worker::begin(place.path(), ends, &stop, out)
            .and_then(|worker| worker.campaign(order, first));
        stop.stop();
    })?;
    result
}

fn link(domain: &str) -> Result<HostLink, CampaignError> {
    let misnamed = |_| CampaignError::Garbled { line: domain.to_owned() };
    let to = PortRef {
        domain: domain.parse().map_err(misnamed)?,
        port: "echo".parse().map_err(misnamed)?,
    };
    let name = "echo".parse().map_err(misnamed)?;
    Ok(HostLink::Client { name, to, layout: Layout::PLAIN, spin: None })
}

/// The victims may fail as often as they like: each failure is one fault's doing.
fn manifest(place: &Path) -> String {
    let mut text =
        String::from("name = \"campaign\"\n[supervision]\nintensity = 1000000\nperiod = \"1 s\"\n");
    for (domain, image, memory) in [("echo", "echo", 16), ("kv", "kv", 64)] {
        text += &format!(
            "[domains.{domain}]\nimage = \"{image}\"\nmemory = \"{memory} MiB\"\n\
             restart = \"always\"\nwatchdog = \"100 ms\"\nstop-deadline = \"1 s\"\n\
             backoff-free = 1000\nbackoff-first = \"1 ms\"\nbackoff-cap = \"1 ms\"\n\
             [domains.calm-{domain}]\nimage = \"{image}\"\nmemory = \"{memory} MiB\"\n\
             restart = \"never\"\nwatchdog = \"2 s\"\n"
        );
    }
    for domain in ["kv", "calm-kv"] {
        text += &format!(
            "[[gateways]]\nlisten = \"unix:{}\"\nto = \"{domain}:redis\"\n",
            socket(place, domain).display()
        );
    }
    text
}

fn socket(place: &Path, domain: &str) -> PathBuf {
    place.join(domain)
}

/// A victim, with the client that asks it.
struct Patient {
    victim: Victim,
    client: Box<dyn Client>,
    epoch: u32,
}

struct Worker<'a> {
    stop: &'a Stop,
    out: &'a mut (dyn Write + Send),
    patients: Vec<Patient>,
    calm: Vec<Box<dyn Client>>,
    /// The last event that was looked at.
    seq: u64,
    /// Events of domains that nothing was done to.
    calm_events: [Vec<String>; CALM.len()],
}

/// An end of a victim, as the journal has it.
struct End {
    how: String,
    epoch: u64,
    time: u64,
}

impl<'a> Worker<'a> {
    fn begin(
        place: &Path,
        ends: HostEnds,
        stop: &'a Stop,
        out: &'a mut (dyn Write + Send),
    ) -> Result<Self, CampaignError> {
        let mut channels = ends.channels.into_iter();
        let mut echo = |domain, width| {
            let missing = CampaignError::NotWell { domain, reply: "no channel to it".to_owned() };
            channels.next().map(|channel| EchoClient::new(channel, width)).ok_or(missing)
        };
        let (victim, calm) = (echo("echo", WIDTH)?, echo("calm-echo", CALM_WIDTH)?);
        let kv = |domain, width| KvClient::new(socket(place, domain), width);
        let patient = |victim, client| Patient { victim, client, epoch: 1 };
        let patients = vec![
            patient(Victim::Echo, Box::new(victim) as Box<dyn Client>),
            patient(Victim::Kv, Box::new(kv("kv", WIDTH))),
        ];
        let calm: Vec<Box<dyn Client>> = vec![Box::new(calm), Box::new(kv("calm-kv", CALM_WIDTH))];
        Ok(Self {
            stop,
            out,
            patients,
            calm,
            seq: 0,
            calm_events: [const { Vec::new() }; CALM.len()],
        })
    }

    fn campaign(mut self, order: &Order, first: u32) -> Result<(), CampaignError> {
        self.warm_up()?;
        let calm = std::mem::take(&mut self.calm);
        std::thread::scope(|scope| {
            let pairs = CALM.into_iter().zip(calm);
            let bystanders: Vec<_> = pairs
                .map(|(domain, client)| (domain, Bystander::start(scope, domain, client)))
                .collect();
            let before = self.resources()?;
            let hardware = Host::has_hardware_virtualisation();
            self.tell(&Line::Well { resources: before, hardware })?;
            self.calm_events = [const { Vec::new() }; CALM.len()];
            let done = (first..order.faults).try_for_each(|number| {
                bystanders.iter().for_each(|(_, bystander)| bystander.nudge());
                self.one(&fault(order.seed, number))
            });
            let after = self.resources();
            let calm = bystanders.into_iter().map(|(domain, bystander)| bystander.finish(domain));
            let calm = calm
                .zip(std::mem::take(&mut self.calm_events))
                .map(|(calm, events)| Calm { events, ..calm });
            let calm: Vec<_> = calm.collect();
            self.tell(&Line::Over { resources: after?, bystanders: calm })?;
            done
        })
    }

    fn resources(&self) -> Result<Resources, CampaignError> {
        Resources::now().map_err(CampaignError::host("reading /proc/self"))
    }

    fn tell(&mut self, line: &Line) -> Result<(), CampaignError> {
        let failed = CampaignError::host("telling what was seen");
        let mut text = serde_json::to_vec(line).map_err(|error| CampaignError::Host {
            what: "writing a record",
            cause: error.into(),
        })?;
        text.push(b'\n');
        self.out.write_all(&text).and_then(|()| self.out.flush()).map_err(failed)
    }

    /// Has everybody do everything once, so that what is held from then on is held for good.
    fn warm_up(&mut self) -> Result<(), CampaignError> {
        for _ in 0..WARM_UP {
            for client in &mut self.calm {
                client.burst(Instant::now() + LOST);
            }
        }
        for (client, domain) in self.calm.iter_mut().zip(CALM) {
            well(domain, &mut **client)?;
        }
        for at in 0..self.patients.len() {
            let domain = self.patients[at].victim.domain();
            well(domain, &mut *self.patients[at].client)?;
            for _ in 0..WARM_UP {
                let mut seen = Observation::default();
                self.burst(at, &mut seen);
                if self.reset(at, &mut seen)?.is_none() {
                    let number = 0;
                    return Err(CampaignError::Lost { domain, number, seconds: LOST.as_secs() });
                }
            }
        }
        Ok(())
    }

    /// Injects a fault and follows it to its end.
    fn one(&mut self, fault: &Fault) -> Result<(), CampaignError> {
        let at = self.place(fault.victim);
        let mut seen = Observation::default();
        let (mut pending, began) = (self.inject(fault), Instant::now());
        let again = loop {
            self.burst(at, &mut seen);
            if !seen.is_injected() {
                match pending.try_recv() {
                    Ok(injected) => seen.injected(injected),
                    // It was just starting.
                    Err(TryRecvError::Disconnected) => pending = self.inject(fault),
                    Err(TryRecvError::Empty) => (),
                }
            }
            if let Some(end) = self.look(at)? {
                // The injection may have been what ended it, before it was heard of.
                if let Ok(injected) = pending.recv_timeout(PATIENCE)
                    && !seen.is_injected()
                {
                    seen.injected(injected);
                }
                seen.ended(end.how, end.time);
            }
            match seen.next() {
                Next::Look if began.elapsed() > LOST => break None,
                Next::Look => (),
                Next::Reset => break self.reset(at, &mut seen)?,
                Next::Recover => {
                    let ended = seen.end().unwrap_or_default();
                    break self.recover(at, ended, &mut seen)?;
                }
            }
        };
        let record = seen.conclude(fault, again);
        let lost = record.lost;
        self.tell(&Line::Fault(record))?;
        if lost {
            let domain = fault.victim.domain();
            let (number, seconds) = (fault.number, LOST.as_secs());
            return Err(CampaignError::Lost { domain, number, seconds });
        }
        Ok(())
    }

    fn place(&self, victim: Victim) -> usize {
        self.patients.iter().position(|patient| patient.victim == victim).unwrap_or(0)
    }

    fn inject(&self, fault: &Fault) -> mpsc::Receiver<crate::domain::Injected> {
        let (answer, answered) = mpsc::channel();
        let Fault { harm, place, value, .. } = *fault;
        let injection = Injection { harm, place, value, answer };
        self.stop.handle().inject(fault.victim.domain(), injection);
        answered
    }

    fn burst(&mut self, at: usize, seen: &mut Observation) {
        let replies = self.patients[at].client.burst(Instant::now() + PATIENCE);
        replies.into_iter().for_each(|reply| seen.reply(reply));
    }

    /// The victim's first end since the last look.
    fn look(&mut self, at: usize) -> Result<Option<End>, CampaignError> {
        let domain = self.patients[at].victim.domain();
        // The nucleus reads what vCPUs report before what it is asked: with this answer, all that
        // happened before the question is in the journal.
        let (ask, journal) = (self.stop.handle(), self.stop.journal());
        let report =
            ask.ask_and_block(|answer| Request::Inspect { domain: domain.to_owned(), answer })?;
        let mut first = None;
        loop {
            let events = journal.events_since(self.seq, EVENTS);
            let Some(last) = events.last() else { break };
            self.seq = last.seq;
            for (calm, told) in CALM.iter().zip(&mut self.calm_events) {
                let own = events.iter().filter(|event| event.domain.as_deref() == Some(calm));
                told.extend(own.map(|event| event.kind.to_string()));
            }
            for event in events.iter().filter(|event| event.domain.as_deref() == Some(domain)) {
                let end = match &event.kind {
                    EventKind::DomainFaulted { epoch, fault } => {
                        End { how: how(fault.kind, &fault.what), epoch: *epoch, time: event.time }
                    }
                    EventKind::DomainStopped { epoch } => {
                        End { how: "exit".to_owned(), epoch: *epoch, time: event.time }
                    }
                    _ => continue,
                };
                first.get_or_insert(end);
            }
        }
        if let (Some(end), Some(fault)) = (&mut first, &report.last_fault)
            && fault.epoch == end.epoch
        {
            // The event came when the nucleus heard of it; this is when it was.
            end.time = fault.time;
        }
        if let Some(end) = &first {
            self.patients[at].epoch = end.epoch as u32 + 1;
        }
        Ok(first)
    }

    /// Ends the victim, whatever it does, and waits until it answers again. Tells when it did.
    fn reset(&mut self, at: usize, seen: &mut Observation) -> Result<Option<u64>, CampaignError> {
        let domain = self.patients[at].victim.domain();
        let began = Instant::now();
        let kill = |answer| Request::Kill { domain: domain.to_owned(), answer };
        if let Err(refusal) = self.stop.handle().ask_and_block(kill) {
            log::debug!("{domain} is ending already: {refusal}");
        }
        while began.elapsed() < LOST {
            if let Some(end) = self.look(at)? {
                return self.recover(at, end.time, seen);
            }
            self.burst(at, seen);
        }
        Ok(None)
    }

    fn recover(
        &mut self,
        at: usize,
        ended: u64,
        seen: &mut Observation,
    ) -> Result<Option<u64>, CampaignError> {
        let (began, epoch) = (Instant::now(), self.patients[at].epoch);
        let mut again = seen.answered_again(ended, epoch);
        while again.is_none() && began.elapsed() < LOST {
            self.burst(at, seen);
            again = seen.answered_again(ended, epoch);
        }
        // An end that came of the first is not the next fault's.
        self.look(at)?;
        Ok(again)
    }
}

/// Waits until a server that nothing was done to answers.
fn well(domain: &'static str, client: &mut dyn Client) -> Result<(), CampaignError> {
    let began = Instant::now();
    loop {
        let replies = client.burst(Instant::now() + LOST);
        let bad = replies.into_iter().find(|reply| reply.verdict != Verdict::Good);
        match bad {
            None => return Ok(()),
            Some(reply) if began.elapsed() > LOST => {
                let reply = format!("{:?}", reply.verdict);
                return Err(CampaignError::NotWell { domain, reply });
            }
            Some(_) => (),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_one_that_can_be() {
        let text = manifest(Path::new("/run/campaign"));
        let manifest = Manifest::parse(text.as_bytes(), Path::new("campaign.toml")).unwrap();
        assert_eq!(manifest.domains.len(), 4);
        assert_eq!(manifest.gateways.len(), 2);
        let victims = Victim::ALL.map(Victim::domain);
        for policy in &manifest.supervision.domains {
            let is_victim = victims.contains(&policy.domain.as_str());
            assert_eq!(CALM.contains(&policy.domain.as_str()), !is_victim);
            assert!(policy.watchdog.is_some_and(|limit| !is_victim || limit < PATIENCE));
        }
    }
}

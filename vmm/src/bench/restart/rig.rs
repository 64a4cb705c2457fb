//! A running system whose domains are crashed in turn.

use std::collections::HashMap;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::case::{Case, Server};
use super::control::Control;
use super::echo::{self, PATIENCE, Seen};
use super::system::{domain, socket};
use super::thread::VcpuThread;
use super::{
    kv,
    trial::{Restarted, Trial},
};
use crate::bench::atoll::AtollError;
use crate::ipc::Channel;
use crate::journal::EventKind;

/// The least age at which an incarnation may fault without being taken for one in a crash loop,
/// which the supervisor answers in another way (50 ms), and something for the difference between
/// its clock and this one.
pub(in crate::bench) const AGE: Duration = Duration::from_millis(60);

/// A case that failed this often is not tried again.
const FAILURES_MAX: usize = 2;

/// Who crashes it, and sees it come back.
#[derive(Debug)]
enum Witness {
    Echo(Box<echo::Client>),
    Kv(kv::Client),
}

/// A domain, and what came of its restarts so far.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) case: Case,
    /// Of each round.
    pub(super) rounds: Vec<Vec<Trial>>,
    pub(super) failures: Vec<String>,
    domain: String,
    witness: Witness,
    thread: VcpuThread,
    born: Instant,
    /// Restarts of which the nucleus has not told yet.
    untold: Option<(Seen, u64)>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Rig {
    pub(super) subjects: Vec<Subject>,
    control: Control,
}

impl Rig {
    /// Takes its place at the ends of a system's channels and gateways.
    pub(super) fn new(
        cases: &[Case],
        channels: Vec<Channel>,
        control_socket: &Path,
        place: &Path,
    ) -> Result<Self, AtollError> {
        let mut channels = channels.into_iter();
        let mut subjects = Vec::new();
        for (number, &case) in cases.iter().enumerate() {
            let domain = domain(number);
            let witness = match case.server {
                Server::Kv => Witness::Kv(kv::Client::connect(&socket(place, number))?),
                Server::Echo => Witness::Echo(Box::new(echo::Client::new(
                    channels.next().ok_or_else(|| AtollError::Impossible("no channel".into()))?,
                ))),
            };
            let thread = VcpuThread::of(&domain)?;
            let (rounds, failures, born) = (Vec::new(), Vec::new(), Instant::now());
            subjects.push(Subject {
                case,
                rounds,
                failures,
                domain,
                witness,
                thread,
                born,
                untold: None,
            });
        }
        Ok(Self { subjects, control: Control::at(control_socket)? })
    }

    /// Crashes every domain so often, in turns; every other turn goes backwards, so that no case
    /// always follows the same one.
    pub(super) fn round(&mut self, turns: u32, watch: &mut dyn FnMut(&Case)) {
        self.subjects.iter_mut().for_each(|subject| subject.rounds.push(Vec::new()));
        for turn in 0..turns {
            let count = self.subjects.len();
            for at in 0..count {
                let at = if turn % 2 == 0 { at } else { count - 1 - at };
                let subject = &mut self.subjects[at];
                watch(&subject.case);
                if subject.failures.len() < FAILURES_MAX
                    && let Err(error) = subject.crash(&self.control)
                {
                    subject.failures.push(error.to_string());
                }
            }
            self.listen();
        }
    }

    /// Hears of all restarts that were seen.
    fn listen(&mut self) {
        let began = Instant::now();
        while self.subjects.iter().any(|subject| subject.untold.is_some()) {
            let told = self.told();
            let late = began.elapsed() > PATIENCE;
            for subject in &mut self.subjects {
                match &told {
                    Ok(told) => subject.hear(told.get(&subject.domain)),
                    Err(error) if subject.untold.take().is_some() => {
                        subject.failures.push(error.to_string());
                    }
                    Err(_) => (),
                }
                if late && subject.untold.take().is_some() {
                    subject.failures.push("no event tells of its restart".to_owned());
                }
            }
        }
    }

    /// What events tell of restarts since they were last read.
    fn told(&mut self) -> Result<HashMap<String, Restarted>, AtollError> {
        let mut told = HashMap::new();
        for event in self.control.events()? {
            if let (Some(domain), EventKind::DomainRestarted { origin, micros, steps, .. }) =
                (event.domain, event.kind)
            {
                told.insert(domain, Restarted { origin, micros, steps });
            }
        }
        Ok(told)
    }
}

impl Subject {
    fn crash(&mut self, control: &Control) -> Result<(), AtollError> {
        let Self { case, domain, witness, thread, born, untold, .. } = self;
        match witness {
            Witness::Echo(client) => client.dirty(case.dirty)?,
            Witness::Kv(client) => client.dirty(case.dirty)?,
        }
        thread::sleep(AGE.saturating_sub(born.elapsed()));
        let before = thread.page_faults()?;
        let seen = match witness {
            Witness::Echo(client) => client.crash(case.fault, control, domain)?,
            Witness::Kv(client) => client.crash()?,
        };
        *untold = Some((seen, thread.page_faults()? - before));
        *born = Instant::now();
        Ok(())
    }

    fn hear(&mut self, told: Option<&Restarted>) {
        let Some(told) = told else { return };
        let Some((seen, page_faults)) = self.untold.take() else { return };
        if told.origin != self.case.from.origin() {
            let origin = format!("{:?}", told.origin).to_lowercase();
            return self.failures.push(format!("the nucleus began from its {origin}"));
        }
        if let (Witness::Kv(client), Some(steps)) = (&mut self.witness, told.steps) {
            client.learn(self.case.dirty, steps.written);
        }
        if let Some(round) = self.rounds.last_mut() {
            round.push(Trial::new(seen, page_faults, *told));
        }
    }
}

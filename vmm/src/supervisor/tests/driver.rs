//! Drives a supervisor by hand, and keeps what it says as short texts.

use std::time::Duration;

use super::super::{Action, End, Standing, Supervisor};
use super::supervision;
use crate::manifest::{RestartFrom, Supervision};

/// Long enough that a fault begins no crash loop.
pub(super) const LONG: Duration = Duration::from_secs(60);

pub(super) struct Driver {
    pub(super) supervisor: Supervisor,
    pub(super) now: Duration,
    supervision: Supervision,
}

impl Driver {
    /// A system none of whose servers announces that it is ready; all are up.
    pub(super) fn up(tables: &str) -> Self {
        let mut driver = Self::new(tables, &[]);
        driver.obey();
        driver
    }

    /// A system that begins; servers of the domains named in `announcing` say when they are
    /// ready.
    pub(super) fn new(tables: &str, announcing: &[&str]) -> Self {
        let supervision = supervision(tables);
        let announces =
            |domain: usize| announcing.contains(&supervision.domains[domain].domain.as_str());
        let mut supervisor = Supervisor::new(&supervision, announces, 7);
        supervisor.begin(Duration::ZERO);
        Self { supervisor, now: Duration::ZERO, supervision }
    }

    pub(super) fn number(&self, name: &str) -> usize {
        let named = |policy: &crate::manifest::Policy| policy.domain.as_str() == name;
        self.supervision.domains.iter().position(named).unwrap()
    }

    fn name(&self, domain: usize) -> &str {
        self.supervision.domains[domain].domain.as_str()
    }

    /// The next actions as they are, without an answer.
    pub(super) fn said(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        while let Some(action) = self.supervisor.next_action() {
            said.push(self.shown(&action));
        }
        said
    }

    /// Follows all orders at once, and those that come of that.
    pub(super) fn obey(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        while let Some(action) = self.supervisor.next_action() {
            said.push(self.shown(&action));
            match action {
                Action::Start { domain, .. } => self.supervisor.started(domain, self.now),
                Action::Stop { domain, .. } | Action::Force { domain } => {
                    self.supervisor.stopped(domain, self.now);
                }
                _ => (),
            }
        }
        said
    }

    fn shown(&self, action: &Action) -> String {
        let group = |group: usize| self.supervision.groups[group].title();
        match action {
            Action::Start { domain, from: RestartFrom::Image } => {
                format!("start {}", self.name(*domain))
            }
            Action::Start { domain, from: RestartFrom::Checkpoint } => {
                format!("resume {}", self.name(*domain))
            }
            Action::Stop { domain, .. } => format!("stop {}", self.name(*domain)),
            Action::Force { domain } => format!("force {}", self.name(*domain)),
            Action::StayDown { domain, why } => format!("{} down: {why}", self.name(*domain)),
            Action::Pause { domain, .. } => format!("pause {}", self.name(*domain)),
            Action::GroupRestarts { group: at } => format!("{} restarts", group(*at)),
            Action::GroupGivesUp { group: at } => format!("{} gives up", group(*at)),
            Action::EndSystem { code, why } => format!("end {}: {why}", *code as u8),
        }
    }

    pub(super) fn ends(&mut self, name: &str, end: End, uptime: Duration) {
        self.supervisor.ended(self.number(name), end, uptime, self.now);
    }

    /// A fault of a domain that had long been up, and all that follows.
    pub(super) fn fault(&mut self, name: &str) -> Vec<String> {
        self.ends(name, End::Fault, LONG);
        self.obey()
    }

    pub(super) fn started(&mut self, name: &str) -> Vec<String> {
        self.supervisor.started(self.number(name), self.now);
        self.said()
    }

    pub(super) fn ready(&mut self, name: &str) -> Vec<String> {
        self.supervisor.ready(self.number(name), self.now);
        self.said()
    }

    pub(super) fn stopped(&mut self, name: &str) -> Vec<String> {
        self.supervisor.stopped(self.number(name), self.now);
        self.said()
    }

    pub(super) fn restart(&mut self, name: &str) -> Vec<String> {
        self.supervisor.restart(self.number(name), self.now).unwrap();
        self.said()
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, time: Duration) -> Vec<String> {
        self.now += time;
        self.supervisor.tick(self.now);
        self.said()
    }

    pub(super) fn standing(&self, name: &str) -> Standing {
        self.supervisor.standing(self.number(name)).unwrap()
    }
}

/// Domains with nothing but an image.
pub(super) fn domains(names: &[&str]) -> String {
    names.iter().map(|name| format!("[domains.{name}]\nimage = \"x\"\n")).collect()
}

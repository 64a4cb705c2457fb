//! A world that does as it is told, more or less: domains that crash while they start, never get
//! ready, fail later, or do not stop; and outsiders who interfere.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::super::{Action, End, Standing, Supervisor};
use super::model::{Heard, Model, State};
use crate::manifest::{RestartFrom, Supervision};

/// What one incarnation does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Temper {
    /// All that it should.
    Good,
    /// It ends before it runs.
    Stillborn,
    /// It never runs, and says nothing.
    Mute,
    /// It runs, and ends before it is ready.
    Weak(End),
    /// It runs, and is never ready.
    Slow,
    /// It is up for some milliseconds, and ends so.
    Ends(End, u64),
    /// It is good, but does not listen when told to stop.
    Deaf,
    /// It is good, but faults when told to stop.
    Clumsy,
}

/// What others do, some milliseconds after the start.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outside {
    Kill(usize),
    Restart(usize),
    Replace(usize, RestartFrom),
    Hold(usize),
    Escalate(usize),
    Stop,
}

#[derive(Clone, Copy, Debug)]
enum News {
    Started,
    Ready,
    Ended(End),
    Stopped,
}

#[derive(Clone, Copy, Debug)]
enum Due {
    Inside { domain: usize, incarnation: u32, news: News },
    Outside(Outside),
}

/// Events of one run; all tempers are used up long before.
const MOST_EVENTS: u32 = 100_000;

pub(super) struct World {
    supervisor: Supervisor,
    model: Model,
    announces: Vec<bool>,
    tempers: Vec<VecDeque<Temper>>,
    now_with: Vec<(Temper, u32)>,
    began: Vec<Duration>,
    due: BTreeMap<(Duration, u32), Due>,
    events: u32,
}

impl World {
    pub(super) fn new(
        supervision: &Supervision,
        announces: Vec<bool>,
        tempers: Vec<Vec<Temper>>,
        outside: &[(u64, Outside)],
        seed: u64,
    ) -> Self {
        let count = announces.len();
        let mut world = Self {
            supervisor: Supervisor::new(supervision, |domain| announces[domain], seed),
            model: Model::new(supervision),
            announces,
            tempers: tempers.into_iter().map(VecDeque::from).collect(),
            now_with: vec![(Temper::Good, 0); count],
            began: vec![Duration::ZERO; count],
            due: BTreeMap::new(),
            events: 0,
        };
        for (at, outside) in outside {
            world.plan(Duration::from_millis(*at), Due::Outside(*outside));
        }
        world
    }

    /// Lets all happen that will, with every step checked.
    pub(super) fn run(mut self) {
        self.supervisor.begin(Duration::ZERO);
        self.obey();
        loop {
            assert!(self.events < MOST_EVENTS, "there is no end to it");
            let event = self.due.first_key_value().map(|((at, _), _)| *at);
            let deadline = self.supervisor.deadline();
            let Some(now) = event.into_iter().chain(deadline).min() else { break };
            self.model.now = self.model.now.max(now);
            if event == Some(now) {
                let (_, due) = self.due.pop_first().unwrap();
                self.happen(due);
            } else {
                self.events += 1;
                self.supervisor.tick(self.model.now);
            }
            self.obey();
        }
        self.model.check_quiet();
        for (domain, state) in self.model.states.iter().enumerate() {
            let expected = match state {
                State::Resting(why) => Standing::Down(*why),
                _ => Standing::Up,
            };
            assert_eq!(self.supervisor.standing(domain), Some(expected));
        }
    }

    fn plan(&mut self, at: Duration, due: Due) {
        self.events += 1;
        self.due.insert((at, self.events), due);
    }

    fn soon(&mut self, domain: usize, after: u64, news: News) {
        let incarnation = self.now_with[domain].1;
        let at = self.model.now + Duration::from_millis(after);
        self.plan(at, Due::Inside { domain, incarnation, news });
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Inside { domain, incarnation, news } => {
                if self.model.is_alive(domain) && self.now_with[domain].1 == incarnation {
                    self.report(domain, news);
                }
            }
            Due::Outside(outside) => self.interfere(outside),
        }
    }

    fn report(&mut self, domain: usize, news: News) {
        let now = self.model.now;
        match news {
            News::Started => {
                self.model.started(domain, self.announces[domain]);
                self.supervisor.started(domain, now);
            }
            News::Ready => {
                self.model.ready(domain);
                self.supervisor.ready(domain, now);
            }
            News::Ended(end) => {
                self.model.ended(domain, Heard::End(end));
                self.supervisor.ended(domain, end, now - self.began[domain], now);
            }
            News::Stopped => {
                self.model.ended(domain, Heard::End(End::Killed));
                self.supervisor.stopped(domain, now);
            }
        }
    }

    fn interfere(&mut self, outside: Outside) {
        let now = self.model.now;
        match outside {
            Outside::Kill(domain) if self.model.is_alive(domain) => {
                self.report(domain, News::Ended(End::Killed));
            }
            Outside::Replace(domain, from) if self.model.is_alive(domain) => {
                self.model.ended(domain, Heard::Replace);
                self.supervisor.replaced(domain, from, now);
            }
            Outside::Hold(domain) if self.model.is_alive(domain) => {
                self.model.ended(domain, Heard::Hold);
                self.supervisor.held(domain, now);
            }
            Outside::Escalate(domain) if self.model.is_alive(domain) => {
                self.model.ended(domain, Heard::Escalate);
                self.supervisor.escalated(domain, now);
            }
            Outside::Kill(_) | Outside::Replace(..) | Outside::Hold(_) | Outside::Escalate(_) => (),
            Outside::Restart(domain) => {
                if self.supervisor.restart(domain, now).is_ok() {
                    self.model.operator_restarts(domain);
                }
            }
            Outside::Stop => {
                self.model.system_stops();
                self.supervisor.stop("it was asked to", now);
            }
        }
    }

    fn obey(&mut self) {
        while let Some(action) = self.supervisor.next_action() {
            self.model.check(&action);
            match action {
                Action::Start { domain, from } => self.start(domain, from),
                Action::Stop { domain, .. } => match self.now_with[domain].0 {
                    Temper::Deaf => (),
                    Temper::Clumsy => self.soon(domain, 2, News::Ended(End::Fault)),
                    _ => self.soon(domain, 1 + domain as u64 % 3, News::Stopped),
                },
                Action::Force { domain } => self.soon(domain, 1, News::Stopped),
                _ => (),
            }
        }
        self.model.answered();
    }

    fn start(&mut self, domain: usize, from: RestartFrom) {
        let temper = self.tempers[domain].pop_front().unwrap_or(Temper::Good);
        self.now_with[domain] = (temper, self.now_with[domain].1 + 1);
        self.began[domain] = self.model.now;
        let first = domain as u64 % 2;
        match temper {
            Temper::Stillborn => return self.soon(domain, first, News::Ended(End::Fault)),
            Temper::Mute => return,
            _ => self.soon(domain, first, News::Started),
        }
        let initialises = from == RestartFrom::Image && self.announces[domain];
        match temper {
            Temper::Weak(end) => return self.soon(domain, first + 1, News::Ended(end)),
            Temper::Slow if initialises => return,
            _ if initialises => self.soon(domain, first + 2, News::Ready),
            _ => (),
        }
        if let Temper::Ends(end, after) = temper {
            self.soon(domain, first + 3 + after, News::Ended(end));
        }
    }
}

//! The supervisor: decides what follows the end of an incarnation, and in which order domains
//! start and stop. A pure state machine: no clock, no threads, no I/O. Whoever drives it tells
//! it what happened and what time it is, does what [`Supervisor::next_action`] says until that
//! says nothing more, and calls [`Supervisor::tick`] when [`Supervisor::deadline`] has come.
//!
//! The model is that of OTP's supervisors: [the behaviour], [the design principles]. What it
//! says of child processes holds here for domains, and of supervisors for groups:
//!
//! | OTP | here |
//! |---|---|
//! | permanent, transient, temporary | `restart` = always, on-fault, never |
//! | children start from left to right, and terminate in reversed start order | the same; but members start side by side unless `after` or `rest-for-one` says that one builds on another |
//! | a start function returns when its child is initialised | a domain is up when it runs or, if its server announces that, when it is ready |
//! | more than `intensity` restarts within `period`: all children terminate, and the supervisor itself | the same; the group has failed as a member of its parent |
//! | a supervisor that is restarted begins anew | its domains start from their images, also those that had finished or are never restarted, and its restarts are forgotten |
//! | a temporary child terminated with its siblings stays so | the same |
//! | shutdown: a time, then kill | `stop-deadline`, then force |
//!
//! Beyond OTP: restarts begin at a checkpoint, and crash loops climb a ladder (see `ladder`).
//! An operator's kill is answered as a fault is, but counts for nothing.
//!
//! [the behaviour]: https://www.erlang.org/doc/apps/stdlib/supervisor.html
//! [the design principles]: https://www.erlang.org/doc/system/sup_princ.html

mod action;
mod agenda;
mod certain;
mod foresee;
mod ladder;
mod leaving;
mod life;
mod random;
mod renew;
mod settle;
mod tree;
mod window;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::manifest::{Restart, RestartFrom, Supervision};
use agenda::Agenda;
use leaving::{Leaving, Scope};
use life::{Life, Phase, Want};
use random::Random;
use tree::{Member, ROOT, Tree};
use window::Window;

pub use action::{Action, End, Ending, Standing, Why};
pub use foresee::Forecast;
pub use ladder::MIN_RUN;

/// The supervisor of one system. Domains are named by their numbers, their places in the
/// manifest; a number that there is not is ignored. Times are since an origin of the caller's
/// choice, and never go back: an earlier one counts as the latest.
///
/// For each [`Action::Start`] exactly one of [`Supervisor::ended`], [`Supervisor::stopped`],
/// [`Supervisor::replaced`], [`Supervisor::held`] and [`Supervisor::escalated`] is to come, before
/// any report about a later incarnation.
#[derive(Clone, Debug)]
pub struct Supervisor {
    tree: Tree,
    /// By place.
    lives: Vec<Life>,
    /// By group.
    windows: Vec<Window>,
    leaving: Leaving,
    /// Domains that are down and are to start.
    pending: BTreeSet<usize>,
    agenda: Agenda,
    random: Random,
    now: Duration,
    ending: Option<Ending>,
    over: bool,
    actions: VecDeque<Action>,
}

impl Supervisor {
    /// A supervisor for a manifest's system. `announces` tells of each domain whether its server
    /// says by itself when it is ready; `seed` is for the jitter of pauses.
    pub fn new(supervision: &Supervision, announces: impl Fn(usize) -> bool, seed: u64) -> Self {
        let tree = Tree::new(supervision, announces);
        let places = tree.leaves.len();
        Self {
            lives: vec![Life::new(); places],
            windows: vec![Window::default(); tree.groups.len()],
            leaving: Leaving::default(),
            pending: BTreeSet::new(),
            agenda: Agenda::new(places),
            random: Random::new(seed),
            now: Duration::ZERO,
            ending: None,
            over: false,
            actions: VecDeque::new(),
            tree,
        }
    }

    /// What is to be done next; to be asked after each event until there is nothing.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Supervisor::tick`] has something to do.
    pub fn deadline(&self) -> Option<Duration> {
        self.agenda.first()
    }

    /// Starts all domains.
    pub fn begin(&mut self, now: Duration) {
        self.advance(now);
        if self.ending.is_none() {
            let down = self.lives.iter().enumerate().filter(|(_, life)| !life.is_alive());
            self.pending = down.map(|(place, _)| place).collect();
        }
        self.settle();
    }

    /// A domain's incarnation runs. Without an announcement to come, or from a checkpoint, which
    /// was taken after that, it is up.
    pub fn started(&mut self, domain: usize, now: Duration) {
        self.advance(now);
        let Some(place) = self.tree.place(domain) else { return };
        let Phase::Launched(from) = self.lives[place].phase else { return };
        if from == RestartFrom::Checkpoint || !self.tree.leaves[place].announces {
            self.up(place);
        } else {
            self.lives[place].phase = Phase::Initialising;
        }
        self.settle();
    }

    /// A domain's server said that it is ready, and a checkpoint was taken. Said again, it
    /// changes nothing.
    pub fn ready(&mut self, domain: usize, now: Duration) {
        self.advance(now);
        let Some(place) = self.tree.place(domain) else { return };
        if let Phase::Launched(_) | Phase::Initialising = self.lives[place].phase {
            self.up(place);
        }
        let life = &mut self.lives[place];
        // With a scope, it is about to be replaced, perhaps by one that must not follow it.
        life.checkpoint |= life.phase == Phase::Up && life.scope.is_none();
        self.settle();
    }

    fn up(&mut self, place: usize) {
        self.lives[place].phase = Phase::Up;
        self.agenda.disarm(place);
    }

    /// A domain's incarnation ended after it had run for `uptime`.
    pub fn ended(&mut self, domain: usize, end: End, uptime: Duration, now: Duration) {
        self.advance(now);
        let Some((place, phase)) = self.bury(domain) else { return };
        if self.lives[place].scope.is_some() {
            self.left(place);
        } else {
            let end = if phase == Phase::Overdue { End::StartTimedOut } else { end };
            self.decide(place, end, uptime, phase == Phase::Up);
        }
        self.settle();
    }

    /// A domain that was told to stop, or was forced to, has done so.
    pub fn stopped(&mut self, domain: usize, now: Duration) {
        // If nobody told it to, somebody ended it who is not its server.
        self.ended(domain, End::Killed, Duration::ZERO, now);
    }

    /// A domain failed, and who hears of its faults wants its next incarnation at once, whatever
    /// its own policy says. In its group that is a restart like any other, and may be once too
    /// often.
    pub fn replaced(&mut self, domain: usize, from: RestartFrom, now: Duration) {
        self.advance(now);
        let Some((place, _)) = self.bury(domain) else { return };
        let life = &mut self.lives[place];
        if life.scope.is_some() {
            self.left(place);
        } else {
            life.ladder.forgive();
            life.checkpoint &= from == RestartFrom::Checkpoint;
            self.failed(Member::Domain(place), self.tree.leaves[place].group, true, self.now);
        }
        self.settle();
    }

    /// A domain failed, and who hears of its faults wants it to stay down.
    pub fn held(&mut self, domain: usize, now: Duration) {
        self.advance(now);
        let Some((place, _)) = self.bury(domain) else { return };
        self.rest(place, Why::Held);
        self.settle();
    }

    /// A domain failed, and who hears of its faults thinks that its restart would not help: its
    /// group gives up.
    pub fn escalated(&mut self, domain: usize, now: Duration) {
        self.advance(now);
        let Some((place, _)) = self.bury(domain) else { return };
        if self.lives[place].scope.is_some() {
            self.left(place);
        } else {
            self.give_up(self.tree.leaves[place].group, self.now);
        }
        self.settle();
    }

    /// An operator wants a new incarnation of a domain, whatever its policy says and whatever it
    /// does. One that lives is asked to stop first. Its group is not concerned, and nothing is
    /// counted.
    ///
    /// # Errors
    /// If the system ends: why it does.
    pub fn restart(&mut self, domain: usize, now: Duration) -> Result<(), Ending> {
        self.advance(now);
        if let Some(ending) = &self.ending {
            return Err(ending.clone());
        }
        let Some(place) = self.tree.place(domain) else { return Ok(()) };
        let life = &mut self.lives[place];
        life.ladder.forgive();
        life.not_before = self.now;
        life.want = Want::Up;
        if !life.is_alive() {
            self.queue(place);
        } else if life.scope.is_none() {
            let scope = Scope::Domain(place);
            life.scope = Some(scope);
            self.leaving.add(scope, place);
        }
        self.settle();
        Ok(())
    }

    /// The system is to end in good order. If it ends already, that stands.
    pub fn stop(&mut self, reason: &str, now: Duration) {
        self.advance(now);
        self.end_system(Ending::Asked(reason.to_owned()));
        self.settle();
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Duration) {
        self.advance(now);
        while let Some(place) = self.agenda.take_due(self.now) {
            self.due(place);
        }
        self.settle();
    }

    /// Whether a domain is forced to end because it was not ready in time.
    pub fn is_overdue(&self, domain: usize) -> bool {
        self.tree.place(domain).is_some_and(|place| self.lives[place].phase == Phase::Overdue)
    }

    /// Where a domain stands; `None` for a number that there is not.
    pub fn standing(&self, domain: usize) -> Option<Standing> {
        let life = &self.lives[self.tree.place(domain)?];
        Some(match (life.phase, life.want) {
            (Phase::Down, Want::Down(why)) => Standing::Down(why),
            (Phase::Down, Want::Up) if life.not_before > self.now => {
                Standing::Pausing { until: life.not_before }
            }
            (Phase::Down, Want::Up) => Standing::Waiting,
            (_, _) if life.scope.is_some() => Standing::Stopping,
            (Phase::Launched(_) | Phase::Initialising, _) => Standing::Starting,
            (Phase::Up, _) => Standing::Up,
            (Phase::Overdue | Phase::Stopping | Phase::Forced, _) => Standing::Stopping,
        })
    }

    fn advance(&mut self, now: Duration) {
        self.now = self.now.max(now);
    }

    /// Notes that a domain's incarnation is no more, and what it was doing; `None` if there was
    /// none.
    fn bury(&mut self, domain: usize) -> Option<(usize, Phase)> {
        let place = self.tree.place(domain)?;
        let phase = std::mem::replace(&mut self.lives[place].phase, Phase::Down);
        if phase == Phase::Down {
            return None;
        }
        self.agenda.disarm(place);
        if let Some(scope) = self.lives[place].scope {
            self.leaving.remove(scope, place);
        }
        Some((place, phase))
    }

    /// A domain that was to end has ended, in whichever way.
    fn left(&mut self, place: usize) {
        match self.lives[place].want {
            Want::Up => self.queue(place),
            Want::Down(why) => self.rest(place, why),
        }
    }

    /// A domain ended by itself, or by an operator's hand.
    fn decide(&mut self, place: usize, end: End, uptime: Duration, was_ready: bool) {
        let leaf = &self.tree.leaves[place];
        let life = &mut self.lives[place];
        match (leaf.restart, end) {
            (_, End::Clean) if leaf.restart != Restart::Always => {
                return self.rest(place, Why::Finished);
            }
            (Restart::Never, _) => return self.rest(place, Why::Never),
            (Restart::OnFault | Restart::Always, _) => (),
        }
        let checkpoint = life.checkpoint && leaf.restart_from == RestartFrom::Checkpoint;
        let how = (end, uptime, was_ready);
        let pause = life.ladder.ended(how, checkpoint, &leaf.backoff, &mut self.random);
        let resume = self.now.saturating_add(pause);
        self.failed(Member::Domain(place), leaf.group, end != End::Killed, resume);
    }

    /// A domain that is down is to start as soon as it may.
    fn queue(&mut self, place: usize) {
        self.pending.insert(place);
        let not_before = self.lives[place].not_before;
        if not_before > self.now {
            self.agenda.arm(place, not_before);
        } else {
            self.agenda.disarm(place);
        }
    }

    /// A domain that is down is to stay so.
    fn rest(&mut self, place: usize, why: Why) {
        let life = &mut self.lives[place];
        life.want = Want::Down(why);
        life.scope = None;
        self.pending.remove(&place);
        self.agenda.disarm(place);
        self.actions.push_back(Action::StayDown { domain: self.tree.leaves[place].number, why });
    }

    fn end_system(&mut self, ending: Ending) {
        if self.ending.is_none() {
            self.ending = Some(ending);
            self.retire(ROOT, Why::SystemEnds);
        }
    }
}

#[cfg(test)]
mod tests;

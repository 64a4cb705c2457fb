//! Taking a snapshot: domains come to rest one after the other, until all stand still at one
//! moment; then each copies what it has, and goes on.
//!
//! Nothing is done to a domain that it does not do by itself, between two messages: what is in its
//! channels stays there. One that does not come to rest in time is named, and all others go on as if
//! nothing had been.

mod collect;
mod disks;
mod room;
mod waves;

use std::collections::{BTreeSet, VecDeque};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::{Member, Nucleus};
use crate::control::{Answer, Refusal};
use crate::journal::now_micros;
use crate::snapshot::{DomainFacts, HostFacts, Shot};
use collect::Collector;
use room::Rooms;
use waves::waves;

/// How long those that call each other in a circle wait for each other, before they go on for a
/// while: one may need an answer of another that rests.
const FIRST_TURN: Duration = Duration::from_millis(5);
const LONGEST_TURN: Duration = Duration::from_millis(100);

/// A snapshot that is being taken.
#[derive(Debug)]
pub struct Attempt {
    /// The domain, if it is of one.
    only: Option<String>,
    /// Where room for the copies comes from, until it is there: nobody is asked before.
    ordered: Option<mpsc::Receiver<Rooms>>,
    rooms: Rooms,
    /// All domains that are in it, and their incarnations.
    members: Vec<(usize, u32)>,
    /// Those that are not all at rest. The first ones are asked.
    waves: VecDeque<Vec<usize>>,
    /// When it is given up, and how long that was from the start.
    deadline: Instant,
    given: Duration,
    /// When those of a circle go on for a while, and how long the next turn is.
    turn_ends: Instant,
    turn: Duration,
    answer: Answer<Vec<Vec<u8>>>,
}

impl Attempt {
    /// When the nucleus is to look at it again, whatever happens.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.ordered.is_some() {
            return Some(self.deadline);
        }
        let is_circle = self.waves.front().is_some_and(|wave| wave.len() > 1);
        Some(if is_circle { self.turn_ends.min(self.deadline) } else { self.deadline })
    }

    /// Whether the domains may be asked now: room for the copies has just come.
    fn begins(&mut self) -> bool {
        let now = Instant::now();
        match self.ordered.as_ref().map(mpsc::Receiver::try_recv) {
            None => return false,
            Some(Err(mpsc::TryRecvError::Empty)) if now < self.deadline => return false,
            Some(Ok(rooms)) => self.rooms = rooms,
            // Then each makes its own.
            Some(Err(mpsc::TryRecvError::Empty | mpsc::TryRecvError::Disconnected)) => (),
        }
        self.ordered = None;
        (self.deadline, self.turn_ends) = (now + self.given, now + self.turn);
        true
    }

    fn has(&self, domain: usize) -> bool {
        self.members.iter().any(|(member, _)| *member == domain)
    }

    /// Why it cannot be any more.
    fn hindrance(&self, members: &[Member]) -> Option<Refusal> {
        let changed = |(domain, epoch): &&(usize, u32)| {
            let member = &members[*domain];
            member.may_rest().is_err() || member.epoch() != *epoch
        };
        let member = &members[self.members.iter().find(changed)?.0];
        let why = format!("{} did not run on as it was meanwhile; try again", member.name());
        Some(self.refusal(why))
    }

    fn refusal(&self, why: String) -> Refusal {
        refusal(self.only.as_deref(), why)
    }

    /// A turn of a circle has ended in vain.
    fn next_turn(&mut self, now: Instant) {
        self.turn = (self.turn * 2).min(LONGEST_TURN);
        self.turn_ends = now + self.turn;
    }
}

fn refusal(only: Option<&str>, why: String) -> Refusal {
    let of = only.map_or_else(|| "the system".to_owned(), |domain| format!("`{domain}`"));
    Refusal::NoSnapshot { of, why }
}

impl Nucleus {
    /// Begins to take a snapshot of one domain, or of all.
    pub(super) fn take_snapshot(
        &mut self,
        only: Option<String>,
        given: Duration,
        answer: Answer<Vec<Vec<u8>>>,
    ) {
        match self.attempt(only.as_deref()) {
            Err(refusal) => drop(answer.send(Err(refusal))),
            Ok(members) => {
                let domains: Vec<_> = members.iter().map(|(domain, _)| *domain).collect();
                let waves = waves(&domains, &self.links.calls());
                let now = Instant::now();
                let chosen = domains.iter().map(|&domain| &self.members[domain]);
                self.snapshot = Some(Attempt {
                    only,
                    ordered: Some(room::order(chosen, &self.news)),
                    rooms: Rooms::new(),
                    members,
                    waves: waves.into(),
                    deadline: now + given,
                    given,
                    turn_ends: now + FIRST_TURN,
                    turn: FIRST_TURN,
                    answer,
                });
            }
        }
    }

    /// Who is to be in it.
    fn attempt(&self, only: Option<&str>) -> Result<Vec<(usize, u32)>, Refusal> {
        if self.snapshot.is_some() {
            let why = "another one is being taken; try again when that is there".to_owned();
            return Err(refusal(only, why));
        }
        let names = || self.members.iter().map(Member::name);
        if let Some(name) = only.filter(|name| names().all(|member| member != *name)) {
            return Err(Refusal::no_such_domain(name, names()));
        }
        let is_chosen = |member: &Member| match only {
            Some(name) => member.name() == name,
            None => !self.is_on_disk(member),
        };
        let chosen = self.members.iter().enumerate().filter(|(_, member)| is_chosen(member));
        let chosen: Vec<_> = chosen.collect();
        if let Some(why) = self.nothing_but_disks(&chosen) {
            return Err(refusal(only, why));
        }
        let may_rest = |(domain, member): (usize, &Member)| match member.may_rest() {
            Ok(()) => Ok((domain, member.epoch())),
            Err(why) => Err(refusal(only, format!("{} {why}", member.name()))),
        };
        chosen.into_iter().map(may_rest).collect()
    }

    /// Does what can be done by now.
    pub(super) fn go_on_with_snapshot(&mut self) {
        let Some(attempt) = &mut self.snapshot else { return };
        if let Some(refusal) = attempt.hindrance(&self.members) {
            return self.give_up_snapshot(refusal);
        }
        if attempt.begins() {
            self.ask_wave();
        }
        if self.snapshot.as_ref().is_some_and(|attempt| attempt.ordered.is_some()) {
            return;
        }
        while let Some(wave) = self.snapshot.as_ref().and_then(|attempt| attempt.waves.front()) {
            if !wave.iter().all(|&domain| self.members[domain].is_at_rest()) {
                return self.wait_for_rest();
            }
            let unread = self.with_unread_requests(&wave.clone());
            if !unread.is_empty() {
                return self.let_serve(&unread);
            }
            if let Some(attempt) = &mut self.snapshot {
                attempt.waves.pop_front();
            }
            self.ask_wave();
        }
        if let Some(attempt) = self.snapshot.take() {
            self.shoot(attempt);
        }
    }

    /// Asks those whose turn it is.
    fn ask_wave(&self) {
        let wave = self.snapshot.iter().flat_map(|attempt| attempt.waves.front()).flatten();
        wave.for_each(|&domain| self.members[domain].ask_to_rest());
    }

    /// Those at rest that others, who are at rest, too, have sent something that is not read. It
    /// would be lost: it is neither in the one's memory nor in the other's.
    fn with_unread_requests(&self, wave: &[usize]) -> Vec<usize> {
        let Some(attempt) = &self.snapshot else { return Vec::new() };
        let members: BTreeSet<_> = attempt.members.iter().map(|(domain, _)| *domain).collect();
        let has_unread = |domain: &usize| {
            self.links.has_unread(*domain as u32, |client| members.contains(&(client as usize)))
        };
        wave.iter().copied().filter(has_unread).collect()
    }

    fn let_serve(&mut self, domains: &[usize]) {
        for &domain in domains {
            self.members[domain].end_rest();
            self.members[domain].ask_to_rest();
        }
        self.look_at_deadline();
    }

    fn wait_for_rest(&mut self) {
        let now = Instant::now();
        let Some(attempt) = &mut self.snapshot else { return };
        let wave = attempt.waves.front().cloned().unwrap_or_default();
        if wave.len() > 1 && attempt.turn_ends <= now {
            attempt.next_turn(now);
            let resting = wave.iter().copied().filter(|&domain| self.members[domain].is_at_rest());
            let resting: Vec<_> = resting.collect();
            return self.let_serve(&resting);
        }
        self.look_at_deadline();
    }

    fn look_at_deadline(&mut self) {
        let Some(attempt) = &self.snapshot else { return };
        if Instant::now() < attempt.deadline {
            return;
        }
        let restless = attempt.waves.front().into_iter().flatten();
        let restless = restless.map(|&domain| &self.members[domain]);
        let names: Vec<_> =
            restless.filter(|member| !member.is_at_rest()).map(Member::name).collect();
        let who = if names.is_empty() { "its servers".to_owned() } else { names.join(", ") };
        let given = attempt.given.as_millis();
        let why = format!(
            "{who} did not come to rest in {given} ms: a server does when it waits for a message and \
             owes no answer; try again with a longer --deadline, or when there is less to do"
        );
        self.give_up_snapshot(attempt.refusal(why));
    }

    /// Lets all go on as if nothing had been.
    pub(super) fn give_up_snapshot(&mut self, refusal: Refusal) {
        let Some(attempt) = self.snapshot.take() else { return };
        for (domain, _) in &attempt.members {
            self.members[*domain].end_rest();
        }
        // Who no longer waits for the answer need not have it.
        let _ = attempt.answer.send(Err(refusal));
    }

    /// A domain that came to rest when nobody wanted that any more goes on.
    pub(super) fn settle_rest(&mut self, domain: usize) {
        let is_wanted = self.snapshot.as_ref().is_some_and(|attempt| attempt.has(domain));
        if !is_wanted && self.members[domain].is_at_rest() {
            self.members[domain].end_rest();
        }
    }

    /// All are at rest: has each copy what it has, and go on. The rest is another thread's work.
    fn shoot(&mut self, attempt: Attempt) {
        let facts = |(domain, _): &(usize, u32)| {
            (*domain as u32, DomainFacts::of(self.members[*domain].domain.blueprint()))
        };
        let facts = attempt.members.iter().map(facts).collect();
        let shot = HostFacts::of(&self.kvm).map(|host| Shot {
            host,
            system: self.name.clone(),
            manifest: self.manifest.to_string(),
            is_whole: attempt.only.is_none(),
            on_disks: if attempt.only.is_none() { self.on_disks.clone() } else { Vec::new() },
            taken: now_micros(),
            stood: 0,
            domains: Vec::new(),
        });
        let shot = match shot {
            Ok(shot) => shot,
            Err(error) => {
                let refusal = attempt.refusal(error.to_string());
                self.snapshot = Some(attempt);
                return self.give_up_snapshot(refusal);
            }
        };
        let (send, taken) = mpsc::channel();
        let Attempt { only, answer, members, mut rooms, .. } = attempt;
        for (domain, _) in members {
            let room = rooms.remove(&(domain as u32)).unwrap_or_default();
            self.members[domain].take_checkpoint(room, send.clone());
        }
        Collector { only, facts, taken, shot, journal: self.journal.clone() }.start(answer);
    }
}

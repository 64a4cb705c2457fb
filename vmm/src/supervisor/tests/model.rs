//! What every order must respect, written down once more and independently: an observer that sees
//! all events and all actions, knows nothing of the supervisor's state, and objects.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::{Action, End, Ending, Why};
use crate::exit_code::ExitCode;
use crate::manifest::{Child, Escalation, Restart, RestartFrom, Strategy, Supervision};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Down, and to start.
    Waiting,
    /// Down for a stated reason.
    Resting(Why),
    Launched(RestartFrom),
    Initialising,
    Up,
}

/// What is heard of a domain that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// That it did.
    End(End),
    /// What who hears of its faults decided: that it is to be had again, is to stay down, or that
    /// its group is to give up.
    Replace,
    Hold,
    Escalate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    None,
    Stop { until: Duration },
    Force,
}

/// Domains that must all end before any of them starts.
#[derive(Debug)]
struct Cohort {
    all: BTreeSet<usize>,
    leaving: BTreeSet<usize>,
}

/// The failure that is being answered.
#[derive(Clone, Copy, Debug)]
struct Charge {
    /// The group whose member failed.
    group: usize,
    member: Child,
    /// It counts towards the intensity.
    counted: bool,
    /// The group is told to give up.
    by_hand: bool,
}

pub(super) struct Model {
    supervision: Supervision,
    /// Domains in start order.
    order: Vec<usize>,
    pub(super) states: Vec<State>,
    orders: Vec<Order>,
    launched: Vec<Duration>,
    restarts: Vec<Vec<Duration>>,
    cohorts: Vec<Cohort>,
    charge: Option<Charge>,
    last_end: Vec<Option<End>>,
    ending: Option<ExitCode>,
    pub(super) over: bool,
    pub(super) now: Duration,
}

impl Model {
    pub(super) fn new(supervision: &Supervision) -> Self {
        let count = supervision.domains.len();
        let mut model = Self {
            supervision: supervision.clone(),
            order: Vec::new(),
            states: vec![State::Waiting; count],
            orders: vec![Order::None; count],
            launched: vec![Duration::ZERO; count],
            restarts: vec![Vec::new(); supervision.groups.len()],
            cohorts: Vec::new(),
            charge: None,
            last_end: vec![None; count],
            ending: None,
            over: false,
            now: Duration::ZERO,
        };
        model.order = model.members(Child::Group(0));
        model
    }

    /// The domains in a member of a group, in start order.
    fn members(&self, child: Child) -> Vec<usize> {
        match child {
            Child::Domain(domain) => vec![domain],
            Child::Group(group) => {
                let children = &self.supervision.groups[group].children;
                children.iter().flat_map(|child| self.members(*child)).collect()
            }
        }
    }

    fn place(&self, domain: usize) -> usize {
        self.order.iter().position(|at| *at == domain).unwrap()
    }

    pub(super) fn is_alive(&self, domain: usize) -> bool {
        !matches!(self.states[domain], State::Waiting | State::Resting(_))
    }

    fn leaves(&self, domain: usize) -> bool {
        self.cohorts.iter().any(|cohort| cohort.leaving.contains(&domain))
    }

    fn cohort(&mut self, domains: impl IntoIterator<Item = usize>) {
        let rests = |domain: &usize| matches!(self.states[*domain], State::Resting(_));
        let all: BTreeSet<usize> = domains.into_iter().filter(|domain| !rests(domain)).collect();
        let leaving = all.iter().copied().filter(|domain| self.is_alive(*domain)).collect();
        self.cohorts.push(Cohort { all, leaving });
    }

    // What happens.

    pub(super) fn started(&mut self, domain: usize, announces: bool) {
        let State::Launched(from) = self.states[domain] else { panic!("{domain} was not started") };
        let up = from == RestartFrom::Checkpoint || !announces;
        self.states[domain] = if up { State::Up } else { State::Initialising };
    }

    pub(super) fn ready(&mut self, domain: usize) {
        self.states[domain] = State::Up;
    }

    /// A domain ended, or somebody decided about its end.
    pub(super) fn ended(&mut self, domain: usize, heard: Heard) {
        let left = self.leaves(domain);
        let overdue = self.orders[domain] == Order::Force && !left;
        self.states[domain] = State::Waiting;
        self.orders[domain] = Order::None;
        for cohort in &mut self.cohorts {
            cohort.leaving.remove(&domain);
        }
        self.cohorts.retain(|cohort| !cohort.leaving.is_empty());
        let end = match heard {
            Heard::End(_) if overdue => Some(End::StartTimedOut),
            Heard::End(end) => Some(end),
            Heard::Replace | Heard::Hold | Heard::Escalate => None,
        };
        self.last_end[domain] = end.filter(|_| !left);
        let policy = &self.supervision.domains[domain];
        let fails = match (policy.restart, end) {
            (_, None) => heard != Heard::Hold,
            (Restart::Never, _) | (Restart::OnFault, Some(End::Clean)) => false,
            (Restart::OnFault | Restart::Always, Some(_)) => true,
        };
        if fails && !left {
            let (counted, by_hand) = (end != Some(End::Killed), heard == Heard::Escalate);
            let (group, member) = (policy.group, Child::Domain(domain));
            self.charge = Some(Charge { group, member, counted, by_hand });
        }
    }

    pub(super) fn operator_restarts(&mut self, domain: usize) {
        match self.states[domain] {
            State::Resting(_) => self.states[domain] = State::Waiting,
            _ if self.is_alive(domain) && !self.leaves(domain) => self.cohort([domain]),
            _ => (),
        }
    }

    pub(super) fn system_stops(&mut self) {
        self.end_system(ExitCode::Success);
    }

    fn end_system(&mut self, code: ExitCode) {
        if self.ending.is_none() {
            self.ending = Some(code);
            self.cohort(self.order.clone());
        }
    }

    // What is said.

    pub(super) fn check(&mut self, action: &Action) {
        assert!(!self.over, "{action:?} after the end");
        match *action {
            Action::Start { domain, from } => self.check_start(domain, from),
            Action::Stop { domain, within } => self.check_stop(domain, within),
            Action::Force { domain } => self.check_force(domain),
            Action::StayDown { domain, why } => self.check_rest(domain, why),
            Action::Pause { pause, .. } => assert!(!pause.is_zero()),
            Action::GroupRestarts { group } => self.check_restart(group),
            Action::GroupGivesUp { group } => self.check_giving_up(group),
            Action::EndSystem { code, ref why } => {
                assert!((0..self.states.len()).all(|domain| !self.is_alive(domain)));
                assert_eq!(Some(code), self.ending, "{why}");
                assert_eq!(*why == Ending::GaveUp, code == ExitCode::GaveUp);
                self.over = true;
            }
        }
    }

    /// All that was said about an event was seen.
    pub(super) fn answered(&mut self) {
        if let Some(Charge { group, counted: true, .. }) = self.charge.take() {
            self.restarts[group].push(self.now);
            let most = self.supervision.groups[group].intensity as usize;
            assert!(self.recent(group) <= most, "group {group} was restarted too often");
        }
    }

    fn recent(&self, group: usize) -> usize {
        let period = self.supervision.groups[group].period;
        self.restarts[group].iter().filter(|at| self.now - **at <= period).count()
    }

    fn settled(&self, domain: usize) -> bool {
        match self.states[domain] {
            State::Up => self.orders[domain] == Order::None && !self.leaves(domain),
            State::Resting(_) => true,
            _ => false,
        }
    }

    fn check_start(&mut self, domain: usize, from: RestartFrom) {
        assert_eq!(self.states[domain], State::Waiting, "{domain} starts");
        assert_eq!(self.orders[domain], Order::None);
        assert_eq!(self.ending, None);
        let free = |cohort: &Cohort| !cohort.all.contains(&domain) || cohort.leaving.is_empty();
        assert!(self.cohorts.iter().all(free), "{domain} starts before others have ended");
        for first in &self.supervision.domains[domain].after {
            assert!(self.settled(*first), "{domain} starts before {first}");
        }
        let mut member = Child::Domain(domain);
        let mut group = Some(self.supervision.domains[domain].group);
        while let Some(at) = group {
            let spec = &self.supervision.groups[at];
            let before = spec.children.iter().take_while(|child| **child != member);
            if spec.strategy == Strategy::RestForOne {
                for first in before.flat_map(|child| self.members(*child)) {
                    assert!(self.settled(first), "{domain} starts before {first}");
                }
            }
            (member, group) = (Child::Group(at), spec.parent);
        }
        self.states[domain] = State::Launched(from);
        self.launched[domain] = self.now;
    }

    fn check_turn(&self, domain: usize) {
        assert!(self.leaves(domain), "{domain} is ended for no reason");
        for cohort in self.cohorts.iter().filter(|cohort| cohort.leaving.contains(&domain)) {
            let later = |other: &&usize| self.place(**other) > self.place(domain);
            let later = cohort.leaving.iter().find(later);
            assert_eq!(later, None, "{domain} ends before one that started later");
        }
    }

    fn check_stop(&mut self, domain: usize, within: Duration) {
        assert_eq!((self.states[domain], self.orders[domain]), (State::Up, Order::None));
        self.check_turn(domain);
        self.orders[domain] = Order::Stop { until: self.now + within };
    }

    fn check_force(&mut self, domain: usize) {
        let deadline = self.launched[domain] + self.supervision.domains[domain].start_deadline;
        match (self.states[domain], self.orders[domain]) {
            (State::Up, Order::Stop { until }) => assert!(until <= self.now, "in time still"),
            (State::Initialising, Order::None) if self.leaves(domain) => self.check_turn(domain),
            (State::Launched(_) | State::Initialising, Order::None) => {
                assert!(deadline <= self.now, "{domain} has time still");
                if self.leaves(domain) {
                    self.check_turn(domain);
                }
            }
            other => panic!("{domain} is forced while {other:?}"),
        }
        self.orders[domain] = Order::Force;
    }

    fn check_rest(&mut self, domain: usize, why: Why) {
        assert_eq!(self.states[domain], State::Waiting, "{domain} rests: {why}");
        let restart = self.supervision.domains[domain].restart;
        match why {
            Why::Finished => assert_eq!(self.last_end[domain], Some(End::Clean)),
            Why::Never => {
                assert_eq!(restart, Restart::Never);
                assert!(self.last_end[domain].is_some_and(|end| end != End::Clean));
            }
            Why::Sibling => assert_eq!(restart, Restart::Never),
            Why::SystemEnds => assert!(self.ending.is_some()),
            Why::Held => assert_eq!(self.last_end[domain], None),
            Why::GroupGaveUp => {
                let gave_up = self.supervision.groups.iter().enumerate();
                let mut gave_up = gave_up.filter(|(_, g)| g.escalation == Escalation::StayDown);
                assert!(gave_up.any(|(at, _)| self.members(Child::Group(at)).contains(&domain)));
            }
        }
        self.states[domain] = State::Resting(why);
        // If an operator brings it back, that is no part of what its group goes through.
        for cohort in &mut self.cohorts {
            cohort.all.remove(&domain);
        }
    }

    fn check_restart(&mut self, group: usize) {
        let charge = self.charge.expect("a group restarts for no reason");
        assert_eq!(charge.group, group);
        let failed = self.members(charge.member);
        let spec = &self.supervision.groups[group];
        let range: Vec<usize> = match spec.strategy {
            Strategy::OneForOne => failed,
            Strategy::OneForAll => self.members(Child::Group(group)),
            Strategy::RestForOne => {
                let later = spec.children.iter().skip_while(|child| **child != charge.member);
                later.flat_map(|child| self.members(*child)).collect()
            }
        };
        for inner in 0..self.restarts.len() {
            let members = self.members(Child::Group(inner));
            let child = self.supervision.groups[inner].parent.is_some() && inner != group;
            if child && self.is_within(inner, group) && members.iter().all(|d| range.contains(d)) {
                self.restarts[inner].clear();
            }
        }
        let again = |domain: &usize| {
            let policy = &self.supervision.domains[*domain];
            let rests = matches!(self.states[*domain], State::Resting(_));
            !(rests && policy.restart == Restart::Never && policy.group == group)
        };
        let range: Vec<usize> = range.into_iter().filter(again).collect();
        for domain in &range {
            if !self.is_alive(*domain) {
                self.states[*domain] = State::Waiting;
            }
        }
        self.cohort(range);
    }

    fn is_within(&self, inner: usize, outer: usize) -> bool {
        let parent = self.supervision.groups[inner].parent;
        parent.is_some_and(|parent| parent == outer || self.is_within(parent, outer))
    }

    fn check_giving_up(&mut self, group: usize) {
        let mut charge = self.charge.take().expect("a group gives up for no reason");
        assert_eq!(charge.group, group);
        let spec = &self.supervision.groups[group];
        if !charge.by_hand {
            assert!(charge.counted);
            assert_eq!(self.recent(group), spec.intensity as usize, "group {group} gives up early");
        }
        self.restarts[group].clear();
        match (spec.escalation, spec.parent) {
            (Escalation::StayDown, _) => self.cohort(self.members(Child::Group(group))),
            (Escalation::Parent, None) => self.end_system(ExitCode::GaveUp),
            (Escalation::Parent, Some(parent)) => {
                charge = Charge {
                    group: parent,
                    member: Child::Group(group),
                    counted: true,
                    by_hand: false,
                };
                self.charge = Some(charge);
            }
        }
    }

    /// Nothing will happen any more: every domain is up, or down for a stated reason.
    pub(super) fn check_quiet(&self) {
        assert_eq!(self.ending.is_some(), self.over, "the system ends, or goes on");
        for (domain, state) in self.states.iter().enumerate() {
            match state {
                State::Up => assert!(self.settled(domain) && !self.over),
                State::Resting(_) => (),
                other => panic!("{domain} was lost: {other:?}"),
            }
        }
    }
}

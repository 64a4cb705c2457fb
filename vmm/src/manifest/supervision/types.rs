//! Supervision as a manifest asks for it, checked: a tree of groups, and a policy for each domain.

use std::time::Duration;

use indexmap::IndexMap;

use super::super::name::{DomainName, GroupName, PortName};
use super::super::source::Span;
use super::super::types::{PortRef, Restart};

/// All that supervision needs to know of a system.
#[derive(Clone, Debug)]
pub struct Supervision {
    /// The groups. The first is the root, which all others are in.
    pub groups: Vec<Group>,
    /// What each domain is to have, by the domain's number: its place in the file.
    pub domains: Vec<Policy>,
    /// How long the built-in policy waits for a domain that is asked about a fault.
    pub bailout_deadline: Duration,
    /// Ports that the images must declare, with the places that name them.
    pub(in super::super) named_ports: Vec<NamedPort>,
}

impl Supervision {
    /// Ports to which faults are reported, each once, with a place that names it.
    pub(in super::super) fn bailouts(&self) -> impl Iterator<Item = &NamedPort> {
        let named = self.named_ports.iter().enumerate().filter(|(_, named)| named.bailout);
        let is_first = |(at, named): &(usize, &NamedPort)| {
            let mut before = self.named_ports[..*at].iter();
            !before.any(|other| other.bailout && other.port == named.port)
        };
        named.filter(is_first).map(|(_, named)| named)
    }
}

/// A port that something other than a channel or a gateway names.
#[derive(Clone, Debug)]
pub(in super::super) struct NamedPort {
    pub(in super::super) port: PortRef,
    pub(in super::super) span: Span,
    /// Faults are to arrive there as messages.
    pub(in super::super) bailout: bool,
}

/// A group: domains and groups that share a strategy and a limit.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its name; the root has none.
    pub name: Option<GroupName>,
    /// The group that it is in; only the root is in none.
    pub parent: Option<usize>,
    /// Who is restarted with whom.
    pub strategy: Strategy,
    /// Most restarts within `period`; with one more the group gives up.
    pub intensity: u32,
    /// The time in which restarts are counted.
    pub period: Duration,
    /// What follows when it gives up.
    pub escalation: Escalation,
    /// What is in it, in the order in which it starts.
    pub children: Vec<Child>,
}

impl Group {
    /// Default of `intensity`. A crash loop of one domain is slowed down long before: with the
    /// default backoff it makes fewer than 20 restarts within the default period. 100 are reached
    /// when several members fail together, or when one keeps failing after it has run for
    /// a while, and then restarts of single domains have not helped. (OTP's default, 1 in 5 s,
    /// is for restarts that cost more than these do.)
    pub const INTENSITY: u32 = 100;
    /// Default of `period`: OTP's.
    pub const PERIOD: Duration = Duration::from_secs(5);
    /// Largest intensity: each restart within the period is remembered.
    pub const INTENSITY_MAX: u32 = 1_000_000;

    /// Its name in messages.
    pub fn title(&self) -> &str {
        self.name.as_ref().map_or(ROOT, GroupName::as_str)
    }
}

/// What the root is called in messages; no other group may have that name.
pub(super) const ROOT: &str = "root";

/// A member of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Child {
    /// A domain, by number.
    Domain(usize),
    /// A group, by its place in [`Supervision::groups`].
    Group(usize),
}

/// Who is restarted with a member that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// Nobody.
    #[default]
    OneForOne,
    /// All other members.
    OneForAll,
    /// The members that start after it.
    RestForOne,
}

impl Strategy {
    /// Every strategy, as written.
    pub(super) const WORDS: [(&'static str, Self); 3] = [
        ("one-for-one", Self::OneForOne),
        ("one-for-all", Self::OneForAll),
        ("rest-for-one", Self::RestForOne),
    ];
}

/// What follows when a group gives up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Escalation {
    /// The group has failed as a member of its parent; if it is the root, the system ends.
    #[default]
    Parent,
    /// Its domains stay down; nobody else is concerned.
    StayDown,
}

impl Escalation {
    /// Every escalation, as written.
    pub(super) const WORDS: [(&'static str, Self); 2] =
        [("parent", Self::Parent), ("stay-down", Self::StayDown)];
}

/// Where an incarnation begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RestartFrom {
    /// Where the server said that it was ready.
    #[default]
    Checkpoint,
    /// At its entry, with memory as the image has it.
    Image,
}

impl RestartFrom {
    /// Every beginning, as written.
    pub(super) const WORDS: [(&'static str, Self); 2] =
        [("checkpoint", Self::Checkpoint), ("image", Self::Image)];
}

/// How a domain is cared for.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The domain.
    pub domain: DomainName,
    /// The group that it is in.
    pub group: usize,
    /// What follows the end of an incarnation.
    pub restart: Restart,
    /// Where a restart begins.
    pub restart_from: RestartFrom,
    /// How a crash loop is slowed down.
    pub backoff: Backoff,
    /// Time from the order to start until it is up.
    pub start_deadline: Duration,
    /// Time from the order to stop until it is forced.
    pub stop_deadline: Duration,
    /// Time without progress that counts as a hang; none is looked for when absent.
    pub watchdog: Option<Duration>,
    /// Domains that must be up before it starts, by number.
    pub after: Vec<usize>,
    /// Who hears of its faults: as its own table says, or that of the nearest group that does.
    pub bailout: Option<PortRef>,
    /// The fate of requests, for ports that have a table.
    pub ports: IndexMap<PortName, PortPolicy>,
}

impl Policy {
    /// Default of `start-deadline`.
    pub const START_DEADLINE: Duration = Duration::from_secs(10);
    /// Default of `stop-deadline`: that of OTP's workers.
    pub const STOP_DEADLINE: Duration = Duration::from_secs(5);
    /// Default of `bailout-deadline`: a domain that decides does so at once, or not at all.
    pub const BAILOUT_DEADLINE: Duration = Duration::from_millis(100);
}

/// How a crash loop is slowed down: pauses that grow, so that it costs the others little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first pause; each further one is twice as long.
    pub first: Duration,
    /// The longest pause.
    pub cap: Duration,
    /// Quick failures in a row that are answered without a pause.
    pub free: u32,
}

impl Backoff {
    /// Most free tries.
    pub const FREE_MAX: u32 = 1000;
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(10), cap: Duration::from_secs(1), free: 3 }
    }
}

/// What becomes of requests to a port whose server ends before it has answered them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortPolicy {
    /// The fate of a request in service.
    pub on_crash: OnCrash,
}

/// The fate of a request in service when its server ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnCrash {
    /// Its caller is told that the server was restarted.
    #[default]
    Fail,
    /// The next incarnation gets it.
    Redeliver {
        /// Crashes of the server over one request after which it is poison and is put aside.
        poison_after: u32,
    },
}

impl OnCrash {
    /// Default of `poison-after`.
    pub const POISON_AFTER: u32 = 3;
    /// Largest `poison-after`.
    pub const POISON_AFTER_MAX: u32 = 1000;
    /// Every fate, as written.
    pub(super) const WORDS: [(&'static str, Self); 2] =
        [("fail", Self::Fail), ("redeliver", Self::Redeliver { poison_after: Self::POISON_AFTER })];
}

//! The rules of supervision, each as the message for who broke it.

use std::time::Duration;

use thiserror::Error;

use super::super::error::hint;
use super::duration::{DurationError, written};
use super::types::{Backoff, Group, OnCrash, ROOT};

/// A rule about groups, restarts, deadlines or bailouts.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SupervisionRule {
    /// A word that is none of a few.
    #[error("`{key}` is `{value}`; {}", hint(.nearest, "use", .known))]
    Word {
        /// The key.
        key: &'static str,
        /// As written.
        value: String,
        /// The word that it is most like.
        nearest: Option<String>,
        /// All that there are.
        known: Vec<String>,
    },
    /// Not a length of time.
    #[error("`{key}`: {error}")]
    Duration {
        /// The key.
        key: &'static str,
        /// The rule for such lengths.
        error: DurationError,
    },
    /// No limit of restarts.
    #[error(
        "`intensity` is {value}; use 1 to {max}, or give the domains `restart = \"never\"` if \
         none is to be restarted",
        max = Group::INTENSITY_MAX
    )]
    Intensity {
        /// As written.
        value: String,
    },
    /// No number of free tries.
    #[error("`backoff-free` is {value}; use 0 to {max}", max = Backoff::FREE_MAX)]
    BackoffFree {
        /// As written.
        value: String,
    },
    /// Pauses that begin above their limit.
    #[error(
        "`backoff-first` is {first}, above `backoff-cap`, which is {cap}; lower `backoff-first` or \
         raise `backoff-cap`",
        first = written(*.first),
        cap = written(*.cap)
    )]
    BackoffCap {
        /// The first pause.
        first: Duration,
        /// The longest pause.
        cap: Duration,
    },
    /// A name that the implicit group has.
    #[error("`{ROOT}` is the group that all others are in; set it in `[supervision]`")]
    RootGroup,
    /// A group that the manifest does not have.
    #[error(
        "`{key}` names group `{group}`, which this manifest does not have; {}",
        hint(.nearest, "it has", .known)
    )]
    UnknownGroup {
        /// The key.
        key: &'static str,
        /// The group.
        group: String,
        /// The group that it is most like.
        nearest: Option<String>,
        /// All that there are.
        known: Vec<String>,
    },
    /// A group that is in itself.
    #[error(
        "group `{}` is in itself: {}; give one of them another `parent`",
        .path.first().map_or("", String::as_str),
        .path.join(" in ")
    )]
    GroupCycle {
        /// From the group to itself, each in the next.
        path: Vec<String>,
    },
    /// A group with nothing in it.
    #[error(
        "group `{group}` has no members; give a domain `group = \"{group}\"`, or remove the group"
    )]
    EmptyGroup {
        /// The group.
        group: String,
    },
    /// A domain that would wait for itself.
    #[error("`after` of domain `{domain}` names the domain itself; remove it")]
    AfterSelf {
        /// The domain.
        domain: String,
    },
    /// One domain twice.
    #[error("`after` names domain `{domain}` twice; name each domain once")]
    AfterTwice {
        /// The domain.
        domain: String,
    },
    /// Domains that wait for each other.
    #[error(
        "domain `{}` waits for itself: {}; remove one of these from `after`",
        .path.first().map_or("", String::as_str),
        .path.join(" after ")
    )]
    AfterCycle {
        /// From the domain to itself, each after the next.
        path: Vec<String>,
    },
    /// Members of a group that would each have to start before the other.
    #[error(
        "members of group `{group}` cannot be put in order: {}, by `after` of their domains; \
         a group starts as a whole, so split one of them, or remove one `after`",
        .path.join(" after ")
    )]
    OrderCycle {
        /// The group.
        group: String,
        /// From a member to itself, each after the next.
        path: Vec<String>,
    },
    /// A domain that would hear of its own faults.
    #[error(
        "`bailout` of domain `{domain}` is a port of the domain itself, which cannot answer when \
         it has failed; name a port of another domain, or remove `bailout`"
    )]
    BailoutSelf {
        /// The domain.
        domain: String,
    },
    /// Domains that would each hear of the other's faults.
    #[error(
        "domain `{}` would supervise itself: {}; give one of them no `bailout`, or that of another \
         domain",
        .path.first().map_or("", String::as_str),
        .path.join(" reports to ")
    )]
    BailoutCycle {
        /// From the domain to itself, each reporting to the next.
        path: Vec<String>,
    },
    /// A bailout port for byte streams.
    #[error(
        "port `{port}` carries byte streams, but faults are messages; name a port for messages"
    )]
    BailoutKind {
        /// The port, with its domain.
        port: String,
    },
    /// A bailout port on which something else is spoken.
    #[error(
        "port `{port}` speaks {speaks}, but faults are reported in {wanted}; name a port that its \
         server declares with `speaks Bailout`, and build the image anew if it does"
    )]
    BailoutInterface {
        /// The port, with its domain.
        port: String,
        /// What is spoken there.
        speaks: String,
        /// What must be.
        wanted: String,
    },
    /// A channel with the name that the nucleus gives its own.
    #[error(
        "domain `{domain}` hears of faults, so `{alias}` is its channel to the nucleus; give this \
         one another name with `as`"
    )]
    BailoutAlias {
        /// The domain.
        domain: String,
        /// The name.
        alias: &'static str,
    },
    /// Requests of a stream port that are to be delivered again.
    #[error(
        "port `{port}` carries byte streams, whose requests cannot be delivered again: a gateway \
         tells the next incarnation to answer each with an error instead; remove \
         `on-crash = \"redeliver\"`"
    )]
    RedeliverKind {
        /// The port, with its domain.
        port: String,
    },
    /// No number of crashes.
    #[error("`poison-after` is {value}; use 1 to {max}", max = OnCrash::POISON_AFTER_MAX)]
    PoisonAfter {
        /// As written.
        value: String,
    },
    /// A limit of deliveries where each request is delivered once.
    #[error(
        "`poison-after` limits how often a request is delivered again, but `on-crash` is `fail`; \
         add `on-crash = \"redeliver\"` or remove `poison-after`"
    )]
    PoisonWithoutRedelivery,
}

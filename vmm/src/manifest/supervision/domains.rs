//! Reading what `[domains.NAME]` says of supervision, and `[domains.NAME.ports.PORT]`.

use indexmap::IndexMap;
use toml::Spanned;
use toml::de::DeValue;

use super::super::domain::name;
use super::super::name::{DomainName, PortName};
use super::super::refs;
use super::super::source::Span;
use super::super::table::{Found, Problems, Table, in_order, wrong_type};
use super::super::types::{Domain, PortRef, Restart};
use super::duration::duration;
use super::error::SupervisionRule;
use super::groups::{self, one_of};
use super::types::{Backoff, NamedPort, OnCrash, Policy, PortPolicy, RestartFrom};

/// Keys of `[domains.NAME.ports.PORT]`.
pub(in super::super) const PORT_KEYS: [&str; 2] = ["on-crash", "poison-after"];

/// What is known when domains are read.
#[derive(Debug)]
pub(super) struct Known<'k, 'a> {
    pub(super) groups: &'k [groups::Written<'a>],
    pub(super) names: &'k [DomainName],
    /// Those that are in order otherwise.
    pub(super) domains: &'k IndexMap<DomainName, Domain>,
}

impl Known<'_, '_> {
    fn restart(&self, name: &DomainName) -> Restart {
        self.domains.get(name).map(|domain| domain.restart).unwrap_or_default()
    }
}

/// A domain as it is written, and where.
#[derive(Debug)]
pub(super) struct Written<'a> {
    pub(super) policy: Policy,
    pub(super) bailout: Option<Found<&'a str>>,
    /// Where the domain's table begins.
    pub(super) at: Span,
    /// The places of `policy.after`.
    pub(super) after: Vec<Span>,
    /// The ports that have a table.
    pub(super) ports: Vec<NamedPort>,
}

/// `number` is the domain's place among the known ones; its table is in order otherwise, or
/// that was noted.
pub(super) fn domain<'a>(
    known: &Known<'_, 'a>,
    number: usize,
    at: Span,
    value: &'a Spanned<DeValue<'a>>,
    problems: &mut Problems,
) -> Option<Written<'a>> {
    let domain = known.names[number];
    let table = Table::again((value.get_ref().as_table()?, value.span()));
    let group = table.text("group", problems);
    let group = group.and_then(|text| groups::find(known.groups, "group", &text, problems));
    let (after, spans) = after(&table, known, number, problems).into_iter().unzip();
    let start = duration(&table, "start-deadline", "10 s", problems);
    let stop = duration(&table, "stop-deadline", "5 s", problems);
    let watchdog = duration(&table, "watchdog", "500 ms", problems);
    let (ports, named) = ports(&table, domain, problems).into_iter().unzip();
    let policy = Policy {
        domain,
        group: group.unwrap_or(0),
        restart: known.restart(&domain),
        restart_from: one_of(&table, "restart-from", &RestartFrom::WORDS, problems),
        backoff: backoff(&table, problems),
        start_deadline: start.map_or(Policy::START_DEADLINE, |found| found.value),
        stop_deadline: stop.map_or(Policy::STOP_DEADLINE, |found| found.value),
        watchdog: watchdog.map(|found| found.value),
        after,
        bailout: None,
        ports,
    };
    let bailout = table.text("bailout", problems);
    Some(Written { policy, bailout, at, after: spans, ports: named })
}

fn after(
    table: &Table<'_>,
    known: &Known<'_, '_>,
    number: usize,
    problems: &mut Problems,
) -> Vec<(usize, Span)> {
    let mut after: Vec<(usize, Span)> = Vec::new();
    let array = table.array("after", "an array of domains", problems);
    for (index, value) in array.iter().flat_map(|array| array.value).enumerate() {
        let Some(text) = value.get_ref().as_str() else {
            wrong_type(&format!("after[{index}]"), value, "a domain's name", problems);
            continue;
        };
        let text = Found { value: text, span: value.span() };
        let Some(found) = refs::domain(known.names, "after", &text, problems) else { continue };
        let other = known.names.iter().position(|name| *name == found).unwrap_or(number);
        let domain = found.to_string();
        if other == number {
            problems.at(&text.span, SupervisionRule::AfterSelf { domain }.into());
        } else if after.iter().any(|(first, _)| *first == other) {
            problems.at(&text.span, SupervisionRule::AfterTwice { domain }.into());
        } else {
            after.push((other, text.span));
        }
    }
    after
}

fn backoff(table: &Table<'_>, problems: &mut Problems) -> Backoff {
    let usual = Backoff::default();
    let first = duration(table, "backoff-first", "10 ms", problems);
    let cap = duration(table, "backoff-cap", "1 s", problems);
    let free = table.integer("backoff-free", problems).map_or(usual.free, |found| {
        let free = found.value.small().filter(|free| *free <= Backoff::FREE_MAX);
        free.unwrap_or_else(|| {
            let rule = SupervisionRule::BackoffFree { value: found.value.written };
            problems.at(&found.span, rule.into());
            usual.free
        })
    });
    let at = first.as_ref().or(cap.as_ref()).map(|found| found.span.clone());
    let backoff = Backoff {
        first: first.map_or(usual.first, |found| found.value),
        cap: cap.map_or(usual.cap, |found| found.value),
        free,
    };
    if let Some(at) = at.filter(|_| backoff.first > backoff.cap) {
        let rule = SupervisionRule::BackoffCap { first: backoff.first, cap: backoff.cap };
        problems.at(&at, rule.into());
    }
    backoff
}

type Port = ((PortName, PortPolicy), NamedPort);

fn ports(table: &Table<'_>, domain: DomainName, problems: &mut Problems) -> Vec<Port> {
    let Some(value) = table.get("ports") else { return Vec::new() };
    let Some(tables) = value.get_ref().as_table() else {
        let expected = format!("tables, each headed `[domains.{domain}.ports.PORT]`");
        wrong_type("ports", value, &expected, problems);
        return Vec::new();
    };
    let mut ports = Vec::new();
    for (key, value) in in_order(tables) {
        let text = Found { value: key.get_ref().as_ref(), span: key.span() };
        let Some(port) = name::<PortName>("ports", &text, problems) else { continue };
        let Some(entries) = value.get_ref().as_table() else {
            wrong_type(&format!("ports.{port}"), value, "a table", problems);
            continue;
        };
        let title = format!("`[domains.{domain}.ports.{port}]`");
        let table = Table::open((entries, value.span()), &title, &PORT_KEYS, problems);
        let named = PortRef { domain, port };
        let named = NamedPort { port: named, span: text.span, bailout: false };
        ports.push(((port, port_policy(&table, problems)), named));
    }
    ports
}

fn port_policy(table: &Table<'_>, problems: &mut Problems) -> PortPolicy {
    let mut on_crash = one_of(table, "on-crash", &OnCrash::WORDS, problems);
    if let Some(found) = table.integer("poison-after", problems) {
        let limit = found.value.small().filter(|n| (1..=OnCrash::POISON_AFTER_MAX).contains(n));
        match (&mut on_crash, limit) {
            (_, None) => {
                let rule = SupervisionRule::PoisonAfter { value: found.value.written };
                problems.at(&found.span, rule.into());
            }
            (OnCrash::Fail, Some(_)) => {
                problems.at(&found.span, SupervisionRule::PoisonWithoutRedelivery.into());
            }
            (OnCrash::Redeliver { poison_after }, Some(limit)) => *poison_after = limit,
        }
    }
    PortPolicy { on_crash }
}

//! Who hears of whose faults: a domain's own `bailout`, else that of the nearest group that
//! names one of another domain.

use super::super::name::DomainName;
use super::super::refs;
use super::super::source::Span;
use super::super::table::{Found, Problems};
use super::super::types::PortRef;
use super::domains;
use super::error::SupervisionRule;
use super::groups;
use super::ring::ring;
use super::types::NamedPort;

type Bailout = Option<(PortRef, Span)>;

/// Gives each domain its bailout port, and returns all that are named.
pub(super) fn assign(
    groups: &[groups::Written<'_>],
    domains: &mut [domains::Written<'_>],
    names: &[DomainName],
    problems: &mut Problems,
) -> Vec<NamedPort> {
    let port = |text: &Option<Found<&str>>, problems: &mut Problems| -> Bailout {
        let text = text.as_ref()?;
        let port = refs::port(names, "bailout", "bailout:faults", text, problems)?;
        Some((port, text.span.clone()))
    };
    let of_groups: Vec<Bailout> = groups.iter().map(|g| port(&g.bailout, problems)).collect();
    let own: Vec<Bailout> = domains.iter().map(|d| port(&d.bailout, problems)).collect();
    let mut assigned: Vec<Bailout> = Vec::with_capacity(domains.len());
    for (written, own) in domains.iter().zip(&own) {
        let domain = written.policy.domain;
        if let Some((_, span)) = own.as_ref().filter(|(port, _)| port.domain == domain) {
            let domain = domain.to_string();
            problems.at(span, SupervisionRule::BailoutSelf { domain }.into());
        }
        let inherited = || inherited(groups, &of_groups, written);
        assigned.push(own.clone().or_else(inherited).filter(|(port, _)| port.domain != domain));
    }
    refuse_cycles(&assigned, domains, problems);
    for (written, bailout) in domains.iter_mut().zip(&assigned) {
        written.policy.bailout = bailout.as_ref().map(|(port, _)| *port);
    }
    let named = of_groups.into_iter().chain(own).flatten();
    named.map(|(port, span)| NamedPort { port, span, bailout: true }).collect()
}

/// What the groups that a domain is in say, from the inside; a group's bailout may be in that
/// group, and is itself cared for from further out.
fn inherited(
    groups: &[groups::Written<'_>],
    of_groups: &[Bailout],
    written: &domains::Written<'_>,
) -> Bailout {
    let mut at = Some(written.policy.group);
    while let Some(group) = at {
        let bailout = of_groups[group].as_ref();
        if let Some(bailout) = bailout.filter(|(port, _)| port.domain != written.policy.domain) {
            return Some(bailout.clone());
        }
        at = groups[group].group.parent;
    }
    None
}

/// Whether domains report to each other in a ring; the first one found is noted.
fn refuse_cycles(assigned: &[Bailout], domains: &[domains::Written<'_>], problems: &mut Problems) {
    let next = |at: usize| {
        let bailout = assigned[at].as_ref();
        let to = |port: &PortRef| domains.iter().position(|d| d.policy.domain == port.domain);
        bailout.and_then(|(port, _)| to(port)).into_iter().collect()
    };
    let Some(path) = ring(0..domains.len(), next) else { return };
    let span = assigned[path[0]].as_ref().map_or(0..0, |(_, span)| span.clone());
    let path = path.iter().map(|number| domains[*number].policy.domain.to_string()).collect();
    problems.at(&span, SupervisionRule::BailoutCycle { path }.into());
}

//! From the tables of a manifest to its [`Supervision`].

use indexmap::IndexMap;

use super::super::name::DomainName;
use super::super::table::{Problems, Table, in_order};
use super::super::types::Domain;
use super::types::Supervision;
use super::{bailout, domains, groups, order};

/// All that the manifest says of supervision. `names` are its domains, in the order of the
/// file, and `read` those whose other keys are in order.
pub(in super::super) fn supervision(
    system: &Table<'_>,
    names: &[DomainName],
    read: &IndexMap<DomainName, Domain>,
    problems: &mut Problems,
) -> Supervision {
    let (mut groups, bailout_deadline) = groups::groups(system, problems);
    let known = domains::Known { groups: &groups, names, domains: read };
    let mut domains = Vec::with_capacity(names.len());
    let tables = system.get("domains").and_then(|value| value.get_ref().as_table());
    for (key, value) in tables.map(in_order).unwrap_or_default() {
        let number = names.iter().position(|name| name.as_str() == key.get_ref().as_ref());
        let written = number.and_then(|n| domains::domain(&known, n, key.span(), value, problems));
        domains.extend(written);
    }
    // Numbers mean places, so nothing more can be said while a domain is missing.
    let mut named_ports = Vec::new();
    if domains.len() == names.len() {
        order::put_in_order(&mut groups, &domains, problems);
        named_ports = bailout::assign(&groups, &mut domains, names, problems);
    }
    named_ports.extend(domains.iter_mut().flat_map(|written| std::mem::take(&mut written.ports)));
    named_ports.sort_by_key(|named| named.span.start);
    Supervision {
        groups: groups.into_iter().map(|written| written.group).collect(),
        domains: domains.into_iter().map(|written| written.policy).collect(),
        bailout_deadline,
        named_ports,
    }
}

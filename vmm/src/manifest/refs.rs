//! Text that names a domain of the manifest, or a domain's port.

use crate::journal::printable;

use super::domain::name;
use super::error::Rule;
use super::name::DomainName;
use super::nearest::nearest;
use super::table::{Found, Problems};
use super::types::PortRef;

/// The domain that a text names; `None` only if a problem was noted.
pub(super) fn domain(
    known: &[DomainName],
    key: &str,
    text: &Found<&str>,
    problems: &mut Problems,
) -> Option<DomainName> {
    let found = known.iter().find(|name| name.as_str() == text.value);
    if found.is_none() {
        let names = || known.iter().map(DomainName::as_str);
        let rule = Rule::UnknownDomain {
            key: key.to_owned(),
            domain: printable(text.value),
            nearest: nearest(text.value, names()).map(str::to_owned),
            known: names().map(str::to_owned).collect(),
        };
        problems.at(&text.span, rule);
    }
    found.copied()
}

/// The port that a text such as `kv:redis` names; `None` only if a problem was noted.
pub(super) fn port(
    known: &[DomainName],
    key: &str,
    example: &str,
    text: &Found<&str>,
    problems: &mut Problems,
) -> Option<PortRef> {
    let Some((server, port)) = text.value.split_once(':') else {
        let (key, value) = (key.to_owned(), printable(text.value));
        problems.at(&text.span, Rule::PortRef { key, value, example: example.to_owned() });
        return None;
    };
    let part = |value| Found { value, span: text.span.clone() };
    let server = domain(known, key, &part(server), problems);
    let port = name(key, &part(port), problems);
    Some(PortRef { domain: server?, port: port? })
}

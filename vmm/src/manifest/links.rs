//! Reading `[[channels]]` and `[[gateways]]`: what leads from one place to a domain's port.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::PathBuf;

use atoll_ipc::abi::CHANNELS_MAX;
use atoll_ipc::bailout::SUSPENDED;
use toml::de::DeTable;

use crate::journal::printable;

use super::areas;
use super::domain::name;
use super::error::Rule;
use super::name::{DomainName, PortName};
use super::refs;
use super::source::Span;
use super::supervision::{NamedPort, Supervision, SupervisionRule};
use super::table::{Found, Problems, Table};
use super::types::{Channel, Gateway, Listen, MaxConnections};

pub(super) const CHANNEL_KEYS: [&str; 5] = ["from", "as", "to", "ring", "buffers"];
pub(super) const GATEWAY_KEYS: [&str; 3] = ["listen", "to", "max-connections"];

/// Longest path of a Unix socket: the kernel's address holds 108 bytes, one of them the end.
const SOCKET_PATH_MAX: usize = 107;

/// What the links read so far have taken.
#[derive(Debug)]
pub(super) struct Links<'a> {
    domains: &'a [DomainName],
    aliases: HashMap<(DomainName, PortName), Span>,
    listens: HashMap<Listen, Span>,
    counts: HashMap<DomainName, u32>,
}

impl<'a> Links<'a> {
    pub(super) fn new(domains: &'a [DomainName]) -> Self {
        Self { domains, aliases: HashMap::new(), listens: HashMap::new(), counts: HashMap::new() }
    }

    /// `None` only if a problem was noted.
    pub(super) fn channel(
        &mut self,
        entries: (&DeTable<'_>, Span),
        problems: &mut Problems,
    ) -> Option<Channel> {
        let table = Table::open(entries, "`[[channels]]`", &CHANNEL_KEYS, problems);
        let from = table.required("from", "from = \"DOMAIN\"", problems);
        let from = from.and_then(|text| {
            Some((refs::domain(self.domains, "from", &text, problems)?, text.span))
        });
        let alias = table.text("as", problems);
        let alias = alias.map(|text| (name::<PortName>("as", &text, problems), text.span));
        let to = table.required("to", "to = \"DOMAIN:PORT\"", problems);
        let to = to.and_then(|text| {
            Some((refs::port(self.domains, "to", "echo:main", &text, problems)?, text.span))
        });
        let layout = areas::layout(&table, problems);
        let ((from, from_span), (to, to_span)) = (from?, to?);
        if from == to.domain {
            problems.at(&to_span, Rule::SelfChannel { domain: from.to_string() });
        }
        let (alias, alias_span) = alias.unwrap_or((Some(to.port), from_span));
        let alias = alias?;
        self.take_alias(from, alias, &alias_span, problems);
        self.count(from, &to_span, problems);
        self.count(to.domain, &to_span, problems);
        Some(Channel { from, alias, to, layout, to_span })
    }

    /// Takes what the nucleus joins to domains that hear of faults: a channel to each port that is
    /// named, and from each such domain one back.
    pub(super) fn bailouts(&mut self, supervision: &Supervision, problems: &mut Problems) {
        let mut domains = Vec::new();
        for NamedPort { port, span, .. } in supervision.bailouts() {
            self.count(port.domain, span, problems);
            if domains.contains(&port.domain) {
                continue;
            }
            domains.push(port.domain);
            self.count(port.domain, span, problems);
            let taken = self
                .aliases
                .iter()
                .find(|((domain, alias), _)| *domain == port.domain && alias.as_str() == SUSPENDED);
            if let Some((_, at)) = taken {
                let (domain, alias) = (port.domain.to_string(), SUSPENDED);
                problems.at(at, SupervisionRule::BailoutAlias { domain, alias }.into());
            }
        }
    }

    /// Counts a link of a domain; the first one too many is a problem.
    fn count(&mut self, domain: DomainName, span: &Span, problems: &mut Problems) {
        let count = self.counts.entry(domain).or_default();
        *count += 1;
        if *count == CHANNELS_MAX + 1 {
            let domain = domain.to_string();
            problems.at(span, Rule::TooManyLinks { domain, max: CHANNELS_MAX });
        }
    }

    fn take_alias(
        &mut self,
        client: DomainName,
        alias: PortName,
        span: &Span,
        problems: &mut Problems,
    ) {
        match self.aliases.entry((client, alias)) {
            Entry::Vacant(free) => {
                free.insert(span.clone());
            }
            Entry::Occupied(taken) => {
                let first = problems.line(taken.get());
                let (client, alias) = (client.to_string(), alias.to_string());
                problems.at(span, Rule::DuplicateAlias { client, alias, first });
            }
        }
    }

    /// Takes a channel of a domain to the VMM.
    pub(super) fn host_channel(
        &mut self,
        client: DomainName,
        alias: PortName,
        span: &Span,
        problems: &mut Problems,
    ) {
        self.take_alias(client, alias, span, problems);
        self.count(client, span, problems);
    }

    /// The domains that links can lead from.
    pub(super) const fn domains(&self) -> &'a [DomainName] {
        self.domains
    }

    /// `None` only if a problem was noted.
    pub(super) fn gateway(
        &mut self,
        entries: (&DeTable<'_>, Span),
        problems: &mut Problems,
    ) -> Option<Gateway> {
        let table = Table::open(entries, "`[[gateways]]`", &GATEWAY_KEYS, problems);
        let listen = table.required("listen", "listen = \"127.0.0.1:6379\"", problems);
        let listen = listen.and_then(|text| self.listen(&text, problems));
        let to = table.required("to", "to = \"DOMAIN:PORT\"", problems);
        let to = to.and_then(|text| {
            Some((refs::port(self.domains, "to", "kv:redis", &text, problems)?, text.span))
        });
        let max_connections = max_connections(&table, problems);
        let (listen, (to, to_span)) = (listen?, to?);
        self.count(to.domain, &to_span, problems);
        Some(Gateway { listen, to, max_connections, to_span })
    }

    /// An address that no other gateway has taken; of port 0 there is one for each.
    fn listen(&mut self, text: &Found<&str>, problems: &mut Problems) -> Option<Listen> {
        let listen = match address(text.value) {
            Ok(listen) => listen,
            Err(why) => {
                problems.at(&text.span, Rule::Listen { value: printable(text.value), why });
                return None;
            }
        };
        if matches!(&listen, Listen::Tcp(address) if address.port() == 0) {
            return Some(listen);
        }
        match self.listens.entry(listen.clone()) {
            Entry::Vacant(free) => {
                free.insert(text.span.clone());
            }
            Entry::Occupied(taken) => {
                let first = problems.line(taken.get());
                problems.at(
                    &text.span,
                    Rule::DuplicateListen { listen: printable(&listen.to_string()), first },
                );
            }
        }
        Some(listen)
    }
}

fn max_connections(table: &Table<'_>, problems: &mut Problems) -> MaxConnections {
    let Some(found) = table.integer("max-connections", problems) else {
        return MaxConnections::default();
    };
    found.value.small().and_then(MaxConnections::new).unwrap_or_else(|| {
        problems.at(&found.span, Rule::MaxConnections { value: found.value.written });
        MaxConnections::default()
    })
}

fn address(text: &str) -> Result<Listen, &'static str> {
    let Some(path) = text.strip_prefix("unix:") else {
        let address = text.parse();
        return address.map(Listen::Tcp).map_err(|_| "it is not an IP address with a port");
    };
    if path.contains('\0') {
        Err("the socket's path holds a zero byte")
    } else if !path.starts_with('/') {
        Err("the socket's path does not begin with `/`")
    } else if path.len() > SOCKET_PATH_MAX {
        Err("the socket's path is longer than 107 bytes")
    } else {
        Ok(Listen::Unix(PathBuf::from(path)))
    }
}

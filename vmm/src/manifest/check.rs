//! The second pass: whether the images can do what the manifest wants of them.

use atoll_ipc::abi::{Interface, PortKind};
use atoll_ipc::bailout::Bailout;

use super::error::{ManifestError, Problem, Rule};
use super::memory::MemorySize;
use super::name::DomainName;
use super::nearest::nearest;
use super::read::invalid;
use super::source::Span;
use super::supervision::{NamedPort, OnCrash, SupervisionRule};
use super::types::{Domain, Manifest, PortRef};

/// What this pass needs to know of a domain's image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFacts {
    /// The ports that its server declares.
    pub ports: Vec<PortFacts>,
    /// Least memory that a domain with this image can have.
    pub min_memory: MemorySize,
    /// Memory of a domain whose manifest names none.
    pub default_memory: MemorySize,
    /// Most vCPUs that its server makes use of.
    pub max_vcpus: u32,
}

/// One port that a server declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortFacts {
    /// The port's name.
    pub name: String,
    /// What it carries.
    pub kind: PortKind,
    /// What is spoken on it.
    pub interface: Interface,
}

/// Checks all that depends on images. A domain for which `lookup` knows nothing, because its
/// image could not be loaded, is passed over: that error is reported where it arose.
///
/// # Errors
/// Everything that does not fit, in the order of the file.
pub fn check_against(
    manifest: &Manifest,
    lookup: impl Fn(&DomainName) -> Option<ImageFacts>,
) -> Result<(), ManifestError> {
    let mut check = Check { manifest, problems: Vec::new() };
    for (name, domain) in &manifest.domains {
        if let Some(facts) = lookup(name) {
            check.memory(name, domain, &facts);
            check.vcpus(name, domain, &facts);
        }
    }
    for channel in &manifest.channels {
        if let Some(facts) = lookup(&channel.to.domain) {
            check.port(&channel.to, &channel.to_span, &facts, PortKind::Message);
        }
    }
    for named in &manifest.supervision.named_ports {
        if let Some(facts) = lookup(&named.port.domain) {
            check.named_port(named, &facts);
        }
    }
    for gateway in &manifest.gateways {
        if let Some(facts) = lookup(&gateway.to.domain) {
            check.port(&gateway.to, &gateway.to_span, &facts, PortKind::Stream);
        }
    }
    if check.problems.is_empty() { Ok(()) } else { Err(invalid(check.problems)) }
}

struct Check<'a> {
    manifest: &'a Manifest,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn at(&mut self, span: &Span, rule: Rule) {
        self.problems.push(Problem { place: self.manifest.source.place(span.start), rule });
    }

    fn memory(&mut self, name: &DomainName, domain: &Domain, facts: &ImageFacts) {
        let memory = domain.memory.unwrap_or(facts.default_memory);
        if memory < facts.min_memory {
            let rule = Rule::MemoryTooSmall {
                domain: name.to_string(),
                image: domain.image.to_string(),
                memory,
                needed: facts.min_memory,
            };
            self.at(domain.spans.memory.as_ref().unwrap_or(&domain.spans.image), rule);
        }
    }

    fn vcpus(&mut self, name: &DomainName, domain: &Domain, facts: &ImageFacts) {
        if domain.vcpus.get() > facts.max_vcpus {
            let rule = Rule::TooManyVcpus {
                domain: name.to_string(),
                image: domain.image.to_string(),
                vcpus: domain.vcpus.get(),
                max: facts.max_vcpus,
            };
            self.at(domain.spans.vcpus.as_ref().unwrap_or(&domain.spans.image), rule);
        }
    }

    fn port(&mut self, to: &PortRef, span: &Span, facts: &ImageFacts, wanted: PortKind) {
        match facts.ports.iter().find(|port| port.name == to.port.as_str()) {
            Some(port) if port.kind == wanted => {}
            Some(port) => {
                self.at(span, Rule::PortKind { port: to.to_string(), kind: port.kind });
            }
            None => {
                let rule = self.unknown_port(to, facts);
                self.at(span, rule);
            }
        }
    }

    fn named_port(&mut self, named: &NamedPort, facts: &ImageFacts) {
        match facts.ports.iter().find(|port| port.name == named.port.port.as_str()) {
            Some(port) if named.bailout && port.kind == PortKind::Stream => {
                let port = named.port.to_string();
                self.at(&named.span, SupervisionRule::BailoutKind { port }.into());
            }
            Some(port) if named.bailout && port.interface != Bailout::INTERFACE => {
                let rule = SupervisionRule::BailoutInterface {
                    port: named.port.to_string(),
                    speaks: described(&port.interface),
                    wanted: described(&Bailout::INTERFACE),
                };
                self.at(&named.span, rule.into());
            }
            Some(port) if port.kind == PortKind::Stream && self.redelivers(&named.port) => {
                let port = named.port.to_string();
                self.at(&named.span, SupervisionRule::RedeliverKind { port }.into());
            }
            Some(_) => {}
            None => {
                let rule = self.unknown_port(&named.port, facts);
                self.at(&named.span, rule);
            }
        }
    }

    fn redelivers(&self, port: &PortRef) -> bool {
        let mut policies = self.manifest.supervision.domains.iter();
        let policy = policies.find(|policy| policy.domain == port.domain);
        let policy = policy.and_then(|policy| policy.ports.get(&port.port));
        policy.is_some_and(|policy| policy.on_crash != OnCrash::Fail)
    }

    fn unknown_port(&self, to: &PortRef, facts: &ImageFacts) -> Rule {
        let names = || facts.ports.iter().map(|port| port.name.as_str());
        let image = self.manifest.domains.get(to.domain.as_str());
        Rule::UnknownPort {
            domain: to.domain.to_string(),
            image: image.map(|domain| domain.image.to_string()).unwrap_or_default(),
            port: to.port.to_string(),
            nearest: nearest(to.port.as_str(), names()).map(str::to_owned),
            known: names().map(str::to_owned).collect(),
        }
    }
}

/// An interface, as far as the two ends of a port compare it.
fn described(interface: &Interface) -> String {
    format!("{interface} (fingerprint {:016x})", interface.fingerprint)
}

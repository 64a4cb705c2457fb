//! Puts a system together: channels first, then domains and gateways around them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use atoll_image::Image;
use atoll_ipc::abi::Name;
use atoll_ipc::channel::{Layout, Role};
use nix::sys::signalfd::SignalFd;
use vmm_sys_util::eventfd::EventFd;

use super::SystemError;
use super::images::Images;
use crate::channel::ChannelMemory;
use crate::control::Request;
use crate::control::api::HostKind;
use crate::domain::{self, Blueprint, ChannelEnd, Domain, new_event};
use crate::gateway::{Gateway, Line, Listener};
use crate::journal::Journal;
use crate::machine::host::Host;
use crate::machine::plan::Plan;
use crate::manifest::{self, DomainName, Manifest, PortRef};
use crate::nucleus::{Link, Links, Member, Nucleus, Party, Supervisor};

/// How long a server spins for its next message before it sleeps, in nanoseconds: about what
/// going to sleep and being woken costs on a host whose exits are slow.
const SPIN_NS: u64 = 20_000;

/// What a system needs that is not in its manifest.
#[derive(Debug)]
pub struct Parts {
    /// The host's KVM.
    pub host: Arc<Host>,
    /// Where log lines and events go.
    pub journal: Arc<Journal>,
    /// What wakes the nucleus.
    pub news: Arc<EventFd>,
    /// Signals that end the process.
    pub signals: SignalFd,
}

/// A domain that is being put together.
struct Draft<'m> {
    id: u32,
    name: DomainName,
    config: &'m manifest::Domain,
    image: Arc<Image>,
    wake: Arc<EventFd>,
    channels: Vec<ChannelEnd>,
}

/// Everything that is being put together.
struct Assembly<'m> {
    manifest: &'m Manifest,
    drafts: HashMap<DomainName, Draft<'m>>,
    links: Vec<Link>,
}

/// Makes the domains, channels and gateways of a system, all standing still.
///
/// # Errors
/// If the host lacks something for one of them.
pub fn assemble(
    manifest: &Manifest,
    images: &Images,
    parts: Parts,
    requests: mpsc::Receiver<Request>,
) -> Result<Nucleus, SystemError> {
    let mut assembly = Assembly::new(manifest, images)?;
    for channel in &manifest.channels {
        assembly.join(channel)?;
    }
    let gateways = assembly.open_gateways(&parts.journal)?;
    let (reports, reported) = mpsc::channel();
    let members = assembly.build(&parts, reports)?;
    let hardware = Host::has_hardware_virtualisation();
    Ok(Nucleus {
        name: manifest.name.to_string(),
        host: if hardware { HostKind::Hardware } else { HostKind::Software },
        members,
        links: Links(assembly.links),
        gateways,
        journal: parts.journal,
        reports: reported,
        requests,
        news: parts.news,
        signals: parts.signals,
        started: Instant::now(),
        stopping: None,
    })
}

impl<'m> Assembly<'m> {
    fn new(manifest: &'m Manifest, images: &Images) -> Result<Self, SystemError> {
        let mut drafts = HashMap::new();
        for (id, (name, config)) in manifest.domains.iter().enumerate() {
            let Some(image) = images.of(name).cloned() else { continue };
            let (id, wake) = (id as u32, event()?);
            let channels = Vec::new();
            drafts.insert(*name, Draft { id, name: *name, config, image, wake, channels });
        }
        Ok(Self { manifest, drafts, links: Vec::new() })
    }

    /// Makes a channel between two domains.
    fn join(&mut self, channel: &manifest::Channel) -> Result<(), SystemError> {
        let client = self.party(&channel.from)?;
        let (server, port) = self.server(&channel.to)?;
        let memory = ChannelMemory::new(Layout::DEFAULT)?;
        let port_name = channel.to.port.to_abi();
        let asks = end(channel.alias.to_abi(), &server, Role::Client, port, &memory);
        let answers = end(port_name, &client, Role::Server, port, &memory);
        self.give(&channel.from, asks);
        self.give(&channel.to.domain, answers);
        let (name, port) = (channel.alias.to_string(), channel.to.port.to_string());
        self.links.push(Link { name, port, client, server, memory });
        Ok(())
    }

    fn open_gateways(
        &mut self,
        journal: &Arc<Journal>,
    ) -> Result<Vec<Rc<RefCell<Gateway>>>, SystemError> {
        let configs = &self.manifest.gateways;
        configs.iter().map(|config| self.open_gateway(config, journal)).collect()
    }

    fn open_gateway(
        &mut self,
        config: &manifest::Gateway,
        journal: &Arc<Journal>,
    ) -> Result<Rc<RefCell<Gateway>>, SystemError> {
        let listener = Listener::bind(&config.listen).map_err(|cause| SystemError::Listen {
            listen: config.listen.to_string(),
            cause,
            manifest: self.manifest.file().display().to_string(),
        })?;
        let (server, port) = self.server(&config.to)?;
        let client = Party { domain: None, name: listener.address(), wake: event()? };
        let memory = ChannelMemory::new(Layout::DEFAULT)?;
        let answers = end(config.to.port.to_abi(), &client, Role::Server, port, &memory);
        self.give(&config.to.domain, answers);
        let line = Line {
            memory: memory.clone(),
            server: server.wake.clone(),
            doorbell: client.wake.clone(),
        };
        let (name, port) = ("gateway".to_owned(), config.to.port.to_string());
        self.links.push(Link { name, port, client, server, memory });
        Ok(Rc::new(RefCell::new(Gateway::new(listener, config, line, journal.clone()))))
    }

    fn build(
        &mut self,
        parts: &Parts,
        reports: mpsc::Sender<domain::Report>,
    ) -> Result<Vec<Member>, SystemError> {
        let line = domain::Line { reports, reported: parts.news.clone() };
        let mut drafts: Vec<_> = self.drafts.drain().map(|(_, draft)| draft).collect();
        drafts.sort_by_key(|draft| draft.id);
        let system = self.manifest.name.to_abi();
        let build = |draft: Draft<'_>| {
            let supervisor = Supervisor::new(draft.config.restart);
            let blueprint = draft.finish(system)?;
            let domain = Domain::new(&parts.host, blueprint, &parts.journal, &line)?;
            Ok(Member::new(domain, supervisor))
        };
        drafts.into_iter().map(build).collect()
    }

    fn party(&self, domain: &DomainName) -> Result<Party, SystemError> {
        let draft = self.draft(domain)?;
        Ok(Party { domain: Some(draft.id), name: domain.to_string(), wake: draft.wake.clone() })
    }

    /// A server, and the place of its port in the image.
    fn server(&self, to: &PortRef) -> Result<(Party, u32), SystemError> {
        let image = &self.draft(&to.domain)?.image;
        let place = image.ports().iter().position(|port| port.name == to.port.to_abi());
        let place = place.ok_or_else(|| unchecked(&to.to_string()))?;
        Ok((self.party(&to.domain)?, place as u32))
    }

    fn draft(&self, domain: &DomainName) -> Result<&Draft<'m>, SystemError> {
        self.drafts.get(domain).ok_or_else(|| unchecked(domain.as_str()))
    }

    fn give(&mut self, domain: &DomainName, end: ChannelEnd) {
        if let Some(draft) = self.drafts.get_mut(domain) {
            draft.channels.push(end);
        }
    }
}

impl Draft<'_> {
    fn finish(self, system: Name) -> Result<Blueprint, SystemError> {
        let vcpus = self.config.vcpus.get();
        let least = Plan::least_memory(&self.image, vcpus);
        let memory = self
            .config
            .memory
            .map_or_else(|| self.image.default_memory().max(least), manifest::MemorySize::bytes);
        let cpus = self.config.cpus.as_ref().map_or(&[][..], manifest::CpuSet::as_slice);
        Ok(Blueprint {
            system,
            name: self.name.to_abi(),
            id: self.id,
            plan: Plan::new(&self.image, memory, vcpus)?,
            image: self.image,
            cpus: cpus.iter().map(|&cpu| cpu as usize).collect(),
            arguments: self.config.arguments.clone(),
            channels: self.channels,
            wake: self.wake,
            spin_ns: SPIN_NS,
        })
    }
}

fn end(name: Name, peer: &Party, role: Role, port: u32, memory: &ChannelMemory) -> ChannelEnd {
    ChannelEnd {
        name,
        peer: peer.name.clone(),
        role,
        port,
        memory: memory.clone(),
        layout: Layout::DEFAULT,
        doorbell: peer.wake.clone(),
    }
}

fn event() -> Result<Arc<EventFd>, SystemError> {
    new_event().map(Arc::new).map_err(SystemError::EventLoop)
}

/// Something that the manifest's checks have made sure of is not so.
fn unchecked(what: &str) -> SystemError {
    SystemError::EventLoop(io::Error::other(format!("`{what}` was not checked")))
}

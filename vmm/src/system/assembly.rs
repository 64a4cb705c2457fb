//! Puts a system together: channels first, then domains and gateways around them.

mod bailouts;
mod disks;

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use atoll_image::Image;
use atoll_ipc::abi::{HostPage, Interface, NO_DOMAIN, Name, SPIN_ADAPTIVE, SPIN_ALWAYS};
use atoll_ipc::channel::{Layout, Role};
use atoll_ipc::ready::Ready;
use nix::sys::signalfd::SignalFd;
use vmm_sys_util::eventfd::EventFd;

use super::SystemError;
use super::crowd::Groups;
use super::host_ends::{HostEnds, HostLink};
use super::images::Images;
use super::restore;
use super::sleep::SleepCost;
use crate::channel::{Attention, ChannelMemory};
use crate::control::Request;
use crate::disk::{self, DiskFault, DiskFile};
use crate::domain::{self, Blueprint, ChannelEnd, Domain, new_event};
use crate::gateway::{Gateway, Line, Listener};
use crate::ipc::{Channel, End, Port, Spin, Waiter};
use crate::journal::Journal;
use crate::machine::host::Host;
use crate::machine::kept::KeptMemory;
use crate::machine::plan::Plan;
use crate::machine::shared_page::SharedPage;
use crate::machine::vm::Vm;
use crate::manifest::{self, DiskName, DomainName, Manifest, OnCrash, OnCrashLoop, PortRef, Wait};
use crate::nucleus::letters::{PostOffice, Sender};
use crate::nucleus::{Link, Links, Member, Notices, Nucleus, Party, Watchdog};
use crate::snapshot::{OnDisk, Snapshot};
use crate::supervisor::Supervisor;

/// Who sends dead letters again, as servers see it.
const DEAD_LETTERS: &str = "dead-letters";

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
    /// What all domains are told of the host.
    pub host_page: Arc<SharedPage<HostPage>>,
    /// What of it is measured.
    pub sleep_cost: SleepCost,
    /// Channels between the VMM itself and domains.
    pub host_links: Vec<HostLink>,
    /// Where domains go on that are in it.
    pub from: Option<Arc<Snapshot>>,
    /// The files of the manifest's disks, in its order.
    pub disks: Vec<Arc<DiskFile>>,
    /// Faults that they are to meet.
    pub disk_faults: Vec<DiskFault>,
}

/// A domain that is being put together.
struct Draft<'m> {
    id: u32,
    name: DomainName,
    config: &'m manifest::Domain,
    image: Arc<Image>,
    wake: Arc<EventFd>,
    ready: Arc<SharedPage<Ready>>,
    channels: Vec<ChannelEnd>,
}

/// A domain's port, as the server's end of a channel.
struct Target {
    party: Party,
    /// Its place in the image.
    place: u32,
    id: u128,
    interface: Interface,
    ready: Arc<SharedPage<Ready>>,
    /// The number that the next channel gets at the server.
    channel: u32,
}

/// Everything that is being put together.
struct Assembly<'m> {
    manifest: &'m Manifest,
    drafts: HashMap<DomainName, Draft<'m>>,
    links: Vec<Link>,
    post_office: PostOffice,
    port_ids: HashMap<PortRef, u128>,
    host_page: Arc<SharedPage<HostPage>>,
}

/// A system that stands still.
#[derive(Debug)]
pub struct Assembled {
    /// Its nucleus.
    pub nucleus: Nucleus,
    /// The VMM's ends of channels that it was asked for.
    pub ends: HostEnds,
    /// Its disks, to be served before any domain runs.
    pub disks: Vec<disk::Line>,
}

/// Makes the domains, channels, gateways and disks of a system, all standing still.
///
/// # Errors
/// If the host lacks something for one of them.
pub fn assemble(
    manifest: &Manifest,
    images: &Images,
    parts: Parts,
    requests: mpsc::Receiver<Request>,
) -> Result<Assembled, SystemError> {
    let vms: Vec<_> = manifest.domains.iter().map(|_| parts.host.vm()).collect::<Result<_, _>>()?;
    let mut assembly = Assembly::new(manifest, images, parts.host_page.clone())?;
    for channel in &manifest.channels {
        assembly.join(channel)?;
    }
    let mut ends = HostEnds::new(parts.sleep_cost.clone());
    for link in &parts.host_links {
        assembly.join_host(link, &mut ends)?;
    }
    let gateways = assembly.open_gateways(&parts.journal)?;
    assembly.open_post_office()?;
    let bailouts = assembly.open_bailouts()?;
    let (desks, disks) = assembly.open_disks(&parts.disks, &parts.disk_faults)?;
    let (reports, reported) = mpsc::channel();
    let members = bailouts.mark(assembly.build(&parts, vms, reports)?);
    let supervisor = supervisor(manifest, &members)?;
    let nucleus = Nucleus {
        name: manifest.name.to_string(),
        manifest: manifest.text().clone(),
        on_disks: on_disks(manifest),
        restored_from: parts.from.map(|snapshot| snapshot.file.display().to_string()),
        kvm: parts.host,
        supervisor,
        members,
        notices: Notices::default(),
        links: Links::new(assembly.links),
        post_office: assembly.post_office,
        gateways,
        disks: desks,
        host_page: assembly.host_page,
        journal: parts.journal,
        reports: reported,
        requests,
        news: parts.news,
        signals: parts.signals,
        started: Instant::now(),
        groups: manifest.supervision.groups.iter().map(|group| group.title().to_owned()).collect(),
        bailouts,
        watchdogs: watchdogs(manifest),
        probation: None,
        snapshot: None,
        stopping: false,
        over: None,
    };
    Ok(Assembled { nucleus, ends, disks })
}

fn on_disks(manifest: &Manifest) -> Vec<OnDisk> {
    let all = manifest.on_disks();
    let in_order = manifest.domains.keys().filter_map(|domain| Some((domain, all.get(domain)?)));
    let on_disk = |(domain, disk): (&DomainName, &DiskName)| OnDisk {
        domain: domain.to_string(),
        disk: disk.to_string(),
    };
    in_order.map(on_disk).collect()
}

/// A server that has ports says by itself when it is ready: it is when it first waits for a
/// message.
fn supervisor(manifest: &Manifest, members: &[Member]) -> Result<Supervisor, SystemError> {
    let seed = getrandom::u64().map_err(no_randomness)?;
    let announces = |domain: usize| {
        let member: Option<&Member> = members.get(domain);
        member.is_some_and(|member| !member.domain.blueprint().image.ports().is_empty())
    };
    Ok(Supervisor::new(&manifest.supervision, announces, seed))
}

fn watchdogs(manifest: &Manifest) -> Vec<Watchdog> {
    let policies = manifest.supervision.domains.iter().enumerate();
    policies.filter_map(|(domain, policy)| Some(Watchdog::new(domain, policy.watchdog?))).collect()
}

impl<'m> Assembly<'m> {
    fn new(
        manifest: &'m Manifest,
        images: &Images,
        host_page: Arc<SharedPage<HostPage>>,
    ) -> Result<Self, SystemError> {
        let mut drafts = HashMap::new();
        for (id, (name, config)) in manifest.domains.iter().enumerate() {
            let Some(image) = images.of(name).cloned() else { continue };
            let (id, wake) = (id as u32, event()?);
            let (ready, channels) = (Arc::new(SharedPage::new()?), Vec::new());
            drafts.insert(*name, Draft { id, name: *name, config, image, wake, ready, channels });
        }
        let (links, port_ids) = (Vec::new(), HashMap::new());
        let post_office = PostOffice::default();
        Ok(Self { manifest, drafts, links, post_office, port_ids, host_page })
    }

    /// Makes a channel between two domains.
    fn join(&mut self, channel: &manifest::Channel) -> Result<(), SystemError> {
        let client = self.party(&channel.from)?;
        let target = self.target(&channel.to)?;
        let memory = self.memory(&channel.to, &client.name, channel.layout)?;
        let alias = channel.alias.to_abi();
        let asks = end(Role::Client, alias, &target.party, &target, &memory, channel.layout);
        let port = channel.to.port.to_abi();
        let answers = end(Role::Server, port, &client, &target, &memory, channel.layout);
        self.give(&channel.from, asks);
        self.give(&channel.to.domain, answers);
        let (name, port) = (channel.alias.to_string(), channel.to.port.to_string());
        self.links.push(Link { name, port, client, server: target.party, memory });
        Ok(())
    }

    /// The memory of a channel to a port, where requests have the fate that the port's policy says.
    fn memory(
        &self,
        to: &PortRef,
        client: &str,
        layout: Layout,
    ) -> Result<ChannelMemory, SystemError> {
        let memory = ChannelMemory::new(layout)?;
        let OnCrash::Redeliver { poison_after } = self.on_crash(to) else { return Ok(memory) };
        let sender = Sender {
            domain: to.domain.to_string(),
            port: to.port.to_string(),
            client: client.to_owned(),
            letters: self.post_office.letters.clone(),
        };
        Ok(memory.redelivering(poison_after, sender))
    }

    fn on_crash(&self, port: &PortRef) -> OnCrash {
        let mut policies = self.manifest.supervision.domains.iter();
        let policy = policies.find(|policy| policy.domain == port.domain);
        let policy = policy.and_then(|policy| policy.ports.get(&port.port));
        policy.map(|policy| policy.on_crash).unwrap_or_default()
    }

    /// Joins the nucleus to each port from which dead letters can come, to send them again. What it
    /// sends is not delivered twice: whoever replays a letter wants to see what comes of it.
    fn open_post_office(&mut self) -> Result<(), SystemError> {
        let policies = self.manifest.supervision.domains.iter();
        let ports: Vec<_> = policies
            .flat_map(|policy| {
                policy.ports.keys().map(|port| PortRef { domain: policy.domain, port: *port })
            })
            .filter(|port| matches!(self.on_crash(port), OnCrash::Redeliver { .. }))
            .collect();
        for to in ports {
            let channel = self.join_nucleus(DEAD_LETTERS, &to, event()?)?;
            self.post_office.connect(to.domain.to_string(), to.port.to_string(), channel);
        }
        Ok(())
    }

    /// The nucleus itself as the client of a port, under this name. What it sends is not delivered
    /// twice, whatever the port's policy says.
    fn join_nucleus(
        &mut self,
        name: &str,
        to: &PortRef,
        wake: Arc<EventFd>,
    ) -> Result<Channel, SystemError> {
        let layout = Layout::PLAIN;
        let target = self.target(to)?;
        let own = Party { domain: None, name: name.to_owned(), wake };
        let memory = ChannelMemory::new(layout)?;
        let port = to.port.to_abi();
        self.give(&to.domain, end(Role::Server, port, &own, &target, &memory, layout));
        let channel = Channel::new(End {
            name: port,
            interface: target.interface,
            memory: memory.clone().alerting(self.attention(&target)),
            peer: target.party.wake.clone(),
            waiter: Waiter::new(own.wake.clone(), Spin::For(Duration::ZERO)),
        });
        let (name, port) = (name.to_owned(), to.port.to_string());
        self.links.push(Link { name, port, client: own, server: target.party, memory });
        Ok(channel)
    }

    /// Makes a channel between the VMM and a domain.
    fn join_host(&mut self, link: &HostLink, ends: &mut HostEnds) -> Result<(), SystemError> {
        match link {
            HostLink::Client { name, to, layout, spin } => {
                let target = self.target(to)?;
                let own = Party { domain: None, name: name.to_string(), wake: event()? };
                let memory = self.memory(to, &own.name, *layout)?;
                let port = to.port.to_abi();
                let answers = end(Role::Server, port, &own, &target, &memory, *layout);
                self.give(&to.domain, answers);
                let waiter = Waiter::new(own.wake.clone(), self.spin(*spin));
                ends.channels.push(Channel::new(End {
                    name: name.to_abi(),
                    interface: target.interface,
                    memory: memory.clone().alerting(self.attention(&target)),
                    peer: target.party.wake.clone(),
                    waiter,
                }));
                let (name, port) = (name.to_string(), to.port.to_string());
                self.links.push(Link { name, port, client: own, server: target.party, memory });
            }
            HostLink::Server { from, alias, interface, layout, spin } => {
                let own = Party { domain: None, name: "vmm".to_owned(), wake: event()? };
                let (alias, spin) = (alias.to_abi(), self.spin(*spin));
                ends.ports
                    .push(Port::new(self.serve(from, alias, *interface, *layout, own, spin)?));
            }
        }
        Ok(())
    }

    /// The VMM, as this party, as the server of a channel that a domain has under this name.
    fn serve(
        &mut self,
        from: &DomainName,
        alias: Name,
        interface: Interface,
        layout: Layout,
        own: Party,
        spin: Spin,
    ) -> Result<End, SystemError> {
        let client = self.party(from)?;
        let memory = ChannelMemory::new(layout)?;
        let asks = ChannelEnd {
            name: alias,
            peer: own.name.clone(),
            peer_domain: None,
            role: Role::Client,
            port: 0,
            port_id: fresh_id()?,
            interface,
            memory: memory.clone(),
            layout,
            alert: None,
            doorbell: own.wake.clone(),
        };
        self.give(from, asks);
        let end = End {
            name: alias,
            interface,
            memory: memory.clone(),
            peer: client.wake.clone(),
            waiter: Waiter::new(own.wake.clone(), spin),
        };
        let name = alias.as_str().to_owned();
        self.links.push(Link { port: name.clone(), name, client, server: own, memory });
        Ok(end)
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
        let target = self.target(&config.to)?;
        let client = Party { domain: None, name: listener.address(), wake: event()? };
        let memory = ChannelMemory::new(Layout::PLAIN)?;
        let port = config.to.port.to_abi();
        let answers = end(Role::Server, port, &client, &target, &memory, Layout::PLAIN);
        self.give(&config.to.domain, answers);
        let line = Line {
            memory: memory.clone().alerting(self.attention(&target)),
            server: target.party.wake.clone(),
            doorbell: client.wake.clone(),
        };
        let (name, port) = ("gateway".to_owned(), config.to.port.to_string());
        self.links.push(Link { name, port, client, server: target.party, memory });
        Ok(Rc::new(RefCell::new(Gateway::new(listener, config, line, journal.clone()))))
    }

    fn build(
        &mut self,
        parts: &Parts,
        vms: Vec<Arc<Vm>>,
        reports: mpsc::Sender<domain::Report>,
    ) -> Result<Vec<Member>, SystemError> {
        let line = domain::Line { reports, reported: parts.news.clone() };
        let mut drafts: Vec<_> = self.drafts.drain().map(|(_, draft)| draft).collect();
        drafts.sort_by_key(|draft| draft.id);
        let system = self.manifest.name.to_abi();
        let groups = Groups::new(drafts.iter().map(Draft::processors));
        let build = |(draft, vm): (Draft<'_>, Arc<Vm>)| {
            let blueprint = Arc::new(draft.finish(system, &groups, &self.host_page)?);
            let saved = restore::of(parts.from.as_deref(), &blueprint)?;
            let checkpoint = saved.as_ref().map(|(checkpoint, _)| *checkpoint);
            let domain =
                Domain::new(&parts.host, vm, blueprint, checkpoint, &parts.journal, &line)?;
            Ok(match saved {
                Some((_, from)) => Member::restored(domain, from),
                None => Member::new(domain),
            })
        };
        drafts.into_iter().zip(vms).map(build).collect()
    }

    /// How long an end in the VMM looks.
    fn spin(&self, told: Option<Duration>) -> Spin {
        told.map_or_else(|| Spin::AsSleep(self.host_page.clone()), Spin::For)
    }

    fn party(&self, domain: &DomainName) -> Result<Party, SystemError> {
        let draft = self.draft(domain)?;
        Ok(Party { domain: Some(draft.id), name: domain.to_string(), wake: draft.wake.clone() })
    }

    /// A server's port, for the next channel to it.
    fn target(&mut self, to: &PortRef) -> Result<Target, SystemError> {
        let party = self.party(&to.domain)?;
        let id = match self.port_ids.get(to) {
            Some(id) => *id,
            None => *self.port_ids.entry(*to).or_insert(fresh_id()?),
        };
        let draft = self.draft(&to.domain)?;
        let ports = draft.image.ports();
        let place = ports.iter().position(|port| port.name == to.port.to_abi());
        let place = place.ok_or_else(|| unchecked(&to.to_string()))?;
        Ok(Target {
            party,
            place: place as u32,
            id,
            interface: ports[place].interface,
            ready: draft.ready.clone(),
            channel: draft.channels.len() as u32,
        })
    }

    /// How a client in the VMM gets a server's attention.
    fn attention(&self, target: &Target) -> Attention {
        Attention {
            ready: target.ready.clone(),
            channel: target.channel,
            host_page: self.host_page.clone(),
            domain: target.party.domain.unwrap_or(NO_DOMAIN),
        }
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
    fn processors(&self) -> std::collections::BTreeSet<usize> {
        let cpus = self.config.cpus.as_ref().map_or(&[][..], manifest::CpuSet::as_slice);
        cpus.iter().map(|&cpu| cpu as usize).collect()
    }

    fn finish(
        self,
        system: Name,
        groups: &Groups,
        host_page: &Arc<SharedPage<HostPage>>,
    ) -> Result<Blueprint, SystemError> {
        let vcpus = self.config.vcpus.get();
        let least = Plan::least_memory(&self.image, vcpus);
        let memory = self
            .config
            .memory
            .map_or_else(|| self.image.default_memory().max(least), manifest::MemorySize::bytes);
        let processors = self.processors();
        let state = self.config.state;
        let kept = state.map(|state| KeptMemory::new(state.size.bytes()).map(Arc::new));
        Ok(Blueprint {
            system,
            name: self.name.to_abi(),
            id: self.id,
            plan: Plan::new(&self.image, memory, vcpus)?,
            state: kept.transpose()?,
            drops_state: state.is_some_and(|state| state.on_crash_loop == OnCrashLoop::Drop),
            image: self.image,
            spin_ns: match self.config.wait {
                Wait::Adaptive if groups.must_not_spin(&processors) => 0,
                Wait::Adaptive => SPIN_ADAPTIVE,
                Wait::Polling => SPIN_ALWAYS,
                Wait::Blocking => 0,
                Wait::For(length) => length.as_nanos() as u64,
            },
            group: groups.of(&processors),
            crowd: groups.crowd(&processors),
            cpus: processors.into_iter().collect(),
            arguments: self.config.arguments.clone(),
            channels: self.channels,
            wake: self.wake,
            ready: self.ready,
            host_page: host_page.clone(),
        })
    }
}

/// One end of a channel to `target`, at which the other end is `peer`.
fn end(
    role: Role,
    name: Name,
    peer: &Party,
    target: &Target,
    memory: &ChannelMemory,
    layout: Layout,
) -> ChannelEnd {
    ChannelEnd {
        name,
        peer: peer.name.clone(),
        peer_domain: peer.domain,
        role,
        port: target.place,
        port_id: target.id,
        interface: target.interface,
        memory: memory.clone(),
        layout,
        alert: match role {
            Role::Client => Some((target.ready.clone(), target.channel)),
            Role::Server => None,
        },
        doorbell: peer.wake.clone(),
    }
}

/// A unique identifier: random, as no list of all systems exists.
fn fresh_id() -> Result<u128, SystemError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(no_randomness)?;
    Ok(u128::from_le_bytes(bytes))
}

fn no_randomness(error: getrandom::Error) -> SystemError {
    SystemError::EventLoop(io::Error::other(error.to_string()))
}

fn event() -> Result<Arc<EventFd>, SystemError> {
    new_event().map(Arc::new).map_err(SystemError::EventLoop)
}

/// Something that the manifest's checks have made sure of is not so.
fn unchecked(what: &str) -> SystemError {
    SystemError::EventLoop(io::Error::other(format!("`{what}` was not checked")))
}

//! What a manifest says, once it is known to be well-formed.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use atoll_ipc::channel::Layout;
use indexmap::IndexMap;

use super::disks::Disk;
use super::memory::MemorySize;
use super::name::{DiskName, DomainName, PortName, SystemName};
use super::source::{Source, Span};
use super::state::State;
use super::supervision::Supervision;
use super::wait::Wait;

/// A system: its domains, the channels between them, its gateways and disks.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The system's name.
    pub name: SystemName,
    /// The domains, in the order of the file.
    pub domains: IndexMap<DomainName, Domain>,
    /// The channels, in the order of the file.
    pub channels: Vec<Channel>,
    /// The gateways, in the order of the file.
    pub gateways: Vec<Gateway>,
    /// The disks, in the order of the file.
    pub disks: IndexMap<DiskName, Disk>,
    /// What follows when domains end.
    pub supervision: Supervision,
    pub(super) source: Source,
}

/// One domain.
#[derive(Clone, Debug)]
pub struct Domain {
    /// Its image.
    pub image: ImageRef,
    /// Its memory; the image's default when absent.
    pub memory: Option<MemorySize>,
    /// What it keeps when it is restarted; nothing when absent.
    pub state: Option<State>,
    /// Its number of vCPUs.
    pub vcpus: Vcpus,
    /// What its server is told.
    pub arguments: Vec<String>,
    /// What follows the end of an incarnation.
    pub restart: Restart,
    /// How it waits for messages.
    pub wait: Wait,
    /// Host CPUs that its vCPU threads are pinned to; anywhere when absent.
    pub cpus: Option<CpuSet>,
    pub(super) spans: DomainSpans,
}

#[derive(Clone, Debug)]
pub(super) struct DomainSpans {
    pub(super) image: Span,
    pub(super) memory: Option<Span>,
    pub(super) vcpus: Option<Span>,
}

/// Where a domain's image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageRef {
    /// A file of the images directory, named without its `.img`.
    Named(String),
    /// A file, relative to the manifest's directory if it was written so.
    File(PathBuf),
}

impl ImageRef {
    /// The image's file, when named images are in `images_dir`.
    pub fn path(&self, images_dir: &Path) -> PathBuf {
        match self {
            Self::Named(name) => images_dir.join(format!("{name}.img")),
            Self::File(path) => path.clone(),
        }
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// A number of vCPUs that a domain can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vcpus(u32);

impl Vcpus {
    /// One vCPU.
    pub const ONE: Self = Self(1);
    /// Most vCPUs of a domain.
    pub const MAX: u32 = atoll_ipc::abi::VCPUS_MAX;

    /// This many, if a domain can have them.
    pub fn new(count: u32) -> Option<Self> {
        (1..=Self::MAX).contains(&count).then_some(Self(count))
    }

    /// How many.
    pub fn get(self) -> u32 {
        self.0
    }
}

/// What follows the end of an incarnation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restart {
    /// Nothing: the domain stays down.
    Never,
    /// The next incarnation, if this one faulted.
    #[default]
    OnFault,
    /// The next incarnation, also after an exit with status 0.
    Always,
}

impl Restart {
    /// Every policy, as written.
    pub(super) const WORDS: [(&'static str, Self); 3] =
        [("never", Self::Never), ("on-fault", Self::OnFault), ("always", Self::Always)];
}

/// Host CPUs: at least one, each once, in the order written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuSet(pub(super) Vec<u32>);

impl CpuSet {
    /// CPUs are numbered below this: the kernel's fixed-size affinity mask ends there.
    pub const LIMIT: u32 = 1024;

    /// The CPUs' numbers.
    pub fn as_slice(&self) -> &[u32] {
        &self.0
    }
}

/// A domain's port, as in `kv:redis`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortRef {
    /// The domain; the manifest has it.
    pub domain: DomainName,
    /// The port.
    pub port: PortName,
}

impl fmt::Display for PortRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.domain, self.port)
    }
}

/// A channel: a client domain may call a server domain's port.
#[derive(Clone, Debug)]
pub struct Channel {
    /// The client; the manifest has it.
    pub from: DomainName,
    /// The client's name for the channel, unique in the client.
    pub alias: PortName,
    /// The server's port.
    pub to: PortRef,
    /// Sizes of its rings and pools; valid.
    pub layout: Layout,
    pub(super) to_span: Span,
}

/// A gateway: a host socket whose byte streams go to a port.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// Where clients connect.
    pub listen: Listen,
    /// The port that serves them.
    pub to: PortRef,
    /// Most connections at a time.
    pub max_connections: MaxConnections,
    pub(super) to_span: Span,
}

/// Where a gateway listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Listen {
    /// A TCP address; port 0 lets the host choose.
    Tcp(SocketAddr),
    /// A Unix socket's absolute path.
    Unix(PathBuf),
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Most connections of a gateway at a time: 1 to 1,000,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxConnections(u32);

impl MaxConnections {
    /// More than a process can have file descriptors for, by the kernel's default limit.
    pub const LIMIT: u32 = 1_000_000;

    /// This many, if it is a limit.
    pub fn new(count: u32) -> Option<Self> {
        (1..=Self::LIMIT).contains(&count).then_some(Self(count))
    }

    /// How many.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl Default for MaxConnections {
    fn default() -> Self {
        Self(10_000)
    }
}

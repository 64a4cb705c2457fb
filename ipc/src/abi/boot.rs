//! The boot page: what the nucleus tells a domain. Ring 3 can only read it.

use super::decl::{ABI_VERSION, Interface, NAME_MAX, Name};
use super::host::Crowd;
use super::layout::CHANNELS_MAX;
use crate::channel::{Layout, Role};
use crate::sync::{AtomicU32, AtomicU64};

/// [`BootPage::spin_ns`] of a domain that never sleeps.
pub const SPIN_ALWAYS: u64 = u64::MAX;
/// [`BootPage::spin_ns`] of a domain that looks for as long as a sleep costs:
/// [`HostPage::sleep_ns`](super::HostPage::sleep_ns).
pub const SPIN_ADAPTIVE: u64 = u64::MAX - 1;

/// First word of a boot page: "ATOLBOOT".
pub const BOOT_MAGIC: u64 = u64::from_le_bytes(*b"ATOLBOOT");

/// The start of the boot pages; the address is in `rdi` when a vCPU enters the server.
///
/// The channel table follows directly, then the arguments: UTF-8 strings, each ended by a zero
/// byte.
#[repr(C)]
#[derive(Debug)]
pub struct BootPage {
    /// [`BOOT_MAGIC`].
    pub magic: u64,
    /// [`ABI_VERSION`] of the nucleus.
    pub abi_version: u32,
    /// The domain's number in its system.
    pub domain_id: u32,
    /// The domain's name.
    pub domain: Name,
    /// The system's name.
    pub system: Name,
    /// Which incarnation this is, counted from 1. It changes under a server that is taken back to
    /// its checkpoint, as do the other words that are atomic.
    pub epoch: AtomicU32,
    /// vCPUs that run in this domain.
    pub vcpus: u32,
    /// First byte of the heap.
    pub heap_start: u64,
    /// End of the heap.
    pub heap_end: u64,
    /// Frequency of the time stamp counter, in Hz.
    pub tsc_hz: u64,
    /// Unix time at which this incarnation was started, in nanoseconds.
    pub started_unix_ns: AtomicU64,
    /// How long waiting for a message is worth spinning before sleeping, in nanoseconds, whoever
    /// else wants the processor; or [`SPIN_ADAPTIVE`], or [`SPIN_ALWAYS`].
    pub spin_ns: u64,
    /// Whom it shares its processors with.
    pub crowd: Crowd,
    /// Fresh random bytes for this incarnation.
    pub seed: [AtomicU64; 4],
    /// Entries of the channel table.
    pub channels: u32,
    /// Number of arguments.
    pub arguments: u32,
    /// Bytes of all arguments.
    pub arguments_len: u32,
    /// The incarnation that is asked to end, when it has answered what it has; 0 if none is. (The
    /// word may still name an earlier one: the order crossed with that one's end.)
    pub stopping: AtomicU32,
    /// Bytes of the state region at [`STATE`](super::layout::STATE), which a restart keeps; 0 if
    /// the domain has none.
    pub state_len: u64,
    /// The incarnation that is asked to come to rest, so that a checkpoint can be taken of it for a
    /// snapshot; 0 if none is.
    pub resting: AtomicU32,
    /// Zero.
    pub reserved: u32,
    /// Content hash of the domain's image. Two incarnations with the same one run the same code,
    /// with everything in the same place.
    pub image: [u8; 32],
}

impl BootPage {
    /// A page with nothing but its magic, version and names.
    pub fn new(system: Name, domain: Name, domain_id: u32) -> Self {
        Self {
            magic: BOOT_MAGIC,
            abi_version: ABI_VERSION,
            domain_id,
            domain,
            system,
            epoch: AtomicU32::new(0),
            vcpus: 1,
            heap_start: 0,
            heap_end: 0,
            tsc_hz: 0,
            started_unix_ns: AtomicU64::new(0),
            spin_ns: 0,
            crowd: Crowd { groups: 0, processors: 0 },
            seed: core::array::from_fn(|_| AtomicU64::new(0)),
            channels: 0,
            arguments: 0,
            arguments_len: 0,
            stopping: AtomicU32::new(0),
            state_len: 0,
            resting: AtomicU32::new(0),
            reserved: 0,
            image: [0; 32],
        }
    }
}

/// One entry of the channel table.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ChannelEntry {
    /// The client's name for the channel; on the server's side, the port's name.
    pub name: Name,
    /// The other end: a domain's name, or the gateway's address cut to size.
    pub peer: [u8; NAME_MAX],
    /// What is spoken on the port.
    pub interface: Interface,
    /// The port's unique identifier (CHORUS): no other port, of this system or another, has it,
    /// and it stays when the server restarts.
    pub port_id: [u8; 16],
    /// This domain's end, a [`Role`] as its code.
    pub role: u32,
    /// The server's port, as its place in the image's port table.
    pub port: u32,
    /// Where the channel is mapped.
    pub address: u64,
    /// Sizes of its areas.
    pub layout: Layout,
    /// The doorbell's I/O port.
    pub doorbell: u32,
    /// On a client's side: the channel's number at the server, for the ready page at
    /// [`ALERTS`](super::layout::ALERTS); [`NO_ALERT`] if there is none.
    pub alert: u32,
    /// The number of the domain at the other end, or [`NO_DOMAIN`].
    pub peer_domain: u32,
    /// Zero.
    pub reserved: u32,
}

/// [`ChannelEntry::alert`] of a channel whose server has no ready page.
pub const NO_ALERT: u32 = u32::MAX;
/// [`ChannelEntry::peer_domain`] of a channel whose other end is the nucleus.
pub const NO_DOMAIN: u32 = u32::MAX;

impl ChannelEntry {
    /// Which end this domain has.
    pub const fn role(&self) -> Role {
        if self.role == Role::Client as u32 { Role::Client } else { Role::Server }
    }
}

/// Bytes that are left for arguments when the channel table is full.
pub const ARGUMENTS_MAX: usize = super::layout::BOOT_SIZE as usize
    - size_of::<BootPage>()
    - CHANNELS_MAX as usize * size_of::<ChannelEntry>();

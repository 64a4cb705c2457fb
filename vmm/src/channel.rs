//! Channels as the nucleus has them: memory that it makes, lends to both ends, and keeps the
//! status page of.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use atoll_ipc::abi::HostPage;
use atoll_ipc::channel::{
    Death, Fates, Layout, Mapped, Region, Role, Shared, Status, restart_client, restart_server,
    restart_server_again,
};
use atoll_ipc::ready::{Alert, Ready};
use atoll_ipc::sync::AtomicU64;
use vm_memory::{FileOffset, MmapRegion};

use crate::machine::MachineError;
use crate::machine::memory::memory_file;
use crate::machine::shared_page::SharedPage;
use crate::machine::vm::Lendable;
use crate::nucleus::letters::{Obituary, Sender};

/// A channel's memory, mapped in the VMM. Clones share it.
#[derive(Clone)]
pub struct ChannelMemory {
    mapping: Arc<Mapping>,
    alert: Option<Attention>,
}

/// Where a client in the VMM gets a server's attention.
#[derive(Clone, Debug)]
pub struct Attention {
    /// The server's ready page.
    pub ready: Arc<SharedPage<Ready>>,
    /// The channel's number there.
    pub channel: u32,
    /// Who runs.
    pub host_page: Arc<SharedPage<HostPage>>,
    /// The server's domain.
    pub domain: u32,
}

struct Mapping {
    /// Held by whoever writes the status page: the two ends may restart at one time.
    keeper: Mutex<Keeper>,
    // Points into `mapping`, and is never handed out for longer than a borrow of `self`.
    view: Mapped<'static>,
    mapping: MmapRegion,
}

/// What only the nucleus knows of a channel.
#[derive(Default)]
struct Keeper {
    /// On a channel whose requests are delivered again.
    redelivery: Option<(Box<Fates>, Sender)>,
}

impl fmt::Debug for ChannelMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelMemory").field("bytes", &self.mapping.mapping.size()).finish()
    }
}

impl ChannelMemory {
    /// Makes a channel between two first incarnations.
    ///
    /// # Errors
    /// If the host denies the memory.
    pub fn new(layout: Layout) -> Result<Self, MachineError> {
        let size = layout.total();
        let file = FileOffset::new(memory_file(size as u64)?, 0);
        let mapping = MmapRegion::from_file(file, size).map_err(|error| MachineError::Memory {
            what: "a channel",
            cause: io::Error::other(error.to_string()),
        })?;
        // SAFETY: `layout.total()` bytes are mapped readable and writable here, page-aligned, as
        // long as `mapping` lives, which the view does not outlive; all access in this process
        // goes through the view's atomics.
        let view = unsafe { Mapped::at(mapping.as_ptr(), layout) };
        view.status().initialise(fresh_secret(), 1, 1);
        let keeper = Mutex::default();
        Ok(Self { mapping: Arc::new(Mapping { keeper, view, mapping }), alert: None })
    }

    /// The same, before either end exists: what a server had in service when it died is delivered
    /// to its next incarnation, but for requests of which `poison_after` incarnations in a row have
    /// died: those are filed as dead letters.
    #[must_use]
    pub fn redelivering(self, poison_after: u32, sender: Sender) -> Self {
        self.status().redeliver();
        let fates = Box::new(Fates::new(poison_after));
        self.keeper().redelivery = Some((fates, sender));
        self
    }

    fn keeper(&self) -> MutexGuard<'_, Keeper> {
        self.mapping.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The memory as guests are lent it.
    pub fn lendable(&self) -> Arc<dyn Lendable> {
        self.mapping.clone()
    }

    /// The same, for a client in the VMM.
    #[must_use]
    pub fn alerting(self, attention: Attention) -> Self {
        Self { alert: Some(attention), ..self }
    }

    /// Readies the channel for the next incarnation of one end, which stands still. The other
    /// end learns of it from the status page; it must be woken. `obituary` says what the last
    /// incarnation died of, unless it was ended by an order.
    pub fn restart(&self, role: Role, epoch: u32, obituary: Option<&Obituary>) {
        let mut keeper = self.keeper();
        self.status().renew(fresh_secret());
        match (role, &mut keeper.redelivery) {
            (Role::Client, _) => restart_client(self, epoch),
            (Role::Server, None) => restart_server(self, epoch),
            (Role::Server, Some((fates, sender))) => {
                let death = if obituary.is_some() { Death::Own } else { Death::Ordered };
                restart_server_again(self, epoch, fates, death, |buried| {
                    sender.file(buried, epoch.wrapping_sub(1), obituary);
                });
            }
        }
    }
}

/// A secret that no guest can guess. Every host that runs KVM has the system call behind it, and
/// the generator is ready long before: should it fail all the same, a fixed secret costs the
/// defence against a dead server's forged leftovers, and nothing else.
fn fresh_secret() -> u64 {
    getrandom::u64().unwrap_or_else(|error| {
        log::error!("no random secret for a channel: {error}");
        0x5bd1_e995_9e37_79b9
    })
}

impl Lendable for Mapping {
    fn host_address(&self) -> u64 {
        self.mapping.as_ptr() as u64
    }

    fn size(&self) -> u64 {
        self.mapping.size() as u64
    }
}

impl Region for ChannelMemory {
    fn status(&self) -> &Status {
        self.mapping.view.status()
    }

    fn shared(&self) -> &Shared {
        self.mapping.view.shared()
    }

    fn requests(&self) -> &[AtomicU64] {
        self.mapping.view.requests()
    }

    fn replies(&self) -> &[AtomicU64] {
        self.mapping.view.replies()
    }

    fn lent_requests(&self) -> &[AtomicU64] {
        self.mapping.view.lent_requests()
    }

    fn lent_replies(&self) -> &[AtomicU64] {
        self.mapping.view.lent_replies()
    }

    #[inline]
    fn alert(&self) -> Option<Alert<'_>> {
        let Attention { ready, channel, host_page, domain } = self.alert.as_ref()?;
        Some(Alert::new(ready, *channel).watched_by(host_page, *domain))
    }
}

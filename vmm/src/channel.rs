//! Channels as the nucleus has them: memory that it makes, lends to both ends, and keeps the
//! status page of.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use atoll_ipc::abi::HostPage;
use atoll_ipc::abi::layout::PAGE;
use atoll_ipc::channel::{
    Death, Fates, Layout, Mapped, Region, Role, Shared, Status, restart_client, restart_server,
    restart_server_again,
};
use atoll_ipc::ready::{Alert, Ready};
use atoll_ipc::ring::Control;
use atoll_ipc::sync::{AtomicU64, Ordering::Relaxed};
use vmm_sys_util::eventfd::EventFd;

use crate::domain::signal;
use crate::machine::MachineError;
use crate::machine::lendable::Lendable;
use crate::machine::mapped_file::MappedFile;
use crate::machine::shared_page::SharedPage;
use crate::nucleus::letters::{Obituary, Sender};

/// Bytes of ring data that count as near a position.
const NEAR: usize = 1024;
/// Bytes of the shared words behind the two rings' own: notifications, a cache line pair each way.
const SHARED_BITS: usize = 256;

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
    mapping: MappedFile,
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
        let mapping = MappedFile::new(layout.total() as u64, "a channel")?;
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

    /// Where the ends can write and are at work now, as offsets: the shared words, and the data
    /// next to where the rings have come to. It tells where harm is felt, and no more.
    pub fn places_in_use(&self) -> Vec<Range<usize>> {
        let shared = self.shared();
        let offset =
            |area: &[AtomicU64]| area.as_ptr().addr() - self.mapping.mapping.as_ptr().addr();
        let near = |area: &[AtomicU64], position: u64| {
            let size = size_of_val(area);
            let at = position as usize % size;
            offset(area) + at..offset(area) + (at + NEAR).min(size)
        };
        let words = std::ptr::from_ref(shared).addr() - self.mapping.mapping.as_ptr().addr();
        vec![
            words..words + 2 * size_of::<Control>() + SHARED_BITS,
            near(self.requests(), shared.requests().claims().head),
            near(self.replies(), shared.replies().claims().head),
        ]
    }

    /// Writes a word over whatever is there, as an end can that went mad. The status page, which
    /// the ends cannot write, is left alone.
    pub fn scribble(&self, offset: usize, value: u64) {
        let (first, end) = (PAGE as usize, self.mapping.mapping.size() as usize);
        let offset = offset / size_of::<AtomicU64>() * size_of::<AtomicU64>();
        if !(first..end).contains(&offset) {
            return;
        }
        // SAFETY: within the mapping, aligned, and made of atomics beyond the status page, for
        // which any bits are valid and races are defined.
        let word = unsafe { &*self.mapping.mapping.as_ptr().add(offset).cast::<AtomicU64>() };
        word.store(value, Relaxed);
    }

    /// Readies the channel for the next incarnation of one end, which stands still, and may have
    /// been gone. The other end learns of it from the status page; it must be woken. `obituary` says
    /// what the last incarnation died of, unless it was ended by an order.
    pub(crate) fn restart(&self, role: Role, epoch: u32, obituary: Option<&Obituary>) {
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
        self.status().set_gone(role, false);
        self.status().set_forsaken(false);
    }
}

/// Readies all channels of a domain, which stands still, for its next incarnation, and wakes the
/// other ends, whose calls may have met their fate. Each end comes with its role and with what wakes
/// its peer.
pub fn restart_all<'a>(
    ends: impl Iterator<Item = (&'a ChannelMemory, Role, &'a EventFd)>,
    epoch: u32,
    obituary: Option<&Obituary>,
) {
    for (memory, role, peer) in ends {
        memory.restart(role, epoch, obituary);
        signal(peer);
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
    fn memory(&self) -> &MappedFile {
        &self.mapping
    }

    /// The status page, the shared words, and the beginning of both rings.
    fn first(&self) -> Vec<Range<u64>> {
        let start = self.mapping.as_ptr().addr();
        let page = |area: &[AtomicU64]| {
            let at = (area.as_ptr().addr() - start) as u64 / PAGE * PAGE;
            at..at + PAGE
        };
        let (requests, replies) = (page(self.view.requests()), page(self.view.replies()));
        vec![0..requests.end, replies]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scribbling_reaches_everything_but_the_status_page() {
        let memory = ChannelMemory::new(Layout::PLAIN).unwrap();
        let words = || {
            let start = memory.mapping.mapping.as_ptr().cast::<AtomicU64>();
            let count = memory.mapping.mapping.size() as usize / size_of::<AtomicU64>();
            // SAFETY: the whole mapping, which `memory` keeps, as the atomics that it is made of.
            let words = unsafe { std::slice::from_raw_parts(start, count) };
            words.iter().map(|word| word.load(Relaxed)).collect::<Vec<_>>()
        };
        let before = words();
        for offset in [0, 8, 4088, memory.mapping.mapping.size() as usize, usize::MAX] {
            memory.scribble(offset, 7);
        }
        assert_eq!(words(), before);
        memory.scribble(4096 + 3, 7);
        memory.scribble(memory.mapping.mapping.size() as usize - 1, 9);
        let after = words();
        assert_eq!((after[512], after.last()), (7, Some(&9)));
        assert_eq!(after.iter().zip(&before).filter(|(now, then)| now != then).count(), 2);
    }

    #[test]
    fn places_in_use_are_behind_the_status_page_and_in_the_channel() {
        let memory = ChannelMemory::new(Layout::PLAIN).unwrap();
        for value in [0, 4096, u64::MAX - 7] {
            // Whatever the rings claim.
            (4096..4096 + 1024).step_by(8).for_each(|offset| memory.scribble(offset, value));
            for place in memory.places_in_use() {
                assert!(!place.is_empty() && place.start >= 4096, "{place:?}");
                assert!(place.end <= memory.mapping.mapping.size() as usize, "{place:?}");
            }
        }
    }
}

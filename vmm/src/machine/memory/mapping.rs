//! A domain's memory as the VMM has it mapped: a private mapping of the base, and over a part of that
//! memory of its own, in large pages.
//!
//! What a domain touches for the first time, its host must provide, page by page. On software KVM
//! that takes 15 to 25 µs a page, in large pages 512 times less often. A private mapping of a file
//! never has any; anonymous memory has, if it lies in the host and in the guest at the same place
//! in a large page.

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::ptr::NonNull;

use atoll_ipc::abi::layout::LARGE_PAGE;
use nix::errno::Errno;
use nix::libc::c_void;
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, mmap_anonymous, munmap};
use vm_memory::{GuestAddress, GuestMemoryMmap, GuestRegionMmap, MmapRegion};

use super::MachineError;

const ALIGNMENT: usize = LARGE_PAGE as usize;

/// Addresses of this process that nothing else gets, until it is dropped.
#[derive(Debug)]
pub(super) struct Mapping {
    reserved: NonNull<c_void>,
    length: usize,
    /// Where memory begins: at a multiple of a large page, if any of it is large.
    start: NonZeroUsize,
}

// SAFETY: it only stands for addresses, of which no reference is made here.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `size` bytes of `base`, so that nothing written reaches it; but for `large`, which lies
    /// within, is whole large pages, and has memory of its own.
    ///
    /// # Errors
    /// If the host denies the addresses.
    pub(super) fn new(base: &File, size: u64, large: &Range<u64>) -> Result<Self, MachineError> {
        let size = NonZeroUsize::new(size as usize).ok_or_else(|| denied(Errno::EINVAL))?;
        let large = large.start as usize..large.end as usize;
        let mapped = if large.is_empty() {
            Self::small(base, size)
        } else {
            Self::in_both_sizes(base, size, &large)
        };
        mapped.map_err(denied)
    }

    /// Wherever the host likes, in one piece. To map over what was reserved costs more: every VM of
    /// the process is told that something may have gone there.
    fn small(base: &File, size: NonZeroUsize) -> Result<Self, Errno> {
        // SAFETY: the host chooses addresses that nobody has.
        let reserved = unsafe { mmap(None, size, rights(), flags(), base, 0)? };
        Ok(Self { reserved, length: size.get(), start: reserved.addr() })
    }

    fn in_both_sizes(base: &File, size: NonZeroUsize, large: &Range<usize>) -> Result<Self, Errno> {
        let mapping = Self::reserve(size)?;
        mapping.map_base(base, size)?;
        mapping.map_large(large)?;
        Ok(mapping)
    }

    /// Addresses of which those from a multiple of a large page on are as many as asked for.
    fn reserve(size: NonZeroUsize) -> Result<Self, Errno> {
        let length = size.checked_add(ALIGNMENT).ok_or(Errno::ENOMEM)?;
        // SAFETY: the host chooses addresses that nobody has.
        let reserved = unsafe { mmap_anonymous(None, length, ProtFlags::PROT_NONE, flags())? };
        let start = reserved.addr().get().next_multiple_of(ALIGNMENT);
        let start = NonZeroUsize::new(start).ok_or(Errno::ENOMEM)?;
        Ok(Self { reserved, length: length.get(), start })
    }

    fn map_base(&self, base: &File, length: NonZeroUsize) -> Result<(), Errno> {
        let flags = flags() | MapFlags::MAP_FIXED;
        // SAFETY: these addresses are reserved for this, and no reference to them exists.
        unsafe { mmap(Some(self.start), length, rights(), flags, base, 0)? };
        Ok(())
    }

    fn map_large(&self, part: &Range<usize>) -> Result<(), Errno> {
        let at = self.start.checked_add(part.start).ok_or(Errno::ENOMEM)?;
        let length = NonZeroUsize::new(part.len()).ok_or(Errno::EINVAL)?;
        let flags = flags() | MapFlags::MAP_FIXED;
        // SAFETY: as above.
        let part = unsafe { mmap_anonymous(Some(at), length, rights(), flags)? };
        // SAFETY: as above. A host without large pages refuses, and provides small ones.
        let _ = unsafe { madvise(part, length.get(), MmapAdvise::MADV_HUGEPAGE) };
        Ok(())
    }

    /// Where memory begins.
    pub(super) fn address(&self) -> u64 {
        self.start.get() as u64
    }

    /// The same as guest memory from address 0 on, which must not outlive this.
    pub(super) fn guest(&self, size: u64) -> Result<GuestMemoryMmap, MachineError> {
        let (rights, flags) = (rights().bits(), flags().bits());
        let start = self.reserved.as_ptr().with_addr(self.start.get()).cast();
        // SAFETY: so much is mapped there.
        let region = unsafe { MmapRegion::build_raw(start, size as usize, rights, flags) };
        let region = region.ok().and_then(|region| GuestRegionMmap::new(region, GuestAddress(0)));
        let memory = region.and_then(|region| GuestMemoryMmap::from_regions(vec![region]).ok());
        memory.ok_or_else(|| denied(Errno::EOVERFLOW))
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: these addresses are this value's, and who reaches them has ended before it.
        if let Err(errno) = unsafe { munmap(self.reserved, self.length) } {
            log::error!("a domain's memory stays mapped: {errno}");
        }
    }
}

fn rights() -> ProtFlags {
    ProtFlags::PROT_READ | ProtFlags::PROT_WRITE
}

fn flags() -> MapFlags {
    MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE
}

fn denied(errno: Errno) -> MachineError {
    MachineError::Memory { what: "a domain", cause: io::Error::from(errno) }
}

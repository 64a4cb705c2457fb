//! A domain's memory as the VMM has it mapped: pages that are the domain's alone, and behind them those
//! that others see, too.
//!
//! What a domain touches for the first time, its host must provide, page by page. On software KVM
//! that takes 15 to 25 µs a page, in large pages 512 times less often. Those lie in the host and in the
//! guest at the same place in a large page.

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::ptr::NonNull;

use nix::errno::Errno;
use nix::libc::c_void;
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, mmap_anonymous, munmap};
use vm_memory::{GuestAddress, GuestMemoryMmap, GuestRegionMmap, MmapRegion};

use super::super::lendable::{Beside, extent};
use super::{MachineError, arena};

/// Addresses of this process, until it is dropped.
#[derive(Debug)]
pub(super) struct Mapping {
    /// The domain's own memory, and what lies beside it.
    pieces: Vec<Piece>,
    start: NonZeroUsize,
}

// SAFETY: it only stands for addresses, of which no reference is made here.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

/// What was mapped by one call.
#[derive(Debug)]
struct Piece(NonNull<c_void>, NonZeroUsize);

impl Mapping {
    /// Maps `size` bytes of zeros: in large pages in `large`, which lies within and is whole ones, if
    /// the host has any, and in small ones elsewhere. What lies beside them is mapped there.
    ///
    /// # Errors
    /// If the host denies the addresses.
    pub(super) fn new(
        size: u64,
        large: &Range<u64>,
        beside: &[Beside],
    ) -> Result<Self, MachineError> {
        let length = extent(size, beside) as usize;
        let mapping = arena::place(length, |start| Self::at(start, size, beside));
        let mapping = mapping.map_err(denied)?;
        mapping.advise(&(0..size), MmapAdvise::MADV_NOHUGEPAGE);
        mapping.advise(large, MmapAdvise::MADV_HUGEPAGE);
        Ok(mapping)
    }

    fn at(start: NonZeroUsize, size: u64, beside: &[Beside]) -> Result<Self, Errno> {
        let mut mapping = Self { pieces: Vec::with_capacity(1 + beside.len()), start };
        mapping.add(0, size, |at, length| {
            let flags = own() | MapFlags::MAP_FIXED_NOREPLACE;
            // SAFETY: nothing is there, or it is refused.
            unsafe { mmap_anonymous(Some(at), length, rights(), flags) }
        })?;
        for Beside { offset, memory } in beside {
            let memory = memory.memory();
            mapping.add(*offset, memory.size(), |at, length| {
                let flags = MapFlags::MAP_SHARED | MapFlags::MAP_FIXED_NOREPLACE;
                // SAFETY: as above.
                unsafe { mmap(Some(at), length, rights(), flags, memory.file(), 0) }
            })?;
        }
        Ok(mapping)
    }

    fn add(
        &mut self,
        offset: u64,
        size: u64,
        map: impl FnOnce(NonZeroUsize, NonZeroUsize) -> Result<NonNull<c_void>, Errno>,
    ) -> Result<(), Errno> {
        let at = self.start.checked_add(offset as usize).ok_or(Errno::ENOMEM)?;
        let length = NonZeroUsize::new(size as usize).ok_or(Errno::EINVAL)?;
        let mapped = map(at, length)?;
        self.pieces.push(Piece(mapped, length));
        // Kernels before 4.17 take the address for a wish.
        if mapped.addr() == at { Ok(()) } else { Err(Errno::EEXIST) }
    }

    /// What the host does not know, memory does without.
    fn advise(&self, part: &Range<u64>, advice: MmapAdvise) {
        let (start, length) = (self.pointer(part.start), (part.end - part.start) as usize);
        if length == 0 {
            return;
        }
        // SAFETY: within these addresses; such advice changes when pages come and how large they are,
        // and not what is in them.
        if let Err(errno) = unsafe { madvise(start, length, advice) } {
            log::debug!("the host does not take {advice:?} for a domain's memory: {errno}");
        }
    }

    fn pointer(&self, offset: u64) -> NonNull<c_void> {
        let Piece(memory, _) = self.pieces[0];
        memory.with_addr(self.start.saturating_add(offset as usize))
    }

    /// Makes pages be there now. A host that cannot do that does it when they are wanted.
    pub(super) fn provide(&self, pages: &[Range<u64>]) {
        pages.iter().for_each(|pages| self.advise(pages, MmapAdvise::MADV_POPULATE_WRITE));
    }

    /// Has a part be what a file has at the same offsets. What is written there does not reach it. Every
    /// VM of the process is told, so that it is felt where there are many.
    ///
    /// # Errors
    /// If the host refuses.
    pub(super) fn show(&self, file: &File, part: &Range<u64>) -> Result<(), MachineError> {
        let Some(length) = NonZeroUsize::new((part.end - part.start) as usize) else {
            return Ok(());
        };
        let (start, flags) = (self.pointer(part.start).addr(), own() | MapFlags::MAP_FIXED);
        // SAFETY: these addresses are this value's, and there is no reference to them but to atomics.
        let mapped =
            unsafe { mmap(Some(start), length, rights(), flags, file, part.start as libc::off_t) };
        mapped.map(drop).map_err(denied)
    }

    /// Where memory begins.
    pub(super) fn address(&self) -> u64 {
        self.start.get() as u64
    }

    /// The same as guest memory from address 0 on, which must not outlive this.
    pub(super) fn guest(&self, size: u64) -> Result<GuestMemoryMmap, MachineError> {
        let (rights, flags) = (rights().bits(), own().bits());
        let start = self.pointer(0).as_ptr().cast();
        // SAFETY: so much is mapped there.
        let region = unsafe { MmapRegion::build_raw(start, size as usize, rights, flags) };
        let region = region.ok().and_then(|region| GuestRegionMmap::new(region, GuestAddress(0)));
        let memory = region.and_then(|region| GuestMemoryMmap::from_regions(vec![region]).ok());
        memory.ok_or_else(|| denied(Errno::EOVERFLOW))
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // SAFETY: these addresses are this value's, and who reaches them has ended before it.
        if let Err(errno) = unsafe { munmap(self.0, self.1.get()) } {
            log::error!("a domain's memory stays mapped: {errno}");
        }
    }
}

fn rights() -> ProtFlags {
    ProtFlags::PROT_READ | ProtFlags::PROT_WRITE
}

/// Of memory that is the domain's alone.
fn own() -> MapFlags {
    MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE
}

fn denied(errno: Errno) -> MachineError {
    MachineError::Memory { what: "a domain", cause: io::Error::from(errno) }
}

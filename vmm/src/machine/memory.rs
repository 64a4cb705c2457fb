//! Guest memory that can be rolled back: to its image, or to a checkpoint.
//!
//! A domain's memory begins as a memory file, the *base*: segments, page tables, descriptors,
//! everything. The domain gets a *private* mapping of it. Pages that it never writes stay shared
//! with the base; pages that it writes become its own. A checkpoint brings the base up to what the
//! domain has by then, and keeps what was there before.
//!
//! A roll-back makes the written pages equal the base again: they are copied, or zeroed where the
//! base has nothing. So they stay mapped, and nobody will fault on them. Very many are dropped
//! instead, so that the next access finds the base's contents; but those that were written before
//! the checkpoint are copied even then, since a server that has just begun touches them first. What
//! of those the server leaves alone afterwards, the first roll-back drops, if it is much.
//!
//! Pages that the VMM has for the domain before that asks for them, KVM maps eight at a time, and others
//! one by one. So the domain gets its code and constants as pages of its own from the beginning. They
//! count as written only once this process has written there, since the domain cannot.
//!
//! Where an image has nothing, memory can come in large pages. There it is the domain's own from
//! the beginning, and the base holds what the checkpoint has. Nothing lies beneath a page that is
//! dropped, so large pages of which the checkpoint has a part are always copied.

mod constants;
mod contents;
mod mapping;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use atoll_ipc::abi::{Control, layout};
use nix::sys::memfd::{MFdFlags, memfd_create};
use vm_memory::{
    Bytes, FileOffset, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestRegionMmap,
    MmapRegion,
};

use super::MachineError;
use super::extents::extents;
use super::ranges::{common, length_of, union, without};
use super::written::written;

use constants::Constants;
use mapping::Mapping;

pub use contents::{Contents, Validity};

/// Written memory up to this size is copied back or zeroed, more is dropped. A page takes 0.1 to
/// 0.3 us; to drop it takes less, but what was dropped must be mapped again, in the VMM and in the
/// guest. On software KVM, 16 MiB take 12 ms in that way, and 2 to 3 ms in the other.
const COPY_MAX: u64 = 32 << 20;

/// A stretch from this size on that the first roll-back after a checkpoint finds as it was is
/// dropped: what was written to while the server began, and never since, needs no copy each time.
/// Should it be wanted after all, each of its pages must be mapped once more, as a page that was
/// never written to. Smaller ones are not worth that.
const COLD_MIN: u64 = 256 << 10;
const PAGE: u64 = layout::PAGE;
const LARGE_PAGE: u64 = layout::LARGE_PAGE;

/// One domain's memory.
#[derive(Debug)]
pub struct DomainMemory {
    guest: GuestMemoryMmap,
    base: GuestMemoryMmap,
    host_address: u64,
    base_address: u64,
    size: u64,
    /// Where it comes in large pages, if the host has any: whole ones, or none.
    large: Range<u64>,
    constants: Constants,
    state: Mutex<State>,
    // Dropped after what reaches it.
    _mapping: Mapping,
}

/// What the base is like.
#[derive(Debug)]
struct State {
    /// Where it has more than zeros, as offsets in their order. (To zero a page is faster than to
    /// copy one.)
    data: Vec<Range<u64>>,
    checkpoint: Option<Checkpoint>,
}

/// How the base differs from the image, once there is a checkpoint.
#[derive(Debug)]
struct Checkpoint {
    /// Pages that were written before it, as offsets in their order.
    pages: Vec<Range<u64>>,
    /// Where the image has more than zeros.
    image: Vec<Range<u64>>,
    /// What it has in the pages of both.
    originals: Vec<u8>,
    /// Whether a roll-back has looked for what is cold.
    is_sifted: bool,
    validity: Validity,
}

/// What a roll-back did, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RolledBack {
    /// Copied back.
    pub copied: u64,
    /// Dropped.
    pub dropped: u64,
}

impl DomainMemory {
    /// Makes `size` bytes of memory whose image `fill` writes. What is not written is zero.
    ///
    /// # Errors
    /// If the host denies the memory, and `fill`'s own.
    pub fn build(
        size: u64,
        fill: impl FnOnce(&GuestMemoryMmap) -> Result<(), MachineError>,
    ) -> Result<Self, MachineError> {
        Self::build_with_large(size, 0..0, fill)
    }

    /// The same, in large pages where whole ones are in `large`, in which the image has nothing.
    ///
    /// # Errors
    /// As [`DomainMemory::build`], and [`MachineError::OutOfBounds`] if it has something there.
    pub fn build_with_large(
        size: u64,
        large: Range<u64>,
        fill: impl FnOnce(&GuestMemoryMmap) -> Result<(), MachineError>,
    ) -> Result<Self, MachineError> {
        let end = large.end.min(size) / LARGE_PAGE * LARGE_PAGE;
        let large = large.start.next_multiple_of(LARGE_PAGE).min(end)..end;
        let file = memory_file(size)?;
        let mapping = Mapping::new(&file, size, &large)?;
        let base = map_shared(file.try_clone(), size)?;
        fill(&base)?;
        let data = extents(&file)
            .map_err(|cause| MachineError::Memory { what: "finding an image's pages", cause })?;
        if let Some(stray) = common(&data, std::slice::from_ref(&large)).first() {
            return Err(MachineError::OutOfBounds { address: stray.start });
        }
        let guest = mapping.guest(size)?;
        let (host_address, base_address) = (mapping.address(), address_of(&base)?);
        let state = Mutex::new(State { data, checkpoint: None });
        Ok(Self {
            guest,
            base,
            host_address,
            base_address,
            size,
            large,
            constants: Constants::default(),
            state,
            _mapping: mapping,
        })
    }

    /// Where the VMM has it mapped.
    pub fn host_address(&self) -> u64 {
        self.host_address
    }

    /// Bytes of memory.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// From now on, a roll-back leads here. No vCPU may run.
    ///
    /// # Errors
    /// If the host does not tell what was written.
    pub fn take_checkpoint(&self) -> Result<(), MachineError> {
        let written = self.written()?;
        let mut state = self.lock();
        let pages = self.worth_keeping(&written, &state.data);
        let originals = self.originals(&common(&pages, &state.data));
        for range in &pages {
            let (offset, length) = (range.start as usize, (range.end - range.start) as usize);
            let base = (self.base_address as *mut u8).wrapping_add(offset);
            let guest = (self.host_address as *const u8).wrapping_add(offset);
            // SAFETY: the range is within both mappings, which live as long as `self` and do not
            // overlap; the vCPUs stand still, and nobody else writes the base.
            unsafe { base.copy_from_nonoverlapping(guest, length) };
        }
        let all = union(&state.data, &pages);
        let image = std::mem::replace(&mut state.data, all);
        let validity = Validity::Lasting;
        state.checkpoint = Some(Checkpoint { pages, image, originals, is_sifted: false, validity });
        Ok(())
    }

    /// Which of the written pages the base must have. Of a large page mostly a part is in use, and
    /// the base is zero where nothing was.
    fn worth_keeping(&self, written: &[Range<u64>], data: &[Range<u64>]) -> Vec<Range<u64>> {
        let (small, large) = self.by_size(written);
        let mut kept = common(&large, data);
        for at in large.iter().flat_map(|range| range.clone().step_by(PAGE as usize)) {
            if *self.page_at(self.host_address, at) != [0; PAGE as usize] {
                kept.push(at..at + PAGE);
            }
        }
        union(&small, &kept)
    }

    /// Those ranges in small pages, and those in large ones.
    fn by_size(&self, ranges: &[Range<u64>]) -> (Vec<Range<u64>>, Vec<Range<u64>>) {
        let large = std::slice::from_ref(&self.large);
        (without(ranges, large), common(ranges, large))
    }

    /// A page of the domain or of the base. No vCPU may run, and the offset is that of a page.
    fn page_at(&self, address: u64, offset: u64) -> &[u8; PAGE as usize] {
        let page = (address as *const [u8; PAGE as usize]).wrapping_byte_add(offset as usize);
        // SAFETY: the page is within either mapping, which live as long as `self`; the vCPUs stand
        // still, and nobody else writes.
        unsafe { &*page }
    }

    /// What the base has in some ranges.
    fn originals(&self, kept: &[Range<u64>]) -> Vec<u8> {
        let mut originals = Vec::with_capacity(length_of(kept) as usize);
        for range in kept {
            let (offset, length) = (range.start as usize, (range.end - range.start) as usize);
            let base = (self.base_address as *const u8).wrapping_add(offset);
            // SAFETY: the range is within the mapping, which lives as long as `self`, and nobody
            // writes it meanwhile.
            originals.extend_from_slice(unsafe { std::slice::from_raw_parts(base, length) });
        }
        originals
    }

    fn write_base(&self, address: u64, bytes: &[u8]) -> Result<(), MachineError> {
        self.base
            .write_slice(bytes, GuestAddress(address))
            .map_err(|_| MachineError::OutOfBounds { address })
    }

    /// Whether a roll-back leads to a checkpoint.
    pub fn has_checkpoint(&self) -> bool {
        self.lock().checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.validity.leads())
    }

    /// Forgets everything that was written since the checkpoint, or since
    /// [`DomainMemory::build`] without one. No vCPU may run.
    ///
    /// # Errors
    /// If the host refuses.
    pub fn roll_back(&self) -> Result<RolledBack, MachineError> {
        let written = self.written()?;
        let mut state = self.lock();
        let State { data, checkpoint } = &mut *state;
        let drop = if length_of(&written) > COPY_MAX {
            let first = checkpoint.as_ref().map_or(&[][..], |checkpoint| &checkpoint.pages);
            let first = if length_of(first) <= COPY_MAX { first } else { &[] };
            without(&without(&written, first), &self.large_pages_of(data))
        } else {
            match checkpoint {
                Some(Checkpoint { is_sifted: is_sifted @ false, pages, .. }) => {
                    *is_sifted = true;
                    self.cold(&self.by_size(&common(&written, pages)).0)
                }
                _ => Vec::new(),
            }
        };
        drop.iter().try_for_each(|range| self.drop_pages(range.clone()))?;
        let copy = without(&written, &drop);
        self.copy_back(&copy, data);
        Ok(RolledBack { copied: length_of(&copy), dropped: length_of(&drop) })
    }

    /// The whole large pages in which something is of these ranges.
    fn large_pages_of(&self, ranges: &[Range<u64>]) -> Vec<Range<u64>> {
        let whole = |range: &Range<u64>| {
            let start = range.start / LARGE_PAGE * LARGE_PAGE;
            start..range.end.next_multiple_of(LARGE_PAGE)
        };
        let large: Vec<_> = self.by_size(ranges).1.iter().map(whole).collect();
        union(&large, &[])
    }

    /// The long stretches of `ranges`, which are in small pages, that equal the base, which has
    /// pages in all of them.
    fn cold(&self, ranges: &[Range<u64>]) -> Vec<Range<u64>> {
        let pages = ranges.iter().flat_map(|range| range.clone().step_by(PAGE as usize));
        let is_equal =
            |at: &u64| self.page_at(self.host_address, *at) == self.page_at(self.base_address, *at);
        let equal: Vec<_> = pages.filter(is_equal).map(|at| at..at + PAGE).collect();
        let mut cold = union(&equal, &[]);
        cold.retain(|range| range.end - range.start >= COLD_MIN);
        cold
    }

    /// Forgets the checkpoint, and everything that was written since [`DomainMemory::build`]. No
    /// vCPU may run.
    ///
    /// # Errors
    /// If the host refuses.
    pub fn return_to_image(&self) -> Result<RolledBack, MachineError> {
        let mut state = self.lock();
        if let Some(Checkpoint { pages, image, originals, .. }) = state.checkpoint.take() {
            let mut rest = &originals[..];
            for range in common(&pages, &image) {
                let (original, others) = rest.split_at((range.end - range.start) as usize);
                self.write_base(range.start, original)?;
                rest = others;
            }
            without(&pages, &image).into_iter().try_for_each(|range| self.punch(range))?;
            state.data = image;
        }
        drop(state);
        self.roll_back()
    }

    /// Gives pages of the base back: they are zero again, and take nothing. Pages that the domain
    /// has written are its own, and stay.
    fn punch(&self, range: Range<u64>) -> Result<(), MachineError> {
        let region = self.base.iter().next().and_then(|region| region.file_offset());
        let file = region.ok_or(MachineError::OutOfBounds { address: range.start })?.file();
        let how = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        let (offset, length) = (range.start as libc::off_t, (range.end - range.start) as _);
        // SAFETY: changes the contents of an open file, which is mapped, but to which no reference
        // exists.
        match unsafe { libc::fallocate(file.as_raw_fd(), how, offset, length) } {
            0 => Ok(()),
            _ => Err(MachineError::Memory {
                what: "forgetting a checkpoint",
                cause: io::Error::last_os_error(),
            }),
        }
    }

    /// Where there is memory at all, as offsets in their order: everything else is zero, and
    /// reading it would only make the host provide it.
    ///
    /// # Errors
    /// If the host does not tell.
    pub fn populated(&self) -> Result<Vec<Range<u64>>, MachineError> {
        let unknown = |cause| MachineError::Memory { what: "finding memory in use", cause };
        let written = self.written()?;
        let region = self.base.iter().next();
        match region.and_then(|region| region.file_offset()) {
            Some(base) => Ok(union(&written, &extents(base.file()).map_err(unknown)?)),
            None => Ok(written),
        }
    }

    /// What was written since [`DomainMemory::build`] or the last roll-back that dropped it, as
    /// offsets.
    ///
    /// # Errors
    /// If the host does not tell.
    pub fn written(&self) -> Result<Vec<Range<u64>>, MachineError> {
        Ok(without(&self.own()?, self.constants.untouched()))
    }

    /// Where pages are the domain's own.
    fn own(&self) -> Result<Vec<Range<u64>>, MachineError> {
        let start = self.host_address;
        let ranges = written(start..start + self.size)
            .map_err(|cause| MachineError::Memory { what: "finding written pages", cause })?;
        Ok(ranges.into_iter().map(|range| range.start - start..range.end - start).collect())
    }

    /// Makes written ranges equal the base, which has pages in `data`.
    fn copy_back(&self, ranges: &[Range<u64>], data: &[Range<u64>]) {
        let holes = without(ranges, data);
        for range in &holes {
            let guest = (self.host_address as *mut u8).wrapping_add(range.start as usize);
            // SAFETY: as below.
            unsafe { guest.write_bytes(0, (range.end - range.start) as usize) };
        }
        for range in without(ranges, &holes) {
            let (offset, length) = (range.start as usize, (range.end - range.start) as usize);
            let guest = (self.host_address as *mut u8).wrapping_add(offset);
            let base = (self.base_address as *const u8).wrapping_add(offset);
            // SAFETY: the range is within both mappings, which live as long as `self` and do not
            // overlap. No reference into the guest's exists but to atomics, and the vCPUs stand
            // still.
            unsafe { guest.copy_from_nonoverlapping(base, length) };
        }
    }

    fn drop_pages(&self, range: Range<u64>) -> Result<(), MachineError> {
        let address = (self.host_address + range.start) as *mut libc::c_void;
        let length = (range.end - range.start) as usize;
        // SAFETY: within the domain's mapping, which is private: dropping its pages changes their
        // contents to the base's, or to zeros, and unmaps nothing. No reference into it exists but
        // to atomics, and the vCPUs stand still.
        let result = unsafe { libc::madvise(address, length, libc::MADV_DONTNEED) };
        if result == 0 {
            return Ok(());
        }
        Err(MachineError::Memory {
            what: "rolling a domain back",
            cause: io::Error::last_os_error(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fills `bytes` from guest memory.
    ///
    /// # Errors
    /// If the range is not all memory.
    pub fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), MachineError> {
        self.guest
            .read_slice(bytes, GuestAddress(address))
            .map_err(|_| MachineError::OutOfBounds { address })
    }

    /// Reads the word at an address.
    ///
    /// # Errors
    /// If it is not all in memory.
    pub fn read_word(&self, address: u64) -> Result<u64, MachineError> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Writes guest memory.
    ///
    /// # Errors
    /// If the range is not all memory.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<(), MachineError> {
        self.constants.touch(address..address.saturating_add(bytes.len() as u64));
        self.guest
            .write_slice(bytes, GuestAddress(address))
            .map_err(|_| MachineError::OutOfBounds { address })
    }

    /// A control page. The guest may be writing it at any time.
    ///
    /// # Errors
    /// If the address is not that of a page of memory.
    pub fn control(&self, address: u64) -> Result<&Control, MachineError> {
        let fits = address.is_multiple_of(layout::PAGE) && address + layout::PAGE <= self.size;
        if !fits {
            return Err(MachineError::OutOfBounds { address });
        }
        // SAFETY: in bounds of the mapping, which lives as long as `self`, and aligned; the type
        // is made of atomics, for which any bits are valid and races are defined.
        Ok(unsafe { &*((self.host_address + address) as *const Control) })
    }
}

/// A file in memory, gone with its last descriptor and mapping, whatever ends the process.
pub fn memory_file(size: u64) -> Result<File, MachineError> {
    let denied = |cause| MachineError::Memory { what: "a memory file", cause };
    let fd: OwnedFd = memfd_create("atoll", MFdFlags::MFD_CLOEXEC)
        .map_err(|errno| denied(io::Error::from(errno)))?;
    let file = File::from(fd);
    file.set_len(size).map_err(denied)?;
    Ok(file)
}

fn address_of(memory: &GuestMemoryMmap) -> Result<u64, MachineError> {
    let region = memory.iter().next().ok_or(MachineError::OutOfBounds { address: 0 })?;
    Ok(region.as_ptr() as u64)
}

fn map_shared(file: io::Result<File>, size: u64) -> Result<GuestMemoryMmap, MachineError> {
    let denied = |cause| MachineError::Memory { what: "a domain", cause };
    let file = file.map_err(denied)?;
    let other = |error: &dyn std::fmt::Display| denied(io::Error::other(error.to_string()));
    let region = MmapRegion::from_file(FileOffset::new(file, 0), size as usize)
        .map_err(|error| other(&error))?;
    let region = GuestRegionMmap::new(region, GuestAddress(0))
        .ok_or_else(|| other(&"the size overflows"))?;
    GuestMemoryMmap::from_regions(vec![region]).map_err(|error| other(&error))
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

//! Guest memory that can be rolled back: to its image, or to a checkpoint.
//!
//! A domain's memory is its own, page by page as it comes to write them. What the image has is written
//! there, and can be written again. A checkpoint copies what the domain has by then to the *base*, a
//! memory file that no guest reaches.
//!
//! A roll-back makes the written pages equal the base again: they are copied, or zeroed where the
//! base has nothing. So they stay mapped, and nobody will fault on them. Of very many, those that are to
//! be zero are dropped instead, and long stretches of others are shown from the base; but those that were
//! written before the checkpoint are copied even then, since a server that has just begun touches them
//! first. What of those the server leaves alone afterwards, the first roll-back shows from the base, if
//! it is much.
//!
//! What a domain touches first is there before that: KVM maps what it touches page by page, on software
//! KVM at 30 us each, and up to seven pages around if this process has them and could write them. What
//! the domain cannot write, its code, constants and page tables, is left alone by checkpoint and
//! roll-back, unless this process writes there.

mod arena;
mod base;
mod contents;
mod mapping;

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use atoll_ipc::abi::{Control, layout};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use super::MachineError;
use super::lendable::{Beside, extent};
use super::ranges::{common, length_of, union, without};
use super::written::written;

use base::Base;
use mapping::Mapping;

pub use contents::{Contents, Validity};

/// Written memory up to this size is copied back or zeroed, more is dropped. A page takes 0.1 to
/// 0.3 us; to drop it takes less, but what was dropped must be mapped again, in the VMM and in the
/// guest. On software KVM, 16 MiB take 12 ms in that way, and 2 to 3 ms in the other.
const COPY_MAX: u64 = 32 << 20;

/// A stretch from this size on that the first roll-back after a checkpoint finds as it was is shown
/// from the base: what was written to while the server began, and never since, needs no copy each time.
/// Should it be wanted after all, each of its pages must be mapped once more, as a page that was
/// never written to. Smaller ones are not worth that.
const COLD_MIN: u64 = 256 << 10;
const PAGE: u64 = layout::PAGE;
const LARGE_PAGE: u64 = layout::LARGE_PAGE;

/// How a domain's memory is to be.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Bytes of it.
    pub size: u64,
    /// Where it comes in large pages, if whole ones are in it and the host has any. The image has
    /// nothing there.
    pub large: Range<u64>,
    /// What is there from the beginning, as offsets in their order.
    pub first: Vec<Range<u64>>,
    /// What lies behind it, in its order.
    pub beside: Vec<Beside>,
}

impl Shape {
    /// So many bytes, in small pages that come when they are wanted.
    pub const fn of(size: u64) -> Self {
        Self { size, large: 0..0, first: Vec::new(), beside: Vec::new() }
    }
}

/// What writes an image. It tells where the domain cannot write, as offsets of pages in their order.
type Fill = Box<dyn Fn(&GuestMemoryMmap) -> Result<Vec<Range<u64>>, MachineError> + Send + Sync>;

/// One domain's memory.
pub struct DomainMemory {
    guest: GuestMemoryMmap,
    base: Base,
    host_address: u64,
    size: u64,
    /// Where it comes in large pages, if the host has any: whole ones, or none.
    large: Range<u64>,
    fill: Fill,
    /// What the domain cannot write, as offsets in their order.
    constants: Vec<Range<u64>>,
    state: Mutex<State>,
    // Dropped after what reaches it.
    mapping: Mapping,
    beside: Vec<Beside>,
}

impl fmt::Debug for DomainMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DomainMemory").field("size", &self.size).finish_non_exhaustive()
    }
}

/// What the memory is like.
#[derive(Debug, Default)]
struct State {
    checkpoint: Option<Checkpoint>,
    /// This process has written constants since they were as the checkpoint or the image has them.
    is_spoilt: bool,
}

impl State {
    /// What is as the image has it, where `all` is what the domain cannot write.
    fn constants<'s>(&'s self, all: &'s [Range<u64>]) -> &'s [Range<u64>] {
        match &self.checkpoint {
            _ if self.is_spoilt => &[],
            Some(checkpoint) => &checkpoint.constants,
            None => all,
        }
    }
}

#[derive(Debug)]
struct Checkpoint {
    /// What the base has, as offsets of pages in their order. (To zero a page is faster than to copy one.)
    pages: Vec<Range<u64>>,
    /// What is as the image has it, and not in the base.
    constants: Vec<Range<u64>>,
    /// Whether a roll-back has looked for what is cold.
    is_sifted: bool,
    validity: Validity,
}

/// What a roll-back did, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RolledBack {
    /// Copied back.
    pub copied: u64,
    /// Dropped, or shown from the base.
    pub dropped: u64,
}

impl DomainMemory {
    /// Makes `size` bytes of memory whose image `fill` writes. What is not written is zero.
    ///
    /// # Errors
    /// If the host denies the memory, and `fill`'s own.
    pub fn build(
        size: u64,
        fill: impl Fn(&GuestMemoryMmap) -> Result<(), MachineError> + Send + Sync + 'static,
    ) -> Result<Self, MachineError> {
        Self::build_in(Shape::of(size), move |memory| fill(memory).map(|()| Vec::new()))
    }

    /// The same in another shape. `fill` tells, too, what the domain cannot write, as offsets of pages
    /// in their order.
    ///
    /// # Errors
    /// As [`DomainMemory::build`], and [`MachineError::OutOfBounds`] if the image has something where
    /// pages are large.
    pub fn build_in(
        shape: Shape,
        fill: impl Fn(&GuestMemoryMmap) -> Result<Vec<Range<u64>>, MachineError> + Send + Sync + 'static,
    ) -> Result<Self, MachineError> {
        let Shape { size, large, first, beside } = shape;
        let end = large.end.min(size) / LARGE_PAGE * LARGE_PAGE;
        let large = large.start.next_multiple_of(LARGE_PAGE).min(end)..end;
        let mapping = Mapping::new(size, &large, &beside)?;
        mapping.provide(&first);
        beside.iter().for_each(|it| mapping.provide(&it.first()));
        let (guest, host_address) = (mapping.guest(size)?, mapping.address());
        let constants = fill(&guest)?;
        if let Some(stray) = own(host_address, &large)?.first() {
            return Err(MachineError::OutOfBounds { address: stray.start });
        }
        let (fill, base, state) = (Box::new(fill) as Fill, Base::new(size)?, Mutex::default());
        Ok(Self { guest, base, host_address, size, large, fill, constants, state, mapping, beside })
    }

    /// Where the VMM has it mapped.
    pub fn host_address(&self) -> u64 {
        self.host_address
    }

    /// Bytes of memory.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The same with what lies beside it.
    pub fn extent(&self) -> u64 {
        extent(self.size, &self.beside)
    }

    /// From now on, a roll-back leads here. No vCPU may run.
    ///
    /// # Errors
    /// If the host does not tell what was written, or has no memory.
    pub fn take_checkpoint(&self) -> Result<(), MachineError> {
        self.keep_all(Validity::Lasting)
    }

    fn keep_all(&self, validity: Validity) -> Result<(), MachineError> {
        let own = self.own()?;
        let mut state = self.lock();
        let constants = state.constants(&self.constants).to_vec();
        let pages = self.worth_keeping(&without(&own, &constants));
        self.keep(&pages)?;
        let checkpoint = Checkpoint { pages, constants, is_sifted: false, validity };
        *state = State { checkpoint: Some(checkpoint), is_spoilt: false };
        Ok(())
    }

    /// Has the base what the domain has in these ranges. No vCPU may run.
    fn keep(&self, ranges: &[Range<u64>]) -> Result<(), MachineError> {
        for range in ranges {
            let (start, length) = (range.start as usize, (range.end - range.start) as usize);
            let memory = (self.host_address as *const u8).wrapping_add(start);
            // SAFETY: within the mapping, which lives as long as `self`; the vCPUs stand still, and
            // nobody else writes.
            let bytes = unsafe { std::slice::from_raw_parts(memory, length) };
            self.base.write(range.start, bytes)?;
        }
        Ok(())
    }

    /// Which of the written pages the base must have. Of large pages mostly a part is in use, and so of
    /// what was provided; the base is zero where nothing was. What may turn out to be cold it has whole.
    fn worth_keeping(&self, written: &[Range<u64>]) -> Vec<Range<u64>> {
        let (small, large) = self.by_size(written);
        let (whole, short): (Vec<_>, Vec<_>) =
            small.into_iter().partition(|range| range.end - range.start >= COLD_MIN);
        let mut kept = Vec::new();
        for at in
            union(&short, &large).iter().flat_map(|range| range.clone().step_by(PAGE as usize))
        {
            if *self.page(at) != [0; PAGE as usize] {
                kept.push(at..at + PAGE);
            }
        }
        union(&whole, &kept)
    }

    /// Those ranges in small pages, and those in large ones.
    fn by_size(&self, ranges: &[Range<u64>]) -> (Vec<Range<u64>>, Vec<Range<u64>>) {
        let large = std::slice::from_ref(&self.large);
        (without(ranges, large), common(ranges, large))
    }

    /// A page of the domain, whose offset this is. No vCPU may run.
    fn page(&self, offset: u64) -> &[u8; PAGE as usize] {
        assert!(offset.is_multiple_of(PAGE) && offset < self.size, "no page is at {offset:#x}");
        let page =
            (self.host_address as *const [u8; PAGE as usize]).wrapping_byte_add(offset as usize);
        // SAFETY: the page is within the mapping, which lives as long as `self`; the vCPUs stand still,
        // and nobody else writes.
        unsafe { &*page }
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
        let mut state = self.lock();
        let State { checkpoint: Some(checkpoint), is_spoilt } = &mut *state else {
            drop(state);
            return self.return_to_image();
        };
        if std::mem::take(is_spoilt) {
            // What else the image has is written then, and so taken back.
            self.zero(&checkpoint.constants);
            (self.fill)(&self.guest)?;
        }
        let written = without(&self.own()?, &checkpoint.constants);
        let Checkpoint { pages, is_sifted, .. } = checkpoint;
        let drop = if length_of(&written) > COPY_MAX {
            let first = if length_of(pages) <= COPY_MAX { &pages[..] } else { &[] };
            without(&without(&written, first), &self.large_pages_of(pages))
        } else if std::mem::replace(is_sifted, true) {
            Vec::new()
        } else {
            self.cold(&self.by_size(&common(&written, pages)).0)
        };
        let drop = without(&drop, &self.too_short(&common(&drop, pages)));
        self.show_base(&drop, pages)?;
        let copy = without(&written, &drop);
        self.copy_back(&copy, pages);
        Ok(RolledBack { copied: length_of(&copy), dropped: length_of(&drop) })
    }

    /// Has pages be those of the base without copying them: where that has nothing, there are none any
    /// more, and the rest is mapped.
    fn show_base(&self, ranges: &[Range<u64>], data: &[Range<u64>]) -> Result<(), MachineError> {
        without(ranges, data).into_iter().try_for_each(|range| self.drop_pages(range))?;
        let shown = common(ranges, data);
        shown.iter().try_for_each(|range| self.mapping.show(self.base.file(), range))
    }

    /// Those that are not worth a mapping of their own.
    fn too_short(&self, ranges: &[Range<u64>]) -> Vec<Range<u64>> {
        ranges.iter().filter(|range| range.end - range.start < COLD_MIN).cloned().collect()
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
        let is_equal = |at: &u64| self.page(*at) == self.base.page(*at);
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
        *self.lock() = State::default();
        self.base.empty()?;
        let own = self.own()?;
        let (copied, dropped) =
            if length_of(&own) > COPY_MAX { (Vec::new(), own) } else { (own, Vec::new()) };
        self.zero(&copied);
        self.show_base(&dropped, &[])?;
        (self.fill)(&self.guest)?;
        Ok(RolledBack { copied: length_of(&copied), dropped: length_of(&dropped) })
    }

    /// Where there is memory at all, as offsets in their order: everything else is zero, and
    /// reading it would only make the host provide it.
    ///
    /// # Errors
    /// If the host does not tell.
    pub fn populated(&self) -> Result<Vec<Range<u64>>, MachineError> {
        Ok(union(&self.own()?, &self.base.extents()?))
    }

    /// Pages that were written, by the domain or for it, as offsets; but for those that are constant.
    ///
    /// # Errors
    /// If the host does not tell.
    pub fn written(&self) -> Result<Vec<Range<u64>>, MachineError> {
        Ok(without(&self.own()?, self.lock().constants(&self.constants)))
    }

    /// Where pages are the domain's own.
    fn own(&self) -> Result<Vec<Range<u64>>, MachineError> {
        own(self.host_address, &(0..self.size))
    }

    /// Makes written ranges equal the base, which has pages in `data`.
    fn copy_back(&self, ranges: &[Range<u64>], data: &[Range<u64>]) {
        let holes = without(ranges, data);
        self.zero(&holes);
        for range in without(ranges, &holes) {
            let (offset, length) = (range.start as usize, (range.end - range.start) as usize);
            let guest = (self.host_address as *mut u8).wrapping_add(offset);
            let base = (self.base.address() as *const u8).wrapping_add(offset);
            // SAFETY: the range is within both mappings, which live as long as `self` and do not
            // overlap. No reference into the guest's exists but to atomics, and the vCPUs stand
            // still.
            unsafe { guest.copy_from_nonoverlapping(base, length) };
        }
    }

    fn zero(&self, ranges: &[Range<u64>]) {
        for range in ranges {
            let guest = (self.host_address as *mut u8).wrapping_add(range.start as usize);
            // SAFETY: as above.
            unsafe { guest.write_bytes(0, (range.end - range.start) as usize) };
        }
    }

    fn drop_pages(&self, range: Range<u64>) -> Result<(), MachineError> {
        let address = (self.host_address + range.start) as *mut libc::c_void;
        let length = (range.end - range.start) as usize;
        // SAFETY: within the domain's mapping, which is private: dropping its pages makes them zero, or
        // what the base has where that is shown, and unmaps nothing. No reference into it exists but to
        // atomics, and the vCPUs stand still.
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
        let end = address.saturating_add(bytes.len() as u64);
        if self.constants.iter().any(|pages| pages.start < end && address < pages.end) {
            self.lock().is_spoilt = true;
        }
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

/// Where pages in a part of what is mapped there are the domain's own, as offsets.
fn own(start: u64, part: &Range<u64>) -> Result<Vec<Range<u64>>, MachineError> {
    if part.is_empty() {
        return Ok(Vec::new());
    }
    let ranges = written(start + part.start..start + part.end)
        .map_err(|cause| MachineError::Memory { what: "finding written pages", cause })?;
    Ok(ranges.into_iter().map(|range| range.start - start..range.end - start).collect())
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

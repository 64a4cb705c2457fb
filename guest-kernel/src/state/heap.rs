//! The arena's heap. All that it needs to go on after a restart lies in the region: the allocator
//! itself in the first page, its lists and blocks behind the root.

use core::alloc::Layout;
use core::ptr::null_mut;

use atoll_ipc::state::HEAD;
use talc::DefaultBinning;
use talc::base::Talc;
use talc::source::Manual;

use super::Region;
use super::gate::{self, LOCK};

pub(super) type Heap = Talc<Manual, DefaultBinning>;

/// Where the allocator is, behind the stamps and the gate.
const PLACE: usize = 1024;

const _: () =
    assert!(PLACE + size_of::<Heap>() <= HEAD && PLACE.is_multiple_of(align_of::<Heap>()));

/// What an arena's heap has given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes that are allocated.
    pub used: usize,
    /// How many blocks they are in.
    pub blocks: usize,
    /// Bytes that are free, what is lost between blocks not counted.
    pub free: usize,
    /// Stretches that are free.
    pub gaps: usize,
}

pub(super) fn usage(region: Region) -> Usage {
    let _guard = LOCK.lock();
    // SAFETY: the lock is held, and an arena is open.
    let counters = unsafe { (*place(region)).counters() };
    Usage {
        used: counters.allocated_bytes,
        blocks: counters.allocation_count,
        free: counters.available_bytes,
        gaps: counters.fragment_count,
    }
}

pub(super) fn place(region: Region) -> *mut Heap {
    // Within the region: an arena's is larger than a page.
    region.address().wrapping_add(PLACE).cast()
}

/// Makes an empty heap in the region from an offset on.
///
/// # Safety
/// The gate must be open, and nothing of the region from there on be in use.
pub(super) unsafe fn make(region: Region, from: usize) {
    let _guard = LOCK.lock();
    let size = region.bytes() as usize - from;
    // SAFETY: the place is in the region's first page, aligned, and the lock is held; the range is
    // the heap's alone by this function's contract.
    unsafe {
        place(region).write(Heap::new(Manual));
        (*place(region)).claim(region.address().wrapping_add(from), size);
    }
}

/// A block of the arena's heap, or null.
///
/// # Safety
/// As [`core::alloc::GlobalAlloc::alloc`], in an edit.
pub(crate) unsafe fn allocate(layout: Layout) -> *mut u8 {
    let active = LOCK.lock();
    let Some(region) = *active else { return null_mut() };
    // SAFETY: the lock is held, and whoever is in an edit has a heap there; the rest by this
    // function's contract.
    unsafe { (*place(region)).allocate(layout) }.map_or(null_mut(), |block| block.as_ptr())
}

/// Takes a block back, in an edit or not.
///
/// # Safety
/// As [`core::alloc::GlobalAlloc::dealloc`]; the block is the arena's.
pub(crate) unsafe fn free(block: *mut u8, layout: Layout) {
    let active = LOCK.lock();
    let Some(region) = *active else { return };
    // SAFETY: the lock is held, and a heap that gave out the block is there; the rest by this
    // function's contract.
    gate::amid(region, || unsafe { (*place(region)).deallocate(block, layout) });
}

/// Gives a block another size, in an edit or not: the same one, another one, or null.
///
/// # Safety
/// As [`core::alloc::GlobalAlloc::realloc`]; the block is the arena's.
pub(crate) unsafe fn resize(block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
    let active = LOCK.lock();
    let Some(region) = *active else { return null_mut() };
    // SAFETY: as in `free`; the new block is another one, and as large as what is copied.
    gate::amid(region, || unsafe {
        let heap = &mut *place(region);
        if heap.try_realloc_in_place(block, layout, size) {
            return block;
        }
        let larger = Layout::from_size_align_unchecked(size, layout.align());
        let Some(moved) = heap.allocate(larger) else { return null_mut() };
        moved.as_ptr().copy_from_nonoverlapping(block, layout.size().min(size));
        heap.deallocate(block, layout);
        moved.as_ptr()
    })
}

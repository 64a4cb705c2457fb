//! The heap: all memory behind the stacks, managed by `talc`.
//!
//! The allocator marks the end of what it has. So it has one cluster until it wants more, and a server that
//! needs no more touches nothing beyond: each page that is touched for the first time costs a fault.
//!
//! What is allocated while an [arena](crate::state) is edited comes from that arena's own heap
//! instead. What is given back, or grows, does so where it lies.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;

use atoll_ipc::abi::layout::CLUSTER;
use spinning_top::RawSpinlock;
use talc::TalcLock;
use talc::base::Talc;
use talc::base::binning::Binning;
use talc::source::Source;

use crate::{boot, state};

static HEAP: TalcLock<RawSpinlock, Rest> = TalcLock::new(Rest { start: 0, end: 0 });

#[global_allocator]
static HEAPS: Heaps = Heaps;

/// What of the heap the allocator does not have yet, as addresses.
#[derive(Debug)]
struct Rest {
    start: usize,
    end: usize,
}

// SAFETY: it reaches no allocator but through `talc`.
unsafe impl Source for Rest {
    /// Gives all of it.
    #[cold]
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, _: Layout) -> Result<(), ()> {
        let Self { start, end } = talc.source;
        let had = NonNull::new(start as *mut u8).filter(|_| start < end).ok_or(())?;
        talc.source.start = end;
        // SAFETY: what the allocator has ends there, since `adopt`, and what follows is the heap's.
        unsafe { talc.extend(had, end as *mut u8) };
        Ok(())
    }
}

/// The heap and the arena's as one allocator.
struct Heaps;

// SAFETY: each block belongs to one of two allocators that keep this trait's contract, and its
// address tells for all its life which it is.
unsafe impl GlobalAlloc for Heaps {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if state::is_editing() {
            // SAFETY: by this function's contract.
            return unsafe { state::allocate(layout) };
        }
        // SAFETY: likewise.
        unsafe { HEAP.alloc(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if state::holds(block) {
            // SAFETY: by this function's contract, and it is the arena's.
            return unsafe { state::free(block, layout) };
        }
        // SAFETY: likewise, and it is the heap's.
        unsafe { HEAP.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if state::holds(block) {
            // SAFETY: by this function's contract, and it is the arena's.
            return unsafe { state::resize(block, layout, size) };
        }
        // SAFETY: likewise, and it is the heap's.
        unsafe { HEAP.realloc(block, layout, size) }
    }
}

/// Gives the allocator the memory that the nucleus set aside.
pub(crate) fn adopt() {
    let boot = boot::page();
    let size = (boot.heap_end - boot.heap_start).min(CLUSTER) as usize;
    let mut heap = HEAP.lock();
    // SAFETY: the nucleus maps the heap writable, and nothing else is in it.
    let end = unsafe { heap.claim(boot.heap_start as *mut u8, size) };
    heap.source =
        Rest { start: end.map_or(0, |end| end.as_ptr() as usize), end: boot.heap_end as usize };
}

/// Bytes of the heap.
pub fn capacity() -> usize {
    let boot = boot::page();
    (boot.heap_end - boot.heap_start) as usize
}

/// Bytes that are allocated now. Those of an arena do not count.
pub fn used() -> usize {
    HEAP.lock().counters().allocated_bytes
}

//! The heap: all memory behind the stacks, managed by `talc`.
//!
//! What is allocated while an [arena](crate::state) is edited comes from that arena's own heap
//! instead. What is given back, or grows, does so where it lies.

use core::alloc::{GlobalAlloc, Layout};

use spinning_top::RawSpinlock;
use talc::TalcLock;
use talc::source::Manual;

use crate::{boot, state};

static HEAP: TalcLock<RawSpinlock, Manual> = TalcLock::new(Manual);

#[global_allocator]
static HEAPS: Heaps = Heaps;

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
    let size = (boot.heap_end - boot.heap_start) as usize;
    // SAFETY: the nucleus maps this range writable, and nothing else is in it.
    unsafe { HEAP.lock().claim(boot.heap_start as *mut u8, size) };
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

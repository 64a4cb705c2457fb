//! The heap: all memory behind the stacks, managed by `talc`.

use spinning_top::RawSpinlock;
use talc::TalcLock;
use talc::source::Manual;

use crate::boot;

#[global_allocator]
static HEAP: TalcLock<RawSpinlock, Manual> = TalcLock::new(Manual);

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

/// Bytes that are allocated now.
pub fn used() -> usize {
    HEAP.lock().counters().allocated_bytes
}

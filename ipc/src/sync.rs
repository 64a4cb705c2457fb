//! The only place that names atomics, so that a build with `--cfg loom` swaps them all.

#[cfg(not(loom))]
pub(crate) use core::hint::spin_loop;
#[cfg(not(loom))]
pub use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

#[cfg(loom)]
pub(crate) use loom::hint::spin_loop;
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// A sequentially consistent fence.
///
/// On x86, any locked instruction is one, and takes half the time of `mfence`, which also orders
/// what no program here does.
#[inline]
pub fn full_fence() {
    #[cfg(all(target_arch = "x86_64", not(loom), not(miri)))]
    // SAFETY: or-ing zero into the word at the top of the stack changes nothing; the block may
    // touch memory, as far as the compiler knows, so it moves no access across.
    unsafe {
        core::arch::asm!("lock or dword ptr [rsp], 0");
    }
    #[cfg(any(not(target_arch = "x86_64"), loom, miri))]
    fence(Ordering::SeqCst);
}

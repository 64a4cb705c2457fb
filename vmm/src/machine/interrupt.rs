//! Getting a running vCPU out of the guest.
//!
//! A signal makes `KVM_RUN` return; but one that arrives just before `KVM_RUN` begins would be
//! lost. So the handler, which runs on the vCPU's own thread, also sets the `immediate_exit` flag
//! of the vCPU: then the next `KVM_RUN` returns at once. There is no moment at which an
//! interruption can fall between.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr;
use std::sync::Once;
use std::thread::JoinHandle;

use libc::{c_int, c_void, siginfo_t};
use vmm_sys_util::signal::{Killable, SIGRTMIN, register_signal_handler};

thread_local! {
    /// The `immediate_exit` byte of the vCPU that this thread runs; null elsewhere.
    static FLAG: Cell<*mut u8> = const { Cell::new(ptr::null_mut()) };
}

extern "C" fn handler(_: c_int, _: *mut siginfo_t, _: *mut c_void) {
    let flag = FLAG.get();
    if !flag.is_null() {
        // SAFETY: set by `Interruptible` to a byte that is valid as long as it exists, on this
        // very thread; KVM reads it only between this thread's own instructions.
        unsafe { flag.write_volatile(1) };
    }
}

/// While it exists, a signal to this thread ends the vCPU's `KVM_RUN`.
#[derive(Debug)]
pub struct Interruptible(PhantomData<*mut u8>);

impl Interruptible {
    /// Makes this thread interruptible.
    ///
    /// # Safety
    /// `immediate_exit` must be that byte of the vCPU's `kvm_run` and outlive the result, and the
    /// result must stay on this thread.
    pub unsafe fn new(immediate_exit: *mut u8) -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            // It fails only for signal numbers that do not exist.
            let _ = register_signal_handler(SIGRTMIN(), handler);
        });
        FLAG.set(immediate_exit);
        Self(PhantomData)
    }
}

impl Drop for Interruptible {
    fn drop(&mut self) {
        FLAG.set(ptr::null_mut());
    }
}

/// Interrupts the vCPU that a thread runs, now or as soon as it enters the guest.
pub fn interrupt<T>(thread: &JoinHandle<T>) {
    // A thread that has ended cannot be interrupted, and need not be.
    let _ = thread.kill(SIGRTMIN());
}

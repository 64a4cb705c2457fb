//! Faults that a client may cause with `DEBUG`, one function each, so that a backtrace names it.

use core::arch::asm;
use core::hint::{black_box, spin_loop};

/// An address that no page of a domain has.
const NOWHERE: *const u8 = 0x7f00_dead_0000 as *const u8;

#[inline(never)]
pub fn debug_segfault() {
    // SAFETY: faults, on purpose; the incarnation ends here.
    black_box(unsafe { black_box(NOWHERE).read_volatile() });
}

#[inline(never)]
pub fn debug_panic() {
    panic!("a client asked for it with DEBUG PANIC");
}

#[inline(never)]
pub fn debug_loop() {
    loop {
        spin_loop();
    }
}

#[inline(never)]
pub fn debug_stack_overflow() {
    black_box(recurse(black_box(0)));
}

#[expect(unconditional_recursion, reason = "that is the fault")]
#[inline(never)]
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    recurse(depth + 1) + frame[depth as usize % 64]
}

#[inline(never)]
pub fn debug_ud2() {
    // SAFETY: faults, on purpose; the incarnation ends here.
    unsafe { asm!("ud2") }
}

#[inline(never)]
pub fn debug_divide_by_zero() {
    // SAFETY: faults, on purpose; the incarnation ends here.
    unsafe {
        asm!("xor edx, edx", "xor ecx, ecx", "div ecx", out("eax") _, out("ecx") _, out("edx") _)
    }
}

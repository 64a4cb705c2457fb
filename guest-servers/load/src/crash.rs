//! Faults, on purpose: each ends the incarnation in its own way.

use core::arch::asm;
use core::hint::black_box;

use atoll_ipc::load::fault;

/// An address that no page of a domain has.
const NOWHERE: *const u8 = 0x7f00_0bad_0000 as *const u8;

/// The fault with that number; returns if there is none.
pub(crate) fn by_number(number: u8) {
    match number {
        fault::PAGE => page(),
        fault::UD2 => ud2(),
        fault::DIVIDE => divide(),
        fault::PANIC => panic!("told to panic"),
        fault::STACK => stack(),
        fault::PORT => port(),
        _ => (),
    }
}

#[inline(never)]
fn page() {
    // SAFETY: faults, on purpose; the incarnation ends here.
    black_box(unsafe { black_box(NOWHERE).read_volatile() });
}

#[inline(never)]
fn ud2() {
    // SAFETY: faults, on purpose; the incarnation ends here.
    unsafe { asm!("ud2") }
}

#[inline(never)]
fn divide() {
    // SAFETY: faults, on purpose; the incarnation ends here.
    unsafe {
        asm!("xor edx, edx", "xor ecx, ecx", "div ecx", out("eax") _, out("ecx") _, out("edx") _)
    }
}

/// Recurses into the guard page below the stack.
#[inline(never)]
fn stack() {
    black_box(deeper(black_box(0)));
}

#[expect(unconditional_recursion, reason = "that is the fault")]
#[inline(never)]
fn deeper(depth: u64) -> u64 {
    let frame = black_box([depth; 512]);
    deeper(depth + 1) + frame[depth as usize % frame.len()]
}

#[inline(never)]
fn port() {
    // SAFETY: a port that the nucleus gives no meaning; the incarnation ends here.
    unsafe { asm!("out 0x80, al", in("al") 0u8) }
}

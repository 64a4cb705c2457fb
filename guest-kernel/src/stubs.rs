//! The ring-0 exception stubs: all of the guest that runs in ring 0.
//!
//! A stub pushes its vector number (and a zero where the processor pushes no error code) and
//! writes the FAULT port. The nucleus then finds, from the ring-0 stack pointer up: vector,
//! error code, RIP, CS, RFLAGS, RSP, SS; the other registers are as the server left them, since
//! the stub touches none. If the nucleus resumes the domain, the stub returns to ring 3.
//!
//! The nucleus finds stub *n* at [`STUB_STRIDE`] * *n* and points
//! the interrupt descriptor table there. (`INT n` from ring 3 is refused by the descriptors, so
//! a server cannot forge a report.)

use atoll_ipc::abi::{STUB_COUNT, STUB_STRIDE, ports};

core::arch::global_asm!(
    r#"
    .pushsection .atoll.stubs, "ax", @progbits
    .balign 4096
    .global atoll_stubs
atoll_stubs:
    .set vector, 0
    .rept {count}
    .balign {stride}
    # Vectors 8, 10-14, 17, 21, 29 and 30 come with an error code.
    .if (0x60227d00 >> vector) & 1
    .else
    .byte 0x6a, 0         # push 0
    .endif
    .byte 0x6a, vector    # push vector
    jmp 1f
    .set vector, vector + 1
    .endr
    .balign {stride}
1:  out {fault}, al
    add rsp, 16
    iretq
    .balign 4096
    .popsection
"#,
    count = const STUB_COUNT,
    stride = const STUB_STRIDE,
    fault = const ports::FAULT,
);

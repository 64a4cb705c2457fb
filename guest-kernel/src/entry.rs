//! From the nucleus to the server's `main`.

use atoll_ipc::abi::BootPage;

use crate::{boot, clock, console, exits, heap, ipc};

core::arch::global_asm!(
    r#"
    .pushsection .text.entry, "ax", @progbits
    .global _start
    .type _start, @function
_start:
    xor ebp, ebp    # a backtrace ends here
    call {start}
    ud2
    .size _start, . - _start
    .popsection
"#,
    start = sym start,
);

unsafe extern "Rust" {
    // Defined by the `server!` macro.
    safe fn __atoll_main() -> u32;
    safe fn __atoll_worker(vcpu: u32) -> u32;
}

/// Every vCPU enters here, with the registers that the ABI promises.
extern "C" fn start(boot: *const BootPage, vcpu: u32) -> ! {
    // SAFETY: the nucleus passes the boot page, mapped read-only for as long as the domain runs.
    unsafe { boot::adopt(boot) };
    if vcpu != 0 {
        exits::exit(__atoll_worker(vcpu));
    }
    clock::adopt();
    heap::adopt();
    console::adopt();
    ipc::adopt();
    exits::exit(__atoll_main())
}

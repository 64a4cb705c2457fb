//! One function for each kind of fault. All of them are instructions that a correct program
//! never executes; what they do to this domain is the point.

use alloc::string::String;
use core::arch::asm;
use core::hint::black_box;

/// The fault of that name.
pub fn by_name(name: &str) -> Option<fn()> {
    Some(match name {
        "divzero" => divzero,
        "debug" => debug,
        "int3" => int3,
        "ud2" => ud2,
        "stack-segment" => stack_segment,
        "general-protection" => general_protection,
        "null" => null,
        "unmapped" => unmapped,
        "supervisor-page" => supervisor_page,
        "write-text" => write_text,
        "write-boot-page" => write_boot_page,
        "execute-data" => execute_data,
        "execute-stack" => execute_stack,
        "x87" => x87,
        "simd" => simd,
        "hlt" => hlt,
        "cli" => cli,
        "wrmsr" => wrmsr,
        "mov-cr3" => mov_cr3,
        "syscall" => syscall,
        "interrupt" => interrupt,
        "in" => read_port,
        "fault-port" => fault_port,
        "stackoverflow" => stackoverflow,
        "wild-jump" => wild_jump,
        "loop" => forever,
        _ => return None,
    })
}

macro_rules! instructions {
    ($($(#[$doc:meta])* $name:ident: $($code:literal),+;)*) => {
        $($(#[$doc])*
        #[inline(never)]
        pub fn $name() {
            // SAFETY: faults, on purpose; the incarnation ends here.
            unsafe { asm!($($code),+, out("rax") _, out("rcx") _, out("rdx") _) }
        })*
    };
}

instructions! {
    /// #DE.
    divzero: "xor edx, edx", "xor ecx, ecx", "mov eax, 1", "div ecx";
    /// #DB: sets the trap flag.
    debug: "pushfq", "or qword ptr [rsp], 0x100", "popfq", "nop", "nop";
    /// #BP.
    int3: "int3";
    /// #UD.
    ud2: "ud2";
    /// #SS: a stack pointer that is no address.
    stack_segment: "mov rax, 0x8000000000000000", "mov rcx, rsp", "mov rsp, rax", "push rax", "mov rsp, rcx";
    /// #GP: an address that is none.
    general_protection: "mov rax, 0x8000000000000000", "mov eax, [rax]";
    /// #PF: page 0.
    null: "xor eax, eax", "mov eax, [rax]";
    /// #PF: an address that no page has.
    unmapped: "mov rax, 0x7f0000000000", "mov eax, [rax]";
    /// #PF: the descriptor tables.
    supervisor_page: "mov eax, 0x1000", "mov eax, [rax]";
    /// #PF: text is read-only.
    write_text: "lea rax, [rip]", "mov byte ptr [rax], 0";
    /// #PF: so is the boot page, of which this is a part however many vCPUs there are.
    write_boot_page: "mov eax, 0x110000", "mov qword ptr [rax], 0";
    /// #PF: the stack is not executable.
    execute_stack: "mov rax, rsp", "jmp rax";
    /// #MF: unmasked x87 division by zero.
    x87: "fninit", "push 0", "fldcw [rsp]", "fldz", "fld1", "fdivrp", "fwait", "pop rax";
    /// #XM: unmasked SSE division by zero.
    simd: "push 0", "ldmxcsr [rsp]", "xorps xmm0, xmm0", "pcmpeqd xmm1, xmm1", "psrld xmm1, 25", "pslld xmm1, 23", "divss xmm1, xmm0", "pop rax";
    /// #GP: ring 3 may not stop the processor.
    hlt: "hlt";
    /// #GP: nor its interrupts. (With I/O privilege it may; there are none to stop.)
    cli: "cli";
    /// #GP: nor write model-specific registers.
    wrmsr: "mov ecx, 0xc0000080", "xor eax, eax", "xor edx, edx", "wrmsr";
    /// #GP: nor change its address space.
    mov_cr3: "xor eax, eax", "mov cr3, rax";
    /// #UD, or a jump to page 0: there is no kernel to call.
    syscall: "syscall";
    /// #GP: nor raise an interrupt.
    interrupt: "int 0x80";
    /// Reading a port is a fault as well.
    read_port: "in al, 0x60";
    /// The port of the exception stubs, written from ring 3.
    fault_port: "out 0x0f, al";
    /// A jump to an address that no page has.
    wild_jump: "mov eax, 0x3ffffff0", "jmp rax";
    /// Never ends.
    forever: "2: pause", "jmp 2b";
}

/// #PF: data is not executable.
fn execute_data() {
    static RET: [u8; 1] = [0xc3];
    let target: fn() = {
        let address = black_box(&raw const RET);
        // SAFETY: calling it faults, on purpose.
        unsafe { core::mem::transmute::<*const [u8; 1], fn()>(address) }
    };
    target();
}

/// Recurses into the guard page below the stack.
fn stackoverflow() {
    black_box(recurse(black_box(0)));
}

#[expect(unconditional_recursion, reason = "that is the fault")]
#[inline(never)]
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    recurse(depth + 1) + frame[depth as usize % 64]
}

/// Writes an I/O port that means nothing.
pub fn port(number: u16) -> String {
    // SAFETY: a fault, on purpose.
    unsafe { asm!("out dx, al", in("dx") number, in("al") 0u8) }
    String::from("survived")
}

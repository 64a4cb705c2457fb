//! Ring-3 programs that leave as much behind as they can, and then end their incarnation: every
//! kind of fault, and every register that ring 3 can reach by an instruction.
//!
//! They are assembled into this test program as data, and copied to the guest. All are independent
//! of their place. `rdi` is the control page's address, `rbx` the heap's.

use std::arch::global_asm;

/// A program.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    pub name: &'static str,
    pub code: &'static [u8],
}

macro_rules! programs {
    ($($name:ident: $($line:literal),+;)*) => {
        $(global_asm!(
            ".pushsection .rodata",
            concat!("atoll_reset_", stringify!($name), ":"),
            $($line,)+
            concat!("atoll_reset_", stringify!($name), "_end:"),
            ".popsection",
        );)*

        /// All of them.
        pub fn all() -> Vec<Program> {
            vec![$({
                unsafe extern "C" {
                    #[link_name = concat!("atoll_reset_", stringify!($name))]
                    static START: u8;
                    #[link_name = concat!("atoll_reset_", stringify!($name), "_end")]
                    static END: u8;
                }
                let length = (&raw const END).addr() - (&raw const START).addr();
                // SAFETY: the bytes between the two labels, which are read-only data of this
                // program, in one section and in this order.
                let code = unsafe { std::slice::from_raw_parts(&raw const START, length) };
                Program { name: stringify!($name), code }
            }),*]
        }
    };
}

programs! {
    // Kinds of exception.
    divide_error: "xor edx, edx", "xor ecx, ecx", "mov eax, 1", "div ecx";
    debug_trap: "pushfq", "or qword ptr [rsp], 0x100", "popfq", "nop", "nop";
    breakpoint: "int3";
    invalid_opcode: "ud2";
    stack_segment: "mov rsp, 0x4000000000000000", "shl rsp, 1", "push rax";
    general_protection: "mov rax, 0x4000000000000000", "shl rax, 1", "mov eax, [rax]";
    null_pointer: "xor eax, eax", "mov eax, [rax]";
    unmapped_page: "mov rax, 0x7f0000000000", "mov [rax], eax";
    supervisor_page: "mov eax, 0x1000", "mov eax, [rax]";
    write_to_text: "lea rax, [rip]", "mov byte ptr [rax], 0";
    execute_data: "jmp rbx";
    execute_stack: "jmp rsp";
    wild_jump: "mov eax, 0x3ffffff0", "jmp rax";
    stack_overflow: "2: push rax", "jmp 2b";
    x87_error: "push 0", "fldcw [rsp]", "fldz", "fld1", "fdivrp", "fwait";
    simd_error: "push 0", "ldmxcsr [rsp]", "xorps xmm0, xmm0", "pcmpeqd xmm1, xmm1",
        "psrld xmm1, 25", "pslld xmm1, 23", "divss xmm1, xmm0";
    alignment_check: "pushfq", "or qword ptr [rsp], 0x40000", "popfq", "mov eax, [rbx + 1]";
    bad_interrupt_return: "push 0", "push 0", "push 0", "push 0x1234", "push 0", "iretq";

    // Instructions that are not for ring 3.
    halt: "hlt";
    interrupts_off: "cli", "ud2";
    interrupts_on: "sti", "ud2";
    write_msr: "mov ecx, 0xc0000080", "xor eax, eax", "xor edx, edx", "wrmsr";
    read_msr: "mov ecx, 0x1b", "rdmsr";
    write_cr3: "xor eax, eax", "mov cr3, rax";
    write_dr0: "mov eax, 0x400000", "mov dr0, rax";
    write_dr7: "mov eax, 0x401", "mov dr7, rax";
    write_xcr0: "xor ecx, ecx", "xor edx, edx", "mov eax, 7", "xsetbv";
    load_gdt: "sub rsp, 16", "lgdt [rsp]";
    load_task: "mov eax, 0x40", "ltr ax";
    swap_gs: "swapgs", "ud2";
    system_call: "syscall";
    system_enter: "sysenter";
    interrupt: "int 0x80";
    int1: ".byte 0xf1", "ud2";
    clear_ts: "clts";
    write_cr8: "mov eax, 5", "mov cr8, rax";

    // Exits, some of them with something still to be paid.
    exit: "out 0x12, al", "ud2";
    read_port: "in al, 0x60", "ud2";
    read_wide_port: "in eax, 0x60", "ud2";
    string_port: "mov edx, 0x60", "mov ecx, 40", "cld", "mov rsi, rbx", "rep outsb", "ud2";
    long_string_read: "mov edx, 0x60", "mov ecx, 0x3000", "cld", "mov rdi, rbx", "rep insb", "ud2";
    fault_port: "out 0x0f, al", "ud2";
    traced_port: "pushfq", "or qword ptr [rsp], 0x100", "popfq", "out 0x60, al", "ud2";
    shadowed_port: "mov eax, 0x2b", "mov ss, eax", "out 0x60, al", "ud2";
    unbacked_read: "mov rax, 0x3f00000000", "mov rax, [rax]", "ud2";
    unbacked_write: "mov rax, 0x3f00000000", "mov [rax], rax", "ud2";

    // Registers that ring 3 can write.
    general_registers: "mov rax, -1", "mov rcx, rax", "mov rdx, rax", "mov rsi, rax",
        "mov rdi, rax", "mov rbp, rax", "mov r8, rax", "mov r9, rax", "mov r10, rax",
        "mov r11, rax", "mov r12, rax", "mov r13, rax", "mov r14, rax", "mov r15, rax",
        "mov rbx, rax", "ud2";
    flags: "std", "stc", "pushfq", "or qword ptr [rsp], 0x244cd5", "popfq", "ud2";
    nested_task: "pushfq", "or qword ptr [rsp], 0x4000", "popfq", "ud2";
    resume_flag: "pushfq", "or qword ptr [rsp], 0x10000", "popfq", "ud2";
    x87_stack: "fld1", "fldpi", "fldl2e", "fldz", "fldln2", "ud2";
    x87_control: "push 0x27f", "fldcw [rsp]", "fld1", "fldz", "fdivp", "ud2";
    mmx: "pcmpeqd mm0, mm0", "pcmpeqd mm3, mm3", "pcmpeqd mm7, mm7", "ud2";
    sse: "pcmpeqd xmm0, xmm0", "pcmpeqd xmm7, xmm7", "pcmpeqd xmm8, xmm8",
        "pcmpeqd xmm15, xmm15", "push 0x7f80", "ldmxcsr [rsp]", "ud2";
    avx: "pcmpeqd xmm1, xmm1", "vcmptrueps ymm0, ymm0, ymm0", "vcmptrueps ymm15, ymm15, ymm15",
        "ud2";
    avx512: "vpternlogd zmm0, zmm0, zmm0, 255", "vpternlogd zmm31, zmm31, zmm31, 255",
        "kxnorw k1, k1, k1", "kxnorw k7, k7, k7", "ud2";
    protection_keys: "mov eax, 0x55555554", "xor ecx, ecx", "xor edx, edx",
        ".byte 0x0f, 0x01, 0xef", "ud2";
    data_segments: "xor eax, eax", "mov ds, eax", "mov es, eax", "ud2";
    other_segments: "mov eax, 0x2b", "mov fs, eax", "mov gs, eax", "ud2";
    null_segments: "xor eax, eax", "mov fs, eax", "mov gs, eax", "ud2";
    stack_selector: "mov eax, 0x2b", "mov ss, eax", "ud2";
    bad_selector: "mov eax, 0x1233", "mov ds, eax";
    ring0_selector: "mov eax, 0x10", "mov ds, eax";
    far_return: "lea rax, [rip + 2f]", "push 0x33", "push rax", "retfq", "2: ud2";
    segment_bases: "mov rax, 0x123456789000", ".byte 0xf3, 0x48, 0x0f, 0xae, 0xd0",
        ".byte 0xf3, 0x48, 0x0f, 0xae, 0xd8", "ud2";
    load_state: "lea rax, [rbx + 0x1000]", "xor edx, edx", "xrstor [rax]", "ud2";
    monitor: "mov rax, rbx", "xor ecx, ecx", "xor edx, edx", "monitor", "ud2";

    // Memory: a page here and there, and more than is copied back.
    little_memory: "mov qword ptr [rbx], -1", "mov qword ptr [rbx + 0x7000], -1",
        "mov qword ptr [rdi + 0x20], -1", "push -1", "ud2";
    much_memory: "mov edi, ebx", "mov ecx, 0x300000", "mov al, 0xa5", "cld", "rep stosb", "ud2";
}

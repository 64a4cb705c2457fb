//! A vCPU's registers, as reports have them and as KVM takes them.

use kvm_bindings::kvm_regs;

use crate::control::api::Registers;
use crate::machine::descriptors::server_flags;

/// For KVM. Privileges are those that every server has, whatever the flags say.
pub fn to_kvm(registers: &Registers) -> kvm_regs {
    kvm_regs {
        rax: registers.rax.0,
        rbx: registers.rbx.0,
        rcx: registers.rcx.0,
        rdx: registers.rdx.0,
        rsi: registers.rsi.0,
        rdi: registers.rdi.0,
        rbp: registers.rbp.0,
        rsp: registers.rsp.0,
        r8: registers.r8.0,
        r9: registers.r9.0,
        r10: registers.r10.0,
        r11: registers.r11.0,
        r12: registers.r12.0,
        r13: registers.r13.0,
        r14: registers.r14.0,
        r15: registers.r15.0,
        rip: registers.rip.0,
        rflags: server_flags(registers.rflags.0),
    }
}

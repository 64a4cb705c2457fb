//! A vCPU's registers, as reports have them and as KVM takes them.

use kvm_bindings::kvm_regs;

use crate::control::api::Registers;
use crate::machine::descriptors::RFLAGS;

/// The flags that code in ring 3 can change: CF, PF, AF, ZF, SF, TF, DF, OF, AC, ID.
const USER_FLAGS: u64 = 0x0024_0dd5;
/// Addresses from here on are none, or the upper half's, where no guest has anything.
const LOWER_HALF_END: u64 = 1 << 47;

/// Whether a vCPU can be told to run there. (What is there, if anything, is the guest's affair.)
pub const fn is_address(rip: u64) -> bool {
    rip < LOWER_HALF_END
}

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
        rflags: (registers.rflags.0 & USER_FLAGS) | (RFLAGS & !USER_FLAGS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::Hex;

    #[test]
    fn flags_give_no_privilege_and_take_none() {
        let with = |flags| to_kvm(&Registers { rflags: Hex(flags), ..Registers::default() }).rflags;
        assert_eq!(with(0), RFLAGS);
        assert_eq!(with(RFLAGS | 0x41), RFLAGS | 0x41, "carry and zero are the server's");
        assert_eq!(with(u64::MAX), RFLAGS | USER_FLAGS);
    }

    #[test]
    fn what_is_no_address_is_known() {
        assert!(is_address(0) && is_address((1 << 47) - 1));
        assert!(!is_address(1 << 47) && !is_address(u64::MAX));
    }
}

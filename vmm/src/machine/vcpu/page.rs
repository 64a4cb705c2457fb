//! Registers in the page that KVM shares with the VMM: it puts them there when it leaves a vCPU, if
//! it is asked to, and takes them from there when it enters it, if there are new ones. Neither needs
//! a call.

use kvm_bindings::{
    KVM_SYNC_X86_EVENTS, KVM_SYNC_X86_REGS, KVM_SYNC_X86_SREGS, kvm_regs, kvm_sregs, kvm_sync_regs,
    kvm_vcpu_events,
};
use kvm_ioctls::{Cap, Kvm, SyncReg, VcpuFd};

/// General and system registers, and what is pending.
const ALL: u32 = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS;

/// Whether KVM exchanges all of them.
pub(super) fn is_supported(kvm: &Kvm) -> bool {
    let exchanged = kvm.check_extension_int(Cap::SyncRegs);
    u32::try_from(exchanged).is_ok_and(|exchanged| exchanged & ALL == ALL)
}

/// Asks for the registers at the next exit, or no longer. What is pending is not asked for: to tell
/// it, KVM may have to change it.
pub(super) fn ask(fd: &mut VcpuFd, is_asked: bool) {
    for which in [SyncReg::Register, SyncReg::SystemRegister] {
        if is_asked {
            fd.set_sync_valid_reg(which);
        } else {
            fd.clear_sync_valid_reg(which);
        }
    }
}

/// What the page holds.
pub(super) fn registers(fd: &VcpuFd) -> kvm_sync_regs {
    fd.sync_regs()
}

/// Has KVM set all of them when it enters the vCPU next.
pub(super) fn put(fd: &mut VcpuFd, regs: &kvm_regs, sregs: &kvm_sregs, events: &kvm_vcpu_events) {
    let page = fd.sync_regs_mut();
    (page.regs, page.sregs, page.events) = (*regs, *sregs, *events);
    for which in [SyncReg::Register, SyncReg::SystemRegister, SyncReg::VcpuEvents] {
        fd.set_sync_dirty_reg(which);
    }
}

/// Has KVM set the general registers when it enters the vCPU next.
pub(super) fn put_general(fd: &mut VcpuFd, regs: &kvm_regs) {
    fd.sync_regs_mut().regs = *regs;
    fd.set_sync_dirty_reg(SyncReg::Register);
}

/// Has KVM keep what it has.
pub(super) fn withdraw(fd: &mut VcpuFd) {
    for which in [SyncReg::Register, SyncReg::SystemRegister, SyncReg::VcpuEvents] {
        fd.clear_sync_dirty_reg(which);
    }
}

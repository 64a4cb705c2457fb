//! The descriptor tables that a domain needs, as bytes.
//!
//! Two kinds of KVM read them differently. One that emulates ring 0 checks I/O against the
//! task-state segment's bitmap; QEMU's emulated AMD-V refuses a busy task and goes by the I/O
//! privilege level alone. So there are both: a bitmap here, and IOPL 3 in the flags. (A guest
//! gains nothing from the second: a port that is not its own is a fault anyway.)

use atoll_ipc::abi::{STUB_COUNT, STUB_STRIDE, ports};
use kvm_bindings::{kvm_dtable, kvm_segment, kvm_sregs};

use super::plan::Plan;

/// Selectors; the low two bits are the ring.
const RING0_CODE: u16 = 0x08;
const RING3_DATA: u16 = 0x2b;
const RING3_CODE: u16 = 0x33;
const FIRST_TSS: u16 = 0x40;

/// Bytes of the task-state segment before its I/O bitmap.
const TSS_HEAD: usize = 0x68;
/// Bytes of an I/O bitmap for all ports.
const BITMAP: usize = 8192;
/// Last byte of a task-state segment: the bitmap must be followed by a byte of ones.
const TSS_LIMIT: u64 = (TSS_HEAD + BITMAP) as u64;

const CR0: u64 = 0x8005_0033; // paging, write protection, native FPU errors, protected mode
const CR4: u64 = 0x620; // physical address extension, SSE and its exceptions
const EFER: u64 = 0xd00; // long mode, no-execute; no SYSCALL

/// The global descriptor table: code and data for rings 0 and 3, a task for each vCPU.
pub fn gdt(plan: &Plan) -> Vec<u8> {
    let mut entries = vec![0u64; 8];
    entries[1] = 0x00af_9b00_0000_ffff; // ring 0 code, 64 bits
    entries[2] = 0x00cf_9300_0000_ffff; // ring 0 data
    entries[5] = 0x00cf_f300_0000_ffff; // ring 3 data
    entries[6] = 0x00af_fb00_0000_ffff; // ring 3 code, 64 bits
    for vcpu in 0..plan.vcpus {
        let base = plan.tss(vcpu);
        let low = TSS_LIMIT | (base & 0xff_ffff) << 16 | 0x8b << 40 | (base >> 24 & 0xff) << 56;
        entries.extend([low, base >> 32]);
    }
    entries.iter().flat_map(|entry| entry.to_le_bytes()).collect()
}

/// The interrupt descriptor table: a gate to each stub. Ring 3 may raise only breakpoints (3) by
/// itself; anything else that it raises with `INT` is a general-protection fault.
pub fn idt(stubs: u64) -> Vec<u8> {
    let gate = |vector: u64| {
        let address = stubs + vector * STUB_STRIDE;
        let attributes: u64 = if vector == 3 { 0xee } else { 0x8e };
        let low = address & 0xffff
            | u64::from(RING0_CODE) << 16
            | attributes << 40
            | (address >> 16 & 0xffff) << 48;
        [low, address >> 32]
    };
    (0..STUB_COUNT).flat_map(gate).flat_map(u64::to_le_bytes).collect()
}

/// A vCPU's task-state segment: the ring-0 stack, and which ports ring 3 may write.
pub fn tss(plan: &Plan, vcpu: u32) -> Vec<u8> {
    let mut bytes = vec![0xff; TSS_LIMIT as usize + 1];
    bytes[..TSS_HEAD].fill(0);
    bytes[4..12].copy_from_slice(&plan.ring0_stack_top(vcpu).to_le_bytes());
    bytes[0x66..0x68].copy_from_slice(&(TSS_HEAD as u16).to_le_bytes());
    for port in ports::ALLOWED.into_iter().flatten() {
        bytes[TSS_HEAD + usize::from(port) / 8] &= !(1 << (port % 8));
    }
    bytes
}

/// Sets the system registers of a vCPU for 64-bit ring 3 over these tables.
pub fn set_system_registers(sregs: &mut kvm_sregs, plan: &Plan, vcpu: u32, has_stubs: bool) {
    let code = kvm_segment {
        limit: 0xffff_ffff,
        selector: RING3_CODE,
        type_: 11,
        present: 1,
        dpl: 3,
        s: 1,
        l: 1,
        g: 1,
        ..Default::default()
    };
    let data = kvm_segment { selector: RING3_DATA, type_: 3, db: 1, l: 0, ..code };
    sregs.cs = code;
    (sregs.ds, sregs.es, sregs.fs) = (data, data, data);
    (sregs.gs, sregs.ss) = (data, data);
    sregs.fs.base = plan.control(vcpu);
    sregs.tr = kvm_segment {
        base: plan.tss(vcpu),
        limit: TSS_LIMIT as u32,
        selector: FIRST_TSS + 16 * vcpu as u16,
        type_: 11,
        present: 1,
        ..Default::default()
    };
    sregs.gdt = kvm_dtable {
        base: plan.gdt(),
        limit: (8 * 8 + 16 * plan.vcpus - 1) as u16,
        ..Default::default()
    };
    let idt_bytes = if has_stubs { (16 * STUB_COUNT - 1) as u16 } else { 0 };
    sregs.idt = kvm_dtable { base: plan.idt(), limit: idt_bytes, ..Default::default() };
    sregs.cr3 = plan.tables();
    (sregs.cr0, sregs.cr4, sregs.efer) = (CR0, CR4, EFER);
}

/// First flags of a vCPU: I/O privilege for ring 3, and the bit that is always one. (Interrupts
/// are enabled, as in any ring-3 program; none exist.)
pub const RFLAGS: u64 = 0x3202;

/// Ring of a code segment selector.
pub const fn ring(selector: u16) -> u16 {
    selector & 3
}

/// The flags that code in ring 3 can change: CF, PF, AF, ZF, SF, TF, DF, OF, AC, ID.
const USER_FLAGS: u64 = 0x0024_0dd5;
/// Addresses from here on are none, or the upper half's, where no guest has anything.
const LOWER_HALF_END: u64 = 1 << 47;

/// These flags as a server has them, with the privileges that every server has.
pub const fn server_flags(flags: u64) -> u64 {
    (flags & USER_FLAGS) | (RFLAGS & !USER_FLAGS)
}

/// Whether a vCPU can be told to run there. (What is there, if anything, is the guest's affair.)
pub const fn is_address(rip: u64) -> bool {
    rip < LOWER_HALF_END
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_give_no_privilege_and_take_none() {
        assert_eq!(server_flags(0), RFLAGS);
        assert_eq!(server_flags(RFLAGS | 0x41), RFLAGS | 0x41, "carry and zero are the server's");
        assert_eq!(server_flags(u64::MAX), RFLAGS | USER_FLAGS);
    }

    #[test]
    fn what_is_no_address_is_known() {
        assert!(is_address(0) && is_address((1 << 47) - 1));
        assert!(!is_address(1 << 47) && !is_address(u64::MAX));
    }
}

//! What KVM says of itself.

use kvm_ioctls::{Cap, Kvm};
use serde::Serialize;

use crate::machine::host::NEEDED;

/// What Atoll can do without, but is better with.
const OPTIONAL: [(Cap, &str); 8] = [
    (Cap::ReadonlyMem, "read-only memory slots (KVM_CAP_READONLY_MEM)"),
    (Cap::SyncRegs, "registers without system calls (KVM_CAP_SYNC_REGS)"),
    (Cap::MemoryFaultInfo, "addresses of failed accesses (KVM_CAP_MEMORY_FAULT_INFO)"),
    (Cap::GetTscKhz, "the guest clock's frequency (KVM_CAP_GET_TSC_KHZ)"),
    (Cap::VcpuEvents, "reset of pending exceptions (KVM_CAP_VCPU_EVENTS)"),
    (Cap::Debugregs, "reset of debug registers (KVM_CAP_DEBUGREGS)"),
    (Cap::Xcrs, "reset of extended control registers (KVM_CAP_XCRS)"),
    (Cap::MpState, "reset of a vCPU's run state (KVM_CAP_MP_STATE)"),
];

/// The only version of the interface that there is since Linux 2.6.22.
pub(in crate::doctor) const API_VERSION: i32 = 12;

/// Something that KVM can do, or cannot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::doctor) struct Capability {
    pub(in crate::doctor) name: &'static str,
    pub(in crate::doctor) needed: bool,
    pub(in crate::doctor) present: bool,
}

/// What KVM says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::doctor) struct KvmFacts {
    pub(in crate::doctor) api_version: i32,
    pub(in crate::doctor) max_vcpus: usize,
    /// vCPUs of a VM above which KVM does not promise its usual speed.
    pub(in crate::doctor) recommended_vcpus: usize,
    pub(in crate::doctor) max_memory_slots: usize,
    pub(in crate::doctor) capabilities: Vec<Capability>,
}

impl KvmFacts {
    pub(in crate::doctor) fn read(kvm: &Kvm) -> Self {
        let ask = |caps: &[(Cap, &'static str)], needed| -> Vec<Capability> {
            let one = |&(cap, name): &(Cap, _)| Capability {
                name,
                needed,
                present: kvm.check_extension(cap),
            };
            caps.iter().map(one).collect()
        };
        Self {
            api_version: kvm.get_api_version(),
            max_vcpus: kvm.get_max_vcpus(),
            recommended_vcpus: kvm.get_nr_vcpus(),
            max_memory_slots: kvm.get_nr_memslots(),
            capabilities: [ask(&NEEDED, true), ask(&OPTIONAL, false)].concat(),
        }
    }

    /// Names of capabilities that KVM lacks.
    pub(in crate::doctor) fn lacking(&self, needed: bool) -> Vec<&'static str> {
        let lacks = |cap: &&Capability| cap.needed == needed && !cap.present;
        self.capabilities.iter().filter(lacks).map(|cap| cap.name).collect()
    }
}

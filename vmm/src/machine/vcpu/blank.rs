//! A vCPU as KVM makes it, before it has a place in a domain: what takes long, and needs neither the
//! domain's memory nor the thread that will run it.

use kvm_ioctls::VcpuFd;

use super::{State, page};
use crate::machine::MachineError;
use crate::machine::host::Host;
use crate::machine::vm::Vm;

/// A vCPU that was never run.
#[derive(Debug)]
pub struct Blank {
    pub(super) fd: VcpuFd,
    pub(super) state: State,
    pub(super) tsc_hz: Option<u64>,
    pub(super) has_page: bool,
}

impl Blank {
    /// Has KVM make it.
    ///
    /// # Errors
    /// If KVM refuses.
    pub(in crate::machine) fn new(host: &Host, vm: &Vm, index: u32) -> Result<Self, MachineError> {
        let fd = vm.create_vcpu(index)?;
        fd.set_cpuid2(&host.cpuid()?).map_err(MachineError::kvm("set a vCPU's features"))?;
        let state = State::of_new(&fd)?;
        let tsc_hz = host.tsc_hz(&fd);
        Ok(Self { fd, state, tsc_hz, has_page: page::is_supported(host.kvm()) })
    }
}

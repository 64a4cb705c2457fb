//! A vCPU as KVM makes it, before it has a place in a domain: what takes long, and does not need the
//! domain's memory.

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
    /// Has KVM make it, for the calling thread to run.
    ///
    /// # Errors
    /// If KVM refuses.
    pub fn new(host: &Host, vm: &Vm, index: u32) -> Result<Self, MachineError> {
        let mut fd = vm.create_vcpu(index)?;
        fd.set_cpuid2(&host.cpuid()?).map_err(MachineError::kvm("set a vCPU's features"))?;
        let state = State::of_new(&fd)?;
        if index == 0 {
            warm_up(&mut fd);
        }
        let tsc_hz = host.tsc_hz(&fd);
        Ok(Self { fd, state, tsc_hz, has_page: page::is_supported(host.kvm()) })
    }
}

/// Enters a VM that has no memory yet, and leaves it at once: what KVM does when a VM is entered for the
/// first time, it does now, while others make the memory.
fn warm_up(fd: &mut VcpuFd) {
    fd.set_kvm_immediate_exit(1);
    let entered = fd.run().map(|_| ());
    fd.set_kvm_immediate_exit(0);
    log::trace!("a vCPU was entered for the first time: {entered:?}");
}

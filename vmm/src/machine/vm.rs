//! One VM: memory slots and doorbells.

use std::sync::{Arc, Mutex, PoisonError};

use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::{IoEventAddress, VcpuFd, VmFd};
use vmm_sys_util::eventfd::EventFd;

use super::MachineError;
use super::attendant::Attendant;
use super::host::Host;
use super::memory::DomainMemory;

/// A micro-VM without its vCPUs.
pub struct Vm {
    /// The thread that has the first vCPU, if that was made before it was wanted.
    attendant: Mutex<Option<Attendant>>,
    // Dropped before the memory: after it, no guest can reach that.
    fd: VmFd,
    lent: Mutex<Vec<Arc<DomainMemory>>>,
}

impl std::fmt::Debug for Vm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vm").finish_non_exhaustive()
    }
}

impl Vm {
    /// An empty VM.
    ///
    /// # Errors
    /// If KVM refuses.
    pub fn new(host: &Host) -> Result<Self, MachineError> {
        let fd = host.create_vm()?;
        Ok(Self { attendant: Mutex::default(), fd, lent: Mutex::default() })
    }

    /// This thread has its first vCPU.
    pub(super) fn attend(&self, attendant: Attendant) {
        *self.attendant.lock().unwrap_or_else(PoisonError::into_inner) = Some(attendant);
    }

    /// The thread that has its first vCPU, or is about to, if there is one: only it can have that.
    pub fn attendant(&self) -> Option<Attendant> {
        self.attendant.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Puts memory, and what lies beside it, at a guest-physical address.
    ///
    /// # Errors
    /// If KVM refuses.
    pub fn lend(&self, address: u64, memory: Arc<DomainMemory>) -> Result<(), MachineError> {
        let mut lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = kvm_userspace_memory_region {
            slot: lent.len() as u32,
            flags: 0,
            guest_phys_addr: address,
            memory_size: memory.extent(),
            userspace_addr: memory.host_address(),
        };
        // SAFETY: the memory stays mapped as long as `lent` keeps it, which is longer than the
        // VM exists; the VMM touches it only in ways that allow for a guest's writes.
        unsafe { self.fd.set_user_memory_region(slot) }
            .map_err(MachineError::kvm("add a memory slot"))?;
        lent.push(memory);
        Ok(())
    }

    /// Turns writes to an I/O port into signals: a doorbell.
    ///
    /// # Errors
    /// If KVM refuses.
    pub fn add_doorbell(&self, port: u16, signal: &EventFd) -> Result<(), MachineError> {
        self.fd
            .register_ioevent(signal, &IoEventAddress::Pio(port.into()), 0u8)
            .map_err(MachineError::kvm("add a doorbell"))
    }

    /// Creates a vCPU.
    ///
    /// # Errors
    /// If KVM refuses.
    pub(super) fn create_vcpu(&self, index: u32) -> Result<VcpuFd, MachineError> {
        self.fd.create_vcpu(index.into()).map_err(MachineError::kvm("create a vCPU"))
    }
}

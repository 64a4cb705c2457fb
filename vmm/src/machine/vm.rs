//! One VM: memory slots and doorbells.

use std::sync::{Arc, Mutex, PoisonError};

use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::{IoEventAddress, VcpuFd, VmFd};
use vmm_sys_util::eventfd::EventFd;

use super::MachineError;
use super::host::Host;
use super::memory::DomainMemory;
use super::vcpu::Blank;

/// A micro-VM without its vCPUs.
pub struct Vm {
    /// A vCPU that was made before it is wanted.
    first: Mutex<Option<Result<Blank, MachineError>>>,
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
        Ok(Self { first: Mutex::default(), fd, lent: Mutex::default() })
    }

    /// Makes the first vCPU. Who wants it after `published` has run waits until it is made.
    pub(super) fn make_first_vcpu(&self, host: &Host, published: impl FnOnce()) {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        published();
        *first = Some(Blank::new(host, self, 0));
    }

    /// A vCPU: the one that was made before, or else a new one.
    ///
    /// # Errors
    /// If KVM refuses.
    pub(super) fn vcpu(&self, host: &Host, index: u32) -> Result<Blank, MachineError> {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        let made = if index == 0 { first.take() } else { None };
        drop(first);
        made.unwrap_or_else(|| Blank::new(host, self, index))
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

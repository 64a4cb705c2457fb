//! `/dev/kvm`: whether it can be used, and what it can do.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use kvm_bindings::{CpuId, kvm_cpuid_entry2};
use kvm_ioctls::{Cap, Kvm, VcpuFd, VmFd};

use super::MachineError;
use super::attendant::Attendant;
use super::features;
use super::vcpu::Blank;
use super::vm::Vm;

/// What KVM must be able to do.
pub(crate) const NEEDED: [(Cap, &str); 5] = [
    (Cap::UserMemory, "memory slots (KVM_CAP_USER_MEMORY)"),
    (Cap::Ioeventfd, "doorbells (KVM_CAP_IOEVENTFD)"),
    (Cap::ImmediateExit, "safe interruption (KVM_CAP_IMMEDIATE_EXIT)"),
    (Cap::SyncMmu, "mappings that follow the host's (KVM_CAP_SYNC_MMU)"),
    (Cap::ExtCpuid, "CPUID control (KVM_CAP_EXT_CPUID)"),
];

/// How often `KVM_CREATE_VM` is tried again: it returns EINTR when a signal arrives meanwhile.
const CREATE_TRIES: usize = 5;

/// The host's KVM.
#[derive(Debug)]
pub struct Host {
    kvm: Kvm,
    features: OnceLock<Vec<kvm_cpuid_entry2>>,
    tsc_hz: OnceLock<Option<u64>>,
    stock: Mutex<Stock>,
}

/// VMs that are made before anybody needs them.
///
/// To make one, the kernel looks at every mapping that the process has: a system's are made first,
/// while there are few.
#[derive(Debug, Default)]
struct Stock {
    made: Vec<Arc<Vm>>,
    /// The first of all, whose first vCPU an attendant has.
    first: Option<Arc<Vm>>,
    attendant: Option<Attendant>,
    /// How many more are to be made.
    wanted: usize,
}

impl Host {
    /// Opens `/dev/kvm` and checks what it can do.
    ///
    /// # Errors
    /// If it is missing, not permitted, or lacks something.
    pub fn open() -> Result<Self, MachineError> {
        let kvm = Kvm::new().map_err(|error| {
            let cause = io::Error::from_raw_os_error(error.errno());
            let remedy = remedy(&cause);
            MachineError::NoKvm { cause, remedy }
        })?;
        if let Some((_, what)) = NEEDED.iter().find(|(cap, _)| !kvm.check_extension(*cap)) {
            return Err(MachineError::Lacks { what });
        }
        Ok(Self {
            kvm,
            features: OnceLock::new(),
            tsc_hz: OnceLock::new(),
            stock: Mutex::default(),
        })
    }

    /// Has a VM with a vCPU made meanwhile, which takes as long as everything else that a domain needs.
    /// What fails fails again when it is needed, and is told then.
    pub fn get_ready(self: &Arc<Self>) {
        let mut stock = self.stock();
        stock.wanted += 1;
        let host = self.clone();
        match Attendant::begin(move || host.make_first()) {
            Ok(attendant) => stock.attendant = Some(attendant),
            Err(error) => log::debug!("no thread to get KVM ready: {error}"),
        }
    }

    /// So many VMs more are wanted than are made or were asked for.
    pub fn want(&self, more: usize) {
        self.stock().wanted += more;
    }

    /// Makes those that are wanted, as far as nobody else does.
    pub fn make_wanted(&self) {
        while self.add_to_stock() {}
    }

    /// Makes the first VM, if it is still wanted, and its vCPU. Who wants the VM meanwhile waits for it,
    /// and does not make another.
    pub fn make_first(&self) -> Option<Result<Blank, MachineError>> {
        let mut stock = self.stock();
        stock.wanted = stock.wanted.checked_sub(1)?;
        let vm = Arc::new(Vm::new(self).ok()?);
        stock.first = Some(vm.clone());
        drop(stock);
        Some(Blank::new(self, &vm, 0))
    }

    /// Makes one of the VMs that are wanted; returns whether it did.
    fn add_to_stock(&self) -> bool {
        if !self.takes_on_one() {
            return false;
        }
        let made = Vm::new(self).map(Arc::new);
        let is_made = made.is_ok();
        self.stock().made.extend(made);
        is_made
    }

    fn takes_on_one(&self) -> bool {
        let mut stock = self.stock();
        let wanted = stock.wanted > 0;
        stock.wanted -= usize::from(wanted);
        wanted
    }

    fn stock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The open device.
    pub fn kvm(&self) -> &Kvm {
        &self.kvm
    }

    /// What vCPUs are told of their [processor](features), which is asked once.
    ///
    /// # Errors
    /// If there is no memory for the list.
    pub(crate) fn cpuid(&self) -> Result<CpuId, MachineError> {
        let told = self.features.get_or_init(features::of_this_processor);
        CpuId::from_entries(told).map_err(|error| MachineError::Memory {
            what: "the features of a vCPU",
            cause: io::Error::other(format!("{error:?}")),
        })
    }

    /// Frequency of all guests' time stamp counters, in Hz, if KVM knows: some vCPU is asked once.
    pub(super) fn tsc_hz(&self, vcpu: &VcpuFd) -> Option<u64> {
        *self.tsc_hz.get_or_init(|| {
            let khz = vcpu.get_tsc_khz().ok().filter(|&khz| khz > 0);
            khz.map(|khz| u64::from(khz) * 1000)
        })
    }

    /// A VM: one of those that were made before, or else a new one.
    ///
    /// # Errors
    /// If KVM refuses.
    pub fn vm(&self) -> Result<Arc<Vm>, MachineError> {
        let mut stock = self.stock();
        let first = stock.first.take();
        if let Some(vm) = &first
            && let Some(attendant) = stock.attendant.take()
        {
            vm.attend(attendant);
        }
        let made = first.or_else(|| stock.made.pop());
        drop(stock);
        made.map_or_else(
            || {
                self.takes_on_one();
                Vm::new(self).map(Arc::new)
            },
            Ok,
        )
    }

    /// A new VM, empty.
    ///
    /// # Errors
    /// If KVM refuses.
    pub(super) fn create_vm(&self) -> Result<VmFd, MachineError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.kvm.create_vm() {
                Err(error) if error.errno() == libc::EINTR && tries < CREATE_TRIES => (),
                result => return result.map_err(MachineError::kvm("create a VM")),
            }
        }
    }

    /// Whether the processor runs guests itself (VT-x, AMD-V), as far as the host's own CPU
    /// flags tell. Without them, KVM is of the kind that emulates ring 0. The flags are read once,
    /// when somebody asks: a system needs no word of them to start.
    pub fn has_hardware_virtualisation() -> bool {
        static HAS: OnceLock<bool> = OnceLock::new();
        *HAS.get_or_init(|| {
            std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|info| {
                let flags = info.lines().find(|line| line.starts_with("flags"));
                flags.is_some_and(|line| line.split_whitespace().any(|f| f == "vmx" || f == "svm"))
            })
        })
    }
}

fn remedy(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::NotFound => {
            "load the module (`modprobe kvm-intel` or `kvm-amd`) or, in a cloud, choose a machine \
             with nested virtualisation; `cargo xtask run --emulate` needs no KVM at all"
        }
        io::ErrorKind::PermissionDenied => {
            "let your user open it (`sudo usermod -aG kvm $USER`, then log in again)"
        }
        _ => "see `dmesg` for what the kernel says about KVM",
    }
}

/// Frequency of the host's time stamp counter, in Hz, measured once: for hosts whose KVM does not
/// tell the guest's.
pub fn measured_tsc_hz() -> u64 {
    static HZ: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    *HZ.get_or_init(|| {
        // SAFETY: RDTSC is allowed everywhere in user mode and has no effect but its result.
        let ticks = || unsafe { std::arch::x86_64::_rdtsc() };
        let (began, first) = (std::time::Instant::now(), ticks());
        while began.elapsed() < std::time::Duration::from_millis(20) {
            std::hint::spin_loop();
        }
        let (elapsed, last) = (began.elapsed(), ticks());
        (u128::from(last - first) * 1_000_000_000 / elapsed.as_nanos().max(1)) as u64
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_cannot_be_opened_has_a_remedy() {
        let advice = |errno| remedy(&io::Error::from_raw_os_error(errno));
        assert!(advice(libc::ENOENT).contains("modprobe"));
        assert!(advice(libc::EACCES).contains("usermod -aG kvm"));
        assert!(advice(libc::EIO).contains("dmesg"));
    }
}

//! Why no system can run here: KVM missing, denied, occupied, or unable to run a guest.

use std::io::{self, ErrorKind};

use super::Finding;
use crate::doctor::facts::HostFacts;
use crate::doctor::measure::MeasureError;
use crate::machine::MachineError;

/// What helps on every host.
const WITHOUT_KVM: &str = "`cargo xtask run MANIFEST --emulate` needs no KVM";

/// `/dev/kvm` could not be opened.
pub(in crate::doctor) fn no_kvm(cause: &io::Error, host: &HostFacts) -> Finding {
    let code = cause.raw_os_error();
    let (what, remedy) = match cause.kind() {
        ErrorKind::NotFound => missing(host),
        ErrorKind::PermissionDenied if code == Some(libc::EPERM) => (
            "/dev/kvm is there, but this container or group of processes may not use devices"
                .to_owned(),
            "hand it in (`--device /dev/kvm` with Docker or Podman, \
             `DeviceAllow=/dev/kvm rw` with systemd)"
                .to_owned(),
        ),
        ErrorKind::PermissionDenied => (
            "/dev/kvm is there, but your user may not open it for reading and writing".to_owned(),
            "join its group (`sudo usermod -aG kvm $USER`, then log in again), or for now \
             `sudo setfacl -m u:$USER:rw /dev/kvm`"
                .to_owned(),
        ),
        _ if matches!(code, Some(libc::ENODEV | libc::ENXIO)) => missing(host),
        _ => (
            format!("/dev/kvm cannot be opened: {cause}"),
            "see `dmesg | grep -i kvm` for what the kernel says".to_owned(),
        ),
    };
    Finding::problem(what, format!("{remedy}; {WITHOUT_KVM}"))
}

/// There is no KVM: because of the processor, or because of the module.
fn missing(host: &HostFacts) -> (String, String) {
    if let Some(module) = host.vendor_modules().next() {
        return (
            format!("KVM's module {module} is loaded, but there is no /dev/kvm"),
            "hand the device into this container (`--device /dev/kvm`), or make it \
             (`sudo mknod /dev/kvm c 10 232`)"
                .to_owned(),
        );
    }
    match host.cpu.virtualisation {
        Some(kind) => (
            format!("there is no /dev/kvm, though this processor has {}", kind.name()),
            format!(
                "load its module (`sudo modprobe {}`); if that fails with `Operation not \
                 supported`, switch virtualisation on in the firmware (BIOS)",
                kind.module()
            ),
        ),
        None if host.cpu.is_virtual => (
            "there is no /dev/kvm, and this virtual machine's processor offers \
             neither VT-x nor AMD-V"
                .to_owned(),
            "switch nested virtualisation on for it, or choose a machine type that has it \
             (bare metal always does)"
                .to_owned(),
        ),
        None => (
            "there is no /dev/kvm, and this processor offers neither VT-x nor AMD-V".to_owned(),
            "switch virtualisation on in the firmware (BIOS: `VT-x` or `SVM`), if the processor \
             has it at all"
                .to_owned(),
        ),
    }
}

/// KVM is there, but the test guests failed.
pub(in crate::doctor) fn no_guest(error: &MeasureError, host: &HostFacts) -> Finding {
    let MeasureError::Machine(cause) = error else {
        return Finding::problem(
            format!("KVM does not run guests in ring 3 as it should: {error}"),
            format!("{}; {WITHOUT_KVM}", other_kvm(host)),
        );
    };
    match cause {
        MachineError::NoKvm { cause, .. } => no_kvm(cause, host),
        MachineError::Kvm { cause, .. } => refused(&error.to_string(), cause, host),
        MachineError::Memory { .. } => Finding::problem(
            error.to_string(),
            "end other programs, or raise the limits on memory and open files (`ulimit -a`)"
                .to_owned(),
        ),
        MachineError::Lacks { .. } => {
            Finding::problem(cause.to_string(), format!("update the kernel; {WITHOUT_KVM}"))
        }
        MachineError::OutOfBounds { .. }
        | MachineError::Load { .. }
        | MachineError::TooSmall { .. }
        | MachineError::TablesFull => Finding::problem(
            format!("the test guests could not be made: {cause}"),
            "this is a mistake in the VMM: report it".to_owned(),
        ),
    }
}

/// KVM refused a call that it grants on a healthy host.
fn refused(what: &str, cause: &io::Error, host: &HostFacts) -> Finding {
    let remedy = match cause.raw_os_error() {
        Some(libc::EBUSY) => {
            "end the other hypervisor that holds the processor (VirtualBox, VMware)".to_owned()
        }
        Some(libc::ENOMEM | libc::EMFILE | libc::ENFILE) => {
            "end other programs, or raise the limits on memory and open files (`ulimit -a`)"
                .to_owned()
        }
        _ => other_kvm(host),
    };
    Finding::problem(what.to_owned(), format!("{remedy}; {WITHOUT_KVM}"))
}

fn other_kvm(host: &HostFacts) -> String {
    let release = host.kernel.release.as_deref().unwrap_or("this version");
    format!("see `dmesg | grep -i kvm`, and try a kernel other than {release}")
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;
    use crate::doctor::facts::cpu::Virtualisation;
    use crate::doctor::facts::kernel::Module;

    fn host(virtualisation: Option<Virtualisation>, is_virtual: bool) -> HostFacts {
        let mut host = HostFacts::default();
        host.cpu.virtualisation = virtualisation;
        host.cpu.is_virtual = is_virtual;
        host
    }

    fn verdict(code: i32, host: &HostFacts) -> (String, String) {
        let finding = no_kvm(&io::Error::from_raw_os_error(code), host);
        assert_eq!(finding.severity, Severity::Problem);
        let remedy = finding.remedy.unwrap();
        assert!(remedy.ends_with("--emulate` needs no KVM"), "{remedy}");
        (finding.what, remedy)
    }

    #[test]
    fn a_missing_device_is_put_down_to_what_is_missing() {
        for code in [libc::ENOENT, libc::ENODEV, libc::ENXIO] {
            let (what, remedy) = verdict(code, &host(Some(Virtualisation::AmdV), false));
            assert_eq!(what, "there is no /dev/kvm, though this processor has AMD-V");
            assert!(remedy.contains("modprobe kvm_amd") && remedy.contains("BIOS"), "{remedy}");
        }
        let (_, remedy) = verdict(libc::ENOENT, &host(None, true));
        assert!(remedy.starts_with("switch nested virtualisation on"), "{remedy}");
        let (_, remedy) = verdict(libc::ENOENT, &host(None, false));
        assert!(remedy.contains("firmware"), "{remedy}");
    }

    #[test]
    fn a_loaded_module_without_a_device_is_a_container() {
        let mut host = host(Some(Virtualisation::VtX), false);
        host.modules.push(Module { name: "kvm_intel".into(), parameters: [].into() });
        let (what, remedy) = verdict(libc::ENOENT, &host);
        assert_eq!(what, "KVM's module kvm_intel is loaded, but there is no /dev/kvm");
        assert!(remedy.contains("--device /dev/kvm"), "{remedy}");
    }

    #[test]
    fn a_denied_device_is_the_groups_or_the_containers() {
        let (what, remedy) = verdict(libc::EACCES, &HostFacts::default());
        assert!(what.contains("your user may not open it"), "{what}");
        assert!(remedy.contains("usermod -aG kvm") && remedy.contains("setfacl"), "{remedy}");
        let (_, remedy) = verdict(libc::EPERM, &HostFacts::default());
        assert!(remedy.contains("--device /dev/kvm"), "{remedy}");
    }

    #[test]
    fn any_other_error_is_told_as_it_is() {
        let (what, remedy) = verdict(libc::EIO, &HostFacts::default());
        assert!(what.contains("Input/output error"), "{what}");
        assert!(remedy.contains("dmesg"), "{remedy}");
    }

    #[test]
    fn an_occupied_processor_is_told_from_a_broken_kvm() {
        let refusal = |code| {
            let cause = io::Error::from_raw_os_error(code);
            let error = MachineError::Kvm { what: "create a VM", cause };
            no_guest(&error.into(), &HostFacts::default())
        };
        let busy = refusal(libc::EBUSY);
        assert!(busy.what.starts_with("KVM refused to create a VM"), "{}", busy.what);
        assert!(busy.remedy.unwrap().contains("other hypervisor"));
        assert!(refusal(libc::EINVAL).remedy.unwrap().contains("dmesg"));
        let lost = no_guest(&MeasureError::Silent { what: "wake up" }, &HostFacts::default());
        assert!(lost.what.contains("did not wake up within 5 seconds"), "{}", lost.what);
        assert_eq!(lost.severity, Severity::Problem);
    }
}

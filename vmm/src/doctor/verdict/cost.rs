//! What the measured costs mean: which kind of KVM they prove, and why making a VM is slow.

use std::time::Duration;

use super::{Finding, human, kind};
use crate::doctor::facts::HostFacts;
use crate::doctor::facts::cpu::EMULATOR;
use crate::doctor::measure::Figures;

/// Making a VM takes a fraction of a millisecond, unless the host waits for something.
const SLOW_CREATION: Duration = Duration::from_millis(5);

pub(super) fn findings(host: &HostFacts, figures: &Figures) -> Vec<Finding> {
    if host.cpu.hypervisor.as_deref() == Some(EMULATOR) {
        return vec![Finding::note(format!(
            "this machine is emulated ({EMULATOR}): its times mean nothing, and none is judged"
        ))];
    }
    let slow = figures.create_vm.map(|spread| spread.p50()).filter(|&time| time > SLOW_CREATION);
    let slow = slow.map(|time| slow_creation(host, time)).unwrap_or_default();
    kind::finding(host, figures).into_iter().chain(slow).collect()
}

/// KVM starts a thread for each VM and puts it into the VMM's control groups; with most mounts,
/// that waits for all processors.
fn slow_creation(host: &HostFacts, time: Duration) -> Vec<Finding> {
    let time = human(time);
    let mut findings = Vec::new();
    if let Some(mount) = host.cgroups.mounts.first().filter(|_| !host.cgroups.favordynmods) {
        findings.push(Finding::warning(
            format!(
                "creating a VM takes {time}: control groups are mounted without `favordynmods`"
            ),
            format!(
                "`sudo mount -o remount,favordynmods {mount}` (Linux 6.0 and later); `grep cgroup \
                 /proc/mounts` then shows the option"
            ),
        ));
    }
    // `N` keeps the thread; only `never` means that it is not even started.
    if let Some(value) = host.parameter("kvm", "nx_huge_pages").filter(|&value| value != "never") {
        findings.push(Finding::warning(
            format!(
                "creating a VM takes {time}: KVM starts a recovery thread for \
                 each (nx_huge_pages={value})"
            ),
            "if /sys/devices/system/cpu/vulnerabilities/itlb_multihit says `Not affected`, load \
             KVM with `kvm.nx_huge_pages=never`"
                .to_owned(),
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::warning(
            format!("creating a VM takes {time}, for no reason that is known here"),
            "end what else uses the processors, and measure again".to_owned(),
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::tests::figure;
    use super::*;
    use crate::doctor::facts::kernel::Module;

    fn figures(create_vm: u64) -> Figures {
        Figures { create_vm: figure(create_vm), exit: figure(46), ..Figures::default() }
    }

    fn told(host: &HostFacts, figures: &Figures) -> Vec<String> {
        findings(host, figures).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn fast_creation_needs_no_remedy() {
        let mut host = HostFacts::default();
        host.cgroups.mounts = vec!["/sys/fs/cgroup".into()];
        assert_eq!(told(&host, &figures(5_000)).len(), 1, "the kind alone");
    }

    #[test]
    fn slow_creation_is_put_down_to_mounts_and_to_the_recovery_thread() {
        let mut host = HostFacts::default();
        host.cgroups.mounts = vec!["/sys/fs/cgroup".into()];
        let nx = |value: &str| Module {
            name: "kvm".into(),
            parameters: [("nx_huge_pages", value.to_owned())].into(),
        };
        host.modules = vec![nx("N")];
        let found = findings(&host, &figures(27_000));
        assert!(found[1].what.starts_with("creating a VM takes 27.0 ms: control groups"));
        let remedy = found[1].remedy.as_deref().unwrap();
        assert!(remedy.contains("remount,favordynmods /sys/fs/cgroup`"), "{remedy}");
        assert!(found[2].what.contains("nx_huge_pages=N"));
        host.modules = vec![nx("never")];
        host.cgroups.favordynmods = true;
        let found = told(&host, &figures(27_000));
        assert_eq!(found.len(), 2);
        assert!(found[1].contains("no reason that is known"), "{}", found[1]);
    }

    #[test]
    fn an_emulated_machines_times_are_not_judged() {
        let mut host = HostFacts::default();
        host.cpu.hypervisor = Some(EMULATOR.to_owned());
        let found = told(&host, &figures(27_000));
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("mean nothing"));
    }
}

//! What KVM lacks, and what its modules and the kernel make slow.

use super::Finding;
use crate::doctor::facts::HostFacts;
use crate::doctor::facts::kvm::{API_VERSION, KvmFacts};

/// The first kernel in which a vCPU that changes threads does not wait for all processors.
const CHEAP_MIGRATION: (u32, u32) = (6, 12);

pub(super) fn findings(host: &HostFacts, kvm: &KvmFacts) -> Vec<Finding> {
    let rules = [lacks(kvm), lacks_optional(kvm), shadow_paging(host), kernel(host)];
    rules.into_iter().flatten().collect()
}

/// What answers as `/dev/kvm` is something else, by the version that it names.
pub(in crate::doctor) fn foreign(api_version: i32) -> Option<Finding> {
    (api_version != API_VERSION).then(|| {
        Finding::problem(
            format!("/dev/kvm speaks version {api_version} of KVM's interface, not {API_VERSION}"),
            "see that /dev/kvm is the kernel's own device (character device 10, 232)".to_owned(),
        )
    })
}

fn lacks(kvm: &KvmFacts) -> Option<Finding> {
    let lacking = kvm.lacking(true);
    (!lacking.is_empty()).then(|| {
        Finding::problem(
            format!("this KVM lacks {}", lacking.join(", ")),
            "update the kernel: Linux 5.10 and later has it on x86_64".to_owned(),
        )
    })
}

fn lacks_optional(kvm: &KvmFacts) -> Option<Finding> {
    let lacking = kvm.lacking(false);
    (!lacking.is_empty()).then(|| {
        Finding::note(format!("this KVM lacks {}; systems run without", lacking.join(", ")))
    })
}

/// Hardware that could translate guest addresses, but was told not to.
fn shadow_paging(host: &HostFacts) -> Option<Finding> {
    let kind = host.cpu.virtualisation?;
    let (module, parameter) = (kind.module(), kind.paging_parameter());
    let value = host.parameter(module, parameter)?;
    matches!(value, "N" | "0").then(|| {
        Finding::warning(
            format!(
                "{module} runs without nested paging ({parameter}={value}): first \
                 touches of memory are slow"
            ),
            format!(
                "load it with `{parameter}=1` (`sudo modprobe -r {module}; sudo \
                 modprobe {module} {parameter}=1`)"
            ),
        )
    })
}

fn kernel(host: &HostFacts) -> Option<Finding> {
    let version = host.kernel.version.filter(|&version| version < CHEAP_MIGRATION)?;
    Some(Finding::note(format!(
        "Linux {}.{} makes a vCPU that changes threads wait for all processors (not since {}.{}); \
         vCPUs here keep their threads for life, so only their first run pays",
        version.0, version.1, CHEAP_MIGRATION.0, CHEAP_MIGRATION.1
    )))
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;
    use crate::doctor::facts::cpu::Virtualisation;
    use crate::doctor::facts::kernel::Module;
    use crate::doctor::facts::kvm::Capability;

    fn kvm(needed: bool, present: bool) -> KvmFacts {
        KvmFacts {
            api_version: API_VERSION,
            max_vcpus: 1,
            recommended_vcpus: 1,
            max_memory_slots: 1,
            capabilities: vec![Capability { name: "doorbells", needed, present }],
        }
    }

    fn host() -> HostFacts {
        let mut host = HostFacts::default();
        host.kernel.version = Some(CHEAP_MIGRATION);
        host
    }

    #[test]
    fn what_is_needed_and_missing_is_a_problem_and_the_rest_a_note() {
        assert_eq!(findings(&host(), &kvm(true, true)), []);
        let grave = findings(&host(), &kvm(true, false));
        assert_eq!(grave[0].severity, Severity::Problem);
        assert_eq!(grave[0].what, "this KVM lacks doorbells");
        assert_eq!(findings(&host(), &kvm(false, false))[0].severity, Severity::Note);
    }

    #[test]
    fn another_device_is_not_kvm() {
        assert_eq!(foreign(API_VERSION), None);
        assert_eq!(foreign(-1).unwrap().severity, Severity::Problem);
    }

    #[test]
    fn paging_that_is_switched_off_is_told() {
        let mut host = host();
        host.cpu.virtualisation = Some(Virtualisation::VtX);
        host.modules =
            vec![Module { name: "kvm_intel".into(), parameters: [("ept", "N".to_owned())].into() }];
        let found = findings(&host, &kvm(true, true));
        assert!(found[0].what.contains("ept=N"), "{}", found[0].what);
        host.modules[0].parameters = [("ept", "Y".to_owned())].into();
        assert_eq!(findings(&host, &kvm(true, true)), []);
    }

    #[test]
    fn an_old_kernel_is_noted() {
        let mut host = host();
        host.kernel.version = Some((6, 11));
        let found = findings(&host, &kvm(true, true));
        assert!(found[0].what.starts_with("Linux 6.11 makes"), "{}", found[0].what);
        host.kernel.version = Some((7, 0));
        assert_eq!(findings(&host, &kvm(true, true)), []);
    }
}

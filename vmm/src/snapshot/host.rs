//! What a host must be like: the kind of its KVM, and the features of its processor that a server
//! may have found and chosen its code by.

use kvm_bindings::CpuId;
use serde::{Deserialize, Serialize};

use super::error::Misfit;
use crate::control::api::HostKind;
use crate::machine::MachineError;
use crate::machine::features::{FEATURES, Feature};
use crate::machine::host::Host;

/// A host, as far as a vCPU shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// Its kind.
    pub kind: HostKind,
    /// Features that code in ring 3 can use.
    pub features: Vec<String>,
}

impl HostFacts {
    /// Of this host.
    ///
    /// # Errors
    /// If KVM does not tell the processor's features.
    pub fn of(host: &Host) -> Result<Self, MachineError> {
        let is_hardware = Host::has_hardware_virtualisation();
        let kind = if is_hardware { HostKind::Hardware } else { HostKind::Software };
        Ok(Self { kind, features: features(&host.cpuid()?) })
    }

    /// Whether a snapshot that was taken on a host like this fits one like `ours`. A host may have
    /// more than the other.
    ///
    /// # Errors
    /// With what is different.
    pub fn fit(&self, ours: &Self) -> Result<(), Misfit> {
        if self.kind != ours.kind {
            return Err(Misfit::Kind { theirs: self.kind, ours: ours.kind });
        }
        let lacking = self.features.iter().filter(|feature| !ours.features.contains(feature));
        let lacks: Vec<_> = lacking.cloned().collect();
        if lacks.is_empty() { Ok(()) } else { Err(Misfit::Features { lacks }) }
    }
}

fn features(cpuid: &CpuId) -> Vec<String> {
    let has = |feature: &Feature| {
        let mut entries = cpuid.as_slice().iter();
        let entry = entries.find(|entry| entry.function == feature.leaf && entry.index == 0);
        entry.is_some_and(|entry| feature.is_in(entry))
    };
    FEATURES.iter().filter(|feature| has(feature)).map(|feature| feature.name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kvm_bindings::kvm_cpuid_entry2;

    fn host(kind: HostKind, features: &[&str]) -> HostFacts {
        HostFacts { kind, features: features.iter().map(|&name| name.to_owned()).collect() }
    }

    #[test]
    fn the_other_kind_of_host_is_refused_with_the_reason() {
        let (hard, soft) = (host(HostKind::Hardware, &[]), host(HostKind::Software, &[]));
        let says = soft.fit(&hard).unwrap_err().to_string();
        assert!(says.starts_with("it was taken on software KVM, and this host has hardware KVM"));
        assert!(says.contains("restore it on a host of its own kind"), "{says}");
        assert!(hard.fit(&soft).is_err() && hard.fit(&hard).is_ok());
    }

    #[test]
    fn a_host_may_have_more_and_not_less() {
        let less = host(HostKind::Software, &["sse3"]);
        let more = host(HostKind::Software, &["sse3", "popcnt", "bmi2"]);
        assert_eq!(less.fit(&more), Ok(()));
        let lacks = vec!["popcnt".to_owned(), "bmi2".to_owned()];
        assert_eq!(more.fit(&less), Err(Misfit::Features { lacks }));
    }

    #[test]
    fn features_are_found_where_cpuid_has_them() {
        let entries = [
            kvm_cpuid_entry2 { function: 1, ecx: 1 << 23, ..Default::default() },
            kvm_cpuid_entry2 { function: 7, ebx: 1 << 9, ..Default::default() },
            kvm_cpuid_entry2 { function: 7, index: 1, ebx: 1 << 8, ..Default::default() },
        ];
        let cpuid = CpuId::from_entries(&entries).unwrap();
        assert_eq!(features(&cpuid), ["popcnt", "erms"]);
    }
}

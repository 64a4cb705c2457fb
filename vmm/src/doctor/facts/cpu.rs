//! The processor: what `/proc/cpuinfo` says, and who made it up if it is a virtual one.

use std::arch::x86_64::__cpuid;

use serde::Serialize;

/// CPUID leaf at which a hypervisor names itself.
const HYPERVISOR_LEAF: u32 = 0x4000_0000;

/// How a processor runs guests by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::doctor) enum Virtualisation {
    VtX,
    AmdV,
}

impl Virtualisation {
    /// As people call it.
    pub(in crate::doctor) fn name(self) -> &'static str {
        match self {
            Self::VtX => "VT-x",
            Self::AmdV => "AMD-V",
        }
    }

    /// The module that uses it.
    pub(in crate::doctor) fn module(self) -> &'static str {
        match self {
            Self::VtX => "kvm_intel",
            Self::AmdV => "kvm_amd",
        }
    }

    /// The module's parameter that says whether the processor translates guest addresses.
    pub(in crate::doctor) fn paging_parameter(self) -> &'static str {
        match self {
            Self::VtX => "ept",
            Self::AmdV => "npt",
        }
    }
}

/// The processor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(in crate::doctor) struct Cpu {
    pub(in crate::doctor) model: String,
    pub(in crate::doctor) vendor: String,
    /// How it runs guests by itself, if it says that it does.
    pub(in crate::doctor) virtualisation: Option<Virtualisation>,
    /// Whether this host is itself a virtual machine.
    pub(in crate::doctor) is_virtual: bool,
    /// What its hypervisor calls itself.
    pub(in crate::doctor) hypervisor: Option<String>,
    /// Whether its time stamp counter has one speed, whatever the processor's.
    pub(in crate::doctor) constant_tsc: bool,
    /// Whether its time stamp counter counts on while the processor sleeps.
    pub(in crate::doctor) nonstop_tsc: bool,
}

impl Cpu {
    pub(super) fn read() -> Self {
        let mut cpu = Self::parse(&super::text("/proc/cpuinfo").unwrap_or_default());
        cpu.hypervisor = cpu.is_virtual.then(hypervisor).flatten();
        cpu
    }

    /// Reads the first processor of `/proc/cpuinfo`: they are all alike.
    fn parse(info: &str) -> Self {
        let field = |name: &str| {
            info.lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(key, _)| key.trim_end() == name)
                .map_or("", |(_, value)| value.trim())
        };
        let flags = field("flags");
        let has = |flag: &str| flags.split_whitespace().any(|word| word == flag);
        Self {
            model: field("model name").to_owned(),
            vendor: field("vendor_id").to_owned(),
            virtualisation: match (has("vmx"), has("svm")) {
                (true, _) => Some(Virtualisation::VtX),
                (_, true) => Some(Virtualisation::AmdV),
                _ => None,
            },
            is_virtual: has("hypervisor"),
            hypervisor: None,
            constant_tsc: has("constant_tsc"),
            nonstop_tsc: has("nonstop_tsc"),
        }
    }
}

/// What a processor that is not real says of its maker.
fn hypervisor() -> Option<String> {
    let leaf = __cpuid(HYPERVISOR_LEAF);
    readable([leaf.ebx, leaf.ecx, leaf.edx])
}

/// The twelve bytes of a signature as a name that people know, or as they are.
fn readable(signature: [u32; 3]) -> Option<String> {
    let bytes: Vec<u8> = signature.into_iter().flat_map(u32::to_le_bytes).collect();
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_matches(['\0', ' ']);
    let name = match text {
        "KVMKVMKVM" => "KVM",
        "TCGTCGTCGTCG" => EMULATOR,
        "Microsoft Hv" => "Hyper-V",
        "VMwareVMware" => "VMware",
        "XenVMMXenVMM" => "Xen",
        "bhyve bhyve" => "bhyve",
        other if other.chars().all(|c| c.is_ascii_graphic() || c == ' ') => other,
        _ => "",
    };
    (!name.is_empty()).then(|| name.to_owned())
}

/// The name of a hypervisor that emulates the processor, so that no time there means anything.
pub(in crate::doctor) const EMULATOR: &str = "QEMU without KVM";

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "\
processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: AMD EPYC 9R14: a test
flags\t\t: fpu svm_lock hypervisor constant_tsc nonstop_tsc
vmx flags\t: ept vpid
processor\t: 1
model name\t: another
flags\t\t: fpu svm
";

    #[test]
    fn the_first_processor_is_read_and_flags_are_whole_words() {
        let cpu = Cpu::parse(INFO);
        assert_eq!(cpu.model, "AMD EPYC 9R14: a test");
        assert_eq!(cpu.vendor, "AuthenticAMD");
        assert_eq!(cpu.virtualisation, None, "`svm_lock` is not `svm`, nor `vmx flags` `flags`");
        assert!(cpu.is_virtual && cpu.constant_tsc && cpu.nonstop_tsc);
    }

    #[test]
    fn both_kinds_of_hardware_are_known() {
        let of = |flags: &str| Cpu::parse(&format!("flags : {flags}\n")).virtualisation;
        assert_eq!(of("fpu vmx"), Some(Virtualisation::VtX));
        assert_eq!(of("svm fpu"), Some(Virtualisation::AmdV));
        assert_eq!(of("fpu"), None);
        assert_eq!(Cpu::parse(""), Cpu::default());
    }

    #[test]
    fn hypervisors_are_called_as_people_call_them() {
        let words = |text: &[u8; 12]| {
            let word = |at: usize| u32::from_le_bytes(text[at..at + 4].try_into().unwrap());
            [word(0), word(4), word(8)]
        };
        assert_eq!(readable(words(b"KVMKVMKVM\0\0\0")).as_deref(), Some("KVM"));
        assert_eq!(readable(words(b"TCGTCGTCGTCG")).as_deref(), Some(EMULATOR));
        assert_eq!(readable(words(b"ACRNACRNACRN")).as_deref(), Some("ACRNACRNACRN"));
        assert_eq!(readable([0; 3]), None);
        assert_eq!(readable([0xffff_ff01; 3]), None);
    }
}

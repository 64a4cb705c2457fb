//! What vCPUs are told of their processor.
//!
//! KVM has a list of all that it could tell (`KVM_GET_SUPPORTED_CPUID`). In a virtual machine each of
//! its 80 lines is an exit to the hypervisor below, of some 8 us: together as much as an ordinary
//! process takes to start. A server in ring 3 has no use for most of them. So the list is made here:
//! who made the processor, which instructions ring 3 can use with what [descriptors] switch on, which
//! vector registers there are to be saved, and how wide addresses are.
//!
//! Nothing in it needs more of KVM than every KVM gives: there is no interrupt controller to tell of,
//! no performance counter, no clock of the hypervisor's.
//!
//! [descriptors]: super::descriptors

use std::arch::x86_64::{__cpuid_count, CpuidResult};

use kvm_bindings::{KVM_CPUID_FLAG_SIGNIFCANT_INDEX, kvm_cpuid_entry2};

/// The maker, and the last of the plain leaves.
const MAKER: u32 = 0;
const BASIC: u32 = 1;
const FURTHER: u32 = 7;
const VECTOR_STATE: u32 = 0xd;
/// The last of the extended leaves.
const LAST_EXTENDED: u32 = 0x8000_0000;
const EXTENDED: u32 = 0x8000_0001;
const WIDTHS: u32 = 0x8000_0008;

/// A register that CPUID answers in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Register {
    Ebx,
    Ecx,
    Edx,
}

/// Something of the processor that a server may find, and choose its code by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Feature {
    /// The leaf that tells of it.
    pub(crate) leaf: u32,
    register: Register,
    bit: u32,
    /// What Linux calls it.
    pub(crate) name: &'static str,
}

impl Feature {
    const fn new(leaf: u32, register: Register, bit: u32, name: &'static str) -> Self {
        Self { leaf, register, bit, name }
    }

    /// Whether its leaf tells that it is there.
    pub(crate) const fn is_in(&self, entry: &kvm_cpuid_entry2) -> bool {
        let word = match self.register {
            Register::Ebx => entry.ebx,
            Register::Ecx => entry.ecx,
            Register::Edx => entry.edx,
        };
        word & (1 << self.bit) != 0
    }
}

/// What code in ring 3 can use without a control bit that no guest has. (AVX needs XSAVE to be switched
/// on, which it is not.)
pub(crate) const FEATURES: [Feature; 33] = [
    Feature::new(BASIC, Register::Ecx, 0, "sse3"),
    Feature::new(BASIC, Register::Ecx, 1, "pclmulqdq"),
    Feature::new(BASIC, Register::Ecx, 9, "ssse3"),
    Feature::new(BASIC, Register::Ecx, 13, "cx16"),
    Feature::new(BASIC, Register::Ecx, 19, "sse4_1"),
    Feature::new(BASIC, Register::Ecx, 20, "sse4_2"),
    Feature::new(BASIC, Register::Ecx, 22, "movbe"),
    Feature::new(BASIC, Register::Ecx, 23, "popcnt"),
    Feature::new(BASIC, Register::Ecx, 25, "aes"),
    Feature::new(BASIC, Register::Ecx, 30, "rdrand"),
    Feature::new(BASIC, Register::Edx, 4, "tsc"),
    Feature::new(BASIC, Register::Edx, 8, "cx8"),
    Feature::new(BASIC, Register::Edx, 15, "cmov"),
    Feature::new(BASIC, Register::Edx, 19, "clflush"),
    Feature::new(BASIC, Register::Edx, 24, "fxsr"),
    Feature::new(BASIC, Register::Edx, 26, "sse2"),
    Feature::new(FURTHER, Register::Ebx, 3, "bmi1"),
    Feature::new(FURTHER, Register::Ebx, 8, "bmi2"),
    Feature::new(FURTHER, Register::Ebx, 9, "erms"),
    Feature::new(FURTHER, Register::Ebx, 18, "rdseed"),
    Feature::new(FURTHER, Register::Ebx, 19, "adx"),
    Feature::new(FURTHER, Register::Ebx, 23, "clflushopt"),
    Feature::new(FURTHER, Register::Ebx, 24, "clwb"),
    Feature::new(FURTHER, Register::Ebx, 29, "sha_ni"),
    Feature::new(FURTHER, Register::Ecx, 8, "gfni"),
    Feature::new(FURTHER, Register::Ecx, 22, "rdpid"),
    Feature::new(FURTHER, Register::Edx, 4, "fsrm"),
    Feature::new(EXTENDED, Register::Ecx, 0, "lahf_lm"),
    Feature::new(EXTENDED, Register::Ecx, 5, "abm"),
    Feature::new(EXTENDED, Register::Ecx, 6, "sse4a"),
    Feature::new(EXTENDED, Register::Ecx, 8, "3dnowprefetch"),
    Feature::new(EXTENDED, Register::Edx, 27, "rdtscp"),
    Feature::new(EXTENDED, Register::Edx, 29, "lm"),
];

/// The features of one register of a leaf.
const fn of(leaf: u32, register: Register) -> u32 {
    let (mut set, mut at) = (0, 0);
    while at < FEATURES.len() {
        let feature = &FEATURES[at];
        if feature.leaf == leaf && feature.register as u32 == register as u32 {
            set |= 1 << feature.bit;
        }
        at += 1;
    }
    set
}

/// There is a hypervisor.
const HYPERVISOR: u32 = bits([31]);
/// Beside the features: x87, DE, PSE, MSR, PAE, PGE, PAT, MMX, SSE.
const BASIC_EDX: u32 = of(BASIC, Register::Edx) | bits([0, 2, 3, 5, 6, 13, 16, 23, 25]);
/// Bytes of a cache line, as CLFLUSH counts them.
const CACHE_LINE: u32 = 0xff00;
/// Beside the features: no-execute, pages of 1 GiB.
const EXTENDED_EDX: u32 = of(EXTENDED, Register::Edx) | bits([20, 26]);
/// x87, SSE, AVX, MPX, AVX-512, protection keys. They are told because they must be saved and taken
/// back: on software KVM, ring 3 has what the host has switched on. AMX is for processes that ask.
const VECTOR_PARTS: u32 = bits([0, 1, 2, 3, 4, 5, 6, 7, 9]);

const fn bits<const N: usize>(places: [u32; N]) -> u32 {
    let (mut set, mut at) = (0, 0);
    while at < N {
        set |= 1 << places[at];
        at += 1;
    }
    set
}

/// The list, for any vCPU. It takes an exit for each line, where there is a hypervisor below.
pub(super) fn of_this_processor() -> Vec<kvm_cpuid_entry2> {
    told_by(|leaf| __cpuid_count(leaf, 0))
}

fn told_by(ask: impl Fn(u32) -> CpuidResult) -> Vec<kvm_cpuid_entry2> {
    let (maker, extended) = (ask(MAKER), ask(LAST_EXTENDED));
    let last = maker.eax.min(VECTOR_STATE);
    let last_extended = extended.eax.min(WIDTHS);
    let leaves = [BASIC, FURTHER, VECTOR_STATE, EXTENDED, WIDTHS];
    let there = leaves
        .into_iter()
        .filter(|&leaf| if leaf < LAST_EXTENDED { leaf <= last } else { leaf <= last_extended });
    let mut told = vec![
        entry(MAKER, CpuidResult { eax: last, ..maker }),
        entry(LAST_EXTENDED, CpuidResult { eax: last_extended, ..extended }),
    ];
    told.extend(there.map(|leaf| entry(leaf, of_use(leaf, ask(leaf)))));
    told
}

/// What of a leaf is of use to ring 3, or to KVM.
fn of_use(leaf: u32, found: CpuidResult) -> CpuidResult {
    let CpuidResult { eax, ebx, ecx, edx } = found;
    match leaf {
        BASIC => CpuidResult {
            eax,
            ebx: ebx & CACHE_LINE,
            ecx: ecx & of(BASIC, Register::Ecx) | HYPERVISOR,
            edx: edx & BASIC_EDX,
        },
        FURTHER => CpuidResult {
            eax: 0,
            ebx: ebx & of(FURTHER, Register::Ebx),
            ecx: ecx & of(FURTHER, Register::Ecx),
            edx: edx & of(FURTHER, Register::Edx),
        },
        VECTOR_STATE => CpuidResult { eax: eax & VECTOR_PARTS, ebx, ecx, edx: 0 },
        EXTENDED => CpuidResult {
            eax,
            ebx: 0,
            ecx: ecx & of(EXTENDED, Register::Ecx),
            edx: edx & EXTENDED_EDX,
        },
        WIDTHS => CpuidResult { eax, ebx: 0, ecx: 0, edx: 0 },
        _ => found,
    }
}

fn entry(function: u32, result: CpuidResult) -> kvm_cpuid_entry2 {
    let CpuidResult { eax, ebx, ecx, edx } = result;
    let is_indexed = matches!(function, FURTHER | VECTOR_STATE);
    let flags = if is_indexed { KVM_CPUID_FLAG_SIGNIFCANT_INDEX } else { 0 };
    kvm_cpuid_entry2 { function, flags, eax, ebx, ecx, edx, ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(last: u32, last_extended: u32) -> impl Fn(u32) -> CpuidResult {
        move |leaf| match leaf {
            MAKER => CpuidResult { eax: last, ebx: 1, ecx: 2, edx: 3 },
            LAST_EXTENDED => CpuidResult { eax: last_extended, ebx: 1, ecx: 2, edx: 3 },
            _ => CpuidResult { eax: !0, ebx: !0, ecx: !0, edx: !0 },
        }
    }

    fn leaf(told: &[kvm_cpuid_entry2], function: u32) -> Option<&kvm_cpuid_entry2> {
        told.iter().find(|entry| entry.function == function)
    }

    #[test]
    fn neither_avx_nor_what_needs_ring_0_is_told_of() {
        let told = told_by(all(0x20, 0x8000_0028));
        let basic = leaf(&told, BASIC).unwrap();
        // VMX, x2APIC, the deadline timer, XSAVE, OSXSAVE, AVX.
        for bit in [5, 21, 24, 26, 27, 28] {
            assert_eq!(basic.ecx >> bit & 1, 0, "bit {bit}");
        }
        // SSE, SSE2.
        assert_eq!(basic.edx >> 25 & 3, 3);
        // AVX2, AVX-512F.
        assert_eq!(leaf(&told, FURTHER).unwrap().ebx & (1 << 5 | 1 << 16), 0);
        // AMX.
        assert_eq!(leaf(&told, VECTOR_STATE).unwrap().eax >> 17, 0);
        assert_eq!(leaf(&told, MAKER).unwrap().eax, VECTOR_STATE);
        assert_eq!(leaf(&told, LAST_EXTENDED).unwrap().eax, WIDTHS);
    }

    #[test]
    fn a_leaf_that_the_processor_lacks_is_not_made_up() {
        let told = told_by(all(1, EXTENDED));
        let functions: Vec<u32> = told.iter().map(|entry| entry.function).collect();
        assert_eq!(functions, [MAKER, LAST_EXTENDED, BASIC, EXTENDED]);
        assert_eq!(leaf(&told, MAKER).unwrap().eax, 1);
    }

    #[test]
    fn this_processor_has_what_all_servers_are_built_for() {
        let told = of_this_processor();
        // x87, CMPXCHG8B, CMOV, MMX, FXSAVE, SSE, SSE2.
        let least = bits([0, 8, 15, 23, 24, 25, 26]);
        assert_eq!(leaf(&told, BASIC).unwrap().edx & least, least);
        assert_ne!(leaf(&told, WIDTHS).unwrap().eax & 0xff, 0);
    }
}

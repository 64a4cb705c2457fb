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

/// SSE3, PCLMULQDQ, SSSE3, CMPXCHG16B, SSE4.1, SSE4.2, MOVBE, POPCNT, AES, RDRAND. (AVX needs XSAVE to
/// be switched on, which it is not.)
const BASIC_ECX: u32 = bits([0, 1, 9, 13, 19, 20, 22, 23, 25, 30]);
/// There is a hypervisor.
const HYPERVISOR: u32 = bits([31]);
/// x87, DE, PSE, TSC, MSR, PAE, CMPXCHG8B, PGE, CMOV, PAT, CLFLUSH, MMX, FXSAVE, SSE, SSE2.
const BASIC_EDX: u32 = bits([0, 2, 3, 4, 5, 6, 8, 13, 15, 16, 19, 23, 24, 25, 26]);
/// Bytes of a cache line, as CLFLUSH counts them.
const CACHE_LINE: u32 = 0xff00;
/// BMI1, BMI2, fast REP MOVSB, RDSEED, ADX, CLFLUSHOPT, CLWB, SHA.
const FURTHER_EBX: u32 = bits([3, 8, 9, 18, 19, 23, 24, 29]);
/// GFNI, RDPID.
const FURTHER_ECX: u32 = bits([8, 22]);
/// REP MOVSB that is fast for few bytes, too.
const FURTHER_EDX: u32 = bits([4]);
/// LAHF, LZCNT, SSE4A, PREFETCHW.
const EXTENDED_ECX: u32 = bits([0, 5, 6, 8]);
/// No-execute, pages of 1 GiB, RDTSCP, long mode.
const EXTENDED_EDX: u32 = bits([20, 26, 27, 29]);
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
            ecx: ecx & BASIC_ECX | HYPERVISOR,
            edx: edx & BASIC_EDX,
        },
        FURTHER => CpuidResult {
            eax: 0,
            ebx: ebx & FURTHER_EBX,
            ecx: ecx & FURTHER_ECX,
            edx: edx & FURTHER_EDX,
        },
        VECTOR_STATE => CpuidResult { eax: eax & VECTOR_PARTS, ebx, ecx, edx: 0 },
        EXTENDED => CpuidResult { eax, ebx: 0, ecx: ecx & EXTENDED_ECX, edx: edx & EXTENDED_EDX },
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

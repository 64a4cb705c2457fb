//! Everything of a machine that can be read, each part under its name, so that two of them can be
//! compared.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use atoll_ipc::abi::layout::PAGE;
use kvm_bindings::{Msrs, kvm_msr_entry};

use super::guest::Machine;
use crate::machine::host::Host;

/// Registers that go on by themselves, whoever runs.
const CLOCKS: [(u32, &str); 5] = [
    (0x10, "the time stamp counter"),
    (0xe7, "cycles at the processor's highest frequency"),
    (0xe8, "cycles at its real frequency"),
    (0x4000_0010, "time that a vCPU has run, for Hyper-V's guests"),
    (0x4000_0020, "Hyper-V's reference clock"),
];

/// What was read, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen(BTreeMap<String, String>);

impl Seen {
    /// Reads a machine that stands still.
    pub fn of(host: &Host, machine: &mut Machine) -> Self {
        // What KVM is yet to take from the page is the vCPU's already.
        machine.vcpu.enter_and_leave();
        let mut seen = Self(BTreeMap::new());
        seen.registers(machine);
        seen.model_specific_registers(host, machine);
        seen.memory(machine);
        seen
    }

    fn put(&mut self, name: impl Into<String>, value: impl std::fmt::Debug) {
        self.0.insert(name.into(), format!("{value:x?}"));
    }

    fn registers(&mut self, machine: &Machine) {
        let fd = &machine.vcpu.fd;
        self.put("registers", fd.get_regs().unwrap());
        self.put("system registers", fd.get_sregs().unwrap());
        self.put("x87 and SSE", fd.get_fpu().unwrap());
        self.put("XCRs", fd.get_xcrs());
        self.put("debug registers", fd.get_debug_regs());
        self.put("events", fd.get_vcpu_events());
        self.put("state of the processor", fd.get_mp_state());
        if let Ok(state) = fd.get_xsave() {
            // AVX, AVX-512 and what else the processor saves; the words of the header say which
            // parts are as after a reset, which is no difference in what they hold.
            for (at, words) in state.region.chunks(16).enumerate().filter(|(at, _)| *at != 8) {
                self.put(format!("XSAVE area, bytes from {}", at * 64), words);
            }
        }
    }

    fn model_specific_registers(&mut self, host: &Host, machine: &Machine) {
        let known = host.kvm().get_msr_index_list().unwrap();
        for &index in known.as_slice() {
            if CLOCKS.iter().any(|(clock, _)| *clock == index) {
                continue;
            }
            let entry = kvm_msr_entry { index, ..Default::default() };
            let mut one = Msrs::from_entries(&[entry]).unwrap();
            // One that cannot be read is none that the guest could have changed.
            if let Ok(1) = machine.vcpu.fd.get_msrs(&mut one) {
                self.put(format!("MSR {index:#x}"), one.as_slice()[0].data);
            }
        }
    }

    fn memory(&mut self, machine: &Machine) {
        let mut page = vec![0; PAGE as usize];
        for address in (0..machine.memory.size()).step_by(PAGE as usize) {
            machine.memory.read(address, &mut page).unwrap();
            if page != [0; PAGE as usize] {
                let mut hasher = DefaultHasher::new();
                page.hash(&mut hasher);
                self.put(format!("page {address:#x}"), hasher.finish());
            }
        }
    }

    /// How many things were read.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// What differs, a line for each.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let names = self.0.keys().chain(other.0.keys().filter(|name| !self.0.contains_key(*name)));
        let differing = names.filter(|name| self.0.get(*name) != other.0.get(*name));
        differing
            .map(|name| format!("{name}: {:?}, not {:?}", other.0.get(name), self.0.get(name)))
            .collect()
    }
}

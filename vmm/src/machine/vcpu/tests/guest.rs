//! A machine for one [`Program`](super::programs::Program): what it runs first, its tables and its
//! exception stubs.

use std::sync::Arc;

use atoll_ipc::abi::layout::{DESCRIPTORS, IMAGE, LARGE_PAGE, PAGE};
use atoll_ipc::abi::{STUB_COUNT, STUB_STRIDE, ports};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use super::super::{Start, Vcpu};
use crate::machine::MachineError;
use crate::machine::descriptors;
use crate::machine::exit::Exit;
use crate::machine::host::Host;
use crate::machine::memory::DomainMemory;
use crate::machine::plan::Plan;
use crate::machine::tables::{Access, Tables};
use crate::machine::vm::Vm;

/// Text of the program.
const TEXT: u64 = IMAGE + PAGE;
/// Exception stubs, after the text.
const STUBS: u64 = IMAGE + 2 * PAGE;
const IMAGE_PAGES_END: u64 = STUBS + (STUB_COUNT * STUB_STRIDE).next_multiple_of(PAGE);
/// The image's large page, and two of heap.
const MEMORY: u64 = IMAGE + 3 * LARGE_PAGE;

/// `out FAULT, al`: all that a stub has to do for these tests.
const STUB: [u8; 2] = [0xe6, ports::FAULT as u8];

/// What is done before the program begins: some of everything is in use when the checkpoint is
/// taken, so that a reset to zero would be noticed.
const BEGIN: &[u8] = &[
    0x53, // push rbx
    0xbb, // mov ebx, heap
];
const READY: &[u8] = &[
    0xc6,
    0x03,
    0x07, // mov byte [rbx], 7
    0xd9,
    0xe8, // fld1
    0x66,
    0x0f,
    0x76,
    0xc9, // pcmpeqd xmm1, xmm1
    0xf9, // stc
    0xe6,
    ports::READY as u8, // out READY, al
];

pub fn plan() -> Plan {
    Plan::of(IMAGE_PAGES_END, 2 * PAGE, MEMORY, 1)
}

/// A machine with its one vCPU, on the thread that made it.
pub struct Machine {
    // Dropped first: the VM keeps the memory that it runs in.
    pub vcpu: Vcpu,
    pub memory: Arc<DomainMemory>,
    _vm: Vm,
}

impl Machine {
    /// A machine that is about to begin a program.
    pub fn new(host: &Host, code: &[u8], has_stubs: bool) -> Self {
        let plan = plan();
        let code = code.to_vec();
        let memory = DomainMemory::build(MEMORY, move |image| write(image, &code)).unwrap();
        let memory = Arc::new(memory);
        let vm = Vm::new(host).unwrap();
        vm.lend(0, memory.clone()).unwrap();
        let start = Start { index: 0, entry: TEXT, boot: plan.control(0), has_stubs };
        let vcpu = Vcpu::new(host, &vm, &plan, start).unwrap();
        Self { vcpu, memory, _vm: vm }
    }

    /// The exception whose stub has just exited, if it is one of the stubs that did.
    pub fn vector(&mut self) -> Option<u64> {
        self.vcpu.finish_io();
        let rip = self.vcpu.registers().unwrap().rip;
        rip.checked_sub(STUBS).map(|offset| offset / STUB_STRIDE)
    }

    /// Runs on to the next exit that the guest makes.
    pub fn run(&mut self) -> Exit {
        loop {
            match self.vcpu.run().unwrap() {
                Exit::Interrupted => (),
                exit => return exit,
            }
        }
    }
}

fn write(memory: &GuestMemoryMmap, code: &[u8]) -> Result<(), MachineError> {
    let plan = plan();
    let heap = (plan.heap() as u32).to_le_bytes();
    put(memory, TEXT, &[BEGIN, &heap, READY, code].concat())?;
    (0..STUB_COUNT).try_for_each(|stub| put(memory, STUBS + stub * STUB_STRIDE, &STUB))?;
    put(memory, plan.gdt(), &descriptors::gdt(&plan))?;
    put(memory, plan.idt(), &descriptors::idt(STUBS))?;
    put(memory, plan.tss(0), &descriptors::tss(&plan, 0))?;
    let mut tables = Tables::new(memory, plan.tables());
    tables.map(DESCRIPTORS, plan.descriptors_end(), Access::SupervisorReadWrite)?;
    tables.map(plan.control(0), plan.control(1), Access::ReadWrite)?;
    tables.map(TEXT, STUBS, Access::ReadExecute)?;
    tables.map(STUBS, IMAGE_PAGES_END, Access::SupervisorReadExecute)?;
    tables.map(plan.stack(0), plan.stack_top(0), Access::ReadWrite)?;
    tables.map(plan.heap(), plan.heap_end(), Access::ReadWrite)?;
    // A page that the tables name and no memory backs.
    tables.map(0x3f_0000_0000, 0x3f_0000_0000 + PAGE, Access::ReadWrite)
}

fn put(memory: &GuestMemoryMmap, address: u64, bytes: &[u8]) -> Result<(), MachineError> {
    memory
        .write_slice(bytes, GuestAddress(address))
        .map_err(|_| MachineError::OutOfBounds { address })
}

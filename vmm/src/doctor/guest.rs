//! Machines to measure with: a page of hand-assembled instructions in ring 3, no server.
//!
//! They are made of the same parts as domains (plan, page tables, descriptors, memory that rolls
//! back), so that what they cost is what domains cost.

use std::sync::Arc;

use atoll_ipc::abi::layout::{DESCRIPTORS, IMAGE, LARGE_PAGE, PAGE};
use atoll_ipc::abi::{Control, ports};
use atoll_ipc::sync::AtomicU64;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use super::measure::MeasureError;
use crate::machine::MachineError;
use crate::machine::descriptors;
use crate::machine::exit::Exit;
use crate::machine::host::Host;
use crate::machine::memory::DomainMemory;
use crate::machine::plan::Plan;
use crate::machine::tables::{Access, Tables};
use crate::machine::vcpu::{Start, Vcpu};
use crate::machine::vm::Vm;

/// Pages of heap: more than any measurement touches.
pub(super) const HEAP_PAGES: u64 = HEAP / PAGE;

const HEAP: u64 = 4 * LARGE_PAGE;

/// Memory up to the image, the image's large page (code and stack), and the heap.
const MEMORY: u64 = IMAGE + LARGE_PAGE + HEAP;

/// Exits as fast as it can.
pub(super) fn exiting() -> Vec<u8> {
    // again: out WAIT, al; jmp again
    [out_wait(), vec![0xeb, 0xfc]].concat()
}

/// Rings the doorbell of channel 0 `rings` times, exits, and begins again.
pub(super) fn ringing(rings: u32) -> Vec<u8> {
    let mut code = vec![0x66, 0xba]; // mov dx, KICK
    code.extend(ports::KICK.to_le_bytes());
    code.push(0xb9); // again: mov ecx, rings
    code.extend(rings.to_le_bytes());
    code.extend([0xee, 0xff, 0xc9, 0x75, 0xfb]); // ring: out dx, al; dec ecx; jnz ring
    code.extend(out_wait());
    code.extend([0xeb, 0xf2]); // jmp again
    code
}

/// Exits; then, before each further exit, writes one page of the heap after the other, `pages` of
/// them each time.
pub(super) fn writing(pages: u32) -> Vec<u8> {
    let mut code = vec![0xbb]; // mov ebx, heap
    code.extend((plan().heap() as u32).to_le_bytes());
    code.extend(out_wait()); // again:
    code.push(0xb9); // mov ecx, pages
    code.extend(pages.to_le_bytes());
    code.extend([0xc6, 0x03, 0x01]); // next: mov byte [rbx], 1
    code.extend([0x81, 0xc3]); // add ebx, PAGE
    code.extend((PAGE as u32).to_le_bytes());
    code.extend([0xff, 0xc9, 0x75, 0xf3]); // dec ecx; jnz next
    code.extend([0xeb, 0xea]); // jmp again
    code
}

/// Counts in its control page ([`count`]), and exits after each step.
pub(super) fn counting_exits() -> Vec<u8> {
    // again: inc qword [rdi + COUNT]; out WAIT, al; jmp again
    [vec![0x48, 0xff, 0x47, COUNT], out_wait(), vec![0xeb, 0xf8]].concat()
}

/// Counts in its control page, and never exits.
pub(super) fn counting() -> Vec<u8> {
    vec![0x48, 0xff, 0x47, COUNT, 0xeb, 0xfa] // again: inc qword [rdi + COUNT]; jmp again
}

fn out_wait() -> Vec<u8> {
    vec![0xe6, ports::WAIT as u8]
}

const _: () = assert!(ports::WAIT < 0x100);

/// Where in the control page the programs count; `count` reads the same field.
const COUNT: u8 = std::mem::offset_of!(Control, wait_ns) as u8;

fn plan() -> Plan {
    Plan::of(IMAGE + PAGE, PAGE, MEMORY, 1)
}

/// The count of a machine that counts.
pub(super) fn count(memory: &DomainMemory) -> Result<&AtomicU64, MachineError> {
    Ok(&memory.control(plan().control(0))?.wait_ns)
}

/// A machine with its one vCPU, on the thread that made it.
#[derive(Debug)]
pub(super) struct Machine {
    // Dropped first: the VM keeps the memory that it runs in.
    pub(super) vcpu: Vcpu,
    pub(super) vm: Vm,
    pub(super) memory: Arc<DomainMemory>,
}

impl Machine {
    /// A machine that is about to run `code`.
    pub(super) fn new(host: &Host, code: &[u8]) -> Result<Self, MachineError> {
        let (vm, memory) = furnish(Vm::new(host)?, code)?;
        Ok(Self { vcpu: vcpu(host, &vm)?, vm, memory })
    }

    /// Runs on to the next exit, which must be the one that the programs above make.
    pub(super) fn step(&mut self) -> Result<(), MeasureError> {
        loop {
            match self.vcpu.run()? {
                Exit::Wait => return Ok(()),
                // A signal for the process, such as a terminal's: nothing of the guest's.
                Exit::Interrupted => (),
                exit => return Err(MeasureError::Unexpected { exit: Exit::NAMES[exit.index()] }),
            }
        }
    }
}

/// Gives an empty VM its memory.
pub(super) fn furnish(vm: Vm, code: &[u8]) -> Result<(Vm, Arc<DomainMemory>), MachineError> {
    let code = code.to_vec();
    let memory = Arc::new(DomainMemory::build(MEMORY, move |image| write(image, &code))?);
    vm.lend(0, memory.clone())?;
    Ok((vm, memory))
}

/// Creates the vCPU of a VM that has its memory.
pub(super) fn vcpu(host: &Host, vm: &Vm) -> Result<Vcpu, MachineError> {
    let plan = plan();
    let start = Start { index: 0, entry: IMAGE, boot: plan.control(0), has_stubs: false };
    Vcpu::new(host, vm, &plan, start)
}

fn write(memory: &GuestMemoryMmap, code: &[u8]) -> Result<(), MachineError> {
    let plan = plan();
    put(memory, IMAGE, code)?;
    put(memory, plan.gdt(), &descriptors::gdt(&plan))?;
    put(memory, plan.tss(0), &descriptors::tss(&plan, 0))?;
    let mut tables = Tables::new(memory, plan.tables());
    tables.map(DESCRIPTORS, plan.descriptors_end(), Access::SupervisorReadWrite)?;
    tables.map(plan.control(0), plan.control(1), Access::ReadWrite)?;
    tables.map(IMAGE, IMAGE + PAGE, Access::ReadExecute)?;
    tables.map(plan.stack(0), plan.stack_top(0), Access::ReadWrite)?;
    tables.map(plan.heap(), plan.heap_end(), Access::ReadWrite)
}

fn put(memory: &GuestMemoryMmap, address: u64, bytes: &[u8]) -> Result<(), MachineError> {
    memory
        .write_slice(bytes, GuestAddress(address))
        .map_err(|_| MachineError::OutOfBounds { address })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a short jump at the end of `code[..end]` leads.
    fn target(code: &[u8], end: usize) -> usize {
        end.checked_add_signed((code[end - 1] as i8).into()).unwrap()
    }

    #[test]
    fn jumps_lead_to_the_instructions_that_they_name() {
        assert_eq!(target(&exiting(), 4), 0);
        let code = ringing(8);
        assert_eq!((target(&code, 14), target(&code, code.len())), (9, 4));
        let code = writing(8);
        assert_eq!((target(&code, 25), target(&code, code.len())), (12, 5));
        let code = counting_exits();
        assert_eq!(target(&code, code.len()), 0);
        let code = counting();
        assert_eq!(target(&code, code.len()), 0);
    }

    #[test]
    fn the_heap_is_where_the_programs_write() {
        assert_eq!(plan().heap_end() - plan().heap(), HEAP_PAGES * PAGE);
        assert!(plan().heap_end() <= u32::MAX.into());
    }
}

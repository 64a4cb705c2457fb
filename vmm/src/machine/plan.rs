//! Where the parts of one domain's memory lie: pure arithmetic over [`atoll_ipc::abi::layout`].

use std::ops::Range;

use atoll_image::Image;
use atoll_ipc::abi::layout::{CLUSTER, CONTROL, DESCRIPTORS, LARGE_PAGE, PAGE, TABLES};

use super::MachineError;

/// Memory that a heap must have at least: room for the allocator and a few messages.
const HEAP_MIN: u64 = LARGE_PAGE;

/// So much of a heap is in small pages. A server that uses no more takes only what it touches, and a
/// restart copies only what it wrote; one that uses more is spared a fault for each small page.
const SMALL_HEAP: u64 = 4 << 20;

/// Less than this is not worth mappings of its own: each must be told to every VM that the process
/// has, so that they are felt where there are a thousand.
const LARGE_LEAST: u64 = 16 << 20;

/// One vCPU's task-state segment with its I/O bitmap takes three pages, its ring-0 stack one.
const PER_VCPU: u64 = 4 * PAGE;

/// A domain's memory, planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Bytes of memory.
    pub memory: u64,
    /// vCPUs.
    pub vcpus: u32,
    stacks: u64,
    stack_size: u64,
    heap: u64,
}

impl Plan {
    /// Plans a domain.
    ///
    /// # Errors
    /// [`MachineError::TooSmall`] if the memory does not suffice.
    pub fn new(image: &Image, memory: u64, vcpus: u32) -> Result<Self, MachineError> {
        let plan = Self::of(image.segments_end(), image.stack_size(), memory, vcpus);
        let needed = plan.heap + HEAP_MIN;
        if memory < needed {
            return Err(MachineError::TooSmall { given: memory, needed });
        }
        Ok(plan)
    }

    /// Least memory that a domain of this image can have.
    pub fn least_memory(image: &Image, vcpus: u32) -> u64 {
        Self::of(image.segments_end(), image.stack_size(), 0, vcpus).heap + HEAP_MIN
    }

    /// Plans a domain whose image ends at `image_end`, without a check of its size.
    pub(crate) fn of(image_end: u64, stack_size: u64, memory: u64, vcpus: u32) -> Self {
        let memory = memory / PAGE * PAGE;
        let stacks = image_end.next_multiple_of(PAGE);
        let stack_size = stack_size.next_multiple_of(PAGE);
        let mut plan = Self { memory, vcpus, stacks, stack_size, heap: 0 };
        plan.heap = plan.stack_top(vcpus.saturating_sub(1)).next_multiple_of(LARGE_PAGE);
        plan
    }

    /// First byte of the stack of a vCPU; the page below it is the guard.
    pub fn stack(&self, vcpu: u32) -> u64 {
        self.stack_top(vcpu) - self.stack_size
    }

    /// End of the stack of a vCPU: its first stack pointer. What a server touches first lies below it,
    /// and is a cluster.
    pub fn stack_top(&self, vcpu: u32) -> u64 {
        let stride = (PAGE + self.stack_size).next_multiple_of(CLUSTER);
        (self.stacks + PAGE + self.stack_size).next_multiple_of(CLUSTER) + u64::from(vcpu) * stride
    }

    /// Bytes of each stack.
    pub fn stack_size(&self) -> u64 {
        self.stack_size
    }

    /// The vCPU whose guard page holds this address.
    pub fn guard_of(&self, address: u64) -> Option<u32> {
        (0..self.vcpus).find(|&vcpu| (self.stack(vcpu) - PAGE..self.stack(vcpu)).contains(&address))
    }

    /// First byte of the heap.
    pub fn heap(&self) -> u64 {
        self.heap
    }

    /// End of the heap: whole large pages only.
    pub fn heap_end(&self) -> u64 {
        self.memory / LARGE_PAGE * LARGE_PAGE
    }

    /// Where memory comes in large pages: empty if that would be too little. Not at the end of the
    /// heap, where allocators put marks.
    pub fn large(&self) -> Range<u64> {
        let start = self.heap + SMALL_HEAP;
        let end = self.heap_end().saturating_sub(LARGE_PAGE);
        if end >= start + LARGE_LEAST { start..end } else { start..start }
    }

    /// The control page of a vCPU.
    pub fn control(&self, vcpu: u32) -> u64 {
        CONTROL + u64::from(vcpu) * PAGE
    }

    /// The boot page.
    pub fn boot(&self) -> u64 {
        self.control(self.vcpus)
    }

    /// The global descriptor table.
    pub fn gdt(&self) -> u64 {
        DESCRIPTORS
    }

    /// The interrupt descriptor table.
    pub fn idt(&self) -> u64 {
        DESCRIPTORS + PAGE
    }

    /// The task-state segment of a vCPU.
    pub fn tss(&self, vcpu: u32) -> u64 {
        DESCRIPTORS + 2 * PAGE + u64::from(vcpu) * PER_VCPU
    }

    /// End of the ring-0 stack of a vCPU.
    pub fn ring0_stack_top(&self, vcpu: u32) -> u64 {
        self.tss(vcpu) + PER_VCPU
    }

    /// End of everything that only ring 0 may see.
    pub fn descriptors_end(&self) -> u64 {
        self.tss(self.vcpus)
    }

    /// The first page table.
    pub fn tables(&self) -> u64 {
        TABLES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use atoll_ipc::abi::layout;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_do_not_overlap(image_end in 0x40_0001u64..0x4000_0000, stack in 1u64..1 << 24, vcpus in 1u32..=16) {
            let plan = Plan::of(image_end, stack, 1 << 36, vcpus);
            let mut end = image_end;
            for vcpu in 0..vcpus {
                prop_assert!(plan.stack(vcpu) >= end + PAGE - PAGE.min(end % PAGE));
                prop_assert_eq!(plan.guard_of(plan.stack(vcpu) - 1), Some(vcpu));
                prop_assert_eq!(plan.guard_of(plan.stack(vcpu)), None);
                end = plan.stack_top(vcpu);
                prop_assert_eq!(end % 16, 0);
            }
            prop_assert!(plan.heap() >= end);
            prop_assert!(plan.descriptors_end() <= CONTROL);
            prop_assert!(plan.boot() + layout::BOOT_SIZE <= TABLES);
        }

        #[test]
        fn large_pages_are_many_or_none_and_within_the_heap(memory in 8u64 << 20..1 << 30) {
            let plan = Plan::of(0x40_0001, 1 << 16, memory, 1);
            let large = plan.large();
            prop_assert!(large.is_empty() || large.end - large.start >= LARGE_LEAST);
            prop_assert!(large.start >= plan.heap() + SMALL_HEAP);
            prop_assert!(large.is_empty() || large.end + LARGE_PAGE == plan.heap_end());
            let room = plan.heap_end().saturating_sub(plan.heap());
            prop_assert_eq!(large.is_empty(), room < SMALL_HEAP + LARGE_LEAST + LARGE_PAGE);
        }
    }
}

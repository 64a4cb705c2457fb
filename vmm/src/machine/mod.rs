//! One micro-VM: its memory, its address space, its vCPUs, as KVM has them.
//!
//! There is no boot: everything that firmware and a kernel's start would set up is written into
//! the domain's memory and registers before the first instruction, which is the server's own, in
//! ring 3. This module knows nothing of servers, channels' contents or supervision.
//!
//! | file | what |
//! |---|---|
//! | [`host`] | `/dev/kvm` and what kind it is |
//! | `features` | what vCPUs are told of their processor |
//! | [`plan`] | where a domain's parts lie |
//! | [`tables`] | page tables |
//! | [`descriptors`] | GDT, IDT, TSS |
//! | [`memory`] | guest memory that can be rolled back |
//! | [`kept`] | guest memory that a restart keeps |
//! | [`extents`] | where a memory file holds data |
//! | [`written`] | which of its pages were written |
//! | `ranges` | ranges of offsets, together and apart |
//! | [`vm`] | the VM, its memory slots and doorbells |
//! | [`vcpu`] | a vCPU: registers, running, reset |
//! | [`exit`] | why a vCPU left the guest |
//! | [`interrupt`] | getting a running vCPU out of the guest |
//! | [`shared_page`] | pages that several guests and the nucleus share |
//! | [`processors`] | which of the host's may be used |

pub mod attendant;
pub mod descriptors;
mod error;
pub mod exit;
pub mod extents;
pub(crate) mod features;
pub mod host;
pub mod interrupt;
pub mod kept;
pub mod lendable;
pub mod mapped_file;
pub mod memory;
pub mod plan;
pub mod processors;
pub(crate) mod ranges;
pub mod shared_page;
pub mod tables;
pub(crate) mod threads;
pub mod vcpu;
pub mod vm;
pub mod written;

pub use error::MachineError;

//! Where things lie in a domain's memory.
//!
//! Virtual and guest-physical addresses are the same number everywhere.
//!
//! | from | to | what | ring 3 may |
//! |---|---|---|---|
//! | 0 | 4 KiB | nothing: null pointers fault | – |
//! | [`DESCRIPTORS`] | [`CONTROL`] | GDT, IDT, per-vCPU TSS and ring-0 stack | – |
//! | [`CONTROL`] | + a page a vCPU | control page: what a domain tells the nucleus at an exit | read, write |
//! | behind that | + [`BOOT_SIZE`] | boot page: what the nucleus tells the domain | read |
//! | [`TABLES`] | [`IMAGE`] | page tables; mapped nowhere | – |
//! | [`IMAGE`] | | the image's segments, a guard page after them | by segment |
//! | | | a stack for each vCPU, a guard page before each | read, write |
//! | | end of memory | heap, from the next multiple of 2 MiB | read, write |
//! | [`STATE`] | + what the manifest says | the state region, which a restart keeps | read, write |
//! | [`HOST`] | + [`HOST_SIZE`] | host page: who runs, and on how many processors | read |
//! | [`READY`], behind that | + a page | the domain's ready page: which of its channels want attention | read, write |
//! | [`ALERTS`] | + a page a channel | where this domain is the client: the server's ready page | read, write |
//! | [`CHANNELS`] | | channels, [`CHANNEL_STRIDE`] apart: status page, then the rest | read; read, write |

/// Bytes of a page.
pub const PAGE: u64 = 4096;
/// Bytes of a large page: the heap's unit of mapping.
pub const LARGE_PAGE: u64 = 2 << 20;
/// What KVM maps at once where it can: so many bytes that begin at a multiple of them, up to the first
/// page in them that the domain does not have.
pub const CLUSTER: u64 = 8 * PAGE;

/// GDT, IDT, task-state segments, ring-0 stacks.
pub const DESCRIPTORS: u64 = 0x1000;
/// The control page of vCPU 0; the others' follow, and the boot page (several, in fact) after them. A
/// domain touches both first of all: side by side, they are one fault.
pub const CONTROL: u64 = 0x10_0000;
/// Bytes of the boot pages.
pub const BOOT_SIZE: u64 = 64 << 10;
/// Page tables: up to two for each channel.
pub const TABLES: u64 = 0x16_0000;
/// Lowest address of an image segment.
pub const IMAGE: u64 = 0x40_0000;
/// End of the window for image segments.
pub const IMAGE_END: u64 = 0x4000_0000;
/// The state region: memory that a restart keeps.
pub const STATE: u64 = 0x30_0000_0000;
/// Most bytes of a state region.
pub const STATE_MAX: u64 = 32 << 30;
/// The host page (two, in fact).
pub const HOST: u64 = 0x3f_0000_0000;
/// Bytes of the host page.
pub const HOST_SIZE: u64 = size_of::<super::HostPage>() as u64;
/// The domain's ready page.
pub const READY: u64 = HOST + HOST_SIZE;
/// The ready page of the server of channel 0; the others' follow, a page a channel.
pub const ALERTS: u64 = READY + PAGE;
/// The first channel.
pub const CHANNELS: u64 = 0x40_0000_0000;
/// From one channel to the next.
pub const CHANNEL_STRIDE: u64 = 0x4000_0000;

/// Most vCPUs of a domain.
pub const VCPUS_MAX: u32 = 16;
/// Most channels of a domain, both roles together.
pub const CHANNELS_MAX: u32 = crate::ready::CHANNELS_MAX as u32;
/// Most memory of a domain, in bytes.
pub const MEMORY_MAX: u64 = 64 << 30;

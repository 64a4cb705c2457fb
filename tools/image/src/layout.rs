//! The limits of an image: where segments may lie and how large a file may be.

use atoll_ipc::abi::layout;

/// A page, the unit of rights.
pub const PAGE_SIZE: u64 = layout::PAGE;

/// Lowest address of a segment. What lies below belongs to the nucleus (page tables,
/// descriptor tables, the boot page), and page 0 stays unmapped.
pub const IMAGE_BASE: u64 = layout::IMAGE;

/// First address above all segments.
pub const IMAGE_END: u64 = layout::IMAGE_END;

/// Longest image file, in bytes. Checked before a file is read.
pub const FILE_MAX: u64 = 64 << 20;

/// Longest metadata, in bytes. Decoded, it takes a few times as much, so it has a limit of its
/// own; a program of 20,000 functions needs about half of it.
pub const METADATA_MAX: u64 = 4 << 20;

/// Most segments of an image. Linkers make four or five.
pub const SEGMENTS_MAX: usize = 16;

/// Most ports of an image.
pub const PORTS_MAX: usize = 64;

/// The start of the page that holds `address`.
pub(crate) const fn page_floor(address: u64) -> u64 {
    address & !(PAGE_SIZE - 1)
}

/// The first page start at or above `address`, or the last one there is.
pub(crate) const fn page_ceil(address: u64) -> u64 {
    page_floor(address.saturating_add(PAGE_SIZE - 1))
}

/// Whether `address` begins a page.
pub(crate) const fn is_page_start(address: u64) -> bool {
    address == page_floor(address)
}

//! The base: what a domain's memory is taken back to, in a memory file that no guest reaches.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::super::extents::extents;
use super::super::mapped_file::MappedFile;
use super::{MachineError, PAGE};

/// A memory file as large as the domain's memory.
#[derive(Debug)]
pub(super) struct Base(MappedFile);

impl Base {
    /// Zeros.
    ///
    /// # Errors
    /// If the host denies the memory.
    pub(super) fn new(size: u64) -> Result<Self, MachineError> {
        MappedFile::new(size, "a domain").map(Self)
    }

    /// The file itself.
    pub(super) fn file(&self) -> &File {
        self.0.file()
    }

    /// Where this process has it mapped.
    pub(super) fn address(&self) -> u64 {
        self.0.as_ptr() as u64
    }

    /// Where it has pages, as offsets in their order.
    ///
    /// # Errors
    /// If the host does not tell.
    pub(super) fn extents(&self) -> Result<Vec<Range<u64>>, MachineError> {
        let unknown = |cause| MachineError::Memory { what: "finding memory in use", cause };
        extents(self.file()).map_err(unknown)
    }

    /// Writes `bytes`. (A call costs less than the page faults of a mapping.)
    ///
    /// # Errors
    /// If they do not fit, or the host has no memory.
    pub(super) fn write(&self, address: u64, bytes: &[u8]) -> Result<(), MachineError> {
        let fits = address.checked_add(bytes.len() as u64).is_some_and(|end| end <= self.0.size());
        if !fits {
            return Err(MachineError::OutOfBounds { address });
        }
        let failed = |cause| MachineError::Memory { what: "keeping a domain's memory", cause };
        self.file().write_all_at(bytes, address).map_err(failed)
    }

    /// A page, whose offset this is.
    pub(super) fn page(&self, offset: u64) -> &[u8; PAGE as usize] {
        assert!(offset.is_multiple_of(PAGE) && offset < self.0.size(), "no page is at {offset:#x}");
        let page = self.0.as_ptr().wrapping_add(offset as usize).cast();
        // SAFETY: within the mapping, which lives as long as `self`. Only this process writes the file,
        // by calls that are made while the domain's state is locked, as this one is.
        unsafe { &*page }
    }

    /// Gives all pages back: it is zero again, and takes nothing.
    ///
    /// # Errors
    /// If the host refuses.
    pub(super) fn empty(&self) -> Result<(), MachineError> {
        self.0
            .empty()
            .map_err(|cause| MachineError::Memory { what: "forgetting a checkpoint", cause })
    }
}

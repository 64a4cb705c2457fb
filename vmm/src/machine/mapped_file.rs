//! Memory that more than one mapping shows: a memory file, and where this process has it mapped.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::memfd::{MFdFlags, memfd_create};
use vm_memory::{FileOffset, MmapRegion};

use super::MachineError;

/// A memory file, mapped shared.
#[derive(Debug)]
pub struct MappedFile {
    file: FileOffset,
    mapping: MmapRegion,
}

impl MappedFile {
    /// Makes `size` bytes of it, all zero, for `what`.
    ///
    /// # Errors
    /// If the host denies the memory.
    pub fn new(size: u64, what: &'static str) -> Result<Self, MachineError> {
        let file = FileOffset::new(memory_file(size)?, 0);
        let mapping = MmapRegion::from_file(file.clone(), size as usize).map_err(|error| {
            MachineError::Memory { what, cause: io::Error::other(error.to_string()) }
        })?;
        Ok(Self { file, mapping })
    }

    /// The file.
    pub fn file(&self) -> &File {
        self.file.file()
    }

    /// Its bytes, from its beginning on, readable and writable as long as `self` exists.
    pub fn as_ptr(&self) -> *mut u8 {
        self.mapping.as_ptr()
    }

    /// So many of them.
    pub fn size(&self) -> u64 {
        self.mapping.size() as u64
    }

    /// Makes all of it zero, and gives the memory back. Nobody may have a reference into it but to
    /// atomics.
    ///
    /// # Errors
    /// If the host refuses.
    pub fn empty(&self) -> io::Result<()> {
        let how = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        let length = self.size() as libc::off_t;
        // SAFETY: changes the contents of an open file, to which no reference exists in this process
        // but to atomics.
        match unsafe { libc::fallocate(self.file().as_raw_fd(), how, 0, length) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// A file in memory, gone with its last descriptor and mapping, whatever ends the process.
pub fn memory_file(size: u64) -> Result<File, MachineError> {
    let denied = |cause| MachineError::Memory { what: "a memory file", cause };
    let fd: OwnedFd = memfd_create("atoll", MFdFlags::MFD_CLOEXEC)
        .map_err(|errno| denied(io::Error::from(errno)))?;
    let file = File::from(fd);
    file.set_len(size).map_err(denied)?;
    Ok(file)
}

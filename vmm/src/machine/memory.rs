//! Guest memory that can be rolled back to its image.
//!
//! A domain's memory begins as a memory file: segments, page tables, descriptors, everything.
//! The domain gets a *private* mapping of it. Pages that it never writes stay shared with the
//! file; pages that it writes become its own, and a roll-back drops them, so that the next access
//! finds the file's contents again (the cost follows what was written, not the size).

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use atoll_ipc::abi::{Control, layout};
use nix::sys::memfd::{MFdFlags, memfd_create};
use vm_memory::{
    Bytes, FileOffset, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestRegionMmap,
    MmapRegion,
};

use super::MachineError;

/// One domain's memory.
#[derive(Debug)]
pub struct DomainMemory {
    guest: GuestMemoryMmap,
    host_address: u64,
    size: u64,
}

impl DomainMemory {
    /// Makes `size` bytes of memory whose image `fill` writes. What is not written is zero.
    ///
    /// # Errors
    /// If the host denies the memory, and `fill`'s own.
    pub fn build(
        size: u64,
        fill: impl FnOnce(&GuestMemoryMmap) -> Result<(), MachineError>,
    ) -> Result<Self, MachineError> {
        let file = memory_file(size)?;
        fill(&map(file.try_clone(), size, libc::MAP_SHARED)?)?;
        let guest = map(Ok(file), size, libc::MAP_PRIVATE)?;
        let host_address = guest
            .iter()
            .next()
            .map(|region| region.as_ptr() as u64)
            .ok_or(MachineError::OutOfBounds { address: 0 })?;
        Ok(Self { guest, host_address, size })
    }

    /// Where the VMM has it mapped.
    pub fn host_address(&self) -> u64 {
        self.host_address
    }

    /// Bytes of memory.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Forgets everything that was written since [`DomainMemory::build`]. No vCPU may run.
    ///
    /// # Errors
    /// If the host refuses.
    pub fn roll_back(&self) -> Result<(), MachineError> {
        let (address, length) = (self.host_address as *mut libc::c_void, self.size as usize);
        // SAFETY: exactly the mapping that `self.guest` owns, private and file-backed: dropping
        // its pages changes their contents back and unmaps nothing. No reference into it exists
        // but to atomics, and the vCPUs stand still.
        let result = unsafe { libc::madvise(address, length, libc::MADV_DONTNEED) };
        if result == 0 {
            return Ok(());
        }
        Err(MachineError::Memory {
            what: "rolling a domain back",
            cause: io::Error::last_os_error(),
        })
    }

    /// Fills `bytes` from guest memory.
    ///
    /// # Errors
    /// If the range is not all memory.
    pub fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), MachineError> {
        self.guest
            .read_slice(bytes, GuestAddress(address))
            .map_err(|_| MachineError::OutOfBounds { address })
    }

    /// Reads the word at an address.
    ///
    /// # Errors
    /// If it is not all in memory.
    pub fn read_word(&self, address: u64) -> Result<u64, MachineError> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Writes guest memory.
    ///
    /// # Errors
    /// If the range is not all memory.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<(), MachineError> {
        self.guest
            .write_slice(bytes, GuestAddress(address))
            .map_err(|_| MachineError::OutOfBounds { address })
    }

    /// A control page. The guest may be writing it at any time.
    ///
    /// # Errors
    /// If the address is not that of a page of memory.
    pub fn control(&self, address: u64) -> Result<&Control, MachineError> {
        let fits = address.is_multiple_of(layout::PAGE) && address + layout::PAGE <= self.size;
        if !fits {
            return Err(MachineError::OutOfBounds { address });
        }
        // SAFETY: in bounds of the mapping, which lives as long as `self`, and aligned; the type
        // is made of atomics, for which any bits are valid and races are defined.
        Ok(unsafe { &*((self.host_address + address) as *const Control) })
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

fn map(file: io::Result<File>, size: u64, sharing: i32) -> Result<GuestMemoryMmap, MachineError> {
    let denied = |cause| MachineError::Memory { what: "a domain", cause };
    let file = file.map_err(denied)?;
    let other = |error: &dyn std::fmt::Display| denied(io::Error::other(error.to_string()));
    let region = MmapRegion::build(
        Some(FileOffset::new(file, 0)),
        size as usize,
        libc::PROT_READ | libc::PROT_WRITE,
        sharing | libc::MAP_NORESERVE,
    )
    .map_err(|error| other(&error))?;
    let region = GuestRegionMmap::new(region, GuestAddress(0))
        .ok_or_else(|| other(&"the size overflows"))?;
    GuestMemoryMmap::from_regions(vec![region]).map_err(|error| other(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> DomainMemory {
        DomainMemory::build(1 << 20, |image| {
            image.write_obj(7u64, GuestAddress(0x1000)).map_err(|_| MachineError::TablesFull)
        })
        .unwrap()
    }

    #[test]
    fn a_roll_back_restores_the_image_and_zeroes_the_rest() {
        let memory = memory();
        memory.write(0x1000, &[9; 16]).unwrap();
        memory.write(0x5000, &[9; 16]).unwrap();
        memory.roll_back().unwrap();
        assert_eq!(memory.read_word(0x1000).unwrap(), 7);
        assert_eq!(memory.read_word(0x1008).unwrap(), 0);
        assert_eq!(memory.read_word(0x5000).unwrap(), 0);
    }

    #[test]
    fn nothing_outside_is_touched() {
        let memory = memory();
        assert!(memory.read_word((1 << 20) - 7).is_err());
        assert!(memory.write(u64::MAX - 3, &[0; 8]).is_err());
        assert!(memory.control(0x1001).is_err());
        assert!(memory.control(1 << 20).is_err());
        assert!(memory.control(0xff000).is_ok());
    }
}

//! Memory that a restart keeps: a domain's state region.
//!
//! A memory file of its own, mapped shared into the guest. No roll-back touches it. The guest may
//! write it at any time while its vCPUs run, so reading and writing it from here makes sense only
//! while they stand still; it is never unsound, since all access copies bytes and believes none.

use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};

use super::MachineError;
use super::extents::extents;
use super::lendable::Lendable;
use super::mapped_file::MappedFile;
use super::memory::Contents;

/// `st_blocks` counts these, whatever the file system.
const BLOCK: u64 = 512;

/// A state region.
#[derive(Debug)]
pub struct KeptMemory(MappedFile);

impl KeptMemory {
    /// Makes `size` bytes of it, all zero; a multiple of the page size.
    ///
    /// # Errors
    /// If the host denies the memory.
    pub fn new(size: u64) -> Result<Self, MachineError> {
        MappedFile::new(size, "a state region").map(Self)
    }

    /// Bytes of the region.
    pub fn size(&self) -> u64 {
        self.0.size()
    }

    /// Bytes of it that have memory behind them.
    ///
    /// # Errors
    /// If the host does not tell.
    pub fn populated_bytes(&self) -> Result<u64, MachineError> {
        let blocks = self.0.file().metadata().map_err(unknown)?.blocks();
        Ok((blocks * BLOCK).min(self.size()))
    }

    /// Where it has memory at all, as offsets in their order. What lies between is zero.
    ///
    /// # Errors
    /// If the host does not tell.
    pub fn populated(&self) -> Result<Vec<Range<u64>>, MachineError> {
        extents(self.0.file()).map_err(unknown)
    }

    /// Fills `bytes` from an offset on.
    ///
    /// # Errors
    /// If the range is not all in the region.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), MachineError> {
        self.within(offset, bytes.len())?;
        self.0.file().read_exact_at(bytes, offset).map_err(failed("reading a state region"))
    }

    /// Writes `bytes` from an offset on.
    ///
    /// # Errors
    /// If the range is not all in the region, or the host has no memory.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), MachineError> {
        self.within(offset, bytes.len())?;
        self.0.file().write_all_at(bytes, offset).map_err(failed("writing a state region"))
    }

    /// Room for what is in it. vCPUs may run.
    pub fn room(&self) -> Vec<u8> {
        Contents::room_for(&self.populated().unwrap_or_default())
    }

    /// What is in it; the bytes go into `room`, which is empty.
    ///
    /// # Errors
    /// If the host does not tell what is in use, or has no memory for a copy.
    pub fn contents(&self, room: Vec<u8>) -> Result<Contents, MachineError> {
        Contents::gather(&self.populated()?, room, |offset, page| self.read(offset, page))
    }

    /// Has it, which is empty, begin with these contents.
    ///
    /// # Errors
    /// If they are not all in the region, or the host has no memory.
    pub fn begin_with(&self, contents: &Contents) -> Result<(), MachineError> {
        contents.iter().try_for_each(|(range, bytes)| self.write(range.start, bytes))
    }

    /// Makes all of it zero, and gives the memory back. No vCPU may run.
    ///
    /// # Errors
    /// If the host refuses.
    pub fn empty(&self) -> Result<(), MachineError> {
        self.0.empty().map_err(failed("emptying a state region"))
    }

    fn within(&self, offset: u64, length: usize) -> Result<(), MachineError> {
        match offset.checked_add(length as u64) {
            Some(end) if end <= self.size() => Ok(()),
            _ => Err(MachineError::OutOfBounds { address: offset }),
        }
    }
}

fn unknown(cause: io::Error) -> MachineError {
    MachineError::Memory { what: "finding a state region's pages", cause }
}

fn failed(what: &'static str) -> impl FnOnce(io::Error) -> MachineError {
    move |cause| MachineError::Memory { what, cause }
}

impl Lendable for KeptMemory {
    fn memory(&self) -> &MappedFile {
        &self.0
    }

    /// What it holds is there, and no more is to be.
    fn first(&self) -> Vec<Range<u64>> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_there_until_it_is_emptied() {
        let kept = KeptMemory::new(1 << 20).unwrap();
        assert_eq!(kept.populated_bytes().unwrap(), 0);
        kept.write(0x3ffe, b"state").unwrap();
        assert_eq!(kept.populated().unwrap(), std::slice::from_ref(&(0x3000..0x5000)));
        assert_eq!(kept.populated_bytes().unwrap(), 0x2000);
        let mut bytes = [0; 5];
        kept.read(0x3ffe, &mut bytes).unwrap();
        assert_eq!(&bytes, b"state");
        kept.empty().unwrap();
        assert_eq!((kept.populated().unwrap(), kept.populated_bytes().unwrap()), (vec![], 0));
        kept.read(0x3ffe, &mut bytes).unwrap();
        assert_eq!(bytes, [0; 5]);
    }

    #[test]
    fn the_mapping_and_the_file_are_one() {
        let kept = KeptMemory::new(1 << 16).unwrap();
        let word = kept.0.as_ptr().cast::<u64>();
        // SAFETY: the mapping's second page, aligned; nobody else reaches it.
        unsafe { word.add(512).write_volatile(7) };
        let mut bytes = [0; 8];
        kept.read(4096, &mut bytes).unwrap();
        assert_eq!(u64::from_ne_bytes(bytes), 7);
        kept.empty().unwrap();
        // SAFETY: as above.
        assert_eq!(unsafe { word.add(512).read_volatile() }, 0);
    }

    #[test]
    fn contents_begin_another_one() {
        let kept = KeptMemory::new(1 << 20).unwrap();
        kept.write(0x3ffe, b"state").unwrap();
        kept.write(0x8000, &[0; 16]).unwrap();
        let contents = kept.contents(kept.room()).unwrap();
        assert_eq!(contents.extents, std::slice::from_ref(&(0x3000..0x5000)));
        let other = KeptMemory::new(1 << 20).unwrap();
        other.begin_with(&contents).unwrap();
        assert_eq!(other.contents(Vec::new()).unwrap(), contents);
        let smaller = KeptMemory::new(0x4000).unwrap();
        assert!(smaller.begin_with(&contents).is_err());
    }

    #[test]
    fn nothing_outside_is_reached() {
        let kept = KeptMemory::new(4096).unwrap();
        for offset in [4096, 4089, u64::MAX] {
            assert!(kept.write(offset, &[1; 8]).is_err(), "{offset}");
            assert!(kept.read(offset, &mut [0; 8]).is_err(), "{offset}");
        }
        assert_eq!(Lendable::memory(&kept).size(), 4096);
        assert!(kept.populated().unwrap().is_empty());
    }
}

//! What a disk's bytes are kept in: a file of the host, one system call for each thing to do.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use atoll_ipc::sync::AtomicU64;
use nix::fcntl::{FallocateFlags, fallocate};

use super::bounce::Bounce;
use super::file::DiskFile;

/// Keeps bytes. Memory is that of a channel: a domain may read and write it meanwhile, which harms
/// nobody but that domain.
pub(super) trait Medium: Send {
    /// Fills a part of `memory` from its start; returns how many bytes, 0 at the end.
    fn read(&mut self, offset: u64, memory: &[AtomicU64]) -> io::Result<usize>;
    /// Writes a part of `memory` from its start; returns how many bytes.
    fn write(&mut self, offset: u64, memory: &[AtomicU64]) -> io::Result<usize>;
    /// Makes durable what was written.
    fn sync(&mut self) -> io::Result<()>;
    /// Makes bytes that there are zero, and gives their room back.
    fn punch(&mut self, offset: u64, length: u64) -> io::Result<()>;
    /// Bytes that there are.
    fn length(&self) -> io::Result<u64>;
}

/// A file.
#[derive(Debug)]
pub(super) struct FileMedium {
    file: Arc<DiskFile>,
    bounce: Bounce,
}

impl FileMedium {
    pub(super) fn new(file: Arc<DiskFile>) -> Self {
        let bounce = Bounce::new(file.memory);
        Self { file, bounce }
    }

    fn host(&self) -> &File {
        &self.file.file
    }
}

impl Medium for FileMedium {
    fn read(&mut self, offset: u64, memory: &[AtomicU64]) -> io::Result<usize> {
        let Self { file, bounce } = self;
        if bounce.is_needed(memory) {
            return bounce.fill(memory, |memory| pread(&file.file, offset, memory));
        }
        pread(self.host(), offset, memory)
    }

    fn write(&mut self, offset: u64, memory: &[AtomicU64]) -> io::Result<usize> {
        let Self { file, bounce } = self;
        if bounce.is_needed(memory) {
            return bounce.drain(memory, |memory| pwrite(&file.file, offset, memory));
        }
        pwrite(self.host(), offset, memory)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.host().sync_data()
    }

    fn punch(&mut self, offset: u64, length: u64) -> io::Result<()> {
        let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        Ok(fallocate(self.host(), flags, offset as i64, length as i64)?)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.host().metadata()?.len())
    }
}

fn pread(file: &File, offset: u64, memory: &[AtomicU64]) -> io::Result<usize> {
    let (address, length) = (memory.as_ptr().cast_mut().cast(), size_of_val(memory));
    // SAFETY: the kernel writes at most `length` bytes to memory that the slice covers; it is made
    // of atomics, which may change behind a shared reference, and any bits are valid ones.
    counted(unsafe { libc::pread(file.as_raw_fd(), address, length, offset as i64) })
}

fn pwrite(file: &File, offset: u64, memory: &[AtomicU64]) -> io::Result<usize> {
    let (address, length) = (memory.as_ptr().cast(), size_of_val(memory));
    // SAFETY: the kernel reads at most `length` bytes of memory that the slice covers; what others
    // write there meanwhile makes the bytes other ones, and nothing worse.
    counted(unsafe { libc::pwrite(file.as_raw_fd(), address, length, offset as i64) })
}

fn counted(returned: isize) -> io::Result<usize> {
    usize::try_from(returned).map_err(|_| io::Error::last_os_error())
}

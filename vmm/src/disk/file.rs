//! The file behind a disk: opened, checked and locked before any domain starts.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use atoll_ipc::lend::max_lent;

use super::error::DiskError;
use super::lock::{Refused, lock};
use crate::manifest::{Disk, DiskName, Durability, Manifest};

/// What a disk's sectors are on the host, if it does not say more: a write of one happens or does
/// not, and no hardware has smaller ones.
const SECTOR: u64 = 512;
/// What all hardware and file systems take without the page cache, if the host does not say.
const SAFE: u64 = 4096;

/// What `stat` counts in, whatever the file system.
const STAT_BLOCK: u64 = 512;

/// The file of a disk, open and locked.
#[derive(Debug)]
pub struct DiskFile {
    /// The disk's name.
    pub name: String,
    /// The channel's name at the domain.
    pub channel: String,
    /// Where it is.
    pub path: PathBuf,
    /// It bypasses the page cache.
    pub direct: bool,
    /// It may not be written.
    pub read_only: bool,
    /// Bytes of the disk.
    pub size: u64,
    pub(super) file: File,
    /// Bytes of it when it was opened.
    length: u64,
    /// Bytes of a block, and what addresses of memory must be multiples of.
    block: u64,
    pub(super) memory: usize,
    /// Most bytes of a request.
    most: u64,
}

/// What a domain is told of its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) size: u64,
    pub(super) block: u64,
    pub(super) most: u64,
    pub(super) fresh: u64,
    pub(super) read_only: bool,
}

impl DiskFile {
    /// What it is called where people read of its failures.
    pub(super) fn title(&self) -> String {
        format!("disk `{}`, {}", self.name, self.path.display())
    }

    /// Bytes of the file now, and bytes that it takes on the host.
    pub(super) fn room(&self) -> (u64, u64) {
        self.file.metadata().map_or((0, 0), |found| (found.len(), found.blocks() * STAT_BLOCK))
    }

    pub(super) fn shape(&self) -> Shape {
        let fresh = self.length.next_multiple_of(self.block);
        let (size, block, most, read_only) = (self.size, self.block, self.most, self.read_only);
        Shape { size, block, most, fresh, read_only }
    }
}

/// Opens the files of all disks of a manifest.
///
/// # Errors
/// If one of them cannot be had, or may not be used.
pub fn open_all(manifest: &Manifest) -> Result<Vec<Arc<DiskFile>>, DiskError> {
    let mut opened: Vec<Arc<DiskFile>> = Vec::new();
    for (name, disk) in &manifest.disks {
        let file = open_one(*name, disk, &opened)?;
        opened.push(Arc::new(file));
    }
    Ok(opened)
}

fn open_one(
    name: DiskName,
    config: &Disk,
    others: &[Arc<DiskFile>],
) -> Result<DiskFile, DiskError> {
    let (disk, path) = (name.to_string(), config.file.clone());
    let direct = config.durability == Durability::Direct;
    let io =
        |action, source| DiskError::Io { disk: disk.clone(), action, file: path.clone(), source };
    let file = open(config, direct).map_err(|error| refusal(&disk, config, direct, error))?;
    let found = file.metadata().map_err(|source| io("look at", source))?;
    if !found.is_file() {
        return Err(DiskError::NotAFile { disk, file: path });
    }
    let is_same = |other: &File| {
        other.metadata().is_ok_and(|other| (other.dev(), other.ino()) == (found.dev(), found.ino()))
    };
    if let Some(other) = others.iter().find(|other| is_same(&other.file)) {
        return Err(DiskError::Twice { disk, file: path, other: other.name.clone() });
    }
    lock(&file, config.read_only).map_err(|refused| match refused {
        Refused::Held(pid) => DiskError::Locked { disk: disk.clone(), file: path.clone(), pid },
        Refused::Io(source) => io("lock", source),
    })?;
    // Only now: its last user may have written until then.
    let length = file.metadata().map_err(|source| io("look at", source))?.len();
    let size = config.size.bytes();
    if length > size {
        return Err(DiskError::TooLong { disk, file: path, length, size });
    }
    if length == 0 && !config.read_only {
        keep_name(&path);
    }
    let (block, memory) = if direct { alignment(&file) } else { (SECTOR, 1) };
    let most = max_lent(config.layout.lent_requests as usize) as u64 / block * block;
    Ok(DiskFile {
        name: disk,
        channel: config.alias.to_string(),
        path,
        direct,
        read_only: config.read_only,
        size,
        file,
        length,
        block,
        memory,
        most,
    })
}

fn open(config: &Disk, direct: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).mode(0o600);
    if !config.read_only {
        options.write(true).create(true).truncate(false);
    }
    // A pipe of that name must not keep the system from saying so.
    options.custom_flags(libc::O_NONBLOCK | if direct { libc::O_DIRECT } else { 0 });
    options.open(&config.file)
}

fn refusal(disk: &str, config: &Disk, direct: bool, source: io::Error) -> DiskError {
    let (disk, file) = (disk.to_owned(), config.file.clone());
    match source.raw_os_error() {
        Some(libc::ENOENT) if config.read_only => DiskError::Missing { disk, file },
        Some(libc::EACCES | libc::EPERM | libc::EROFS) if !config.read_only => {
            DiskError::Unwritable { disk, file, source }
        }
        Some(libc::EISDIR | libc::ENXIO) => DiskError::NotAFile { disk, file },
        Some(libc::EINVAL) if direct => DiskError::NoDirect { disk, file },
        _ => DiskError::Io { disk, action: "open", file, source },
    }
}

/// Makes the name of a file that may be new as durable as what will be written into it.
fn keep_name(path: &Path) {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let synced = File::open(directory.unwrap_or(Path::new("."))).and_then(|dir| dir.sync_all());
    if let Err(error) = synced {
        log::warn!("the name of {} may not survive a power failure: {error}", path.display());
    }
}

/// What the host wants offsets and lengths, and addresses of memory, to be multiples of where the
/// page cache is bypassed.
fn alignment(file: &File) -> (u64, usize) {
    // SAFETY: all bytes 0 are a valid statx.
    let mut found: libc::statx = unsafe { std::mem::zeroed() };
    let (fd, mask) = (file.as_raw_fd(), libc::STATX_DIOALIGN);
    // SAFETY: the path is an empty C string, which with AT_EMPTY_PATH means the descriptor, and the
    // result is written into a statx.
    let told = unsafe { libc::statx(fd, c"".as_ptr(), libc::AT_EMPTY_PATH, mask, &raw mut found) };
    let is_told = told == 0 && found.stx_mask & mask != 0;
    let (offsets, memory) = (u64::from(found.stx_dio_offset_align), found.stx_dio_mem_align);
    if is_told && offsets.is_power_of_two() && offsets <= SAFE && memory.is_power_of_two() {
        (offsets.max(SECTOR), memory as usize)
    } else {
        (SAFE, SAFE as usize)
    }
}

#[cfg(test)]
mod tests;

//! Where servers keep what they write: a directory on a disk, or else nothing that is measured there
//! would be durable.

use std::path::Path;

use nix::sys::statfs::{FsType, TMPFS_MAGIC, statfs};

use super::error::KvError;

/// The older file system in memory. It has no name in `nix`.
const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);

/// Refuses a directory in memory.
pub(in crate::bench) fn check(directory: &Path) -> Result<(), KvError> {
    let what = || format!("asking for the file system of {}", directory.display());
    let found =
        statfs(directory).map_err(|errno| KvError::host(what())(errno.into()))?.filesystem_type();
    match name_in_memory(found) {
        Some(kind) => Err(KvError::InMemory { directory: directory.to_owned(), kind }),
        None => Ok(()),
    }
}

/// The name of a file system that is in memory.
fn name_in_memory(kind: FsType) -> Option<&'static str> {
    match kind {
        TMPFS_MAGIC => Some("tmpfs"),
        RAMFS_MAGIC => Some("ramfs"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::statfs::EXT4_SUPER_MAGIC;

    #[test]
    fn memory_is_no_disk() {
        assert_eq!(name_in_memory(TMPFS_MAGIC), Some("tmpfs"));
        assert_eq!(name_in_memory(RAMFS_MAGIC), Some("ramfs"));
        assert_eq!(name_in_memory(EXT4_SUPER_MAGIC), None);
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let error = check(Path::new("/nowhere/at/all")).unwrap_err().to_string();
        assert!(error.starts_with("asking for the file system of /nowhere/at/all: "), "{error}");
    }
}

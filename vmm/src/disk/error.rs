//! Why a disk cannot be had.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a disk cannot be had.
#[derive(Debug, Error)]
pub enum DiskError {
    /// Another process uses the file.
    #[error(
        "disk `{disk}`: {} is in use by {}; stop what uses it, or give this disk another file",
        file.display(),
        process(*.pid)
    )]
    Locked {
        /// The disk.
        disk: String,
        /// Its file.
        file: PathBuf,
        /// The process, if the host tells.
        pid: Option<u32>,
    },
    /// Two names of one file.
    #[error(
        "disk `{disk}`: {} is the file of disk `{other}` under another name; \
         give each disk a file of its own",
        file.display()
    )]
    Twice {
        /// The disk.
        disk: String,
        /// Its file.
        file: PathBuf,
        /// The disk that has the file.
        other: String,
    },
    /// The file holds more than the disk may.
    #[error(
        "disk `{disk}`: {} has {length} bytes, more than its `size` of {size}; raise `size` to at \
         least {length}, or give the disk another file: none is ever cut",
        file.display()
    )]
    TooLong {
        /// The disk.
        disk: String,
        /// Its file.
        file: PathBuf,
        /// Bytes of the file.
        length: u64,
        /// Bytes of the disk.
        size: u64,
    },
    /// There is nothing to be read.
    #[error(
        "disk `{disk}`: {} is not there, and a `read-only` disk is not made; check the path, or \
         remove `read-only`",
        file.display()
    )]
    Missing {
        /// The disk.
        disk: String,
        /// Its file.
        file: PathBuf,
    },
    /// The file may not be written.
    #[error(
        "disk `{disk}`: {} cannot be written: {source}; allow it, name a file elsewhere, or say \
         `read-only = true`",
        file.display()
    )]
    Unwritable {
        /// The disk.
        disk: String,
        /// Its file.
        file: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// Something else than a file.
    #[error("disk `{disk}`: {} is no regular file; name one that is, or is not there yet", file.display())]
    NotAFile {
        /// The disk.
        disk: String,
        /// What is there.
        file: PathBuf,
    },
    /// The file system has no way past the page cache.
    #[error(
        "disk `{disk}`: the file system of {} does not know O_DIRECT; say `sync = \"fdatasync\"`, or \
         name a file elsewhere",
        file.display()
    )]
    NoDirect {
        /// The disk.
        disk: String,
        /// Its file.
        file: PathBuf,
    },
    /// The host refused something else.
    #[error("disk `{disk}`: cannot {action} {}: {source}; check the path and its directory", file.display())]
    Io {
        /// The disk.
        disk: String,
        /// What was tried.
        action: &'static str,
        /// Its file.
        file: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// The host gives no thread.
    #[error("disk `{disk}` has no thread: {source}; check the limit on threads")]
    Thread {
        /// The disk.
        disk: String,
        /// What the host said.
        source: io::Error,
    },
    /// A fault for a disk that there is not.
    #[error(
        "--disk-fault names disk `{disk}`, which the manifest does not have; it has {}",
        listed(.known)
    )]
    Unknown {
        /// The disk.
        disk: String,
        /// All that there are.
        known: Vec<String>,
    },
}

fn process(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("pid {pid}"))
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { format!("`{}`", names.join("`, `")) }
}

//! What a process holds, as the host counts it.

use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

/// Bytes of a page, by which the host counts memory.
const PAGE: u64 = 4096;

/// What this process holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Threads.
    pub threads: u64,
    /// Open files.
    pub files: u64,
    /// Mappings.
    pub mappings: u64,
    /// Resident memory, in bytes.
    pub resident: u64,
}

impl Resources {
    /// Counts them.
    ///
    /// # Errors
    /// If `/proc` cannot be read.
    pub fn now() -> io::Result<Self> {
        let statm = fs::read_to_string("/proc/self/statm")?;
        let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
        Ok(Self {
            threads: fs::read_dir("/proc/self/task")?.count() as u64,
            files: fs::read_dir("/proc/self/fd")?.count() as u64,
            mappings: fs::read_to_string("/proc/self/maps")?.lines().count() as u64,
            resident: pages.ok_or(io::ErrorKind::InvalidData)? * PAGE,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_file_is_counted_until_it_is_closed() {
        // Other tests open files, too; but not a thousand.
        let before = Resources::now().unwrap();
        let files: Vec<_> = (0..500).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        let during = Resources::now().unwrap();
        assert!(during.files >= before.files + 400, "{before:?} {during:?}");
        drop(files);
        assert!(Resources::now().unwrap().files + 400 <= during.files);
        assert!(during.threads > 0 && during.mappings > 0 && during.resident > 0);
    }
}

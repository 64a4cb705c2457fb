//! A file that is read from one end to the other: what the reading of a log is compared with.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use crate::bench::kv::error::KvError;

/// Bytes that are read at a time: with as many, more make no difference.
const CHUNK: usize = 1 << 20;

/// Whether the host has the file in its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cache {
    /// It has, as far as it can.
    Warm,
    /// It has not.
    Cold,
}

/// Has the host forget what it has of a file, or look at it once.
pub(super) fn prepare(path: &Path, bytes: u64, cache: Cache) -> Result<(), KvError> {
    match cache {
        Cache::Warm => read(path, bytes).map(drop),
        Cache::Cold => forget(path),
    }
}

fn forget(path: &Path) -> Result<(), KvError> {
    let file = open(path)?;
    // What is not on disk yet is not forgotten.
    file.sync_all().map_err(KvError::host(format!("flushing {}", path.display())))?;
    posix_fadvise(file.as_fd(), 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).map_err(|errno| {
        KvError::host(format!("dropping {} from memory", path.display()))(errno.into())
    })
}

/// Reads so many bytes from the file's beginning, and tells how long it took.
pub(super) fn read(path: &Path, bytes: u64) -> Result<Duration, KvError> {
    let what = || format!("reading {}", path.display());
    let mut chunk = vec![0; CHUNK];
    let began = Instant::now();
    let mut file = open(path)?.take(bytes);
    let mut done = 0;
    loop {
        match file.read(&mut chunk).map_err(KvError::host(what()))? {
            0 => break,
            count => done += count as u64,
        }
    }
    let took = began.elapsed();
    if done < bytes {
        return Err(KvError::Setting(format!("{} has but {done} bytes", path.display())));
    }
    Ok(took)
}

fn open(path: &Path) -> Result<File, KvError> {
    File::open(path).map_err(KvError::host(format!("opening {}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_is_read_or_it_is_said() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        std::fs::write(&path, vec![7; CHUNK + 5]).unwrap();
        for cache in [Cache::Cold, Cache::Warm] {
            prepare(&path, 100, cache).unwrap();
            assert!(read(&path, CHUNK as u64 + 5).unwrap() > Duration::ZERO);
        }
        let error = read(&path, CHUNK as u64 + 6).unwrap_err().to_string();
        assert!(error.ends_with("file has but 1048581 bytes"), "{error}");
    }
}

//! Owns the directory that one run of the machine has for itself, and the sweeping out of those whose
//! owner was killed.
//!
//! A directory is in use while its lock file is locked, and the kernel unlocks it with its owner's death.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use anyhow::{Context, Result};
use tempfile::TempDir;

const LOCK: &str = "lock";
const PREFIX: &str = "run-";

/// A directory for one run; it goes with this value.
#[derive(Debug)]
pub struct Scratch {
    directory: TempDir,
    _lock: File,
}

impl Scratch {
    /// Makes one below `parent`.
    pub fn new(parent: &Path) -> Result<Self> {
        // No sweeper may come between the making of a directory and its lock.
        let _guard = exclusive(parent)?;
        sweep(parent).context("removing what killed runs left")?;
        let directory = TempDir::with_prefix_in(PREFIX, parent)?;
        let lock = File::create(directory.path().join(LOCK))?;
        lock.lock()?;
        Ok(Self { directory, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Waits until no other process works on `directory` itself; the lock goes with the result.
pub fn exclusive(directory: &Path) -> Result<File> {
    let path = directory.join(LOCK);
    let lock = File::create(&path).with_context(|| format!("making {}", path.display()))?;
    lock.lock().with_context(|| format!("waiting for {}", path.display()))?;
    Ok(lock)
}

fn sweep(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(PREFIX) && is_abandoned(&entry.path()) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn is_abandoned(directory: &Path) -> bool {
    match File::open(directory.join(LOCK)) {
        Ok(lock) => lock.try_lock().is_ok(),
        // Killed before it had a lock; or just removed by its owner.
        Err(_) => directory.exists(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_in_use_stay_and_abandoned_ones_go() {
        let parent = tempfile::tempdir().unwrap();
        let abandoned = [parent.path().join("run-old"), parent.path().join("run-older")];
        for directory in &abandoned {
            fs::create_dir(directory).unwrap();
        }
        fs::write(abandoned[0].join(LOCK), "").unwrap();
        let first = Scratch::new(parent.path()).unwrap();
        assert!(abandoned.iter().all(|directory| !directory.exists()));
        let second = Scratch::new(parent.path()).unwrap();
        assert!(first.path().is_dir() && second.path().is_dir());
        let path = first.path().to_owned();
        drop(first);
        assert!(!path.exists());
    }
}

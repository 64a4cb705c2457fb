//! Owns the place of one round: nothing that a peer leaves behind outlives it.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// Where POSIX shared memory shows.
const SHARED_MEMORY: &str = "/dev/shm";

/// How the name of every room begins.
const PREFIX: &str = "atoll-peers-";

/// A directory for one round. It goes when it is dropped, and with it the shared memory that
/// carries its name: a side that was killed cannot tidy up after itself.
#[derive(Debug)]
pub struct Room {
    directory: TempDir,
    /// Held for as long as somebody uses the room: the kernel lets go of it however that one ends.
    _lock: File,
}

impl Room {
    /// A new one, with a name that nothing else has.
    pub fn new() -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir()
            .context("cannot make a directory for a round: check TMPDIR")?;
        let lock = File::open(directory.path()).context("cannot open the directory of a round")?;
        lock.lock().context("cannot lock the directory of a round")?;
        Ok(Self { directory, _lock: lock })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        remove_shared_memory(self.path());
    }
}

/// Removes the rooms that runs which were killed have left behind.
pub fn remove_forsaken() {
    for path in beginning_with(&env::temp_dir(), PREFIX) {
        if File::open(&path).is_ok_and(|room| room.try_lock().is_ok()) {
            remove_shared_memory(&path);
            // Rooms have names of their own: what cannot be removed disturbs nobody.
            let _ = fs::remove_dir_all(path);
        }
    }
}

fn remove_shared_memory(room: &Path) {
    let Ok(name) = name(room) else { return };
    for path in beginning_with(Path::new(SHARED_MEMORY), name) {
        // As above.
        let _ = fs::remove_file(path);
    }
}

fn beginning_with(directory: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix)))
        .map(|entry| entry.path())
        .collect()
}

/// The name of a room, which is to begin the name of all that is made outside of it.
pub fn name(room: &Path) -> Result<&str> {
    room.file_name()
        .and_then(|name| name.to_str())
        .with_context(|| format!("{} has no name of its own", room.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_goes_with_its_shared_memory() {
        let room = Room::new().expect("there is a place for temporary files");
        let directory = room.path().to_path_buf();
        let name = name(&directory).expect("it has a name");
        let memory = Path::new(SHARED_MEMORY).join(format!("{name}_left"));
        fs::write(&memory, "left behind").expect("shared memory can be made");
        drop(room);
        assert!(!directory.exists() && !memory.exists());
    }
}

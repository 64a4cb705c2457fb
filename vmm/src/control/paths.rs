//! Where control sockets are when nobody says otherwise.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

/// The directory of this user's control sockets: `$XDG_RUNTIME_DIR/atoll`, or `/run/atoll` for
/// root, or `/tmp/atoll-UID`.
pub fn default_dir() -> PathBuf {
    directory_for(std::env::var_os("XDG_RUNTIME_DIR"), geteuid().as_raw())
}

/// The control socket of the system with this name.
pub fn default_socket(system: &str) -> PathBuf {
    default_dir().join(format!("{system}.sock"))
}

/// The systems whose sockets are in `directory`, by name; some may be dead.
pub fn systems_in(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".sock")?.to_owned()))
        .collect();
    names.sort();
    names
}

/// The lock that the owner of a control socket holds: beside it, `.lock` for its extension.
pub(super) fn lock_of(socket: &Path) -> PathBuf {
    socket.with_extension("lock")
}

/// A relative `$XDG_RUNTIME_DIR` is to be ignored, says its specification.
fn directory_for(runtime_dir: Option<OsString>, uid: u32) -> PathBuf {
    match runtime_dir.map(PathBuf::from).filter(|dir| dir.is_absolute()) {
        Some(dir) => dir.join("atoll"),
        None if uid == 0 => PathBuf::from("/run/atoll"),
        None => PathBuf::from(format!("/tmp/atoll-{uid}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_follows_the_user() {
        let dir = |runtime: Option<&str>, uid| directory_for(runtime.map(OsString::from), uid);
        assert_eq!(dir(Some("/run/user/7"), 7), Path::new("/run/user/7/atoll"));
        assert_eq!(dir(None, 0), Path::new("/run/atoll"));
        assert_eq!(dir(None, 7), Path::new("/tmp/atoll-7"));
        assert_eq!(dir(Some("here"), 7), Path::new("/tmp/atoll-7"));
    }

    #[test]
    fn systems_are_found_by_their_sockets() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["kv.sock", "a.sock", "kv.lock", "sock"] {
            std::fs::write(dir.path().join(file), "").unwrap();
        }
        assert_eq!(systems_in(dir.path()), ["a", "kv"]);
        assert!(systems_in(&dir.path().join("none")).is_empty());
    }
}

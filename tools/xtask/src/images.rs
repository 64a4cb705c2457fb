//! Owns the making of image files from guest programs.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use atoll_image::build::{self, Built, Options};
use tempfile::NamedTempFile;

use crate::guest;
use crate::workspace::{GuestServer, Workspace};

/// Compiles `servers` and makes their images; says which of them changed.
pub fn make(workspace: &Workspace, servers: &[GuestServer]) -> Result<()> {
    guest::build(workspace, servers)?;
    let directory = workspace.images();
    fs::create_dir_all(&directory).with_context(|| format!("making {}", directory.display()))?;
    for server in servers {
        let path = image_path(&directory, &server.program);
        let image = image_of(workspace, server)?;
        let state = if write_if_changed(&path, &image)? { "made" } else { "unchanged" };
        eprintln!("image: {} {state} ({} KiB)", path.display(), image.len().div_ceil(1024));
    }
    Ok(())
}

/// Where the image called `name` is, below `directory`.
pub fn image_path(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.img"))
}

fn image_of(workspace: &Workspace, server: &GuestServer) -> Result<Vec<u8>> {
    let program = guest::program(workspace, server);
    let elf = fs::read(&program).with_context(|| format!("reading {}", program.display()))?;
    let Built { image, warnings } = build::build(&elf, &Options::default())
        .with_context(|| format!("making an image of {}", program.display()))?;
    for warning in warnings {
        eprintln!("image: {}: warning: {warning}", server.program);
    }
    Ok(image.as_bytes().to_vec())
}

/// Puts `bytes` at `path` unless they are there already. The file is replaced whole: a VMM that starts
/// at the same time reads the old image or the new one.
fn write_if_changed(path: &Path, bytes: &[u8]) -> Result<bool> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(false);
    }
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(directory)
        .with_context(|| format!("making a file in {}", directory.display()))?;
    file.write_all(bytes)?;
    file.persist(path).with_context(|| format!("replacing {}", path.display()))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_change_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = image_path(directory.path(), "echo");
        assert!(write_if_changed(&path, b"one").unwrap());
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        assert!(!write_if_changed(&path, b"one").unwrap());
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
        assert!(write_if_changed(&path, b"two").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left behind");
    }
}

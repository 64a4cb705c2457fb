//! Owns the parts of the emulated machine: QEMU, a kernel with its modules, and busybox.
//!
//! They are Debian packages, fetched once and unpacked below `target/emulate`, never installed. The stamp
//! file names the layout and each package; what it names is used again without asking apt.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::apt::{self, Apt};
use super::qemu::Qemu;
use super::scratch::exclusive;

/// To be raised when packages are chosen or unpacked in another way: older trees are then made anew.
const LAYOUT: u32 = 1;

const QEMU: &str = "qemu-system-x86";
const BUSYBOX: &str = "busybox-static";
const KERNEL: &str = "linux-image-cloud-amd64";

/// Where the parts are.
#[derive(Debug)]
pub struct Parts {
    /// The emulator.
    pub qemu: Qemu,
    /// The kernel image.
    pub kernel: PathBuf,
    /// The tree of the kernel's modules.
    pub modules: PathBuf,
    /// A static busybox.
    pub busybox: PathBuf,
}

/// Finds the parts below `directory`, or fetches them. Several processes may ask at once.
pub fn provide(directory: &Path) -> Result<Parts> {
    fs::create_dir_all(directory).with_context(|| format!("making {}", directory.display()))?;
    let _guard = exclusive(directory)?;
    let root = directory.join("root");
    if is_current(&root)
        && let Ok(parts) = find(&root)
    {
        return Ok(parts);
    }
    fetch(directory, &root).context("fetching the packages of the emulated machine")?;
    find(&root)
}

fn stamp_path(root: &Path) -> PathBuf {
    root.join("stamp")
}

fn is_current(root: &Path) -> bool {
    let stamp = fs::read_to_string(stamp_path(root)).unwrap_or_default();
    stamp.lines().next() == Some(format!("layout {LAYOUT}").as_str())
}

fn fetch(directory: &Path, root: &Path) -> Result<()> {
    let start = Instant::now();
    eprintln!("emulate: fetching the packages of the emulated machine (about 60 MB, once)");
    // In `directory` rather than in the system's place for temporary files: renaming needs one file system.
    let work = fresh_directory(&directory.join("fetch"))?;
    let mut apt = Apt::open(&work)?;
    let packages = work.join("packages");
    let files = apt.with_fresh_lists(|apt| {
        fresh_directory(&packages)?;
        apt.download(&choose(apt)?, &packages)
    })?;
    let fresh = work.join("root");
    fs::create_dir(&fresh)?;
    for file in &files {
        apt::unpack(file, &fresh)?;
    }
    fs::write(stamp_path(&fresh), stamp(&files))?;
    if root.exists() {
        fs::remove_dir_all(root)?;
    }
    fs::rename(&fresh, root)?;
    fs::remove_dir_all(&work)?;
    eprintln!("emulate: {} packages ready in {:.1} s", files.len(), start.elapsed().as_secs_f64());
    Ok(())
}

/// An empty directory at `path`, whatever an earlier attempt left there.
fn fresh_directory(path: &Path) -> Result<PathBuf> {
    if path.exists() {
        fs::remove_dir_all(path)?;
    }
    fs::create_dir(path).with_context(|| format!("making {}", path.display()))?;
    Ok(path.to_owned())
}

/// All packages to unpack: QEMU comes with what it needs and the system lacks; of the kernel, which is
/// never installed, only the package itself is of use.
fn choose(apt: &Apt) -> Result<Vec<String>> {
    let mut names = vec![apt.dependency(KERNEL, "linux-image-")?, BUSYBOX.to_owned()];
    if Qemu::of_the_system().is_none() {
        names.extend(apt.missing_for(QEMU)?);
    }
    names.sort();
    names.dedup();
    Ok(names)
}

fn stamp(files: &[PathBuf]) -> String {
    let mut text = format!("layout {LAYOUT}\n");
    for name in files.iter().filter_map(|file| file.file_name()) {
        text.push_str(&name.to_string_lossy());
        text.push('\n');
    }
    text
}

fn find(root: &Path) -> Result<Parts> {
    let qemu = Qemu::of_the_system()
        .or_else(|| Qemu::unpacked(root))
        .context("no qemu-system-x86_64, neither on the PATH nor unpacked")?;
    let release = only_entry(&[root.join("usr/lib/modules"), root.join("lib/modules")])?;
    let version = release.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let parts = Parts {
        qemu,
        kernel: root.join(format!("boot/vmlinuz-{version}")),
        modules: release,
        busybox: first_file(&[root.join("usr/bin/busybox"), root.join("bin/busybox")])?,
    };
    if !parts.kernel.is_file() {
        bail!("the kernel package has no {}", parts.kernel.display());
    }
    Ok(parts)
}

fn first_file(candidates: &[PathBuf]) -> Result<PathBuf> {
    let found = candidates.iter().find(|path| path.is_file());
    found.cloned().with_context(|| format!("{} is missing", candidates[0].display()))
}

fn only_entry(directories: &[PathBuf]) -> Result<PathBuf> {
    let directory = directories.iter().find(|path| path.is_dir());
    let directory = directory.context("the kernel package has no modules")?;
    let mut entries = fs::read_dir(directory)?;
    match (entries.next(), entries.next()) {
        (Some(entry), None) => Ok(entry?.path()),
        _ => bail!("{} should hold the modules of one kernel", directory.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[test]
    fn a_tree_is_current_only_with_this_layout() {
        let root = TempDir::new().unwrap();
        assert!(!is_current(root.path()), "no stamp");
        fs::write(stamp_path(root.path()), stamp(&[PathBuf::from("/x/busybox_1_amd64.deb")]))
            .unwrap();
        assert!(is_current(root.path()));
        fs::write(stamp_path(root.path()), "layout 0\nbusybox_1_amd64.deb\n").unwrap();
        assert!(!is_current(root.path()), "another layout");
    }

    #[test]
    fn a_tree_without_its_parts_is_an_error() {
        let root = TempDir::new().unwrap();
        assert!(find(root.path()).is_err());
        fs::create_dir_all(root.path().join("lib/modules/6.1")).unwrap();
        fs::create_dir_all(root.path().join("bin")).unwrap();
        fs::write(root.path().join("bin/busybox"), "").unwrap();
        fs::create_dir_all(root.path().join("usr/bin")).unwrap();
        fs::write(root.path().join("usr/bin/qemu-system-x86_64"), "").unwrap();
        let error = find(root.path()).unwrap_err();
        assert!(error.to_string().contains("vmlinuz-6.1"), "{error}");
        fs::create_dir(root.path().join("boot")).unwrap();
        fs::write(root.path().join("boot/vmlinuz-6.1"), "").unwrap();
        assert_eq!(find(root.path()).unwrap().modules, root.path().join("lib/modules/6.1"));
    }
}

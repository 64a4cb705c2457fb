//! Owns the content of the machine's initramfs: busybox, modules, `init`, and what the job ships.
//!
//! It is written uncompressed: QEMU hands it over in one copy, while unpacking in an emulated machine
//! takes longer than that.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::job::{Job, Kind};
use super::libraries;
use super::modules::{self, Module};
use super::newc::Archive;
use super::packages::Parts;

/// The modules that the machine is for, and those that its network card needs.
const MODULES: [&str; 4] = ["kvm", "kvm-amd", "virtio_pci", "virtio_net"];

/// Where shared libraries go, all in one directory. `LD_LIBRARY_PATH` names it.
const LIBRARIES: &str = "/atoll/lib";

const INIT: &str = include_str!("init.sh");
const EMPTY_DIRECTORIES: [&str; 7] = ["proc", "sys", "dev", "tmp", "run", "root", "var"];

/// Writes the initramfs of `job` to `path`.
pub fn write(path: &Path, parts: &Parts, job: &Job) -> Result<()> {
    let file = File::create(path).with_context(|| format!("making {}", path.display()))?;
    let mut archive = Archive::new(BufWriter::new(file));
    base(&mut archive, parts)?;
    shipped(&mut archive, job)?;
    archive.file("/atoll/steps", 0o644, script(job).as_bytes())?;
    archive.finish().with_context(|| format!("writing {}", path.display()))?;
    Ok(())
}

fn script(job: &Job) -> String {
    format!("export LD_LIBRARY_PATH={LIBRARIES} HOME=/root TMPDIR=/tmp\n{}", job.script())
}

fn base(archive: &mut Archive<impl Write>, parts: &Parts) -> Result<()> {
    for directory in EMPTY_DIRECTORIES {
        archive.directory(directory)?;
    }
    // `init` starts before /dev is mounted and needs somewhere to say so if that fails.
    archive.character_device("/dev/console", 5, 1)?;
    archive.file("/init", 0o755, INIT.as_bytes())?;
    archive.file("/bin/busybox", 0o755, &read(&parts.busybox)?)?;
    archive.file("/etc/hosts", 0o644, b"127.0.0.1 localhost\n")?;
    archive.file("/etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\n")?;
    archive.file("/etc/group", 0o644, b"root:x:0:\n")?;
    let modules = modules::load(&parts.modules, &MODULES, &parts.busybox)?;
    let mut order = String::new();
    for Module { name, bytes } in &modules {
        archive.file(&format!("/lib/modules/{name}.ko"), 0o644, bytes)?;
        order.push_str(name);
        order.push('\n');
    }
    archive.file("/lib/modules/order", 0o644, order.as_bytes())?;
    Ok(())
}

fn shipped(archive: &mut Archive<impl Write>, job: &Job) -> Result<()> {
    // By path in the machine: programs share most of their libraries.
    let mut libraries: BTreeMap<String, PathBuf> = BTreeMap::new();
    for file in &job.files {
        match file.kind {
            Kind::Data => archive.file(&file.to, 0o644, &read(&file.from)?)?,
            Kind::Program => {
                let bytes = stripped(&file.from)?;
                if let Some(needs) = libraries::needs(&file.from, &bytes)? {
                    libraries.insert(needs.loader.display().to_string(), needs.loader);
                    let named = |(name, path)| (format!("{LIBRARIES}/{name}"), path);
                    libraries.extend(needs.libraries.into_iter().map(named));
                }
                archive.file(&file.to, 0o755, &bytes)?;
            }
        }
    }
    for (to, from) in &libraries {
        archive.file(to, 0o755, &read(from)?)?;
    }
    for (to, text) in &job.texts {
        archive.file(to, 0o644, text.as_bytes())?;
    }
    Ok(())
}

/// The program without its debug information, most of a test binary's size; whole where `strip` is
/// missing, since that only costs memory.
fn stripped(program: &Path) -> Result<Vec<u8>> {
    let copy = tempfile::NamedTempFile::new()?;
    let status = Command::new("strip")
        .arg("--strip-debug")
        .arg("-o")
        .arg(copy.path())
        .arg(program)
        .env_remove("LD_LIBRARY_PATH")
        .status();
    match status {
        Ok(status) if status.success() => read(copy.path()),
        _ => read(program),
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}

//! Owns the choice of kernel modules: which files a wish such as `kvm-amd` needs, and in what order.
//!
//! The kernel package carries no `modules.dep` (that is made when it is installed), so the dependencies
//! are read where `depmod` reads them: in each module's `.modinfo` section.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use object::{Object, ObjectSection};

/// One module, ready to be inserted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Its name as the kernel knows it, with underscores.
    pub name: String,
    /// The uncompressed ELF file.
    pub bytes: Vec<u8>,
}

/// Finds the modules of the kernel tree `tree` that `wanted` names, and all that they depend on,
/// in an order in which they can be inserted. `busybox` unpacks compressed ones.
pub fn load(tree: &Path, wanted: &[&str], busybox: &Path) -> Result<Vec<Module>> {
    let index = index(tree)?;
    let mut found: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let order = order(wanted, |name| {
        let path = index.get(name).with_context(|| {
            format!("the kernel under {} has no module `{name}`", tree.display())
        })?;
        let bytes = read(path, busybox)?;
        let depends = depends(&bytes).with_context(|| format!("reading {}", path.display()))?;
        found.insert(name.to_owned(), bytes);
        Ok(depends)
    })?;
    let take = |name: String| found.remove(&name).map(|bytes| Module { name, bytes });
    Ok(order.into_iter().filter_map(take).collect())
}

/// All module files below `tree`, by name.
fn index(tree: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut index = BTreeMap::new();
    let mut pending = vec![tree.to_owned()];
    while let Some(directory) = pending.pop() {
        let entries = fs::read_dir(&directory)
            .with_context(|| format!("listing kernel modules in {}", directory.display()))?;
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                pending.push(entry.path());
            } else if let Some(name) = module_name(&entry.file_name().to_string_lossy()) {
                index.insert(name, entry.path());
            }
        }
    }
    Ok(index)
}

/// The module's name, if `file` is a module's file name. `-` and `_` are the same to the kernel.
fn module_name(file: &str) -> Option<String> {
    let stem = [".ko", ".ko.xz", ".ko.gz", ".ko.zst"].iter().find_map(|e| file.strip_suffix(e))?;
    Some(stem.replace('-', "_"))
}

fn read(path: &Path, busybox: &Path) -> Result<Vec<u8>> {
    let applet = match path.extension().and_then(|e| e.to_str()) {
        Some("ko") => {
            return fs::read(path).with_context(|| format!("reading {}", path.display()));
        }
        Some("xz") => "xzcat",
        Some("gz") => "zcat",
        other => bail!(
            "{} is compressed with {}, which cannot be unpacked here; a kernel whose modules are plain, xz or gzip is needed",
            path.display(),
            other.unwrap_or("an unknown method"),
        ),
    };
    let output = Command::new(busybox)
        .arg(applet)
        .arg(path)
        .output()
        .with_context(|| format!("running {} {applet}", busybox.display()))?;
    if !output.status.success() {
        bail!("{applet} {}: {}", path.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}

/// The names in the `depends=` entry of a module's `.modinfo`.
fn depends(module: &[u8]) -> Result<Vec<String>> {
    let file = object::File::parse(module).context("it is not an ELF file")?;
    let section = file.section_by_name(".modinfo").context("it has no .modinfo section")?;
    let data = section.data().context("its .modinfo section cannot be read")?;
    Ok(depends_in(data))
}

fn depends_in(modinfo: &[u8]) -> Vec<String> {
    modinfo
        .split(|&b| b == 0)
        .filter_map(|entry| std::str::from_utf8(entry).ok()?.strip_prefix("depends="))
        .flat_map(|list| list.split(',').filter(|name| !name.is_empty()))
        .map(|name| name.replace('-', "_"))
        .collect()
}

/// Orders `wanted` and what they need so that each module follows its dependencies.
/// `depends` is asked once for each module.
fn order(
    wanted: &[&str],
    mut depends: impl FnMut(&str) -> Result<Vec<String>>,
) -> Result<Vec<String>> {
    let mut order = Vec::new();
    let mut seen = BTreeSet::new();
    for name in wanted {
        visit(&name.replace('-', "_"), &mut depends, &mut seen, &mut order)?;
    }
    Ok(order)
}

fn visit(
    name: &str,
    depends: &mut impl FnMut(&str) -> Result<Vec<String>>,
    seen: &mut BTreeSet<String>,
    order: &mut Vec<String>,
) -> Result<()> {
    if !seen.insert(name.to_owned()) {
        return Ok(());
    }
    for needed in depends(name)? {
        visit(&needed, depends, seen, order)?;
    }
    order.push(name.to_owned());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(name: &str) -> Result<Vec<String>> {
        let needs: &[&str] = match name {
            "virtio_net" => &["virtio_ring", "virtio", "net_failover"],
            "net_failover" => &["failover"],
            "virtio_ring" => &["virtio"],
            "virtio" | "failover" => &[],
            "a" => &["b"],
            "b" => &["a"],
            other => bail!("no module `{other}`"),
        };
        Ok(needs.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn each_module_follows_what_it_needs_and_comes_once() {
        let order = order(&["virtio", "virtio-net"], tree).unwrap();
        assert_eq!(order, ["virtio", "virtio_ring", "failover", "net_failover", "virtio_net"]);
    }

    #[test]
    fn a_circle_ends() {
        assert_eq!(order(&["a"], tree).unwrap(), ["b", "a"]);
    }

    #[test]
    fn a_missing_module_is_an_error_that_names_it() {
        let error = order(&["e1000"], tree).unwrap_err();
        assert_eq!(error.to_string(), "no module `e1000`");
    }

    #[test]
    fn depends_is_read_from_modinfo() {
        let modinfo = b"license=GPL\0depends=virtio-ring,virtio,net_failover\0name=virtio_net\0";
        assert_eq!(depends_in(modinfo), ["virtio_ring", "virtio", "net_failover"]);
        assert!(depends_in(b"license=GPL\0depends=\0").is_empty());
        assert!(depends_in(b"").is_empty());
    }

    #[test]
    fn module_names_lose_their_suffix_and_dashes() {
        assert_eq!(module_name("kvm-amd.ko").as_deref(), Some("kvm_amd"));
        assert_eq!(module_name("kvm.ko.xz").as_deref(), Some("kvm"));
        assert_eq!(module_name("modules.order"), None);
    }
}

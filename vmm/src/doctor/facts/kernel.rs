//! The kernel: its version, how it hands out memory, and KVM's modules with their parameters.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Serialize;

use super::{number, text};

/// The parameters that matter here, of whichever module has them.
const PARAMETERS: [&str; 8] = [
    "enable_apicv",
    "ept",
    "halt_poll_ns",
    "nested",
    "npt",
    "nx_huge_pages",
    "tdp_mmu",
    "unrestricted_guest",
];

/// What is asked of the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(in crate::doctor) struct Kernel {
    pub(in crate::doctor) release: Option<String>,
    /// Major and minor version.
    pub(in crate::doctor) version: Option<(u32, u32)>,
    /// `vm.overcommit_memory`: 2 promises no more memory than there is.
    pub(in crate::doctor) overcommit: Option<u32>,
    /// Who gets large pages of memory: `always`, `madvise` or `never`.
    pub(in crate::doctor) large_pages: Option<String>,
    /// Most mappings of a process.
    pub(in crate::doctor) max_mappings: Option<u64>,
    /// Most threads of the host.
    pub(in crate::doctor) max_threads: Option<u64>,
}

impl Kernel {
    pub(super) fn read() -> Self {
        let release = text("/proc/sys/kernel/osrelease");
        let threads: [Option<u64>; 2] =
            [number("/proc/sys/kernel/threads-max"), number("/proc/sys/kernel/pid_max")];
        Self {
            version: release.as_deref().and_then(version),
            release,
            overcommit: number("/proc/sys/vm/overcommit_memory"),
            large_pages: text("/sys/kernel/mm/transparent_hugepage/enabled")
                .and_then(|words| chosen(&words).map(str::to_owned)),
            max_mappings: number("/proc/sys/vm/max_map_count"),
            max_threads: threads.into_iter().flatten().min(),
        }
    }
}

/// The word in brackets: of all that could be chosen, the one that was.
fn chosen(words: &str) -> Option<&str> {
    Some(words.split_once('[')?.1.split_once(']')?.0)
}

/// The two numbers that a release begins with.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// A module and those of its parameters that matter and may be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::doctor) struct Module {
    pub(in crate::doctor) name: String,
    pub(in crate::doctor) parameters: BTreeMap<&'static str, String>,
}

/// KVM's modules, by name.
pub(super) fn modules(directory: &Path) -> Vec<Module> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name == "kvm" || name.starts_with("kvm_"))
        .collect();
    names.sort();
    let module = |name: String| {
        let path = directory.join(&name).join("parameters");
        let value = |key| Some((key, text(path.join(key))?));
        Module { parameters: PARAMETERS.into_iter().filter_map(value).collect(), name }
    };
    names.into_iter().map(module).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_two_numbers_whatever_follows() {
        assert_eq!(version("6.18.44-cloud-1"), Some((6, 18)));
        assert_eq!(version("5.10.0-33-amd64"), Some((5, 10)));
        assert_eq!(version("7.0"), Some((7, 0)));
        assert_eq!(version("6.12+"), Some((6, 12)));
        assert_eq!(version("next"), None);
        assert_eq!(version(""), None);
    }

    #[test]
    fn what_was_chosen_stands_in_brackets() {
        assert_eq!(chosen("always [madvise] never"), Some("madvise"));
        assert_eq!(chosen("always madvise [never]"), Some("never"));
        assert_eq!([chosen("madvise"), chosen("[madvise"), chosen("")], [None; 3]);
    }

    #[test]
    fn only_kvm_and_what_matters_of_it_is_listed() {
        let sys = tempfile::tempdir().unwrap();
        let make = |module: &str, parameter: &str, value: &str| {
            let path = sys.path().join(module).join("parameters");
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join(parameter), value).unwrap();
        };
        make("kvm_intel", "ept", "Y\n");
        make("kvm_intel", "sgx", "N\n");
        make("kvm", "halt_poll_ns", "200000\n");
        make("kvmalloc", "ept", "Y\n");
        fs::create_dir(sys.path().join("kvm_plain")).unwrap();
        let found = modules(sys.path());
        let names: Vec<_> = found.iter().map(|module| module.name.as_str()).collect();
        assert_eq!(names, ["kvm", "kvm_intel", "kvm_plain"]);
        assert_eq!(found[1].parameters, BTreeMap::from([("ept", "Y".to_owned())]));
        assert_eq!(modules(&sys.path().join("none")), []);
    }
}

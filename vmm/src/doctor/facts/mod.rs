//! What the host says of itself. Reading never fails: what the host does not tell is left out.

pub(super) mod cgroup;
pub(super) mod cpu;
pub(super) mod kernel;
pub(super) mod kvm;
pub(super) mod limits;

use std::fs;
use std::path::Path;
use std::str::FromStr;
use std::thread::available_parallelism;

use serde::Serialize;

use cgroup::Cgroups;
use cpu::Cpu;
use kernel::{Kernel, Module};
use limits::Limits;

/// Everything but KVM itself.
#[derive(Debug, Default, Serialize)]
pub(super) struct HostFacts {
    pub(super) cpu: Cpu,
    /// Processors that this process may use.
    pub(super) processors: usize,
    pub(super) kernel: Kernel,
    /// KVM's modules, whether loaded or built in.
    pub(super) modules: Vec<Module>,
    /// What the kernel keeps time by.
    pub(super) clock_source: Option<String>,
    pub(super) cgroups: Cgroups,
    pub(super) limits: Limits,
    /// Bytes of memory that could be had without swapping.
    pub(super) available_memory: Option<u64>,
}

impl HostFacts {
    pub(super) fn read() -> Self {
        Self {
            cpu: Cpu::read(),
            processors: available_parallelism().map_or(1, usize::from),
            kernel: Kernel::read(),
            modules: kernel::modules(Path::new("/sys/module")),
            clock_source: text("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            cgroups: Cgroups::read(),
            limits: Limits::read(),
            available_memory: available_memory(),
        }
    }

    /// A parameter of one of KVM's modules.
    pub(super) fn parameter(&self, module: &str, parameter: &str) -> Option<&str> {
        let module = self.modules.iter().find(|found| found.name == module)?;
        module.parameters.get(parameter).map(String::as_str)
    }

    /// Names of the modules that make KVM work on some kind of processor: all but the common one.
    pub(super) fn vendor_modules(&self) -> impl Iterator<Item = &str> {
        self.modules.iter().map(|module| module.name.as_str()).filter(|name| *name != "kvm")
    }

    pub(super) fn has_module(&self, name: &str) -> bool {
        self.modules.iter().any(|module| module.name == name)
    }
}

/// Bytes of memory that could be had without swapping, at this moment.
pub(super) fn available_memory() -> Option<u64> {
    available_in(&text("/proc/meminfo")?)
}

fn available_in(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// A small file's text, without the space around it.
fn text(path: impl AsRef<Path>) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// A small file's number; None if it holds none, such as the word `max`.
fn number<N: FromStr>(path: impl AsRef<Path>) -> Option<N> {
    text(path)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_read_in_bytes() {
        let meminfo = "MemTotal:       24683956 kB\nMemFree: 1 kB\nMemAvailable:   23789000 kB\n";
        assert_eq!(available_in(meminfo), Some(23_789_000 << 10));
        assert_eq!(available_in("MemTotal: 1 kB\n"), None);
        assert_eq!(available_in("MemAvailable: much\n"), None);
    }

    #[test]
    fn this_host_tells_something() {
        let facts = HostFacts::read();
        assert!(facts.processors > 0);
        assert!(facts.kernel.version.is_some(), "{:?}", facts.kernel);
        assert!(facts.available_memory.is_some());
    }
}

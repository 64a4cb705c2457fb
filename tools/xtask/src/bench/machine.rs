//! Owns the sentence that says on what machine figures were measured, and how busy that was with other things.

use std::fs;

use anyhow::{Context, Result};
use serde::Serialize;

/// The machine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Machine {
    /// Its CPU's name.
    pub cpu: String,
    /// How many it has.
    pub cpus: usize,
    /// The kernel's release.
    pub kernel: String,
}

impl Machine {
    /// This one.
    pub fn this() -> Result<Self> {
        let info = fs::read_to_string("/proc/cpuinfo").context("reading /proc/cpuinfo")?;
        let release = "/proc/sys/kernel/osrelease";
        let kernel = fs::read_to_string(release).with_context(|| format!("reading {release}"))?;
        Ok(Self::parse(&info, &kernel))
    }

    fn parse(info: &str, kernel: &str) -> Self {
        let lines = || info.lines().filter_map(|line| line.split_once(':'));
        let names: Vec<_> = lines().filter(|(key, _)| key.trim() == "model name").collect();
        let cpu = names.first().map_or("of an unknown kind", |(_, name)| name.trim()).to_owned();
        Self { cpu, cpus: names.len(), kernel: kernel.trim().to_owned() }
    }

    /// The sentence.
    pub fn sentence(&self) -> String {
        format!("{} CPUs ({}), Linux {}", self.cpus, self.cpu, self.kernel)
    }
}

/// The load average over the last minute: how many programs ran or wanted to, these included.
pub fn load() -> Result<f64> {
    let text = fs::read_to_string("/proc/loadavg").context("reading /proc/loadavg")?;
    let first = text.split_whitespace().next().and_then(|word| word.parse().ok());
    first.context("/proc/loadavg does not begin with a number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_counted_and_named() {
        let info = "processor\t: 0\nmodel name\t: A: big one\n\nprocessor\t: 1\nmodel name\t: A: big one\n";
        let machine = Machine::parse(info, "6.1.0\n");
        assert_eq!(machine.sentence(), "2 CPUs (A: big one), Linux 6.1.0");
        assert_eq!(Machine::parse("", "6").sentence(), "0 CPUs (of an unknown kind), Linux 6");
    }

    #[test]
    fn this_machine_has_a_cpu_and_a_load() {
        assert!(Machine::this().unwrap().cpus > 0);
        assert!(load().unwrap() >= 0.0);
    }
}

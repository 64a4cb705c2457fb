//! Owns what an idle system costs: CPU time and exits in a stretch of time, and memory.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::bench::cpu::Threads;
use crate::bench::system::{ECHO, KV, System};

/// How long nothing is done: three hundred ticks, so that one of them is a third of a percent.
const STRETCH: Duration = Duration::from_secs(3);

/// An idle system.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Idle {
    /// How long it was watched, in seconds.
    pub stretch: f64,
    /// CPU time of all threads of the VMM in it, in seconds.
    pub cpu: f64,
    /// Exits of both domains in it.
    pub exits: u64,
    /// Guest memory of echo with host memory behind it, in bytes.
    pub echo: u64,
    /// The same of kv.
    pub kv: u64,
    /// Memory of the VMM.
    pub vmm: Memory,
}

/// Memory of a process that has host memory behind it, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// All of it.
    pub resident: u64,
    /// Its own: heap and stacks.
    pub anonymous: u64,
    /// Mapped files: its program and libraries.
    pub file: u64,
    /// Shared: guest memory and channels that it has touched.
    pub shared: u64,
}

/// Watches `system` do nothing.
pub fn watch(system: &mut System) -> Result<Idle> {
    let exits = exits(system)?;
    let before = Threads::of(system.pid())?;
    thread::sleep(STRETCH);
    let used = Threads::of(system.pid())?.since(&before);
    let exits = self::exits(system)? - exits;
    Ok(Idle {
        stretch: STRETCH.as_secs_f64(),
        cpu: used.total().total(),
        exits,
        echo: system.control.inspect(ECHO)?.resident_bytes,
        kv: system.control.inspect(KV)?.resident_bytes,
        vmm: memory(system.pid())?,
    })
}

fn exits(system: &mut System) -> Result<u64> {
    Ok(system.control.inspect(ECHO)?.all_exits() + system.control.inspect(KV)?.all_exits())
}

fn memory(pid: u32) -> Result<Memory> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    parse_status(&text).with_context(|| format!("{path} does not tell of memory"))
}

/// Reads the lines `NAME:  NUMBER kB` of `/proc/PID/status`.
fn parse_status(text: &str) -> Option<Memory> {
    let bytes = |wanted: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        let (_, value) = lines.find(|(name, _)| *name == wanted)?;
        let kibibytes: u64 = value.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kibibytes * 1024)
    };
    Some(Memory {
        resident: bytes("VmRSS")?,
        anonymous: bytes("RssAnon")?,
        file: bytes("RssFile")?,
        shared: bytes("RssShmem")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_by_kind() {
        let text =
            "Name:\tvmm\nVmRSS:\t    12 kB\nRssAnon:\t 3 kB\nRssFile:\t 4 kB\nRssShmem:\t5 kB\n";
        let expected = Memory { resident: 12288, anonymous: 3072, file: 4096, shared: 5120 };
        assert_eq!(parse_status(text), Some(expected));
        assert_eq!(parse_status("Name:\tkthreadd\n"), None, "a kernel thread has none");
    }

    #[test]
    fn this_process_has_memory() {
        let memory = memory(std::process::id()).unwrap();
        assert!(memory.anonymous > 0 && memory.resident >= memory.anonymous, "{memory:?}");
    }
}

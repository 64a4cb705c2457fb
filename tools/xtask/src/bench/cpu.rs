//! Owns the reading of CPU time: of a process's threads by name, of ended children, of the whole machine.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::{Add, AddAssign, Sub};

use anyhow::{Context, Result};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::Serialize;

/// Ticks in a second as `/proc` counts them: part of the kernel's interface, whatever its own tick is.
const TICKS: f64 = 100.0;

/// CPU time in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Cpu {
    /// In user mode.
    pub user: f64,
    /// In the kernel.
    pub system: f64,
}

impl Cpu {
    /// In both.
    pub fn total(self) -> f64 {
        self.user + self.system
    }

    fn ticks(user: u64, system: u64) -> Self {
        Self { user: user as f64 / TICKS, system: system as f64 / TICKS }
    }
}

impl Add for Cpu {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { user: self.user + other.user, system: self.system + other.system }
    }
}

impl AddAssign for Cpu {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { user: self.user - other.user, system: self.system - other.system }
    }
}

/// CPU time of a process's threads so far, by thread name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Threads(BTreeMap<String, Cpu>);

impl Threads {
    /// Reads those of process `pid` that live.
    pub fn of(pid: u32) -> Result<Self> {
        let directory = format!("/proc/{pid}/task");
        let entries = fs::read_dir(&directory).with_context(|| format!("reading {directory}"))?;
        let mut threads = Self::default();
        for entry in entries {
            let path = entry?.path().join("stat");
            match fs::read_to_string(&path) {
                Ok(text) => threads.add(&text).with_context(|| format!("in {}", path.display()))?,
                // It ended between the listing and the reading.
                Err(error) if error.kind() == io::ErrorKind::NotFound => (),
                Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => (),
                Err(error) => {
                    return Err(error).with_context(|| format!("reading {}", path.display()));
                }
            }
        }
        Ok(threads)
    }

    fn add(&mut self, stat: &str) -> Result<()> {
        let (name, cpu) = parse_stat(stat).context("not a line of thread statistics")?;
        *self.0.entry(name.to_owned()).or_default() += cpu;
        Ok(())
    }

    /// What each used since `before`.
    pub fn since(&self, before: &Self) -> Self {
        let earlier = |name| before.0.get(name).copied().unwrap_or_default();
        Self(self.0.iter().map(|(name, cpu)| (name.clone(), *cpu - earlier(name))).collect())
    }

    /// The sum over threads whose name is accepted.
    pub fn named(&self, accept: impl Fn(&str) -> bool) -> Cpu {
        let chosen = self.0.iter().filter(|(name, _)| accept(name));
        chosen.fold(Cpu::default(), |sum, (_, cpu)| sum + *cpu)
    }
}

/// Reads name and CPU time in a line of `/proc/PID/task/TID/stat`. The name is in parentheses, and
/// may have blanks and parentheses in it.
fn parse_stat(line: &str) -> Option<(&str, Cpu)> {
    let (_, rest) = line.split_once('(')?;
    let (name, rest) = rest.rsplit_once(')')?;
    // The first word after the name is field 3; user and system time are fields 14 and 15.
    let mut words = rest.split_whitespace().skip(14 - 3);
    let user = words.next()?.parse().ok()?;
    let system = words.next()?.parse().ok()?;
    Some((name, Cpu::ticks(user, system)))
}

/// CPU time of all children of this process that ended and were waited for.
pub fn of_children() -> Result<Cpu> {
    let usage =
        getrusage(UsageWho::RUSAGE_CHILDREN).context("asking for the children's CPU time")?;
    let seconds = |time: nix::sys::time::TimeVal| time.num_microseconds() as f64 / 1e6;
    Ok(Cpu { user: seconds(usage.user_time()), system: seconds(usage.system_time()) })
}

/// CPU time that the whole machine spent on anything so far, in seconds.
pub fn of_machine() -> Result<f64> {
    let text = fs::read_to_string("/proc/stat").context("reading /proc/stat")?;
    parse_machine(&text).context("/proc/stat does not begin with the sum of all CPUs")
}

/// Reads the line `cpu user nice system idle iowait irq softirq steal …`: all but idle and waiting.
/// Time stolen by the machine below is counted, for it was not there to be used.
fn parse_machine(text: &str) -> Option<f64> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<u64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
    let busy: u64 = [0, 1, 2, 5, 6, 7].iter().filter_map(|&field| fields.get(field)).sum();
    (fields.len() >= 8).then_some(busy as f64 / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VCPU: &str = "71 (kv/0) S 1 70 70 0 -1 4194560 9 0 0 0 250 75 0 0 20 0 5 0 100 1 2 3";

    #[test]
    fn a_line_of_thread_statistics_has_a_name_and_two_times() {
        let expected = ("kv/0", Cpu { user: 2.5, system: 0.75 });
        assert_eq!(parse_stat(VCPU), Some(expected));
    }

    #[test]
    fn a_name_may_look_like_the_fields_around_it() {
        let line = VCPU.replace("(kv/0)", "(a) S (1 2)");
        assert_eq!(parse_stat(&line).unwrap(), ("a) S (1 2", Cpu { user: 2.5, system: 0.75 }));
    }

    #[test]
    fn a_line_that_is_cut_short_is_refused() {
        assert_eq!(parse_stat("71 (kv/0) S 1 70 70"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn threads_of_one_name_are_one_and_only_the_difference_counts() {
        let (mut before, mut after) = (Threads::default(), Threads::default());
        before.add(VCPU).unwrap();
        for line in [VCPU, &VCPU.replace("(kv/0)", "(vmm)"), &VCPU.replace("(kv/0)", "(vmm)")] {
            after.add(line).unwrap();
        }
        let used = after.since(&before);
        assert_eq!(used.named(|name| name == "kv/0"), Cpu::default());
        assert_eq!(used.named(|name| name == "vmm"), Cpu { user: 5.0, system: 1.5 });
        assert_eq!(used.named(|_| true).total(), 6.5);
    }

    #[test]
    fn this_process_has_a_thread_of_this_test() {
        let name = std::fs::read_to_string("/proc/thread-self/comm").unwrap();
        let threads = Threads::of(std::process::id()).unwrap();
        assert!(threads.0.contains_key(name.trim_end()), "{threads:?}");
    }

    #[test]
    fn the_machine_is_busy_but_when_idle_or_waiting() {
        let text = "cpu  100 10 50 9999 777 1 2 37 0 0\ncpu0 1 2 3\n";
        assert_eq!(parse_machine(text), Some(2.0));
        assert_eq!(parse_machine("intr 1 2 3\n"), None);
        assert!(of_machine().unwrap() > 0.0);
    }
}

//! Owns which CPUs the two sides of a measurement run on.

use anyhow::{Context, Result, anyhow};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::wire::Cpus;

/// The CPUs of the two sides: the first two that this program may use, or twice the first.
pub fn of_sides(cpus: Cpus) -> Result<[usize; 2]> {
    let allowed = allowed()?;
    let mut allowed = (0..CpuSet::count()).filter(|&cpu| allowed.is_set(cpu).unwrap_or(false));
    let first = allowed.next().context("the affinity mask is empty")?;
    match cpus {
        Cpus::One => Ok([first, first]),
        Cpus::Two => allowed.next().map(|second| [first, second]).ok_or_else(|| {
            anyhow!("this case needs two CPUs, but only CPU {first} may be used: widen the mask")
        }),
    }
}

/// Ties the calling thread to a CPU.
pub fn pin(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu).with_context(|| format!("CPU {cpu} is beyond what a mask holds"))?;
    sched_setaffinity(Pid::from_raw(0), &set)
        .with_context(|| format!("cannot tie a side to CPU {cpu}"))
}

fn allowed() -> Result<CpuSet> {
    sched_getaffinity(Pid::from_raw(0)).context("cannot read the affinity mask")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_has_one_cpu_for_both_sides() {
        let [first, second] = of_sides(Cpus::One).expect("there is a CPU");
        assert_eq!(first, second);
        std::thread::spawn(move || {
            pin(first).expect("the CPU may be used");
            assert_eq!(of_sides(Cpus::One).ok(), Some([first, first]));
            let error = of_sides(Cpus::Two).expect_err("one CPU is not two").to_string();
            assert!(error.contains("needs two CPUs"), "{error}");
        })
        .join()
        .expect("the thread is sound");
    }
}

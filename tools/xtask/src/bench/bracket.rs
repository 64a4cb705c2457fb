//! Owns the two probes around a measurement, which tell where the host had the CPUs meanwhile.

use anyhow::Result;

use super::placement::{Placement, probe};

/// What readers of a report are told of the classes.
pub const NOTE: &str = "placement: CPUs are siblings as threads of one core, near where two cores share \
    a cache, and else far;\nonly measurements of one class are compared";

/// Runs `work` between two probes.
pub fn around<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Placement)> {
    let before = probe()?;
    let result = work()?;
    Ok((result, Placement::between(before, probe()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn work_stands_between_two_probes_and_is_handed_on() {
        let cpus = thread::available_parallelism().unwrap().get();
        let (result, placement) = around(|| Ok(7)).unwrap();
        assert_eq!(result, 7);
        for probe in [placement.before, placement.after] {
            assert_eq!(probe.is_some(), cpus > 1);
        }
        assert_eq!(
            around(|| anyhow::bail!("broken") as Result<()>).unwrap_err().to_string(),
            "broken"
        );
    }
}

//! Whether the time stamp counter, by which guests tell the time, is a clock.

use super::Finding;
use crate::doctor::facts::HostFacts;

pub(super) fn findings(host: &HostFacts) -> Vec<Finding> {
    let flags = [("constant_tsc", host.cpu.constant_tsc), ("nonstop_tsc", host.cpu.nonstop_tsc)];
    let missing: Vec<_> = flags.iter().filter(|(_, has)| !has).map(|(name, _)| *name).collect();
    let unsteady = (!missing.is_empty()).then(|| {
        Finding::warning(
            format!(
                "the time stamp counter is no steady clock (the processor lacks {}): \
                 time in guests drifts",
                missing.join(" and ")
            ),
            "hold the frequency fixed (`cpupower frequency-set -g performance`); in a virtual \
             machine, hand the flag through (QEMU: `-cpu host,+invtsc`)"
                .to_owned(),
        )
    });
    let distrusted = host
        .clock_source
        .as_deref()
        .filter(|&source| missing.is_empty() && !host.cpu.is_virtual && source != "tsc");
    let distrusted = distrusted.map(|source| {
        Finding::warning(
            format!("the kernel does not trust the time stamp counter (it keeps time by {source})"),
            "see `dmesg | grep -i tsc` for why; guests' clocks may disagree between processors"
                .to_owned(),
        )
    });
    unsteady.into_iter().chain(distrusted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(constant_tsc: bool, nonstop_tsc: bool, source: &str) -> HostFacts {
        let mut host = HostFacts { clock_source: Some(source.to_owned()), ..HostFacts::default() };
        (host.cpu.constant_tsc, host.cpu.nonstop_tsc) = (constant_tsc, nonstop_tsc);
        host
    }

    #[test]
    fn a_steady_clock_needs_both_flags() {
        assert_eq!(findings(&host(true, true, "tsc")), []);
        let found = findings(&host(true, false, "tsc"));
        assert!(found[0].what.contains("lacks nonstop_tsc)"), "{}", found[0].what);
        let found = findings(&host(false, false, "hpet"));
        assert_eq!(found.len(), 1);
        assert!(found[0].what.contains("constant_tsc and nonstop_tsc"), "{}", found[0].what);
    }

    #[test]
    fn a_kernel_that_keeps_time_otherwise_is_told_unless_it_is_a_guest() {
        let mut host = host(true, true, "hpet");
        assert!(findings(&host)[0].what.contains("hpet"));
        host.cpu.is_virtual = true;
        assert_eq!(findings(&host), []);
    }
}

//! Limits on this process, from `/proc/self/limits`.

use serde::Serialize;

/// A limit; None is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(in crate::doctor) struct Limit {
    /// What counts.
    pub(in crate::doctor) soft: Option<u64>,
    /// How far the process may raise it.
    pub(in crate::doctor) hard: Option<u64>,
}

/// The limits that bound how many domains there can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(in crate::doctor) struct Limits {
    pub(in crate::doctor) open_files: Limit,
    /// Threads count as processes.
    pub(in crate::doctor) processes: Limit,
    pub(in crate::doctor) address_space: Limit,
}

impl Limits {
    pub(super) fn read() -> Self {
        Self::parse(&super::text("/proc/self/limits").unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let limit = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let mut values = line.unwrap_or_default().split_whitespace();
            // What is no number is the word `unlimited`.
            let mut next = || values.next().and_then(|value| value.parse().ok());
            Limit { soft: next(), hard: next() }
        };
        Self {
            open_files: limit("Max open files"),
            processes: limit("Max processes"),
            address_space: limit("Max address space"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: &str = "\
Limit                     Soft Limit           Hard Limit           Units
Max processes             96365                unlimited            processes
Max open files            1024                 524288               files
Max address space         unlimited            unlimited            bytes
";

    #[test]
    fn soft_and_hard_limits_are_told_apart() {
        let limits = Limits::parse(LIMITS);
        assert_eq!(limits.open_files, Limit { soft: Some(1024), hard: Some(524_288) });
        assert_eq!(limits.processes, Limit { soft: Some(96_365), hard: None });
        assert_eq!(limits.address_space, Limit::default());
        assert_eq!(Limits::parse(""), Limits::default());
    }
}

//! What follows from facts and figures, and what can be done about it. Everything here is pure.

pub(super) mod access;
mod clock;
mod cost;
mod kind;
pub(super) mod kvm;
mod room;

use std::time::Duration;

use serde::Serialize;

use super::capacity::Capacity;
use super::facts::HostFacts;
use super::facts::kvm::KvmFacts;
use super::measure::Figures;

pub(super) use kind::Kind;

/// How grave a finding is, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Severity {
    /// Systems cannot run here.
    Problem,
    /// They run, but slower, or fewer of them, than they could.
    Warning,
    /// Good to know.
    Note,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// What it is, in one line.
    pub(super) what: String,
    /// What to do about it, in one line.
    pub(super) remedy: Option<String>,
}

impl Finding {
    pub(super) fn problem(what: String, remedy: String) -> Self {
        Self { severity: Severity::Problem, what, remedy: Some(remedy) }
    }

    pub(super) fn warning(what: String, remedy: String) -> Self {
        Self { severity: Severity::Warning, what, remedy: Some(remedy) }
    }

    pub(super) fn note(what: String) -> Self {
        Self { severity: Severity::Note, what, remedy: None }
    }
}

/// Everything that follows, where there is a KVM.
pub(super) fn of(
    host: &HostFacts,
    kvm: &KvmFacts,
    figures: &Figures,
    capacity: Option<&Capacity>,
) -> Vec<Finding> {
    let mut findings = kvm::findings(host, kvm);
    findings.extend(cost::findings(host, figures));
    findings.extend(capacity.map(|capacity| room::findings(host, capacity)).unwrap_or_default());
    findings.extend(clock::findings(host));
    findings
}

/// A duration for people, in three digits or so.
pub(super) fn human(duration: Duration) -> String {
    let ns = duration.as_nanos();
    let scaled = |unit: f64, name: &str| {
        let value = ns as f64 / unit;
        let digits = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
        format!("{value:.digits$} {name}")
    };
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => scaled(1e3, "us"),
        1_000_000..1_000_000_000 => scaled(1e6, "ms"),
        _ => scaled(1e9, "s"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::doctor::sample::Spread;

    /// A figure whose samples are all alike.
    pub(in crate::doctor) fn figure(micros: u64) -> Option<Spread> {
        Spread::of(&[Duration::from_micros(micros)])
    }

    #[test]
    fn durations_have_three_digits_or_so() {
        let cases = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 us"),
            (46_150, "46.1 us"),
            (9_996, "10.0 us"),
            (350_400, "350 us"),
            (5_210_000, "5.21 ms"),
            (1_300_000_000, "1.30 s"),
        ];
        for (ns, text) in cases {
            assert_eq!(human(Duration::from_nanos(ns)), text);
        }
    }

    #[test]
    fn the_gravest_sorts_first() {
        assert!(Severity::Problem < Severity::Warning && Severity::Warning < Severity::Note);
    }
}

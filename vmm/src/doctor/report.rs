//! The whole report, as `--json` gives it: one object.

use serde::Serialize;

use super::capacity::Capacity;
use super::facts::HostFacts;
use super::facts::kvm::KvmFacts;
use super::measure::Figures;
use super::verdict::{Finding, Severity};

/// Everything that was found.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Whether systems can run here.
    pub(super) usable: bool,
    pub(super) host: HostFacts,
    /// None if there is no KVM to ask.
    pub(super) kvm: Option<KvmFacts>,
    pub(super) figures: Figures,
    /// None if no machine could be made.
    pub(super) capacity: Option<Capacity>,
    /// The gravest first.
    pub(super) findings: Vec<Finding>,
}

impl Report {
    /// A host is usable if nothing that was found is a problem.
    pub(super) fn new(
        host: HostFacts,
        kvm: Option<KvmFacts>,
        figures: Figures,
        capacity: Option<Capacity>,
        mut findings: Vec<Finding>,
    ) -> Self {
        findings.sort_by_key(|finding| finding.severity);
        let usable = findings.iter().all(|finding| finding.severity != Severity::Problem);
        Self { usable, host, kvm, figures, capacity, findings }
    }

    /// There is no KVM, for the reason found.
    pub(super) fn without_kvm(host: HostFacts, finding: Finding) -> Self {
        Self::new(host, None, Figures::default(), None, vec![finding])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(findings: Vec<Finding>) -> Report {
        Report::new(HostFacts::default(), None, Figures::default(), None, findings)
    }

    #[test]
    fn only_a_problem_makes_a_host_unusable_and_it_is_told_first() {
        let warning = || Finding::warning("slow".into(), "wait".into());
        assert!(report(vec![warning(), Finding::note("so".into())]).usable);
        let grave = report(vec![warning(), Finding::problem("no KVM".into(), "get one".into())]);
        assert!(!grave.usable);
        assert_eq!(grave.findings[0].severity, Severity::Problem);
    }

    #[test]
    fn the_object_names_what_scripts_look_for() {
        let finding = Finding::problem("no KVM".into(), "get one".into());
        let value = serde_json::to_value(report(vec![finding])).unwrap();
        assert_eq!(value["usable"], false);
        assert_eq!(value["kvm"], serde_json::Value::Null);
        assert_eq!(value["findings"][0]["severity"], "problem");
        assert_eq!(value["findings"][0]["remedy"], "get one");
        assert!(value["figures"].as_object().unwrap().contains_key("exit"));
    }
}

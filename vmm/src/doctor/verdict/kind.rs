//! What kind of KVM this is, by what the processor says and by what an exit costs.

use std::time::Duration;

use super::{Finding, human};
use crate::doctor::facts::HostFacts;
use crate::doctor::facts::cpu::Virtualisation;
use crate::doctor::measure::Figures;

/// Exits of hardware on the bare host cost 1 to 2 us, of software KVM some 40, of nested hardware
/// (where the outer hypervisor takes part in each) 10 to 50. This lies between.
const CHEAP: Duration = Duration::from_micros(8);

/// What runs guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::doctor) enum Kind {
    /// The processor.
    Hardware(Virtualisation),
    /// A processor that is itself virtual: another hypervisor takes part.
    Nested(Virtualisation),
    /// KVM, by page tables; it emulates ring 0.
    Software,
}

impl Kind {
    /// By what the processor says of itself, and by which module there is: one that needs no
    /// hardware may have been chosen all the same.
    pub(in crate::doctor) fn of(host: &HostFacts) -> Self {
        let is_used = |kind: &Virtualisation| {
            host.has_module(kind.module()) || host.vendor_modules().next().is_none()
        };
        match (host.cpu.virtualisation.filter(is_used), host.cpu.is_virtual) {
            (Some(kind), false) => Self::Hardware(kind),
            (Some(kind), true) => Self::Nested(kind),
            (None, _) => Self::Software,
        }
    }

    /// In a few words.
    pub(in crate::doctor) fn describe(self) -> String {
        match self {
            Self::Hardware(kind) => format!("hardware ({})", kind.name()),
            Self::Nested(kind) => {
                format!("nested hardware ({} inside a virtual machine)", kind.name())
            }
            Self::Software => {
                "software (without VT-x or AMD-V: ring 3 runs natively, ring 0 is emulated)"
                    .to_owned()
            }
        }
    }
}

/// What the cost of an exit says about the kind: it proves it, or casts doubt on it.
pub(super) fn finding(host: &HostFacts, figures: &Figures) -> Option<Finding> {
    let exit = figures.exit?.p50();
    let cost = human(exit);
    let spin = worthwhile_spin(figures).map(human);
    let spin = spin.map_or(String::new(), |spin| {
        format!("; a wait is worth spinning for up to {spin} (what sleeping and being woken cost)")
    });
    let text = match (Kind::of(host), exit <= CHEAP) {
        (Kind::Hardware(_), true) => format!("exits are cheap here ({cost}): hardware KVM{spin}"),
        (Kind::Nested(_), true) => {
            format!(
                "exits are cheap here ({cost}), for hardware KVM inside a virtual machine{spin}"
            )
        }
        (Kind::Software, false) => format!("exits are expensive here ({cost}): software KVM{spin}"),
        (Kind::Nested(_), false) => format!(
            "exits are expensive here ({cost}): hardware KVM inside a virtual machine, whose own \
             hypervisor takes part in each{spin}"
        ),
        (Kind::Software, true) => format!(
            "exits are cheap here ({cost}), though the processor names neither VT-x nor AMD-V: \
             its flags may be hidden{spin}"
        ),
        (Kind::Hardware(kind), false) => {
            return Some(Finding::warning(
                format!(
                    "exits are expensive here ({cost}), though the processor has {}{spin}",
                    kind.name()
                ),
                "end what else uses the processors, see that their frequency is not held down \
                 (`cpupower frequency-info`), and measure again"
                    .to_owned(),
            ));
        }
    };
    Some(Finding::note(text))
}

/// What a server saves that spins instead of sleeping: an exit, and being woken.
fn worthwhile_spin(figures: &Figures) -> Option<Duration> {
    Some(figures.exit?.p50() + figures.wake?.p50())
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::super::tests::figure;
    use super::*;
    use crate::doctor::facts::kernel::Module;

    fn host(virtualisation: Option<Virtualisation>, is_virtual: bool) -> HostFacts {
        let mut host = HostFacts::default();
        (host.cpu.virtualisation, host.cpu.is_virtual) = (virtualisation, is_virtual);
        host
    }

    fn what(host: &HostFacts, exit: u64) -> (Severity, String) {
        let figures = Figures { exit: figure(exit), wake: figure(90), ..Figures::default() };
        let finding = finding(host, &figures).unwrap();
        (finding.severity, finding.what)
    }

    #[test]
    fn the_cost_of_an_exit_proves_the_kind() {
        let (_, text) = what(&host(None, true), 46);
        assert_eq!(
            text,
            "exits are expensive here (46.0 us): software KVM; a wait is worth spinning for up \
             to 136 us (what sleeping and being woken cost)"
        );
        let (_, text) = what(&host(Some(Virtualisation::VtX), false), 2);
        assert!(text.starts_with("exits are cheap here (2.00 us): hardware KVM;"), "{text}");
        let (_, text) = what(&host(Some(Virtualisation::VtX), true), 30);
        assert!(text.contains("whose own hypervisor"), "{text}");
    }

    #[test]
    fn a_cost_that_does_not_fit_the_kind_is_told() {
        let (severity, text) = what(&host(None, true), 2);
        assert_eq!(severity, Severity::Note);
        assert!(text.contains("may be hidden"), "{text}");
        let (severity, text) = what(&host(Some(Virtualisation::AmdV), false), 40);
        assert_eq!(severity, Severity::Warning);
        assert!(text.contains("though the processor has AMD-V"), "{text}");
    }

    #[test]
    fn hardware_without_its_module_is_not_what_runs_guests() {
        let module = |name: &str| Module { name: name.into(), parameters: [].into() };
        let mut host = host(Some(Virtualisation::AmdV), false);
        assert_eq!(Kind::of(&host), Kind::Hardware(Virtualisation::AmdV), "no module is listed");
        host.modules = vec![module("kvm"), module("kvm_other")];
        assert_eq!(Kind::of(&host), Kind::Software);
        host.modules.push(module("kvm_amd"));
        assert_eq!(Kind::of(&host), Kind::Hardware(Virtualisation::AmdV));
    }

    #[test]
    fn nothing_is_said_of_what_was_not_measured() {
        assert_eq!(finding(&HostFacts::default(), &Figures::default()), None);
    }
}

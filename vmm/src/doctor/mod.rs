//! What this host's KVM is worth: whether systems can run here, what its operations cost, and what
//! to do about what is wrong.
//!
//! | module | owns |
//! |---|---|
//! | `facts` | what the host says of itself: processor, kernel, KVM, limits |
//! | `guest` | machines of a few instructions, to measure with |
//! | `measure` | what each operation costs here |
//! | `capacity` | how many domains fit |
//! | `verdict` | what follows from all that, and the remedies |
//! | `text` | the report for people |
//!
//! Facts are read, figures are measured; verdicts are pure functions of both.

mod capacity;
mod facts;
mod guest;
mod measure;
mod report;
mod sample;
mod text;
mod verdict;

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use kvm_ioctls::Kvm;

use crate::exit_code::ExitCode;
use crate::machine::host::Host;
use capacity::Capacity;
use facts::HostFacts;
use facts::kvm::KvmFacts;
use measure::{Figures, MeasureError};
use report::Report;

/// Examines the host and prints what it finds: the exit code tells whether systems can run here.
///
/// # Errors
/// If the report cannot be written.
pub fn run(json: bool) -> io::Result<ExitCode> {
    let report = examine();
    let mut out = anstream::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    } else {
        text::print(&report, &mut out)?;
    }
    out.flush()?;
    Ok(if report.usable { ExitCode::Success } else { ExitCode::Host })
}

/// What it costs a vCPU here to go to sleep and be woken: how long a wait is worth spinning for.
/// `None` if it cannot be measured, which the machine that follows will say better. Takes a few
/// milliseconds.
pub fn sleep_cost(host: &Arc<Host>) -> Option<Duration> {
    Figures::sleep_cost(host)
        .inspect_err(|error| log::debug!("the cost of a sleep: {error}"))
        .ok()?
}

/// What an exit to the VMM and a doorbell cost here, if they can be measured.
pub fn exit_costs(host: &Arc<Host>) -> Option<(Duration, Duration)> {
    Figures::exit_costs(host).inspect_err(|error| log::debug!("the cost of exits: {error}")).ok()?
}

fn examine() -> Report {
    let host = HostFacts::read();
    let kvm = match Kvm::new() {
        Ok(kvm) => kvm,
        Err(error) => {
            let cause = io::Error::from_raw_os_error(error.errno());
            let finding = verdict::access::no_kvm(&cause, &host);
            return Report::without_kvm(host, finding);
        }
    };
    match verdict::kvm::foreign(kvm.get_api_version()) {
        Some(finding) => Report::without_kvm(host, finding),
        None => examine_kvm(host, KvmFacts::read(&kvm)),
    }
}

fn examine_kvm(host: HostFacts, kvm: KvmFacts) -> Report {
    let (mut figures, mut findings, mut capacity) = (Figures::default(), Vec::new(), None);
    // A KVM that lacks something needed is told of below; there is nothing to measure.
    if kvm.lacking(true).is_empty() {
        match measure_all(&host, &mut figures) {
            Ok(found) => capacity = Some(found),
            Err(error) => findings.push(verdict::access::no_guest(&error, &host)),
        }
    }
    findings.extend(verdict::of(&host, &kvm, &figures, capacity.as_ref()));
    Report::new(host, Some(kvm), figures, capacity, findings)
}

/// Measures as far as the host lets it: what was measured before a failure stays.
fn measure_all(facts: &HostFacts, figures: &mut Figures) -> Result<Capacity, MeasureError> {
    let host = Arc::new(Host::open()?);
    // First of all: machines that were closed give their memory back a little later, which would
    // seem to make others cheaper.
    let bytes_each = capacity::bytes_each(&host)?;
    figures.measure(&host)?;
    Ok(Capacity::of(bytes_each, facts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use verdict::Severity;

    #[test]
    fn a_usable_host_has_every_figure_and_any_other_a_problem_with_a_remedy() {
        let report = examine();
        if report.usable {
            for (name, spread) in report.figures.rows() {
                let spread = spread.unwrap_or_else(|| panic!("{name} was not measured"));
                assert!(spread.p50_ns <= spread.p99_ns && spread.runs > 0, "{name}: {spread:?}");
            }
            assert!(report.capacity.is_some() && report.kvm.is_some());
        } else {
            let gravest = &report.findings[0];
            assert_eq!(gravest.severity, Severity::Problem);
            assert!(gravest.remedy.is_some(), "{gravest:?}");
        }
    }
}

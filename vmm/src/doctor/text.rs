//! The report for people: aligned, with colours that the output drops off a terminal.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::capacity::Capacity;
use super::facts::HostFacts;
use super::facts::kernel::Module;
use super::facts::kvm::{Capability, KvmFacts};
use super::measure::Figures;
use super::report::Report;
use super::sample::Spread;
use super::verdict::{Finding, Kind, Severity, human};

const LABEL: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const WARNING: Style = AnsiColor::Yellow.on_default();
const PROBLEM: Style = AnsiColor::Red.on_default().bold();
const NOTE: Style = Style::new().dimmed();

/// Width of the labels on the left.
const LEFT: usize = 13;
/// Width of the names of figures.
const NAME: usize = 32;
/// Width of a figure.
const VALUE: usize = 10;

/// Prints all of it.
pub(super) fn print(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    print_host(&report.host, out)?;
    if let Some(kvm) = &report.kvm {
        print_kvm(&report.host, kvm, out)?;
    }
    print_figures(&report.figures, out)?;
    if let Some(capacity) = &report.capacity {
        line(out, "room", &room(capacity))?;
    }
    writeln!(out)?;
    report.findings.iter().try_for_each(|finding| print_finding(finding, out))?;
    if report.usable {
        writeln!(out, "{GOOD}systems can run here{GOOD:#}")
    } else {
        writeln!(out, "{PROBLEM}systems cannot run here{PROBLEM:#}")
    }
}

fn line(out: &mut dyn Write, label: &str, text: &str) -> io::Result<()> {
    writeln!(out, "{LABEL}{label:LEFT$}{LABEL:#} {text}")
}

fn print_host(host: &HostFacts, out: &mut dyn Write) -> io::Result<()> {
    let release = host.kernel.release.as_deref().unwrap_or("of unknown version");
    let noun = if host.processors == 1 { "processor" } else { "processors" };
    let within = match (&host.cpu.hypervisor, host.cpu.is_virtual) {
        (Some(name), _) => format!(", in a virtual machine ({name})"),
        (None, true) => ", in a virtual machine".to_owned(),
        (None, false) => String::new(),
    };
    let cpu = if host.cpu.model.is_empty() { "unknown processor" } else { &host.cpu.model };
    line(out, "host", &format!("Linux {release}; {} {noun}: {cpu}{within}", host.processors))?;
    line(out, "clock", &clock(host))
}

fn clock(host: &HostFacts) -> String {
    let steady = if host.cpu.constant_tsc && host.cpu.nonstop_tsc {
        "steady time stamp counter"
    } else {
        "unsteady time stamp counter"
    };
    let source = host.clock_source.as_deref().unwrap_or("an unknown clock");
    format!("{steady}; the kernel keeps time by {source}")
}

fn print_kvm(host: &HostFacts, kvm: &KvmFacts, out: &mut dyn Write) -> io::Result<()> {
    line(out, "kvm", &Kind::of(host).describe())?;
    line(out, "modules", &modules(host))?;
    line(
        out,
        "interface",
        &format!(
            "version {}; a VM has at most {} vCPUs ({} at full speed) and {} memory slots",
            kvm.api_version, kvm.max_vcpus, kvm.recommended_vcpus, kvm.max_memory_slots
        ),
    )?;
    kvm.capabilities.iter().try_for_each(|capability| print_capability(capability, out))
}

fn modules(host: &HostFacts) -> String {
    let described: Vec<_> = host.modules.iter().map(describe).collect();
    if described.is_empty() { "none listed".to_owned() } else { described.join("; ") }
}

fn describe(module: &Module) -> String {
    let parameters: Vec<_> =
        module.parameters.iter().map(|(key, value)| format!("{key}={value}")).collect();
    match parameters.is_empty() {
        true => module.name.clone(),
        false => format!("{} ({})", module.name, parameters.join(" ")),
    }
}

fn print_capability(capability: &Capability, out: &mut dyn Write) -> io::Result<()> {
    let (style, word) = match (capability.present, capability.needed) {
        (true, _) => (GOOD, "yes"),
        (false, true) => (PROBLEM, "MISSING"),
        (false, false) => (WARNING, "no"),
    };
    let rank = if capability.needed { "needed" } else { "optional" };
    writeln!(out, "  {rank:<8}  {style}{word:<7}{style:#}  {}", capability.name)
}

fn print_figures(figures: &Figures, out: &mut dyn Write) -> io::Result<()> {
    let measured: Vec<(&str, Spread)> =
        figures.rows().into_iter().filter_map(|(name, spread)| Some((name, spread?))).collect();
    if measured.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    writeln!(
        out,
        "{LABEL}{:NAME$}{:>VALUE$}{:>VALUE$}{:>7}{LABEL:#}",
        "cost of", "p50", "p99", "runs"
    )?;
    for (name, spread) in measured {
        let p99 = human(std::time::Duration::from_nanos(spread.p99_ns));
        writeln!(
            out,
            "{name:NAME$}{:>VALUE$}{p99:>VALUE$}{:>7}",
            human(spread.p50()),
            spread.runs
        )?;
    }
    writeln!(out)
}

fn room(capacity: &Capacity) -> String {
    let each = capacity.bytes_each.map_or("an unknown amount".to_owned(), |bytes| {
        format!("about {:.1} MiB", bytes as f64 / f64::from(1 << 20))
    });
    match capacity.least() {
        Some((count, bound)) => {
            format!(
                "about {count} domains fit, bounded by {bound}; each takes {each} before its \
                 server's own"
            )
        }
        None => format!("a domain takes {each} of memory before its server's own"),
    }
}

fn print_finding(finding: &Finding, out: &mut dyn Write) -> io::Result<()> {
    let (style, word) = match finding.severity {
        Severity::Problem => (PROBLEM, "problem"),
        Severity::Warning => (WARNING, "warning"),
        Severity::Note => (NOTE, "note"),
    };
    writeln!(out, "{style}{word}{style:#}: {}", finding.what)?;
    match &finding.remedy {
        Some(remedy) => writeln!(out, "{GOOD}remedy{GOOD:#}: {remedy}"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn printed(report: &Report) -> String {
        let mut out = anstream::StripStream::new(Vec::new());
        print(report, &mut out).unwrap();
        String::from_utf8(out.into_inner()).unwrap()
    }

    #[test]
    fn each_problem_is_a_line_and_so_is_its_remedy() {
        let finding = Finding::problem("there is no KVM".into(), "get one".into());
        let none = Figures::default();
        let text = printed(&Report::new(HostFacts::default(), None, none, None, vec![finding]));
        let end = "\nproblem: there is no KVM\nremedy: get one\nsystems cannot run here\n";
        assert!(text.ends_with(end), "{text}");
        assert!(!text.contains("cost of"), "nothing was measured: {text}");
    }

    #[test]
    fn figures_stand_in_columns() {
        let spread = |micros| Spread::of(&[Duration::from_micros(micros)]);
        let figures =
            Figures { exit: spread(46), roll_back_100: spread(1_250), ..Figures::default() };
        let text = printed(&Report::new(HostFacts::default(), None, figures, None, Vec::new()));
        let rows: Vec<_> = text.lines().skip_while(|line| !line.starts_with("cost of")).collect();
        assert_eq!(rows[1], "exit to the VMM and back           46.0 us   46.0 us      1");
        assert_eq!(rows[2], "roll-back of 100 pages             1.25 ms   1.25 ms      1");
        assert_eq!(rows[0].len(), rows[1].len());
        assert!(text.ends_with("\nsystems can run here\n"), "{text}");
    }

    #[test]
    fn every_figure_has_room_for_its_name() {
        for (name, _) in Figures::default().rows() {
            assert!(name.len() < NAME, "{name}");
        }
    }

    #[test]
    fn room_names_what_bounds_it() {
        let capacity = Capacity {
            bytes_each: Some(640 << 10),
            by_open_files: Some(160),
            ..Capacity::default()
        };
        let expected = "about 160 domains fit, bounded by the limit on open files; each takes \
                        about 0.6 MiB before its server's own";
        assert_eq!(room(&capacity), expected);
    }
}

//! What `bench restart`, `boot`, `storm`, `kv` and `recovery` have in common: their course, and what
//! they print alike.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::bench::bars::{Side, Verdict};
use crate::bench::form;
use crate::bench::host::Host;
use crate::bench::placement::Class;
use crate::bench::plot::{self, PlotError};
use crate::bench::progress::Progress;
use crate::bench::restart::Step;
use crate::bench::restart::bars::Bar;
use crate::bench::statistics::Range;
use crate::exit_code::ExitCode;

use super::super::args::OutletArgs;
use super::super::error::CliError;
use super::super::style;
use super::super::table::{Align, Cell, Table, cell, styled};

/// Stands for what is not there.
pub(super) const NONE: &str = "-";

/// What came of a benchmark.
pub(super) trait Findings: Serialize {
    /// Draws it; returns the files.
    fn draw(&self, directory: &Path) -> Result<Vec<PathBuf>, PlotError>;

    /// Prints it for people.
    fn print(&self, out: &mut dyn Write) -> io::Result<()>;

    /// Whether nothing failed, and no bar is missed.
    fn is_flawless(&self) -> bool;
}

/// Measures, draws and prints.
pub(super) fn bench<F: Findings>(
    outlet: &OutletArgs,
    json: bool,
    out: &mut dyn Write,
    measure: impl FnOnce(&mut (dyn FnMut(Step) + Send)) -> Result<F, CliError>,
) -> Result<ExitCode, CliError> {
    // What would fail after the run should fail before it.
    if let Some(directory) = &outlet.plot {
        plot::prepare(directory)?;
    }
    let progress = Progress::new();
    let found = measure(&mut |step| progress.tell(step.done, step.total, step.what))?;
    drop(progress);
    let files = match &outlet.plot {
        Some(directory) => found.draw(directory)?,
        None => Vec::new(),
    };
    if json {
        writeln!(out, "{}", serde_json::to_string(&found).map_err(io::Error::from)?)?;
    } else {
        found.print(out)?;
        files.iter().try_for_each(|file| writeln!(out, "wrote {}", file.display()))?;
    }
    let failed = outlet.strict && !found.is_flawless();
    Ok(if failed { ExitCode::Runtime } else { ExitCode::Success })
}

pub(super) fn print_host(
    host: &Host,
    rounds: u32,
    classes: &BTreeMap<Class, usize>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let head = style::HEAD;
    let kernel = host.kernel.as_deref().unwrap_or("of unknown version");
    let processor = host.processor.as_deref().unwrap_or("unknown processor");
    let (cpus, some) = (host.cpus, if host.cpus == 1 { "CPU" } else { "CPUs" });
    writeln!(out, "{head}host{head:#}       Linux {kernel}; {cpus} {some}: {processor}")?;
    let classes: Vec<_> = classes.iter().map(|(class, count)| format!("{count} {class}")).collect();
    let classes = if classes.is_empty() { "none".to_owned() } else { classes.join(", ") };
    let some = if rounds == 1 { "round" } else { "rounds" };
    writeln!(out, "{head}measured{head:#}   {rounds} {some}; by placement: {classes}")
}

/// Tells why something could not be measured: each reason once, with how often it was given.
pub(super) fn print_failures<'a>(
    each: impl Iterator<Item = (String, &'a Vec<String>)>,
    others: &[String],
    out: &mut dyn Write,
) -> io::Result<()> {
    let red = style::ERROR;
    for (what, failures) in each {
        let mut reasons = BTreeMap::<&str, usize>::new();
        failures.iter().for_each(|reason| *reasons.entry(reason).or_default() += 1);
        for (reason, count) in reasons {
            writeln!(out, "{red}failed{red:#} {count} x: {what}: {reason}")?;
        }
    }
    others.iter().try_for_each(|reason| writeln!(out, "{red}failed{red:#}: {reason}"))
}

/// The three figures of a range, or what stands for them.
pub(super) fn spread(range: Option<Range>, told: fn(f64) -> String) -> [Cell; 3] {
    let each = range.map(|range| [range.lowest, range.median, range.highest].map(told));
    each.unwrap_or_else(|| [0; 3].map(|_| NONE.to_owned())).map(cell)
}

const BARS: [(&str, Align); 5] = [
    ("BAR", Align::Left),
    ("AGAINST", Align::Left),
    ("MUST", Align::Right),
    ("IS", Align::Right),
    ("VERDICT", Align::Left),
];

pub(super) fn print_bars(bars: &[Bar], out: &mut dyn Write) -> io::Result<()> {
    let head = style::HEAD;
    writeln!(out, "\n{head}what is asked of Atoll{head:#}")?;
    let mut table = Table::new(&BARS);
    for bar in bars {
        let side = if bar.side == Side::AtMost { "<=" } else { ">=" };
        let (verdict, look) = match bar.verdict {
            Verdict::GoalMet if bar.goal.is_some() => ("goal met", style::GOOD),
            Verdict::GoalMet | Verdict::MustMet => ("met", style::GOOD),
            Verdict::Missed => ("missed", style::ERROR),
            Verdict::NotMeasured | Verdict::NotMeasuredHere => ("not measured", style::DIM),
        };
        table.row(vec![
            cell(&bar.what),
            cell(&bar.reference),
            cell(format!("{side} {}{}", form::three_digits(bar.must), goal(bar))),
            styled(bar.figure.map_or(NONE.to_owned(), form::three_digits), look),
            styled(verdict, look),
        ]);
    }
    table.print("", out)
}

/// What is asked for besides what must be, in brackets.
fn goal(bar: &Bar) -> String {
    bar.goal.map_or(String::new(), |goal| format!(" ({})", form::three_digits(goal)))
}

//! The report for people: a table for each suite, then what layers cost, then the bars.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

use crate::bench::bars::{BarResult, Side, Verdict};
use crate::bench::form;
use crate::bench::layers::Layer;
use crate::bench::reference;
use crate::bench::report::{CaseResult, Report};
use crate::bench::statistics::Figures;
use crate::bench::wire::{Suite, Wait};
use crate::cli::human::counted;
use crate::cli::style;
use crate::cli::table::{Align, Cell, Table, cell, styled};

/// What stands where there is no figure.
const NONE: &str = "-";

/// Prints all of it, and where the pictures are.
pub(super) fn print(report: &Report, files: &[PathBuf], out: &mut dyn Write) -> io::Result<()> {
    print_head(report, out)?;
    let mut rest = report.cases.as_slice();
    while let Some(first) = rest.first() {
        let alike = |case: &&CaseResult| section(case) == section(first);
        let (here, after) = rest.split_at(rest.iter().take_while(alike).count());
        print_section(here, out)?;
        rest = after;
    }
    if report.cases.iter().any(|case| case.elsewhere) {
        writeln!(out, "* every round of it is left out: --placement chooses another class")?;
    }
    print_failures(report, out)?;
    print_numbers(report, out)?;
    print_layers(&report.layers, out)?;
    print_bars(&report.bars, out)?;
    files.iter().try_for_each(|file| writeln!(out, "wrote {}", file.display()))
}

fn print_head(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let (head, host) = (style::HEAD, &report.host);
    let kernel = host.kernel.as_deref().unwrap_or("of unknown version");
    let processor = host.processor.as_deref().unwrap_or("unknown processor");
    writeln!(
        out,
        "{head}host{head:#}       Linux {kernel}; {}: {processor}",
        counted(host.cpus as u64, "CPU")
    )?;
    let classes: Vec<_> =
        report.classes.iter().map(|(class, count)| format!("{count} {class}")).collect();
    let classes = if classes.is_empty() { "none".to_owned() } else { classes.join(", ") };
    let rounds = counted(report.rounds.into(), "round");
    writeln!(out, "{head}measured{head:#}   {rounds}; by placement: {classes}")?;
    if let Some(probes) = report.probes {
        let all = [probes.lowest, probes.median, probes.highest].map(form::time);
        writeln!(out, "{head}probes{head:#}     {}: lowest, median, highest", all.join(", "))?;
    }
    writeln!(
        out,
        "{head}figures{head:#}    of class {}, since only one class is compared; {}",
        report.class,
        left_out(report)
    )
}

/// How many measurements make no figures, and why.
fn left_out(report: &Report) -> String {
    let (elsewhere, strays) = (report.left_out(), report.strays());
    match report.probe {
        Some(probe) if strays > 0 => {
            let strays = counted(strays as u64, "stray");
            format!(
                "left out: {elsewhere} of others, {strays} (probes far from {})",
                form::time(probe)
            )
        }
        _ => format!("left out: {elsewhere} of others"),
    }
}

/// What makes a table: a suite, and what its cases are compared with.
fn section(result: &CaseResult) -> (Suite, &'static str) {
    (result.case.suite, reference::subject(result.case.suite, result.case.wait))
}

fn print_section(cases: &[CaseResult], out: &mut dyn Write) -> io::Result<()> {
    let Some(first) = cases.first() else { return Ok(()) };
    let (head, dim) = (style::HEAD, style::DIM);
    let timed = reference::is_timed(first.case.suite);
    let asleep =
        if timed && first.case.wait == Wait::Blocking { ", asleep in between" } else { "" };
    let note = match timed {
        true => "p50: lowest, median, highest round; p99, p99.9: lowest round; max: of all",
        false => "messages in a second: median, lowest, highest round",
    };
    let suite = form::suite(first.case.suite);
    writeln!(out, "\n{head}{suite}{asleep}{head:#}  {dim}{note}{dim:#}")?;
    let extras = cases.iter().any(|result| !form::extras(&result.case).is_empty());
    let against = format!("/ {}", section(first).1.to_uppercase());
    let names = figure_names(first.case.suite);
    let mut table = Table::new(&columns(names, extras, &against));
    for result in cases {
        table.row(row(result, names, extras));
    }
    table.print("", out)
}

/// What is told of each case. Of payload that nobody touches there is no use in counting bytes.
fn figure_names(suite: Suite) -> &'static [&'static str] {
    match suite {
        Suite::RoundTrip | Suite::Chain => &["P50", "MEDIAN", "HIGHEST", "P99", "P99.9", "MAX"],
        Suite::OneWay | Suite::Calls => &["MSG/S", "LOWEST", "HIGHEST", "GB/S"],
        Suite::Lent => &["MSG/S", "LOWEST", "HIGHEST"],
    }
}

fn columns<'a>(names: &[&'static str], extras: bool, against: &'a str) -> Vec<(&'a str, Align)> {
    let mut columns = vec![("SUBJECT", Align::Left), ("SIZE", Align::Right)];
    columns.extend([("WAIT", Align::Left), ("CPUS", Align::Left)]);
    columns.extend(extras.then_some(("FORM", Align::Left)));
    columns.extend(names.iter().map(|name| (*name, Align::Right)));
    columns.extend([("ROUNDS", Align::Right), (against, Align::Right)]);
    columns
}

fn row(result: &CaseResult, names: &[&str], extras: bool) -> Vec<Cell> {
    let case = &result.case;
    let mut cells = vec![
        cell(&case.subject),
        cell(form::size(case.size)),
        cell(form::wait(case.wait)),
        cell(form::cpus(case.cpus)),
    ];
    cells.extend(extras.then(|| cell(form::extras(case))));
    cells.extend(figures(result, names.len()));
    let (mark, look) = if result.elsewhere { ("*", style::WARN) } else { ("", style::PLAIN) };
    cells.push(styled(format!("{}{mark}", result.kept), look));
    let relative = result.relative.as_ref().map(|relative| ratio(relative.ratio));
    cells.push(cell(relative.as_deref().unwrap_or(NONE)));
    cells
}

/// As many cells as there are names.
fn figures(result: &CaseResult, count: usize) -> Vec<Cell> {
    let mut cells = match (&result.figures, reference::is_timed(result.case.suite)) {
        (Some(Figures::Times(times)), true) => {
            let (p50, p99, p999) = (times.p50, times.p99.lowest, times.p999.lowest);
            let all = [p50.lowest, p50.median, p50.highest, p99, p999, times.max.highest];
            all.map(|time| cell(form::time(time))).to_vec()
        }
        (Some(Figures::Rates(rates)), false) => {
            let range = rates.messages;
            let all = [range.median, range.lowest, range.highest].map(form::rate);
            let bytes = form::three_digits(rates.gigabytes.median);
            all.into_iter().chain([bytes]).map(cell).collect()
        }
        (None, _) if result.elsewhere => Vec::new(),
        // It failed, or the subject measured something else than the suite is about.
        _ => vec![styled("failed", style::ERROR)],
    };
    cells.resize_with(count, || cell(NONE));
    cells
}

fn ratio(value: f64) -> String {
    format!("{}x", form::three_digits(value))
}

fn print_failures(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let red = style::ERROR;
    for result in report.cases.iter().filter(|result| !result.failures.is_empty()) {
        let mut reasons = BTreeMap::<&str, usize>::new();
        result.failures.iter().for_each(|reason| *reasons.entry(reason).or_default() += 1);
        for (reason, count) in reasons {
            let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
            let (subject, form) = (&result.case.subject, form::form(&result.case));
            writeln!(out, "{red}failed{red:#} {times}: {subject}, {form}: {reason}")?;
        }
    }
    Ok(())
}

fn print_numbers(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    if report.numbers.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let mut table = Table::new(&[("NUMBER", Align::Left), ("VALUE", Align::Right)]);
    for (name, value) in &report.numbers {
        table.row(vec![cell(name), cell(number(*value))]);
    }
    table.print("", out)
}

/// Large numbers are told whole, small ones with their digits.
fn number(value: f64) -> String {
    if value == 0.0 || value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}

const LAYER_COLUMNS: [(&str, Align); 7] = [
    ("LAYER", Align::Left),
    ("SIZE", Align::Right),
    ("WAIT", Align::Left),
    ("OF", Align::Left),
    ("LESS", Align::Left),
    ("LOWEST", Align::Right),
    ("MEDIAN", Align::Right),
];

fn print_layers(layers: &[Layer], out: &mut dyn Write) -> io::Result<()> {
    if layers.is_empty() {
        return Ok(());
    }
    let (head, dim) = (style::HEAD, style::DIM);
    let note = "differences of p50, of the lowest and of the median rounds";
    writeln!(out, "\n{head}what each layer costs a round trip{head:#}  {dim}{note}{dim:#}")?;
    let mut table = Table::new(&LAYER_COLUMNS);
    for layer in layers {
        table.row(vec![
            cell(layer.layer),
            cell(form::size(layer.size)),
            cell(form::wait(layer.wait)),
            cell(layer.of),
            cell(layer.less.unwrap_or(NONE)),
            cell(difference(layer.lowest)),
            cell(difference(layer.median)),
        ]);
    }
    table.print("", out)
}

/// A time that may be less than nothing.
fn difference(nanoseconds: f64) -> String {
    let sign = if nanoseconds < 0.0 { "-" } else { "" };
    format!("{sign}{}", form::time(nanoseconds.abs()))
}

const BAR_COLUMNS: [(&str, Align); 7] = [
    ("BAR", Align::Left),
    ("AGAINST", Align::Left),
    ("SIZE", Align::Left),
    ("MUST", Align::Right),
    ("GOAL", Align::Right),
    ("FOUND", Align::Right),
    ("VERDICT", Align::Left),
];

fn print_bars(bars: &[BarResult], out: &mut dyn Write) -> io::Result<()> {
    let head = style::HEAD;
    if bars.iter().all(|bar| bar.verdict == Verdict::NotMeasured) {
        return writeln!(out, "\nnothing was measured of what is asked of Atoll");
    }
    writeln!(out, "\n{head}what is asked of Atoll{head:#}")?;
    let mut table = Table::new(&BAR_COLUMNS);
    for bar in bars {
        table.row(bar_row(bar));
    }
    table.print("", out)
}

fn bar_row(bar: &BarResult) -> Vec<Cell> {
    let side = match bar.side {
        Side::AtMost => "<=",
        Side::AtLeast => ">=",
    };
    let (verdict, look) = match bar.verdict {
        Verdict::GoalMet => ("goal met", style::GOOD),
        Verdict::MustMet => ("met, not the goal", style::WARN),
        Verdict::Missed => ("missed", style::ERROR),
        Verdict::NotMeasured => ("not measured", style::DIM),
        Verdict::NotMeasuredHere => ("not measured here", style::WARN),
    };
    let figure = if bar.sizes.is_empty() { form::three_digits } else { ratio };
    let goal = bar.goal.map(figure);
    vec![
        cell(bar.what),
        cell(bar.reference),
        cell(bar_size(bar)),
        cell(format!("{side} {}", figure(bar.must))),
        cell(goal.as_deref().unwrap_or(NONE)),
        styled(bar.figure.map_or(NONE.to_owned(), figure), look),
        styled(verdict, look),
    ]
}

/// The worst size, and how many of those asked for were compared.
fn bar_size(bar: &BarResult) -> String {
    match (bar.sizes, bar.size) {
        ([], _) => NONE.to_owned(),
        ([only], _) => form::size(*only),
        (sizes, None) => format!("{} sizes", sizes.len()),
        (sizes, Some(worst)) => {
            format!("{} ({} of {})", form::size(worst), bar.sizes_compared, sizes.len())
        }
    }
}

#[cfg(test)]
mod tests;

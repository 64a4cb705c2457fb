//! What `bench restart` and `bench boot` print alike.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::bench::bars::{Side, Verdict};
use crate::bench::form;
use crate::bench::host::Host;
use crate::bench::placement::Class;
use crate::bench::restart::bars::Bar;

use super::super::style;
use super::super::table::{Align, Table, cell, styled};

/// Stands for what is not there.
pub(super) const NONE: &str = "-";

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
            Verdict::GoalMet | Verdict::MustMet => ("met", style::GOOD),
            Verdict::Missed => ("missed", style::ERROR),
            Verdict::NotMeasured | Verdict::NotMeasuredHere => ("not measured", style::DIM),
        };
        table.row(vec![
            cell(&bar.what),
            cell(&bar.reference),
            cell(format!("{side} {}", form::three_digits(bar.must))),
            styled(bar.figure.map_or(NONE.to_owned(), form::three_digits), look),
            styled(verdict, look),
        ]);
    }
    table.print("", out)
}

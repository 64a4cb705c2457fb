//! `bench storm`: measures, prints what came of it, and draws it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::bench::form;
use crate::bench::plot::{self, PlotError};
use crate::bench::statistics::{Range, Times};
use crate::bench::storm::report::Report;
use crate::bench::storm::{Plan, run};
use crate::exit_code::ExitCode;

use super::super::args::StormArgs;
use super::super::error::CliError;
use super::super::style;
use super::super::table::{Align, Cell, Table, cell, styled};
use super::lives::{Findings, NONE, bench, print_bars, print_failures, print_host};

pub(super) fn storm(
    args: &StormArgs,
    json: bool,
    out: &mut dyn Write,
) -> Result<ExitCode, CliError> {
    bench(&args.outlet, json, out, |watch| Ok(run(&plan(args), watch)?))
}

fn plan(args: &StormArgs) -> Plan {
    Plan {
        images: args.images.clone(),
        length: Duration::from_secs(args.seconds.into()),
        rounds: args.rounds,
        kills_per_second: args.kills_per_second,
        connections: args.connections,
        depth: args.depth,
    }
}

impl Findings for Report {
    fn draw(&self, directory: &Path) -> Result<Vec<PathBuf>, PlotError> {
        plot::lives::storm(self, directory)
    }

    fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        print(self, out)
    }

    fn is_flawless(&self) -> bool {
        self.is_flawless()
    }
}

fn print(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let (head, dim) = (style::HEAD, style::DIM);
    print_host(&report.host, report.rounds, &report.classes, out)?;
    let Report { seconds, kills, connections, depth, .. } = report;
    writeln!(
        out,
        "{head}storm{head:#}      {kills} kills in {seconds} s; {connections} connections, {depth} \
         requests of each under way"
    )?;
    writeln!(
        out,
        "\n{head}throughput{head:#}  {dim}good replies a second; ratio round by round{dim:#}"
    )?;
    print_rates(report, out)?;
    writeln!(out, "\n{head}what became of requests{head:#}")?;
    print_fates(report, out)?;
    writeln!(
        out,
        "\n{head}how long it took{head:#}  {dim}the nucleus: until the next incarnation ran; a \
         connection: between two good replies where a request died{dim:#}"
    )?;
    print_times(report, out)?;
    print_failures(std::iter::empty(), &report.failures, out)?;
    print_bars(&report.bars, out)
}

const RATES: [(&str, Align); 4] = [
    ("", Align::Left),
    ("LOWEST", Align::Right),
    ("MEDIAN", Align::Right),
    ("HIGHEST", Align::Right),
];

fn print_rates(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new(&RATES);
    let mut row = |name: &str, range: Option<Range>, told: fn(f64) -> String| {
        let each = range.map(|range| [range.lowest, range.median, range.highest].map(told));
        let figures = each.unwrap_or_else(|| [0; 3].map(|_| NONE.to_owned()));
        table.row([cell(name)].into_iter().chain(figures.map(cell)).collect());
    };
    row("without kills", report.calm, form::rate);
    row("with kills", report.storm, form::rate);
    row("ratio", report.ratio, form::three_digits);
    table.print("", out)
}

const FATES: [(&str, Align); 2] = [("OUTCOME", Align::Left), ("REQUESTS", Align::Right)];

fn print_fates(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let fates = &report.requests;
    let mut table = Table::new(&FATES);
    let definite = [
        ("the reply that it must have", fates.good),
        ("an error: the server restarted", fates.restarted),
        ("its connection was closed", fates.closed),
    ];
    for (name, count) in definite {
        table.row(vec![cell(name), cell(count)]);
    }
    let never = [
        ("none: lost", fates.lost),
        ("two: doubled", fates.doubled),
        ("another's reply, or nonsense", fates.wrong),
    ];
    for (name, count) in never {
        let look = if count == 0 { style::GOOD } else { style::ERROR };
        table.row(vec![cell(name), styled(count, look)]);
    }
    table.print("", out)
}

const TIMES: [(&str, Align); 5] = [
    ("SEEN BY", Align::Left),
    ("P50", Align::Right),
    ("P99", Align::Right),
    ("MAX", Align::Right),
    ("COUNT", Align::Right),
];

fn print_times(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new(&TIMES);
    for (name, times) in [("the nucleus", &report.restarts), ("a connection", &report.gaps)] {
        table.row([cell(name)].into_iter().chain(figures(times.as_ref())).collect());
    }
    table.print("", out)
}

fn figures(times: Option<&Times>) -> Vec<Cell> {
    let Some(Times { histogram, count, .. }) = times else { return vec![cell(NONE); 4] };
    let at = |quantile| histogram.value_at_quantile(quantile) as f64;
    let each = [at(0.5), at(0.99), histogram.max() as f64].map(form::time);
    each.map(cell).into_iter().chain([cell(count)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Args, BenchArgs, Benchmark, Command};
    use clap::Parser;

    fn parsed(arguments: &[&str]) -> Result<StormArgs, clap::Error> {
        let all = [&["vmm", "bench", "storm", "--images", "i"], arguments].concat();
        match Args::try_parse_from(all)?.command {
            Command::Bench(BenchArgs { what: Benchmark::Storm(args) }) => Ok(args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_plain_run_takes_ten_seconds_and_kills_a_hundred_times_in_each() {
        let plan = plan(&parsed(&[]).unwrap());
        assert_eq!((2 * plan.length, plan.kills_per_second), (Duration::from_secs(10), 100));
        assert!(plan.length / plan.rounds >= Duration::from_secs(1));
    }

    #[test]
    fn a_storm_that_cannot_be_is_refused() {
        for bad in ["--seconds=0", "--kills-per-second=0", "--depth=501", "--rounds=0"] {
            assert!(parsed(&[bad]).is_err(), "{bad}");
        }
    }
}

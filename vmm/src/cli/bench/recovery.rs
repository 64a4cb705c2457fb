//! `bench recovery`: measures, prints what came of it, and draws it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::bench::form;
use crate::bench::kv::server::Site;
use crate::bench::plot::{self, PlotError};
use crate::bench::recovery::report::{CrashResults, LogResults, RecoveryResult, Report};
use crate::bench::recovery::{Plan, run};
use crate::bench::statistics::{Range, Times};
use crate::exit_code::ExitCode;

use super::super::args::RecoveryArgs;
use super::super::error::CliError;
use super::super::style;
use super::super::table::{Align, Table, cell};
use super::kv::this_program;
use super::lives::{Findings, bench, print_bars, print_failures, print_host, spread};

pub(super) fn recovery(
    args: &RecoveryArgs,
    json: bool,
    out: &mut dyn Write,
) -> Result<ExitCode, CliError> {
    let plan = plan(args)?;
    bench(&args.outlet, json, out, |watch| Ok(run(&plan, watch)?))
}

fn plan(args: &RecoveryArgs) -> Result<Plan, CliError> {
    Ok(Plan {
        site: Site {
            vmm: this_program()?,
            images: args.images.clone(),
            // None is started.
            redis: PathBuf::new(),
            directory: args.directory.clone(),
        },
        state: args.state_size,
        log: args.log_size,
        size: args.size,
        rounds: args.rounds,
        turns: args.turns,
    })
}

impl Findings for Report {
    fn draw(&self, directory: &Path) -> Result<Vec<PathBuf>, PlotError> {
        plot::recovery::draw(self, directory)
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
    let CrashResults { keys, bytes, .. } = report.crashes;
    let (bytes, turns) = (mebibytes(bytes as f64), report.turns);
    writeln!(
        out,
        "\n{head}kv after a crash{head:#}  {dim}until it has a value again: {keys} keys, {bytes} \
         of keys and values; {turns} crashes in a round{dim:#}"
    )?;
    print_crashes(&report.crashes, out)?;
    let bytes = mebibytes(report.log.bytes as f64);
    writeln!(
        out,
        "\n{head}a store's log of {bytes}{head:#}  {dim}lowest, median, highest round; kv is there \
         when it has loaded what the store has{dim:#}"
    )?;
    print_recoveries(&report.log, out)?;
    print_failures(std::iter::empty(), &report.failures, out)?;
    print_bars(&report.bars, out)
}

fn mebibytes(bytes: f64) -> String {
    format!("{} MiB", form::three_digits(bytes / f64::from(1 << 20)))
}

const CRASHES: [(&str, Align); 5] = [
    ("ITS DATA", Align::Left),
    ("LOWEST P50", Align::Right),
    ("MEDIAN P50", Align::Right),
    ("HIGHEST P50", Align::Right),
    ("CRASHES", Align::Right),
];

fn print_crashes(crashes: &CrashResults, out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new(&CRASHES);
    let mut row = |name: &str, times: &Option<Times>| {
        let figures = spread(times.as_ref().map(|times| times.p50), form::time);
        let count = cell(times.as_ref().map_or(0, |times| times.count));
        table.row([cell(name)].into_iter().chain(figures).chain([count]).collect());
    };
    row("in memory that it kept", &crashes.kept);
    row("from its store", &crashes.reload);
    table.print("", out)
}

const RECOVERIES: [(&str, Align); 5] = [
    ("THE FILE", Align::Left),
    ("WHAT", Align::Left),
    ("LOWEST", Align::Right),
    ("MEDIAN", Align::Right),
    ("HIGHEST", Align::Right),
];

fn print_recoveries(log: &LogResults, out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new(&RECOVERIES);
    for (place, result) in [("in memory", &log.warm), ("on disk", &log.cold)] {
        let RecoveryResult { recovery, read, answered, sequential, ratio } = result;
        let mut row = |what: &str, range: &Option<Range>, told: fn(f64) -> String| {
            let names = [cell(place), cell(what)];
            table.row(names.into_iter().chain(spread(*range, told)).collect());
        };
        row("the store's recovery", recovery, form::time);
        row("what it read", read, mebibytes);
        row("a sequential read", sequential, form::time);
        row("ratio of the two", ratio, form::three_digits);
        row("the system's start, until kv is there", answered, form::time);
    }
    table.print("", out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Args, BenchArgs, Benchmark, Command};
    use clap::Parser;

    fn parsed(arguments: &[&str]) -> Result<RecoveryArgs, clap::Error> {
        let all = [&["vmm", "bench", "recovery", "--images", "i"], arguments].concat();
        match Args::try_parse_from(all)?.command {
            Command::Bench(BenchArgs { what: Benchmark::Recovery(args) }) => Ok(args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_plain_run_is_what_bars_are_held_against() {
        let plan = plan(&parsed(&[]).unwrap()).unwrap();
        assert_eq!((plan.state, plan.log, plan.size), (64, 1024, 1024));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for bad in ["--state-size=0", "--log-size=1", "--size=0", "--rounds=0", "--turns=0"] {
            assert!(parsed(&[bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn bytes_are_told_in_mebibytes() {
        assert_eq!(mebibytes(48.0 * 1024.0 * 1024.0), "48.0 MiB");
    }
}

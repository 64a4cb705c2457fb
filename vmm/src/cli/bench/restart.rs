//! `bench restart`: measures, prints what came of it, and draws it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::bench::form;
use crate::bench::restart::case::{Case, Server};
use crate::bench::restart::report::{CaseResult, Estimate, Report};
use crate::bench::restart::{Plan, run};
use crate::bench::statistics::Times;
use crate::exit_code::ExitCode;

use super::super::args::RestartArgs;
use super::super::error::CliError;
use super::super::style;
use super::super::table::{Align, Cell, Table, cell};
use super::lives::{Findings, NONE, bench, print_bars, print_failures, print_host};
use crate::bench::plot::{self, PlotError};

const ROUNDS: u32 = 5;
/// Then there are two hundred times of each case: enough for a p99.
const TURNS: u32 = 40;
const QUICK_ROUNDS: u32 = 3;
const QUICK_TURNS: u32 = 10;

pub(super) fn restart(
    args: &RestartArgs,
    json: bool,
    out: &mut dyn Write,
) -> Result<ExitCode, CliError> {
    bench(&args.common.outlet, json, out, |watch| Ok(run(&plan(args), watch)?))
}

impl Findings for Report {
    fn draw(&self, directory: &Path) -> Result<Vec<PathBuf>, PlotError> {
        plot::lives::restarts(self, directory)
    }

    fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        print(self, out)
    }

    fn is_flawless(&self) -> bool {
        self.is_flawless()
    }
}

fn plan(args: &RestartArgs) -> Plan {
    let (rounds, turns) = if args.quick { (QUICK_ROUNDS, QUICK_TURNS) } else { (ROUNDS, TURNS) };
    Plan {
        images: args.common.images.clone(),
        peers: args.common.peers.clone(),
        rounds: args.rounds.unwrap_or(rounds),
        turns: args.turns.unwrap_or(turns),
        quick: args.quick,
        faults: args.faults.clone(),
        from: args.from.clone(),
    }
}

fn print(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let (head, dim) = (style::HEAD, style::DIM);
    print_host(&report.host, report.rounds, &report.classes, out)?;
    writeln!(
        out,
        "\n{head}fault to first reply{head:#}  {dim}p50: lowest, median, highest round; \
         p99: of all; since exit: p50 from when the VMM saw it{dim:#}"
    )?;
    print_times(report, out)?;
    writeln!(out, "\n{head}where it goes{head:#}  {dim}medians{dim:#}")?;
    print_parts(&report.cases, out)?;
    print_counts(report, out)?;
    let failed = report.cases.iter().map(|case| (case.case.to_string(), &case.failures));
    let peers = report.peers.iter().map(|peer| (peer.process.to_string(), &peer.failures));
    print_failures(failed.chain(peers), &report.failures, out)?;
    print_bars(&report.bars, out)
}

const TIMES: [(&str, Align); 11] = [
    ("SERVER", Align::Left),
    ("FAULT", Align::Left),
    ("FROM", Align::Left),
    ("DIRTY", Align::Right),
    ("P50", Align::Right),
    ("MEDIAN", Align::Right),
    ("HIGHEST", Align::Right),
    ("P99", Align::Right),
    ("MAX", Align::Right),
    ("SINCE EXIT", Align::Right),
    ("COUNT", Align::Right),
];

fn print_times(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new(&TIMES);
    for result in &report.cases {
        let since = result.since_exit.as_ref().map(|times| times.p50.median);
        let mut row = names(&result.case);
        row.extend(times(result.times.as_ref()));
        row.insert(9, cell(since.map_or(NONE.to_owned(), form::time)));
        table.row(row);
    }
    for peer in &report.peers {
        let mut row = vec![cell(peer.process), cell("kill -9"), cell(NONE), cell(NONE)];
        row.extend(times(peer.restarts.as_ref()));
        row.insert(9, cell(NONE));
        table.row(row);
    }
    table.print("", out)
}

fn names(case: &Case) -> Vec<Cell> {
    let Case { server, fault, from, dirty } = case;
    let from = format!("{:?}", from).to_lowercase();
    vec![cell(server), cell(fault), cell(from), cell(form::size(*dirty))]
}

fn times(times: Option<&Times>) -> Vec<Cell> {
    let Some(Times { p50, histogram, count, .. }) = times else {
        return vec![cell(NONE); 6];
    };
    let at = |quantile| histogram.value_at_quantile(quantile) as f64;
    let each = [p50.lowest, p50.median, p50.highest, at(0.99), histogram.max() as f64];
    each.map(form::time).map(cell).into_iter().chain([cell(count)]).collect()
}

const PARTS: [(&str, Align); 13] = [
    ("SERVER", Align::Left),
    ("FAULT", Align::Left),
    ("FROM", Align::Left),
    ("DIRTY", Align::Right),
    ("EXIT", Align::Right),
    ("REPORT", Align::Right),
    ("REGISTERS", Align::Right),
    ("MEMORY", Align::Right),
    ("CHANNELS", Align::Right),
    ("ALL OF THE VMM", Align::Right),
    ("REPLY", Align::Right),
    ("PAGES", Align::Right),
    ("TAKEN BACK", Align::Right),
];

fn print_parts(cases: &[CaseResult], out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new(&PARTS);
    for result in cases {
        let Some(parts) = result.parts else { continue };
        let step = |step: Option<f64>| cell(step.map_or(NONE.to_owned(), form::time));
        let mut row = names(&result.case);
        row.push(cell(form::time(parts.exit)));
        row.extend([parts.report, parts.registers, parts.memory, parts.channels].map(step));
        row.extend([parts.work, parts.reply].map(|time| cell(form::time(time))));
        row.push(cell(
            result.page_faults.map_or(NONE.to_owned(), |pages| format!("{:.0}", pages.median)),
        ));
        let kibibytes = |bytes: f64| format!("{:.0} KiB", bytes / 1024.0);
        row.push(cell(parts.written.map_or(NONE.to_owned(), kibibytes)));
        table.row(row);
    }
    table.print("", out)
}

fn print_counts(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let head = style::HEAD;
    if !report.exits.is_empty() {
        writeln!(out, "\n{head}exits of a restart of {}{head:#}", Server::Echo)?;
    }
    let columns = [("FAULT", Align::Left), ("FROM", Align::Left), ("EXITS", Align::Right)];
    let mut table = Table::new(&columns);
    for exits in &report.exits {
        let from = format!("{:?}", exits.from).to_lowercase();
        table.row(vec![cell(exits.fault), cell(from), cell(format!("{:.1}", exits.exits))]);
    }
    if !report.exits.is_empty() {
        table.print("", out)?;
    }
    if let Some(cost) = report.exit_cost {
        writeln!(out, "an exit to the VMM and back costs {} here", form::time(cost))?;
    }
    if let Some(Estimate { exits, work, least, most }) = report.hardware {
        writeln!(
            out,
            "on a host whose exits cost 1 to 2 us: {exits:.1} exits and {} of the VMM are {} to {}, \
             and what the guest does natively",
            form::time(work),
            form::time(least),
            form::time(most)
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::restart::case::{Beginning, Fault};
    use crate::cli::args::{Args, BEGINNINGS, BenchArgs, Benchmark, Command, FAULTS};
    use clap::Parser;

    fn parsed(arguments: &[&str]) -> RestartArgs {
        let all = [&["vmm", "bench", "restart", "--images", "i"], arguments].concat();
        match Args::try_parse_from(all).unwrap().command {
            Command::Bench(BenchArgs { what: Benchmark::Restart(args) }) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_name_that_help_shows_is_one() {
        for (name, fault) in FAULTS.iter().zip(Fault::ALL) {
            assert_eq!(plan(&parsed(&["--fault", name])).faults, [fault]);
        }
        for (name, from) in BEGINNINGS.iter().zip([Beginning::Checkpoint, Beginning::Image]) {
            assert_eq!(plan(&parsed(&["--from", name])).from, [from]);
        }
    }

    #[test]
    fn a_quick_run_is_shorter_unless_it_is_told_how_long_to_be() {
        let quick = plan(&parsed(&["--quick"]));
        assert_eq!((quick.rounds, quick.turns), (QUICK_ROUNDS, QUICK_TURNS));
        let told = plan(&parsed(&["--quick", "--rounds", "7", "--turns", "9"]));
        assert_eq!((told.rounds, told.turns), (7, 9));
        assert_eq!(plan(&parsed(&[])).rounds, ROUNDS);
    }

    #[test]
    fn what_was_not_measured_has_a_row_of_nothing() {
        assert_eq!(times(None).len() + 5, TIMES.len());
        let case = Case {
            server: Server::Kv,
            fault: Fault::PageFault,
            from: Beginning::Checkpoint,
            dirty: 1 << 20,
        };
        assert_eq!(names(&case).len() + 9, PARTS.len());
    }
}

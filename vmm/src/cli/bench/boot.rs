//! `bench boot`: measures, prints what came of it, and draws it.

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::bench::boot::report::{DeathResult, Report, SystemResult};
use crate::bench::boot::{Plan, run};
use crate::bench::form;
use crate::bench::plot::{self, PlotError};
use crate::bench::statistics::Range;
use crate::exit_code::ExitCode;

use super::super::args::BootArgs;
use super::super::error::CliError;
use super::super::style;
use super::super::table::{Align, Cell, Table, cell};
use super::lives::{Findings, NONE, bench, print_bars, print_failures, print_host};

const ROUNDS: u32 = 5;
const QUICK_ROUNDS: u32 = 2;
const DOMAINS: [u32; 4] = [1, 10, 100, 1000];
/// Systems of a quick run: all but the largest.
const QUICK_DOMAINS: [u32; 3] = [1, 10, 100];
/// How often one domain of each system is killed.
const KILLS: u32 = 20;

pub(super) fn boot(args: &BootArgs, json: bool, out: &mut dyn Write) -> Result<ExitCode, CliError> {
    bench(&args.common.outlet, json, out, |watch| Ok(run(&plan(args), watch)))
}

impl Findings for Report {
    fn draw(&self, directory: &Path) -> Result<Vec<PathBuf>, PlotError> {
        plot::lives::starts(self, directory)
    }

    fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        print(self, out)
    }

    fn is_flawless(&self) -> bool {
        self.is_flawless()
    }
}

fn plan(args: &BootArgs) -> Plan {
    let usual: &[u32] = if args.quick { &QUICK_DOMAINS } else { &DOMAINS };
    Plan {
        images: args.common.images.clone(),
        peers: args.common.peers.clone(),
        // Without its own file it can measure everything but itself.
        vmm: env::current_exe().ok(),
        rounds: args.rounds.unwrap_or(if args.quick { QUICK_ROUNDS } else { ROUNDS }),
        domains: if args.domains.is_empty() { usual.to_vec() } else { args.domains.clone() },
        kills: KILLS,
    }
}

fn print(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let (head, dim) = (style::HEAD, style::DIM);
    print_host(&report.host, report.rounds, &report.classes, out)?;
    writeln!(
        out,
        "\n{head}from nothing to replies{head:#}  {dim}lowest, median, highest round; memory and \
         kill: median{dim:#}"
    )?;
    print_systems(report, out)?;
    writeln!(out, "\n{head}where it goes until the first reply{head:#}  {dim}medians{dim:#}")?;
    print_phases(&report.systems, out)?;
    print_deaths(&report.deaths, out)?;
    let systems = report
        .systems
        .iter()
        .map(|system| (format!("a system of {}", system.domains), &system.failures));
    let peers = report.peers.iter().map(|peer| (peer.process.to_string(), &peer.failures));
    print_failures(systems.chain(peers), &report.failures, out)?;
    print_bars(&report.bars, out)
}

const SYSTEMS: [(&str, Align); 8] = [
    ("WHAT", Align::Left),
    ("FIRST REPLY", Align::Right),
    ("MEDIAN", Align::Right),
    ("HIGHEST", Align::Right),
    ("ALL: MEDIAN", Align::Right),
    ("MEMORY EACH", Align::Right),
    ("WITH KERNEL", Align::Right),
    ("KILL TO REPLY", Align::Right),
];

fn print_systems(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new(&SYSTEMS);
    for system in &report.systems {
        let some = if system.domains == 1 { "domain" } else { "domains" };
        let mut row = vec![cell(format!("{} {some}", system.domains))];
        row.extend(spread(system.first));
        row.push(median(system.all, form::time));
        row.push(median(system.memory, kibibytes));
        row.push(median(system.host_memory, kibibytes));
        row.push(median(system.kills.as_ref().map(|times| times.p50), form::time));
        table.row(row);
    }
    let mut other = |name: String, first: Option<Range>| {
        let mut row = vec![cell(name)];
        row.extend(spread(first));
        row.extend(vec![cell(NONE); 4]);
        table.row(row);
    };
    other("`vmm run` as a process, kv".to_owned(), report.command);
    for peer in &report.peers {
        other(peer.process.to_string(), peer.starts.as_ref().map(|times| times.p50));
    }
    table.print("", out)
}

const DEATHS: [(&str, Align); 6] = [
    ("END", Align::Left),
    ("DOMAINS", Align::Right),
    ("LOWEST", Align::Right),
    ("MEDIAN", Align::Right),
    ("HIGHEST", Align::Right),
    ("COUNT", Align::Right),
];

fn print_deaths(deaths: &[DeathResult], out: &mut dyn Write) -> io::Result<()> {
    if deaths.is_empty() {
        return Ok(());
    }
    let (head, dim) = (style::HEAD, style::DIM);
    writeln!(
        out,
        "\n{head}one domain's end to its next reply, alone and among others{head:#}  {dim}p50: \
         lowest, median, highest round{dim:#}"
    )?;
    let mut table = Table::new(&DEATHS);
    for DeathResult { end, domains, alone, among } in deaths {
        for (domains, times) in [(&1, alone), (domains, among)] {
            let mut row = vec![cell(end), cell(domains)];
            row.extend(spread(times.as_ref().map(|times| times.p50)));
            row.push(cell(times.as_ref().map_or(NONE.to_owned(), |times| times.count.to_string())));
            table.row(row);
        }
    }
    table.print("", out)
}

fn spread(range: Option<Range>) -> Vec<Cell> {
    match range {
        Some(range) => {
            [range.lowest, range.median, range.highest].map(form::time).map(cell).to_vec()
        }
        None => vec![cell(NONE); 3],
    }
}

fn median(range: Option<Range>, told: impl FnOnce(f64) -> String) -> Cell {
    cell(range.map_or(NONE.to_owned(), |range| told(range.median)))
}

fn kibibytes(bytes: f64) -> String {
    format!("{:.0} KiB", bytes / 1024.0)
}

fn print_phases(systems: &[SystemResult], out: &mut dyn Write) -> io::Result<()> {
    let with = systems.iter().filter_map(|system| Some((system.domains, system.phases?)));
    let all: Vec<_> = with.collect();
    let Some((_, first)) = all.first() else { return Ok(()) };
    let mut columns = vec![("DOMAINS", Align::Right)];
    columns.extend(first.named().map(|(name, _)| (name, Align::Right)));
    let mut table = Table::new(&columns);
    for (domains, phases) in &all {
        let mut row = vec![cell(domains)];
        row.extend(phases.named().map(|(_, time)| cell(form::time(time))));
        table.row(row);
    }
    table.print("", out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Args, BenchArgs, Benchmark, Command};
    use clap::Parser;

    fn planned(arguments: &[&str]) -> Plan {
        let all = [&["vmm", "bench", "boot", "--images", "i"], arguments].concat();
        match Args::try_parse_from(all).unwrap().command {
            Command::Bench(BenchArgs { what: Benchmark::Boot(args) }) => plan(&args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_quick_run_leaves_the_largest_systems_out_unless_they_are_named() {
        assert_eq!(planned(&[]).domains, DOMAINS);
        assert_eq!(planned(&["--quick"]).domains, QUICK_DOMAINS);
        assert_eq!(planned(&["--quick", "--domains", "5,1000"]).domains, [5, 1000]);
        assert_eq!(planned(&["--quick"]).rounds, QUICK_ROUNDS);
    }
}

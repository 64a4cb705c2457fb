//! `bench kv`: measures, prints what came of it, and draws it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::bench::form;
use crate::bench::kv::case::{Operation, Subject, Task};
use crate::bench::kv::report::{CaseResult, Report};
use crate::bench::kv::server::Site;
use crate::bench::kv::{Plan, run};
use crate::bench::plot::{self, PlotError};
use crate::bench::statistics::Times;
use crate::exit_code::ExitCode;

use super::super::args::KvArgs;
use super::super::error::CliError;
use super::super::style;
use super::super::table::{Align, Cell, Table, cell};
use super::lives::{Findings, NONE, bench, print_bars, print_failures, print_host, spread};

/// The size of a store's disk, in MiB: more than the log of a usual run.
const LOG_SIZE: u64 = 1024;

pub(super) fn kv(args: &KvArgs, json: bool, out: &mut dyn Write) -> Result<ExitCode, CliError> {
    let plan = plan(args)?;
    bench(&args.outlet, json, out, |watch| Ok(run(&plan, watch)?))
}

fn plan(args: &KvArgs) -> Result<Plan, CliError> {
    let operations = chosen(&args.operations, &Operation::ALL);
    let tasks = args
        .depths
        .iter()
        .flat_map(|&depth| operations.iter().map(move |&operation| Task { operation, depth }));
    Ok(Plan {
        site: Site {
            vmm: this_program()?,
            images: args.images.clone(),
            redis: args.redis_server.clone(),
            directory: args.directory.clone(),
        },
        subjects: chosen(&args.subjects, &Subject::ALL),
        tasks: tasks.collect(),
        connections: args.connections,
        keys: args.keys,
        size: args.size,
        length: Duration::from_secs(args.seconds.into()),
        rounds: args.rounds,
        log_size: LOG_SIZE,
    })
}

/// What was named, each once and in the usual order; all if nothing was.
fn chosen<T: Copy + PartialEq>(named: &[T], all: &[T]) -> Vec<T> {
    all.iter().copied().filter(|one| named.is_empty() || named.contains(one)).collect()
}

pub(super) fn this_program() -> Result<PathBuf, CliError> {
    std::env::current_exe().map_err(|source| CliError::File {
        action: "find",
        path: "vmm".into(),
        source,
        remedy: "start it by its path",
    })
}

impl Findings for Report {
    fn draw(&self, directory: &Path) -> Result<Vec<PathBuf>, PlotError> {
        plot::kv::draw(self, directory)
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
    let Report { connections, keys, seconds, .. } = report;
    let version = report.redis_version.as_deref().unwrap_or("not measured");
    let size = form::size(report.size);
    writeln!(
        out,
        "{head}load{head:#}       {connections} connections, {keys} keys, values of {size}, \
         {seconds} s each; redis-server {version}"
    )?;
    writeln!(
        out,
        "\n{head}throughput and latency{head:#}  {dim}replies a second: lowest, median, highest \
         round; times of a request, and requests that share a write to a store's disk: median \
         round{dim:#}"
    )?;
    print_results(&report.results, out)?;
    writeln!(
        out,
        "\n{head}throughput compared{head:#}  {dim}round by round: lowest, median, highest{dim:#}"
    )?;
    print_ratios(report, out)?;
    print_failures(std::iter::empty(), &report.failures, out)?;
    print_bars(&report.bars, out)
}

const RESULTS: [(&str, Align); 9] = [
    ("TASK", Align::Left),
    ("SERVER", Align::Left),
    ("LOWEST", Align::Right),
    ("MEDIAN", Align::Right),
    ("HIGHEST", Align::Right),
    ("P50", Align::Right),
    ("P99", Align::Right),
    ("P99.9", Align::Right),
    ("PER WRITE", Align::Right),
];

fn print_results(results: &[CaseResult], out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new(&RESULTS);
    for result in results {
        let names = [cell(result.task), cell(result.subject)];
        let rates = spread(result.rate, form::rate);
        let times = times(result.times.as_ref());
        let per_write = result.per_write.map(|range| form::three_digits(range.median));
        let per_write = cell(per_write.unwrap_or_else(|| NONE.to_owned()));
        table.row(names.into_iter().chain(rates).chain(times).chain([per_write]).collect());
    }
    table.print("", out)
}

fn times(times: Option<&Times>) -> [Cell; 3] {
    let each = times.map(|times| [times.p50, times.p99, times.p999]);
    let each = each.map(|ranges| ranges.map(|range| form::time(range.median)));
    each.unwrap_or_else(|| [0; 3].map(|_| NONE.to_owned())).map(cell)
}

const RATIOS: [(&str, Align); 6] = [
    ("TASK", Align::Left),
    ("SERVER", Align::Left),
    ("TO THAT OF", Align::Left),
    ("LOWEST", Align::Right),
    ("MEDIAN", Align::Right),
    ("HIGHEST", Align::Right),
];

fn print_ratios(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new(&RATIOS);
    for ratio in &report.ratios {
        let names = [cell(ratio.task), cell(ratio.subject), cell(ratio.reference)];
        let figures = spread(Some(ratio.ratio), form::three_digits);
        table.row(names.into_iter().chain(figures).collect());
    }
    table.print("", out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::kv::error::KvError;
    use crate::cli::args::{Args, BenchArgs, Benchmark, Command, OPERATIONS, SUBJECTS};
    use clap::Parser;

    fn parsed(arguments: &[&str]) -> Result<KvArgs, clap::Error> {
        let all = [&["vmm", "bench", "kv", "--images", "i"], arguments].concat();
        match Args::try_parse_from(all)?.command {
            Command::Bench(BenchArgs { what: Benchmark::Kv(args) }) => Ok(args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_plain_run_has_everything_that_bars_ask_for() {
        let plan = plan(&parsed(&[]).unwrap()).unwrap();
        assert_eq!(plan.subjects, Subject::ALL);
        let told: Vec<_> = plan.tasks.iter().map(Task::to_string).collect();
        assert_eq!(told, ["SET -P 16", "GET -P 16", "SET -P 1", "GET -P 1"]);
        assert_eq!((plan.connections, plan.size), (50, 64));
    }

    #[test]
    fn what_is_named_keeps_its_order() {
        let args = ["--subject", "redis-always,kv-durable", "--operation", "set", "--depth", "4"];
        let plan = plan(&parsed(&args).unwrap()).unwrap();
        assert_eq!(plan.subjects, [Subject::KvDurable, Subject::RedisAlways]);
        assert_eq!(plan.tasks, [Task { operation: Operation::Set, depth: 4 }]);
    }

    #[test]
    fn every_name_that_help_shows_is_one() {
        for name in SUBJECTS {
            assert_eq!(parsed(&["--subject", name]).unwrap().subjects.len(), 1);
        }
        for name in OPERATIONS {
            assert_eq!(parsed(&["--operation", name]).unwrap().operations.len(), 1);
        }
    }

    #[test]
    fn a_load_that_cannot_be_is_refused() {
        for bad in ["--seconds=0", "--size=0", "--size=2Mi", "--depth=0", "--connections=0"] {
            assert!(parsed(&[bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn memory_is_no_place_for_what_is_to_be_durable() {
        let error = CliError::from(KvError::InMemory { directory: "/d".into(), kind: "tmpfs" });
        assert_eq!(error.exit_code(), ExitCode::Usage);
        assert_eq!(
            error.to_string(),
            "/d is in memory (tmpfs), where nothing is durable; choose a directory on a disk with \
             --directory"
        );
    }
}

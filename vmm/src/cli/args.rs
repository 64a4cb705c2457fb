//! The command line, as clap reads it.

use std::fmt::Write;
use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand};

use crate::bench::placement::Class;
use crate::bench::wire::{Suite, Wait};
use crate::exit_code::ExitCode;
use crate::manifest::{DomainName, SystemName};

use super::bench::{named, size};

/// Run systems of micro-VMs, and look after them.
#[derive(Debug, Parser)]
#[command(name = "vmm", version, after_help = exit_codes(), max_term_width = 100)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,
    /// Print JSON, for scripts: a value, or one a line for what goes on
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Log more to standard error; twice for everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(super) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a system in the foreground until it is stopped
    Run(RunArgs),
    /// Check a manifest and the images that it names
    Check(CheckArgs),
    /// Say what this host's KVM can do, what it costs, and what to do if it is missing
    Doctor,
    /// Measure what this host and Atoll can do, beside others
    Bench(BenchArgs),
    /// Inject faults into running servers, and see that nobody else minds
    #[command(long_about = CAMPAIGN_ABOUT)]
    Campaign(CampaignArgs),
    /// List the domains
    Ps(Target),
    /// End a domain's incarnation as a crash does
    Kill(DomainArgs),
    /// Begin a new incarnation of a domain
    Restart(DomainArgs),
    /// Hold a domain
    Pause(DomainArgs),
    /// Let a held domain run
    Resume(DomainArgs),
    /// Stop the system in good order, and wait until it is gone
    Stop(Target),
    /// Print log lines
    Logs(LogsArgs),
    /// Print events
    Events(EventsArgs),
    /// Show everything about a domain
    Inspect(DomainArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) check: CheckArgs,
    /// Control socket; by default one named after the system
    #[arg(long, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// The system's manifest
    #[arg(value_name = "SYSTEM.toml")]
    pub(super) manifest: PathBuf,
    /// Directory of images named without a path; by default that of the manifest
    #[arg(long, value_name = "DIR", env = "ATOLL_IMAGES")]
    pub(super) images: Option<PathBuf>,
}

const CAMPAIGN_ABOUT: &str = "\
Inject faults into running servers, and see that nobody else minds.

A system of this command's own runs in a process of its own: an echo server and a key-value server are \
harmed, one fault at a time, while their clients check every reply; two others beside them must notice \
nothing. No other system can be harmed so. Fails if the VMM died or hung, if a server did not come back, \
if a bystander was disturbed, or if threads, files or memory were left over.";

#[derive(Debug, clap::Args)]
pub(super) struct CampaignArgs {
    /// Directory of the images of the servers echo and kv
    #[arg(long, value_name = "DIR", env = "ATOLL_IMAGES")]
    pub(super) images: PathBuf,
    /// Inject so many faults
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(super) faults: u32,
    /// Choose kinds and places by this number
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(super) seed: u64,
    /// Write the report, as Markdown, to this file, too
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Be the process that is harmed, from the fault of this number on
    #[arg(long, value_name = "NUMBER", hide = true)]
    pub(super) worker_from: Option<u32>,
}

#[derive(Debug, clap::Args)]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    pub(super) what: Benchmark,
}

#[derive(Debug, Subcommand)]
pub(super) enum Benchmark {
    /// Measure communication: round trips, throughput, sleeping and waking
    #[command(long_about = IPC_ABOUT, after_long_help = IPC_EXAMPLES)]
    Ipc(IpcArgs),
}

const IPC_ABOUT: &str = "\
Measure communication: round trips, throughput, sleeping and waking.

Every case is measured once a round, and all take turns, so that whatever else goes on disturbs all \
alike. Before and after each measurement a probe tells how far apart the host has put the two CPUs; \
figures are made only of rounds in which they were where they were most of the time, or where \
--placement says. A case that bars or layers need is measured further, as often again at most, while \
fewer than three of its rounds count. The two sides run on the first two CPUs that this process may \
use: `taskset` chooses them.

Figures of times are told for the lowest, the median and the highest round. Compare lowest rounds: \
what disturbs a round only ever makes it slower.

The last table holds Atoll against what is asked of it. A bar that is missed does not make the \
command fail, unless --strict is given.";

const IPC_EXAMPLES: &str = "\
Examples:
  Everything, beside the peers, with pictures:
    vmm bench ipc --images target/images --peers target/release/atoll-peers --plot plots

  Who answers 8 bytes how fast, in a minute:
    vmm bench ipc --images target/images --quick --suite round-trip --size 8

  Throughput of large messages, for a script:
    vmm bench ipc --suite one-way --size 64Ki,1Mi --json | jq '.cases[].figures.rates'

Exit codes:
  0  measured, whatever came of it
  1  something failed; with --strict also if a bar is missed or a case fails
  2  the command line is wrong, or leaves nothing to measure
  5  the host lacks or denies something: KVM, a CPU, the program of peers, a directory";

/// The suites, as reports and filters name them.
pub(super) const SUITES: &[&str] = &["round-trip", "one-way", "lent", "calls", "chain"];
/// The ways to wait, likewise.
pub(super) const WAITS: &[&str] = &["polling", "adaptive", "blocking"];
/// The classes of placement that can be asked for, likewise.
pub(super) const PLACEMENTS: &[&str] = &["siblings", "near", "far"];

#[derive(Debug, clap::Args)]
pub(super) struct IpcArgs {
    /// Measure each case so many times, in turns [default: 10; quick: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) rounds: Option<u32>,
    /// Let a round of a case last about so long [default: 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub(super) milliseconds: Option<u32>,
    /// Measure fewer sizes, in fewer rounds
    #[arg(long)]
    pub(super) quick: bool,
    /// Only these suites
    #[arg(long = "suite", value_name = "SUITE", value_delimiter = ',', value_parser = named::<Suite>(SUITES))]
    pub(super) suites: Vec<Suite>,
    /// Only these subjects: `atoll`, `atoll raw`, `atoll ring`, `atoll gateway`, or a peer by its
    /// name
    #[arg(long = "subject", value_name = "NAME", value_delimiter = ',')]
    pub(super) subjects: Vec<String>,
    /// Only messages of these sizes: `64`, `4Ki`, `1Mi`
    #[arg(long = "size", value_name = "BYTES", value_delimiter = ',', value_parser = size)]
    pub(super) sizes: Vec<usize>,
    /// Only sides that wait in these ways
    #[arg(long = "wait", value_name = "WAY", value_delimiter = ',', value_parser = named::<Wait>(WAITS))]
    pub(super) waits: Vec<Wait>,
    /// Directory of the images of Atoll's own servers load, echo, relay and kv; without it, only
    /// others are measured
    #[arg(long, value_name = "DIR", env = "ATOLL_IMAGES")]
    pub(super) images: Option<PathBuf>,
    /// The program that measures others beside Atoll
    #[arg(long, value_name = "PROGRAM", env = "ATOLL_PEERS")]
    pub(super) peers: Option<PathBuf>,
    /// Put pictures into this directory, each as SVG and as PNG
    #[arg(long, value_name = "DIR")]
    pub(super) plot: Option<PathBuf>,
    /// Make figures of rounds with the CPUs placed so, instead of as in most rounds: as threads of
    /// one core, on cores that share a cache, on cores that do not
    #[arg(long, value_name = "CLASS", value_parser = named::<Class>(PLACEMENTS))]
    pub(super) placement: Option<Class>,
    /// Fail if a bar is missed or a case fails
    #[arg(long)]
    pub(super) strict: bool,
}

/// Which system; the only one that runs, if none is named.
#[derive(Debug, clap::Args)]
pub(super) struct Target {
    /// The system's name
    #[arg(long, value_name = "NAME", conflicts_with = "socket")]
    pub(super) system: Option<SystemName>,
    /// The system's control socket
    #[arg(long, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct DomainArgs {
    /// The domain
    pub(super) domain: DomainName,
    #[command(flatten)]
    pub(super) target: Target,
}

#[derive(Debug, clap::Args)]
pub(super) struct LogsArgs {
    /// Only this domain's lines
    pub(super) domain: Option<DomainName>,
    #[command(flatten)]
    pub(super) which: EventsArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct EventsArgs {
    /// Go on with new ones until the system stops
    #[arg(short, long)]
    pub(super) follow: bool,
    /// Only those after the one with this number
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    pub(super) since: u64,
    #[command(flatten)]
    pub(super) target: Target,
}

fn exit_codes() -> String {
    let mut text = String::from("Exit codes:\n");
    for code in ExitCode::ALL {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {}  {}", code as u8, code.meaning());
    }
    text
}

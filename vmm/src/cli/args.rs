//! The command line, as clap reads it.

use std::fmt::Write;
use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand};

use crate::bench::placement::Class;
use crate::bench::restart::case::{Beginning, Fault};
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
    /// Write a core file of a domain as it is, for gdb
    Core(CoreArgs),
    /// Show a domain's last faults, and what followed each
    Faults(DomainArgs),
    /// List requests of which server after server has died; show one, send it again, or drop it
    DeadLetters(LettersArgs),
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
    /// Measure crashes: from a fault to the first reply of the next incarnation
    #[command(long_about = RESTART_ABOUT, after_long_help = RESTART_EXAMPLES)]
    Restart(RestartArgs),
    /// Measure cold starts: from nothing to the first reply of every domain
    #[command(long_about = BOOT_ABOUT, after_long_help = BOOT_EXAMPLES)]
    Boot(BootArgs),
    /// Measure a storm of kills: what becomes of throughput, and of every request
    #[command(long_about = STORM_ABOUT, after_long_help = STORM_EXAMPLES)]
    Storm(StormArgs),
}

const RESTART_ABOUT: &str = "\
Measure crashes: from a fault to the first reply of the next incarnation.

Each case has a domain of its own, and all are crashed in turn. The client is this process: its clock \
starts before it sends the request that ends the server, and stops at the first good reply of the next \
incarnation. Beside them processes are killed with SIGKILL, waited for and started again until their \
first reply. Exits are counted by themselves, in a domain that never sleeps.

A bar that is missed does not make the command fail, unless --strict is given.";

const RESTART_EXAMPLES: &str = "\
Examples:
  Everything, beside processes, with a picture:
    vmm bench restart --images target/images --peers target/release/atoll-peers --plot plots

  What a panic costs, in seconds:
    vmm bench restart --images target/images --quick --fault panic

  Where the time goes, for a script:
    vmm bench restart --images target/images --quick --json | jq '.cases[] | {fault, dirty, parts}'";

const BOOT_ABOUT: &str = "\
Measure cold starts: from nothing to the first reply of every domain.

Systems of 1, 10, 100 and 1,000 domains are started, each domain is called once, and one of them is \
killed; beside them processes are started until their first reply.

A bar that is missed does not make the command fail, unless --strict is given.";

const BOOT_EXAMPLES: &str = "\
Examples:
  Everything, beside processes, with a picture:
    vmm bench boot --images target/images --peers target/release/atoll-peers --plot plots

  A thousand domains, once:
    vmm bench boot --images target/images --domains 1000 --rounds 1";

/// Faults, as reports and filters name them.
pub(super) const FAULTS: &[&str] =
    &["page-fault", "ud2", "divide", "panic", "stack-overflow", "illegal-port", "kill"];
/// Where incarnations can begin, likewise.
pub(super) const BEGINNINGS: &[&str] = &["checkpoint", "image"];

#[derive(Debug, clap::Args)]
pub(super) struct RestartArgs {
    /// Measure everything so many times [default: 5; quick: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) rounds: Option<u32>,
    /// Crash each domain so many times in a round [default: 40; quick: 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) turns: Option<u32>,
    /// Measure fewer cases, in fewer rounds
    #[arg(long)]
    pub(super) quick: bool,
    /// Only these faults
    #[arg(long = "fault", value_name = "FAULT", value_delimiter = ',', value_parser = named::<Fault>(FAULTS))]
    pub(super) faults: Vec<Fault>,
    /// Only restarts from these
    #[arg(long = "from", value_name = "BEGINNING", value_delimiter = ',', value_parser = named::<Beginning>(BEGINNINGS))]
    pub(super) from: Vec<Beginning>,
    #[command(flatten)]
    pub(super) common: LivesArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct BootArgs {
    /// Measure everything so many times [default: 5; quick: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) rounds: Option<u32>,
    /// Start systems of so many domains [default: 1,10,100,1000; quick: 1,10,100]
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) domains: Vec<u32>,
    /// Measure smaller systems, in fewer rounds
    #[arg(long)]
    pub(super) quick: bool,
    #[command(flatten)]
    pub(super) common: LivesArgs,
}

/// What the benchmarks of starts and restarts have in common.
#[derive(Debug, clap::Args)]
pub(super) struct LivesArgs {
    /// Directory of the images of Atoll's own servers load, echo and kv
    #[arg(long, value_name = "DIR", env = "ATOLL_IMAGES")]
    pub(super) images: PathBuf,
    /// The program that measures processes beside Atoll
    #[arg(long, value_name = "PROGRAM", env = "ATOLL_PEERS")]
    pub(super) peers: Option<PathBuf>,
    #[command(flatten)]
    pub(super) outlet: OutletArgs,
}

/// What becomes of findings.
#[derive(Debug, clap::Args)]
pub(super) struct OutletArgs {
    /// Put pictures into this directory, each as SVG and as PNG
    #[arg(long, value_name = "DIR")]
    pub(super) plot: Option<PathBuf>,
    /// Fail if a bar is missed or a case fails
    #[arg(long)]
    pub(super) strict: bool,
}

const STORM_ABOUT: &str = "\
Measure a storm of kills: what becomes of throughput, and of every single request.

A system of this command's own runs kv. Connections to its gateway send numbered requests (SET, GET, \
INCR, ECHO), several at a time, and check each reply; all the while, in every other stretch of time, kv \
is killed at a steady pace, as `vmm kill` does. The connections outlive that. Each request must have one \
definite outcome: its reply, or an error that says that the server restarted. A reply that belongs to \
another request, and an INCR that counted twice or not at all, are found by their numbers.

Throughput is compared round by round: half of a round is without kills. A bar that is missed does not \
make the command fail, unless --strict is given.";

const STORM_EXAMPLES: &str = "\
Examples:
  Ten seconds, half of them with a hundred kills a second:
    vmm bench storm --images target/images

  A minute of kills (and one without), for the record:
    vmm bench storm --images target/images --seconds 60 --plot plots

  Whether every request had one outcome, for a script:
    vmm bench storm --images target/images --seconds 2 --json | jq '.requests'";

#[derive(Debug, clap::Args)]
pub(super) struct StormArgs {
    /// Directory of the images of Atoll's own server kv
    #[arg(long, value_name = "DIR", env = "ATOLL_IMAGES")]
    pub(super) images: PathBuf,
    /// Kill for so many seconds in all, and measure as long without kills
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(super) seconds: u32,
    /// Divide that into so many rounds
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) rounds: u32,
    /// Kill so often
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) kills_per_second: u32,
    /// Load kv through so many connections
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) connections: u32,
    /// Have so many requests of each connection under way
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(super) depth: u32,
    #[command(flatten)]
    pub(super) outlet: OutletArgs,
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
pub(super) struct CoreArgs {
    /// The domain
    pub(super) domain: DomainName,
    /// The file, which must not exist yet [default: DOMAIN.core]
    #[arg(value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) target: Target,
}

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct LettersArgs {
    #[command(subcommand)]
    pub(super) action: Option<LetterAction>,
    #[command(flatten)]
    pub(super) target: Target,
}

/// What is to be done with a dead letter.
#[derive(Debug, Subcommand)]
pub(super) enum LetterAction {
    /// Show one, with its payload
    Show(LetterArgs),
    /// Send one again, and show the reply
    Replay(LetterArgs),
    /// Forget one
    Drop(LetterArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct LetterArgs {
    /// The letter's number
    pub(super) number: u64,
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

//! The command line of `bench`, as clap reads it.

use std::path::PathBuf;

use clap::Subcommand;

use super::super::bench::{named, size};
use crate::bench::kv::case::{Operation, Subject};
use crate::bench::placement::Class;
use crate::bench::restart::case::{Beginning, Fault};
use crate::bench::wire::{Suite, Wait};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct BenchArgs {
    #[command(subcommand)]
    pub(in crate::cli) what: Benchmark,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Benchmark {
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
    /// Measure kv, volatile and durable, beside redis-server: throughput and latency
    #[command(long_about = KV_ABOUT, after_long_help = KV_EXAMPLES)]
    Kv(KvArgs),
    /// Measure what it takes to get back what was kept: kv after a crash, a store with a long log
    #[command(long_about = RECOVERY_ABOUT, after_long_help = RECOVERY_EXAMPLES)]
    Recovery(RecoveryArgs),
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
killed; one domain's end is measured alone and among the most, in turns. Beside them processes are \
started until their first reply.

A bar that is missed does not make the command fail, unless --strict is given.";

const BOOT_EXAMPLES: &str = "\
Examples:
  Everything, beside processes, with a picture:
    vmm bench boot --images target/images --peers target/release/atoll-peers --plot plots

  A thousand domains, once:
    vmm bench boot --images target/images --domains 1000 --rounds 1";

/// Faults, as reports and filters name them.
pub(in crate::cli) const FAULTS: &[&str] =
    &["page-fault", "ud2", "divide", "panic", "stack-overflow", "illegal-port", "kill"];
/// Where incarnations can begin, likewise.
pub(in crate::cli) const BEGINNINGS: &[&str] = &["checkpoint", "image"];

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RestartArgs {
    /// Measure everything so many times [default: 5; quick: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(in crate::cli) rounds: Option<u32>,
    /// Crash each domain so many times in a round [default: 40; quick: 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(in crate::cli) turns: Option<u32>,
    /// Measure fewer cases, in fewer rounds
    #[arg(long)]
    pub(in crate::cli) quick: bool,
    /// Only these faults
    #[arg(long = "fault", value_name = "FAULT", value_delimiter = ',', value_parser = named::<Fault>(FAULTS))]
    pub(in crate::cli) faults: Vec<Fault>,
    /// Only restarts from these
    #[arg(long = "from", value_name = "BEGINNING", value_delimiter = ',', value_parser = named::<Beginning>(BEGINNINGS))]
    pub(in crate::cli) from: Vec<Beginning>,
    #[command(flatten)]
    pub(in crate::cli) common: LivesArgs,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct BootArgs {
    /// Measure everything so many times [default: 5; quick: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(in crate::cli) rounds: Option<u32>,
    /// Start systems of so many domains [default: 1,10,100,1000; quick: 1,10,100]
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(in crate::cli) domains: Vec<u32>,
    /// Measure smaller systems, in fewer rounds
    #[arg(long)]
    pub(in crate::cli) quick: bool,
    #[command(flatten)]
    pub(in crate::cli) common: LivesArgs,
}

/// What the benchmarks of starts and restarts have in common.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct LivesArgs {
    /// Directory of the images of Atoll's own servers load, echo and kv
    #[arg(long, value_name = "DIR", env = "ATOLL_IMAGES")]
    pub(in crate::cli) images: PathBuf,
    /// The program that measures processes beside Atoll
    #[arg(long, value_name = "PROGRAM", env = "ATOLL_PEERS")]
    pub(in crate::cli) peers: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) outlet: OutletArgs,
}

/// What becomes of findings.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct OutletArgs {
    /// Put pictures into this directory, each as SVG and as PNG
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) plot: Option<PathBuf>,
    /// Fail if a bar is missed or a case fails
    #[arg(long)]
    pub(in crate::cli) strict: bool,
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
pub(in crate::cli) struct StormArgs {
    /// Directory of the images of Atoll's own server kv
    #[arg(long, value_name = "DIR", env = "ATOLL_IMAGES")]
    pub(in crate::cli) images: PathBuf,
    /// Kill for so many seconds in all, and measure as long without kills
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(in crate::cli) seconds: u32,
    /// Divide that into so many rounds
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(in crate::cli) rounds: u32,
    /// Kill so often
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(in crate::cli) kills_per_second: u32,
    /// Load kv through so many connections
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(in crate::cli) connections: u32,
    /// Have so many requests of each connection under way
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(in crate::cli) depth: u32,
    #[command(flatten)]
    pub(in crate::cli) outlet: OutletArgs,
}

const KV_ABOUT: &str = "\
Measure kv, volatile and durable, beside redis-server: throughput and latency.

Systems of this command's own run kv alone, and kv with a store, where a change is on disk when it is \
answered; beside them redis-server runs without persistence, and with an append-only file that it \
flushes once a second, or before it answers. All run all the time, and are asked in turns. The load is \
one thread with many connections, as redis-benchmark is: each sends its requests together, and the next \
ones when all have their replies. Every reply is checked: a value names its key.

Throughput is compared round by round. What is on disk goes into directories below --directory, which \
must not be in memory; nothing is left there. A bar that is missed does not make the command fail, \
unless --strict is given.";

const KV_EXAMPLES: &str = "\
Examples:
  Everything, with pictures:
    vmm bench kv --images target/images --plot plots

  What durability costs, on another disk:
    vmm bench kv --images target/images --subject kv,kv-durable --operation set --directory /mnt/disk

  The ratios, for a script:
    vmm bench kv --images target/images --seconds 2 --rounds 2 --json | jq '.ratios'";

/// Servers, as reports and filters name them.
pub(in crate::cli) const SUBJECTS: &[&str] =
    &["kv", "kv-durable", "redis", "redis-everysec", "redis-always"];
/// What is asked of them, likewise.
pub(in crate::cli) const OPERATIONS: &[&str] = &["set", "get"];

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct KvArgs {
    /// Directory of the images of Atoll's own servers kv and store
    #[arg(long, value_name = "DIR", env = "ATOLL_IMAGES")]
    pub(in crate::cli) images: PathBuf,
    /// The program redis-server, if it is not that on the PATH
    #[arg(long, value_name = "PROGRAM", default_value = "redis-server")]
    pub(in crate::cli) redis_server: PathBuf,
    /// Put what is to be durable below this directory
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(in crate::cli) directory: PathBuf,
    /// Measure each server at each task for so many seconds in all
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(in crate::cli) seconds: u32,
    /// Divide that into so many rounds
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(in crate::cli) rounds: u32,
    /// Only these servers
    #[arg(long = "subject", value_name = "SERVER", value_delimiter = ',', value_parser = named::<Subject>(SUBJECTS))]
    pub(in crate::cli) subjects: Vec<Subject>,
    /// Only these commands
    #[arg(long = "operation", value_name = "COMMAND", value_delimiter = ',', value_parser = named::<Operation>(OPERATIONS))]
    pub(in crate::cli) operations: Vec<Operation>,
    /// Have so many requests of each connection under way
    #[arg(long = "depth", value_name = "N", value_delimiter = ',', default_values_t = [16, 1], value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(in crate::cli) depths: Vec<u32>,
    /// Load each server through so many connections; bars are held against 50
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(in crate::cli) connections: u32,
    /// Store so many keys, and ask for any of them
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(in crate::cli) keys: u32,
    /// Bytes of each value
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = value_size)]
    pub(in crate::cli) size: usize,
    #[command(flatten)]
    pub(in crate::cli) outlet: OutletArgs,
}

/// The longest value that is stored.
const VALUE_MAX: usize = 1 << 20;

fn value_size(text: &str) -> Result<usize, String> {
    match size(text)? {
        bytes @ 1..=VALUE_MAX => Ok(bytes),
        _ => Err("a value has 1 byte to 1Mi".to_owned()),
    }
}

const RECOVERY_ABOUT: &str = "\
Measure what it takes to get back what was kept.

Two kv with the same data are crashed in turns, each until it answers with a value that it had: one has \
its data in memory that a restart keeps, the other loads it from its store. And the log of a store is \
written once, its system killed, and started again; the time in which the store reads its log is held \
against a sequential read of as much of the same file, each with the file in the host's memory and \
without.

What is on disk goes into directories below --directory, which must not be in memory; nothing is left \
there. A bar that is missed does not make the command fail, unless --strict is given.";

const RECOVERY_EXAMPLES: &str = "\
Examples:
  What bars are held against:
    vmm bench recovery --images target/images

  A shorter log, once:
    vmm bench recovery --images target/images --log-size 64 --rounds 1";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RecoveryArgs {
    /// Directory of the images of Atoll's own servers kv and store
    #[arg(long, value_name = "DIR", env = "ATOLL_IMAGES")]
    pub(in crate::cli) images: PathBuf,
    /// Put what is to be durable below this directory
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(in crate::cli) directory: PathBuf,
    /// Measure everything so many times
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(in crate::cli) rounds: u32,
    /// Crash each kv so many times in a round
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(in crate::cli) turns: u32,
    /// Memory that a restart of kv keeps, in MiB; the bar is held against 64
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub(in crate::cli) state_size: u64,
    /// The length of the log, in MiB; bars are held against 1024
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(32..=65_536))]
    pub(in crate::cli) log_size: u64,
    /// Bytes of each value
    #[arg(long, value_name = "BYTES", default_value = "1Ki", value_parser = value_size)]
    pub(in crate::cli) size: usize,
    #[command(flatten)]
    pub(in crate::cli) outlet: OutletArgs,
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
pub(in crate::cli) const SUITES: &[&str] = &["round-trip", "one-way", "lent", "calls", "chain"];
/// The ways to wait, likewise.
pub(in crate::cli) const WAITS: &[&str] = &["polling", "adaptive", "blocking"];
/// The classes of placement that can be asked for, likewise.
pub(in crate::cli) const PLACEMENTS: &[&str] = &["siblings", "near", "far"];

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct IpcArgs {
    /// Measure each case so many times, in turns [default: 10; quick: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(in crate::cli) rounds: Option<u32>,
    /// Let a round of a case last about so long [default: 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub(in crate::cli) milliseconds: Option<u32>,
    /// Measure fewer sizes, in fewer rounds
    #[arg(long)]
    pub(in crate::cli) quick: bool,
    /// Only these suites
    #[arg(long = "suite", value_name = "SUITE", value_delimiter = ',', value_parser = named::<Suite>(SUITES))]
    pub(in crate::cli) suites: Vec<Suite>,
    /// Only these subjects: `atoll`, `atoll raw`, `atoll ring`, `atoll gateway`, or a peer by its
    /// name
    #[arg(long = "subject", value_name = "NAME", value_delimiter = ',')]
    pub(in crate::cli) subjects: Vec<String>,
    /// Only messages of these sizes: `64`, `4Ki`, `1Mi`
    #[arg(long = "size", value_name = "BYTES", value_delimiter = ',', value_parser = size)]
    pub(in crate::cli) sizes: Vec<usize>,
    /// Only sides that wait in these ways
    #[arg(long = "wait", value_name = "WAY", value_delimiter = ',', value_parser = named::<Wait>(WAITS))]
    pub(in crate::cli) waits: Vec<Wait>,
    /// Directory of the images of Atoll's own servers load, echo, relay and kv; without it, only
    /// others are measured
    #[arg(long, value_name = "DIR", env = "ATOLL_IMAGES")]
    pub(in crate::cli) images: Option<PathBuf>,
    /// The program that measures others beside Atoll
    #[arg(long, value_name = "PROGRAM", env = "ATOLL_PEERS")]
    pub(in crate::cli) peers: Option<PathBuf>,
    /// Put pictures into this directory, each as SVG and as PNG
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) plot: Option<PathBuf>,
    /// Make figures of rounds with the CPUs placed so, instead of as in most rounds: as threads of
    /// one core, on cores that share a cache, on cores that do not
    #[arg(long, value_name = "CLASS", value_parser = named::<Class>(PLACEMENTS))]
    pub(in crate::cli) placement: Option<Class>,
    /// Fail if a bar is missed or a case fails
    #[arg(long)]
    pub(in crate::cli) strict: bool,
}

//! The command line, as clap reads it.

mod bench;

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser, Subcommand};

use crate::disk::DiskFault;
use crate::exit_code::ExitCode;
use crate::manifest::{DomainName, SystemName, length_of_time};

pub(super) use bench::*;

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
    /// Empty a domain's state region, and begin a new incarnation
    ResetState(DomainArgs),
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
    /// Write a domain, or the whole system, as it is to a file that `vmm run --from` goes on from
    Snapshot(SnapshotArgs),
    /// Show a domain's last faults, and what followed each
    Faults(DomainArgs),
    /// List requests of which server after server has died; show one, send it again, or drop it
    DeadLetters(LettersArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// The system's manifest; by default that of the snapshot
    #[arg(value_name = "SYSTEM.toml", required_unless_present = "from")]
    pub(super) manifest: Option<PathBuf>,
    /// Directory of images named without a path; by default that of the manifest, or of the snapshot
    #[arg(long, value_name = "DIR", env = "ATOLL_IMAGES")]
    pub(super) images: Option<PathBuf>,
    /// Go on from a snapshot with the domains that are in it; the others begin at their images
    #[arg(long, value_name = "FILE")]
    pub(super) from: Option<PathBuf>,
    /// Control socket; by default one named after the system
    #[arg(long, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,
    /// For tests: have a disk meet a fault at its n-th write, where KIND is stop, tear, fail or full
    #[arg(long, value_name = "DISK:KIND@N")]
    pub(super) disk_fault: Vec<DiskFault>,
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
#[command(allow_missing_positional = true)]
pub(super) struct SnapshotArgs {
    /// The domain; without one, all that do not depend on disks, at one moment
    #[arg(value_name = "DOMAIN")]
    pub(super) domain: Option<DomainName>,
    /// The file
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    pub(super) force: bool,
    /// How long it may take until all servers are between two messages
    #[arg(long, value_name = "TIME", default_value = "5 s", value_parser = length_of_time)]
    pub(super) deadline: Duration,
    /// Take none: say what is in the file
    #[arg(long, conflicts_with_all = ["domain", "force", "deadline", "system", "socket"])]
    pub(super) describe: bool,
    /// Take none: print the manifest that is in the file
    #[arg(long, conflicts_with_all = ["describe", "domain", "force", "deadline", "system", "socket"])]
    pub(super) manifest: bool,
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

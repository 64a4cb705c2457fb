//! The command line, as clap reads it.

use std::fmt::Write;
use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand};

use crate::exit_code::ExitCode;
use crate::manifest::{DomainName, SystemName};

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

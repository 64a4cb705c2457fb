//! The `vmm` command: what it accepts, what it prints, how it ends.
//!
//! `run`, `check`, `doctor` and `bench` work on the host; all other commands ask a running system through
//! its control API. Nothing here knows how a system works inside.

mod args;
mod bench;
mod campaign;
mod core_file;
mod disks;
mod error;
mod faults;
mod follow;
mod human;
mod inspect;
mod letters;
mod local;
mod operate;
mod ps;
mod snapshot;
mod style;
mod table;
mod target;

use std::io::Write;

use clap::Parser;

use crate::exit_code::ExitCode;

pub(crate) use follow::Printer;

use args::{Args, Command};
use error::CliError;

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(refusal) => return usage(&refusal),
    };
    log_to_stderr(&args);
    let outcome = match &args.command {
        // It runs for long, and prints from a thread of its own: it may not hold the lock.
        Command::Run(options) => local::run(options, args.json).map(|()| ExitCode::Success),
        // The campaign's worker prints from the thread of its clients.
        Command::Campaign(options) => {
            campaign::campaign(options, args.json, &mut anstream::stdout())
        }
        command => dispatch(command, args.json, &mut anstream::stdout().lock()),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => report(&error, args.json),
    }
}

/// Help and version end well; everything else that the parser reports is wrong usage.
fn usage(refusal: &clap::Error) -> ExitCode {
    // With nobody left to read it, there is nobody to tell either.
    let _ = refusal.print();
    if refusal.use_stderr() { ExitCode::Usage } else { ExitCode::Success }
}

fn dispatch(command: &Command, json: bool, out: &mut dyn Write) -> Result<ExitCode, CliError> {
    match command {
        Command::Run(options) => local::run(options, json)?,
        Command::Campaign(options) => {
            return campaign::campaign(options, json, &mut anstream::stdout());
        }
        Command::Check(options) => local::check(options, json, out)?,
        Command::Doctor => return local::doctor(json),
        Command::Bench(options) => return bench::bench(options, json, out),
        Command::Ps(target) => ps::ps(target, json, out)?,
        Command::Kill(domain) => operate::order(domain, operate::Order::Kill, json, out)?,
        Command::Restart(domain) => operate::order(domain, operate::Order::Restart, json, out)?,
        Command::ResetState(domain) => {
            operate::order(domain, operate::Order::ResetState, json, out)?;
        }
        Command::Pause(domain) => operate::order(domain, operate::Order::Pause, json, out)?,
        Command::Resume(domain) => operate::order(domain, operate::Order::Resume, json, out)?,
        Command::Stop(target) => operate::stop(target, json, out)?,
        Command::Logs(options) => follow::logs(options, json, out)?,
        Command::Events(options) => follow::events(options, json, out)?,
        Command::Inspect(domain) => inspect::inspect(domain, json, out)?,
        Command::Core(options) => core_file::core(options, json, out)?,
        Command::Snapshot(options) => snapshot::snapshot(options, json, out)?,
        Command::DeadLetters(options) => letters::letters(options, json, out)?,
        Command::Faults(domain) => faults::faults(domain, json, out)?,
    }
    Ok(ExitCode::Success)
}

/// Tells what went wrong, unless it is only that the reader has seen enough.
fn report(error: &CliError, json: bool) -> ExitCode {
    if error.is_broken_pipe() {
        return ExitCode::Success;
    }
    let code = error.exit_code();
    let mut err = anstream::stderr().lock();
    // An error about writing to stderr has nowhere to go; the exit code still tells.
    let _ = if json {
        writeln!(err, "{}", error.to_json())
    } else {
        let red = style::ERROR;
        error.to_string().lines().try_for_each(|line| writeln!(err, "{red}error{red:#}: {line}"))
    };
    code
}

fn log_to_stderr(args: &Args) {
    let quiet = if matches!(args.command, Command::Run(_)) { 3 } else { 2 };
    let level = match quiet + args.verbose.min(2) {
        0..=2 => log::LevelFilter::Warn,
        3 => log::LevelFilter::Info,
        4 => log::LevelFilter::Debug,
        _ => log::LevelFilter::Trace,
    };
    let mut logger = env_logger::Builder::new();
    logger.filter_level(level).parse_default_env();
    if logger.try_init().is_err() {
        log::debug!("another logger was set up before");
    }
}

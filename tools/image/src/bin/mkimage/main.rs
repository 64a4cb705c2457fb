//! `mkimage`: makes image files from ELF files, and shows what is in them.
//!
//! This file turns outcomes into exit codes; [`args`] is the command line, [`build`] and
//! [`inspect`] are the two commands.

mod args;
mod build;
mod extract;
mod inspect;
mod size;

use anyhow::Context;
use args::Command;
use clap::Parser;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

/// Why a command failed, with the exit code that tells a script so.
struct Failure {
    code: u8,
    error: anyhow::Error,
}

impl Failure {
    const OTHER: u8 = 1;
    const USAGE: u8 = 2;
    const BAD_FILE: u8 = 4;

    /// The arguments make no sense together.
    fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self { code: Self::USAGE, error: error.into() }
    }

    /// The image or ELF is at fault.
    fn bad_file(error: impl Into<anyhow::Error>) -> Self {
        Self { code: Self::BAD_FILE, error: error.into() }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { code: Self::OTHER, error }
    }
}

fn main() -> ExitCode {
    let outcome = match args::Cli::parse().command {
        Command::Build(args) => build::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Extract(args) => extract::run(&args),
    };
    match outcome.and_then(|text| print(&text).map_err(Failure::from)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, error }) => {
            eprintln!("mkimage: {error:#}");
            ExitCode::from(code)
        }
    }
}

/// Prints a command's result. A reader that has seen enough (`| head`) is no error.
fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output; see where it leads")
        }
        _ => Ok(()),
    }
}

//! `cargo xtask`: builds, runs and tests Atoll. This file owns the way from a command to an exit code.

mod bench;
mod campaign;
mod ci;
mod cli;
mod emulate;
mod emulated_suite;
mod guest;
mod host;
mod images;
mod kvm;
mod manifest;
mod process;
mod programs;
mod run;
mod tally;
mod test;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use ci::ChecksFailed;
use cli::{Cli, Command};
use emulate::{MachineFailed, NotMade};
use workspace::Workspace;

/// Exit codes, as the help text lists them; clap ends with 2 by itself.
const FAILED: u8 = 1;
const MACHINE_FAILED: u8 = 3;

fn main() -> ExitCode {
    match dispatch(&Cli::parse()) {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(FAILED)),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(exit_code(&error))
        }
    }
}

fn dispatch(cli: &Cli) -> Result<i32> {
    let workspace = Workspace::load()?;
    match &cli.command {
        Command::Images(arguments) => {
            images::make(&workspace, &guest::named(&workspace, &arguments.names)?)?;
        }
        Command::Run(arguments) => return run::run(&workspace, arguments),
        Command::Test(arguments) => test::test(&workspace, arguments)?,
        Command::Campaign(arguments) => campaign::run(&workspace, arguments)?,
        Command::Ci(arguments) => ci::ci(&workspace, arguments)?,
        Command::Bench(arguments) => bench::bench(&workspace, &arguments.which)?,
    }
    Ok(0)
}

fn exit_code(error: &anyhow::Error) -> u8 {
    if let Some(failed) = error.downcast_ref::<ChecksFailed>() {
        return failed.code.and_then(|code| u8::try_from(code).ok()).unwrap_or(FAILED);
    }
    let machine = error.is::<MachineFailed>() || error.is::<NotMade>();
    if machine { MACHINE_FAILED } else { FAILED }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    #[test]
    fn failed_checks_end_with_the_exit_code_of_the_first() {
        for (code, expected) in [(Some(3), MACHINE_FAILED), (Some(1), FAILED), (None, FAILED)] {
            let failed = ChecksFailed { names: vec!["amd-v"], code };
            assert_eq!(exit_code(&failed.into()), expected);
        }
    }

    #[test]
    fn a_machine_that_cannot_be_made_has_its_exit_code_whatever_is_said_around_it() {
        let error = anyhow!("no apt-get").context(NotMade).context("the check failed");
        assert_eq!(exit_code(&error), MACHINE_FAILED);
        let error = Err::<(), _>(anyhow!("a test failed")).context("the check failed").unwrap_err();
        assert_eq!(exit_code(&error), FAILED);
    }
}

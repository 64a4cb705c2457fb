//! Owns how other programs are started and what counts as their failure.

use std::env;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

use crate::tally::{Counter, Tally};

/// The cargo that started this program, so that everything is built by one toolchain.
pub fn cargo() -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    // Set by `cargo run` for the program that it runs, not for what that starts.
    command.env_remove("LD_LIBRARY_PATH");
    command
}

/// Runs `command`, whose output goes where ours goes; not to succeed is an error.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| starting(command))?;
    if !status.success() {
        bail!("`{}` failed ({status})", shown(command));
    }
    Ok(())
}

/// Runs a test command: what it says goes to `out`, and the results in it are counted.
pub fn run_tests(command: &mut Command, out: &mut impl Write) -> Result<(Tally, ExitStatus)> {
    if io::stderr().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| starting(command))?;
    let mut counter = Counter::default();
    if let Some(stdout) = child.stdout.take() {
        let mut stdout = BufReader::new(stdout);
        loop {
            let bytes = stdout.fill_buf().context("reading what the tests say")?;
            if bytes.is_empty() {
                break;
            }
            out.write_all(bytes)?;
            out.flush()?;
            counter.read(bytes);
            let count = bytes.len();
            stdout.consume(count);
        }
    }
    let status = child.wait().with_context(|| format!("waiting for `{}`", shown(command)))?;
    Ok((counter.tally(), status))
}

fn starting(command: &Command) -> String {
    format!("starting `{}`", shown(command))
}

/// The command as one would type it.
fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    std::iter::once(name)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_its_status() {
        let error = run(Command::new("sh").args(["-c", "exit 4"])).unwrap_err();
        assert_eq!(error.to_string(), "`sh -c exit 4` failed (exit status: 4)");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = run(&mut Command::new("/nowhere/nothing")).unwrap_err();
        assert_eq!(error.to_string(), "starting `nothing`");
    }

    #[test]
    fn test_results_are_counted_and_the_status_is_kept() {
        let script =
            "echo 'test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured'; exit 101";
        let mut said = Vec::new();
        let mut command = Command::new("sh");
        let (tally, status) = run_tests(command.args(["-c", script]), &mut said).unwrap();
        assert!(said.starts_with(b"test result: FAILED. 2 passed"));
        assert_eq!((tally.passed, tally.failed, status.code()), (2, 1, Some(101)));
    }
}

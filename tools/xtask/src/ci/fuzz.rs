//! Owns the fuzz targets' part in the checks: their form, their lints, and a run of bounded length.
//!
//! They are a workspace of their own, ipc/fuzz, whose README says what a finding is.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::needs;
use crate::process;
use crate::workspace::Workspace;

/// The fuzz targets: each has a program, a corpus, and a folder of what it found by itself.
const TARGETS: [&str; 2] = ["ring", "channel"];

/// How long each runs, in seconds: what is found by chance is found on somebody's desk; here it
/// counts that the targets work and that the corpus finds nothing.
const SECONDS: u32 = 10;

/// Longer inputs add repetitions of what shorter ones do.
const INPUT_MAX: u32 = 1200;

/// An input that takes longer than so many seconds is one that does not end.
const HANG: u32 = 10;

const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// Coverage for libFuzzer, and AddressSanitizer for what is read and written out of bounds.
const FLAGS: [&str; 9] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg",
    "fuzzing",
    "-Zsanitizer=address",
    "-Ccodegen-units=1",
];

/// Whether the targets are formatted as everything else is.
pub fn format(workspace: &Workspace) -> Result<()> {
    let mut command = process::cargo();
    process::run(command.args(["fmt", "--check"]).current_dir(folder(workspace)))
}

/// The lints of everything else, on the targets and on the programs that they share with the tests.
pub fn lints(workspace: &Workspace) -> Result<()> {
    let mut command = process::cargo();
    command
        .args(["clippy", "--locked", "--all-targets"])
        // Nothing is linked here, so libFuzzer need not be compiled.
        .env("CUSTOM_LIBFUZZER_PATH", "/dev/null")
        .env("CARGO_TARGET_DIR", output(workspace))
        .current_dir(folder(workspace));
    process::run(command.args(["--", "-D", "warnings"]))
}

/// Runs each target for some seconds, from the corpus that is checked in.
pub fn run(workspace: &Workspace) -> Result<()> {
    if !can_run()? {
        return Ok(());
    }
    let output = output(workspace);
    for target in TARGETS {
        let found = output.join("new").join(target);
        fs::create_dir_all(&found).with_context(|| format!("making {}", found.display()))?;
        eprintln!("fuzz: {target}, {SECONDS} s");
        quietly(&mut command(workspace, &output, target)).with_context(|| {
            format!(
                "fuzzing `{target}`: an input that failed, if one did, is in {}, and belongs in \
                 ipc/fuzz/corpus/{target} with the fix",
                output.display()
            )
        })?;
    }
    Ok(())
}

/// What the targets are built with: nightly's AddressSanitizer, and C++, in which libFuzzer is written.
fn can_run() -> Result<bool> {
    let remedy = "rustup toolchain install nightly --profile minimal";
    let nightly = needs::met(&mut needs::nightly(&["--version"]), "nightly toolchain", remedy)?;
    let compiler = || {
        let mut probe = Command::new("c++");
        needs::met(probe.arg("--version"), "C++ compiler", "apt-get install g++")
    };
    Ok(nightly && compiler()?)
}

/// Runs `command`; what it says is worth reading only if it fails, for libFuzzer, even at its least
/// verbose, ends with a page of advice.
fn quietly(command: &mut Command) -> Result<()> {
    let output = command.output().context("starting rustup")?;
    if !output.status.success() {
        io::stderr().write_all(&output.stderr)?;
        bail!("the last lines say what failed ({})", output.status);
    }
    Ok(())
}

fn command(workspace: &Workspace, output: &Path, target: &str) -> Command {
    let mut command = needs::nightly(&[
        "run",
        "--locked",
        "--release",
        "--target",
        TRIPLE,
        "--bin",
        target,
        "--",
    ]);
    command
        .arg(output.join("new").join(target))
        .arg(Path::new("corpus").join(target))
        .arg(format!("-max_total_time={SECONDS}"))
        .arg(format!("-max_len={INPUT_MAX}"))
        .arg(format!("-timeout={HANG}"))
        .arg("-verbosity=0")
        .arg(format!("-artifact_prefix={}/", output.display()))
        .env("RUSTFLAGS", FLAGS.join(" "))
        .env("CARGO_TARGET_DIR", output)
        .current_dir(folder(workspace));
    command
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.root.join("ipc/fuzz")
}

/// A directory of its own: the flags would have everything else built anew.
fn output(workspace: &Workspace) -> PathBuf {
    workspace.target.join("fuzz")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_fails_is_a_failure() {
        assert!(quietly(&mut Command::new("true")).is_ok());
        let error = quietly(Command::new("sh").args(["-c", "exit 77"])).unwrap_err();
        assert_eq!(error.to_string(), "the last lines say what failed (exit status: 77)");
    }

    #[test]
    fn every_target_is_run_and_has_a_corpus() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ipc/fuzz");
        let names = |below: &str| {
            let entries = fs::read_dir(folder.join(below)).unwrap();
            let paths = entries.map(|entry| entry.unwrap().path());
            let mut names: Vec<_> =
                paths.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
            names.sort();
            names
        };
        let mut targets = TARGETS.map(str::to_owned);
        targets.sort();
        assert_eq!(names("fuzz_targets"), targets);
        assert_eq!(names("corpus"), targets);
    }
}

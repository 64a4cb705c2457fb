//! Owns `cargo xtask ci`: the checks, and what each one does.

mod fuzz;
mod lanes;
mod miri;
mod needs;

use std::io::{self, Write};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::campaign;
use crate::cli::{CampaignArgs, CiArgs, TestArgs};
use crate::guest;
use crate::host::{self, Place};
use crate::process::{self, cargo};
use crate::test;
use crate::workspace::Workspace;

pub use lanes::ChecksFailed;

/// The package whose protocol is checked by loom and Miri.
const PROTOCOL: &str = "atoll-ipc";

/// Faults that the check of that name injects: half a minute's worth.
const FAULTS: u32 = 500;

/// A check, by the name that it is asked for.
type Check = (&'static str, fn(&Workspace) -> Result<()>);

/// All checks, in the order in which they run if they do not run beside one another.
const CHECKS: [Check; 10] = [
    ("format", format),
    ("lints", host_lints),
    ("guest-lints", guest_lints),
    ("documentation", documentation),
    ("tests", tests),
    ("campaign", faults),
    ("loom", loom),
    ("miri", miri::run),
    ("fuzzing", fuzz::run),
    ("amd-v", amd_v),
];

/// The names of all checks.
pub fn names() -> [&'static str; CHECKS.len()] {
    CHECKS.map(|(name, _)| name)
}

/// Runs the checks that are asked for, one after another; all of them, which is what nobody asks for
/// by name, beside one another.
pub fn ci(workspace: &Workspace, arguments: &CiArgs) -> Result<()> {
    if arguments.checks.is_empty() {
        return lanes::run(workspace);
    }
    for (name, check) in CHECKS {
        if arguments.checks.iter().any(|asked| asked == name) {
            check(workspace).with_context(|| format!("the check `{name}` failed"))?;
        }
    }
    Ok(())
}

fn in_workspace(workspace: &Workspace, words: &[&str]) -> Command {
    let mut command = cargo();
    command.args(words).current_dir(&workspace.root);
    command
}

fn format(workspace: &Workspace) -> Result<()> {
    process::run(&mut in_workspace(workspace, &["fmt", "--all", "--check"]))?;
    fuzz::format(workspace)
}

fn host_lints(workspace: &Workspace) -> Result<()> {
    let mut command = in_workspace(workspace, &["clippy", "--workspace", "--all-targets"]);
    process::run(command.args(["--exclude", guest::KERNEL, "--", "-D", "warnings"]))?;
    fuzz::lints(workspace)
}

/// The same programs as are put into images, compiled with the same flags.
fn guest_lints(workspace: &Workspace) -> Result<()> {
    let servers = guest::named(workspace, &[])?;
    if servers.is_empty() {
        bail!("there is no guest server below guest-servers/");
    }
    let mut command = guest::cargo_for(workspace, "clippy", &servers);
    process::run(command.args(["--", "-D", "warnings"]))
}

fn documentation(workspace: &Workspace) -> Result<()> {
    let host = ["--workspace", "--exclude", guest::KERNEL];
    for packages in [&host[..], &["-p", guest::KERNEL]] {
        let mut command = in_workspace(workspace, &["doc", "--no-deps"]);
        process::run(command.args(packages).env("RUSTDOCFLAGS", "-D warnings"))?;
    }
    Ok(())
}

fn loom(workspace: &Workspace) -> Result<()> {
    let mut command =
        in_workspace(workspace, &["test", "-p", PROTOCOL, "--release", "--test", "loom"]);
    // A directory of its own: the flag would have everything else built anew.
    command.env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", workspace.target.join("loom"));
    some_passed(&mut command, &mut io::stdout())
}

/// A check by tests that finds none to run has checked nothing.
fn some_passed(command: &mut Command, out: &mut impl Write) -> Result<()> {
    let (tally, status) = process::run_tests(command, out)?;
    if !status.success() {
        bail!("{tally} ({status})");
    }
    if tally.passed == 0 {
        bail!("no test ran, which proves nothing");
    }
    Ok(())
}

fn tests(workspace: &Workspace) -> Result<()> {
    test::test(workspace, &TestArgs { amd_v: false, filter: None, rest: Vec::new() })
}

/// Kinds and places are the same each time; so is what must not come of them.
fn faults(workspace: &Workspace) -> Result<()> {
    if host::place(false) == Place::Emulated {
        eprintln!("without a KVM of this host there is no campaign");
        return Ok(());
    }
    let arguments = CampaignArgs { faults: FAULTS, seed: 1, json: false, report: None };
    campaign::run(workspace, &arguments)
}

fn amd_v(workspace: &Workspace) -> Result<()> {
    if host::place(false) == Place::Emulated {
        eprintln!("the check `tests` runs there already");
        return Ok(());
    }
    test::test(workspace, &TestArgs { amd_v: true, filter: None, rest: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(script: &str) -> Result<()> {
        some_passed(Command::new("sh").args(["-c", script]), &mut io::sink())
    }

    #[test]
    fn a_check_without_tests_fails() {
        let none = passes("exit 0").unwrap_err();
        assert_eq!(none.to_string(), "no test ran, which proves nothing");
        assert!(passes("echo 'test result: ok. 1 passed; 0 failed; 0 ignored'").is_ok());
        assert!(passes("echo 'test result: ok. 1 passed; 0 failed; 0 ignored'; exit 1").is_err());
    }
}

//! Owns `cargo xtask test`: which suites there are, in what order, and the line that sums them up.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::cli::TestArgs;
use crate::emulated_suite;
use crate::guest;
use crate::host::{self, Place};
use crate::images;
use crate::process::{self, cargo};
use crate::tally::Tally;
use crate::workspace::Workspace;

/// The package of the whole-system tests.
pub const SYSTEM_TESTS: &str = "atoll-tests";

/// Runs the suites that `arguments` ask for. Every suite runs, whatever became of the one before,
/// unless it could not even be built.
pub fn test(workspace: &Workspace, arguments: &TestArgs) -> Result<()> {
    let start = Instant::now();
    let place = host::place(arguments.amd_v);
    let mut total = Tally::default();
    if !arguments.amd_v {
        total.add(&crate_tests(workspace, arguments)?);
    }
    let before = total.passed + total.failed;
    total.add(&system_tests(workspace, arguments, place)?);
    let system = total.passed + total.failed - before;
    if arguments.filter.is_none() && system == 0 {
        bail!("the whole-system suite ran no test at all, which proves nothing");
    }
    sum_up(&total, place, arguments, start.elapsed().as_secs_f64())
}

/// The tests of the crates themselves, guest servers' libraries included, for which no KVM is needed.
fn crate_tests(workspace: &Workspace, arguments: &TestArgs) -> Result<Tally> {
    eprintln!("test: the crates");
    let mut command = cargo();
    command
        .args(["test", "--no-fail-fast", "--workspace", "--exclude", SYSTEM_TESTS])
        .args(&arguments.filter)
        .arg("--")
        .args(libtest_arguments(arguments))
        .current_dir(&workspace.root);
    counted(&mut command, &mut io::stdout())
}

/// The tests that start whole systems.
fn system_tests(workspace: &Workspace, arguments: &TestArgs, place: Place) -> Result<Tally> {
    host::build_vmm(workspace)?;
    images::make(workspace, &guest::named(workspace, &[])?)?;
    match place {
        Place::Host => {
            eprintln!("test: whole systems on /dev/kvm");
            on_this_host(workspace, arguments)
        }
        Place::Emulated => {
            eprintln!("test: whole systems on emulated AMD-V");
            emulated_suite::run(workspace, arguments)
        }
    }
}

fn on_this_host(workspace: &Workspace, arguments: &TestArgs) -> Result<Tally> {
    let mut command = cargo();
    command
        .args(["test", "--no-fail-fast", "-p", SYSTEM_TESTS])
        .args(&arguments.filter)
        .arg("--")
        .args(libtest_arguments(arguments))
        .envs(locations(workspace.vmm(), workspace.images(), workspace.manifests()))
        .current_dir(&workspace.root);
    counted(&mut command, &mut io::stdout())
}

/// How whole-system tests find what they test.
pub fn locations(
    vmm: PathBuf,
    images: PathBuf,
    manifests: PathBuf,
) -> [(&'static str, PathBuf); 3] {
    [("ATOLL_VMM", vmm), ("ATOLL_IMAGES", images), ("ATOLL_MANIFESTS", manifests)]
}

/// What test programs are told besides the filter. They write to a pipe here, so whether to use colours
/// is for us to say.
pub fn libtest_arguments(arguments: &TestArgs) -> Vec<String> {
    let mut words = Vec::new();
    if io::stdout().is_terminal() {
        words.push("--color=always".to_owned());
    }
    words.extend(arguments.rest.iter().cloned());
    words
}

/// Runs a test command. Failed tests are in the count; a failure without any is one to stop at.
fn counted(command: &mut Command, out: &mut impl Write) -> Result<Tally> {
    let (tally, status) = process::run_tests(command, out)?;
    if !status.success() && tally.failed == 0 {
        bail!("the tests could not be built or did not run to their end ({status})");
    }
    Ok(tally)
}

fn sum_up(total: &Tally, place: Place, arguments: &TestArgs, seconds: f64) -> Result<()> {
    let place = match place {
        Place::Host => "/dev/kvm",
        Place::Emulated => "emulated AMD-V",
    };
    if let (Some(filter), 0) = (&arguments.filter, total.passed + total.failed) {
        bail!("no test's name contains `{filter}`");
    }
    let line = format!("{total}; whole systems on {place}; {seconds:.0} s");
    if total.failed > 0 {
        bail!("tests failed: {line}");
    }
    println!("test: ok: {line}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(filter: Option<&str>) -> TestArgs {
        TestArgs { amd_v: false, filter: filter.map(str::to_owned), rest: Vec::new() }
    }

    fn tally(passed: u64, failed: u64) -> Tally {
        Tally { passed, failed, programs: 1, ..Tally::default() }
    }

    #[test]
    fn a_failed_test_or_a_filter_that_fits_none_is_a_failure() {
        assert!(sum_up(&tally(3, 0), Place::Host, &arguments(None), 1.0).is_ok());
        let error = sum_up(&tally(3, 1), Place::Host, &arguments(None), 1.0).unwrap_err();
        let expected = "tests failed: 3 passed, 1 failed, 0 ignored in 1 test programs; \
            whole systems on /dev/kvm; 1 s";
        assert_eq!(error.to_string(), expected);
        let error = sum_up(&tally(0, 0), Place::Host, &arguments(Some("x")), 1.0).unwrap_err();
        assert_eq!(error.to_string(), "no test's name contains `x`");
    }

    #[test]
    fn tests_that_fail_without_a_count_stop_the_run() {
        let error =
            counted(Command::new("sh").args(["-c", "exit 101"]), &mut io::sink()).unwrap_err();
        assert!(error.to_string().contains("could not be built"), "{error}");
        let script = "echo 'test result: FAILED. 0 passed; 1 failed; 0 ignored'; exit 101";
        let counted = counted(Command::new("sh").args(["-c", script]), &mut io::sink()).unwrap();
        assert_eq!(counted.failed, 1);
    }
}

//! Owns `cargo xtask test`: which suites there are, in what order, and the line that sums them up.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::cli::TestArgs;
use crate::emulated_suite;
use crate::guest;
use crate::host::{self, Place};
use crate::images;
use crate::process::{self, cargo};
use crate::programs::{self, Program};
use crate::tally::Tally;
use crate::workspace::Workspace;

/// What the suites that ran came to.
#[derive(Debug, Default)]
struct Outcome {
    tally: Tally,
    /// What did not run to its end, and so may hide failed tests.
    broken: Vec<String>,
}

/// Runs the suites that `arguments` ask for. Every suite runs, whatever became of the one before,
/// unless it could not even be built.
pub fn test(workspace: &Workspace, arguments: &TestArgs) -> Result<()> {
    let start = Instant::now();
    let place = host::place(arguments.amd_v);
    let programs = programs::compile(workspace)?;
    let mut total = Outcome::default();
    if !arguments.amd_v {
        eprintln!("test: the crates");
        total.run(&programs.crates, arguments, &[]);
        total.run_documentation(workspace, arguments)?;
    }
    let before = total.tally.passed + total.tally.failed;
    system_tests(workspace, arguments, place, &programs.systems, &mut total)?;
    let system = total.tally.passed + total.tally.failed - before;
    if arguments.filter.is_none() && system == 0 {
        bail!("the whole-system suite ran no test at all, which proves nothing");
    }
    sum_up(&total, place, arguments, start.elapsed().as_secs_f64())
}

impl Outcome {
    /// Runs `programs` one after another, each with the environment that is given.
    fn run(&mut self, programs: &[Program], arguments: &TestArgs, environment: &[(&str, PathBuf)]) {
        for program in programs {
            let mut command = program.command();
            command.args(&arguments.filter).args(libtest_arguments(arguments));
            command.envs(environment.iter().map(|(name, value)| (name, value)));
            println!("\n     Running {} ({})", program.name, program.folder.display());
            let start = Instant::now();
            match program.run(&mut command, &mut io::stdout()) {
                Ok(tally) => self.tally.add(&tally),
                Err(error) => self.broken.push(error.to_string()),
            }
            println!("     {}: {:.1} s", program.name, start.elapsed().as_secs_f64());
        }
    }

    /// The examples in the documentation, which only cargo can run.
    fn run_documentation(&mut self, workspace: &Workspace, arguments: &TestArgs) -> Result<()> {
        let mut command = cargo();
        command
            .args(["test", "--no-fail-fast", "--workspace", "--exclude", guest::KERNEL, "--doc"])
            .args(&arguments.filter)
            .arg("--")
            .args(libtest_arguments(arguments))
            .current_dir(&workspace.root);
        let (tally, status) = process::run_tests(&mut command, &mut io::stdout())?;
        if !status.success() && tally.failed == 0 {
            self.broken.push(format!("the examples in the documentation did not run ({status})"));
        }
        self.tally.add(&tally);
        Ok(())
    }
}

/// The tests that start whole systems.
fn system_tests(
    workspace: &Workspace,
    arguments: &TestArgs,
    place: Place,
    programs: &[Program],
    total: &mut Outcome,
) -> Result<()> {
    host::build_vmm(workspace)?;
    images::make(workspace, &guest::named(workspace, &[])?)?;
    match place {
        Place::Host => {
            eprintln!("test: whole systems on /dev/kvm");
            let files = locations(workspace.vmm(), workspace.images(), workspace.manifests());
            total.run(programs, arguments, &files);
        }
        Place::Emulated => {
            eprintln!("test: whole systems on emulated AMD-V");
            total.tally.add(&emulated_suite::run(workspace, arguments, programs)?);
        }
    }
    Ok(())
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

fn sum_up(total: &Outcome, place: Place, arguments: &TestArgs, seconds: f64) -> Result<()> {
    let place = match place {
        Place::Host => "/dev/kvm",
        Place::Emulated => "emulated AMD-V",
    };
    if !total.broken.is_empty() {
        bail!("{}; the others: {}", total.broken.join("; "), total.tally);
    }
    let total = &total.tally;
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

    fn outcome(passed: u64, failed: u64) -> Outcome {
        let tally = Tally { passed, failed, programs: 1, ..Tally::default() };
        Outcome { tally, broken: Vec::new() }
    }

    #[test]
    fn a_failed_test_or_a_filter_that_fits_none_is_a_failure() {
        assert!(sum_up(&outcome(3, 0), Place::Host, &arguments(None), 1.0).is_ok());
        let error = sum_up(&outcome(3, 1), Place::Host, &arguments(None), 1.0).unwrap_err();
        let expected = "tests failed: 3 passed, 1 failed, 0 ignored in 1 test programs; \
            whole systems on /dev/kvm; 1 s";
        assert_eq!(error.to_string(), expected);
        let error = sum_up(&outcome(0, 0), Place::Host, &arguments(Some("x")), 1.0).unwrap_err();
        assert_eq!(error.to_string(), "no test's name contains `x`");
    }

    #[test]
    fn a_program_that_broke_is_a_failure_though_no_test_failed() {
        let mut outcome = outcome(3, 0);
        outcome.run(
            &[Program { folder: "/".into(), name: "x".into(), path: "/bin/false".into() }],
            &arguments(None),
            &[],
        );
        let error = sum_up(&outcome, Place::Host, &arguments(None), 1.0).unwrap_err().to_string();
        assert!(error.contains("the test program `x` did not run to its end"), "{error}");
        assert!(error.ends_with("the others: 3 passed, 0 failed, 0 ignored in 1 test programs"));
    }
}

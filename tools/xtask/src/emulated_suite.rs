//! Owns the whole-system suite as a job for the emulated machine: the same test programs, shipped.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::cli::TestArgs;
use crate::emulate::{self, Job, Kind, Shipped, Step};
use crate::process::cargo;
use crate::run::{self, all_images};
use crate::tally::{Counter, Tally};
use crate::test::{SYSTEM_TESTS, libtest_arguments, locations};
use crate::workspace::Workspace;

/// When the machine is taken to hang. The suite should need a small part of it.
const DEADLINE: Duration = Duration::from_secs(15 * 60);

/// Where things are in the machine.
const PROGRAMS: &str = "/atoll/tests";
const MANIFESTS: &str = "/atoll/manifests";

/// A compiled test program.
#[derive(Debug, PartialEq, Eq)]
struct Program {
    name: String,
    path: PathBuf,
}

/// Compiles the suite, runs it inside and counts its results.
pub fn run(workspace: &Workspace, arguments: &TestArgs) -> Result<Tally> {
    let programs = compile(workspace)?;
    let job = job(workspace, arguments, &programs)?;
    let mut counter = Counter::default();
    let mut out = io::stdout();
    let code = emulate::run(&workspace.emulate(), &job, |bytes| {
        counter.read(bytes);
        // The count matters, and the exit code; nobody to read the rest is no failure of the tests.
        let _ = out.write_all(bytes).and_then(|()| out.flush());
    })?;
    let tally = counter.tally();
    judge(&tally, code, programs.len())?;
    Ok(tally)
}

/// Each program must have said what came of it, and the exit code must agree.
fn judge(tally: &Tally, code: i32, programs: usize) -> Result<()> {
    if tally.programs != programs as u64 {
        bail!(
            "{programs} test programs ran inside, but {} gave a result (exit code {code})",
            tally.programs
        );
    }
    if (code != 0) != (tally.failed != 0) {
        bail!("the tests inside ended with exit code {code}, but {} failed", tally.failed);
    }
    Ok(())
}

fn job(workspace: &Workspace, arguments: &TestArgs, programs: &[Program]) -> Result<Job> {
    let vmm = run::vmm(workspace);
    let mut environment = run::environment();
    for (name, value) in locations(vmm.to.clone().into(), run::IMAGES.into(), MANIFESTS.into()) {
        environment.push((name.to_owned(), value.display().to_string()));
    }
    // Emulation has the speed of one slow CPU: tests side by side would only run into each other's deadlines.
    environment.push(("RUST_TEST_THREADS".to_owned(), "1".to_owned()));
    let mut files = vec![vmm];
    files.extend(all_images(workspace)?);
    files.extend(manifests(&workspace.manifests())?);
    files.extend(programs.iter().map(|program| Shipped {
        from: program.path.clone(),
        to: inside(program),
        kind: Kind::Program,
    }));
    let steps = programs.iter().map(|program| step(program, arguments)).collect();
    Ok(Job { files, environment, steps, deadline: Some(DEADLINE), ..Job::default() })
}

fn step(program: &Program, arguments: &TestArgs) -> Step {
    let mut command = vec![inside(program)];
    command.extend(arguments.filter.clone());
    command.extend(libtest_arguments(arguments));
    Step { name: program.name.clone(), command }
}

fn inside(program: &Program) -> String {
    format!("{PROGRAMS}/{}", program.name)
}

fn manifests(directory: &Path) -> Result<Vec<Shipped>> {
    let entries = fs::read_dir(directory)
        .with_context(|| format!("listing the manifests in {}", directory.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".toml") {
            let from = directory.join(&name);
            files.push(Shipped { from, to: format!("{MANIFESTS}/{name}"), kind: Kind::Data });
        }
    }
    files.sort_by(|a, b| a.to.cmp(&b.to));
    Ok(files)
}

fn compile(workspace: &Workspace) -> Result<Vec<Program>> {
    let output = cargo()
        .args(["test", "--no-run", "-p", SYSTEM_TESTS])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(&workspace.root)
        .stderr(Stdio::inherit())
        .output()
        .context("starting cargo")?;
    if !output.status.success() {
        bail!("the whole-system tests could not be built; the reasons are above");
    }
    Ok(test_programs(&String::from_utf8_lossy(&output.stdout)))
}

#[derive(Deserialize)]
struct Message {
    target: Option<MessageTarget>,
    profile: Option<MessageProfile>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct MessageTarget {
    name: String,
}

#[derive(Deserialize)]
struct MessageProfile {
    test: bool,
}

/// The test programs among what cargo says it made.
fn test_programs(messages: &str) -> Vec<Program> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
        .filter(|message| message.profile.as_ref().is_some_and(|profile| profile.test))
        .filter_map(|message| {
            Some(Program { name: message.target?.name, path: message.executable? })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_programs_are_told_from_other_artifacts() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"redis"},"profile":{"test":false},"executable":null}
{"reason":"compiler-artifact","target":{"name":"atoll-tests"},"profile":{"test":true},"executable":"/t/atoll_tests-1"}
{"reason":"compiler-artifact","target":{"name":"bench"},"profile":{"test":false},"executable":"/t/bench"}
{"reason":"build-script-executed","package_id":"x"}
not a message
{"reason":"compiler-artifact","target":{"name":"restart"},"profile":{"test":true},"executable":"/t/restart-2"}
{"reason":"build-finished","success":true}"#;
        let expected = [
            Program { name: "atoll-tests".into(), path: "/t/atoll_tests-1".into() },
            Program { name: "restart".into(), path: "/t/restart-2".into() },
        ];
        assert_eq!(test_programs(messages), expected);
    }

    #[test]
    fn the_count_and_the_exit_code_must_agree() {
        let tally = |failed| Tally { passed: 3, failed, programs: 2, ..Tally::default() };
        assert!(judge(&tally(0), 0, 2).is_ok());
        assert!(judge(&tally(1), 101, 2).is_ok(), "the summary tells of it");
        assert!(judge(&tally(0), 101, 2).is_err(), "failed without a failed test");
        assert!(judge(&tally(1), 0, 2).is_err(), "a failed test without a failure");
        assert!(judge(&tally(0), 0, 3).is_err(), "a program without a result");
    }

    #[test]
    fn a_step_is_the_program_with_the_filter() {
        let program = Program { name: "restart".into(), path: "/t/restart-2".into() };
        let rest = vec!["--nocapture".to_owned()];
        let arguments = TestArgs { amd_v: true, filter: Some("kill".into()), rest };
        let step = step(&program, &arguments);
        assert_eq!(step.command[..2], ["/atoll/tests/restart", "kill"]);
        assert_eq!(step.command.last().map(String::as_str), Some("--nocapture"));
    }
}

//! Owns the whole-system suite as a job for the emulated machine: the same test programs, shipped.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::cli::TestArgs;
use crate::emulate::{self, Job, Kind, Shipped, Step};
use crate::programs::Program;
use crate::run::{self, all_images};
use crate::tally::{Counter, HEADING, Tally};
use crate::test::{libtest_arguments, locations};
use crate::workspace::Workspace;

/// When the machine is taken to hang. The suite should need a small part of it.
const DEADLINE: Duration = Duration::from_secs(15 * 60);

/// Where things are in the machine.
const PROGRAMS: &str = "/atoll/tests";
const MANIFESTS: &str = "/atoll/manifests";

/// Programs that would see the same on any KVM: they test what the VMM makes of manifests and images, its
/// sockets and its control API, what kv replies, and the tests' own judge. The kind of KVM shows in how
/// domains are made, run, fault, are kicked out of the guest, sleep, are woken, restored and moved, and in
/// what outlives them: everything else is about that.
const SAME_ON_ANY_KVM: [&str; 5] = ["bad_input", "clients", "control", "kv", "ledger"];

/// The programs that run inside: all of them where the machine stands in for a KVM that this host lacks, or
/// if tests were named; else those that depend on the kind of KVM.
fn chosen(arguments: &TestArgs, programs: &[Program]) -> Vec<Program> {
    let all = !arguments.amd_v || arguments.filter.is_some();
    let same = |program: &&Program| SAME_ON_ANY_KVM.contains(&program.name.as_str());
    programs.iter().filter(|program| all || !same(program)).cloned().collect()
}

/// Runs the suite inside and counts its results.
pub fn run(workspace: &Workspace, arguments: &TestArgs, programs: &[Program]) -> Result<Tally> {
    let programs = &chosen(arguments, programs)[..];
    let job = job(workspace, arguments, programs)?;
    let mut counter = Counter::default();
    let mut out = io::stdout();
    let code = emulate::run(&workspace.emulate(), &job, |bytes| {
        counter.read(bytes);
        // The count matters, and the exit code; nobody to read the rest is no failure of the tests.
        let _ = out.write_all(bytes).and_then(|()| out.flush());
    })?;
    judge(&counter, code, programs)?;
    Ok(counter.tally())
}

/// Each program must have said what came of it, and the exit code must agree.
fn judge(counter: &Counter, code: i32, programs: &[Program]) -> Result<()> {
    let missing: Vec<_> = programs
        .iter()
        .filter(|program| counter.results_of(&program.name) != 1)
        .map(|program| format!("`{}`", program.name))
        .collect();
    let failed = counter.tally().failed;
    if !missing.is_empty() {
        bail!(
            "of the {} test programs inside, these did not say once what came of them: {} \
             (exit code {code}, {failed} tests failed)",
            programs.len(),
            missing.join(", ")
        );
    }
    if (code != 0) != (failed != 0) {
        bail!("the tests inside ended with exit code {code}, but {failed} failed");
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
    // The output of all programs comes on one line, and should say whose it is.
    let script = format!("echo; echo \"{HEADING}$0\"; exec \"$@\"");
    let mut command = vec!["sh".to_owned(), "-c".to_owned(), script, program.name.clone()];
    command.push(inside(program));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn program(name: &str) -> Program {
        Program { folder: "/w/tests".into(), name: name.into(), path: format!("/t/{name}").into() }
    }

    #[test]
    fn only_what_depends_on_the_kind_of_kvm_is_tested_on_a_second_one() {
        let chosen = |amd_v, filter: Option<&str>| {
            let filter = filter.map(str::to_owned);
            let names = ["bad_input", "faults"].map(program);
            chosen(&TestArgs { amd_v, filter, rest: Vec::new() }, &names).len()
        };
        assert_eq!(chosen(true, None), 1);
        assert_eq!((chosen(false, None), chosen(true, Some("x"))), (2, 2));
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/tests");
        let path = |name| folder.join(name).with_extension("rs");
        assert!(SAME_ON_ANY_KVM.iter().all(|name| path(name).is_file()));
    }

    /// What is said of this output of `restart` and `state`, with an exit code.
    fn judged(code: i32, restart: &str, state: &str) -> Result<(), String> {
        let mut counter = Counter::default();
        counter.read(format!("{HEADING}restart\n{restart}\n{HEADING}state\n{state}\n").as_bytes());
        let programs = ["restart", "state"].map(program);
        judge(&counter, code, &programs).map_err(|error| error.to_string())
    }

    #[test]
    fn each_program_has_a_result_and_the_exit_code_agrees() {
        let green = "test result: ok. 3 passed; 0 failed; 0 ignored";
        let red = "test result: FAILED. 2 passed; 1 failed; 0 ignored";
        assert_eq!(judged(0, green, green), Ok(()));
        assert_eq!(judged(101, green, red), Ok(()), "the summary tells of it");
        assert!(judged(101, green, green).is_err(), "failed without a failed test");
        assert!(judged(0, red, green).is_err(), "a failed test without a failure");
        let expected = "of the 2 test programs inside, these did not say once what came of them: \
            `state` (exit code 0, 0 tests failed)";
        assert_eq!(judged(0, green, ""), Err(expected.to_owned()));
        assert!(judged(0, &format!("{green}\n{green}"), "").is_err(), "the number alone is right");
    }

    #[test]
    fn a_step_is_the_program_with_the_filter_behind_a_heading() {
        let rest = vec!["--nocapture".to_owned()];
        let arguments = TestArgs { amd_v: true, filter: Some("kill".into()), rest };
        let step = step(&program("restart"), &arguments);
        assert_eq!(step.command[..2], ["sh", "-c"]);
        assert_eq!(step.command[3..6], ["restart", "/atoll/tests/restart", "kill"]);
        assert_eq!(step.command.last().map(String::as_str), Some("--nocapture"));
        let words = ["-c", step.command[2].as_str(), "a b", "echo", "c  d"];
        let output = std::process::Command::new("sh").args(words).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("\n{HEADING}a b\nc  d\n"));
    }
}

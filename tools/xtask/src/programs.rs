//! Owns the test programs of the workspace: their compilation, their list, and a run of one.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::process::{self, cargo};
use crate::tally::Tally;
use crate::workspace::Workspace;

/// The folder of the package whose tests start whole systems.
const SYSTEM_TESTS: &str = "tests";

/// A compiled test program.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Program {
    /// The folder of its package, in which it runs.
    pub folder: PathBuf,
    /// What its target is called.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// All test programs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Programs {
    /// Those of the crates themselves, for which no KVM is needed.
    pub crates: Vec<Program>,
    /// Those that start whole systems.
    pub systems: Vec<Program>,
}

/// Compiles them by one command, even if only some are to run: what is compiled together shares its
/// dependencies, which two commands would compile twice, each with the features that it needs.
pub fn compile(workspace: &Workspace) -> Result<Programs> {
    let output = cargo()
        .args(["test", "--no-run", "--workspace", "--message-format=json-render-diagnostics"])
        .current_dir(&workspace.root)
        .stderr(Stdio::inherit())
        .output()
        .context("starting cargo")?;
    if !output.status.success() {
        bail!("the tests could not be built; the reasons are above");
    }
    let all = named(&String::from_utf8_lossy(&output.stdout));
    Ok(parted(all, &workspace.root.join(SYSTEM_TESTS)))
}

impl Program {
    /// A command that runs it as `cargo test` does.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.current_dir(&self.folder).env("CARGO_MANIFEST_DIR", &self.folder);
        // Set by cargo for the program that runs us.
        command.env_remove("LD_LIBRARY_PATH");
        command
    }

    /// Runs it by `command` and counts. That it did not say what came of its tests, or ended as if
    /// something else had, is an error.
    pub fn run(&self, command: &mut Command, out: &mut impl Write) -> Result<Tally> {
        let (tally, status) = process::run_tests(command, out)?;
        if tally.programs != 1 || status.success() != (tally.failed == 0) {
            bail!("the test program `{}` did not run to its end: {tally} ({status})", self.name);
        }
        Ok(tally)
    }
}

#[derive(Deserialize)]
struct Message {
    manifest_path: Option<PathBuf>,
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

/// The test programs among what cargo says it made, in an order that does not depend on the compiler's.
fn named(messages: &str) -> Vec<Program> {
    let mut programs: Vec<_> = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
        .filter(|message| message.profile.as_ref().is_some_and(|profile| profile.test))
        .filter_map(|message| {
            let folder = message.manifest_path?.parent()?.to_owned();
            Some(Program { folder, name: message.target?.name, path: message.executable? })
        })
        .collect();
    programs.sort();
    programs
}

fn parted(programs: Vec<Program>, system_tests: &Path) -> Programs {
    let (systems, crates) =
        programs.into_iter().partition(|program| program.folder == system_tests);
    Programs { crates, systems }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(folder: &str, name: &str) -> Program {
        Program { folder: folder.into(), name: name.into(), path: format!("/t/{name}").into() }
    }

    #[test]
    fn test_programs_are_told_from_other_artifacts() {
        let messages = r#"{"reason":"compiler-artifact","manifest_path":"/r/redis/Cargo.toml","target":{"name":"redis"},"profile":{"test":false},"executable":null}
{"reason":"compiler-artifact","manifest_path":"/w/tests/Cargo.toml","target":{"name":"restart"},"profile":{"test":true},"executable":"/t/restart"}
{"reason":"compiler-artifact","manifest_path":"/w/tests/peers/Cargo.toml","target":{"name":"run"},"profile":{"test":true},"executable":"/t/run"}
{"reason":"compiler-artifact","manifest_path":"/w/vmm/Cargo.toml","target":{"name":"vmm"},"profile":{"test":false},"executable":"/t/vmm"}
{"reason":"build-script-executed","package_id":"x"}
not a message
{"reason":"compiler-artifact","manifest_path":"/w/ipc/Cargo.toml","target":{"name":"atoll_ipc"},"profile":{"test":true},"executable":"/t/atoll_ipc"}
{"reason":"build-finished","success":true}"#;
        let crates = vec![program("/w/ipc", "atoll_ipc"), program("/w/tests/peers", "run")];
        let systems = vec![program("/w/tests", "restart")];
        assert_eq!(parted(named(messages), Path::new("/w/tests")), Programs { crates, systems });
    }

    fn run(script: &str) -> Result<Tally> {
        let program = program("/", "restart");
        program.run(Command::new("sh").args(["-c", script]), &mut std::io::sink())
    }

    #[test]
    fn a_program_that_does_not_say_what_came_of_it_is_named() {
        let error = run("exit 0").unwrap_err().to_string();
        let expected = "the test program `restart` did not run to its end: 0 passed, 0 failed, \
            0 ignored in 0 test programs (exit status: 0)";
        assert_eq!(error, expected);
        let green = "echo 'test result: ok. 1 passed; 0 failed; 0 ignored'";
        assert_eq!(run(green).unwrap().passed, 1);
        assert!(run(&format!("{green}; exit 101")).is_err(), "it broke behind its last test");
        let red = "echo 'test result: FAILED. 0 passed; 1 failed; 0 ignored'";
        assert_eq!(run(&format!("{red}; exit 101")).unwrap().failed, 1);
        assert!(run(red).is_err(), "a failed test and no failure");
    }
}

//! Owns which checks run beside one another, and that what each of them says stays together.
//!
//! Each runs in a process of its own, this program with the name of the check, so that its output can be
//! caught whole, whoever writes it. Builds that use one directory wait for one another, as cargo sees to.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use thiserror::Error;

use crate::workspace::Workspace;

/// What runs beside one another: the checks of a lane one after another, first those that fail often.
type Lanes = &'static [&'static [&'static str]];

/// The first lane compiles with all CPUs that it gets, and uses this host's KVM. What is in the second
/// keeps one CPU busy and builds in directories of its own, all but the last check, which uses what the
/// first lane has built by then. Loom and fuzzing, too, need one CPU: they are in the first
/// lane because it is the shorter one.
const BESIDE: Lanes = &[
    &["format", "lints", "guest-lints", "documentation", "tests", "campaign", "loom", "fuzzing"],
    &["miri", "amd-v"],
];

/// One CPU is for one check at a time.
const IN_TURN: Lanes = &[&[
    "format",
    "lints",
    "guest-lints",
    "documentation",
    "loom",
    "miri",
    "fuzzing",
    "tests",
    "campaign",
    "amd-v",
]];

/// Some checks failed; what they said is above.
#[derive(Debug, PartialEq, Eq, Error)]
pub struct ChecksFailed {
    /// Which.
    pub names: Vec<&'static str>,
    /// The exit code of the first.
    pub code: Option<i32>,
}

impl fmt::Display for ChecksFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed: {}", self.names.join(", "))
    }
}

/// A check that has ended.
#[derive(Debug)]
struct Ended {
    name: &'static str,
    status: ExitStatus,
    took: Duration,
}

/// Runs all checks. After a failure none is begun; one that runs already is let end.
pub fn run(workspace: &Workspace) -> Result<()> {
    let program = std::env::current_exe().context("finding this program")?;
    let logs = workspace.target.join("ci");
    fs::create_dir_all(&logs).with_context(|| format!("making {}", logs.display()))?;
    let start = Instant::now();
    let check = |name: &str| {
        let mut command = Command::new(&program);
        command.args(["ci", name]).current_dir(&workspace.root);
        command
    };
    let ended = all(lanes(), &logs, &check, &mut io::stdout())?;
    println!("\n{}", summary(&ended, start.elapsed()));
    verdict(&ended).map_err(Into::into)
}

fn lanes() -> Lanes {
    if thread::available_parallelism().is_ok_and(|cpus| cpus.get() > 1) { BESIDE } else { IN_TURN }
}

fn all(
    lanes: Lanes,
    logs: &Path,
    check: &(impl Fn(&str) -> Command + Sync),
    out: &mut (impl Write + Send),
) -> Result<Vec<Ended>> {
    let shared = Mutex::new((Vec::new(), out));
    let lane = |names: &[&'static str]| -> Result<()> {
        for &name in names {
            let failed = |ended: &Vec<Ended>| ended.iter().any(|ended| !ended.status.success());
            if failed(&locked(&shared).0) {
                break;
            }
            eprintln!("ci: {name} begins");
            let log = logs.join(format!("{name}.log"));
            let ended = one(name, check(name), &log)?;
            let mut shared = locked(&shared);
            show(&ended, &log, shared.1)?;
            shared.0.push(ended);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let lanes: Vec<_> = lanes.iter().map(|names| scope.spawn(|| lane(names))).collect();
        lanes.into_iter().try_for_each(|lane| {
            lane.join().map_err(|_| anyhow::anyhow!("a thread that ran checks panicked"))?
        })
    })?;
    Ok(shared.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).0)
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn one(name: &'static str, mut command: Command, log: &Path) -> Result<Ended> {
    let file = File::create(log).with_context(|| format!("making {}", log.display()))?;
    let start = Instant::now();
    let status = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .status()
        .with_context(|| format!("starting the check `{name}`"))?;
    Ok(Ended { name, status, took: start.elapsed() })
}

/// All that a check said, in one piece, with its verdict behind it.
fn show(ended: &Ended, log: &Path, out: &mut impl Write) -> Result<()> {
    writeln!(out, "\n== {}", ended.name)?;
    let mut log = File::open(log).with_context(|| format!("reading {}", log.display()))?;
    io::copy(&mut log, out)?;
    writeln!(out, "== {}: {}", ended.name, word(ended))?;
    Ok(out.flush()?)
}

fn word(ended: &Ended) -> String {
    let verdict =
        if ended.status.success() { "ok".to_owned() } else { format!("FAILED ({})", ended.status) };
    format!("{verdict}, {:.1} s", ended.took.as_secs_f64())
}

fn summary(ended: &[Ended], took: Duration) -> String {
    let mut lines = vec![format!("ci: {} checks in {:.0} s", ended.len(), took.as_secs_f64())];
    lines.extend(ended.iter().map(|ended| format!("  {:14} {}", ended.name, word(ended))));
    lines.join("\n")
}

fn verdict(ended: &[Ended]) -> Result<(), ChecksFailed> {
    let failed: Vec<_> = ended.iter().filter(|ended| !ended.status.success()).collect();
    let Some(first) = failed.first() else { return Ok(()) };
    let names = failed.iter().map(|ended| ended.name).collect();
    Err(ChecksFailed { names, code: first.status.code() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_is_in_one_lane() {
        for lanes in [BESIDE, IN_TURN] {
            let mut names = lanes.concat();
            names.sort_unstable();
            let mut expected = crate::ci::names();
            expected.sort_unstable();
            assert_eq!(names, expected);
        }
    }

    /// Runs checks that are shell scripts. What they said, and the verdict.
    fn checked(lanes: Lanes, script: fn(&str) -> String) -> (String, Result<(), ChecksFailed>) {
        let logs = tempfile::tempdir().unwrap();
        let meet = Command::new("mkfifo").arg(logs.path().join("meet")).status();
        assert!(meet.unwrap().success());
        let mut out = Vec::new();
        let check = |name: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", &script(name)]).current_dir(logs.path());
            command
        };
        let ended = all(lanes, logs.path(), &check, &mut out).unwrap();
        (String::from_utf8(out).unwrap(), verdict(&ended))
    }

    #[test]
    fn what_runs_beside_one_another_does_not_mix_what_it_says() {
        // A pipe is opened for writing only while another opens it for reading: both run at once.
        let script = |name: &str| {
            let meet = if name == "a" { "echo x >meet" } else { "read x <meet" };
            format!("echo {name} 1; {meet}; echo {name} 2 >&2")
        };
        let (said, verdict) = checked(&[&["a"], &["b"]], script);
        for name in ["a", "b"] {
            let whole = format!("\n== {name}\n{name} 1\n{name} 2\n== {name}: ok, ");
            assert!(said.contains(&whole), "{said}");
        }
        assert_eq!(verdict, Ok(()));
    }

    #[test]
    fn after_a_failure_none_is_begun() {
        let (said, verdict) =
            checked(&[&["a", "b", "c"]], |name| format!("echo {name}; [ {name} != b ] || exit 3"));
        assert!(said.contains("== a: ok, ") && said.contains("== b: FAILED (exit status: 3), "));
        assert!(!said.contains("== c"), "{said}");
        assert_eq!(verdict, Err(ChecksFailed { names: vec!["b"], code: Some(3) }));
        assert_eq!(verdict.unwrap_err().to_string(), "failed: b");
    }
}

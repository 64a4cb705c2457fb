//! Owns the emulated machine: a PC with AMD-V, made by QEMU without any KVM on the host, in which
//! a Linux kernel offers a `/dev/kvm` of the hardware kind.
//!
//! It shows that the nucleus is correct on such a host; its timings mean nothing.

pub mod apt;
mod initramfs;
mod job;
mod libraries;
mod machine;
mod modules;
mod newc;
mod packages;
mod qemu;
mod report;
pub mod scratch;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use thiserror::Error;

pub use job::{Forward, Job, Kind, Shipped, Step};
use machine::{End, Files, Finished};
use report::Report;
use scratch::Scratch;

/// How many lines of the kernel's console are shown when the machine failed.
const TAIL: usize = 30;

/// The exit code of a run that was interrupted and had to be stopped: that of a shell after SIGINT.
const INTERRUPTED: i32 = 130;

/// The machine did not run its steps to their end.
#[derive(Debug, Error)]
#[error("the emulated machine failed: {reason}{said}\nits console is kept in {}", console.display())]
pub struct MachineFailed {
    reason: String,
    /// What is known besides: QEMU's complaints, the end of the console.
    said: String,
    console: PathBuf,
}

/// The machine could not be put together; the error's source says why.
#[derive(Debug, Clone, Copy, Error)]
#[error("the emulated machine cannot be made")]
pub struct NotMade;

/// Does `job` in the emulated machine, whose parts and logs are kept below `directory`. The result is the
/// exit code of the first step that failed, or 0.
pub fn run(directory: &Path, job: &Job, output: impl FnMut(&[u8]) + Send) -> Result<i32> {
    addresses_are_free(&job.forwards).context(NotMade)?;
    let parts = packages::provide(directory).context(NotMade)?;
    let start = Instant::now();
    let work = Scratch::new(directory).context(NotMade)?;
    let initramfs = work.path().join("initramfs.cpio");
    let (console, said) = (work.path().join("console.log"), work.path().join("report"));
    initramfs::write(&initramfs, &parts, job).context("making the initramfs").context(NotMade)?;
    let size = fs::metadata(&initramfs)?.len() >> 20;
    eprintln!(
        "emulate: starting a machine with AMD-V (initramfs of {size} MiB; boots in about 10 s)"
    );
    let files = Files { initramfs: &initramfs, console: &console, report: &said };
    let finished = machine::run(&parts, &files, &job.forwards, job.deadline, output)?;
    let report = Report::parse(&lossy(&said));
    let code = judge(&finished, &report, job)
        .map_err(|reason| failure(directory, &console, &finished, reason))?;
    eprintln!(
        "emulate: the machine is off after {:.1} s (ready after {} s of its own)",
        start.elapsed().as_secs_f64(),
        report.ready_after.as_deref().unwrap_or("?"),
    );
    Ok(code)
}

/// Tells of an address in use before anything is done. QEMU would say so too, but not which and why.
fn addresses_are_free(forwards: &[Forward]) -> Result<()> {
    for Forward { host, .. } in forwards {
        TcpListener::bind(host).with_context(|| {
            format!("the gateway address {host} cannot be listened on; stop what does, or change the manifest")
        })?;
    }
    Ok(())
}

/// The exit code, or why there is none.
fn judge(finished: &Finished, report: &Report, job: &Job) -> Result<i32, String> {
    match (finished.end, report.outcome()) {
        (End::Interrupted, _) => Ok(INTERRUPTED),
        (End::Stopped, Ok(code)) => Ok(code),
        (End::Stopped, Err(unfinished)) => Err(unfinished.to_string()),
        (End::DeadlinePassed, outcome) => {
            let limit = job.deadline.unwrap_or_default().as_secs();
            let place = outcome.err().map(|unfinished| format!(": {unfinished}"));
            Err(format!("it did not end within {limit} s{}", place.unwrap_or_default()))
        }
    }
}

fn failure(directory: &Path, console: &Path, finished: &Finished, reason: String) -> MachineFailed {
    let text = lossy(console);
    let mut said = String::new();
    let complaints = complaints(&finished.complaints);
    if !complaints.is_empty() {
        said.push_str(&format!(
            "
QEMU ({}) said: {complaints}",
            finished.status
        ));
    }
    if !text.is_empty() {
        said.push_str(&format!("\nthe end of its console:\n{}", tail(&text, TAIL)));
    }
    let kept = directory.join("last-failure.log");
    // The log is a help; that it cannot be kept must not hide the failure itself.
    let console = if fs::copy(console, &kept).is_ok() { kept } else { console.to_owned() };
    MachineFailed { reason, said, console }
}

/// What QEMU says of note. That the emulated CPU lacks features of the one it is modelled on is known.
fn complaints(text: &str) -> String {
    let is_known = |line: &&str| line.contains("TCG doesn't support requested feature");
    text.trim().lines().filter(|line| !is_known(line)).collect::<Vec<_>>().join("\n")
}

fn lossy(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// The last `count` lines, without what could upset a terminal.
fn tail(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(count)..];
    let clean = |line: &&str| -> String {
        format!("  {}", line.chars().filter(|c| !c.is_control()).collect::<String>())
    };
    last.iter().map(clean).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;
    use std::time::Duration;

    fn finished(end: End) -> Finished {
        Finished { end, status: ExitStatus::from_raw(0), complaints: String::new() }
    }

    #[test]
    fn only_a_whole_report_gives_an_exit_code() {
        let job = Job { deadline: Some(Duration::from_secs(9)), ..Job::default() };
        let whole = Report::parse("ready 4\nstart t\nexit t 7\ndone\n");
        let broken = Report::parse("ready 4\nstart t\n");
        assert_eq!(judge(&finished(End::Stopped), &whole, &job), Ok(7));
        assert_eq!(judge(&finished(End::Interrupted), &broken, &job), Ok(INTERRUPTED));
        let reason = judge(&finished(End::Stopped), &broken, &job).unwrap_err();
        assert_eq!(reason, "it stopped while `t` ran");
        let reason = judge(&finished(End::DeadlinePassed), &broken, &job).unwrap_err();
        assert_eq!(reason, "it did not end within 9 s: it stopped while `t` ran");
    }

    #[test]
    fn a_failure_keeps_the_console_and_shows_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let console = directory.path().join("console");
        fs::write(&console, "first\nKernel panic\x1b[0m - not syncing\n").unwrap();
        let failure = failure(directory.path(), &console, &finished(End::Stopped), "why".into());
        let text = failure.to_string();
        assert!(text.starts_with("the emulated machine failed: why\n"), "{text}");
        assert!(text.contains("  Kernel panic[0m - not syncing"), "{text}");
        assert!(fs::read_to_string(failure.console).unwrap().starts_with("first"));
    }

    #[test]
    fn an_address_in_use_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = taken.local_addr().unwrap().to_string();
        let forward = Forward { host: host.parse().unwrap(), port: 1 };
        let error = addresses_are_free(&[forward]).unwrap_err();
        assert!(error.to_string().contains(&host), "{error}");
        assert!(addresses_are_free(&[]).is_ok());
    }

    #[test]
    fn known_warnings_do_not_bury_the_error() {
        let text =
            "qemu: warning: TCG doesn't support requested feature: x\nqemu: no such device\n";
        assert_eq!(complaints(text), "qemu: no such device");
    }

    #[test]
    fn the_tail_is_bounded() {
        assert_eq!(tail("a\nb\nc\n", 2), "  b\n  c");
        assert_eq!(tail("", 2), "");
    }
}

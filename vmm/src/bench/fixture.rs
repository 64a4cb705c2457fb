//! What several tests of the benchmark build on.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::histogram::empty;
use super::report::CaseResult;
use super::statistics::Figures;
use super::subject::Sample;
use super::wire::{Case, Cpus, Suite, Wait};

/// A case in its plainest form: polling, on two CPUs, one message at a time.
pub(crate) fn case(suite: Suite, subject: &str, size: usize) -> Case {
    Case {
        suite,
        subject: subject.to_owned(),
        size,
        wait: Wait::Polling,
        cpus: Cpus::Two,
        clients: 1,
        depth: 1,
        batch: 1,
    }
}

/// A round of some times.
pub(crate) fn times(most: &[u64], rest: &[u64]) -> Sample {
    let mut times = empty().unwrap();
    most.iter().chain(rest).for_each(|&time| times.record(time).unwrap());
    Sample::Times(times)
}

/// A case whose rounds all count.
pub(crate) fn result(case: Case, rounds: &[Sample]) -> CaseResult {
    CaseResult {
        kept: rounds.len(),
        left_out: 0,
        strays: 0,
        elsewhere: false,
        failures: Vec::new(),
        figures: Figures::of(case.size, rounds),
        relative: None,
        case,
    }
}

const LIST: &str =
    r#"{"suite":"one-way","subject":"pipe","size":64,"wait":"polling","cpus":"two"}"#;

/// A program of peers that lists one case, `pipe` one way, and does `run` when it is to run.
pub(crate) fn script(run: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let (place, path) = (dir.path().display(), dir.path().join("peers"));
    let text =
        format!("#!/bin/sh\ncd '{place}'\n[ $1 = list ] && {{ echo '{LIST}'; exit; }}\n{run}\n");
    // Another program writes it: a file that is open for writing here may be so for a moment in a
    // child that another test starts, and cannot be started itself meanwhile.
    let write = "printf %s \"$1\" >\"$2\" && chmod +x \"$2\"";
    let status = Command::new("sh").args(["-c", write, "sh", &text]).arg(&path).status().unwrap();
    assert!(status.success());
    (dir, path)
}

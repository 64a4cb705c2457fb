//! What is shown of recoveries: how long each takes, beside what it is held against.

use std::path::{Path, PathBuf};

use super::palette::look;
use super::rows::{Rows, TIMES, foot};
use super::spans::Span;
use super::{PlotError, write_all};
use crate::bench::recovery::report::{RecoveryResult, Report};
use crate::bench::statistics::{Range, Times};

/// Draws it; returns the files.
///
/// # Errors
/// If the picture cannot be drawn or written.
pub fn draw(report: &Report, directory: &Path) -> Result<Vec<PathBuf>, PlotError> {
    let rows = Rows {
        name: "recovery",
        title: "Getting back what was kept: lowest to highest round",
        foot: foot(&report.host, report.rounds),
        scale: "time, logarithmic",
        ..TIMES
    };
    write_all([rows.draw(&spans(report))?], directory)
}

fn spans(report: &Report) -> Vec<Span> {
    let p50 = |times: &Option<Times>| times.as_ref().map(|times| times.p50);
    let crashes = &report.crashes;
    let mut all = vec![
        span("kv after a crash: memory that it kept", "atoll", p50(&crashes.kept)),
        span("kv after a crash: from its store", "atoll gateway", p50(&crashes.reload)),
    ];
    for (place, result) in [("in memory", &report.log.warm), ("on disk", &report.log.cold)] {
        let RecoveryResult { recovery, sequential, .. } = *result;
        all.push(span(&format!("a store's log, {place}: recovery"), "atoll raw", recovery));
        all.push(span(&format!("the file, {place}: sequential read"), "memcpy", sequential));
    }
    all.into_iter().flatten().collect()
}

fn span(name: &str, look_of: &str, range: Option<Range>) -> Option<Span> {
    let Range { lowest, highest, .. } = range?;
    Some(Span { name: name.to_owned(), look: look(look_of), ends: [lowest, highest] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::host::Host;
    use crate::bench::recovery::report::{CrashResults, LogResults};
    use crate::bench::restart::peer::of_nanoseconds;
    use std::collections::BTreeMap;

    #[test]
    fn what_was_not_measured_is_not_shown() {
        let directory = tempfile::tempdir().unwrap();
        let kept = Times::of(&[&of_nanoseconds(&[500_000, 700_000]).unwrap()]);
        let warm = RecoveryResult {
            recovery: Range::of([2e8, 3e8]),
            sequential: Range::of([1e8]),
            ..RecoveryResult::default()
        };
        let report = Report {
            host: Host::default(),
            rounds: 2,
            turns: 1,
            size: 1024,
            state: 64 << 20,
            classes: BTreeMap::new(),
            crashes: CrashResults { keys: 1, bytes: 1, kept, reload: None },
            log: LogResults { bytes: 1, warm, cold: RecoveryResult::default() },
            failures: Vec::new(),
            bars: Vec::new(),
        };
        let files = draw(&report, directory.path()).unwrap();
        let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap()).collect();
        assert_eq!(names, ["recovery.svg", "recovery.png"]);
        let svg = std::fs::read_to_string(&files[0]).unwrap();
        assert!(svg.contains("s log, in memory: recovery"), "{svg}");
        assert!(!svg.contains("from its store") && !svg.contains("on disk"), "{svg}");
    }
}

//! What is shown of kv beside redis-server: throughput, and how long a request takes.

use std::path::{Path, PathBuf};

use super::palette::{Look, look};
use super::rows::{Rows, TIMES, foot};
use super::spans::Span;
use super::{PlotError, write_all};
use crate::bench::form;
use crate::bench::kv::case::Subject;
use crate::bench::kv::report::{CaseResult, Report};

/// Draws both; returns the files.
///
/// # Errors
/// If a picture cannot be drawn or written.
pub fn draw(report: &Report, directory: &Path) -> Result<Vec<PathBuf>, PlotError> {
    let foot = foot(&report.host, report.rounds);
    let rates = Rows {
        name: "kv-throughput",
        title: "kv beside redis-server: throughput, lowest to highest round",
        foot: foot.clone(),
        scale: "replies in a second, logarithmic",
        told: form::rate,
        ..TIMES
    };
    let title = "kv beside redis-server: a request, p50 to p99";
    let times = Rows { name: "kv-latency", title, foot, ..TIMES };
    let pictures = [rates.draw(&rows(report, of_rates))?, times.draw(&rows(report, of_times))?];
    write_all(pictures, directory)
}

fn rows(report: &Report, ends: fn(&CaseResult) -> Option<[f64; 2]>) -> Vec<Span> {
    let row = |result: &CaseResult| {
        let name = format!("{}: {}", result.task, result.subject);
        Some(Span { name, look: look_of(result.subject), ends: ends(result)? })
    };
    report.results.iter().filter_map(row).collect()
}

fn of_rates(result: &CaseResult) -> Option<[f64; 2]> {
    let rate = result.rate?;
    Some([rate.lowest, rate.highest])
}

fn of_times(result: &CaseResult) -> Option<[f64; 2]> {
    let times = &result.times.as_ref()?.histogram;
    Some([0.5, 0.99].map(|quantile| times.value_at_quantile(quantile) as f64))
}

/// The three ways of redis-server look like relatives of each other.
fn look_of(subject: Subject) -> Look {
    look(match subject {
        Subject::Kv => "atoll gateway",
        Subject::KvDurable => "atoll",
        Subject::Redis => "crossbeam",
        Subject::RedisEverysec => "unix-stream",
        Subject::RedisAlways => "rtrb",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::host::Host;
    use crate::bench::kv::case::{Operation, Task};
    use crate::bench::restart::peer::of_nanoseconds;
    use crate::bench::statistics::{Range, Times};
    use std::collections::BTreeMap;

    fn result(subject: Subject, rate: f64) -> CaseResult {
        let task = Task { operation: Operation::Set, depth: 16 };
        let times = Times::of(&[&of_nanoseconds(&[100_000, 300_000]).unwrap()]);
        CaseResult { subject, task, rate: Range::of([rate, 1.5 * rate]), times, per_write: None }
    }

    #[test]
    fn both_pictures_are_files_of_both_kinds() {
        let directory = tempfile::tempdir().unwrap();
        let nothing = CaseResult { rate: None, times: None, ..result(Subject::Kv, 1.0) };
        let report = Report {
            host: Host::default(),
            redis_version: None,
            seconds: 1.0,
            rounds: 2,
            connections: 50,
            keys: 10,
            size: 64,
            classes: BTreeMap::new(),
            results: vec![
                result(Subject::KvDurable, 300_000.0),
                result(Subject::RedisAlways, 100_000.0),
                nothing,
            ],
            ratios: Vec::new(),
            failures: Vec::new(),
            bars: Vec::new(),
        };
        let files = draw(&report, directory.path()).unwrap();
        let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap()).collect();
        assert_eq!(
            names,
            ["kv-throughput.svg", "kv-throughput.png", "kv-latency.svg", "kv-latency.png"]
        );
        let svg = std::fs::read_to_string(&files[0]).unwrap();
        assert!(svg.contains("SET -P 16: redis, fsync always"), "{svg}");
        assert!(!svg.contains("SET -P 16: kv, volatile"), "{svg}");
    }
}

//! What is shown of restarts and starts, beside those of processes: rows from p50 to p99, and
//! starts by the number of domains. And restarts in a storm of kills.

use std::path::{Path, PathBuf};

use super::axes::Axis;
use super::frame::Frame;
use super::lines::{self, Line};
use super::palette::{Look, look};
use super::rows::{Rows, TIMES, foot};
use super::spans::Span;
use super::{Picture, PlotError, drawn, frame, write_all};
use crate::bench::boot::report::Report as Starts;
use crate::bench::form;
use crate::bench::restart::case::Server;
use crate::bench::restart::peer::PeerResult;
use crate::bench::restart::report::Report as Restarts;
use crate::bench::restart::wire::Program;
use crate::bench::statistics::{Range, Times};
use crate::bench::storm::report::Report as Storm;

/// The size of a picture of lines.
const LINES: (u32, u32) = (1000, 600);

/// Draws restarts; returns the files.
///
/// # Errors
/// If the picture cannot be drawn or written.
pub fn restarts(report: &Restarts, directory: &Path) -> Result<Vec<PathBuf>, PlotError> {
    let ours = report.cases.iter().filter_map(|result| {
        let subject = if result.case.server == Server::Kv { "atoll gateway" } else { "atoll" };
        span(result.case.to_string(), look(subject), result.times.as_ref())
    });
    let peers = report
        .peers
        .iter()
        .filter_map(|peer| span(peer.process.to_string(), look_of(peer), peer.restarts.as_ref()));
    let mut spans: Vec<Span> = ours.chain(peers).collect();
    spans.sort_by(|a, b| a.ends[0].total_cmp(&b.ends[0]));
    let rounds = report.rounds;
    let title = "From a crash to the next reply: p50 to p99";
    let picture = Rows { name: "restart", title, foot: foot(&report.host, rounds), ..TIMES };
    write_all([picture.draw(&spans)?], directory)
}

/// Draws restarts in a storm of kills; returns the files.
///
/// # Errors
/// If the picture cannot be drawn or written.
pub fn storm(report: &Storm, directory: &Path) -> Result<Vec<PathBuf>, PlotError> {
    let nucleus = "the nucleus: until the next incarnation runs".to_owned();
    let connection = "a connection: between two good replies".to_owned();
    let spans: Vec<Span> = [
        span(nucleus, look("atoll"), report.restarts.as_ref()),
        span(connection, look("atoll gateway"), report.gaps.as_ref()),
    ]
    .into_iter()
    .flatten()
    .collect();
    let share = report.ratio.map_or(String::new(), |ratio| {
        format!("; throughput x {}", form::three_digits(ratio.median))
    });
    let title =
        format!("{} kills a second, under load: p50 to p99{share}", report.kills_per_second);
    let foot = foot(&report.host, report.rounds);
    write_all([Rows { name: "storm", title: &title, foot, ..TIMES }.draw(&spans)?], directory)
}

/// Draws starts; returns the files.
///
/// # Errors
/// If the picture cannot be drawn or written.
pub fn starts(report: &Starts, directory: &Path) -> Result<Vec<PathBuf>, PlotError> {
    write_all([line_picture(report)?], directory)
}

fn span(name: String, look: Look, times: Option<&Times>) -> Option<Span> {
    let times = times?;
    let at = |quantile| times.histogram.value_at_quantile(quantile) as f64;
    Some(Span { name, look, ends: [at(0.5), at(0.99)] })
}

/// Processes look like relatives of each other.
fn look_of(peer: &PeerResult) -> Look {
    look(match peer.process.program {
        Program::Dynamic => "rtrb",
        Program::Static => "crossbeam",
        Program::Tiny => "unix-stream",
    })
}

fn line_picture(report: &Starts) -> Result<Option<Picture>, PlotError> {
    frame::load_font()?;
    let systems = &report.systems;
    let values = systems.iter().flat_map(|system| [system.first, system.all]).flatten();
    let process = report.peers.first().and_then(|peer| Some((peer, peer.starts.as_ref()?.p50)));
    let values = values.chain(process.map(|(_, range)| range));
    let heights = values.map(|range| range.median);
    let Some(y) = Axis::logarithmic("time, logarithmic: median round", heights, form::time) else {
        return Ok(None);
    };
    let counts = systems.iter().map(|system| f64::from(system.domains));
    let Some(x) = Axis::logarithmic("domains", counts, form::rate) else { return Ok(None) };
    let line =
        |name: &str,
         look,
         value: fn(&crate::bench::boot::report::SystemResult) -> Option<Range>| {
            let point =
                |system| Some((f64::from(domains(system)).log10(), value(system)?.median.log10()));
            let points: Vec<_> = systems.iter().filter_map(point).collect();
            Line { name: name.to_owned(), look, dots: points.clone(), points, dashed: false }
        };
    let mut lines = vec![
        line("every domain has answered", look("atoll"), |system| system.all),
        line("the first has answered", look("atoll raw"), |system| system.first),
    ];
    if let Some((peer, range)) = process {
        let height = range.median.log10();
        let points = vec![(x.range.start, height), (x.range.end, height)];
        let name = "one process (Rust, fork+exec)".to_owned();
        lines.push(Line { name, look: look_of(peer), dots: Vec::new(), points, dashed: true });
    }
    let frame = Frame {
        title: "From nothing to replies, by the number of domains",
        foot: foot(&report.host, report.rounds),
        x: &x,
        y: &y,
        left: 80,
        size: LINES,
        legend: lines::legend(&lines, |line| line.points.last()),
    };
    drawn("boot", lines::draw(&frame, &lines))
}

fn domains(system: &crate::bench::boot::report::SystemResult) -> u32 {
    system.domains
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::boot::report::SystemResult;
    use crate::bench::host::Host;
    use crate::bench::restart::bars::Bar;
    use crate::bench::restart::case::{Beginning, Case, Fault};
    use crate::bench::restart::peer::{Process, of_nanoseconds};
    use crate::bench::restart::report::CaseResult;
    use std::collections::BTreeMap;

    fn times(nanos: u64) -> Option<Times> {
        Times::of(&[&of_nanoseconds(&[nanos, 2 * nanos]).unwrap()])
    }

    fn peers() -> Vec<PeerResult> {
        let result = |process| PeerResult {
            process,
            restarts: times(700_000),
            starts: times(600_000),
            failures: Vec::new(),
        };
        Process::ALL.map(result).to_vec()
    }

    fn crashes(server: Server) -> CaseResult {
        let case = Case { server, fault: Fault::Panic, from: Beginning::Checkpoint, dirty: 4096 };
        let (times, since_exit, parts, page_faults) = (times(150_000), None, None, None);
        CaseResult { case, times, since_exit, parts, page_faults, failures: Vec::new() }
    }

    #[test]
    fn both_pictures_are_files_of_both_kinds() {
        let directory = tempfile::tempdir().unwrap();
        let (host, classes, bars): (_, _, Vec<Bar>) =
            (Host::default(), BTreeMap::new(), Vec::new());
        let restarts = Restarts {
            host: host.clone(),
            rounds: 1,
            turns: 2,
            classes,
            cases: vec![crashes(Server::Echo), crashes(Server::Kv)],
            peers: peers(),
            exits: Vec::new(),
            exit_cost: None,
            hardware: None,
            failures: Vec::new(),
            bars: bars.clone(),
        };
        let system = |domains: u32| SystemResult {
            domains,
            first: Range::of([1e6]),
            all: Range::of([1e6 * f64::from(domains)]),
            phases: None,
            memory: None,
            host_memory: None,
            kills: None,
            failures: Vec::new(),
        };
        let starts = Starts {
            host,
            rounds: 1,
            classes: BTreeMap::new(),
            systems: vec![system(1), system(1000)],
            command: None,
            deaths: Vec::new(),
            peers: peers(),
            failures: Vec::new(),
            bars,
        };
        let mut files = super::restarts(&restarts, directory.path()).unwrap();
        files.extend(super::starts(&starts, directory.path()).unwrap());
        let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap()).collect();
        assert_eq!(names, ["restart.svg", "restart.png", "boot.svg", "boot.png"]);
        let svg = std::fs::read_to_string(&files[0]).unwrap();
        assert!(svg.contains("kv, panic, from its checkpoint, 4 KiB dirty"), "{svg}");
        assert!(svg.contains("tiny, static, no libc, vfork+exec"));
    }
}

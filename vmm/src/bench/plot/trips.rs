//! What is shown of times: who answers how fast, and how reliably.

use super::axes::{Axis, share_at};
use super::files::foot;
use super::frame::Frame;
use super::lines::{self, Line};
use super::palette::look;
use super::rows::{Rows, TIMES};
use super::spans::Span;
use super::{Picture, PlotError, drawn};
use crate::bench::form;
use crate::bench::report::{CaseResult, Report};
use crate::bench::statistics::Times;
use crate::bench::wire::{Case, Cpus, Suite, Wait};

/// The size at which round trips are compared. A subject that has it not shows its smallest.
const SIZE: usize = 8;
const WIDTH: u32 = 1000;
/// Points of a curve for each further nine of a share.
const CURVE_STEPS: u32 = 24;

/// Round trips of those that never sleep, p50 and p99.
pub(super) fn polling(report: &Report) -> Result<Option<Picture>, PlotError> {
    let meant = |case: &Case| case.wait != Wait::Blocking && case.cpus == Cpus::Two;
    let title = "Round trip of 8 B between two CPUs, without sleeping: p50 to p99";
    span_picture("round-trip", title, report, spans_of(report, meant))
}

/// Round trips of those that sleep at once, p50 and p99.
pub(super) fn blocking(report: &Report) -> Result<Option<Picture>, PlotError> {
    let title = "Round trip of 8 B with both sides asleep in between: p50 to p99";
    let spans = spans_of(report, |case| case.wait == Wait::Blocking);
    span_picture("round-trip-blocking", title, report, spans)
}

fn span_picture(
    name: &'static str,
    title: &str,
    report: &Report,
    spans: Vec<Span>,
) -> Result<Option<Picture>, PlotError> {
    let scale = "time, logarithmic: lowest round of p50 and of p99";
    let rows = Rows { name, title, foot: foot(report), scale, width: WIDTH, names: 250, ..TIMES };
    rows.draw(&spans)
}

/// One row for each way in which a subject was timed, the fastest first.
fn spans_of(report: &Report, meant: impl Fn(&Case) -> bool) -> Vec<Span> {
    let mut spans: Vec<Span> = timed(report, meant)
        .map(|(result, times)| Span {
            name: name(&result.case),
            look: look(&result.case.subject),
            ends: [times.p50.lowest, times.p99.lowest],
        })
        .collect();
    spans.sort_by(|a, b| a.ends[0].total_cmp(&b.ends[0]));
    spans
}

/// Cases that were timed one message at a time, each subject's at one size.
fn timed(
    report: &Report,
    meant: impl Fn(&Case) -> bool,
) -> impl Iterator<Item = (&CaseResult, &Times)> {
    let plain = |case: &Case| {
        matches!(case.suite, Suite::RoundTrip | Suite::Chain)
            && (case.clients, case.depth, case.batch) == (1, 1, 1)
    };
    let shown = move |case: &Case| plain(case) && meant(case);
    let best = |case: &Case| {
        let alike = |other: &&CaseResult| Case { size: case.size, ..other.case.clone() } == *case;
        let sizes = report.cases.iter().filter(alike).map(|other| other.case.size);
        sizes.min_by_key(|&size| (size != SIZE, size))
    };
    report
        .cases
        .iter()
        .filter(move |result| shown(&result.case) && best(&result.case) == Some(result.case.size))
        .filter_map(|result| Some((result, result.figures.as_ref()?.times()?)))
}

/// A subject with whatever is unlike the title.
fn name(case: &Case) -> String {
    let mut name = case.subject.clone();
    let size = (case.size != SIZE).then(|| form::size(case.size));
    let chain = (case.suite == Suite::Chain).then(|| "three domains".to_owned());
    let wait = (case.wait == Wait::Adaptive).then(|| "adaptive".to_owned());
    let cpu = (case.cpus == Cpus::One).then(|| "one CPU".to_owned());
    for unlike in [chain, size, wait, cpu].into_iter().flatten() {
        name.push_str(", ");
        name.push_str(&unlike);
    }
    name
}

/// The whole distribution of the round trips that [`polling`] shows.
pub(super) fn percentiles(report: &Report) -> Result<Option<Picture>, PlotError> {
    let meant =
        |case: &Case| case.wait != Wait::Blocking && case.cpus == Cpus::Two && case.size == SIZE;
    let mut rest = 1.0f64;
    let mut curves = Vec::new();
    for (result, times) in timed(report, meant) {
        rest = rest.min(1.0 / times.count as f64);
        let look = look(&result.case.subject);
        let points = curve(times);
        let nines = points.iter().step_by(CURVE_STEPS as usize).skip(1).copied();
        curves.push(Line {
            name: name(&result.case),
            look,
            dashed: false,
            dots: nines.collect(),
            points,
        });
    }
    let values = curves.iter().flat_map(|line| line.points.iter().map(|(_, y)| 10f64.powf(*y)));
    let Some(y) = Axis::logarithmic("time, logarithmic", values, form::time) else {
        return Ok(None);
    };
    let frame = Frame {
        title: "Round trip of 8 B between two CPUs, without sleeping: all rounds together",
        foot: foot(report),
        x: &Axis::shares(rest),
        y: &y,
        left: 84,
        size: (1080, 620),
        legend: lines::legend(&curves, |line| line.dots.first()),
    };
    drawn("round-trip-percentiles", lines::draw(&frame, &curves))
}

/// Ever greater shares, as far as there are times to tell them apart.
fn curve(times: &Times) -> Vec<(f64, f64)> {
    let rest = |step: u32| 10f64.powf(-f64::from(step) / f64::from(CURVE_STEPS));
    let told = |rest: &f64| rest * times.count as f64 >= 1.0;
    let at = |rest: f64| {
        // Below a nanosecond there is nothing to tell, and no logarithm of it.
        let time = times.histogram.value_at_quantile(1.0 - rest).max(1) as f64;
        (share_at(rest), time.log10())
    };
    (0..).map(rest).take_while(told).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::fixture::{case, result, times};

    #[test]
    fn a_curve_rises_and_ends_where_the_times_do() {
        let result = result(
            case(Suite::RoundTrip, "pipe", 8),
            &[times(&[100; 90], &[200; 9]), times(&[1000], &[])],
        );
        let points = curve(result.figures.as_ref().unwrap().times().unwrap());
        assert_eq!((points[0].0, points[0].1), (0.0, 2.0));
        assert!(points.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1));
        let (end, highest) = points.last().unwrap();
        assert!((end - 2.0).abs() < 0.05 && *highest < 3.0, "{end} {highest}");
    }

    #[test]
    fn a_row_is_named_by_what_is_unlike_the_others() {
        let plain = case(Suite::RoundTrip, "atoll", 8);
        assert_eq!(name(&plain), "atoll");
        let chain = Case { suite: Suite::Chain, wait: Wait::Adaptive, ..plain.clone() };
        assert_eq!(name(&chain), "atoll, three domains, adaptive");
        let slow = Case { size: 64, cpus: Cpus::One, ..plain };
        assert_eq!(name(&slow), "atoll, 64 B, one CPU");
    }
}

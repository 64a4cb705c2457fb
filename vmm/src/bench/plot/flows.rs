//! What is shown of rates: how much goes through, by the size of messages.

use std::collections::BTreeMap;

use super::axes::{Axis, size_at};
use super::files::foot;
use super::frame::Frame;
use super::lines::{self, Line};
use super::palette::look;
use super::{Picture, PlotError, drawn};
use crate::bench::form;
use crate::bench::report::Report;
use crate::bench::statistics::Rates;
use crate::bench::wire::{Case, Cpus, Suite, Wait};

/// Messages a second, copied in and out.
pub(super) fn messages(report: &Report) -> Result<Option<Picture>, PlotError> {
    let title = "One way between two CPUs, copied in and out: messages";
    flow("one-way-messages", title, Scale::MESSAGES, report, Suite::OneWay)
}

/// Bytes a second, copied in and out.
pub(super) fn gigabytes(report: &Report) -> Result<Option<Picture>, PlotError> {
    let title = "One way between two CPUs, copied in and out: payload";
    flow("one-way-payload", title, Scale::GIGABYTES, report, Suite::OneWay)
}

/// Messages a second, handed over without a copy.
pub(super) fn lent(report: &Report) -> Result<Option<Picture>, PlotError> {
    let title = "One way between two CPUs, buffers lent, payload untouched: messages";
    flow("lent-messages", title, Scale::MESSAGES, report, Suite::Lent)
}

/// What stands on the axis.
#[derive(Clone, Copy, Debug)]
struct Scale {
    title: &'static str,
    value: fn(&Rates) -> f64,
    name: fn(f64) -> String,
}

impl Scale {
    const MESSAGES: Self = Self {
        title: "messages in a second, logarithmic: median round",
        value: |rates| rates.messages.median,
        name: form::rate,
    };
    const GIGABYTES: Self = Self {
        title: "GB in a second, logarithmic: median round",
        value: |rates| rates.gigabytes.median,
        name: gigabytes_name,
    };
}

/// Small figures keep their digits: an axis may go far down.
fn gigabytes_name(value: f64) -> String {
    if value < 0.1 { format!("{value:.4}") } else { form::three_digits(value) }
}

fn flow(
    name: &'static str,
    title: &str,
    scale: Scale,
    report: &Report,
    suite: Suite,
) -> Result<Option<Picture>, PlotError> {
    let series = series(report, suite, scale);
    let mut sizes: Vec<usize> = series.values().flatten().map(|(size, _)| *size).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let values = series.values().flatten().map(|(_, value)| *value);
    let y = Axis::logarithmic(scale.title, values, scale.name);
    let (Some(x), Some(y)) = (Axis::sizes(&sizes), y) else { return Ok(None) };
    let plain: Vec<String> =
        series.keys().filter(|(s, n)| s == n).map(|(s, _)| s.clone()).collect();
    let lines: Vec<Line> = series
        .into_iter()
        .map(|((subject, name), points)| {
            let points: Vec<_> = points.into_iter().map(|(s, v)| (size_at(s), v.log10())).collect();
            // Another way of a subject has more in its name.
            let dashed = name != subject && plain.contains(&subject);
            Line { name, look: look(&subject), dashed, dots: points.clone(), points }
        })
        .collect();
    let legend = lines::legend(&lines, |line| line.points.last());
    let (foot, size) = (foot(report), (1080, 620));
    let frame = Frame { title, foot, x: &x, y: &y, left: 84, size, legend };
    drawn(name, lines::draw(&frame, &lines))
}

/// Values above 0 by size, for each subject and each way in which it was measured.
type Series = BTreeMap<(String, String), Vec<(usize, f64)>>;

fn series(report: &Report, suite: Suite, scale: Scale) -> Series {
    let mut series = Series::new();
    for result in &report.cases {
        let case = &result.case;
        let rates = result.figures.as_ref().and_then(|figures| figures.rates());
        let Some(value) = rates.map(scale.value).filter(|value| *value > 0.0) else { continue };
        if case.suite == suite && case.cpus == Cpus::Two {
            let key = (case.subject.clone(), name(case));
            series.entry(key).or_default().push((case.size, value));
        }
    }
    series.values_mut().for_each(|points| points.sort_by_key(|(size, _)| *size));
    series
}

fn name(case: &Case) -> String {
    let mut name = case.subject.clone();
    for unlike in [form::extras(case), wait(case.wait).to_owned()] {
        if !unlike.is_empty() {
            name.push_str(", ");
            name.push_str(&unlike);
        }
    }
    name
}

/// That both sides poll is the rule, and not told.
fn wait(wait: Wait) -> &'static str {
    if wait == Wait::Polling { "" } else { form::wait(wait) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::engine::Round;
    use crate::bench::fixture::case;
    use crate::bench::placement::{Class, Placement};
    use crate::bench::report::Measured;
    use crate::bench::subject::Sample;

    fn measured(case: Case, rate: f64) -> Measured {
        let placement = Placement { class: Class::Far, before: None, after: None };
        let rounds = vec![Round { placement, sample: Sample::Rate(rate) }];
        Measured { rounds, ..Measured::new(case) }
    }

    #[test]
    fn each_way_of_a_subject_is_a_line_of_its_own_in_the_order_of_sizes() {
        let batch = Case { batch: 32, ..case(Suite::OneWay, "rtrb", 64) };
        let one = Case { cpus: Cpus::One, ..case(Suite::OneWay, "rtrb", 64) };
        let all = vec![
            measured(case(Suite::OneWay, "rtrb", 1024), 1e6),
            measured(case(Suite::OneWay, "rtrb", 64), 2e6),
            measured(batch, 9e6),
            measured(one, 1.0),
            measured(case(Suite::Lent, "rtrb", 64), 1.0),
            measured(case(Suite::OneWay, "rtrb", 0), 5e6),
        ];
        let report = Report::new(1, None, all, Vec::new());
        let messages = series(&report, Suite::OneWay, Scale::MESSAGES);
        let key = |name: &str| ("rtrb".to_owned(), name.to_owned());
        assert_eq!(messages[&key("rtrb")], [(0, 5e6), (64, 2e6), (1024, 1e6)]);
        assert_eq!(messages[&key("rtrb, batch 32")], [(64, 9e6)]);
        assert_eq!(messages.len(), 2);
        // Of messages without payload there are no bytes to show.
        let bytes = series(&report, Suite::OneWay, Scale::GIGABYTES);
        assert_eq!(bytes[&key("rtrb")], [(64, 0.128), (1024, 1.024)]);
    }
}

//! Pictures of one chart of rows, on a logarithmic scale.

use super::axes::Axis;
use super::frame::{self, Frame};
use super::spans::{self, Span};
use super::{Picture, PlotError, drawn};
use crate::bench::form;
use crate::bench::host::Host;

/// A picture without its rows.
#[derive(Clone, Debug)]
pub(super) struct Rows<'a> {
    /// The name of its files.
    pub(super) name: &'static str,
    pub(super) title: &'a str,
    pub(super) foot: String,
    /// What stands on the axis, and how it is put in words.
    pub(super) scale: &'static str,
    pub(super) told: fn(f64) -> String,
    pub(super) width: u32,
    /// Room for the names of rows.
    pub(super) names: u32,
}

/// Rows of times.
pub(super) const TIMES: Rows<'static> = Rows {
    name: "",
    title: "",
    foot: String::new(),
    scale: "time, logarithmic: all rounds",
    told: form::time,
    width: 1100,
    names: 370,
};

impl Rows<'_> {
    /// Draws it; nothing without rows.
    pub(super) fn draw(self, spans: &[Span]) -> Result<Option<Picture>, PlotError> {
        frame::load_font()?;
        let values = spans.iter().flat_map(|span| span.ends);
        let Some(mut x) = Axis::logarithmic(self.scale, values, self.told) else { return Ok(None) };
        // The figures beside the points need room that the values alone do not.
        let room = (x.range.end - x.range.start) * 0.09;
        x.range = x.range.start - room..x.range.end + room;
        let names: Vec<String> = spans.iter().map(|span| span.name.clone()).collect();
        let frame = Frame {
            title: self.title,
            foot: self.foot,
            x: &x,
            y: &Axis::rows(&names),
            left: self.names,
            size: (self.width, spans::height(spans.len())),
            legend: Vec::new(),
        };
        drawn(self.name, spans::draw(&frame, spans, self.told))
    }
}

/// Where it was measured, in a line.
pub(super) fn foot(host: &Host, rounds: u32) -> String {
    let told = [
        Some(format!("vmm {}", host.version)),
        host.kernel.as_ref().map(|kernel| format!("Linux {kernel}")),
        host.processor.clone(),
        Some(format!("{rounds} {}", if rounds == 1 { "round" } else { "rounds" })),
    ];
    told.into_iter().flatten().collect::<Vec<_>>().join("  ·  ")
}

//! Charts of rows: each a span from a subject's p50 to its p99, with both in figures.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::axes::row_at;
use super::frame::{DrawError, Frame, beside};
use super::palette::Look;
use super::point::Point;
use crate::bench::form;

/// The height of a row.
const ROW: u32 = 30;
/// The height of everything else.
const REST: u32 = 150;
/// How far a figure is from its point.
const GAP: i32 = 11;

/// A row, in nanoseconds.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) name: String,
    pub(super) look: Look,
    pub(super) p50: f64,
    pub(super) p99: f64,
}

/// The height of a chart with so many rows.
pub(super) fn height(rows: usize) -> u32 {
    REST + ROW * rows as u32
}

/// Draws a chart of spans, the first on top.
pub(super) fn draw(frame: &Frame<'_>, spans: &[Span]) -> Result<String, DrawError> {
    frame.draw(|chart| {
        for (row, span) in spans.iter().enumerate() {
            let y = row_at(row, spans.len());
            let (p50, p99) = ((span.p50.log10(), y), (span.p99.log10(), y));
            let line = span.look.colour.mix(0.45).stroke_width(5);
            chart.draw_series(std::iter::once(PathElement::new([p50, p99], line)))?;
            chart.draw_series([p50, p99].map(|at| Point { at, look: span.look }))?;
            let figures = [(p50, span.p50, HPos::Right, -GAP), (p99, span.p99, HPos::Left, GAP)];
            chart.draw_series(figures.map(|(at, value, side, gap)| {
                let style = beside(13, span.look.colour, side);
                EmptyElement::at(at) + Text::new(form::time(value), (gap, 0), style)
            }))?;
        }
        Ok(())
    })
}

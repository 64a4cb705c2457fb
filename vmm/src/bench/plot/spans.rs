//! Charts of rows: each a span from one of a subject's figures to another, with both in figures.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::axes::row_at;
use super::frame::{DrawError, Frame, beside};
use super::palette::Look;
use super::point::Point;

/// The height of a row.
const ROW: u32 = 30;
/// The height of everything else.
const REST: u32 = 150;
/// How far a figure is from its point.
const GAP: i32 = 11;

/// A row.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) name: String,
    pub(super) look: Look,
    /// Such as a p50 and a p99.
    pub(super) ends: [f64; 2],
}

/// The height of a chart with so many rows.
pub(super) fn height(rows: usize) -> u32 {
    REST + ROW * rows as u32
}

/// Draws a chart of spans, the first on top. Figures are put in words by `told`.
pub(super) fn draw(
    frame: &Frame<'_>,
    spans: &[Span],
    told: fn(f64) -> String,
) -> Result<String, DrawError> {
    frame.draw(|chart| {
        for (row, span) in spans.iter().enumerate() {
            let y = row_at(row, spans.len());
            let ends = span.ends.map(|value| (value.log10(), y));
            let line = span.look.colour.mix(0.45).stroke_width(5);
            chart.draw_series(std::iter::once(PathElement::new(ends, line)))?;
            chart.draw_series(ends.map(|at| Point { at, look: span.look }))?;
            let ([low, high], [left, right]) = (span.ends, ends);
            let figures = [(left, low, HPos::Right, -GAP), (right, high, HPos::Left, GAP)];
            chart.draw_series(figures.map(|(at, value, side, gap)| {
                let style = beside(13, span.look.colour, side);
                EmptyElement::at(at) + Text::new(told(value), (gap, 0), style)
            }))?;
        }
        Ok(())
    })
}

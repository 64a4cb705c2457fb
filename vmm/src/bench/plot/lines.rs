//! Charts of lines: one for each subject, with some of its points in the subject's shape.

use plotters::element::DashedPathElement;
use plotters::prelude::*;

use super::frame::{DASH, DrawError, Entry, Frame, GAP, stroke};
use super::palette::Look;
use super::point::Point;

/// A line.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) look: Look,
    /// From left to right.
    pub(super) points: Vec<(f64, f64)>,
    /// It is another way of something that has a line already.
    pub(super) dashed: bool,
    /// Which of them are shown, besides their connection.
    pub(super) dots: Vec<(f64, f64)>,
}

/// The legend of lines: the highest first, by the height that `height` picks.
pub(super) fn legend(lines: &[Line], height: fn(&Line) -> Option<&(f64, f64)>) -> Vec<Entry> {
    let height = |line: &Line| height(line).map_or(f64::MIN, |(_, y)| *y);
    let mut lines: Vec<&Line> = lines.iter().collect();
    lines.sort_by(|a, b| height(b).total_cmp(&height(a)));
    let entry =
        |line: &Line| Entry { name: line.name.clone(), look: line.look, dashed: line.dashed };
    lines.into_iter().map(entry).collect()
}

/// Draws a chart of lines, ours on top.
pub(super) fn draw(frame: &Frame<'_>, lines: &[Line]) -> Result<String, DrawError> {
    frame.draw(|chart| {
        let (others, ours): (Vec<_>, Vec<_>) = lines.iter().partition(|line| !line.look.ours);
        for line in others.into_iter().chain(ours) {
            let (points, stroke) = (line.points.clone(), stroke(&line.look));
            if line.dashed {
                let path = DashedPathElement::new(points, DASH, GAP, stroke);
                chart.draw_series(std::iter::once(path))?;
            } else {
                chart.draw_series(std::iter::once(PathElement::new(points, stroke)))?;
            }
            chart.draw_series(line.dots.iter().map(|&at| Point { at, look: line.look }))?;
        }
        Ok(())
    })
}

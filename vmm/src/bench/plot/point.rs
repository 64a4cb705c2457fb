//! One point, in the shape and the colour of its subject.

use plotters::element::{Drawable, PointCollection};
use plotters::style::{Color, ShapeStyle};
use plotters_backend::{BackendCoord, DrawingBackend, DrawingErrorKind};

use super::palette::{Look, Marker};

/// Half the width of a point.
const RADIUS: i32 = 5;

/// A subject's point.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point<C> {
    pub(super) at: C,
    pub(super) look: Look,
}

impl<'a, C: 'a> PointCollection<'a, C> for &'a Point<C> {
    type Point = &'a C;
    type IntoIter = std::iter::Once<&'a C>;

    fn point_iter(self) -> Self::IntoIter {
        std::iter::once(&self.at)
    }
}

impl<C, DB: DrawingBackend> Drawable<DB> for Point<C> {
    fn draw<I: Iterator<Item = BackendCoord>>(
        &self,
        mut points: I,
        backend: &mut DB,
        _: (u32, u32),
    ) -> Result<(), DrawingErrorKind<DB::ErrorType>> {
        let Some((x, y)) = points.next() else { return Ok(()) };
        let filled: ShapeStyle = self.look.colour.filled();
        match self.look.marker {
            Marker::Disc => backend.draw_circle((x, y), RADIUS as u32, &filled, true),
            Marker::Triangle => {
                let corners = [(0, -6), (6, 5), (-6, 5)].map(|(dx, dy)| (x + dx, y + dy));
                backend.fill_polygon(corners, &filled)
            }
            Marker::Cross => {
                let line = self.look.colour.stroke_width(2);
                let (left, right, top, bottom) = (x - RADIUS, x + RADIUS, y - RADIUS, y + RADIUS);
                backend.draw_line((left, top), (right, bottom), &line)?;
                backend.draw_line((left, bottom), (right, top), &line)
            }
        }
    }
}

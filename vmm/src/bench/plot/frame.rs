//! A chart without its data: title, axes, grid, legend, foot.

use std::sync::OnceLock;

use plotters::coord::Shift;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, register_font};

use super::PlotError;
use super::axes::Axis;
use super::palette::Look;
use super::point::Point;

/// What the drawing library says of a failure to draw into a string.
pub(super) type DrawError = DrawingAreaErrorKind<std::io::Error>;
/// A chart with both axes, to draw data into.
pub(super) type Chart<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<Axis, Axis>>;

const INK: RGBColor = RGBColor(40, 40, 40);
const FAINT: RGBColor = RGBColor(110, 110, 110);
const GRID: RGBColor = RGBColor(205, 205, 205);
const FINE_GRID: RGBColor = RGBColor(238, 238, 238);

/// The family of the font, as the pictures name it: a viewer that has it not takes its own.
pub(super) const FONT: &str = "DejaVu Sans, sans-serif";
const TEXT: u32 = 15;

/// Everything of a chart but its data.
#[derive(Clone, Debug)]
pub(super) struct Frame<'a> {
    pub(super) title: &'a str,
    /// Below the chart, in small print: where it was measured.
    pub(super) foot: String,
    pub(super) x: &'a Axis,
    pub(super) y: &'a Axis,
    /// The width of the names on the left.
    pub(super) left: u32,
    pub(super) size: (u32, u32),
    pub(super) legend: Vec<Entry>,
}

/// A line of the legend.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) look: Look,
    pub(super) dashed: bool,
}

/// The length of a dash, and of what is between two.
pub(super) const DASH: u32 = 6;
pub(super) const GAP: u32 = 4;

/// A line of text's height in the legend.
const LEGEND_LINE: i32 = 24;
/// The legend's width.
const LEGEND_WIDTH: u32 = 250;
/// The title's height.
const HEAD: u32 = 52;
/// The foot's height.
const FOOT: u32 = 26;

/// Makes the font known to the drawing library, which asks it how wide a text is.
pub(super) fn load_font() -> Result<(), PlotError> {
    static LOADED: OnceLock<bool> = OnceLock::new();
    let loaded = LOADED.get_or_init(|| {
        let each =
            [(FontStyle::Normal, dejavu::sans::regular()), (FontStyle::Bold, dejavu::sans::bold())];
        each.into_iter().all(|(style, font)| register_font(FONT, style, font).is_ok())
    });
    if *loaded { Ok(()) } else { Err(PlotError::Font) }
}

/// Text beside its point.
pub(super) fn beside(size: u32, colour: RGBColor, side: HPos) -> TextStyle<'static> {
    let pos = Pos::new(side, VPos::Center);
    TextStyle { color: colour.to_backend_color(), pos, font: (FONT, size).into_font() }
}

impl Frame<'_> {
    /// Draws it, and the data by `data`. Returns the picture as SVG.
    pub(super) fn draw(
        &self,
        data: impl FnOnce(&mut Chart<'_>) -> Result<(), DrawError>,
    ) -> Result<String, DrawError> {
        let mut svg = String::new();
        {
            let root = SVGBackend::with_string(&mut svg, self.size).into_drawing_area();
            root.fill(&WHITE)?;
            let (head, rest) = root.split_vertically(HEAD);
            let (body, foot) = rest.split_vertically(self.size.1 - HEAD - FOOT);
            let title = TextStyle::from((FONT, 21, FontStyle::Bold).into_font()).color(&INK);
            head.draw(&Text::new(self.title.to_owned(), (20, 18), title))?;
            let print = beside(12, FAINT, HPos::Left);
            foot.draw(&Text::new(self.foot.clone(), (20, 10), print))?;
            let plot = if self.legend.is_empty() {
                body
            } else {
                let (plot, legend) = body.split_horizontally(self.size.0 - LEGEND_WIDTH);
                self.draw_legend(&legend)?;
                plot
            };
            data(&mut self.axes(&plot)?)?;
            root.present()?;
        }
        Ok(svg)
    }

    fn axes<'b>(&self, plot: &DrawingArea<SVGBackend<'b>, Shift>) -> Result<Chart<'b>, DrawError> {
        let mut chart = ChartBuilder::on(plot)
            .margin_right(24)
            .margin_left(16)
            .x_label_area_size(58)
            .y_label_area_size(self.left)
            .build_cartesian_2d(self.x.clone(), self.y.clone())?;
        let mut mesh = chart.configure_mesh();
        if !self.y.grid {
            // Figures stand there.
            mesh.disable_y_mesh();
        }
        mesh.x_desc(self.x.title.clone())
            .y_desc(self.y.title.clone())
            .label_style((FONT, TEXT).into_font().color(&INK))
            .axis_desc_style((FONT, TEXT).into_font().color(&FAINT))
            .axis_style(INK)
            .bold_line_style(GRID)
            .light_line_style(FINE_GRID)
            .draw()?;
        Ok(chart)
    }

    fn draw_legend(&self, area: &DrawingArea<SVGBackend<'_>, Shift>) -> Result<(), DrawError> {
        for (row, Entry { name, look, dashed }) in self.legend.iter().enumerate() {
            let y = 20 + LEGEND_LINE * row as i32;
            let ends = [(4, y), (32, y)];
            if *dashed {
                area.draw(&DashedPathElement::new(ends, DASH, GAP, stroke(look)))?;
            } else {
                area.draw(&PathElement::new(ends, stroke(look)))?;
            }
            area.draw(&Point { at: (18, y), look: *look })?;
            area.draw(&Text::new(name.clone(), (42, y), beside(TEXT, INK, HPos::Left)))?;
        }
        Ok(())
    }
}

/// How a subject's lines are drawn.
pub(super) fn stroke(look: &Look) -> ShapeStyle {
    look.colour.stroke_width(if look.ours { 3 } else { 2 })
}

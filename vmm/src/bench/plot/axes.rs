//! Scales: where values stand, and which of them are named. Positions are plain numbers; what they
//! mean is only in the names of the marks.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;

use crate::bench::form;

/// A value that is named on an axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mark {
    pub(super) at: f64,
    pub(super) name: String,
}

/// One axis of a chart.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub(super) title: String,
    pub(super) range: Range<f64>,
    pub(super) marks: Vec<Mark>,
    /// Where a fine line of the grid is.
    pub(super) fine: Vec<f64>,
    /// Whether the grid has lines at the marks.
    pub(super) grid: bool,
}

impl Axis {
    /// The name of the mark at a position.
    fn name(&self, at: f64) -> String {
        let found = self.marks.iter().find(|mark| (mark.at - at).abs() < 1e-9);
        found.map(|mark| mark.name.clone()).unwrap_or_default()
    }

    /// A logarithmic axis around some values above 0, with some room on either side. Positions are
    /// decimal logarithms. None without values.
    pub(super) fn logarithmic(
        title: &str,
        values: impl IntoIterator<Item = f64>,
        name: fn(f64) -> String,
    ) -> Option<Self> {
        let logs: Vec<f64> = values.into_iter().map(f64::log10).filter(|l| l.is_finite()).collect();
        let lowest = logs.iter().copied().min_by(f64::total_cmp)?;
        let highest = logs.iter().copied().max_by(f64::total_cmp)?;
        let room = ((highest - lowest) * 0.06).max(0.08);
        let range = lowest - room..highest + room;
        // Over few decades their fractions are worth naming.
        let steps: &[u32] = match range.end - range.start {
            span if span < 1.7 => &[1, 2, 3, 5, 7],
            span if span < 3.2 => &[1, 2, 5],
            _ => &[1],
        };
        let at = |decade: i32, step: u32| f64::from(decade) + f64::from(step).log10();
        let decades = range.start.floor() as i32..=range.end.floor() as i32;
        let all = |steps: &[u32]| -> Vec<f64> {
            let each = decades.clone().flat_map(|d| steps.iter().map(move |&step| at(d, step)));
            each.filter(|at| range.contains(at)).collect()
        };
        let named = all(steps).into_iter().map(|at| Mark { at, name: short(name(10f64.powf(at))) });
        Some(Self {
            title: title.to_owned(),
            marks: named.collect(),
            fine: all(&[1, 2, 3, 4, 5, 6, 7, 8, 9]),
            grid: true,
            range,
        })
    }

    /// An axis of message sizes, each named. Positions are binary logarithms.
    pub(super) fn sizes(sizes: &[usize]) -> Option<Self> {
        let marks: Vec<Mark> =
            sizes.iter().map(|&size| Mark { at: size_at(size), name: form::size(size) }).collect();
        let range = marks.first()?.at - 0.6..marks.last()?.at + 0.6;
        Some(Self { title: "message size".into(), range, marks, fine: Vec::new(), grid: true })
    }

    /// An axis of shares, each nine as wide as the one before. Positions are [`share_at`].
    pub(super) fn shares(smallest_rest: f64) -> Self {
        let end = share_at(smallest_rest).max(1.0);
        let names = ["0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %"];
        let marks = names
            .iter()
            .enumerate()
            .map(|(nines, name)| Mark { at: nines as f64, name: (*name).to_owned() });
        Self {
            title: "share of round trips that are at most as slow".into(),
            range: 0.0..end + 0.05,
            marks: marks.filter(|mark| mark.at <= end).collect(),
            fine: Vec::new(),
            grid: true,
        }
    }

    /// An axis of names, from the top down; the first is at `count - 0.5`, the last at 0.5.
    pub(super) fn rows(names: &[String]) -> Self {
        let count = names.len() as f64;
        let marks = names
            .iter()
            .enumerate()
            .map(|(row, name)| Mark { at: row_at(row, names.len()), name: name.clone() });
        Self {
            title: String::new(),
            range: 0.0..count,
            marks: marks.collect(),
            fine: Vec::new(),
            grid: false,
        }
    }
}

/// The drawing library takes an axis as it is.
impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        RangedCoordf64::from(self.range.clone()).map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            self.fine.clone()
        } else {
            self.marks.iter().map(|mark| mark.at).collect()
        }
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        self.name(*value)
    }
}

/// Where a message size stands. Nothing at all stands one step below a byte.
pub(super) fn size_at(size: usize) -> f64 {
    if size == 0 { -1.0 } else { (size as f64).log2() }
}

/// Where a share stands, by the rest that it leaves.
pub(super) fn share_at(rest: f64) -> f64 {
    // Of 1 the logarithm is 0, but with the sign of the other zero.
    (-rest.log10()).max(0.0)
}

/// Where a row stands.
pub(super) fn row_at(row: usize, rows: usize) -> f64 {
    (rows - row) as f64 - 0.5
}

/// Without digits that say nothing: `1.00 us` is `1 us`.
fn short(name: String) -> String {
    match name.split_once(' ') {
        Some((figure, unit)) if figure.contains('.') => {
            format!("{} {unit}", figure.trim_end_matches('0').trim_end_matches('.'))
        }
        None if name.contains('.') => name.trim_end_matches('0').trim_end_matches('.').to_owned(),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(axis: &Axis) -> Vec<&str> {
        axis.marks.iter().map(|mark| mark.name.as_str()).collect()
    }

    #[test]
    fn a_wide_scale_names_decades_and_a_narrow_one_their_parts() {
        let wide = Axis::logarithmic("t", [220.0, 2.2e6], form::time).unwrap();
        assert_eq!(names(&wide), ["1 us", "10 us", "100 us", "1 ms"]);
        let narrow = Axis::logarithmic("t", [220.0, 1900.0], form::time).unwrap();
        assert_eq!(names(&narrow), ["200 ns", "300 ns", "500 ns", "700 ns", "1 us", "2 us"]);
        assert!(narrow.range.contains(&220f64.log10()) && narrow.range.contains(&1900f64.log10()));
        assert!(Axis::logarithmic("t", [], form::time).is_none());
    }

    #[test]
    fn every_scale_has_a_name_even_around_a_single_value() {
        for value in [1.0, 3.9, 6.1, 88.0, 2e9] {
            let axis = Axis::logarithmic("t", [value], form::time).unwrap();
            assert!(!axis.fine.is_empty(), "{value}: {axis:?}");
        }
    }

    #[test]
    fn sizes_shares_and_rows_stand_in_order() {
        let sizes = Axis::sizes(&[0, 8, 1024]).unwrap();
        assert_eq!(names(&sizes), ["0 B", "8 B", "1 KiB"]);
        assert!(sizes.marks.is_sorted_by(|a, b| a.at < b.at));
        assert_eq!(names(&Axis::shares(0.0009)), ["0 %", "90 %", "99 %", "99.9 %"]);
        let rows = Axis::rows(&["first".into(), "last".into()]);
        assert_eq!((rows.name(1.5), rows.name(0.5)), ("first".into(), "last".into()));
        assert_eq!(rows.name(1.0), "");
    }
}

//! Aligned columns.

use std::io::{self, Write};

use anstyle::Style;

use super::style::{HEAD, PLAIN};

/// On which side a column is straight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// One cell: its text and how it looks.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    style: Style,
}

/// A cell without a look of its own.
pub(super) fn cell(text: impl ToString) -> Cell {
    styled(text, PLAIN)
}

/// A cell with one.
pub(super) fn styled(text: impl ToString, style: Style) -> Cell {
    Cell { text: text.to_string(), style }
}

/// Rows below a head; every row has a cell for each column.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Align>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(super) fn new(head: &[(&str, Align)]) -> Self {
        let titles = head.iter().map(|(title, _)| styled(title, HEAD)).collect();
        Self { columns: head.iter().map(|(_, align)| *align).collect(), rows: vec![titles] }
    }

    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells);
    }

    /// Prints the rows, each after `indent`. Nothing follows a row's last character.
    pub(super) fn print(&self, indent: &str, out: &mut dyn Write) -> io::Result<()> {
        let widths = self.widths();
        for row in &self.rows {
            write!(out, "{indent}")?;
            for (column, cell) in row.iter().enumerate() {
                let last = column + 1 == row.len();
                let pad = widths[column].saturating_sub(cell.text.chars().count());
                let (before, after) = match self.columns[column] {
                    Align::Right => (pad, 0),
                    Align::Left if last => (0, 0),
                    Align::Left => (0, pad),
                };
                let Cell { text, style } = cell;
                write!(out, "{:before$}{style}{text}{style:#}{:after$}", "", "")?;
                write!(out, "{}", if last { "\n" } else { "  " })?;
            }
        }
        Ok(())
    }

    fn widths(&self) -> Vec<usize> {
        let width = |column: usize| {
            self.rows.iter().map(|row| row[column].text.chars().count()).max().unwrap_or(0)
        };
        (0..self.columns.len()).map(width).collect()
    }
}

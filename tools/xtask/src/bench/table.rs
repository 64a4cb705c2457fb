//! Owns how results are laid out: tables that read well on a terminal and are Markdown as they stand.

use std::fmt;

/// A table whose first columns are words, to the left, and whose others are figures, to the right.
#[derive(Debug, Clone)]
pub struct Table {
    words: usize,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings, of which the first `words` stand above words.
    pub fn new<const N: usize>(words: usize, headings: [&str; N]) -> Self {
        Self { words, rows: vec![headings.map(str::to_owned).to_vec()] }
    }

    /// Adds a row; what it lacks stays empty.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    fn widths(&self) -> Vec<usize> {
        // Three dashes are the least that Markdown takes for a line.
        let mut widths = vec![3; self.rows[0].len()];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        widths
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        for (number, row) in self.rows.iter().enumerate() {
            for (column, &width) in widths.iter().enumerate() {
                let cell = row.get(column).map_or("", String::as_str);
                match column < self.words {
                    true => write!(f, "| {cell:<width$} ")?,
                    false => write!(f, "| {cell:>width$} ")?,
                }
            }
            writeln!(f, "|")?;
            if number == 0 {
                self.line(f, &widths)?;
            }
        }
        Ok(())
    }
}

impl Table {
    fn line(&self, f: &mut fmt::Formatter<'_>, widths: &[usize]) -> fmt::Result {
        for (column, &width) in widths.iter().enumerate() {
            let dashes = "-".repeat(width - 1);
            match column < self.words {
                true => write!(f, "| -{dashes} ")?,
                false => write!(f, "| {dashes}: ")?,
            }
        }
        writeln!(f, "|")
    }
}

/// A figure that is a count or a rate, with thousands apart.
pub fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits.as_str()), |rest| ("-", rest));
    let mut text = String::from(sign);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_the_text_is_markdown() {
        let mut table = Table::new(1, ["what", "µs"]);
        table.row(vec!["kill".into(), "1 200".into()]);
        table.row(vec!["x".into()]);
        let expected = "| what |    µs |\n| ---- | ----: |\n| kill | 1 200 |\n| x    |       |\n";
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn thousands_are_apart() {
        let texts = [0.4, 999.6, 56022.4, 1234567.0, -1000.0].map(thousands);
        assert_eq!(texts, ["0", "1 000", "56 022", "1 234 567", "-1 000"]);
    }
}

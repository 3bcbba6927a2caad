//! Lists in columns.

use super::human::{printable, width};
use super::style::{Style, Tone};
use std::fmt::Write;

/// A list in columns, each as wide as its widest cell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<(Tone, String)>>,
}

impl Table {
    /// A list without rows.
    pub(crate) fn new(header: &[&'static str]) -> Table {
        Table {
            header: header.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; cells beyond the header are dropped, and what a terminal would obey.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = (Tone, String)>) {
        let cells = cells.into_iter().take(self.header.len());
        let cells = cells.map(|(tone, cell)| (tone, printable(&cell)));
        self.rows.push(cells.collect());
    }

    /// The text: a header in capitals, then the rows. Ends with a line feed.
    pub(crate) fn render(&self, style: Style) -> String {
        let mut widths: Vec<usize> = self.header.iter().map(|cell| width(cell)).collect();
        for row in &self.rows {
            for (widest, (_, cell)) in widths.iter_mut().zip(row) {
                *widest = (*widest).max(width(cell));
            }
        }
        let header: Vec<_> = self
            .header
            .iter()
            .map(|cell| (Tone::Faint, cell.to_uppercase()))
            .collect();
        let mut text = String::new();
        for row in std::iter::once(&header).chain(&self.rows) {
            let mut gap = 0;
            for (widest, (tone, cell)) in widths.iter().zip(row) {
                if !cell.is_empty() {
                    let _ = write!(text, "{:gap$}{}", "", style.paint(*tone, cell));
                    gap = 0;
                }
                // Written before the next cell only: no line ends in spaces.
                gap += widest - width(cell) + 2;
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_no_line_ends_in_spaces() {
        let mut table = Table::new(&["run", "state", "why"]);
        table.row([
            (Tone::Plain, "a".to_owned()),
            (Tone::Good, "succeeded".to_owned()),
            (Tone::Plain, String::new()),
        ]);
        table.row([
            (Tone::Plain, "é-long".to_owned()),
            (Tone::Plain, String::new()),
            (Tone::Plain, "x".to_owned()),
        ]);
        let text = table.render(Style { colour: false });
        assert_eq!(
            text,
            "RUN     STATE      WHY\na       succeeded\né-long             x\n"
        );
        let coloured = table.render(Style { colour: true });
        assert!(
            coloured.contains("a       \x1b[32msucceeded\x1b[0m\n"),
            "{coloured:?}"
        );
    }
}

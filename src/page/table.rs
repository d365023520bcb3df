//! Tables: a heading per column and row, wide ones in a box that scrolls by pointer and keyboard.

use std::fmt::Write as _;

use super::escape::{Escaped, clip};
use crate::display::Tone;

/// Longest text of a cell.
const LONGEST: usize = 400;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// A cell: a text, or markup of this room's own.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    markup: String,
    class: &'static str,
    rows: usize,
    wraps: bool,
}

impl Cell {
    /// Text from wherever.
    pub(super) fn text(text: &str) -> Self {
        Self::markup(Escaped(clip(text, LONGEST)).to_string())
    }

    /// Markup, whose texts are escaped already.
    pub(super) const fn markup(markup: String) -> Self {
        Self { markup, class: "", rows: 1, wraps: false }
    }

    pub(super) fn toned(self, tone: Tone) -> Self {
        Self { class: class_of(tone), ..self }
    }

    /// Reaching over several rows.
    pub(super) fn over(self, rows: usize) -> Self {
        Self { rows, ..self }
    }

    /// Broken into lines where it is long.
    pub(super) fn wrapped(self) -> Self {
        Self { wraps: true, ..self }
    }
}

/// The class of a tone.
pub(super) const fn class_of(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "good",
        Tone::Warning => "warn",
        Tone::Bad => "bad",
        Tone::Strong => "strong",
        Tone::Faint => "faint",
    }
}

/// A table under construction.
#[derive(Debug)]
pub(super) struct Table<'a> {
    label: &'a str,
    columns: Vec<(&'a str, Align)>,
    body: String,
}

impl<'a> Table<'a> {
    pub(super) fn new(label: &'a str, columns: impl IntoIterator<Item = (&'a str, Align)>) -> Self {
        Self { label, columns: columns.into_iter().collect(), body: String::new() }
    }

    /// Adds a row: the first cell is its heading.
    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.cells(cells, "", 0);
    }

    /// Adds a row whose first `spanned` columns are taken by cells above.
    pub(super) fn cells(&mut self, cells: Vec<Cell>, class: &str, spanned: usize) {
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        let _ = write!(self.body, "<tr{class}>");
        for (nth, cell) in cells.into_iter().enumerate() {
            let place = nth + spanned;
            let left = self.columns.get(place).is_some_and(|(_, align)| *align == Align::Left);
            let tag = if place == 0 { "th" } else { "td" };
            let mut classes =
                vec![cell.class, if left { "l" } else { "" }, if cell.wraps { "wrap" } else { "" }];
            classes.retain(|class| !class.is_empty());
            let _ = write!(self.body, "<{tag}");
            if !classes.is_empty() {
                let _ = write!(self.body, " class=\"{}\"", classes.join(" "));
            }
            if place == 0 {
                self.body += if cell.rows > 1 { " scope=\"rowgroup\"" } else { " scope=\"row\"" };
            }
            if cell.rows > 1 {
                let _ = write!(self.body, " rowspan=\"{}\"", cell.rows);
            }
            let _ = write!(self.body, ">{}</{tag}>", cell.markup);
        }
        self.body += "</tr>";
    }

    /// Adds a text across all columns but the first `spanned`.
    pub(super) fn note(&mut self, text: &str, spanned: usize) {
        let columns = self.columns.len() - spanned;
        let text = Escaped(clip(text, LONGEST));
        let _ = write!(
            self.body,
            "<tr class=\"note\"><td class=\"l wrap\" colspan=\"{columns}\">{text}</td></tr>"
        );
    }

    /// Adds a heading of the rows that follow.
    pub(super) fn heading(&mut self, text: &str) {
        let columns = self.columns.len();
        let text = Escaped(clip(text, LONGEST));
        let _ = write!(
            self.body,
            "<tr class=\"group\"><th class=\"l\" scope=\"rowgroup\" colspan=\"{columns}\">{text}</th></tr>"
        );
    }

    pub(super) fn draw(self) -> String {
        let mut out = format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"Table: {}\"><table \
             cellpadding=\"5\"><thead><tr>",
            Escaped(self.label)
        );
        for (name, align) in &self.columns {
            let class = if *align == Align::Left { " class=\"l\"" } else { "" };
            let _ = write!(out, "<th scope=\"col\"{class}>{}</th>", Escaped(name));
        }
        let _ = write!(out, "</tr></thead><tbody>{}</tbody></table></div>", self.body);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_escaped_and_headed() {
        let mut table = Table::new("t", [("a", Align::Left), ("b", Align::Right)]);
        table.row(vec![Cell::text("<i>").over(2), Cell::text("1").toned(Tone::Bad)]);
        table.cells(vec![Cell::text("2")], "all", 1);
        table.note("<b>", 1);
        insta::assert_snapshot!(table.draw(), @r#"<div class="scroll" tabindex="0" role="group" aria-label="Table: t"><table cellpadding="5"><thead><tr><th scope="col" class="l">a</th><th scope="col">b</th></tr></thead><tbody><tr><th class="l" scope="rowgroup" rowspan="2">&lt;i&gt;</th><td class="bad">1</td></tr><tr class="all"><td>2</td></tr><tr class="note"><td class="l wrap" colspan="1">&lt;b&gt;</td></tr></tbody></table></div>"#);
    }
}

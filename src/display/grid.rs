//! Columns that line up: the first to the left, all others to the right, without borders.

use super::style::{Style, Tone};

/// Spaces between two columns.
const GAP: usize = 2;
/// Characters of the first column that stay while others can give way.
const LEAST_NAME: usize = 16;

/// A line of a grid.
#[derive(Debug, Clone)]
enum Line {
    /// Cells, in the columns, with the tone of the whole line or none.
    Cells(Vec<String>, Option<Tone>),
    /// Text across all columns, wrapped under its own indentation.
    Text(String, Option<Tone>),
    /// A head and a text beside it, wrapped behind the head.
    Beside(String, String),
}

/// A table under construction.
#[derive(Debug, Clone, Default)]
pub(super) struct Grid {
    lines: Vec<Line>,
    /// Columns to leave out where the width does not suffice, the first one first.
    expendable: Vec<usize>,
}

impl Grid {
    pub(super) fn new(expendable: &[usize]) -> Self {
        Self { lines: Vec::new(), expendable: expendable.to_vec() }
    }

    pub(super) fn cells(&mut self, cells: Vec<String>, tone: Option<Tone>) {
        self.lines.push(Line::Cells(cells, tone));
    }

    pub(super) fn text(&mut self, text: impl Into<String>, tone: Option<Tone>) {
        self.lines.push(Line::Text(text.into(), tone));
    }

    pub(super) fn beside(&mut self, head: String, text: String) {
        self.lines.push(Line::Beside(head, text));
    }

    /// The lines, no wider than `width` as far as leaving out columns and clipping the first one can achieve it.
    pub(super) fn draw(&self, width: usize, style: Style) -> Vec<String> {
        let mut widths = self.widths();
        // A long name is cut before columns go.
        if total(&widths) > width
            && let Some(first) = widths.first_mut()
        {
            *first = (*first).min((width * 2 / 5).max(LEAST_NAME));
        }
        for &column in &self.expendable {
            if total(&widths) > width
                && let Some(expendable) = widths.get_mut(column)
            {
                *expendable = 0;
            }
        }
        let excess = total(&widths).saturating_sub(width);
        if let Some(first) = widths.first_mut() {
            *first = first.saturating_sub(excess).max(1);
        }
        let painted = |text: &str, tone: Option<Tone>| {
            let text = text.trim_end();
            tone.map_or_else(|| text.to_owned(), |tone| style.paint(text, tone))
        };
        let mut drawn = Vec::new();
        for line in &self.lines {
            match line {
                Line::Cells(cells, tone) => drawn.push(painted(&row(cells, &widths, style), *tone)),
                Line::Text(text, tone) => {
                    let bare = text.trim_start();
                    let indent = text.len() - bare.len();
                    for part in wrap(bare, width.saturating_sub(indent)) {
                        drawn.push(painted(&format!("{:indent$}{part}", ""), *tone));
                    }
                }
                Line::Beside(head, text) => drawn.extend(hanging(head, text, width)),
            }
        }
        drawn
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = Vec::new();
        for line in &self.lines {
            let Line::Cells(cells, _) = line else { continue };
            widths.resize(widths.len().max(cells.len()), 0);
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = (*width).max(cell.chars().count());
            }
        }
        widths
    }
}

fn total(widths: &[usize]) -> usize {
    let shown = widths.iter().filter(|&&width| width > 0);
    shown.map(|width| width + GAP).sum::<usize>().saturating_sub(GAP)
}

fn row(cells: &[String], widths: &[usize], style: Style) -> String {
    let mut text = String::new();
    for (column, (cell, &width)) in cells.iter().zip(widths).enumerate() {
        if width == 0 {
            continue;
        }
        let cell = clip(cell, width, style);
        let pad = width.saturating_sub(cell.chars().count());
        let (before, after) = if column == 0 { (0, pad) } else { (GAP + pad, 0) };
        text.extend(std::iter::repeat_n(' ', before));
        text.push_str(&cell);
        text.extend(std::iter::repeat_n(' ', after));
    }
    text
}

/// `text` in at most `width` characters; what is cut off leaves an ellipsis.
pub(super) fn clip(text: &str, width: usize, style: Style) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let ellipsis = if style.ascii { '~' } else { '…' };
    text.chars().take(width.saturating_sub(1)).chain([ellipsis]).collect()
}

/// `text` in lines of at most `width` characters, broken at spaces, and a longer word where it must be.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ').flat_map(|word| pieces(word, width.max(1))) {
        let line = lines.last_mut().map_or(0, |line| line.chars().count());
        if line > 0 && line + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else if let Some(last) = lines.last_mut() {
            if line > 0 {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines
}

/// `text` behind `head`, in lines of at most `width` characters that all begin behind it.
pub(crate) fn hanging(head: &str, text: &str, width: usize) -> Vec<String> {
    let indent = head.chars().count();
    let parts = wrap(text, width.saturating_sub(indent)).into_iter().enumerate();
    parts
        .map(|(nth, part)| if nth == 0 { format!("{head}{part}") } else { format!("{:indent$}{part}", "") })
        .collect()
}

/// `text` with its longer lines wrapped, but for quoted ones: marks under them must stay in their places.
pub(crate) fn fitted(text: &str, width: usize) -> String {
    let is_quoted = |line: &str| {
        line.split_once(" | ")
            .is_some_and(|(number, _)| number.trim().bytes().all(|byte| byte.is_ascii_digit()))
    };
    let lines = text.lines().flat_map(|line| {
        if is_quoted(line) || line.chars().count() <= width {
            vec![line.to_owned()]
        } else {
            wrap(line, width)
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// `word` in pieces of at most `width` characters.
fn pieces(word: &str, width: usize) -> Vec<&str> {
    let ends = word.char_indices().map(|(at, _)| at).step_by(width).skip(1).chain([word.len()]);
    let mut from = 0;
    ends.map(|end| &word[std::mem::replace(&mut from, end)..end]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        let mut grid = Grid::new(&[1]);
        let cells = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        grid.cells(cells(["fleet", "planned", "p99"]), None);
        grid.cells(cells(["a", "1", "1.24 ms"]), None);
        grid.text("across the columns", None);
        grid
    }

    #[test]
    fn columns_line_up_and_give_way_in_order() {
        assert_eq!(
            grid().draw(30, Style::PLAIN),
            ["fleet  planned      p99", "a            1  1.24 ms", "across the columns"]
        );
        assert_eq!(grid().draw(20, Style::PLAIN), ["fleet      p99", "a      1.24 ms", "across the columns"]);
        assert_eq!(grid().draw(12, Style::PLAIN), ["fl~      p99", "a    1.24 ms", "across the", "columns"]);
    }

    #[test]
    fn text_breaks_at_spaces() {
        assert_eq!(wrap("the quick brown fox", 10), ["the quick", "brown fox"]);
        assert_eq!(wrap("unbreakable it is", 4), ["unbr", "eaka", "ble", "it", "is"]);
    }
}

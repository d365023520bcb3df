//! Writing on the screen: nothing goes beyond its edges, and nothing that came from elsewhere steers the terminal.

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};
use ratatui::text::Span;

use super::palette::{Ink, Palette};

/// The cells of a screen.
pub(super) struct Canvas<'b> {
    buffer: &'b mut Buffer,
    pub(super) palette: Palette,
}

/// Columns that `text` takes.
pub(super) fn wide(text: &str) -> u16 {
    u16::try_from(Span::raw(text).width()).unwrap_or(u16::MAX)
}

/// `text` cut to `columns`, with a sign where something is missing.
pub(super) fn clip(text: &str, columns: u16) -> String {
    if wide(text) <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    for letter in text.chars() {
        kept.push(letter);
        if wide(&kept) >= columns {
            kept.pop();
            break;
        }
    }
    if columns > 0 {
        kept.push('…');
    }
    kept
}

impl<'b> Canvas<'b> {
    pub(super) fn new(buffer: &'b mut Buffer, palette: Palette) -> Self {
        Self { buffer, palette }
    }

    pub(super) fn width(&self) -> u16 {
        self.buffer.area.width
    }

    pub(super) fn height(&self) -> u16 {
        self.buffer.area.height
    }

    /// Empties all of it.
    pub(super) fn clear(&mut self) {
        self.wipe((0, 0), (self.width(), self.height()));
    }

    /// Empties a part of it.
    pub(super) fn wipe(&mut self, (x, y): (u16, u16), (columns, rows): (u16, u16)) {
        let ground = self.palette.ground();
        for row in y..y.saturating_add(rows).min(self.height()) {
            for column in x..x.saturating_add(columns).min(self.width()) {
                if let Some(cell) = self.buffer.cell_mut((column, row)) {
                    cell.reset();
                    cell.set_style(ground);
                }
            }
        }
    }

    /// Writes `text` from (x, y) on; gives the column behind it.
    pub(super) fn put(&mut self, (x, y): (u16, u16), text: &str, ink: Ink) -> u16 {
        if x >= self.width() || y >= self.height() {
            return x;
        }
        let style = self.palette.style(ink);
        self.buffer.set_stringn(x, y, text, usize::from(self.width() - x), style).0
    }

    /// Writes at most `columns` of it.
    pub(super) fn put_within(&mut self, at: (u16, u16), columns: u16, text: &str, ink: Ink) -> u16 {
        self.put(at, &clip(text, columns), ink)
    }

    /// Writes `text` so that it ends before column `end`; nothing where there is no room for all of it.
    pub(super) fn right(&mut self, (end, y): (u16, u16), text: &str, ink: Ink) {
        if let Some(x) = end.checked_sub(wide(text)) {
            self.put((x, y), text, ink);
        }
    }

    /// Sets one cell; a colour that is not given stays as it is.
    pub(super) fn cell(
        &mut self,
        (x, y): (u16, u16),
        letter: char,
        front: Option<Color>,
        back: Option<Color>,
    ) {
        let Some(cell) = self.buffer.cell_mut((x, y)) else { return };
        cell.set_char(letter);
        if let Some(front) = front {
            cell.set_fg(front);
        }
        if let Some(back) = back {
            cell.set_bg(back);
        }
    }

    /// Colours what is behind a cell.
    pub(super) fn back(&mut self, at: (u16, u16), back: Color) {
        if let Some(cell) = self.buffer.cell_mut(at) {
            cell.set_bg(back);
        }
    }

    /// Marks a cell: a letter that stands there is reversed, for a name must stay whole.
    pub(super) fn cursor(&mut self, (x, y): (u16, u16)) {
        let Some(cell) = self.buffer.cell_mut((x, y)) else { return };
        if cell.symbol().chars().all(|letter| !letter.is_alphanumeric()) {
            return self.mark((x, y), '▌', Ink::Text);
        }
        cell.modifier.insert(Modifier::REVERSED);
    }

    /// Writes a mark over whatever stands in a cell, on its colour.
    pub(super) fn mark(&mut self, (x, y): (u16, u16), letter: char, ink: Ink) {
        let front = self.palette.style(ink).fg;
        let Some(cell) = self.buffer.cell_mut((x, y)) else { return };
        if cell.symbol() == "▀" || cell.symbol() == "▄" {
            let colour = cell.fg;
            cell.set_bg(colour);
        }
        cell.set_char(letter);
        if let Some(front) = front {
            cell.set_fg(front);
        }
    }
}

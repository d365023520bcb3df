//! One frame as text: for logs, documents and tests.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::args::Size;
use super::session::Session;
use crate::cli::{CliError, screen};
use crate::tui::{Depth, Palette};

/// Prints the frame of the instant that the session stands at.
pub(super) fn print(session: &mut Session, size: Size) -> Result<(), CliError> {
    session.catch_up()?;
    let area = Rect::new(0, 0, size.columns, size.rows);
    screen::print_line(&text(&session.draw(Palette::new(Depth::Plain), area)))
}

/// The letters of a frame, without what is blank at the ends of its lines.
fn text(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width.max(1));
    let line = |cells: &[ratatui::buffer::Cell]| {
        let line: String = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
        line.trim_end().to_owned()
    };
    buffer.content.chunks(width).map(line).collect::<Vec<_>>().join("\n")
}

//! The live screen: what is known of a run, drawn for a terminal of any size.
//!
//! A [`Model`] is what is shown and [`Controls`] how it is looked at; [`draw`] makes of both the cells of a screen, and nothing else
//! decides what they are. Whoever owns the terminal reads the files, hands keys to [`Controls::press`] and does what it asks for.

mod canvas;
mod compact;
mod control;
mod curve;
mod fault;
mod fleet;
mod frame;
mod generator;
mod head;
mod heat;
mod model;
mod overlay;
mod overview;
mod palette;
mod strip;

pub(crate) use control::{Controls, Request, Rights};
pub(crate) use model::{Mode, Model, Switch, known_by};
pub(crate) use palette::{Depth, Palette};

use ratatui::buffer::Buffer;

use canvas::Canvas;
use control::View;

/// What is too small for the screen is shown in a few lines.
const LEAST: (u16, u16) = (60, 16);

/// Draws the screen into all of `buffer`.
pub(crate) fn draw(model: &Model<'_>, controls: &Controls, palette: Palette, buffer: &mut Buffer) {
    let mut canvas = Canvas::new(buffer, palette);
    canvas.clear();
    if canvas.width() < LEAST.0 || canvas.height() < LEAST.1 {
        compact::draw(model, &mut canvas);
    } else {
        head::draw(model, controls, &mut canvas);
        match controls.view() {
            View::Overview => overview::draw(model, controls, &mut canvas),
            View::Fleets => fleet::draw(model, controls, &mut canvas),
            View::Faults => fault::draw(model, controls, &mut canvas),
            View::Generator => generator::draw(model, &mut canvas),
            View::Curve => curve::draw(model, &mut canvas),
        }
        overlay::keys(model, controls, &mut canvas);
    }
    overlay::draw(model, controls, &mut canvas);
}

/// The run in a line.
pub(crate) fn words(model: &Model<'_>) -> String {
    compact::lines(model).into_iter().map(|(line, _)| line).collect::<Vec<_>>().join(" · ")
}

#[cfg(test)]
mod tests;

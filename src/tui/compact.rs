//! The run in a few lines, for terminals too small for the screen.

use super::canvas::Canvas;
use super::model::{Model, count, rate, tail};
use super::palette::Ink;
use crate::units::Quantile;

/// Draws as many lines as fit.
pub(super) fn draw(model: &Model<'_>, canvas: &mut Canvas<'_>) {
    let width = canvas.width();
    for (y, (line, ink)) in (0..canvas.height()).zip(lines(model)) {
        canvas.put_within((0, y), width, &line, ink);
    }
}

/// The run in words, what matters most first.
pub(super) fn lines(model: &Model<'_>) -> Vec<(String, Ink)> {
    let ((now, times), (_, seconds)) = (model.total(), model.scope());
    let failures = model.watched.so_far().failed();
    let validity = model.validity();
    let service = model.service();
    let percentiles = format!("p50 {}  p99 {}", tail(times, Quantile::P50), tail(times, Quantile::P99));
    let mut lines = vec![
        (format!("{}  {}", model.run.scenario.name, model.clock()), Ink::Text),
        (validity.words, validity.ink),
        (service.words, service.ink),
        (format!("{} of {} due/s", rate(now.ok, seconds), rate(now.planned, seconds)), Ink::Ok),
        (percentiles, Ink::P99),
        (format!("{} failed", count(failures)), if failures > 0 { Ink::Bad } else { Ink::Soft }),
    ];
    if let Some(light) = model.fault_words() {
        lines.push((light.words, light.ink));
    }
    lines
}

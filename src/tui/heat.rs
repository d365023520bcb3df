//! The heat map: time by response time, with the median and the 99th percentile on it.

use super::canvas::Canvas;
use super::control::Controls;
use super::frame::{Frame, Slot};
use super::model::{Model, STYLE};
use super::palette::{Ink, Palette};
use crate::display::figure::round_time;
use crate::results::{ROWS_PER_DECADE, row_of};

/// Decades from 1 ns that are drawn where nothing ended yet: 100 µs to 1 s.
const USUAL: (u16, u16) = (5, 9);

/// The scale of times, from below: the decades that it covers, and the half cells it has.
#[derive(Debug, Clone, Copy)]
struct Scale {
    low: u16,
    high: u16,
    halves: u16,
}

impl Scale {
    fn new<'s>(slots: impl Iterator<Item = &'s Slot>, cut: u16, rows: u16) -> Self {
        let (mut low, mut high) = (u16::MAX, 0);
        for slot in slots {
            if let (Some((first, _)), Some((last, _))) =
                (slot.column.heat.first_key_value(), slot.column.heat.last_key_value())
            {
                (low, high) = (low.min(first / ROWS_PER_DECADE), high.max(last / ROWS_PER_DECADE + 1));
            }
        }
        if low > high {
            (low, high) = USUAL;
        }
        let high = high.saturating_sub(cut).max(low + 1);
        Self { low, high, halves: 2 * rows }
    }

    /// The rows of the files that a half cell covers.
    fn rows(self, half: u16) -> (u16, u16) {
        let at = |half: u16| {
            let span = f64::from((self.high - self.low) * ROWS_PER_DECADE);
            let row = span * f64::from(half) / f64::from(self.halves.max(1));
            self.low * ROWS_PER_DECADE + (row + 1e-9) as u16
        };
        (at(half), at(half + 1).max(at(half) + 1))
    }

    /// Readings a second in every half cell, from below.
    fn densities(self, slot: &Slot) -> Vec<f64> {
        let counted = |half: u16| -> u64 {
            let (from, to) = self.rows(half);
            slot.column.heat.range(from..to).map(|(_, readings)| readings).sum()
        };
        (0..self.halves).map(|half| counted(half) as f64 / slot.seconds).collect()
    }

    /// The half cell that a time lies in, from below; `None` above the scale.
    fn half(self, ns: u64) -> Option<u16> {
        let span = f64::from((self.high - self.low) * ROWS_PER_DECADE);
        let row = f64::from(row_of(ns).saturating_sub(self.low * ROWS_PER_DECADE)) + 0.5;
        let half = row / span * f64::from(self.halves);
        (half < f64::from(self.halves)).then_some(half as u16)
    }
}

/// Draws the map into `rows` lines from `top` on.
pub(super) fn draw(
    model: &Model<'_>,
    controls: &Controls,
    frame: &Frame,
    (top, rows): (u16, u16),
    canvas: &mut Canvas<'_>,
) {
    if rows == 0 {
        return;
    }
    let scale = Scale::new(frame.filled().map(|(_, slot)| slot), controls.cut, rows);
    let columns: Vec<_> = frame.filled().map(|(x, slot)| (x, slot, scale.densities(slot))).collect();
    let densest = columns.iter().flat_map(|(.., densities)| densities).copied().fold(0.0, f64::max);
    tint(model, frame, (top, rows), canvas);
    for (x, slot, densities) in columns {
        let shares = |half: u16| {
            let dense = densities[usize::from(half)];
            (dense > 0.0).then(|| dense.ln_1p() / densest.ln_1p().max(1e-9))
        };
        for row in 0..rows {
            let from_below = 2 * (rows - 1 - row);
            cell((x, top + row), shares(from_below + 1), shares(from_below), canvas);
        }
        let marks = [(slot.column.p50, '╌', Ink::Text), (slot.column.p99, '━', Ink::P99)];
        for (ns, letter, ink) in marks {
            if let Some(half) = ns.and_then(|ns| scale.half(ns)) {
                canvas.mark((x, top + rows - 1 - half / 2), letter, ink);
            }
        }
    }
    axis(scale, frame.axis.left, (top, rows), canvas);
}

/// Two half cells: the share of the densest that each holds.
fn cell(at: (u16, u16), up: Option<f64>, down: Option<f64>, canvas: &mut Canvas<'_>) {
    let palette = canvas.palette;
    if !palette.has_blocks() {
        if let Some(share) = up.into_iter().chain(down).reduce(f64::max) {
            canvas.cell(at, Palette::shade(share), Some(palette.heat(share)), None);
        }
        return;
    }
    match (up, down) {
        (Some(up), Some(down)) => canvas.cell(at, '▀', Some(palette.heat(up)), Some(palette.heat(down))),
        (Some(up), None) => canvas.cell(at, '▀', Some(palette.heat(up)), None),
        (None, Some(down)) => canvas.cell(at, '▄', Some(palette.heat(down)), None),
        (None, None) => {}
    }
}

/// Where faults were on, behind everything.
fn tint(model: &Model<'_>, frame: &Frame, (top, rows): (u16, u16), canvas: &mut Canvas<'_>) {
    let Some(colour) = canvas.palette.tint() else { return };
    for spell in &model.watched.spells {
        let end_s = spell.end_s.unwrap_or(f64::INFINITY).min(model.now_s());
        let Some((from, to)) = frame.axis.cells(spell.start_s, end_s) else { continue };
        for x in from..to {
            (top..top + rows).for_each(|y| canvas.back((x, y), colour));
        }
    }
}

/// The decades at the left edge.
fn axis(scale: Scale, left: u16, (top, rows): (u16, u16), canvas: &mut Canvas<'_>) {
    let mut last = None;
    for decade in scale.low..=scale.high {
        let half =
            u32::from(decade - scale.low) * u32::from(scale.halves) / u32::from(scale.high - scale.low);
        let half = (half as u16).min(scale.halves.saturating_sub(1));
        let y = top + rows - 1 - half / 2;
        // A line between two labels keeps them apart.
        if last.is_some_and(|last: u16| last.abs_diff(y) < 2) {
            continue;
        }
        last = Some(y);
        let ns = 10_u64.saturating_pow(decade.into());
        canvas.right((left.saturating_sub(1), y), &round_time(ns, STYLE), Ink::Soft);
    }
}

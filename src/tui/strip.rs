//! Bars over time under the heat map: what was answered, what failed, what waits, how late the generator was.

use super::canvas::Canvas;
use super::frame::{Frame, Slot};
use super::model::{Model, STYLE, Scope, count, rate};
use super::palette::Ink;
use crate::display::time;

const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A strip: its name, what it shows of a cell, how it is coloured, and the words at its end.
struct Strip<'s> {
    name: &'s str,
    value: fn(&Slot) -> f64,
    ink: Ink,
    words: String,
    rows: u16,
}

/// Lines that the strips take.
pub(super) const fn height(tall: bool) -> u16 {
    if tall { 6 } else { 4 }
}

/// Draws the strips from `y` on, their words from column `words` on.
pub(super) fn draw(
    model: &Model<'_>,
    frame: &Frame,
    (words, mut y): (u16, u16),
    tall: bool,
    canvas: &mut Canvas<'_>,
) {
    for strip in strips(model, tall) {
        bars(&strip, frame, y, canvas);
        let last = y + strip.rows - 1;
        canvas.right((frame.axis.left.saturating_sub(1), last), strip.name, Ink::Soft);
        let ink = if strip.words == "–" { Ink::Soft } else { strip.ink };
        canvas.put((words, last), &strip.words, ink);
        y += strip.rows;
    }
}

fn strips(model: &Model<'_>, tall: bool) -> [Strip<'static>; 4] {
    let watched = model.watched;
    let (scope, seconds) = model.scope();
    let ((now, _), so_far) = (model.total(), watched.so_far());
    let (open, overdue) = model.open();
    let late = match scope {
        Scope::Whole => {
            watched.lag.as_ref().filter(|lag| !lag.is_empty()).map(|lag| lag.value_at_quantile(0.99))
        }
        Scope::Last => watched.recent.back().and_then(|last| last.column.lag_p99),
    };
    let lag_ink = model.validity().ink;
    let waiting = match overdue {
        0 => count(open),
        overdue => format!("{}, {} overdue", count(open), count(overdue)),
    };
    let tall_rows = if tall { 2 } else { 1 };
    [
        Strip {
            name: "ok/s",
            value: |slot| slot.column.outcomes.ok as f64 / slot.seconds,
            ink: Ink::Ok,
            words: format!("{} of {} due{}", rate(now.ok, seconds), rate(now.planned, seconds), again(model)),
            rows: tall_rows,
        },
        Strip {
            name: "failed",
            value: |slot| slot.column.outcomes.failed() as f64 / slot.seconds,
            ink: if so_far.failed() > 0 { Ink::Bad } else { Ink::Soft },
            words: format!("{} {}", count(so_far.failed()), so_far_word(scope)),
            rows: 1,
        },
        Strip {
            name: "waiting",
            value: |slot| slot.column.open.unwrap_or(0) as f64,
            ink: Ink::Fault,
            words: waiting,
            rows: tall_rows,
        },
        Strip {
            name: "late",
            // On a scale of decades from 1 µs: of the lateness the order of magnitude matters.
            value: |slot| slot.column.lag_p99.map_or(0.0, |ns| libm::log10((ns as f64 / 1e3).max(1.0))),
            ink: lag_ink,
            words: late.map_or("–".to_owned(), |ns| format!("{} p99", time(ns, STYLE))),
            rows: 1,
        },
    ]
}

/// What a sum is of.
pub(super) const fn so_far_word(scope: Scope) -> &'static str {
    match scope {
        Scope::Whole => "measured",
        Scope::Last => "so far",
    }
}

/// Retries per second of the last interval, where there are any.
fn again(model: &Model<'_>) -> String {
    let last = model.watched.recent.back().filter(|last| last.column.retries > 0);
    last.map_or_else(String::new, |last| {
        format!(", {} again", rate(last.column.retries, last.end_s - last.start_s))
    })
}

fn bars(strip: &Strip<'_>, frame: &Frame, y: u16, canvas: &mut Canvas<'_>) {
    let most = frame.filled().map(|(_, slot)| (strip.value)(slot)).fold(0.0, f64::max);
    let front = canvas.palette.style(strip.ink).fg;
    for (x, slot) in frame.filled() {
        let value = (strip.value)(slot);
        if value <= 0.0 || most <= 0.0 {
            continue;
        }
        // What is there is seen, however little.
        let eighths = (value / most * 8.0 * f64::from(strip.rows)).round().max(1.0) as u16;
        for row in 0..strip.rows {
            let here = eighths.saturating_sub(8 * (strip.rows - 1 - row)).min(8);
            if here > 0 {
                canvas.cell((x, y + row), BARS[usize::from(here)], front, None);
            }
        }
    }
}

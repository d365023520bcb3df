//! The generator itself: how late it woke, and what its workers used.

use hdrhistogram::Histogram;

use super::canvas::Canvas;
use super::model::{Model, STYLE, count, exact, spoken};
use super::palette::Ink;
use crate::display::figure::{round_time, short_percent_up};
use crate::display::time;
use crate::units::plural;

/// Steps of the lateness that are told apart, nanoseconds: two a decade from 1 µs to 10 ms.
const STEPS: [u64; 11] =
    [1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000, 100_000_000, u64::MAX];

/// Draws all of it.
pub(super) fn draw(model: &Model<'_>, canvas: &mut Canvas<'_>) {
    canvas.put((1, 4), "how late the generator woke, measured phases", Ink::Text);
    let mut y = 5;
    if let Some(lag) = model.watched.lag.as_ref().filter(|lag| !lag.is_empty()) {
        y = figures(lag, y, canvas);
        y = bars(lag, y + 1, canvas);
    } else {
        canvas.put((1, y), "nothing measured yet", Ink::Soft);
        y += 1;
    }
    workers(model, y + 1, canvas);
}

fn figures(lag: &Histogram<u64>, y: u16, canvas: &mut Canvas<'_>) -> u16 {
    let mut x = 1;
    for (name, fraction) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)] {
        let ns = if fraction < 1.0 { lag.value_at_quantile(fraction) } else { lag.max() };
        x = canvas.put((x, y), name, Ink::Soft) + 1;
        let ink = if ns > 1_000_000 { Ink::Warn } else { Ink::Text };
        x = canvas.put((x, y), &time(ns, STYLE), ink) + 2;
    }
    y + 1
}

/// How many woke how late. The bars are logarithmic: of the many that are in time the few that are not are what matters.
fn bars(lag: &Histogram<u64>, mut y: u16, canvas: &mut Canvas<'_>) -> u16 {
    let last = canvas.height().saturating_sub(5);
    let mut from = 0;
    let counts = STEPS.map(|until| {
        let here = lag.count_between(from, until.saturating_sub(1).min(lag.high()));
        from = until.min(lag.high());
        here
    });
    let most = counts.iter().copied().max().unwrap_or(0).max(1) as f64;
    let room = canvas.width().saturating_sub(36);
    for (until, here) in STEPS.into_iter().zip(counts) {
        if y >= last {
            break;
        }
        let label =
            if until == u64::MAX { "later".to_owned() } else { format!("< {}", round_time(until, STYLE)) };
        canvas.right((10, y), &label, Ink::Soft);
        let width = (f64::from(room) * (here as f64).ln_1p() / most.ln_1p()).round() as u16;
        let ink = if until <= 1_000_000 { Ink::Good } else { Ink::Warn };
        canvas.put((11, y), &"█".repeat(width.into()), ink);
        if here > 0 {
            let words = format!("{}  {}", count(here), short_percent_up(here, lag.len()));
            canvas.put((12 + width, y), &words, Ink::Soft);
        }
        y += 1;
    }
    y
}

fn workers(model: &Model<'_>, mut y: u16, canvas: &mut Canvas<'_>) {
    let last = canvas.height().saturating_sub(2);
    let run = model.run;
    canvas.put((1, y), &format!("{}, {}", plural(run.workers.into(), "worker"), run.pacer.kind), Ink::Text);
    y += 1;
    if run.worker_use.is_empty() {
        canvas.put((1, y), "what they used is known when the run has ended", Ink::Soft);
    }
    for (nth, used) in run.worker_use.iter().enumerate() {
        if y >= last {
            return;
        }
        let cpu = used.cpu_s.map_or("–".to_owned(), |cpu_s| {
            format!("{:.1} % of a core", 100.0 * cpu_s / used.wall_s.max(1e-9))
        });
        let starved = used.starved_share.map_or("–".to_owned(), |share| format!("{:.1} %", 100.0 * share));
        let words = format!("{cpu}, waited awake {}, starved {starved}", exact(used.waited_s));
        let x = canvas.put((1, y), &format!("worker {}", nth + 1), Ink::Soft);
        canvas.put_within((x + 2, y), canvas.width().saturating_sub(x + 3), &words, Ink::Text);
        y += 1;
    }
    for reason in run.validity.iter().flat_map(|validity| &validity.reasons) {
        if y >= last {
            return;
        }
        canvas.put_within((1, y), canvas.width().saturating_sub(2), &spoken(reason), Ink::Warn);
        y += 1;
    }
}

//! The percentile curve of the measured phases: how long what share of the readings took, and what a closed loop would have seen.

use hdrhistogram::Histogram;

use super::canvas::Canvas;
use super::model::{Model, STYLE, spoken};
use super::palette::Ink;
use crate::display::figure::round_time;
use crate::units::plural;

/// A line ends where fewer samples lie beyond it.
const LEAST_BEYOND: f64 = 10.0;
const LEFT: u16 = 10;
const TOP: u16 = 5;

/// Where times and shares stand.
struct Axes {
    /// Powers of ten, nanoseconds.
    low: f64,
    high: f64,
    /// Nines at the right edge.
    nines: f64,
    columns: u16,
    rows: u16,
}

impl Axes {
    fn row(&self, ns: u64) -> u16 {
        let share = (libm::log10(ns.max(1) as f64) - self.low) / (self.high - self.low);
        let from_below = (share.clamp(0.0, 1.0) * f64::from(self.rows - 1)).round() as u16;
        TOP + self.rows - 1 - from_below
    }

    /// The share of readings that a column stands for.
    fn fraction(&self, column: u16) -> f64 {
        1.0 - 10_f64.powf(-self.nines * f64::from(column) / f64::from(self.columns.max(2) - 1))
    }

    fn column(&self, nines: f64) -> u16 {
        LEFT + (nines / self.nines * f64::from(self.columns - 1)).round() as u16
    }
}

/// Draws all of it.
pub(super) fn draw(model: &Model<'_>, canvas: &mut Canvas<'_>) {
    let measured = &model.watched.measured;
    let Some(response) = measured.response.as_ref().filter(|times| !times.is_empty()) else {
        canvas.put((1, 4), "nothing ended in a measured phase yet", Ink::Soft);
        return;
    };
    let service = measured.service.as_ref().filter(|times| !times.is_empty());
    let x = canvas.put((LEFT, 3), &spoken(&plural(response.len(), "reading")), Ink::Text);
    let x = canvas.put((x + 2, 3), "━ response", Ink::P99);
    let x = if measured.floor.is_some() { canvas.put((x + 2, 3), "┅ at least", Ink::P99) } else { x };
    canvas.put((x + 2, 3), "╌ service (closed loop)", Ink::Ok);
    let lows = [Some(response.min()), service.map(Histogram::min)];
    let low = lows.into_iter().flatten().min().unwrap_or(1).max(1);
    let axes = Axes {
        low: libm::log10(low as f64).floor(),
        high: libm::log10(response.max().max(low * 10) as f64).ceil(),
        nines: libm::log10(response.len() as f64 / LEAST_BEYOND).max(1.0),
        columns: canvas.width().saturating_sub(LEFT + 2),
        rows: canvas.height().saturating_sub(TOP + 4).max(2),
    };
    grid(&axes, canvas);
    if let Some(service) = service {
        line(&axes, service, (None, '╌', Ink::Ok), canvas);
    }
    line(&axes, response, (measured.floor, '━', Ink::P99), canvas);
}

fn line(
    axes: &Axes,
    times: &Histogram<u64>,
    (floor, letter, ink): (Option<u64>, char, Ink),
    canvas: &mut Canvas<'_>,
) {
    for column in 0..axes.columns {
        let fraction = axes.fraction(column);
        if times.len() as f64 * (1.0 - fraction) < LEAST_BEYOND {
            return;
        }
        let ns = times.value_at_quantile(fraction);
        let letter = if floor.is_some_and(|floor| ns >= floor) { '┅' } else { letter };
        canvas.mark((LEFT + column, axes.row(ns)), letter, ink);
    }
}

fn grid(axes: &Axes, canvas: &mut Canvas<'_>) {
    let mut last = u16::MAX;
    for decade in axes.low as i32..=axes.high as i32 {
        let ns = 10_u64.saturating_pow(decade.unsigned_abs());
        let y = axes.row(ns);
        if last.abs_diff(y) < 2 {
            continue;
        }
        last = y;
        canvas.right((LEFT - 1, y), &round_time(ns, STYLE), Ink::Soft);
    }
    let bottom = TOP + axes.rows;
    let names = [
        ("p0", 0.0),
        ("p50", 0.301),
        ("p90", 1.0),
        ("p99", 2.0),
        ("p99.9", 3.0),
        ("p99.99", 4.0),
        ("p99.999", 5.0),
    ];
    let mut behind = 0;
    for (name, nines) in names.into_iter().filter(|(_, nines)| *nines <= axes.nines + 1e-9) {
        let x = axes.column(nines);
        (TOP..bottom).for_each(|y| canvas.mark((x, y), '┊', Ink::Soft));
        if x >= behind {
            behind = canvas.put((x, bottom), name, Ink::Soft) + 2;
        }
    }
}

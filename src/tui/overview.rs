//! The overview: the heat map with its figures, strips, fleets, promises and what happened last, under one axis of time.

use super::canvas::{Canvas, clip};
use super::control::Controls;
use super::frame::{Frame, Slot};
use super::model::{Mode, Model, Scope, clock, count, rate, spoken, tail};
use super::palette::Ink;
use super::{fleet, head, heat, strip};
use crate::display::budget::word;
use crate::display::{Tone, time};
use crate::results::{Standing, Times};
use crate::units::Quantile;

/// From so many lines on there is room for promises and events.
const TALL: u16 = 36;
/// Where the heat map begins.
const TOP: u16 = 4;

/// Lines of each part.
#[derive(Debug, Clone, Copy)]
struct Parts {
    tall: bool,
    heat: u16,
    fleets: u16,
}

impl Parts {
    fn new(model: &Model<'_>, canvas: &Canvas<'_>) -> Self {
        let height = canvas.height();
        let tall = height >= TALL;
        let fleets = (model.watched.fleets.len() as u16).clamp(1, if tall { 10 } else { 5 });
        let strips = strip::height(tall);
        // Above: four lines; below: strips, the fleets and their head, the line of keys.
        let heat = if tall {
            15 + height.saturating_sub(40) / 2
        } else {
            height.saturating_sub(TOP + strips + 1 + fleets + 1)
        };
        Self { tall, heat: heat.max(2), fleets }
    }
}

/// Draws all of it.
pub(super) fn draw(model: &Model<'_>, controls: &Controls, canvas: &mut Canvas<'_>) {
    let parts = Parts::new(model, canvas);
    let axis = head::axis(model, controls, canvas);
    let frame = Frame::new(axis, model, controls);
    let words = axis.left + axis.columns + 1;
    let x = canvas.put((axis.left, 3), "response time of all readings", Ink::Text);
    let x = canvas.put((x + 2, 3), "╌ p50", Ink::Text);
    canvas.put((x + 2, 3), "━ p99", Ink::P99);
    heat::draw(model, controls, &frame, (TOP, parts.heat), canvas);
    let cursor = controls.cursor.and_then(|cursor| frame.at_cursor(cursor));
    if let Some((x, slot)) = cursor {
        (TOP..TOP + parts.heat).for_each(|y| canvas.mark((x, y), '┊', Ink::Text));
        read_out(slot, words, canvas);
    } else {
        figures(model, words, canvas);
    }
    let mut y = TOP + parts.heat;
    strip::draw(model, &frame, (words, y), parts.tall, canvas);
    y += strip::height(parts.tall) + u16::from(parts.tall);
    fleet::table(model, controls, (y, parts.fleets), canvas);
    if parts.tall {
        below(model, axis.left, y + parts.fleets + 2, canvas);
    }
}

/// Percentiles of the last interval and of the phase so far.
fn figures(model: &Model<'_>, x: u16, canvas: &mut Canvas<'_>) {
    let watched = model.watched;
    let end = canvas.width().saturating_sub(1);
    let middle = x + 13;
    let (_, times) = model.total();
    let head = match model.scope() {
        (Scope::Whole, _) => "measured".to_owned(),
        (Scope::Last, seconds) => format!("last {}", clock(seconds)),
    };
    canvas.right((middle, 3), &head, Ink::Soft);
    canvas.right((end, 3), &clip(&watched.phase_name, end.saturating_sub(middle + 1)), Ink::Soft);
    let rows = [Quantile::P50, Quantile::P90, Quantile::P99, Quantile::P99_9, Quantile::MAX];
    for (y, quantile) in (TOP..).zip(rows) {
        let name = if quantile == Quantile::MAX { "max".to_owned() } else { quantile.to_string() };
        canvas.put((x, y), &name, Ink::Soft);
        for (times, end) in [(times, middle), (&watched.phase, end)] {
            let (text, ink) = figure(times, quantile);
            canvas.right((end, y), &text, ink);
        }
    }
}

/// A percentile as it is written, and its colour.
pub(super) fn figure(times: &Times, quantile: Quantile) -> (String, Ink) {
    let text = tail(times, quantile);
    let ink = match text.as_str() {
        "n/a" | "–" => Ink::Soft,
        _ if quantile == Quantile::P99 => Ink::P99,
        _ => Ink::Text,
    };
    (text, ink)
}

/// What the cursor stands at.
fn read_out(slot: &Slot, x: u16, canvas: &mut Canvas<'_>) {
    let end = canvas.width().saturating_sub(1);
    let column = &slot.column;
    canvas.put((x, 3), &format!("at {}", clock(slot.start_s)), Ink::Warn);
    let ns = |ns: Option<u64>| ns.map_or("–".to_owned(), |ns| time(ns, super::model::STYLE));
    let rows = [
        ("p50", ns(column.p50), Ink::Text),
        ("p99", ns(column.p99), Ink::P99),
        ("max", ns(column.max), Ink::Text),
        ("ok/s", rate(column.outcomes.ok, slot.seconds), Ink::Ok),
        ("failed", count(column.outcomes.failed()), Ink::Bad),
        ("waiting", column.open.map_or("–".to_owned(), count), Ink::Fault),
        ("late p99", ns(column.lag_p99), Ink::Warn),
    ];
    for (y, (name, text, ink)) in (TOP..).zip(rows) {
        canvas.put((x, y), name, Ink::Soft);
        canvas.right((end, y), &text, ink);
    }
}

/// Promises and events, as far as there is room.
fn below(model: &Model<'_>, left: u16, mut y: u16, canvas: &mut Canvas<'_>) {
    let last = canvas.height().saturating_sub(2);
    let room = canvas.width().saturating_sub(left + 2);
    let promises = promises(model);
    if !promises.is_empty() && y < last {
        canvas.put((1, y), "promises", Ink::Soft);
        let most = usize::from((last - y).saturating_sub(4).max(1));
        for (text, ink) in promises.iter().take(most) {
            canvas.put_within((left + 1, y), room, text, *ink);
            y += 1;
        }
    }
    if y >= last {
        return;
    }
    canvas.put((1, y), "log", Ink::Soft);
    let events = &model.watched.events;
    let lines = usize::from(last - y);
    for event in events.iter().skip(events.len().saturating_sub(lines)) {
        let ink = match event.what.as_str() {
            "fault_on" | "fault_off" | "outside" => Ink::Fault,
            "plan_altered" => Ink::Warn,
            "budget_failed" | "refused" | "interrupted" => Ink::Bad,
            _ => Ink::Soft,
        };
        let at = format!("{:.1} s", event.at_s);
        let text = format!("{at:>9}  {:<12} {}  {}", event.what, event.name, spoken(&event.detail));
        canvas.put_within((left + 1, y), room, text.trim_end(), ink);
        y += 1;
    }
}

/// How every promise stands, the broken ones first: as it was judged, or on what is known.
fn promises(model: &Model<'_>) -> Vec<(String, Ink)> {
    let mut lines = Vec::new();
    if model.mode == Mode::Ended && !model.run.budgets.is_empty() {
        for budget in &model.run.budgets {
            let (shape, ink) = match word(budget, model.run.is_invalid()).1 {
                Tone::Good => ('✓', Ink::Good),
                Tone::Bad => ('✗', Ink::Bad),
                _ => ('·', Ink::Soft),
            };
            lines.push((format!("{shape} {}", budget.sentence()), ink));
        }
    } else {
        for promise in &model.watched.promises {
            let sentence = promise.sentence();
            lines.push(match promise.standing() {
                Standing::Kept(now) => (format!("✓ {sentence}, now {now}"), Ink::Good),
                Standing::Broken(now) => (format!("✗ {sentence}, now {now}"), Ink::Bad),
                Standing::Open(why) => (format!("· {sentence}, {why}"), Ink::Soft),
            });
        }
    }
    for fleet in &model.run.delivery {
        if let Some(unkept) = fleet.unkept().filter(|_| model.mode == Mode::Ended) {
            lines.push((format!("✗ {}: {unkept}", fleet.fleet), Ink::Bad));
        }
    }
    lines.sort_by_key(|(_, ink)| *ink != Ink::Bad);
    lines.into_iter().map(|(text, ink)| (spoken(&text), ink)).collect()
}

//! Fleets: what each was asked for, what became of it, and how long it took.

use super::canvas::{Canvas, clip, wide};
use super::control::{Controls, Order};
use super::model::{Model, Scope, count, rate, supported};
use super::overview::figure;
use super::palette::Ink;
use super::strip::so_far_word;
use crate::results::{FleetPulse, Percentile};
use crate::units::Quantile;

/// A column of the table: its head, where it ends, and from which width of the screen on it is there.
const COLUMNS: [(&str, u16, u16); 10] = [
    ("due/s", 31, 0),
    ("ok/s", 40, 0),
    ("failed", 49, 0),
    ("waiting", 59, 0),
    ("p50", 69, 72),
    ("p99", 79, 80),
    ("p99.9", 89, 90),
    ("max", 99, 100),
    ("service p99", 113, 114),
    ("connected", 125, 126),
];
/// Columns of a name and its protocol.
const NAME: u16 = 24;

/// Draws the table with `rows` fleets from line `y` on.
pub(super) fn table(model: &Model<'_>, controls: &Controls, (y, rows): (u16, u16), canvas: &mut Canvas<'_>) {
    let width = canvas.width();
    // Columns go before figures are cut.
    let heads: Vec<_> = COLUMNS.into_iter().filter(|(.., least)| width >= *least).collect();
    canvas.put((1, y), "fleet", Ink::Soft);
    for (head, end, _) in &heads {
        canvas.right((*end, y), head, Ink::Soft);
    }
    let fleets = sorted(model, controls.order);
    let most = usize::from(rows);
    let first = controls.scroll.min(fleets.len().saturating_sub(most));
    for (y, fleet) in (y + 1..).zip(fleets.iter().skip(first).take(most)) {
        let x = canvas.put_within((1, y), NAME - 8, &fleet.name, Ink::Text);
        canvas.put_within((x + 1, y), NAME.saturating_sub(x), &fleet.protocol, Ink::Soft);
        for ((_, end, _), (text, ink)) in heads.iter().zip(cells(model, fleet)) {
            canvas.right((*end, y), &text, ink);
        }
    }
    let hidden = fleets.len().saturating_sub(first + most);
    if hidden > 0 && rows > 0 {
        let more = format!("+{hidden} ↓");
        let y = y + rows;
        canvas.put((NAME.saturating_sub(wide(&more)), y), &more, Ink::Warn);
    }
}

fn sorted<'m>(model: &Model<'m>, order: Order) -> Vec<&'m FleetPulse> {
    let mut fleets: Vec<_> = model.watched.fleets.iter().collect();
    let p99 = |fleet: &FleetPulse| model.figures(fleet).1.at(0.99).map_or(0, |p99| p99.ns);
    match order {
        Order::Scenario => {}
        Order::Slowest => fleets.sort_by_cached_key(|fleet| std::cmp::Reverse(p99(fleet))),
        Order::Failed => fleets.sort_by_key(|fleet| std::cmp::Reverse(fleet.so_far.failed())),
        Order::Waiting => fleets.sort_by_key(|fleet| std::cmp::Reverse(fleet.open)),
    }
    fleets
}

fn cells(model: &Model<'_>, fleet: &FleetPulse) -> [(String, Ink); 10] {
    let ((last, times), (_, seconds)) = (model.figures(fleet), model.scope());
    let failed = fleet.so_far.failed();
    let service = times.service.as_ref().filter(|times| !times.is_empty());
    let service_p99 = service.map(|times| Percentile { ns: times.value_at_quantile(0.99), censored: false });
    let service_p99 = supported(service_p99, Quantile::P99, service.map_or(0, hdrhistogram::Histogram::len));
    let at = |quantile| figure(times, quantile);
    let waiting = if fleet.overdue > 0 { Ink::Fault } else { Ink::Text };
    [
        (rate(last.planned, seconds), Ink::Text),
        (rate(last.ok, seconds), Ink::Text),
        if failed > 0 { (count(failed), Ink::Bad) } else { ("–".to_owned(), Ink::Soft) },
        (count(fleet.open), waiting),
        at(Quantile::P50),
        at(Quantile::P99),
        at(Quantile::P99_9),
        at(Quantile::MAX),
        (service_p99.clone(), if service.is_some() && service_p99 != "n/a" { Ink::Text } else { Ink::Soft }),
        (count(fleet.connected), Ink::Text),
    ]
}

/// All fleets on a screen of their own, and the outcomes of each so far.
pub(super) fn draw(model: &Model<'_>, controls: &Controls, canvas: &mut Canvas<'_>) {
    let fleets = model.watched.fleets.len() as u16;
    let room = canvas.height().saturating_sub(7);
    let rows = fleets.clamp(1, (room / 2).max(1));
    let scope = model.scope().0;
    let of = if scope == Scope::Whole { "measured phases" } else { "last interval" };
    canvas.put((1, 4), &format!("{of}, {} (s sorts)", controls.order.name()), Ink::Soft);
    table(model, controls, (5, rows), canvas);
    let mut y = 5 + rows + 2;
    let heads = ["came due", "ok", "shed", "error", "timeout", "lost", "dropped"];
    let end_of = |nth: usize| 33 + 10 * nth as u16;
    canvas.put((1, y), so_far_word(scope), Ink::Soft);
    for (nth, head) in heads.iter().enumerate() {
        if end_of(nth) < canvas.width() {
            canvas.right((end_of(nth), y), head, Ink::Soft);
        }
    }
    let shown = sorted(model, controls.order);
    for fleet in shown.iter().skip(controls.scroll.min(shown.len().saturating_sub(rows.into()))) {
        y += 1;
        if y + 1 >= canvas.height() {
            return;
        }
        canvas.put((1, y), &clip(&fleet.name, NAME - 2), Ink::Text);
        let sum = &fleet.so_far;
        let numbers = [sum.planned, sum.ok, sum.shed, sum.error, sum.timeout, sum.lost, sum.dropped];
        for (nth, number) in numbers.into_iter().enumerate() {
            let ink = match (number, nth) {
                (0, _) => Ink::Soft,
                (_, 0 | 1) => Ink::Text,
                _ => Ink::Bad,
            };
            let text = if number == 0 { "–".to_owned() } else { count(number) };
            if end_of(nth) < canvas.width() {
                canvas.right((end_of(nth), y), &text, ink);
            }
        }
    }
}

//! What the bundled service counted of its own work: which verdicts the cache spared an inference, and how full the queue was.

use super::colour::{GOOD, LINES, STAGES};
use super::svg::{rect, small};
use super::table::{Align, Cell, Table};
use super::{STYLE, card, omitted, soft};
use crate::display::figure::{count, percent};
use crate::record::ServiceCounts;
use crate::results::{Report, is_measured};
use crate::units::plural;

/// Rows; `run.json` has the others.
const MOST_ROWS: usize = 40;

/// Phase by phase and the measured ones together; nothing where the bundled service was not the target.
pub(super) fn section(report: &Report) -> String {
    let Some(service) = &report.run.reference else { return String::new() };
    let numbers = [
        "verdicts",
        "cache hits",
        "exact",
        "stale",
        "semantic",
        "shared",
        "inferences",
        "coalesced",
        "shed",
        "queue peak",
    ];
    let words = ["phase", "came from"].map(|name| (name, Align::Left));
    let columns = words.into_iter().chain(numbers.map(|name| (name, Align::Right)));
    let mut table = Table::new("the bundled service", columns);
    let worked: Vec<_> =
        service.phases.iter().filter(|phase| phase.counts.verdicts + phase.counts.shed > 0).collect();
    for phase in worked.iter().take(MOST_ROWS) {
        table.cells(row(&phase.phase, phase.counts), "", 0);
    }
    if let Some(counts) = service.counts(is_measured) {
        table.cells(row("measured", counts), "all", 0);
    }
    let more = worked.len().saturating_sub(MOST_ROWS);
    let more = omitted(more, "phase", "run.json");
    let said = format!(
        "The queue takes {}; {} ran. The bar: verdicts from the cache, by an inference that another reading had asked for \
         (coalesced), and by one of their own.",
        plural(service.queue_capacity, "reading"),
        plural(service.workers, "worker")
    );
    card(&(table.draw() + &more + &soft(&said)))
}

fn row(phase: &str, counts: ServiceCounts) -> Vec<Cell> {
    let hits = counts.hits;
    let numbers = [
        hits.exact,
        hits.stale,
        hits.semantic,
        hits.shared,
        counts.inferences,
        counts.coalesced,
        counts.shed,
        counts.queue_peak,
    ];
    let mut cells = vec![
        Cell::text(phase),
        Cell::markup(bar(counts)),
        Cell::text(&count(counts.verdicts, STYLE)),
        Cell::text(&percent(hits.all(), counts.verdicts)),
    ];
    cells.extend(numbers.map(|number| Cell::text(&count(number, STYLE))));
    cells
}

/// Where the verdicts of a row came from, as shares of a bar.
fn bar(counts: ServiceCounts) -> String {
    const WIDTH: f64 = 90.0;
    let remembered = counts.hits.all();
    let own = counts.verdicts.saturating_sub(remembered + counts.coalesced);
    let parts = [
        (remembered, GOOD, "cache"),
        (counts.coalesced, LINES[6], "coalesced"),
        (own, STAGES[3], "inference"),
    ];
    let parts: Vec<_> = parts.into_iter().filter(|(count, ..)| *count > 0).collect();
    let all = parts.iter().map(|(count, ..)| count).sum::<u64>().max(1) as f64;
    let said: Vec<_> = parts.iter().map(|(_, _, name)| *name).collect();
    let mut out = small(WIDTH, 10.0, "bar", &said.join(", "));
    let mut x = 0.0;
    for (count, colour, _) in parts {
        let width = WIDTH * count as f64 / all;
        rect(&mut out, [x, 0.0, width, 10.0], colour, 1.0);
        x += width;
    }
    out + "</svg>"
}

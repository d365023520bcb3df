//! The figures of a run as a table: fleets by phase, connections, and all fleets together.

use super::failure::{has_failures, notes};
use super::figure::{Marks, count, dash, rate, time};
use super::grid::Grid;
use super::style::{Style, Tone};
use crate::results::{Failure, Figures, Millis, Percentile, Report, SummaryRow};
use crate::units::{Quantile, plural};

/// Columns that give way on a narrow screen, the first one first: p99.9, planned, which is ok and failed together, the maximum,
/// service p99, the median. How much was answered, how much failed and how slow the tail was stay on every screen.
const EXPENDABLE: [usize; 5] = [6, 1, 7, 8, 4];
/// Rows that a folded table has beside that of all fleets.
const MOST_ROWS: usize = 4;
/// A row of so many times the p99 of all fleets stays in a folded table.
const LOUD: u64 = 2;

/// The table; all of it, or folded to the rows that matter.
pub(super) fn figures(report: &Report, verbose: bool, marks: &mut Marks, style: Style) -> Grid {
    let rows = &report.summary;
    let mut grid = Grid::new(&EXPENDABLE);
    let header = ["response time", "planned", "ok", "failed", "p50", "p99", "p99.9", "max", "service p99"];
    grid.cells(header.map(str::to_owned).to_vec(), Some(Tone::Faint));
    let (headline, rows): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.is_headline());
    // With one fleet and one measured phase the headline would only repeat the line above it.
    let headline: Vec<_> =
        headline.into_iter().filter(|row| row.figures.planned > 0 && !group_of_one(&rows, row)).collect();
    let shown = if verbose { rows.clone() } else { loud(&rows, headline.first().copied()) };
    for group in shown.chunk_by(|a, b| a.phase == b.phase) {
        for kind in ["connect", "tls", "reading", "delivery", "gap"] {
            let own: Vec<_> = group.iter().copied().filter(|row| row.kind == kind).collect();
            let Some(first) = own.first() else { continue };
            // What was offered is that of all fleets, also where some are not shown.
            let of_group = |row: &&&SummaryRow| row.phase == first.phase && row.kind == kind;
            let all: Vec<_> = rows.iter().filter(of_group).copied().collect();
            grid.text(phase_heading(first, &all, style), Some(Tone::Strong));
            for row in own {
                // A kept budget is said once, in the headline; unless that is left out.
                let within = row
                    .figures
                    .within_budget
                    .filter(|within| headline.is_empty() || *within < row.figures.planned);
                let figures = Figures { within_budget: within, ..row.figures.clone() };
                let name = format!("  {} {}", row.fleet, row.protocol);
                add_row(&mut grid, name, &SummaryRow { figures, ..row.clone() }, report, marks, style);
            }
        }
    }
    let folded = rows.len() - shown.len();
    let mut more =
        (folded > 0).then(|| style.spoken(&format!("{}: -v", plural(folded as u64, "further row"))));
    for row in headline {
        let heading = std::iter::once(phase_heading(row, &[row], style)).chain(more.take());
        grid.text(heading.collect::<Vec<_>>().join(style.dot()), Some(Tone::Strong));
        // As it should be, it is folded.
        let within_budget =
            within_budget(report, row).filter(|within| verbose || *within < row.figures.planned);
        let figures = Figures { within_budget, ..row.figures.clone() };
        let row = SummaryRow { figures, ..row.clone() };
        add_row(&mut grid, "  all fleets".to_owned(), &row, report, marks, style);
    }
    if let Some(more) = more {
        grid.text(format!("  {more}"), Some(Tone::Faint));
    }
    grid
}

/// The rows that stay in a folded table: the measured ones where they are few, else those in which readings or connections failed and
/// those that are much slower than all fleets together, the gravest ones.
fn loud<'a>(rows: &[&'a SummaryRow], headline: Option<&SummaryRow>) -> Vec<&'a SummaryRow> {
    let measured = rows.iter().filter(|row| row.is_measured()).count();
    let usual = headline.and_then(|row| row.figures.p99_ms).map_or(u64::MAX, Millis::as_ns);
    let slow = |row: &SummaryRow| {
        let p99 = row.figures.p99_ms.map_or(0, Millis::as_ns);
        row.is_measured() && p99 >= usual.saturating_mul(LOUD)
    };
    let few = |row: &SummaryRow| row.is_measured() && measured <= MOST_ROWS || row.is_of_deliveries();
    let mut places: Vec<usize> = (0..rows.len())
        .filter(|place| few(rows[*place]) || slow(rows[*place]) || rows[*place].figures.failed() > 0)
        .collect();
    let gravity = |place: &usize| {
        let figures = &rows[*place].figures;
        std::cmp::Reverse((figures.failed(), figures.p99_ms))
    };
    if measured > MOST_ROWS {
        places.sort_by_key(gravity);
        places.truncate(MOST_ROWS);
        places.sort_unstable();
    }
    places.into_iter().map(|place| rows[place]).collect()
}

/// How many readings of the headline ended within their fleet's budget; `None` where a fleet has none, as its readings would be in
/// neither part of that share.
pub(crate) fn within_budget(report: &Report, headline: &SummaryRow) -> Option<u64> {
    let mut rows = report.summary.iter().filter(|row| row.kind == "reading" && !row.is_headline());
    let budgeted = rows.all(|row| row.figures.within_budget.is_some());
    headline.figures.within_budget.filter(|_| budgeted)
}

/// Whether `headline` says the same as a single one of `rows`.
fn group_of_one(rows: &[&SummaryRow], headline: &SummaryRow) -> bool {
    rows.iter().any(|row| row.kind == headline.kind && row.figures == headline.figures)
}

/// What rows are called that are not about readings.
pub(crate) fn kind_title(kind: &str) -> Option<&'static str> {
    match kind {
        "connect" => Some("connections"),
        "tls" => Some("TLS handshakes"),
        "delivery" => Some("deliveries"),
        "gap" => Some("gaps between polls"),
        _ => None,
    }
}

fn phase_heading(first: &SummaryRow, rows: &[&SummaryRow], style: Style) -> String {
    if let Some(title) = kind_title(&first.kind) {
        return format!("{title}{}{}", style.dot(), first.phase);
    }
    let name = if first.is_headline() { "measured" } else { &first.phase };
    let planned: u64 = rows.iter().map(|row| row.figures.planned).sum();
    let ok: f64 = rows.iter().map(|row| row.figures.rate_per_s).sum();
    let length = time((first.duration_s * 1e9) as u64, style);
    if first.duration_s <= 0.0 {
        return name.to_owned();
    }
    let offered = rate(planned as f64 / first.duration_s, style);
    [name.to_owned(), length, format!("offered {offered}"), format!("ok {}", rate(ok, style))]
        .join(style.dot())
}

fn add_row(
    grid: &mut Grid,
    name: String,
    row: &SummaryRow,
    report: &Report,
    marks: &mut Marks,
    style: Style,
) {
    let (cells, notes) = self::row(row, &report.failures, marks, style);
    grid.cells(std::iter::once(name).chain(cells).collect(), None);
    if !notes.is_empty() {
        let tone = if row.figures.failed() > 0 { Tone::Warning } else { Tone::Faint };
        grid.text(format!("    {}", notes.join(style.dot())), Some(tone));
    }
}

/// The cells of a row after its name, in the order of the columns, and what stands under it.
pub(crate) fn row(
    row: &SummaryRow,
    failures: &[Failure],
    marks: &mut Marks,
    style: Style,
) -> (Vec<String>, Vec<String>) {
    let figures = &row.figures;
    let ended = figures.ended();
    let failed = figures.failed();
    let mut tail = |quantile| marks.tail(figures.percentile(quantile), quantile, ended, style);
    let [p50, p99, p99_9] = [Quantile::P50, Quantile::P99, Quantile::P99_9].map(&mut tail);
    let service = figures.service_p99_ms.map(|time| Percentile { ns: time.as_ns(), censored: false });
    let cells = vec![
        count(figures.planned, style),
        count(figures.ok, style),
        if failed == 0 { dash(style).to_owned() } else { count(failed, style) },
        p50,
        p99,
        p99_9,
        marks.bounded(figures.max(), style),
        marks.tail(service, Quantile::P99, figures.ok, style),
    ];
    let mut notes = notes(row, failures, style);
    if has_failures(figures) && figures.ok_p50_ms.is_some() {
        let mut ok = |time: Option<Millis>, quantile| {
            let time = time.map(|time| Percentile { ns: time.as_ns(), censored: false });
            marks.tail(time, quantile, figures.ok, style)
        };
        let (p50, p99) = (ok(figures.ok_p50_ms, Quantile::P50), ok(figures.ok_p99_ms, Quantile::P99));
        notes.push(format!("of those ok: p50 {p50}, p99 {p99}"));
    }
    (cells, notes)
}

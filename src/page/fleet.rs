//! The figures of the fleets by phase, and where the time of a reading goes.

use std::fmt::Write as _;

use super::colour::{BAND, BAR_TEXT, Colour, INK, OUTCOMES, P99, SOFT, STAGES};
use super::escape::{Escaped, clip};
use super::svg::{Anchor, LogScale, Pen, Px, area, broken, line, open, rect, small, text, width_of};
use super::table::{Align, Cell, Table};
use super::{STYLE, figure, footnotes, omitted, outcome_counts, span};
use crate::display::figure::Marks;
use crate::display::{kind_title, stage, verdict};
use crate::results::{Figures, FleetTail, History, Millis, Report, SummaryRow};
use crate::units::plural;

/// Fleets that stand open; of more, the slowest ones.
const OPEN_FLEETS: usize = 12;
/// Fleets with a line over time.
const DRAWN_FLEETS: usize = 24;
/// Rows of all tables of figures together; `summary.csv` has the others.
const MOST_ROWS: usize = 80;
/// Bars of stages.
const MOST_BARS: usize = 20;
/// Points of a line over time in a table.
const SPARK_POINTS: usize = 60;

const COLUMNS: [(&str, Align); 12] = [
    ("fleet", Align::Left),
    ("phase", Align::Left),
    ("planned", Align::Right),
    ("ok", Align::Right),
    ("failed", Align::Right),
    ("outcomes", Align::Left),
    ("p50", Align::Right),
    ("p99", Align::Right),
    ("p99.9", Align::Right),
    ("max", Align::Right),
    ("service p99", Align::Right),
    ("p99 over time", Align::Left),
];

/// Fleets × phases, and the attempts to connect.
pub(super) fn tables(report: &Report, history: &History) -> String {
    let mut marks = Marks::default();
    let mut fleets = by_fleet(report);
    let many = fleets.len() > OPEN_FLEETS;
    if many {
        fleets.sort_by_cached_key(|rows| std::cmp::Reverse(rows.iter().map(|row| row.figures.p99_ms).max()));
    }
    let mut room = MOST_ROWS;
    fleets.retain(|rows| {
        let fits = rows.len() <= room;
        room = if fits { room - rows.len() } else { 0 };
        fits
    });
    let left_out = by_fleet(report).len() - fleets.len();
    let lines = Sparks::of(history, &fleets);
    let (first, rest) = fleets.split_at(fleets.len().min(OPEN_FLEETS));
    let mut table = Table::new("fleets and phases", COLUMNS);
    for (nth, rows) in first.iter().enumerate() {
        add_fleet(&mut table, rows, report, lines.draw(nth), &mut marks);
    }
    if let Some(headline) = report.headline() {
        let row = [headline];
        add_rows(&mut table, ("all fleets", ""), &row, report, String::new(), &mut marks);
    }
    let mut out = table.draw();
    if !rest.is_empty() {
        let mut table = Table::new("further fleets", COLUMNS);
        for (nth, rows) in rest.iter().enumerate() {
            add_fleet(&mut table, rows, report, lines.draw(first.len() + nth), &mut marks);
        }
        let _ = write!(
            out,
            "<details><summary>{}, by p99</summary>{}</details>",
            plural(rest.len() as u64, "further fleet"),
            table.draw()
        );
    }
    out += &omitted(left_out, "fleet", "summary.csv");
    out += &deliveries(report, &mut marks);
    out += &connections(report, &mut marks);
    super::card(&(out + &footnotes(marks)))
}

/// The rows of readings of every fleet, in the order of the summary.
fn by_fleet(report: &Report) -> Vec<Vec<&SummaryRow>> {
    let mut fleets: Vec<Vec<&SummaryRow>> = Vec::new();
    for row in report.summary.iter().filter(|row| row.kind == "reading" && !row.is_headline()) {
        match fleets.iter_mut().find(|rows| rows[0].fleet == row.fleet) {
            Some(rows) => rows.push(row),
            None => fleets.push(vec![row]),
        }
    }
    fleets
}

fn add_fleet(table: &mut Table<'_>, rows: &[&SummaryRow], report: &Report, spark: String, marks: &mut Marks) {
    let Some(first) = rows.first() else { return };
    add_rows(table, (&first.fleet, &first.protocol), rows, report, spark, marks);
}

fn add_rows(
    table: &mut Table<'_>,
    (name, protocol): (&str, &str),
    rows: &[&SummaryRow],
    report: &Report,
    spark: String,
    marks: &mut Marks,
) {
    let texts: Vec<_> =
        rows.iter().map(|row| verdict::row(&honest(row, report), &report.failures, marks, STYLE)).collect();
    let tall = rows.len() + texts.iter().filter(|(_, notes)| !notes.is_empty()).count();
    let mut spark = Some(spark);
    let all = rows.iter().any(|row| row.is_headline());
    for (nth, (row, (cells, notes))) in rows.iter().zip(texts).enumerate() {
        let mut line = Vec::new();
        if nth == 0 {
            let protocol = Escaped(protocol);
            let name = Escaped(clip(name, 60));
            line.push(Cell::markup(format!("{name} <span class=\"faint\">{protocol}</span>")).over(tall));
        }
        line.push(Cell::text(if row.is_headline() { "measured" } else { &row.phase }));
        let mut cells = cells.into_iter();
        line.extend(cells.by_ref().take(2).map(|text| Cell::text(&text)));
        let failed = row.figures.failed() > 0;
        let toned = |cell: Cell| if failed { cell.toned(crate::display::Tone::Bad) } else { cell };
        line.extend(cells.next().map(|text| toned(Cell::text(&text))));
        line.push(Cell::markup(outcome_bar(&row.figures)));
        line.extend(cells.map(|text| Cell::text(&text)));
        if let Some(spark) = spark.take() {
            line.push(Cell::markup(spark).over(tall));
        }
        table.cells(line, if all { "all" } else { "" }, usize::from(nth > 0));
        if !notes.is_empty() {
            table.note(&notes.join(", "), 2);
        }
    }
}

/// A row whose budget is stated where the terminal's report states it: where it was not kept, and in the headline.
fn honest(row: &SummaryRow, report: &Report) -> SummaryRow {
    let figures = &row.figures;
    let within_budget = if row.is_headline() {
        verdict::within_budget(report, row)
    } else {
        figures.within_budget.filter(|within| *within < figures.planned)
    };
    SummaryRow { figures: Figures { within_budget, ..figures.clone() }, ..row.clone() }
}

/// Whether the row is of fleets that only hear.
fn is_of_listeners(row: &SummaryRow) -> bool {
    matches!(row.kind.as_str(), "delivery" | "gap")
}

/// What fleets that only hear have heard, and what they took to ask for it.
fn deliveries(report: &Report, marks: &mut Marks) -> String {
    beside(report, ["deliveries", "Deliveries"], is_of_listeners, marks)
}

fn connections(report: &Report, marks: &mut Marks) -> String {
    let of_connections = |row: &SummaryRow| kind_title(&row.kind).is_some() && !is_of_listeners(row);
    beside(report, ["connections", "Connections"], of_connections, marks)
}

/// A table of the rows that `wanted` picks, which are of no reading.
fn beside(
    report: &Report,
    [id, title]: [&str; 2],
    wanted: impl Fn(&SummaryRow) -> bool,
    marks: &mut Marks,
) -> String {
    let rows: Vec<_> = report.summary.iter().filter(|row| wanted(row)).collect();
    if rows.is_empty() {
        return String::new();
    }
    let columns = COLUMNS.into_iter().filter(|(name, _)| *name != "outcomes").take(10);
    let mut table = Table::new(id, columns);
    for row in rows.iter().take(MOST_ROWS) {
        let (cells, notes) = verdict::row(row, &report.failures, marks, STYLE);
        let title = kind_title(&row.kind).unwrap_or_default();
        let head = [Cell::text(&row.fleet), Cell::text(&format!("{title}, {}", row.phase))];
        table.row(head.into_iter().chain(cells.iter().map(|text| Cell::text(text))).collect());
        if !notes.is_empty() {
            table.note(&notes.join(", "), 0);
        }
    }
    format!("<details><summary>{title}</summary>{}</details>", table.draw())
}

/// How the readings of a row ended, as shares of a bar.
fn outcome_bar(figures: &Figures) -> String {
    const WIDTH: f64 = 90.0;
    let counts = outcome_counts(&figures.outcomes());
    let all = counts.iter().sum::<u64>().max(1) as f64;
    let said: Vec<_> =
        counts.iter().zip(OUTCOMES).filter(|(count, _)| **count > 0).map(|(_, colour)| colour.name).collect();
    let mut out = small(WIDTH, 10.0, "bar", &said.join(", "));
    let mut x = 0.0;
    for (count, colour) in counts.iter().zip(OUTCOMES).filter(|(count, _)| **count > 0) {
        // What happened at all is seen.
        let width = (WIDTH * *count as f64 / all).max(1.5);
        area(&mut out, &format!("M{},0h{}v10h-{}z", Px(x), Px(width), Px(width)), colour, 1.0);
        x += width;
    }
    out + "</svg>"
}

/// The p99 of every fleet over time, on one scale.
struct Sparks<'a> {
    history: &'a History,
    tails: Vec<Option<&'a FleetTail>>,
    scale: Option<LogScale>,
}

impl<'a> Sparks<'a> {
    const WIDTH: f64 = 130.0;
    const HEIGHT: f64 = 56.0;

    fn of(history: &'a History, fleets: &[Vec<&SummaryRow>]) -> Self {
        let tail = |rows: &Vec<&SummaryRow>| {
            history.fleets.iter().find(|tail| rows.first().is_some_and(|row| row.fleet == tail.name))
        };
        let tails: Vec<_> = fleets.iter().take(DRAWN_FLEETS).map(tail).collect();
        let every = tails.iter().flatten().flat_map(|tail| tail.p99.iter().flatten().copied());
        let scale = LogScale::around(every, 3.0, Self::HEIGHT - 3.0);
        Self { history, tails, scale }
    }

    fn draw(&self, fleet: usize) -> String {
        let (Some(Some(tail)), Some(scale)) = (self.tails.get(fleet), &self.scale) else {
            return String::new();
        };
        let mut out = small(Self::WIDTH, Self::HEIGHT, "spark", &format!("p99 of {} over time", tail.name));
        let at = |at_s: f64| Self::WIDTH * at_s / self.history.end_s.max(1e-9);
        if fleet == 0 {
            // Drawn once, and used by the others.
            let mut data = String::new();
            for spell in self.history.faulty.chunk_by(|a, b| a + 1 == *b) {
                let (from, to) =
                    (self.history.bounds(spell[0]).0, self.history.bounds(spell[spell.len() - 1]).1);
                let _ = write!(data, "M{},0H{}V{}H{}z", Px(at(from)), Px(at(to)), Self::HEIGHT, Px(at(from)));
            }
            out += "<defs><g id=\"faulty\">";
            area(&mut out, &data, BAND, 0.16);
            out += "</g></defs>";
        }
        out += "<use href=\"#faulty\"/>";
        let share = tail.p99.len().div_ceil(SPARK_POINTS).max(1);
        let points: Vec<_> = tail
            .p99
            .chunks(share)
            .enumerate()
            .map(|(nth, chunk)| {
                let middle = (nth * share) as f64 + chunk.len() as f64 / 2.0;
                let p99 = chunk.iter().copied().max().flatten()?;
                Some((at(middle * self.history.column_s), scale.y(p99)))
            })
            .collect();
        line(&mut out, &broken(&points), P99, 1.4, "");
        out + "</svg>"
    }
}

/// The medians of the stages of a row, as the service states them: the four are there or none.
fn medians(figures: &Figures) -> Option<(Vec<u64>, Option<u64>)> {
    let medians = stage::p50s(figures);
    let parts = medians.map(|median| median.map_or(0, Millis::as_ns)).to_vec();
    medians.iter().any(Option::is_some).then(|| (parts, figures.service_p50_ms.map(Millis::as_ns)))
}

/// What the slowest 1 % of a row were made of, in the order of [`STAGES`], and their mean response time.
fn slowest(figures: &Figures) -> Option<(Vec<u64>, Option<u64>)> {
    let [wait, network, queue, cache, inference, other] = stage::tail(figures)?;
    let parts = vec![network, queue, cache, inference, wait, other];
    let whole = parts.iter().sum();
    Some((parts, Some(whole)))
}

/// Where the time goes, as bars of equal length: of the median, and of the slowest 1 %; nothing where no service said so.
pub(super) fn stage_bars(report: &Report) -> String {
    let median = bars(report, medians, &STAGES[..4], ("Medians of the stages", "service p50"));
    if median.is_empty() {
        return median;
    }
    let tail = bars(report, slowest, &STAGES, ("What the slowest 1 % were made of", "mean"));
    let caption = "The slowest 1 % of the readings that ended ok, on average: these parts add up. wait is what passed before a \
                   reading was sent.";
    let tail = if tail.is_empty() { tail } else { figure(&tail, caption) };
    let told =
        |row: &&SummaryRow| row.kind == "reading" && !row.is_headline() && medians(&row.figures).is_some();
    let left_out = report.summary.iter().filter(told).count().saturating_sub(MOST_BARS);
    figure(&median, "Medians: half of the readings") + &tail + &omitted(left_out, "row", "summary.csv")
}

/// The parts of a row's time, and the whole that is stated behind them.
type Parts = fn(&Figures) -> Option<(Vec<u64>, Option<u64>)>;

fn bars(report: &Report, parts: Parts, colours: &[Colour], (describe, whole): (&str, &str)) -> String {
    const WIDTH: f64 = 1080.0;
    const ROW: f64 = 26.0;
    let (left, right) = (210.0, 110.0);
    let readings = report.summary.iter().filter(|row| row.kind == "reading");
    let rows: Vec<_> = readings.filter_map(|row| Some((row, parts(&row.figures)?))).collect();
    let (all, rows): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(row, _)| row.is_headline());
    let rows: Vec<_> = rows.into_iter().take(MOST_BARS).chain(all).collect();
    if rows.is_empty() {
        return String::new();
    }
    let describe = format!("{describe}, by fleet and phase");
    let mut out = open(WIDTH, 28.0 + ROW * rows.len() as f64, "stages", &describe);
    let mut x = left;
    for colour in colours {
        rect(&mut out, [x, 4.0, 10.0, 10.0], *colour, 1.0);
        text(&mut out, (x + 15.0, 13.0), colour.name, Pen::new(SOFT, Anchor::Start));
        x += 92.0;
    }
    let end = WIDTH - right + 8.0;
    text(&mut out, (end, 13.0), whole, Pen::new(SOFT, Anchor::Start));
    for (nth, (row, (parts, whole))) in rows.iter().enumerate() {
        let y = 28.0 + ROW * nth as f64;
        let (name, ink) = if row.is_headline() {
            ("all fleets".to_owned(), INK)
        } else {
            (clip(&format!("{} · {}", row.fleet, row.phase), 32), SOFT)
        };
        text(&mut out, (left - 10.0, y + 13.0), name, Pen::new(ink, Anchor::End));
        bar(&mut out, (left, WIDTH - left - right), y, (parts, colours));
        if let Some(whole) = whole {
            text(&mut out, (end, y + 14.0), span(*whole), Pen::new(ink, Anchor::Start));
        }
    }
    out + "</svg>"
}

fn bar(out: &mut String, (mut x, width): (f64, f64), y: f64, (parts, colours): (&[u64], &[Colour])) {
    let total = parts.iter().sum::<u64>().max(1) as f64;
    for (part, colour) in parts.iter().zip(colours) {
        let share = width * *part as f64 / total;
        if share > 0.3 {
            rect(out, [x, y + 2.0, share, 17.0], *colour, 1.0);
        }
        let words = span(*part);
        if share > width_of(&words) + 8.0 {
            text(out, (x + share / 2.0, y + 14.5), words, Pen::new(BAR_TEXT, Anchor::Middle));
        }
        x += share;
    }
}

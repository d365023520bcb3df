//! The strips of the time line under its lanes, one chart each.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::colour::{BAD, Colour, HEAT, INK, LAG, OUTCOMES, P99, RESPONSE, SERVICE, SOFT, WARNING};
use super::svg::{
    Anchor, LinearScale, LogScale, Pen, Px, area, broken, grid_line, line, rect, text, through, width_of,
};
use super::timeline::{Frame, LEFT, RIGHT, WIDTH, panel};
use super::{STYLE, outcome_counts, tick as round};
use crate::display::figure::{count, rate};
use crate::results::{Column, ROWS_PER_DECADE};
use crate::units::plural;

/// Where faults were on, as the lanes define it.
pub(super) const BANDS: &str = "<use href=\"#bands\"/>";

pub(super) const EDGES: (f64, f64) = (LEFT, WIDTH - RIGHT);

pub(super) fn title(over: &mut String, words: &str) {
    text(over, (LEFT + 6.0, 14.0), words, Pen::new(INK, Anchor::Start).halo());
}

/// The key of a strip, from the right: words and what they stand for.
struct Key<'a> {
    over: &'a mut String,
    x: f64,
}

impl<'a> Key<'a> {
    fn new(over: &'a mut String) -> Self {
        Self { over, x: WIDTH - RIGHT - 8.0 }
    }

    fn words(&mut self, words: &str, colour: Colour) {
        text(self.over, (self.x, 14.0), words, Pen::new(colour, Anchor::End).halo());
        // Strong letters are wider.
        self.x -= 1.25 * width_of(words) + 6.0;
    }

    fn line(&mut self, words: &str, colour: Colour) {
        self.words(words, colour);
        line(self.over, &format!("M{},10h16", Px(self.x - 18.0)), colour, 2.0, "");
        self.x -= 34.0;
    }

    fn square(&mut self, words: &str, colour: Colour) {
        self.words(words, SOFT);
        rect(self.over, [self.x - 8.0, 5.0, 10.0, 10.0], colour, 1.0);
        self.x -= 24.0;
    }
}

/// A column as a bar from `low` up to `high`.
fn bar(data: &mut String, frame: &Frame<'_>, place: usize, (low, high): (f64, f64)) {
    let gap = if frame.column_width() > 3.0 { 0.4 } else { 0.0 };
    let (x, width) = (frame.column(place).0 + gap, frame.column_width() - 2.0 * gap);
    let _ = write!(data, "M{},{}h{}V{}h-{}z", Px(x), Px(high), Px(width), Px(low), Px(width));
}

fn columns<'a>(frame: &Frame<'a>) -> impl Iterator<Item = (usize, &'a Column)> {
    frame.history.columns.iter().enumerate()
}

/// Where a row of the heat map begins, nanoseconds.
fn row_start(row: u16) -> u64 {
    libm::pow(10.0, f64::from(row) / f64::from(ROWS_PER_DECADE)) as u64
}

/// Response times: how many of them lie where, with p50 and p99.
pub(super) fn heat(frame: &Frame<'_>) -> String {
    const HEIGHT: f64 = 300.0;
    let (top, bottom) = (8.0, HEIGHT - 8.0);
    let rows = || frame.history.columns.iter().flat_map(|column| &column.heat);
    let ends = rows().flat_map(|(row, _)| [row_start(*row), row_start(row + 1)]);
    let Some(scale) = LogScale::around(ends, top, bottom) else { return String::new() };
    let peak = rows().map(|(_, count)| *count).max().unwrap_or(1);
    let mut plot = cells(frame, &scale, peak);
    let failed = failed_cells(frame, &scale);
    plot += &failed;
    plot += BANDS;
    let points = |of: fn(&Column) -> Option<u64>| {
        let at = |(place, column): (usize, &Column)| Some((frame.column(place).1, scale.y(of(column)?)));
        broken(&columns(frame).map(at).collect::<Vec<_>>())
    };
    for (data, colour, width) in
        [(points(|column| column.p50), INK, 1.5), (points(|column| column.p99), P99, 1.9)]
    {
        edged(&mut plot, &data, colour, width);
    }
    let (mut fixed, mut over) = (String::new(), String::new());
    for tick in scale.ticks() {
        grid_line(&mut fixed, EDGES, scale.y(tick), round(tick));
    }
    title(&mut over, "response time of all readings");
    let mut key = Key::new(&mut over);
    key.line("p99", P99);
    key.line("p50", INK);
    key.words(&plural(peak, "reading"), SOFT);
    key.x -= 110.0;
    let x = key.x;
    text(&mut over, (x - 6.0, 14.0), "1", Pen::axis().halo());
    for (step, value) in HEAT.iter().enumerate() {
        let x = x + 11.0 * step as f64;
        let step = step + 1;
        let _ = write!(
            over,
            "<path d=\"M{},10h11\" stroke=\"{value}\" stroke-width=\"10\" class=\"h{step}\"/>",
            Px(x)
        );
    }
    if !failed.is_empty() {
        let mut key = Key { over: &mut over, x: x - 34.0 };
        key.words("failed: at least so long", SOFT);
        let x = key.x - 8.0;
        rect(&mut over, [x, 5.0, 10.0, 10.0], SOFT, 1.0);
        let _ = write!(over, "<path d=\"M{},5h10v10h-10z\" fill=\"url(#failed)\"/>", Px(x));
    }
    let describe = "Heat map of response times over time, with median and 99th percentile";
    panel(HEIGHT, describe, &fixed, &plot, &over)
}

/// A line with an edge in the colour of the ground, its data stated once.
fn edged(plot: &mut String, data: &str, colour: Colour, width: f64) {
    let id = format!("line-{}", colour.name);
    let _ = write!(
        plot,
        "<defs><path id=\"{id}\" d=\"{data}\" fill=\"none\" stroke-linejoin=\"round\" vector-effect=\"non-scaling-stroke\"/>\
         </defs>"
    );
    for (colour, width) in [(super::colour::CARD, width + 2.0), (colour, width)] {
        let Colour { name, value } = colour;
        let _ = write!(
            plot,
            "<use href=\"#{id}\" class=\"s-{name}\" stroke=\"{value}\" stroke-width=\"{width}\"/>"
        );
    }
}

/// The cells of the heat map, one path for each colour, in units of columns and rows: neighbours of one colour are one stroke.
fn cells(frame: &Frame<'_>, scale: &LogScale, peak: u64) -> String {
    let lowest = (libm::log10(scale.low) * f64::from(ROWS_PER_DECADE)).round() as i64;
    let row_height = (scale.bottom - scale.top) / (scale.decades() * f64::from(ROWS_PER_DECADE)).round();
    let mut steps: BTreeMap<usize, BTreeMap<u16, Vec<usize>>> = BTreeMap::new();
    for (place, column) in columns(frame) {
        for (row, count) in &column.heat {
            steps.entry(step_of(*count, peak)).or_default().entry(*row).or_default().push(place);
        }
    }
    let mut out = format!(
        "<g transform=\"translate(0,{}) scale({:.5},{:.5})\" fill=\"none\" stroke-width=\"1.04\">",
        Px(scale.bottom - row_height / 2.0),
        frame.column_width(),
        -row_height
    );
    for (step, rows) in steps {
        let mut data = String::new();
        for (row, places) in rows {
            let y = i64::from(row) - lowest;
            let mut end = None;
            for run in places.chunk_by(|a, b| a + 1 == *b) {
                let _ = match end {
                    None => write!(data, "M{} {y}h{}", run[0], run.len()),
                    Some(end) => write!(data, "m{} 0h{}", run[0] - end, run.len()),
                };
                end = Some(run[0] + run.len());
            }
        }
        let _ = write!(out, "<path d=\"{data}\" stroke=\"{}\" class=\"h{}\"/>", HEAT[step], step + 1);
    }
    out + "</g>"
}

/// A pattern over the cells most of whose readings failed: their times are only lower bounds, and no band of slow answers.
fn failed_cells(frame: &Frame<'_>, scale: &LogScale) -> String {
    let mut rows: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
    for (place, column) in columns(frame) {
        let mostly = |(row, count): &(&u16, &u64)| 2 * **count > column.heat.get(row).copied().unwrap_or(0);
        for (row, _) in column.failed.iter().filter(mostly) {
            rows.entry(*row).or_default().push(place);
        }
    }
    let mut data = String::new();
    for (row, places) in rows {
        let (top, bottom) = (scale.y(row_start(row + 1)), scale.y(row_start(row)));
        for run in places.chunk_by(|a, b| a + 1 == *b) {
            let (x, width) = (frame.column(run[0]).0, frame.column_width() * run.len() as f64);
            let _ = write!(data, "M{},{}h{}V{}h-{}z", Px(x), Px(top), Px(width), Px(bottom), Px(width));
        }
    }
    if data.is_empty() {
        return data;
    }
    let Colour { name, value } = super::colour::CARD;
    format!(
        "<defs><pattern id=\"failed\" width=\"4\" height=\"4\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
         <path d=\"M0,0v4\" class=\"s-{name}\" stroke=\"{value}\" stroke-width=\"3\"/></pattern></defs><path d=\"{data}\" \
         fill=\"url(#failed)\"/>"
    )
}

/// The step of a cell with `count` readings, by the logarithm of the count.
fn step_of(count: u64, peak: u64) -> usize {
    let share = libm::log1p(count as f64) / libm::log1p(peak.max(1) as f64);
    ((share * (HEAT.len() as f64 - 1e-3)) as usize).min(HEAT.len() - 1)
}

/// How readings ended, per second, against what came due.
pub(super) fn outcomes(frame: &Frame<'_>) -> String {
    const HEIGHT: f64 = 120.0;
    let history = frame.history;
    let rates = |place: usize, column: &Column| {
        let per_second = |count: u64| count as f64 / history.length_s(place);
        let tries = column.retries + column.outcomes.planned;
        (
            outcome_counts(&column.outcomes).map(per_second),
            per_second(column.outcomes.planned),
            per_second(tries),
        )
    };
    let rates: Vec<_> = columns(frame).map(|(place, column)| rates(place, column)).collect();
    let most =
        rates.iter().map(|(ended, _, tries)| ended.iter().sum::<f64>().max(*tries)).fold(0.0, f64::max);
    if most <= 0.0 {
        return String::new();
    }
    let scale = LinearScale { most, top: 22.0, bottom: HEIGHT - 8.0 };
    let mut bars = [const { String::new() }; OUTCOMES.len()];
    let (mut due, mut tried) = (Vec::new(), Vec::new());
    for (place, (ended, planned, tries)) in rates.iter().enumerate() {
        let mut below = 0.0;
        for (rate, data) in ended.iter().zip(&mut bars).filter(|(rate, _)| **rate > 0.0) {
            bar(data, frame, place, (scale.y(below), scale.y(below + rate)));
            below += rate;
        }
        let x = frame.column(place).0;
        let level = |rate: f64| [(x, scale.y(rate)), (x + frame.column_width(), scale.y(rate))];
        due.extend(level(*planned));
        tried.extend(level(*tries));
    }
    let (mut plot, mut fixed, mut over) = (String::new(), String::new(), String::new());
    for (data, colour) in bars.iter().zip(OUTCOMES) {
        area(&mut plot, data, colour, 1.0);
    }
    plot += BANDS;
    let retries = history.columns.iter().any(|column| column.retries > 0);
    if retries {
        line(&mut plot, &through(&tried), BAD, 1.3, "");
    }
    line(&mut plot, &through(&due), INK, 1.3, "");
    for tick in scale.ticks(4.0) {
        grid_line(&mut fixed, EDGES, scale.y(tick), rate(tick, STYLE));
    }
    title(&mut over, "readings per second, by how they ended");
    let mut key = Key::new(&mut over);
    for (_, colour) in bars.iter().zip(OUTCOMES).filter(|(data, _)| !data.is_empty()).rev() {
        key.square(colour.name, colour);
    }
    if retries {
        key.line("and was sent again", BAD);
    }
    key.line("came due", INK);
    panel(HEIGHT, "Readings per second by outcome, against what came due", &fixed, &plot, &over)
}

/// Connections set up per second, and attempts that failed, where there are any besides the first ones.
pub(super) fn connections(frame: &Frame<'_>) -> String {
    const HEIGHT: f64 = 80.0;
    if !frame.history.reconnects {
        return String::new();
    }
    let seconds = |place| frame.history.length_s(place);
    let per_second =
        |(place, column): (usize, &Column)| (column.connected + column.refused) as f64 / seconds(place);
    let most = columns(frame).map(per_second).fold(0.0, f64::max);
    let scale = LinearScale { most, top: 22.0, bottom: HEIGHT - 8.0 };
    let (mut good, mut bad) = (String::new(), String::new());
    for (place, Column { connected, refused, .. }) in columns(frame) {
        let set_up = *connected as f64 / seconds(place);
        let all = set_up + *refused as f64 / seconds(place);
        if *connected > 0 {
            bar(&mut good, frame, place, (scale.y(0.0), scale.y(set_up)));
        }
        if *refused > 0 {
            bar(&mut bad, frame, place, (scale.y(set_up), scale.y(all)));
        }
    }
    let (mut plot, mut fixed, mut over) = (String::new(), String::new(), String::new());
    area(&mut plot, &good, RESPONSE, 0.55);
    area(&mut plot, &bad, BAD, 0.8);
    plot += BANDS;
    for tick in scale.ticks(2.0) {
        grid_line(&mut fixed, EDGES, scale.y(tick), rate(tick, STYLE));
    }
    title(&mut over, "connections per second");
    let mut key = Key::new(&mut over);
    if !bad.is_empty() {
        key.square("failed", BAD);
    }
    key.square("set up", RESPONSE);
    panel(HEIGHT, "Connections set up per second, and attempts that failed", &fixed, &plot, &over)
}

/// Readings that came due and had not ended at the end of each column, and those whose time-out had passed.
pub(super) fn open_readings(frame: &Frame<'_>) -> String {
    const HEIGHT: f64 = 92.0;
    let mut due = 0_u64;
    let mut ended = 0_u64;
    let stated = frame.history.columns.iter().any(|column| column.open.is_some());
    let open: Vec<_> = columns(frame)
        .map(|(_, column)| {
            due += column.outcomes.planned;
            ended += column.outcomes.ended();
            if stated { column.open.unwrap_or(0) } else { due.saturating_sub(ended) }
        })
        .collect();
    let most = open.iter().copied().max().unwrap_or(0);
    if most == 0 {
        return String::new();
    }
    let scale = LinearScale { most: most as f64, top: 22.0, bottom: HEIGHT - 8.0 };
    let end = |place: usize| frame.column(place).0 + frame.column_width();
    let points = |of: &[u64]| {
        let at = |(place, number): (usize, &u64)| (end(place), scale.y(*number as f64));
        std::iter::once((0.0, scale.y(0.0))).chain(of.iter().enumerate().map(at)).collect::<Vec<_>>()
    };
    let overdue: Vec<_> = columns(frame).map(|(_, column)| column.overdue.unwrap_or(0)).collect();
    let (mut plot, mut fixed, mut over) = (String::new(), String::new(), String::new());
    for (of, colour) in [(&open, SERVICE), (&overdue, BAD)] {
        if of.iter().any(|number| *number > 0) {
            let data = through(&points(of));
            area(&mut plot, &format!("{data}V{}H0Z", Px(scale.y(0.0))), colour, 0.18);
            line(&mut plot, &data, colour, 1.6, "");
        }
    }
    plot += BANDS;
    for tick in scale.ticks(3.0).into_iter().filter(|tick| tick.fract() == 0.0) {
        grid_line(&mut fixed, EDGES, scale.y(tick), count(tick as u64, STYLE));
    }
    title(&mut over, "readings open: under way or waiting");
    let mut key = Key::new(&mut over);
    if overdue.iter().any(|number| *number > 0) {
        key.line("of these overdue", BAD);
        key.line("open", SERVICE);
    }
    panel(HEIGHT, "Readings that came due and have not ended, over time", &fixed, &plot, &over)
}

/// How late the generator itself woke: its own part in what the strips above show.
pub(super) fn lag(frame: &Frame<'_>) -> String {
    const HEIGHT: f64 = 78.0;
    let lags = || frame.history.columns.iter().filter_map(|column| Some((column.lag_p50?, column.lag_p99?)));
    let reach = lags().flat_map(|(p50, p99)| [p50, p99, 10_000_000]);
    let Some(scale) = LogScale::around(reach, 20.0, HEIGHT - 8.0) else { return String::new() };
    let (mut calm, mut shows, mut medians) = (String::new(), String::new(), Vec::new());
    for (place, column) in columns(frame) {
        medians.push(column.lag_p50.map(|p50| (frame.column(place).1, scale.y(p50))));
        if let Some(p99) = column.lag_p99 {
            let data = if is_felt(column) { &mut shows } else { &mut calm };
            bar(data, frame, place, (scale.bottom, scale.y(p99)));
        }
    }
    let (mut plot, mut fixed, mut over) = (String::new(), String::new(), String::new());
    area(&mut plot, &calm, LAG, 0.35);
    area(&mut plot, &shows, WARNING, 0.75);
    line(&mut plot, &broken(&medians), LAG, 1.5, "");
    plot += BANDS;
    let every_other = |tick: &u64| tick.ilog10() % 2 == 1 || scale.decades() < 3.5;
    for tick in scale.ticks().filter(every_other) {
        grid_line(&mut fixed, EDGES, scale.y(tick), round(tick));
    }
    title(&mut over, "how late the generator itself was");
    let mut key = Key::new(&mut over);
    key.words("line p50, bars p99; amber: above a tenth of the p99 measured", SOFT);
    let describe = "Pacing lag of the generator: median as a line, 99th percentile as bars";
    panel(HEIGHT, describe, &fixed, &plot, &over)
}

/// Whether the generator's lateness shows in what a column states of the service.
fn is_felt(column: &Column) -> bool {
    let lag = column.lag_p99.unwrap_or(0);
    lag > 1_000_000 && column.p99.is_some_and(|p99| lag.saturating_mul(10) > p99)
}

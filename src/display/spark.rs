//! A run over time in a few lines of a terminal: rate, response times and failures under the phases, faults marked.

use super::figure::{rate, time};
use super::grid::clip;
use super::recovery::names;
use super::style::{Style, Tone};
use crate::results::{Column, History, Outage, Recovery};

/// Columns of the names in the margin.
const MARGIN: usize = 11;
/// Narrower charts say nothing.
const LEAST_WIDTH: usize = 12;
/// Letters of a name that are worth showing.
const LEAST_NAME: usize = 4;
/// Cells that a column of the history fills at most.
const MOST_CELLS: usize = 4;
/// Faults with a lane of their own.
const MOST_LANES: usize = 4;
/// What stands beside a fault from which the service did not recover.
const LOST: &str = "NOT RECOVERED";
/// Eight heights, lowest first.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const PLAIN_BARS: [char; 8] = ['_', '.', ':', '-', '=', '+', '*', '#'];

/// A line of the block: its name, what it shows in every cell, and its range in words.
struct Row {
    name: String,
    cells: String,
    range: String,
    tone: Option<Tone>,
}

/// The block, no wider than `width`; nothing where there is no room, or nothing happened over time.
pub(super) fn sparklines(history: &History, faults: &[Outage], width: usize, style: Style) -> Vec<String> {
    if history.columns.iter().all(|column| column.outcomes.ended() == 0) {
        return Vec::new();
    }
    let series = Series::of(history);
    let ranges = series.ranges(history.end_s, style);
    let lost = faults.iter().any(|outage| outage.state == Recovery::NotRecovered);
    let words = ranges.iter().map(String::as_str).chain(lost.then_some(LOST));
    let beside = words.map(|range| range.chars().count()).max().unwrap_or(0);
    let room = width.saturating_sub(MARGIN + 2 + beside);
    if room < LEAST_WIDTH {
        return Vec::new();
    }
    let axis = Axis::of(history, room);
    let mut rows = axis.rows(&series, ranges, style);
    rows.extend(lanes(faults, &axis, style));
    rows.iter().map(|row| row.draw(axis.cells(), style)).collect()
}

impl Row {
    fn draw(&self, width: usize, style: Style) -> String {
        let name = style.paint(&format!("{:<MARGIN$}", clip(&self.name, MARGIN - 1, style)), Tone::Faint);
        let pad = width.saturating_sub(self.cells.chars().count());
        let cells = self.tone.map_or_else(|| self.cells.clone(), |tone| style.paint(&self.cells, tone));
        let range = style.paint(&self.range, Tone::Faint);
        format!("{name}{cells}{}  {range}", " ".repeat(pad)).trim_end().to_owned()
    }
}

/// What is shown, by column of the history; rates per second, times in nanoseconds.
struct Series {
    ok: Vec<f64>,
    failed: Vec<f64>,
    p50: Vec<Option<u64>>,
    p99: Vec<Option<u64>>,
}

impl Series {
    fn of(history: &History) -> Self {
        let rates = |of: fn(&Column) -> u64| -> Vec<f64> {
            let columns = history.columns.iter().enumerate();
            columns.map(|(place, column)| of(column) as f64 / history.length_s(place)).collect()
        };
        let times =
            |of: fn(&Column) -> Option<u64>| -> Vec<Option<u64>> { history.columns.iter().map(of).collect() };
        Self {
            ok: rates(|column| column.outcomes.ok),
            failed: rates(|column| column.outcomes.failed()),
            p50: times(|column| column.p50),
            p99: times(|column| column.p99),
        }
    }

    /// What stands beside the phases, the rate, the median, the p99 and the failures.
    fn ranges(&self, end_s: f64, style: Style) -> [String; 5] {
        let span = |values: &[Option<u64>]| {
            let known = || values.iter().flatten().copied();
            match (known().min(), known().max()) {
                (Some(low), Some(high)) if time(low, style) == time(high, style) => time(low, style),
                (Some(low), Some(high)) => format!("{} to {}", time(low, style), time(high, style)),
                _ => String::new(),
            }
        };
        [
            time((end_s * 1e9) as u64, style),
            format!("up to {}", rate(largest(&self.ok), style)),
            span(&self.p50),
            span(&self.p99),
            format!("up to {}", rate(largest(&self.failed), style)),
        ]
    }
}

/// Which cells of a line a stretch of time fills.
struct Axis<'a> {
    history: &'a History,
    /// Columns of the history that share a cell.
    share: usize,
    /// Cells that each of them fills.
    fill: usize,
}

impl<'a> Axis<'a> {
    fn of(history: &'a History, room: usize) -> Self {
        let columns = history.columns.len().max(1);
        Self { history, share: columns.div_ceil(room), fill: (room / columns).clamp(1, MOST_CELLS) }
    }

    fn cells(&self) -> usize {
        self.history.columns.len().div_ceil(self.share) * self.fill
    }

    /// The cell that begins at an instant or holds it.
    fn cell(&self, at_s: f64) -> usize {
        let column = at_s / self.history.column_s.max(1e-9) + 1e-6;
        ((column * self.fill as f64 / self.share as f64) as usize).min(self.cells().saturating_sub(1))
    }

    /// One value for every cell: the largest of the columns that share it.
    fn spread<T: Copy>(&self, values: &[T], larger: impl Fn(T, T) -> T) -> Vec<T> {
        let shared = values.chunks(self.share).filter_map(|chunk| chunk.iter().copied().reduce(&larger));
        shared.flat_map(|value| std::iter::repeat_n(value, self.fill)).collect()
    }

    fn rows(&self, series: &Series, ranges: [String; 5], style: Style) -> Vec<Row> {
        let [end, ok_range, p50_range, p99_range, failed_range] = ranges;
        let row = |name: &str, cells, range, tone| Row { name: name.to_owned(), cells, range, tone };
        let Series { ok, failed, p50, p99 } = series;
        let scale = LogScale::over(p50.iter().chain(p99).flatten().copied());
        let mut rows = vec![
            row("phases", self.phases(style), end, None),
            row("ok/s", linear(&self.spread(ok, f64::max), style), ok_range, None),
        ];
        for (name, values, range) in [("p50", p50, p50_range), ("p99", p99, p99_range)] {
            // Few readings an interval have no p99.
            if values.iter().any(Option::is_some) {
                let cells = self.spread(values, Ord::max);
                rows.push(row(name, scale.draw(&cells, style), range, None));
            }
        }
        if failed.iter().any(|rate| *rate > 0.0) {
            let cells = linear(&self.spread(failed, f64::max), style);
            rows.push(row("failed/s", cells, failed_range, Some(Tone::Bad)));
        }
        rows
    }

    /// The names of the phases, each from where it begins.
    fn phases(&self, style: Style) -> String {
        let mut cells = vec![' '; self.cells()];
        for (nth, phase) in self.history.phases.iter().enumerate() {
            let from = self.cell(phase.start_s);
            let next = self.history.phases.get(nth + 1).map_or(cells.len(), |next| self.cell(next.start_s));
            let mark = if style.ascii { '|' } else { '╵' };
            let room = next.saturating_sub(from + 1);
            // A letter or two of a name say nothing.
            let fits = room >= LEAST_NAME || phase.name.chars().count() <= room;
            let name = if fits { clip(&phase.name, room, style) } else { String::new() };
            for (place, letter) in (from..next.max(from + 1)).zip(std::iter::once(mark).chain(name.chars())) {
                if let Some(cell) = cells.get_mut(place) {
                    *cell = letter;
                }
            }
        }
        cells.into_iter().collect::<String>().trim_end().to_owned()
    }
}

/// A lane for each of the first faults: on, and from its end to the recovery.
fn lanes(faults: &[Outage], axis: &Axis<'_>, style: Style) -> Vec<Row> {
    let (on, after, point) = if style.ascii { ('=', '.', 'x') } else { ('━', '┄', '×') };
    let lane = |name: &str| {
        let mut cells = vec![' '; axis.cells()];
        let own = || faults.iter().filter(|outage| outage.fault == name);
        for outage in own() {
            let end_s = outage.ended_s().unwrap_or(axis.history.end_s);
            let until_s = match (outage.state, outage.recovered_after_s) {
                (Recovery::Recovered, Some(later_s)) => end_s + later_s,
                (Recovery::NotRecovered, _) => axis.history.end_s,
                _ => end_s,
            };
            let (from, off, until) = (axis.cell(outage.start_s), last(axis, end_s), last(axis, until_s));
            for (place, cell) in cells.iter_mut().enumerate().skip(from) {
                if place <= off.max(from) {
                    *cell = if outage.instant { point } else { on };
                } else if place <= until && *cell == ' ' {
                    *cell = after;
                }
            }
        }
        let lost = own().any(|outage| outage.state == Recovery::NotRecovered);
        let cells = cells.into_iter().collect::<String>().trim_end().to_owned();
        let (tone, range) = if lost { (Tone::Bad, LOST) } else { (Tone::Warning, "") };
        Row { name: name.to_owned(), cells, range: range.to_owned(), tone: Some(tone) }
    };
    names(faults).into_iter().take(MOST_LANES).map(lane).collect()
}

/// The last cell before an instant.
fn last(axis: &Axis<'_>, at_s: f64) -> usize {
    axis.cell((at_s - axis.history.column_s * 1e-4).max(0.0))
}

const fn bars(style: Style) -> [char; 8] {
    if style.ascii { PLAIN_BARS } else { BARS }
}

fn largest(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

/// Heights from nothing to the largest; what is there at all is seen.
fn linear(values: &[f64], style: Style) -> String {
    let most = largest(values);
    let bar = |value: &f64| {
        let height = (value / most * 8.0).ceil() as usize;
        if *value > 0.0 { bars(style)[height.clamp(1, 8) - 1] } else { ' ' }
    };
    values.iter().map(bar).collect::<String>().trim_end().to_owned()
}

/// Heights by the logarithm, over a decade at least: what hardly moves lies flat.
struct LogScale {
    low: f64,
    decades: f64,
}

impl LogScale {
    fn over(times: impl Iterator<Item = u64> + Clone) -> Self {
        let (low, high) = (times.clone().min().unwrap_or(1).max(1), times.max().unwrap_or(1).max(1));
        let decades = libm::log10(high as f64 / low as f64).max(1.0);
        Self { low: low as f64, decades }
    }

    fn draw(&self, values: &[Option<u64>], style: Style) -> String {
        let bar = |value: &Option<u64>| {
            let Some(ns) = value else { return ' ' };
            let share = libm::log10((*ns as f64 / self.low).max(1.0)) / self.decades;
            bars(style)[((share * 8.0) as usize).min(7)]
        };
        values.iter().map(bar).collect::<String>().trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::recovery;
    use crate::record::Outcomes;
    use crate::results::Stretch;

    const MS: u64 = 1_000_000;
    const RICH: Style = Style { colour: false, ascii: false };

    fn history(columns: usize) -> History {
        let stretch = |name: &str, start_s: f64, end_s: f64| Stretch { name: name.into(), start_s, end_s };
        let length = columns as f64;
        let column = |nth: usize| {
            let bad = nth * 2 >= columns && nth * 4 < columns * 3;
            let ok = if nth == 0 { 0 } else { 100 };
            Column {
                outcomes: Outcomes {
                    planned: ok,
                    ok,
                    timeout: if bad { 7 } else { 0 },
                    ..Outcomes::default()
                },
                p50: (ok > 0).then_some(MS),
                p99: (ok > 0).then_some(if bad { 4_000 * MS } else { 2 * MS }),
                ..Column::default()
            }
        };
        History {
            column_s: 1.0,
            intervals: 1,
            end_s: length,
            phases: vec![stretch("connect", 0.0, 1.0), stretch("steady", 1.0, length)],
            columns: (0..columns).map(column).collect(),
            ..History::default()
        }
    }

    fn outage(state: Recovery, instant: bool, [start_s, end_s]: [f64; 2], after: Option<f64>) -> Outage {
        let fault = if instant { "cut" } else { "stall" };
        Outage {
            fault: fault.into(),
            end_s: Some(end_s),
            instant,
            ..recovery::tests::outage(start_s, state, after)
        }
    }

    #[test]
    fn a_run_over_time_stands_under_its_phases_with_its_faults() {
        let faults = [
            outage(Recovery::Recovered, false, [10.0, 12.0], Some(3.0)),
            outage(Recovery::NotRecovered, true, [18.0, 18.0], None),
        ];
        insta::assert_snapshot!(sparklines(&history(20), &faults, 80, RICH).join("\n"), @r"
phases     ╵ ╵steady                                 20.0 s
ok/s         ██████████████████████████████████████  up to 100/s
p50          ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁  1.00 ms
p99          ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁██████████▁▁▁▁▁▁▁▁▁▁  2.00 ms to 4.00 s
failed/s                       ██████████            up to 7/s
stall                          ━━━━┄┄┄┄┄┄
cut                                            ×┄┄┄  NOT RECOVERED
");
        insta::assert_snapshot!(sparklines(&history(200), &faults, 80, Style::PLAIN).join("\n"), @r"
phases     |steady                                             200 s
ok/s       ##################################################  up to 100/s
p50        __________________________________________________  1.00 ms
p99        _________________________#############____________  2.00 ms to 4.00 s
failed/s                            #############              up to 7/s
stall        =.
cut            x.............................................  NOT RECOVERED
");
    }

    #[test]
    fn an_instant_whose_end_is_not_known_is_one_mark() {
        let cut = Outage { end_s: None, ..outage(Recovery::Open, true, [5.0, 5.0], None) };
        let lines = sparklines(&history(20), &[cut], 80, Style::PLAIN);
        assert_eq!(lines.last().map(|lane| lane.matches('x').count()), Some(1), "{lines:#?}");
    }

    #[test]
    fn no_line_is_wider_than_the_screen_and_nothing_is_drawn_of_nothing() {
        let faults = [outage(Recovery::NotRecovered, false, [1.0, 2.0], None)];
        for columns in [1, 2, 7, 33, 100, 399, 400] {
            for width in [40, 60, 80, 120, 160] {
                for line in sparklines(&history(columns), &faults, width, RICH) {
                    assert!(line.chars().count() <= width, "{columns} {width}: {line}");
                }
            }
        }
        assert!(sparklines(&History::default(), &faults, 80, RICH).is_empty());
        assert!(sparklines(&history(20), &[], 20, RICH).is_empty());
    }
}

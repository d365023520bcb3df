//! The log of a run put into the columns of its history. A log of days has a million lines: it is read in as many parts as there are
//! processors, each in bounded memory.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::thread;

use hdrhistogram::Histogram;

use super::distribution::{Tagged, lines_within};
use super::packed::{Bounds, Unpacker, add_values, record};
use super::table::TableError;

/// Rows of a column's distribution per decade of time.
pub(crate) const ROWS_PER_DECADE: u16 = 14;
/// Samples that an interval needs for a p99.
pub(super) const LEAST_SAMPLES: u64 = 100;
/// Distributions by fleet and by phase: more lines than that nobody tells apart.
pub(super) const MOST_CURVES: usize = 8;
/// Parts at most, and how long one is at least, bytes.
const MOST_PARTS: u64 = 8;
const LEAST_PART: u64 = 1024 * 1024;

/// What a tag of the log says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tag {
    /// The place of its phase among the measured ones, if that is one.
    pub(super) measured: Option<usize>,
    /// The place of its fleet.
    pub(super) fleet: usize,
}

/// The tags of a log up to the kind of time: `meters.http.steady`.
pub(super) type Tags = BTreeMap<String, Tag>;

/// The row of a heat map that a time of `ns` lies in: [`ROWS_PER_DECADE`] of them from 1 ns on.
pub(crate) fn row_of(ns: u64) -> u16 {
    (libm::log10(ns.max(1) as f64) * f64::from(ROWS_PER_DECADE) + 1e-9) as u16
}

/// What a log says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct LogTimes {
    /// The response times of columns by their places, each once.
    pub(super) columns: Vec<(usize, ColumnTimes)>,
    /// Distributions over the measured phases.
    pub(super) sums: Sums,
}

/// What a column shows of its response times, nanoseconds.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ColumnTimes {
    pub(super) p50: Option<u64>,
    pub(super) p99: Option<u64>,
    pub(super) max: Option<u64>,
    /// How many lie in each row; see [`row_of`].
    pub(super) heat: BTreeMap<u16, u64>,
    /// How many of those are of readings that failed, whose times are lower bounds.
    pub(super) failed: BTreeMap<u16, u64>,
}

/// Distributions over the measured phases; those of phases and fleets are of the response time.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Sums {
    pub(super) response: Option<Histogram<u64>>,
    pub(super) service: Option<Histogram<u64>>,
    /// Of what ended ok alone, and the lower bounds of the others.
    pub(super) ok: Option<Histogram<u64>>,
    pub(super) censored: Option<Histogram<u64>>,
    /// By the places that tags state.
    pub(super) phases: [Option<Histogram<u64>>; MOST_CURVES],
    pub(super) fleets: [Option<Histogram<u64>>; MOST_CURVES],
}

/// Reads the log of the run in `directory`; the history has so many `columns` of that many seconds.
///
/// # Errors
/// If the log cannot be read, or a line other than the last is none of a log.
pub(super) fn read(directory: &Path, tags: &Tags, grid: Grid) -> Result<LogTimes, TableError> {
    let path = directory.join("latency.hlog");
    let shown = path.display().to_string();
    let length = fs::metadata(&path).map_err(|source| TableError::Io { path: shown, source })?.len();
    let processors = thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let count = processors.min(MOST_PARTS).min(length / LEAST_PART).max(1);
    read_parts(directory, tags, grid, (length, count))
}

/// Reads a log of so many bytes in so many parts.
fn read_parts(
    directory: &Path,
    tags: &Tags,
    grid: Grid,
    (length, count): (u64, u64),
) -> Result<LogTimes, TableError> {
    let bound = |nth: u64| if nth == count { u64::MAX } else { length / count * nth };
    let read = |nth: u64| Part::read(directory, bound(nth)..bound(nth + 1), tags, grid);
    // The first part is read here: of short logs there is no other.
    let parts: Result<Vec<_>, _> = thread::scope(|scope| {
        let others: Vec<_> = (1..count).map(|nth| scope.spawn(move || read(nth))).collect();
        let first = read(0);
        let others = others.into_iter().map(|other| {
            // A panic is this program's own fault, and is not to be taken for an empty part.
            other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        std::iter::once(first).chain(others).collect()
    });
    parts.map(join)
}

/// The columns of a history.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    pub(super) column_s: f64,
    /// At least one.
    pub(super) columns: usize,
    /// End of the last column, which may be longer than the others.
    pub(super) end_s: f64,
}

impl Grid {
    /// The place of the column that an instant lies in, if it lies in one.
    pub(super) fn column_at(&self, start_s: f64) -> Option<usize> {
        let place = start_s / self.column_s + 1e-6;
        // What is left over at the end, however short, is part of the last column.
        (place >= 0.0 && start_s <= self.end_s).then(|| (place as usize).min(self.columns.saturating_sub(1)))
    }
}

/// A part of a log.
#[derive(Debug, Default)]
struct Part {
    unpacker: Unpacker,
    values: Vec<(u64, u64)>,
    /// The column that is being read, and its response times by measured phase, `None` for all others.
    place: usize,
    column: Vec<(Option<usize>, Histogram<u64>)>,
    /// How many of these are lower bounds, by row.
    failed: BTreeMap<u16, u64>,
    /// Columns that end in this part.
    columns: Vec<(usize, ColumnTimes)>,
    /// The first column and the last one, which neighbours may have parts of.
    edges: Vec<(usize, Edge)>,
    sums: Sums,
}

/// What a part has read of a column.
#[derive(Debug)]
struct Edge {
    times: Option<Histogram<u64>>,
    failed: BTreeMap<u16, u64>,
}

impl Part {
    /// Reads the lines that begin in `range`, bytes.
    fn read(directory: &Path, range: Range<u64>, tags: &Tags, grid: Grid) -> Result<Self, TableError> {
        let mut part = Self::default();
        lines_within(directory, range, |line, is_whole| {
            if is_whole {
                part.take(line, tags, grid)?;
            }
            Some(true)
        })?;
        if let Some(last) = part.close() {
            part.edges.push(last);
        }
        Ok(part)
    }

    /// Takes a line; `None` if it is none of a log.
    fn take(&mut self, line: &[u8], tags: &Tags, grid: Grid) -> Option<()> {
        // What has no tag is the sum of what follows.
        let Some(rest) = Tagged::rest(line) else { return Some(()) };
        let tagged = Tagged::of(rest)?;
        let Some(tag) = tags.get(tagged.head).copied() else { return Some(()) };
        // What is not shown need not be unpacked.
        let is_shown = match tagged.times {
            "response" | "censored" => true,
            "service" | "ok" => tag.measured.is_some(),
            _ => false,
        };
        if !is_shown {
            return Some(());
        }
        let bounds = self.unpacker.unpack(tagged.packed, &mut self.values)?;
        let sum = match tagged.times {
            "response" => {
                self.add(tag, grid.column_at(tagged.start_s()?), bounds);
                return Some(());
            }
            "censored" => {
                self.add_failed(grid.column_at(tagged.start_s()?));
                &mut self.sums.censored
            }
            "service" => &mut self.sums.service,
            _ => &mut self.sums.ok,
        };
        if tag.measured.is_some() {
            add_values(sum, &self.values, bounds);
        }
        Some(())
    }

    /// Goes to the column at `place`.
    fn enter(&mut self, place: usize) {
        if place != self.place {
            self.settle();
            self.place = place;
        }
    }

    /// Notes that the response times that were unpacked last are lower bounds.
    fn add_failed(&mut self, place: Option<usize>) {
        let Some(place) = place else { return };
        self.enter(place);
        for (value, count) in &self.values {
            *self.failed.entry(row_of(*value)).or_default() += count;
        }
    }

    /// Adds the response times that were unpacked last.
    fn add(&mut self, tag: Tag, place: Option<usize>, bounds: Bounds) {
        if let Some(place) = place {
            self.enter(place);
            if let Some((_, times)) = self.column.iter_mut().find(|(phase, _)| *phase == tag.measured) {
                record(times, &self.values);
            } else {
                let mut times = None;
                add_values(&mut times, &self.values, bounds);
                self.column.extend(times.map(|times| (tag.measured, times)));
            }
        }
        if let (Some(_), Some(sum)) = (tag.measured, self.sums.fleets.get_mut(tag.fleet)) {
            add_values(sum, &self.values, bounds);
        }
    }

    /// Ends the column that was read last.
    fn settle(&mut self) {
        match self.close() {
            Some(first) if self.edges.is_empty() => self.edges.push(first),
            Some((place, column)) => self.columns.push((place, column.settled())),
            None => {}
        }
    }

    /// The column that was read last, whose response times go to those of its phases.
    fn close(&mut self) -> Option<(usize, Edge)> {
        let mut whole = None;
        for (phase, times) in self.column.drain(..) {
            if let Some(phase) = phase {
                add(&mut self.sums.response, &times);
                if let Some(sum) = self.sums.phases.get_mut(phase) {
                    add(sum, &times);
                }
            }
            add(&mut whole, &times);
        }
        let failed = std::mem::take(&mut self.failed);
        let has_any = whole.is_some() || !failed.is_empty();
        has_any.then_some((self.place, Edge { times: whole, failed }))
    }
}

impl Edge {
    /// What the column shows of its response times.
    fn settled(self) -> ColumnTimes {
        let mut column = ColumnTimes { failed: self.failed, ..ColumnTimes::default() };
        let Some(times) = self.times.filter(|times| !times.is_empty()) else { return column };
        for step in times.iter_recorded() {
            let low = times.lowest_equivalent(step.value_iterated_to());
            *column.heat.entry(row_of(low)).or_default() += step.count_at_value();
        }
        [column.p50, column.p99, column.max] = percentiles(&times);
        column
    }

    /// Adds what another part has read of the same column.
    fn add(&mut self, other: Self) {
        if let Some(times) = &other.times {
            add(&mut self.times, times);
        }
        for (row, count) in other.failed {
            *self.failed.entry(row).or_default() += count;
        }
    }
}

/// Median, p99 where there are enough of them, and longest of times that are not empty.
pub(super) fn percentiles(times: &Histogram<u64>) -> [Option<u64>; 3] {
    let p99 = (times.len() >= LEAST_SAMPLES).then(|| times.value_at_quantile(0.99));
    [Some(times.value_at_quantile(0.5)), p99, Some(times.max())]
}

/// Adds `times` to `sum`, which grows where their range is wider.
fn add(sum: &mut Option<Histogram<u64>>, times: &Histogram<u64>) {
    if let Some(sum) = sum {
        // Only memory could lack.
        let _ = sum.add(times);
    } else {
        let mut times = times.clone();
        times.auto(true);
        *sum = Some(times);
    }
}

/// Puts the parts of a log together.
fn join(parts: Vec<Part>) -> LogTimes {
    let LogTimes { mut columns, mut sums } = LogTimes::default();
    let mut open: Option<(usize, Edge)> = None;
    for part in parts {
        columns.extend(part.columns);
        for (place, column) in part.edges {
            match &mut open {
                Some((own, sum)) if *own == place => sum.add(column),
                _ => columns
                    .extend(open.replace((place, column)).map(|(place, column)| (place, column.settled()))),
            }
        }
        sums.add(part.sums);
    }
    columns.extend(open.map(|(place, column)| (place, column.settled())));
    columns.sort_by_key(|(place, _)| *place);
    LogTimes { columns, sums }
}

impl Sums {
    fn add(&mut self, other: Self) {
        let Self { response, service, ok, censored, phases, fleets } = other;
        let beside = [&mut self.response, &mut self.service, &mut self.ok, &mut self.censored];
        let own = beside.into_iter().chain(&mut self.phases).chain(&mut self.fleets);
        for (sum, times) in own.zip([response, service, ok, censored].into_iter().chain(phases).chain(fleets))
        {
            if let Some(times) = &times {
                add(sum, times);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Tick, WallTime};
    use crate::results::files::hlog::IntervalLog;

    /// A log of 40 seconds: two fleets, the first ten seconds unmeasured.
    fn log(folder: &Path) -> (Tags, u64) {
        let path = folder.join("latency.hlog");
        let mut log = IntervalLog::start(fs::File::create(&path).unwrap(), "r", WallTime::now()).unwrap();
        let mut tags = Tags::new();
        for second in 0..40_u64 {
            let phase = if second < 10 { "warm-up" } else { "steady" };
            for (fleet, name) in ["a", "b"].into_iter().enumerate() {
                let head = format!("{name}.http.{phase}");
                let measured = (second >= 10).then_some(0);
                tags.insert(head.clone(), Tag { measured, fleet });
                for kind in ["response", "service", "pacing-lag", "censored"] {
                    let mut times = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).unwrap();
                    for nth in 0..60 {
                        times.record(1_000_000 + second * 7_919 * nth + fleet as u64).unwrap();
                    }
                    let (start, end) = (Tick(second * 1_000_000_000), Tick((second + 1) * 1_000_000_000));
                    log.append(Some(&format!("{head}.{kind}")), start, end, &times).unwrap();
                }
            }
        }
        log.flush().unwrap();
        (tags, fs::metadata(path).unwrap().len())
    }

    #[test]
    fn however_many_parts_a_log_is_read_in_it_says_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let (tags, length) = log(folder.path());
        let grid = Grid { column_s: 3.0, columns: 14, end_s: 42.0 };
        let whole = read_parts(folder.path(), &tags, grid, (length, 1)).unwrap();
        assert_eq!(whole.columns.len(), 14);
        let heat: u64 = whole.columns.iter().flat_map(|(_, column)| column.heat.values()).sum();
        assert_eq!(heat, 40 * 2 * 60);
        assert!(whole.columns.iter().all(|(_, column)| column.failed == column.heat));
        assert_eq!(whole.sums.response.as_ref().map(Histogram::len), Some(30 * 2 * 60));
        assert_eq!(whole.sums.service, whole.sums.response);
        assert!(whole.columns.iter().all(|(_, column)| column.p99.is_some() && column.max.is_some()));
        for count in 2..40 {
            assert!(whole == read_parts(folder.path(), &tags, grid, (length, count)).unwrap(), "{count}");
        }
    }

    #[test]
    fn a_line_of_no_log_is_named_in_whatever_part_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (tags, length) = log(folder.path());
        let path = folder.path().join("latency.hlog");
        let text = fs::read_to_string(&path).unwrap();
        let mut lines: Vec<_> = text.lines().collect();
        lines[200] = "Tag=a.http.steady.response,1,1,1,%";
        fs::write(&path, lines.join("\n") + "\n").unwrap();
        for count in [1, 2, 7] {
            let grid = Grid { column_s: 3.0, columns: 14, end_s: 42.0 };
            let error = read_parts(folder.path(), &tags, grid, (length, count)).unwrap_err();
            assert!(matches!(error, TableError::Line { line: 201, .. }), "{count}: {error}");
        }
    }
}

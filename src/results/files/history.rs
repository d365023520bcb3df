//! What became of a run over time, from `intervals.csv`, `latency.hlog` and `events.csv`, in columns of equal length: as many as a
//! picture can show, however long the run was.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use hdrhistogram::Histogram;

use super::distribution::each_line;
use super::packed::{Bounds, Unpacker};
use super::table::{TableError, is_measured};
use crate::record::{Kind, Outcomes};
use crate::results::Millis;

/// Columns at most; of more intervals several share one.
pub(crate) const MOST_COLUMNS: usize = 400;
/// Rows of a column's distribution per decade of time.
pub(crate) const ROWS_PER_DECADE: u16 = 14;
/// Samples that an interval needs for a p99.
const LEAST_SAMPLES: u64 = 100;
/// Distributions by fleet and by phase: more lines than that nobody tells apart.
const MOST_CURVES: usize = 8;
/// Events that are kept.
const MOST_MARKS: usize = 200;

/// A run over time.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Length of a column, seconds; 0 where there is none.
    pub(crate) column_s: f64,
    /// Recording intervals that a column holds.
    pub(crate) intervals: usize,
    /// When the last interval ended.
    pub(crate) end_s: f64,
    /// The phases in their order, the first connections included.
    pub(crate) phases: Vec<Stretch>,
    /// What happened to fleets and to the run itself.
    pub(crate) marks: Vec<Mark>,
    /// From the beginning of the run, without a gap.
    pub(crate) columns: Vec<Column>,
    /// The fleets in the order of the files.
    pub(crate) fleets: Vec<FleetTail>,
    /// The columns in which a fault was on.
    pub(crate) faulty: Vec<usize>,
    /// Whether connections were set up after the first ones.
    pub(crate) reconnects: bool,
    /// Distributions of whole phases and fleets.
    pub(crate) curves: Curves,
}

/// A phase on the clock of the run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stretch {
    pub(crate) name: String,
    pub(crate) start_s: f64,
    pub(crate) end_s: f64,
}

/// An instant at which something happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mark {
    /// The kind of event, as `events.csv` has it.
    pub(crate) event: String,
    /// What it is about, and what else is known.
    pub(crate) text: String,
    pub(crate) at_s: f64,
}

/// The intervals of one stretch of time.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Column {
    /// Readings of all fleets that came due and that ended.
    pub(crate) outcomes: Outcomes,
    /// Connections that were set up, and attempts that failed.
    pub(crate) connected: u64,
    pub(crate) refused: u64,
    /// Came due and not ended at the end of the last interval; `None` in runs of earlier versions.
    pub(crate) open: Option<u64>,
    /// Of those, the ones that have waited longer than their time-out.
    pub(crate) overdue: Option<u64>,
    /// How late the generator woke, the largest of the intervals, nanoseconds.
    pub(crate) lag_p50: Option<u64>,
    pub(crate) lag_p99: Option<u64>,
    /// Response times of all readings that ended: median, p99 (with at least 100 of them) and longest, nanoseconds.
    pub(crate) p50: Option<u64>,
    pub(crate) p99: Option<u64>,
    pub(crate) max: Option<u64>,
    /// How many of them lie in each row; see [`row_of`].
    pub(crate) heat: BTreeMap<u16, u64>,
    /// Start of the interval whose open readings are stated.
    pub(crate) gauged_s: f64,
}

/// The p99 of a fleet: of a column, the largest of its intervals, nanoseconds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FleetTail {
    pub(crate) name: String,
    pub(crate) p99: Vec<Option<u64>>,
}

/// Distributions over the measured phases, nanoseconds; those by fleet and by phase are of the response time.
#[derive(Debug, Default)]
pub(crate) struct Curves {
    pub(crate) response: Option<Histogram<u64>>,
    pub(crate) service: Option<Histogram<u64>>,
    pub(crate) phases: Vec<(String, Histogram<u64>)>,
    pub(crate) fleets: Vec<(String, Histogram<u64>)>,
}

/// The row of a heat map that a time of `ns` lies in: [`ROWS_PER_DECADE`] of them from 1 ns on.
pub(crate) fn row_of(ns: u64) -> u16 {
    (libm::log10(ns.max(1) as f64) * f64::from(ROWS_PER_DECADE) + 1e-9) as u16
}

impl History {
    /// Reads the history of the run in `directory`, as far as it goes: what a killed run did not write is left out.
    ///
    /// # Errors
    /// If a file cannot be read, or a line other than its last is none of its format.
    pub(crate) fn load(directory: &Path) -> Result<Self, TableError> {
        let mut history = Self::default();
        let Some(span) = Span::read(directory)? else { return Ok(history) };
        history.intervals = span.count().div_ceil(MOST_COLUMNS).max(1);
        history.column_s = span.width_s * history.intervals as f64;
        history.end_s = span.end_s;
        let columns = (history.end_s / history.column_s - 1e-6).ceil().max(1.0) as usize;
        history.columns = vec![Column::default(); columns];
        let tags = history.read_intervals(directory)?;
        history.read_events(directory)?;
        history.read_log(directory, &tags)?;
        Ok(history)
    }

    /// When a column begins and ends.
    pub(crate) fn bounds(&self, column: usize) -> (f64, f64) {
        let start = column as f64 * self.column_s;
        (start, (start + self.column_s).min(self.end_s))
    }

    fn column_at(&self, start_s: f64) -> Option<usize> {
        let place = (start_s / self.column_s + 1e-6).floor();
        (place >= 0.0 && place < self.columns.len() as f64).then_some(place as usize)
    }

    /// The rows of `intervals.csv` put into their columns; gives the tags under which the log has them.
    fn read_intervals(&mut self, directory: &Path) -> Result<BTreeMap<String, Tag>, TableError> {
        let mut tags = BTreeMap::new();
        let Some(mut table) = Table::open(directory, "intervals.csv")? else { return Ok(tags) };
        while table.next()? {
            let Some(start_s) = table.number("t_start_s") else { continue };
            let Some(place) = self.column_at(start_s) else { continue };
            let (phase, fleet) = (table.text("phase"), table.text("fleet"));
            let is_connect = table.text("kind") == Kind::Connect.name();
            let fleet_place = self.fleet(fleet);
            let tag = format!("{fleet}.{}.{phase}.", table.text("protocol"));
            tags.entry(tag).or_insert_with(|| {
                let measured = is_measured(phase).then(|| phase.to_owned());
                Tag { measured, fleet: fleet.to_owned() }
            });
            self.reconnects |= is_connect && is_measured(phase) && table.count("planned") > 0;
            if !table.text("fault").is_empty() && self.faulty.last() != Some(&place) {
                self.faulty.push(place);
            }
            let column = &mut self.columns[place];
            if !is_connect && table.text("kind") != Kind::Reading.name() {
                continue;
            }
            if is_connect {
                let ok = table.count("ok");
                column.connected += ok;
                column.refused += table.count("planned").saturating_sub(ok);
                continue;
            }
            column.add(start_s, &table);
            let p99 = table.time("p99_ms").filter(|_| table.outcomes().ended() >= LEAST_SAMPLES);
            let tail = &mut self.fleets[fleet_place].p99[place];
            *tail = (*tail).max(p99);
        }
        Ok(tags)
    }

    fn fleet(&mut self, name: &str) -> usize {
        self.fleets.iter().position(|fleet| fleet.name == name).unwrap_or_else(|| {
            self.fleets.push(FleetTail { name: name.to_owned(), p99: vec![None; self.columns.len()] });
            self.fleets.len() - 1
        })
    }

    fn read_events(&mut self, directory: &Path) -> Result<(), TableError> {
        let Some(mut table) = Table::open(directory, "events.csv")? else { return Ok(()) };
        let mut ended = None;
        while table.next()? {
            let Some(at_s) = table.number("t_s") else { continue };
            let (event, name, detail) = (table.text("event"), table.text("name"), table.text("detail"));
            match event {
                "phase_start" => {
                    let (name, end_s) = (name.to_owned(), f64::NAN);
                    self.phases.push(Stretch { name, start_s: at_s, end_s });
                }
                "phase_end" => {
                    let open = self.phases.iter_mut().rev().find(|phase| phase.name == name);
                    if let Some(phase) = open {
                        phase.end_s = at_s;
                    }
                }
                "end" => ended = Some(at_s),
                "fault_on" | "fault_off" | "" => {}
                _ if self.marks.len() < MOST_MARKS => {
                    let both = !name.is_empty() && !detail.is_empty();
                    let text = format!("{name}{}{detail}", if both { ": " } else { "" });
                    self.marks.push(Mark { event: event.to_owned(), text, at_s });
                }
                _ => {}
            }
        }
        let end_s = ended.unwrap_or(self.end_s).min(self.end_s);
        for phase in self.phases.iter_mut().filter(|phase| phase.end_s.is_nan()) {
            phase.end_s = end_s.max(phase.start_s);
        }
        Ok(())
    }

    fn read_log(&mut self, directory: &Path, tags: &BTreeMap<String, Tag>) -> Result<(), TableError> {
        let mut reader = LogReader::default();
        let read = each_line(directory, |line, is_whole| {
            if is_whole {
                reader.take(line, tags, self)?;
            }
            Some(true)
        });
        match read {
            Err(TableError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(()),
            read => read?,
        }
        reader.settle(self);
        self.curves.phases.retain(|(_, times)| !times.is_empty());
        Ok(())
    }
}

/// What a tag of the log says.
#[derive(Debug)]
struct Tag {
    /// Its phase, if that is a measured one.
    measured: Option<String>,
    fleet: String,
}

/// Puts the lines of a log into columns, one column at a time.
#[derive(Debug, Default)]
struct LogReader {
    unpacker: Unpacker,
    values: Vec<(u64, u64)>,
    place: usize,
    column: Option<Histogram<u64>>,
}

impl LogReader {
    /// Takes a line; `None` if it is none of a log.
    fn take(&mut self, line: &[u8], tags: &BTreeMap<String, Tag>, history: &mut History) -> Option<()> {
        let line = line.trim_ascii();
        if line.is_empty() || line[0] == b'#' || line[0] == b'"' {
            return Some(());
        }
        // What has no tag is the sum of what follows.
        let Some(line) = line.strip_prefix(b"Tag=") else { return Some(()) };
        let mut cells = line.split(|byte| *byte == b',');
        let tag = std::str::from_utf8(cells.next()?).ok()?;
        let start_s: f64 = std::str::from_utf8(cells.next()?).ok()?.parse().ok()?;
        let payload = cells.nth(2)?;
        let (head, times) = tag.split_at(tag.rfind('.')? + 1);
        let (Some(tag), true) = (tags.get(head), matches!(times, "response" | "service")) else {
            return Some(());
        };
        let bounds = self.unpacker.unpack(payload, &mut self.values)?;
        if times == "service" {
            if tag.measured.is_some() {
                add(&mut history.curves.service, &self.values, bounds);
            }
            return Some(());
        }
        if let Some(place) = history.column_at(start_s) {
            if place != self.place {
                self.settle(history);
                self.place = place;
            }
            add(&mut self.column, &self.values, bounds);
        }
        let Some(phase) = &tag.measured else { return Some(()) };
        let Curves { response, phases, fleets, .. } = &mut history.curves;
        add(response, &self.values, bounds);
        add_named(phases, phase, &self.values, bounds);
        add_named(fleets, &tag.fleet, &self.values, bounds);
        Some(())
    }

    /// Notes what became of the column that was read last.
    fn settle(&mut self, history: &mut History) {
        let Some(times) = &mut self.column else { return };
        if let (Some(column), false) = (history.columns.get_mut(self.place), times.is_empty()) {
            for step in times.iter_recorded() {
                let low = times.lowest_equivalent(step.value_iterated_to());
                *column.heat.entry(row_of(low)).or_default() += step.count_at_value();
            }
            column.p50 = Some(times.value_at_quantile(0.5));
            column.p99 = (times.len() >= LEAST_SAMPLES).then(|| times.value_at_quantile(0.99));
            column.max = column.max.max(Some(times.max()));
        }
        times.reset();
    }
}

fn add(sum: &mut Option<Histogram<u64>>, values: &[(u64, u64)], bounds: Bounds) {
    if sum.is_none() {
        *sum = fresh(bounds);
    }
    if let Some(sum) = sum {
        record(sum, values);
    }
}

fn add_named(sums: &mut Vec<(String, Histogram<u64>)>, name: &str, values: &[(u64, u64)], bounds: Bounds) {
    if let Some((_, sum)) = sums.iter_mut().find(|(own, _)| own == name) {
        record(sum, values);
    } else if let Some(mut sum) = fresh(bounds).filter(|_| sums.len() < MOST_CURVES) {
        record(&mut sum, values);
        sums.push((name.to_owned(), sum));
    }
}

fn record(sum: &mut Histogram<u64>, values: &[(u64, u64)]) {
    for (value, count) in values {
        sum.saturating_record_n(*value, *count);
    }
}

fn fresh(bounds: Bounds) -> Option<Histogram<u64>> {
    Histogram::new_with_bounds(bounds.low, bounds.high, bounds.digits).ok()
}

impl Column {
    fn add(&mut self, start_s: f64, row: &Table) {
        self.outcomes.add(&row.outcomes());
        self.lag_p50 = self.lag_p50.max(row.time("pacing_lag_p50_ms"));
        self.lag_p99 = self.lag_p99.max(row.time("pacing_lag_p99_ms"));
        if let (Some(open), Some(overdue)) = (row.whole("open"), row.whole("overdue")) {
            let kept = if start_s > self.gauged_s { (None, None) } else { (self.open, self.overdue) };
            self.open = Some(kept.0.unwrap_or(0) + open);
            self.overdue = Some(kept.1.unwrap_or(0) + overdue);
            self.gauged_s = start_s;
        }
    }
}

/// How long the recording intervals are, and how far they go.
struct Span {
    width_s: f64,
    end_s: f64,
}

impl Span {
    fn count(&self) -> usize {
        (self.end_s / self.width_s - 1e-6).ceil() as usize
    }

    /// `None` without an interval. The usual length counts: the last one may be shorter.
    fn read(directory: &Path) -> Result<Option<Self>, TableError> {
        let Some(mut table) = Table::open(directory, "intervals.csv")? else { return Ok(None) };
        let (mut lengths, mut end_s) = (BTreeMap::<u64, u64>::new(), 0.0_f64);
        while table.next()? {
            let (Some(start_s), Some(long_s)) = (table.number("t_start_s"), table.number("interval_s"))
            else {
                continue;
            };
            end_s = end_s.max(start_s + long_s);
            // A broken file must not fill the memory.
            if lengths.len() < 10_000 {
                *lengths.entry((long_s * 1e3).round() as u64).or_default() += 1;
            }
        }
        let usual = lengths.into_iter().filter(|(ms, _)| *ms > 0).max_by_key(|(ms, rows)| (*rows, *ms));
        let width_s = usual.map(|(ms, _)| ms as f64 / 1e3);
        Ok(width_s.filter(|_| end_s > 0.0 && end_s < 1e9).map(|width_s| Self { width_s, end_s }))
    }
}

/// A table of a run, read row by row: columns by name, a torn last row passed over.
struct Table {
    path: String,
    rows: csv::Reader<File>,
    row: csv::StringRecord,
    places: BTreeMap<String, usize>,
}

impl Table {
    /// `None` if the run has no such file.
    fn open(directory: &Path, name: &str) -> Result<Option<Self>, TableError> {
        let path = directory.join(name);
        let shown = path.display().to_string();
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(|source| TableError::Io { path: shown.clone(), source })?,
        };
        let mut rows = csv::ReaderBuilder::new().flexible(true).from_reader(file);
        let fault = |source| TableError::Csv { path: shown.clone(), source };
        let header = rows.headers().map_err(fault)?;
        let places = header.iter().enumerate().map(|(place, name)| (name.to_owned(), place)).collect();
        Ok(Some(Self { path: shown, rows, row: csv::StringRecord::new(), places }))
    }

    /// Goes to the next whole row.
    fn next(&mut self) -> Result<bool, TableError> {
        let fault = |source| TableError::Csv { path: self.path.clone(), source };
        while self.rows.read_record(&mut self.row).map_err(fault)? {
            if self.row.len() == self.places.len() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn text(&self, column: &str) -> &str {
        self.places.get(column).and_then(|place| self.row.get(*place)).unwrap_or_default()
    }

    fn number(&self, column: &str) -> Option<f64> {
        self.text(column).parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)
    }

    fn whole(&self, column: &str) -> Option<u64> {
        self.text(column).parse().ok()
    }

    fn count(&self, column: &str) -> u64 {
        self.whole(column).unwrap_or(0)
    }

    fn time(&self, column: &str) -> Option<u64> {
        self.text(column).parse().ok().map(Millis::as_ns)
    }

    fn outcomes(&self) -> Outcomes {
        let of = |column| self.count(column);
        Outcomes {
            planned: of("planned"),
            ok: of("ok"),
            shed: of("shed"),
            error: of("error"),
            timeout: of("timeout"),
            lost: of("lost"),
            dropped: of("dropped"),
        }
    }
}

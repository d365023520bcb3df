//! What became of a run over time, from `intervals.csv`, `latency.hlog` and `events.csv`, in columns of equal length: as many as a
//! picture can show, however long the run was.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use hdrhistogram::Histogram;

use super::distribution::BUFFER;
use super::history_log::{self, Grid, LEAST_SAMPLES, LogTimes, Sums, Tag, Tags};
use super::row::{number, time};
use super::table::{TableError, is_measured};
use super::target::{self, TargetCurve};
use crate::record::{Kind, Outcomes};

/// Columns at most; of more intervals several share one.
pub(crate) const MOST_COLUMNS: usize = 400;
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
    /// The target's own figures, and how many further series there are.
    pub(crate) target: (Vec<TargetCurve>, usize),
}

/// A phase on the clock of the run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stretch {
    pub(crate) name: String,
    pub(crate) start_s: f64,
    /// Infinite while it lasts.
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
    /// How many of them lie in each row; see [`row_of`](super::history_log::row_of).
    pub(crate) heat: BTreeMap<u16, u64>,
    /// How many of those failed: they took at least so long.
    pub(crate) failed: BTreeMap<u16, u64>,
    /// Attempts at readings beyond the first.
    pub(crate) retries: u64,
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
    /// Response times of what ended ok alone, and the lower bounds of the others; `None` in runs of earlier versions.
    pub(crate) ok: Option<Histogram<u64>>,
    pub(crate) censored: Option<Histogram<u64>>,
    pub(crate) phases: Vec<(String, Histogram<u64>)>,
    pub(crate) fleets: Vec<(String, Histogram<u64>)>,
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
        // What is left over at the end is no column of its own where it is short: a rate over its moment would be any number.
        let columns = (history.end_s / history.column_s - 1e-6).round().max(1.0) as usize;
        history.columns = vec![Column::default(); columns];
        let (tags, phases) = history.read_intervals(directory)?;
        history.read_events(directory)?;
        let grid = history.grid();
        history.target = target::read(directory, grid.columns, |at_s| grid.column_at(at_s))?;
        match history_log::read(directory, &tags, history.grid()) {
            // What a killed run did not write is left out.
            Err(TableError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            times => history.show(times?, phases),
        }
        Ok(history)
    }

    /// When a column begins and ends.
    pub(crate) fn bounds(&self, column: usize) -> (f64, f64) {
        let start = column as f64 * self.column_s;
        let is_last = column + 1 >= self.columns.len();
        (start, if is_last { self.end_s } else { start + self.column_s })
    }

    /// How long a column lasts, seconds: of the last one half as long as of the others to half as long again.
    pub(crate) fn length_s(&self, column: usize) -> f64 {
        let (start_s, end_s) = self.bounds(column);
        (end_s - start_s).max(1e-9)
    }

    const fn grid(&self) -> Grid {
        Grid { column_s: self.column_s, columns: self.columns.len(), end_s: self.end_s }
    }

    /// Takes over what the log says; `phases` are the measured ones, in the order of the tags' places.
    fn show(&mut self, times: LogTimes, phases: Vec<String>) {
        for (place, times) in times.columns {
            let Some(column) = self.columns.get_mut(place) else { continue };
            (column.p50, column.p99, column.max) = (times.p50, times.p99, times.max);
            (column.heat, column.failed) = (times.heat, times.failed);
        }
        let Sums { response, service, ok, censored, phases: by_phase, fleets: by_fleet } = times.sums;
        let fleets = self.fleets.iter().map(|fleet| fleet.name.clone());
        self.curves = Curves {
            response,
            service,
            ok,
            censored,
            phases: phases.into_iter().zip(by_phase).filter_map(named).collect(),
            fleets: fleets.zip(by_fleet).filter_map(named).collect(),
        };
    }

    /// The rows of `intervals.csv` put into their columns; gives the tags under which the log has them, and the measured phases.
    fn read_intervals(&mut self, directory: &Path) -> Result<(Tags, Vec<String>), TableError> {
        let (mut tags, mut phases) = (Tags::new(), Vec::<String>::new());
        let Some(mut table) = Table::open(directory, "intervals.csv")? else { return Ok((tags, phases)) };
        let (places, grid, mut tag) = (Places::of(&table), self.grid(), String::new());
        while table.next()? {
            let Some(start_s) = number(table.at(places.start)) else { continue };
            let Some(place) = grid.column_at(start_s) else { continue };
            let [phase, fleet, protocol, kind] = places.keys.map(|place| table.at(place));
            let fleet_place = self.fleet(fleet);
            tag.clear();
            tag.extend([fleet, ".", protocol, ".", phase]);
            if !tags.contains_key(&tag) {
                let measured = is_measured(phase).then(|| place_of(&mut phases, phase));
                tags.insert(tag.clone(), Tag { measured, fleet: fleet_place });
            }
            if !table.at(places.fault).is_empty() && self.faulty.last() != Some(&place) {
                self.faulty.push(place);
            }
            let outcomes = places.outcomes(&table);
            if kind == Kind::Connect.name() {
                self.reconnects |= is_measured(phase) && outcomes.planned > 0;
                let column = &mut self.columns[place];
                column.connected += outcomes.ok;
                column.refused += outcomes.planned.saturating_sub(outcomes.ok);
            } else if kind == Kind::Reading.name() {
                let lags = places.lags.map(|place| time(table.at(place)));
                let gauges = places.gauges.map(|place| table.at(place).parse().ok());
                self.columns[place].add(start_s, &outcomes, lags, gauges);
                self.columns[place].retries += places.retries(&table);
                let p99 = time(table.at(places.p99)).filter(|_| outcomes.ended() >= LEAST_SAMPLES);
                let tail = &mut self.fleets[fleet_place].p99[place];
                *tail = (*tail).max(p99);
            }
        }
        Ok((tags, phases))
    }

    fn fleet(&mut self, name: &str) -> usize {
        self.fleets.iter().position(|fleet| fleet.name == name).unwrap_or_else(|| {
            self.fleets.push(FleetTail { name: name.to_owned(), p99: vec![None; self.columns.len()] });
            self.fleets.len() - 1
        })
    }

    fn read_events(&mut self, directory: &Path) -> Result<(), TableError> {
        let Some(mut table) = Table::open(directory, "events.csv")? else { return Ok(()) };
        let places = ["t_s", "event", "name", "detail"].map(|name| table.place(name));
        let mut ended = None;
        while table.next()? {
            let [at_s, event, name, detail] = places.map(|place| table.at(place));
            let Some(at_s) = number(at_s) else { continue };
            match event {
                "phase_start" | "phase_end" => Stretch::note(&mut self.phases, event, name, at_s),
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
        for phase in self.phases.iter_mut().filter(|phase| phase.end_s.is_infinite()) {
            phase.end_s = end_s.max(phase.start_s);
        }
        Ok(())
    }
}

/// The history of a stored run, read when it is first asked for, and once: of a run of days that takes seconds.
#[derive(Debug)]
pub(crate) struct LazyHistory<'d> {
    directory: &'d Path,
    read: OnceCell<Result<History, TableError>>,
}

impl<'d> LazyHistory<'d> {
    /// That of the run in `directory`.
    pub(crate) const fn of(directory: &'d Path) -> Self {
        Self { directory, read: OnceCell::new() }
    }

    /// The history.
    ///
    /// # Errors
    /// As [`History::load`], every time.
    pub(crate) fn get(&self) -> Result<&History, &TableError> {
        self.read.get_or_init(|| History::load(self.directory)).as_ref()
    }
}

fn named((name, times): (String, Option<Histogram<u64>>)) -> Option<(String, Histogram<u64>)> {
    Some((name, times?))
}

/// The place of `name` among `names`, where it is put if it is new.
fn place_of(names: &mut Vec<String>, name: &str) -> usize {
    names.iter().position(|own| own == name).unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    })
}

impl Stretch {
    /// Takes in that the phase `name` begins or ends at `at_s`, if `event` says so.
    pub(super) fn note(phases: &mut Vec<Self>, event: &str, name: &str, at_s: f64) {
        match event {
            "phase_start" => {
                phases.push(Self { name: name.to_owned(), start_s: at_s, end_s: f64::INFINITY });
            }
            "phase_end" => {
                if let Some(phase) = phases.iter_mut().rev().find(|phase| phase.name == name) {
                    phase.end_s = at_s;
                }
            }
            _ => {}
        }
    }
}

impl Column {
    /// Adds a row of readings of the interval that began at `start_s`; `gauges`: what is open, and overdue of that.
    pub(super) fn add(
        &mut self,
        start_s: f64,
        outcomes: &Outcomes,
        [lag_p50, lag_p99]: [Option<u64>; 2],
        gauges: [Option<u64>; 2],
    ) {
        self.outcomes.add(outcomes);
        self.lag_p50 = self.lag_p50.max(lag_p50);
        self.lag_p99 = self.lag_p99.max(lag_p99);
        if let [Some(open), Some(overdue)] = gauges {
            let kept = if start_s > self.gauged_s { (None, None) } else { (self.open, self.overdue) };
            self.open = Some(kept.0.unwrap_or(0) + open);
            self.overdue = Some(kept.1.unwrap_or(0) + overdue);
            self.gauged_s = start_s;
        }
    }
}

/// How long the recording intervals are, and how far they go.
pub(super) struct Span {
    pub(super) width_s: f64,
    pub(super) end_s: f64,
}

impl Span {
    /// Rows by which the usual length is told.
    const SAMPLE: usize = 1_000;
    /// Bytes at the end of the table by which its end is told.
    const TAIL: u64 = 256 * 1024;

    fn count(&self) -> usize {
        (self.end_s / self.width_s - 1e-6).ceil() as usize
    }

    /// `None` without an interval. The usual length counts: the last one may be shorter. Of a long table only the first and the last
    /// rows are read: they are in the order of time.
    pub(super) fn read(directory: &Path) -> Result<Option<Self>, TableError> {
        let Some(mut table) = Table::open(directory, "intervals.csv")? else { return Ok(None) };
        let (mut lengths, mut end_s) = (BTreeMap::<u64, u64>::new(), 0.0_f64);
        let places = ["t_start_s", "interval_s"].map(|name| table.place(name));
        let mut rows = 0;
        while table.next()? {
            if let [Some(start_s), Some(long_s)] = places.map(|place| number(table.at(place))) {
                end_s = end_s.max(start_s + long_s);
                *lengths.entry((long_s * 1e3).round() as u64).or_default() += 1;
            }
            rows += 1;
            if rows == Self::SAMPLE {
                table.skip_to_tail(Self::TAIL)?;
            }
            // The tail has another few hundred rows.
            if rows > 100 * Self::SAMPLE {
                break;
            }
        }
        let usual = lengths.into_iter().filter(|(ms, _)| *ms > 0).max_by_key(|(ms, rows)| (*rows, *ms));
        let width_s = usual.map(|(ms, _)| ms as f64 / 1e3);
        Ok(width_s.filter(|_| end_s > 0.0 && end_s < 1e9).map(|width_s| Self { width_s, end_s }))
    }
}

/// The columns of `intervals.csv` that a history is made of.
struct Places {
    start: usize,
    /// Phase, fleet, protocol and kind.
    keys: [usize; 4],
    fault: usize,
    p99: usize,
    /// p50 and p99 of the pacing lag.
    lags: [usize; 2],
    /// Open and overdue.
    gauges: [usize; 2],
    /// Readings that were sent, and how often in all.
    attempts: [usize; 2],
    /// Planned, and how they ended.
    outcomes: [usize; 7],
}

impl Places {
    fn of(table: &Table) -> Self {
        let place = |name| table.place(name);
        Self {
            start: place("t_start_s"),
            keys: ["phase", "fleet", "protocol", "kind"].map(place),
            fault: place("fault"),
            p99: place("p99_ms"),
            lags: ["pacing_lag_p50_ms", "pacing_lag_p99_ms"].map(place),
            gauges: ["open", "overdue"].map(place),
            attempts: ["sent", "attempts"].map(place),
            outcomes: ["planned", "ok", "shed", "error", "timeout", "lost", "dropped"].map(place),
        }
    }

    /// None in runs of before there were any.
    fn retries(&self, row: &Table) -> u64 {
        let [sent, attempts] = self.attempts.map(|place| row.at(place).parse::<u64>().unwrap_or(0));
        attempts.saturating_sub(sent)
    }

    fn outcomes(&self, row: &Table) -> Outcomes {
        let [planned, ok, shed, error, timeout, lost, dropped] =
            self.outcomes.map(|place| row.at(place).parse().unwrap_or(0));
        Outcomes { planned, ok, shed, error, timeout, lost, dropped }
    }
}

/// A table of a run, read row by row: columns by name, a torn last row passed over.
struct Table {
    path: String,
    rows: csv::Reader<File>,
    row: csv::ByteRecord,
    names: csv::StringRecord,
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
        let mut rows = csv::ReaderBuilder::new().flexible(true).buffer_capacity(BUFFER).from_reader(file);
        let names = rows.headers().map_err(|source| TableError::Csv { path: shown.clone(), source })?.clone();
        Ok(Some(Self { path: shown, rows, row: csv::ByteRecord::new(), names }))
    }

    /// Goes to the next whole row.
    fn next(&mut self) -> Result<bool, TableError> {
        let fault = |source| TableError::Csv { path: self.path.clone(), source };
        while self.rows.read_byte_record(&mut self.row).map_err(fault)? {
            if self.row.len() == self.names.len() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Passes over all but the last `bytes`, if there are more; the row that is cut by this has too few cells, or is passed over.
    fn skip_to_tail(&mut self, bytes: u64) -> Result<(), TableError> {
        let fault = |source| TableError::Io { path: self.path.clone(), source };
        let length = self.rows.get_ref().metadata().map_err(fault)?.len();
        let mut position = self.rows.position().clone();
        if length.saturating_sub(bytes) > position.byte() {
            position.set_byte(length - bytes);
            let fault = |source| TableError::Csv { path: self.path.clone(), source };
            self.rows.seek(position).map_err(fault)?;
            // The rest of a row.
            self.rows.read_byte_record(&mut self.row).map_err(fault)?;
        }
        Ok(())
    }

    /// The place of a column; one beyond all if there is none.
    fn place(&self, name: &str) -> usize {
        self.names.iter().position(|own| own == name).unwrap_or(usize::MAX)
    }

    /// A cell of the row; empty where it has none.
    fn at(&self, place: usize) -> &str {
        self.row.get(place).and_then(|cell| std::str::from_utf8(cell).ok()).unwrap_or_default()
    }
}

//! A run read while its files grow, or up to an instant of one that has ended: what is known by then, and no more.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use super::distribution::Tagged;
use super::history::{MOST_COLUMNS, Span};
use super::manifest::Manifest;
use super::packed::Unpacker;
use super::promise::promises;
use super::table::TableError;
use super::tail::{Growing, Reach};
use super::watched::{Event, Watched, keep_last};

/// Intervals that tell how the generator does at present.
const PRESENT: usize = 5;

/// Recorded values of an interval, with their counts.
type Sparse = Vec<(u64, u64)>;

/// What the last few intervals say of the generator, nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Present {
    /// p99 of the pacing lag.
    pub(crate) lag: u64,
    /// p99 of the service time.
    pub(crate) service: u64,
    /// p98 of the response time.
    pub(crate) response: u64,
}

/// Reads a run as far as its files go, or up to an instant.
#[derive(Debug)]
pub(crate) struct Follower {
    directory: PathBuf,
    intervals: Growing,
    log: Growing,
    events: Growing,
    unpacker: Unpacker,
    values: Sparse,
    /// Start of the interval that is read of each file.
    row_start_s: f64,
    log_start_s: f64,
    /// Of the last intervals: lag, service and response.
    present: VecDeque<[Sparse; 3]>,
    watched: Watched,
}

impl Follower {
    /// Opens the run in `directory`, of which `run` is the manifest. Nothing is read yet.
    ///
    /// # Errors
    /// If a run that tells no plan has a table that cannot be read.
    pub(crate) fn open(directory: &Path, run: &Manifest) -> Result<Self, TableError> {
        let (interval_s, end_s) = match &run.plan {
            Some(plan) => (plan.interval_s, plan.end_s + plan.drain_s),
            None => Span::read(directory)?.map_or((1.0, 0.0), |span| (span.width_s, span.end_s)),
        };
        let interval_s = if interval_s > 0.0 && interval_s.is_finite() { interval_s } else { 1.0 };
        let count = (end_s / interval_s - 1e-6).ceil().clamp(1.0, 1e9) as usize;
        let watched = Watched {
            column_s: interval_s * count.div_ceil(MOST_COLUMNS) as f64,
            promises: promises(run),
            ..Watched::default()
        };
        Ok(Self {
            directory: directory.to_owned(),
            intervals: Growing::new(directory, "intervals.csv"),
            log: Growing::new(directory, "latency.hlog"),
            events: Growing::new(directory, "events.csv"),
            unpacker: Unpacker::default(),
            values: Sparse::new(),
            row_start_s: -1.0,
            log_start_s: -1.0,
            present: VecDeque::new(),
            watched,
        })
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) const fn watched(&self) -> &Watched {
        &self.watched
    }

    /// Reads on, at most up to the intervals that end by `until_s`; says how far the files have been read.
    ///
    /// # Errors
    /// If a file cannot be read, or is none of a run.
    pub(crate) fn advance(&mut self, until_s: f64) -> Result<Reach, TableError> {
        let until_s = until_s + 1e-6;
        let reached = [self.read_intervals(until_s)?, self.read_log(until_s)?, self.read_events(until_s)?];
        Ok(reached.into_iter().max().unwrap_or(Reach::End))
    }

    fn read_intervals(&mut self, until_s: f64) -> Result<Reach, TableError> {
        let (watched, row_start_s) = (&mut self.watched, &mut self.row_start_s);
        self.intervals.each_row(|row| {
            let (Some(start_s), Some(long_s)) = (row.number("t_start_s"), row.number("interval_s")) else {
                return true;
            };
            if start_s + long_s > until_s {
                return false;
            }
            if start_s > *row_start_s {
                *row_start_s = start_s;
                watched.begin(start_s, start_s + long_s);
            }
            watched.take_row(start_s, row);
            true
        })
    }

    fn read_log(&mut self, until_s: f64) -> Result<Reach, TableError> {
        let Self { log, unpacker, values, watched, log_start_s: start, present, .. } = self;
        let reach = log.each_line(|line| {
            let Some(tagged) = Tagged::rest(line).and_then(Tagged::of) else { return true };
            let (Some(start_s), Some(end_s)) = (tagged.start_s(), tagged.end_s()) else { return true };
            if end_s > until_s {
                return false;
            }
            let Tagged { head, times, packed, .. } = tagged;
            // What cannot be unpacked is shown as missing: a screen is no place to end for it.
            let Some(bounds) = unpacker.unpack(packed, values) else { return true };
            if start_s > *start {
                watched.settle(*start);
                *start = start_s;
                watched.begin_times(start_s);
                present.push_back(Default::default());
                keep_last(present, PRESENT);
            }
            watched.take_times((head, times), start_s, (&values[..], bounds));
            let place = ["pacing-lag", "service", "response"].iter().position(|name| *name == times);
            if let (Some(place), Some(sums)) = (place, present.back_mut()) {
                sums[place].extend_from_slice(values);
            }
            true
        })?;
        watched.settle(*start);
        Ok(reach)
    }

    fn read_events(&mut self, until_s: f64) -> Result<Reach, TableError> {
        let watched = &mut self.watched;
        self.events.each_row(|row| {
            let Some(at_s) = row.number("t_s") else { return true };
            if at_s > until_s {
                return false;
            }
            let text = |column| row.text(column).to_owned();
            watched.take_event(Event {
                at_s,
                what: text("event"),
                name: text("name"),
                detail: text("detail"),
            });
            true
        })
    }

    /// How the generator does at present; `None` before the first reading.
    pub(crate) fn present(&self) -> Option<Present> {
        let at = |place: usize, fraction: f64| {
            let mut values: Sparse =
                self.present.iter().flat_map(|sums| sums[place].iter().copied()).collect();
            values.sort_unstable();
            let total: u64 = values.iter().map(|(_, count)| count).sum();
            let mut left = (total as f64 * fraction).ceil() as u64;
            values.into_iter().find_map(|(value, count)| {
                let here = left <= count;
                left = left.saturating_sub(count);
                here.then_some(value)
            })
        };
        let lag = at(0, 0.99)?;
        Some(Present { lag, service: at(1, 0.99).unwrap_or(0), response: at(2, 0.98).unwrap_or(0) })
    }
}

//! `latency.hlog` read back: the whole run's distribution behind each of its tags.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

use super::table::TableError;

/// A histogram of three digits is far below this; no log has a longer line.
const LONGEST_LINE: u64 = 16 * 1024 * 1024;

/// The log's histograms, added up by tag; times in nanoseconds. `None` is the untagged total: the response times of all fleets
/// in the measured phases. A last line cut short by a killed run is passed over.
pub(crate) type Distributions = BTreeMap<Option<String>, Histogram<u64>>;

/// Reads the log of the run in `directory`, a line at a time: it may be larger than memory.
///
/// # Errors
/// If it cannot be read, or a line other than the last is none of a log.
pub fn read_distributions(directory: &Path) -> Result<Distributions, TableError> {
    let (mut sums, mut deserializer) = (Distributions::new(), Deserializer::new());
    each_line(directory, |line, is_whole| {
        if is_whole {
            add(line, &mut sums, &mut deserializer)?;
        }
        Some(true)
    })?;
    Ok(sums)
}

/// A log up to an instant, its last interval apart: of a killed run that may be incomplete.
#[derive(Default)]
pub(super) struct OpenLog {
    /// The intervals before the last, added up.
    pub(super) before: Distributions,
    /// The last interval.
    pub(super) last: Distributions,
    /// When the last interval began, in milliseconds of the run; `None` if there is no interval.
    pub(super) last_ms: Option<u64>,
    /// Whether a line of the last interval is cut short.
    pub(super) is_torn: bool,
}

/// Reads the log of the run in `directory` up to the interval that began at `until_ms`, with it.
///
/// # Errors
/// If it cannot be read, or a line other than the last is none of a log.
pub(super) fn read_open_log(directory: &Path, until_ms: u64) -> Result<OpenLog, TableError> {
    let (mut log, mut deserializer) = (OpenLog::default(), Deserializer::new());
    each_line(directory, |line, is_whole| {
        let start_ms = start_ms(line);
        if start_ms.is_some_and(|start_ms| start_ms > until_ms) {
            return Some(false);
        }
        if !is_whole {
            log.is_torn = !line.is_empty() && (start_ms.is_none() || start_ms == log.last_ms);
            return Some(true);
        }
        if start_ms.is_some() && start_ms != log.last_ms {
            log.close()?;
            log.last_ms = start_ms;
        }
        add(line, &mut log.last, &mut deserializer)?;
        Some(true)
    })?;
    Ok(log)
}

impl OpenLog {
    /// Puts the last interval to those before it; `None` if its histograms are of another kind.
    pub(super) fn close(&mut self) -> Option<()> {
        for (tag, times) in std::mem::take(&mut self.last) {
            match self.before.get_mut(&tag) {
                Some(sum) => sum.add(&times).ok()?,
                None => _ = self.before.insert(tag, times),
            }
        }
        Some(())
    }
}

/// When the interval of a line began, in milliseconds of the run, if the line goes so far and is none of the header.
fn start_ms(line: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(line).ok()?;
    let mut cells = text.split(',');
    if text.starts_with("Tag=") {
        cells.next();
    }
    let start_s: f64 = cells.next()?.parse().ok()?;
    cells.next().map(|_| (start_s * 1e3).round() as u64)
}

/// Hands every line of the log of the run in `directory` to `take`, with whether it is whole, which only the last may not be. `take`
/// says whether to go on, or `None` if the line is none of a log.
///
/// # Errors
/// If the log cannot be read, or `take` gives `None`.
pub(super) fn each_line(
    directory: &Path,
    mut take: impl FnMut(&[u8], bool) -> Option<bool>,
) -> Result<(), TableError> {
    let path = directory.join("latency.hlog");
    let shown = path.display().to_string();
    let unreadable = |source| TableError::Io { path: shown.clone(), source };
    let mut lines = BufReader::new(File::open(&path).map_err(unreadable)?);
    let (mut line, mut number) = (Vec::new(), 0);
    loop {
        line.clear();
        number += 1;
        let read = (&mut lines).take(LONGEST_LINE).read_until(b'\n', &mut line).map_err(unreadable)?;
        let is_whole = line.last() == Some(&b'\n') || read as u64 >= LONGEST_LINE;
        match take(&line, is_whole) {
            Some(goes_on) if goes_on && is_whole => {}
            Some(_) => return Ok(()),
            None => return Err(TableError::Line { path: shown, line: number }),
        }
    }
}

/// Adds the histogram of `line`, if it holds one; `None` if it is no line of a log.
fn add(line: &[u8], sums: &mut Distributions, deserializer: &mut Deserializer) -> Option<()> {
    for entry in IntervalLogIterator::new(line) {
        let LogEntry::Interval(interval) = entry.ok()? else { continue };
        let payload = BASE64.decode(interval.encoded_histogram()).ok()?;
        let histogram: Histogram<u64> = deserializer.deserialize(&mut payload.as_slice()).ok()?;
        let tag = interval.tag().map(|tag| tag.as_str().to_owned());
        match sums.get_mut(&tag) {
            Some(sum) => sum.add(&histogram).ok()?,
            None => _ = sums.insert(tag, histogram),
        }
    }
    Some(())
}

//! `latency.hlog` read back: the whole run's distribution behind each of its tags.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

use super::packed::{Unpacker, add_values};
use super::table::{SummaryRow, TableError};
use crate::record::Kind;

/// A histogram of three digits is far below this; no log has a longer line.
const LONGEST_LINE: u64 = 16 * 1024 * 1024;
/// Bytes that are read at once.
pub(super) const BUFFER: usize = 256 * 1024;

/// The log's histograms, added up by tag; times in nanoseconds. `None` is the untagged total: the response times of all fleets
/// in the measured phases. A last line cut short by a killed run is passed over.
pub(crate) type Distributions = BTreeMap<Option<String>, Histogram<u64>>;

/// The tag under which the log has these `times` of a row. Of what is no reading it has the response times alone, whichever are asked
/// for.
pub(in crate::results) fn tag_of(row: &SummaryRow, times: &str) -> String {
    let times = if row.kind == Kind::Reading.name() { times } else { &row.kind };
    format!("{}.{}.{}.{times}", row.fleet, row.protocol, row.phase)
}

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

/// The response times of all fleets in the measured phases of the run in `directory`, from the lines without a tag alone; `None` where
/// there are none, or no log.
///
/// # Errors
/// If the log cannot be read, or a line other than the last is none of a log.
pub(crate) fn read_total(directory: &Path) -> Result<Option<Histogram<u64>>, TableError> {
    let (mut sum, mut unpacker, mut values) = (None, Unpacker::default(), Vec::new());
    let read = each_line(directory, |line, is_whole| {
        let line = line.trim_ascii();
        if !is_whole || line.first().is_none_or(|first| !first.is_ascii_digit()) {
            return Some(true);
        }
        let payload = line.split(|byte| *byte == b',').nth(3)?;
        let bounds = unpacker.unpack(payload, &mut values)?;
        add_values(&mut sum, &values, bounds);
        Some(true)
    });
    match read {
        Err(TableError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(|()| sum),
    }
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

/// A line of the log that has a tag.
pub(super) struct Tagged<'l> {
    /// Fleet, protocol and phase: `meters.http.steady`.
    pub(super) head: &'l str,
    /// What its times are: `response`, `service`.
    pub(super) times: &'l str,
    start: &'l str,
    length: &'l str,
    /// The histogram.
    pub(super) packed: &'l [u8],
}

impl<'l> Tagged<'l> {
    /// What stands behind the mark of a line that has a tag; `None` of any other.
    pub(super) fn rest(line: &'l [u8]) -> Option<&'l [u8]> {
        line.trim_ascii().strip_prefix(b"Tag=")
    }

    /// Takes the rest of such a line apart; `None` if it is none of a log. Numbers are read when they are asked for: most lines of a
    /// long log are passed over, or needed for their histogram alone.
    pub(super) fn of(rest: &'l [u8]) -> Option<Self> {
        let mut cells = rest.splitn(5, |byte| *byte == b',');
        let mut text = || std::str::from_utf8(cells.next()?).ok();
        let (tag, start, length) = (text()?, text()?, text()?);
        // The longest of them.
        text()?;
        let (head, times) = tag.rsplit_once('.')?;
        Some(Self { head, times, start, length, packed: cells.next()? })
    }

    /// When its interval began, seconds of the run; `None` if the line is none of a log.
    pub(super) fn start_s(&self) -> Option<f64> {
        self.start.parse().ok()
    }

    /// When its interval ended.
    pub(super) fn end_s(&self) -> Option<f64> {
        let length_s: f64 = self.length.parse().ok()?;
        Some(self.start_s()? + length_s)
    }
}

/// Hands every line of the log of the run in `directory` to `take`, with whether it is whole, which only the last may not be. `take`
/// says whether to go on, or `None` if the line is none of a log.
///
/// # Errors
/// If the log cannot be read, or `take` gives `None`.
fn each_line(directory: &Path, take: impl FnMut(&[u8], bool) -> Option<bool>) -> Result<(), TableError> {
    lines_within(directory, 0..u64::MAX, take)
}

/// The same of the lines that begin in `range`, bytes of the log.
///
/// # Errors
/// As [`each_line`].
pub(super) fn lines_within(
    directory: &Path,
    range: Range<u64>,
    mut take: impl FnMut(&[u8], bool) -> Option<bool>,
) -> Result<(), TableError> {
    let path = directory.join("latency.hlog");
    let shown = path.display().to_string();
    let unreadable = |source| TableError::Io { path: shown.clone(), source };
    let mut lines = BufReader::with_capacity(BUFFER, File::open(&path).map_err(unreadable)?);
    let (mut line, mut place) = (Vec::new(), range.start);
    if place > 0 {
        // The line that the byte before belongs to began before.
        lines.seek(SeekFrom::Start(place - 1)).map_err(unreadable)?;
        place = place - 1 + lines.skip_until(b'\n').map_err(unreadable)? as u64;
    }
    while place < range.end {
        line.clear();
        let read = (&mut lines).take(LONGEST_LINE).read_until(b'\n', &mut line).map_err(unreadable)?;
        let is_whole = line.last() == Some(&b'\n') || read as u64 >= LONGEST_LINE;
        match take(&line, is_whole) {
            Some(goes_on) if goes_on && is_whole => place += read as u64,
            Some(_) => return Ok(()),
            None => {
                let line = line_at(&path, place).map_err(unreadable)?;
                return Err(TableError::Line { path: shown, line });
            }
        }
    }
    Ok(())
}

/// The number, from 1, of the line that begins at byte `place`.
fn line_at(path: &Path, place: u64) -> io::Result<usize> {
    let mut before = BufReader::with_capacity(BUFFER, File::open(path)?.take(place));
    let mut number = 1;
    while before.skip_until(b'\n')? > 0 {
        number += 1;
    }
    Ok(number)
}

/// Adds the histogram of `line`, if it holds one; `None` if it is not a line of a log.
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

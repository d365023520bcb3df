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
    let path = directory.join("latency.hlog");
    let shown = path.display().to_string();
    let unreadable = |source| TableError::Io { path: shown.clone(), source };
    let mut lines = BufReader::new(File::open(&path).map_err(unreadable)?);
    let (mut sums, mut line, mut number) = (Distributions::new(), Vec::new(), 0);
    let mut deserializer = Deserializer::new();
    loop {
        line.clear();
        number += 1;
        let read = (&mut lines).take(LONGEST_LINE).read_until(b'\n', &mut line).map_err(unreadable)?;
        if line.last() != Some(&b'\n') && (read as u64) < LONGEST_LINE {
            return Ok(sums);
        }
        if add(&line, &mut sums, &mut deserializer).is_none() {
            return Err(TableError::Line { path: shown, line: number });
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

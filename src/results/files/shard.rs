//! `shard.ndjson`: what a shard recorded, interval by interval and exactly, so that shards can be merged.
//!
//! One JSON value per line: a header with the layout, one `interval` per recording interval, and `ended`. It is flushed with every
//! interval; a record without `ended` is one of a run that was killed.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::batch_codec::{BatchCodec, BatchRef, StoredBatch};
use crate::clock::Tick;
use crate::record::{Layout, Shard, SwitchEvent};
use crate::results::record::batch::IntervalBatch;

/// The file in a run's directory.
const NAME: &str = "shard.ndjson";
/// The form of the file.
const FORM: u32 = 1;
/// Longest line that is read, bytes: some thousand cells with all their histograms full.
const LONGEST: u64 = 1 << 28;
/// How the line of an interval begins; its number follows, and a comma.
const FRONT: &[u8] = b"{\"interval\":{\"number\":";
/// Bytes of a line that hold its front and the longest number.
const FRONT_LENGTH: u64 = 48;

/// The first line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShardHeader {
    /// Version of the file's form.
    pub squall_shard: u32,
    /// The run's name.
    pub run_id: String,
    /// Which shard it is.
    pub shard: Shard,
    /// Digest of the whole plan.
    pub plan_digest: String,
    /// Unix time at the beginning of the run, nanoseconds, by the machine's own clock.
    pub began_ns: u64,
    /// Names and bounds of the whole plan.
    pub layout: Layout,
}

impl ShardHeader {
    /// The header of a record in the present form.
    pub fn new(run_id: &str, shard: Shard, plan_digest: &str, began_ns: u64, layout: &Layout) -> Self {
        Self {
            squall_shard: FORM,
            run_id: run_id.to_owned(),
            shard,
            plan_digest: plan_digest.to_owned(),
            began_ns,
            layout: layout.clone(),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum RecordLine<'a> {
    Interval {
        number: u64,
        start: Tick,
        end: Tick,
        #[serde(rename = "load")]
        batch: BatchRef<'a>,
        switches: &'a [SwitchEvent],
    },
    Ended(Closing),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredLine {
    Interval {
        number: u64,
        /// Not in records of earlier versions.
        start: Option<Tick>,
        end: Tick,
        #[serde(rename = "load")]
        batch: Box<StoredBatch>,
        switches: Vec<SwitchEvent>,
    },
    Ended(Closing),
}

/// What remained to be said when a shard had ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Closing {
    pub(crate) merged_slices: u64,
    pub(crate) late_slices: u64,
    pub(crate) switches_omitted: u64,
    /// Switches after the last interval, as they were logged.
    pub(crate) switches: Vec<SwitchEvent>,
    /// Where the last interval ended; not in records of earlier versions.
    #[serde(default)]
    pub(crate) reached: Option<Tick>,
    /// What came due in all, less what ended; not in records of earlier versions.
    #[serde(default)]
    pub(crate) open: Option<i64>,
}

/// Writes the record of a shard.
pub(crate) struct ShardRecord {
    file: BufWriter<File>,
    codec: BatchCodec,
}

impl ShardRecord {
    pub(crate) fn start(directory: &Path) -> io::Result<Self> {
        let file = BufWriter::new(File::create_new(directory.join(NAME))?);
        Ok(Self { file, codec: BatchCodec::new() })
    }

    /// Writes the header.
    pub(crate) fn begin(&mut self, header: &ShardHeader) -> io::Result<()> {
        self.line(header)
    }

    pub(crate) fn interval(
        &mut self,
        number: u64,
        (start, end): (Tick, Tick),
        batch: &IntervalBatch,
        switches: &[SwitchEvent],
    ) -> io::Result<()> {
        let batch = self.codec.stored(batch).map_err(io::Error::other)?;
        let line = RecordLine::Interval { number, start, end, batch, switches };
        write_line(&mut self.file, &line)
    }

    pub(crate) fn end(&mut self, closing: Closing) -> io::Result<()> {
        self.line(&RecordLine::Ended(closing))
    }

    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        write_line(&mut self.file, line)
    }
}

fn write_line(file: &mut BufWriter<File>, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *file, line)?;
    file.write_all(b"\n")?;
    file.flush()
}

/// Why the record of a shard could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShardError {
    /// There is none: the run is not a shard, or was killed before it began.
    #[error("{path} is missing: the run ended before it began")]
    Missing {
        /// The file.
        path: String,
    },
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// It was written by a later squall.
    #[error("{path} has form {form}; this squall reads form {FORM}")]
    Form {
        /// The file.
        path: String,
        /// Its form.
        form: u32,
    },
    /// A line holds something else than it should.
    #[error("{path}, line {line}: {what}; the file is damaged")]
    Broken {
        /// The file.
        path: String,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
}

/// How the record of a shard ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordEnd {
    /// As it should.
    Whole,
    /// After whole intervals, but before the run had ended.
    Early,
    /// In the middle of a line, which is left out.
    Torn,
}

/// An interval of a record.
#[derive(Debug)]
pub(crate) struct Interval {
    pub(crate) number: u64,
    pub(crate) end: Tick,
    pub(crate) batch: IntervalBatch,
    pub(crate) switches: Vec<SwitchEvent>,
}

/// The record of a shard, read line by line: of the next line only its front is held, however long the run was.
pub(crate) struct ShardFile {
    path: PathBuf,
    header: ShardHeader,
    lines: BufReader<File>,
    /// The front of the next line, once it was asked for.
    front: Vec<u8>,
    /// An interval that had to be read to know its number.
    ahead: Option<Interval>,
    line: u64,
    codec: BatchCodec,
    /// The interval read last.
    number: Option<u64>,
    /// Where it ended.
    reached: Tick,
    /// What came due in all, less what ended.
    open: i64,
    pub(crate) ended: Option<Closing>,
}

impl ShardFile {
    /// Opens the record of the run in `directory` and reads its header.
    ///
    /// # Errors
    /// If there is none, or its header cannot be read or is of a form this version does not know.
    pub(crate) fn open(directory: &Path) -> Result<Self, ShardError> {
        #[derive(Deserialize)]
        struct FormOnly {
            squall_shard: u32,
        }
        let path = directory.join(NAME);
        let shown = path.display().to_string();
        let file = File::open(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ShardError::Missing { path: shown.clone() },
            _ => ShardError::Io { path: shown.clone(), source },
        })?;
        let mut lines = BufReader::new(file);
        let mut text = Vec::new();
        let whole = read_line(&mut lines, &mut text)
            .map_err(|source| ShardError::Io { path: shown.clone(), source })?;
        let broken = |what: String| ShardError::Broken { path: shown.clone(), line: 1, what };
        if whole != Line::Whole {
            return Err(broken("the header is cut short".to_owned()));
        }
        let FormOnly { squall_shard: form } =
            serde_json::from_slice(&text).map_err(|error| broken(format!("no header: {error}")))?;
        if form != FORM {
            return Err(ShardError::Form { path: shown, form });
        }
        let header: ShardHeader =
            serde_json::from_slice(&text).map_err(|error| broken(format!("no header: {error}")))?;
        if header.layout.phases.is_empty() || header.layout.interval_ns == 0 {
            return Err(broken("the header has no phases or no interval".to_owned()));
        }
        Ok(Self {
            path,
            header,
            lines,
            front: Vec::new(),
            ahead: None,
            line: 1,
            codec: BatchCodec::new(),
            number: None,
            reached: Tick::ZERO,
            open: 0,
            ended: None,
        })
    }

    /// Its first line.
    pub(crate) const fn header(&self) -> &ShardHeader {
        &self.header
    }

    /// How the record of the run in `directory` ends; reads all of it, without looking into its lines.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn end_of(directory: &Path) -> Result<RecordEnd, ShardError> {
        let path = directory.join(NAME);
        let fault = |source| ShardError::Io { path: path.display().to_string(), source };
        let mut lines = BufReader::new(File::open(&path).map_err(fault)?);
        let (mut text, mut end) = (Vec::new(), RecordEnd::Early);
        loop {
            text.clear();
            match read_line(&mut lines, &mut text).map_err(fault)? {
                Line::None => return Ok(end),
                Line::Torn => return Ok(RecordEnd::Torn),
                Line::Whole if text.starts_with(b"{\"ended\":") => end = RecordEnd::Whole,
                Line::Whole => end = RecordEnd::Early,
            }
        }
    }

    /// The number of the next interval, as its line begins with it; `None` at the end of the record. Where the record was cut short,
    /// an interval may be announced that is not there.
    ///
    /// # Errors
    /// If the record cannot be read, or what follows is neither an interval nor the end of one.
    pub(crate) fn next_number(&mut self) -> Result<Option<u64>, ShardError> {
        if self.ahead.is_none() {
            if self.front.is_empty() {
                let mut front = self.lines.by_ref().take(FRONT_LENGTH);
                front.read_until(b'\n', &mut self.front).map_err(|source| self.unreadable(source))?;
            }
            let announced = number_of(&self.front);
            if announced.is_some() {
                return Ok(announced);
            }
            self.ahead = self.interval()?;
        }
        Ok(self.ahead.as_ref().map(|interval| interval.number))
    }

    /// The next interval; `None` at the end of the record, or where it was cut short.
    ///
    /// # Errors
    /// If it cannot be read, or a whole line is none of a record.
    pub(crate) fn interval(&mut self) -> Result<Option<Interval>, ShardError> {
        if let Some(interval) = self.ahead.take() {
            return Ok(Some(interval));
        }
        // Not kept for the next line: of many shards, the texts of all would be held.
        let mut text = std::mem::take(&mut self.front);
        let read = read_line(&mut self.lines, &mut text).map_err(|source| self.unreadable(source))?;
        if read != Line::Whole {
            return Ok(None);
        }
        self.line += 1;
        if self.ended.is_some() {
            return Err(self.broken("there is more after the end".to_owned()));
        }
        let read = serde_json::from_slice(&text).map_err(|error| self.broken(error.to_string()))?;
        drop(text);
        match read {
            StoredLine::Interval { number, start, end, batch, switches } => {
                self.follow(number, start, end)?;
                let batch = self.codec.restore(*batch, &self.header.layout);
                let batch = batch.map_err(|what| self.broken(what))?;
                let counters = batch.cells.iter().map(|(_, cell)| &cell.counters);
                self.open +=
                    counters.map(|one| one.planned.cast_signed() - one.ended().cast_signed()).sum::<i64>();
                Ok(Some(Interval { number, end, batch, switches }))
            }
            StoredLine::Ended(ended) => {
                if ended.reached.is_some_and(|reached| reached != self.reached) {
                    return Err(self.broken("the last intervals are missing".to_owned()));
                }
                if ended.open.is_some_and(|open| open != self.open) {
                    return Err(self.broken("what came due and what became of it do not add up".to_owned()));
                }
                self.ended = Some(ended);
                self.interval()
            }
        }
    }

    /// Checks that an interval begins where the one before it ended. Numbers alone may leave some out: where the collector was
    /// behind, an interval takes in the next.
    fn follow(&mut self, number: u64, start: Option<Tick>, end: Tick) -> Result<(), ShardError> {
        if self.number.is_some_and(|before| number <= before) {
            return Err(self.broken(format!("interval {number} comes too late")));
        }
        let begin = start.unwrap_or(self.reached);
        if begin != self.reached {
            let (from, to) = (self.reached.as_secs_f64(), begin.as_secs_f64());
            return Err(self.broken(format!("the intervals from {from:.3} s to {to:.3} s are missing")));
        }
        self.number = Some(number);
        self.reached = if end > begin { end } else { begin.plus_ns(self.header.layout.interval_ns) };
        Ok(())
    }

    fn unreadable(&self, source: io::Error) -> ShardError {
        ShardError::Io { path: self.path.display().to_string(), source }
    }

    fn broken(&self, what: String) -> ShardError {
        ShardError::Broken { path: self.path.display().to_string(), line: self.line, what }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Whole,
    /// Without an end.
    Torn,
    None,
}

/// The number of the interval whose line begins with `front`.
fn number_of(front: &[u8]) -> Option<u64> {
    let rest = front.strip_prefix(FRONT)?;
    let digits = rest.get(..rest.iter().position(|byte| *byte == b',')?)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Reads to the end of the line that begins with `text`.
fn read_line(lines: &mut BufReader<File>, text: &mut Vec<u8>) -> io::Result<Line> {
    if text.last() != Some(&b'\n') {
        lines.by_ref().take(LONGEST.saturating_sub(text.len() as u64)).read_until(b'\n', text)?;
    }
    Ok(match text.last() {
        None => Line::None,
        Some(b'\n') => Line::Whole,
        Some(_) if text.len() as u64 == LONGEST => {
            return Err(io::Error::other("a line is longer than 256 MiB"));
        }
        Some(_) => Line::Torn,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_of_a_line_tells_its_number_or_nothing() {
        for (front, number) in [
            (r#"{"interval":{"number":0,"start":0,"#, Some(0)),
            (r#"{"interval":{"number":18446744073709551615,"st"#, Some(u64::MAX)),
            (r#"{"interval":{"number":18446744073709551616,"st"#, None),
            (r#"{"interval":{"number":12"#, None),
            (r#"{"interval":{"number":,"#, None),
            (r#"{"interval":{"number":-1,"#, None),
            (r#"{"interval":{"start":0,"number":1,"#, None),
            (r#"{"ended":{"merged_slices":0,"#, None),
            ("", None),
        ] {
            assert_eq!(number_of(front.as_bytes()), number, "{front}");
            assert!(front.len() as u64 <= FRONT_LENGTH);
        }
    }
}

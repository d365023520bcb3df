//! `latency.hlog`: the `HdrHistogram` interval log, version 1.3, that Java, JavaScript and Python readers take.
//!
//! The format is that of `HistogramLogWriter.java`. The crate's own interval-log writer states neither version nor legend.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
use hdrhistogram::{Counter, Histogram};

use crate::clock::{Tick, WallTime};
use crate::results::record::cell::Series;

/// Times of readings that have lines of their own, beside the response times of all that ended.
pub(crate) const BESIDE: [(&str, Series); 4] = [
    ("ok", Series::Ok),
    ("censored", Series::Censored),
    ("service", Series::Service),
    ("pacing-lag", Series::PacingLag),
];

/// Nanoseconds in a histogram, milliseconds in the log's column of maxima.
const MAX_DIVISOR: f64 = 1e6;

/// Appends intervals to an interval log; every line is written whole.
pub(crate) struct IntervalLog<W: Write> {
    file: W,
    serializer: V2DeflateSerializer,
    payload: Vec<u8>,
    line: String,
}

impl<W: Write> IntervalLog<W> {
    /// Writes the header: readers want a start time and an equal base time, to which all times are relative.
    pub(crate) fn start(mut file: W, run_id: &str, started: WallTime) -> io::Result<Self> {
        let epoch = started.epoch_secs();
        let version = env!("CARGO_PKG_VERSION");
        let header = format!(
            "#[Logged with squall {version}, run {run_id}; times in nanoseconds]\n\
             #[Histogram log format version 1.3]\n\
             #[StartTime: {epoch:.3} (seconds since epoch), {started}]\n\
             #[BaseTime: {epoch:.3} (seconds since epoch)]\n\
             \"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n"
        );
        file.write_all(header.as_bytes())?;
        file.flush()?;
        Ok(Self { file, serializer: V2DeflateSerializer::new(), payload: Vec::new(), line: String::new() })
    }

    /// Appends one histogram of the interval from `start` to `end`; without a tag it is the interval's total, the
    /// only kind of line Java's processor reads unasked. A tag holds no comma, space or line break.
    pub(crate) fn append<C: Counter>(
        &mut self,
        tag: Option<&str>,
        start: Tick,
        end: Tick,
        times: &Histogram<C>,
    ) -> io::Result<()> {
        use std::fmt::Write as _;
        self.payload.clear();
        self.serializer.serialize(times, &mut self.payload).map_err(io::Error::other)?;
        self.line.clear();
        let (start, length) = (start.as_secs_f64(), end.since(start) as f64 / 1e9);
        let max = if times.is_empty() { 0.0 } else { times.max() as f64 / MAX_DIVISOR };
        let _ = match tag {
            Some(tag) => write!(self.line, "Tag={tag},{start:.3},{length:.3},{max:.3},"),
            None => write!(self.line, "{start:.3},{length:.3},{max:.3},"),
        };
        BASE64.encode_string(&self.payload, &mut self.line);
        self.line.push('\n');
        self.file.write_all(self.line.as_bytes())
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

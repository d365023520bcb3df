//! A recording: readings of one sensor, as a CSV file has them.

use super::Flaw;
use super::label::{Recording, Window};
use super::moment::Moment;
use super::nab::Span;

/// The readings of one sensor, in the order in which they came.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    moments: Vec<Moment>,
    values: Vec<f64>,
}

/// Whether a reading was flagged, and when it was taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Flag {
    pub(super) at: Moment,
    pub(super) flagged: bool,
}

impl Series {
    /// Reads the columns `timestamp` and `value` of a CSV text with a header; others are not looked at.
    ///
    /// Timestamps need not rise, as clocks are set and summer time ends: readings are taken in the order in which they stand.
    ///
    /// # Errors
    /// With the first line that is not a reading.
    pub(crate) fn read(text: &str) -> Result<Self, Flaw> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
        let header = reader.headers().map_err(|error| unreadable(&error))?;
        let column = |name: &str| header.iter().position(|found| found.eq_ignore_ascii_case(name));
        let (Some(time), Some(value)) = (column("timestamp"), column("value")) else {
            let found = header.iter().collect::<Vec<_>>().join(",");
            return Err(Flaw::new(
                1,
                format!("the header is `{found}`; write one with `timestamp` and `value`"),
            ));
        };
        let mut series = Self { moments: Vec::new(), values: Vec::new() };
        for record in reader.records() {
            let record = record.map_err(|error| unreadable(&error))?;
            let line = record.position().map_or(0, csv::Position::line);
            // The reader has seen to it that all lines are as long as the header.
            let field = |column: usize| record.get(column).unwrap_or_default();
            let moment = field(time).parse();
            series.moments.push(moment.map_err(|bad| Flaw::new(line, format!("field `timestamp`: {bad}")))?);
            let number = field(value).parse().ok().filter(|number: &f64| number.is_finite());
            series.values.push(number.ok_or_else(|| {
                let found = field(value);
                Flaw::new(
                    line,
                    format!("field `value`: `{found}` is not a finite number; write one such as 21.5, or leave the line out"),
                )
            })?);
        }
        if series.values.is_empty() {
            return Err(Flaw::new(2, "no reading follows the header; write one per line"));
        }
        Ok(series)
    }

    /// What `judge` makes of every reading, in order.
    pub(super) fn flags(&self, mut judge: impl FnMut(f64) -> bool) -> Vec<Flag> {
        let readings = self.moments.iter().zip(&self.values);
        readings.map(|(at, value)| Flag { at: *at, flagged: judge(*value) }).collect()
    }

    /// Where the windows of `recording` lie among the readings; a flaw if one holds none.
    pub(super) fn spans(&self, recording: &Recording) -> Result<Vec<Span>, Flaw> {
        recording.windows.iter().map(|window| self.span(window, &recording.name)).collect()
    }

    fn span(&self, window: &Window, name: &str) -> Result<Span, Flaw> {
        let Window { line, start, end, .. } = window;
        // As NAB does: from the first reading with the one timestamp to the first with the other.
        let exact = |moment: Moment| self.moments.iter().position(|at| *at == moment);
        let first = exact(*start).or_else(|| self.moments.iter().position(|at| at >= start));
        let last = exact(*end).or_else(|| self.moments.iter().rposition(|at| at <= end));
        match (first, last) {
            (Some(first), Some(last)) if first <= last => Ok(Span { first, last }),
            _ => {
                let Window { text: [start, end], .. } = window;
                Err(Flaw::new(
                    *line,
                    format!(
                        "field `{name}`: no reading lies in the window from {start} to {end}; \
                         write timestamps that the file has, or leave the window out"
                    ),
                ))
            }
        }
    }
}

fn unreadable(error: &csv::Error) -> Flaw {
    let line = error.position().map_or(1, csv::Position::line);
    let message = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!(
                "{len} fields where the header has {expected_len}; write a timestamp and a value, parted by a comma"
            )
        }
        csv::ErrorKind::Utf8 { .. } => "not UTF-8; save the file as UTF-8".to_owned(),
        _ => format!("not CSV: {error}"),
    };
    Flaw::new(line, message)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::reference::score::Labels;

    #[test]
    fn columns_are_found_by_name_and_the_rest_is_left_alone() {
        let plain =
            Series::read("timestamp,value\n2014-07-01 00:00:00,1\n2014-07-01 00:30:00,-2.5e3\n").unwrap();
        assert_eq!(plain.values, [1.0, -2_500.0]);
        let odd = "\u{feff}sensor, Value ,Timestamp\r\n\"a,b\", 1 ,2014-07-01 00:00:00\r\nc,-2500,2014-07-01T00:30:00Z\r\n";
        assert_eq!(Series::read(odd), Ok(plain));
    }

    #[test]
    fn a_flaw_names_its_line_its_field_and_the_remedy() {
        for (text, said) in [
            ("", "1: the header is ``; write one with `timestamp` and `value`"),
            ("time,value\n1,2\n", "1: the header is `time,value`; write one with"),
            ("timestamp,value\n", "2: no reading follows"),
            (
                "timestamp,value\n2014-07-01 00:00:00,1\n2014-07-01 25:00:00,1\n",
                "3: field `timestamp`: `2014-07-01 25:00:00` is not a timestamp; write",
            ),
            (
                "timestamp,value\n2014-07-01 00:00:00,n/a\n",
                "2: field `value`: `n/a` is not a finite number; write one",
            ),
            ("timestamp,value\n2014-07-01 00:00:00,\n", "2: field `value`: `` is not a finite number"),
            ("timestamp,value\n2014-07-01 00:00:00,inf\n", "2: field `value`: `inf` is not a finite number"),
            ("timestamp,value\n2014-07-01 00:00:00\n", "2: 1 fields where the header has 2; write"),
        ] {
            let flaw = Series::read(text).unwrap_err().to_string();
            assert!(flaw.starts_with(said), "{text:?}: {flaw}");
        }
    }

    #[test]
    fn windows_lie_where_their_timestamps_first_stand() {
        let mut text = "timestamp,value\n".to_owned();
        for minute in [0, 1, 2, 3, 4, 3, 4, 5, 6] {
            writeln!(text, "2014-07-01 00:0{minute}:00,1").unwrap();
        }
        let series = Series::read(&text).unwrap();
        let spans = |start: &str, end: &str| {
            let labels =
                Labels::read(&format!("{{\"a\":\n[[\"2014-07-01 {start}\", \"2014-07-01 {end}\"]]}}"))
                    .unwrap();
            series.spans(&labels.recordings()[0])
        };
        let span = |first, last| Ok(vec![Span { first, last }]);
        assert_eq!(spans("00:03:00", "00:04:00.000000"), span(3, 4));
        assert_eq!(spans("00:01:30", "00:05:30"), span(2, 7), "between readings: those inside");
        assert_eq!(spans("00:06:00", "00:06:00"), span(8, 8));
        let flaw = spans("00:06:30", "00:09:00").unwrap_err();
        assert_eq!(flaw.line, 2);
        assert!(
            flaw.message.starts_with("field `a`: no reading lies in the window from 2014-07-01 00:06:30 to"),
            "{flaw}"
        );
    }
}

//! Recordings beside a scenario: columns of CSV files.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Take};
use std::path::Path;

use crate::language::{Refusal, Text, nearest, quote};

/// Largest recording read, bytes.
const LARGEST: u64 = 2 << 30;
/// Most memory that the columns of one recording take, where they are held.
const MOST_HELD: usize = 32 << 20;
/// No instant in seconds is later, and none in smaller units since 1970 is earlier: 1973 in milliseconds, 5138 in seconds.
const LATEST_S: f64 = 1e11;

/// How the cells of a column are read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum CellKind {
    /// A finite number.
    Number,
    /// In seconds: a number in the unit of so many seconds, where it is stated, or a date and time (`2026-11-20T10:00:00Z`,
    /// `2026-11-20 10:00`, `2026-11-20 12:00:00+02:00`), UTC without an offset.
    Time(Option<f64>),
}

/// A file that is read bit by bit.
pub(super) type TextFile = BufReader<Take<File>>;

/// A column that is wanted: its name, and how its cells are read.
pub(super) type Wanted<'a> = (&'a Text, CellKind);

/// The named columns of the CSV file `path`, held in memory: each read as it says, all of the same length, at least one row.
pub(super) fn columns(
    directory: &Path,
    path: &Text,
    wanted: &[Wanted<'_>],
) -> Result<Vec<Vec<f64>>, Refusal> {
    let most = MOST_HELD / size_of::<f64>() / wanted.len().max(1);
    let mut columns = vec![Vec::new(); wanted.len()];
    rows(directory, path, wanted, |values| {
        if columns.first().is_some_and(|column| column.len() >= most) {
            let message =
                format!("more than the {most} rows that are held in memory ({} MiB)", MOST_HELD >> 20);
            return Err((message, "shorten the recording, or average it over longer steps".into()));
        }
        for (column, value) in columns.iter_mut().zip(values) {
            column.push(*value);
        }
        Ok(())
    })?;
    Ok(columns)
}

/// Hands `take` what is wanted of every row of the CSV file `path`, each cell read as it says; there is at least one. No more than a
/// row is held in memory. What `take` refuses is said of the file.
pub(super) fn rows(
    directory: &Path,
    path: &Text,
    wanted: &[Wanted<'_>],
    mut take: impl FnMut(&[f64]) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let (mut file, shown) = begin(directory, path)?;
    let beginning = file.fill_buf().map_err(|error| unreadable(&shown, &error))?;
    if beginning.trim_ascii().is_empty() {
        return Err((format!("{shown} is empty"), "write rows under a header that names the columns".into()));
    }
    let (mut table, header) = table(file, &shown)?;
    let places: Vec<usize> =
        wanted.iter().map(|(name, _)| place(&header, name, &shown)).collect::<Result<_, _>>()?;
    let (mut values, mut is_empty) = (Vec::with_capacity(wanted.len()), true);
    let mut record = csv::StringRecord::new();
    while table.read_record(&mut record).map_err(|error| broken(&shown, &error))? {
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() != header.len() {
            return Err(uneven(&record, header.len(), &format!("{shown}, line {line}")));
        }
        values.clear();
        for (place, (name, cells)) in places.iter().zip(wanted) {
            let cell = record.get(*place).unwrap_or_default();
            values.push(cells.read(cell).map_err(|(wrong, remedy)| {
                let name = name.written();
                (format!("{shown}, line {line}: `{}` in column `{name}` {wrong}", quote(cell)), remedy)
            })?);
        }
        take(&values).map_err(|(wrong, remedy)| (format!("{shown}, line {line}: {wrong}"), remedy))?;
        is_empty = false;
    }
    if is_empty {
        return Err((format!("{shown} has no rows"), "record something first".into()));
    }
    Ok(())
}

/// The file `path`, of which nothing has been taken yet, and what it is called in messages.
pub(super) fn begin(directory: &Path, path: &Text) -> Result<(TextFile, String), Refusal> {
    let shown = quote(&directory.join(path.written()).display().to_string());
    match open(&directory.join(path.value())) {
        Ok(file) => Ok((BufReader::new(file), shown)),
        Err(error) => Err(unreadable(&shown, &error)),
    }
}

/// The rows of the CSV file `shown`, to be read one by one, and its header, in which no name stands twice.
pub(super) fn table(
    mut file: TextFile,
    shown: &str,
) -> Result<(csv::Reader<TextFile>, csv::StringRecord), Refusal> {
    let beginning = file.fill_buf().map_err(|error| unreadable(shown, &error))?;
    if let Some(form) = super::encoding::utf16(beginning) {
        let help = format!("save it as UTF-8, for example with `iconv -f {form} -t UTF-8`");
        return Err((format!("{shown} is not UTF-8 but {form}"), help));
    }
    let delimiter = delimiter(beginning);
    let mut table =
        csv::ReaderBuilder::new().flexible(true).delimiter(delimiter).trim(csv::Trim::All).from_reader(file);
    let header = table.headers().map_err(|error| broken(shown, &error))?.clone();
    if let Some(name) = repeated(&header) {
        let message = format!("{shown}, line 1: the header names column `{}` twice", quote(name));
        return Err((message, "give every column a name of its own".into()));
    }
    Ok((table, header))
}

/// That the file `shown` cannot be read.
fn unreadable(shown: &str, error: &std::io::Error) -> Refusal {
    let message = format!("cannot read {shown}: {}", super::load::plain(error));
    (message, "give the path of a CSV file, from the directory of the scenario".to_owned())
}

/// That the file `shown` is not a table.
pub(super) fn broken(shown: &str, error: &csv::Error) -> Refusal {
    if let csv::ErrorKind::Utf8 { pos, .. } = error.kind() {
        let line = pos.as_ref().map_or(1, csv::Position::line);
        let help = "save it as UTF-8, for example with `iconv -f WINDOWS-1252 -t UTF-8`";
        return (format!("{shown}, line {line} is not UTF-8"), help.to_owned());
    }
    (
        format!("{shown} is not a valid CSV file: {}", quote(&error.to_string())),
        "write comma-separated rows under a header, as UTF-8".to_owned(),
    )
}

/// What stands between the names of the header at the beginning of a file: a comma, or else a semicolon or a tab.
fn delimiter(beginning: &[u8]) -> u8 {
    let header = beginning.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
    [b',', b';', b'\t'].into_iter().find(|mark| header.contains(mark)).unwrap_or(b',')
}

fn repeated(header: &csv::StringRecord) -> Option<&str> {
    let mut seen = BTreeSet::new();
    header.iter().find(|name| !name.is_empty() && !seen.insert(*name))
}

/// A row that does not fit its header.
pub(super) fn uneven(record: &csv::StringRecord, columns: usize, place: &str) -> Refusal {
    let message = format!("{place} has {} cells under a header of {columns}", record.len());
    let digits = |cell: &str| !cell.is_empty() && cell.bytes().all(|byte| byte.is_ascii_digit());
    let cells: Vec<&str> = record.iter().collect();
    let decimal = cells.windows(2).any(|pair| digits(pair[0].trim_start_matches('-')) && digits(pair[1]));
    let help = if decimal && cells.len() > columns {
        "write decimals with a point (0.5 for 0,5), and as many cells as the header names"
    } else {
        "correct the row or take it out"
    };
    (message, help.to_owned())
}

impl CellKind {
    /// The value, or what is wrong with the cell and what to do about it.
    fn read(self, cell: &str) -> Result<f64, Refusal> {
        let number = cell.parse::<f64>().ok().filter(|value| value.is_finite());
        let refuse = |wrong: &str, remedy: &str| Err((wrong.to_owned(), remedy.to_owned()));
        match (self, number) {
            (Self::Number, Some(value)) if value.abs() <= 1e15 => Ok(value),
            (Self::Time(None), Some(value)) if value.abs() >= LATEST_S => refuse(
                "is not a number of seconds within reach",
                "state what it counts: unit = \"ms\", \"us\" or \"ns\"",
            ),
            (Self::Time(unit), Some(value)) => Ok(value * unit.unwrap_or(1.0)),
            (Self::Time(_), None) if instant(cell).is_some() => Ok(instant(cell).unwrap_or_default()),
            _ if with_decimal_comma(cell) => {
                refuse("has a decimal comma", &format!("write {}", quote(&cell.replace(',', "."))))
            }
            (Self::Number, _) => refuse("is not a number", "correct the cell or take the row out"),
            (Self::Time(_), None) => refuse(
                "is neither a number of seconds nor a date and time like 2026-11-20 10:00:00",
                "correct the cell or take the row out",
            ),
        }
    }
}

fn with_decimal_comma(cell: &str) -> bool {
    cell.matches(',').count() == 1 && cell.replace(',', ".").parse::<f64>().is_ok()
}

/// Seconds since 1970 of a date and time: with or without seconds, with an offset, `Z`, or in UTC without.
fn instant(cell: &str) -> Option<f64> {
    let (date, rest) = cell.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?.trim();
    let (clock, offset_s) = match rest.rfind(['+', '-']) {
        Some(at) => (&rest[..at], offset_s(&rest[at..])?),
        None => (rest.trim_end_matches(['Z', 'z']), 0.0),
    };
    let clock = clock.trim_end();
    let seconds = if clock.len() == "10:00".len() { ":00" } else { "" };
    let instant = humantime::parse_rfc3339_weak(&format!("{date}T{clock}{seconds}")).ok()?;
    let since = instant.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(since.as_secs_f64() - offset_s)
}

/// Seconds of an offset: `+02:00`, `-0530`, `+02`.
fn offset_s(text: &str) -> Option<f64> {
    let (sign, digits) = text.split_at_checked(1)?;
    let digits: String = digits.chars().filter(|letter| *letter != ':').collect();
    if !matches!(digits.len(), 2 | 4) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes): (f64, f64) = (digits[..2].parse().ok()?, digits[2..].parse().unwrap_or(0.0));
    let seconds = hours * 3_600.0 + minutes * 60.0;
    Some(if sign == "-" { -seconds } else { seconds })
}

fn open(path: &Path) -> std::io::Result<Take<File>> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(std::io::Error::new(std::io::ErrorKind::IsADirectory, "it is a directory"));
    }
    if metadata.len() > LARGEST {
        return Err(std::io::Error::other("it is larger than 2 GiB"));
    }
    Ok(file.take(LARGEST))
}

fn place(header: &csv::StringRecord, name: &Text, shown: &str) -> Result<usize, Refusal> {
    header.iter().position(|column| column == name.value()).ok_or_else(|| {
        let known: Vec<&str> = header.iter().collect();
        let help = match nearest(name.written(), known.iter().copied()) {
            Some(meant) => format!("did you mean `{}`?", quote(meant)),
            None => format!("its columns are: {}", quote(&known.join(", "))),
        };
        (format!("{shown} has no column `{}`", quote(name.written())), help)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_name_and_every_cell_is_checked() {
        let dir = tempfile::tempdir().unwrap();
        let plain = |text: &str| Text::expanded(text, text);
        let (timestamp, value) = (plain("timestamp"), plain("value"));
        let read = |text: &str, wanted: &[(&Text, CellKind)]| {
            std::fs::write(dir.path().join("x.csv"), text).unwrap();
            columns(dir.path(), &plain("x.csv"), wanted)
        };
        let both = [(&timestamp, CellKind::Time(None)), (&value, CellKind::Number)];
        assert_eq!(
            read("timestamp,value\n2014-04-01 00:00:10,1.5\n2014-04-01T00:05:10Z, -2\n", &both).unwrap(),
            [vec![1_396_310_410.0, 1_396_310_710.0], vec![1.5, -2.0]]
        );
        for (text, expected) in [
            ("time,value\n1,2\n", "has no column `timestamp`"),
            ("timestamp,value\n", "has no rows"),
            ("timestamp,value\n1,x\n", "line 2: `x` in column `value` is not a number"),
            ("timestamp,value\n1,2\n3\n", "line 3 has 1 cells under a header of 2"),
            ("timestamp,value\n1,2,3\n", "line 2 has 3 cells under a header of 2"),
            ("timestamp,value\n1,0,5\n", "line 2 has 3 cells under a header of 2"),
            ("timestamp;value\n1;0,5\n", "line 2: `0,5` in column `value` has a decimal comma"),
            ("timestamp,value,value\n1,2,3\n", "line 1: the header names column `value` twice"),
            (
                "timestamp,value\n1700000000000,2\n",
                "`1700000000000` in column `timestamp` is not a number of seconds",
            ),
            (
                "timestamp,value\n2026-11-20 10:00+2,2\n",
                "`2026-11-20 10:00+2` in column `timestamp` is neither",
            ),
            ("timestamp,value\nyesterday,2\n", "`yesterday` in column `timestamp` is neither"),
            ("timestamp,value\n1,inf\n", "is not a number"),
        ] {
            let error = read(text, &both).unwrap_err().0;
            assert!(error.contains(expected), "{error}");
        }
        for (text, expected) in [
            ("timestamp;value\n1;2\n", [1.0, 2.0]),
            ("timestamp\tvalue\n1\t2\n", [1.0, 2.0]),
            ("\u{feff}timestamp,value\n1,2\n", [1.0, 2.0]),
            ("timestamp,value\n2014-04-01 00:00,2\n", [1_396_310_400.0, 2.0]),
            ("timestamp,value\n2014-04-01T02:00:10+02:00,2\n", [1_396_310_410.0, 2.0]),
            ("timestamp,value\n2014-03-31 18:30:10.5 -0530,2\n", [1_396_310_410.5, 2.0]),
        ] {
            let found = read(text, &both).unwrap();
            assert_eq!(found.concat(), expected, "{text}");
        }
        let utf16: Vec<u8> = "timestamp,value\n1,2\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for (bytes, expected) in [
            (utf16.as_slice(), "is not UTF-8 but UTF-16LE"),
            (b"timestamp,value\n1,\xe9\n", "line 2 is not UTF-8"),
            (b"timestamp,valu\xe9\n1,2\n", "line 1 is not UTF-8"),
            (b"", "is empty"),
            (b"\n", "is empty"),
        ] {
            std::fs::write(dir.path().join("x.csv"), bytes).unwrap();
            let error = columns(dir.path(), &plain("x.csv"), &both).unwrap_err().0;
            assert!(error.ends_with(expected), "{error}");
        }
        let millis = [(&timestamp, CellKind::Time(Some(1e-3))), (&value, CellKind::Number)];
        let found = read("timestamp,value\n1700000000000,1\n1700000000250,2\n", &millis).unwrap();
        assert!((found[0][1] - found[0][0] - 0.25).abs() < 1e-6, "{found:?}");
        assert!(
            columns(dir.path(), &plain("nope.csv"), &both)
                .unwrap_err()
                .0
                .contains("No such file or directory")
        );
        assert!(columns(dir.path(), &plain("."), &both).unwrap_err().0.contains("is a directory"));
    }
}

//! Recordings beside a scenario: columns of CSV files.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::language::{Refusal, Text, nearest, quote};

/// Largest recording read, bytes.
const LARGEST: u64 = 64 << 20;
/// Rows of a recording.
pub(super) const MOST_ROWS: usize = 1_000_000;

/// How the cells of a column are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CellKind {
    /// A finite number.
    Number,
    /// Seconds as a number, or a UTC date and time (`2026-11-20T10:00:00Z`, `2026-11-20 10:00:00`); in seconds.
    Time,
}

/// The named columns of the CSV file `path`, each read as it says, all of the same length, at least one row.
pub(super) fn columns(
    directory: &Path,
    path: &Text,
    wanted: &[(&Text, CellKind)],
) -> Result<Vec<Vec<f64>>, Refusal> {
    let full = directory.join(path.value());
    let shown = quote(&directory.join(path.written()).display().to_string());
    let file = open(&full).map_err(|error| {
        let message = format!("cannot read {shown}: {}", super::load::plain(&error));
        (message, "give the path of a CSV file, from the directory of the scenario".to_owned())
    })?;
    let mut table = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(file);
    let broken = |error: &csv::Error| {
        (
            format!("{shown} is not a valid CSV file: {}", quote(&error.to_string())),
            "write comma-separated rows under a header".to_owned(),
        )
    };
    let header = table.headers().map_err(|error| broken(&error))?.clone();
    let places: Vec<usize> =
        wanted.iter().map(|(name, _)| place(&header, name, &shown)).collect::<Result<_, _>>()?;
    let mut columns = vec![Vec::new(); wanted.len()];
    let mut record = csv::StringRecord::new();
    while table.read_record(&mut record).map_err(|error| broken(&error))? {
        if columns[0].len() >= MOST_ROWS {
            return Err((format!("{shown} has more than {MOST_ROWS} rows"), "shorten the recording".into()));
        }
        for ((column, place), (name, cells)) in columns.iter_mut().zip(&places).zip(wanted) {
            let cell = record.get(*place).unwrap_or_default();
            let line = record.position().map_or(0, csv::Position::line);
            column.push(cells.read(cell).ok_or_else(|| {
                let message = format!(
                    "{shown}, line {line}: `{}` in column `{}` is {}",
                    quote(cell),
                    name.written(),
                    cells.fault()
                );
                (message, "correct the cell or take the row out".to_owned())
            })?);
        }
    }
    if columns[0].is_empty() {
        return Err((format!("{shown} has no rows"), "record something first".into()));
    }
    Ok(columns)
}

impl CellKind {
    fn read(self, cell: &str) -> Option<f64> {
        let number = cell.parse::<f64>().ok().filter(|value| value.is_finite() && value.abs() <= 1e15);
        match self {
            Self::Number => number,
            Self::Time => number.or_else(|| {
                let instant = humantime::parse_rfc3339_weak(cell).ok()?;
                let since = instant.duration_since(std::time::UNIX_EPOCH).ok()?;
                Some(since.as_secs_f64())
            }),
        }
    }

    const fn fault(self) -> &'static str {
        match self {
            Self::Number => "not a number",
            Self::Time => "neither a number of seconds nor a date and time like 2026-11-20 10:00:00",
        }
    }
}

fn open(path: &Path) -> std::io::Result<std::io::Take<File>> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(std::io::Error::new(std::io::ErrorKind::IsADirectory, "it is a directory"));
    }
    if metadata.len() > LARGEST {
        return Err(std::io::Error::other("it is larger than 64 MiB"));
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
        let both = [(&timestamp, CellKind::Time), (&value, CellKind::Number)];
        assert_eq!(
            read("timestamp,value\n2014-04-01 00:00:10,1.5\n2014-04-01T00:05:10Z, -2\n", &both).unwrap(),
            [vec![1_396_310_410.0, 1_396_310_710.0], vec![1.5, -2.0]]
        );
        for (text, expected) in [
            ("time,value\n1,2\n", "has no column `timestamp`"),
            ("timestamp,value\n", "has no rows"),
            ("timestamp,value\n1,x\n", "line 2: `x` in column `value` is not a number"),
            ("timestamp,value\n1,2\n3\n", "line 3: `` in column `value` is not a number"),
            ("timestamp,value\nyesterday,2\n", "`yesterday` in column `timestamp` is neither"),
            ("timestamp,value\n1,inf\n", "is not a number"),
        ] {
            let error = read(text, &both).unwrap_err().0;
            assert!(error.contains(expected), "{error}");
        }
        assert!(
            columns(dir.path(), &plain("nope.csv"), &both)
                .unwrap_err()
                .0
                .contains("No such file or directory")
        );
        assert!(columns(dir.path(), &plain("."), &both).unwrap_err().0.contains("is a directory"));
    }
}

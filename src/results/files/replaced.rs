//! Tables that are written anew whenever there is something to add, as their rows do not stand in the order of time.

use std::fs::File;
use std::io;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::directory::RunDirectory;
use super::table::TableError;
use crate::clock::Tick;

/// A row of such a table: the names of its fields are the columns, in their order.
pub(crate) trait ReplacedRow: Serialize + DeserializeOwned {
    /// The name of the file.
    const FILE: &'static str;
    /// The columns after `run_id`.
    const COLUMNS: &'static [&'static str];
}

/// Declares a row and its columns, which are only ever appended.
macro_rules! replaced_row {
    ($file:literal: $(#[$about:meta])* struct $row:ident { $($(#[$doc:meta])* $name:ident: $kind:ty,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        pub struct $row {
            $($(#[$doc])* pub $name: $kind,)*
        }

        impl $crate::results::files::replaced::ReplacedRow for $row {
            const FILE: &'static str = $file;
            const COLUMNS: &'static [&'static str] = &[$(stringify!($name)),*];
        }
    };
}
pub(crate) use replaced_row;

/// An instant as such tables have it: seconds since the run began, to the microsecond.
pub(crate) fn seconds(at: Tick) -> f64 {
    (at.0 / 1_000) as f64 / 1e6
}

/// A time as such tables have it: milliseconds, to the nanosecond.
pub(crate) fn millis(ns: u64) -> f64 {
    ns as f64 / 1e6
}

/// Writes the table in one step: readers see the old file or the new one, never half of one.
pub(crate) fn write_rows<R: ReplacedRow>(directory: &RunDirectory, rows: &[R]) -> io::Result<()> {
    directory.replace(R::FILE, |file| {
        let mut table = csv::WriterBuilder::new().has_headers(false).from_writer(file);
        table.write_record(["run_id"].iter().chain(R::COLUMNS))?;
        for row in rows {
            table.serialize((directory.run_id(), row))?;
        }
        table.flush()
    })
}

/// Reads the table of the run in `directory`; a run from before there was one has no rows. Columns are found by name.
///
/// # Errors
/// If it cannot be read, is not CSV, or a cell does not hold a value of its column.
pub(crate) fn read_rows<R: ReplacedRow>(directory: &Path) -> Result<Vec<R>, TableError> {
    let file = directory.join(R::FILE);
    let path = file.display().to_string();
    let file = match File::open(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened.map_err(|source| TableError::Io { path: path.clone(), source })?,
    };
    let rows: Result<_, _> = csv::Reader::from_reader(file).deserialize().collect();
    rows.map_err(|source| TableError::Csv { path, source })
}

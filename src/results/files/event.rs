//! `events.csv`: what happened when, beside the figures.

use std::fs::File;
use std::io;

use crate::clock::Tick;

/// `events.csv`: what happened when, beside the figures.
#[derive(Debug)]
pub struct EventTable {
    rows: csv::Writer<File>,
}

impl EventTable {
    pub(crate) fn start(file: File) -> io::Result<Self> {
        let mut rows = csv::Writer::from_writer(file);
        rows.write_record(["t_s", "event", "name", "detail"])?;
        rows.flush()?;
        Ok(Self { rows })
    }

    /// Appends one event and flushes: `event` is its kind in lower snake case (`phase_start`, `interrupted`), `name`
    /// what it is about, `detail` any text.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn append(&mut self, at: Tick, event: &str, name: &str, detail: &str) -> io::Result<()> {
        self.write([format!("{:.3}", at.as_secs_f64()).as_str(), event, name, detail])
    }

    /// Appends a row as it stands, and flushes.
    pub(crate) fn write(&mut self, cells: impl IntoIterator<Item = impl AsRef<[u8]>>) -> io::Result<()> {
        self.rows.write_record(cells)?;
        self.rows.flush()
    }
}

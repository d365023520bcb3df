//! The events of shards as those of one run.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::record::Shard;
use crate::results::files::anomaly::complete_lines;
use crate::results::files::event::EventTable;

/// Why the events of shards could not be added up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EventError {
    /// Those of a shard cannot be read.
    #[error("cannot read {path}: {source}; restore it from a copy, or run the shard again")]
    Read {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: io::Error,
    },
    /// Those of all shards cannot be written.
    #[error(transparent)]
    Write(io::Error),
}

/// Time in milliseconds, and the cells as they stand.
type Row = (u64, [String; 4]);

/// The rows of one `events.csv`, the next one held.
struct Source {
    shard: Shard,
    rows: csv::StringRecordsIntoIter<io::Take<File>>,
    head: Option<Row>,
}

impl Source {
    fn open(shard: Shard, directory: &Path) -> io::Result<Self> {
        let file = complete_lines(File::open(directory.join("events.csv"))?)?;
        let mut source = Self { shard, rows: csv::Reader::from_reader(file).into_records(), head: None };
        source.advance()?;
        Ok(source)
    }

    fn advance(&mut self) -> io::Result<()> {
        let Some(record) = self.rows.next() else {
            self.head = None;
            return Ok(());
        };
        let record = record.map_err(io::Error::other)?;
        let cells = [0, 1, 2, 3].map(|place| record.get(place).unwrap_or_default().to_owned());
        let at: f64 =
            cells[0].parse().map_err(|_| io::Error::other(format!("`{}` is not a time", cells[0])))?;
        self.head = Some(((at * 1e3).round() as u64, cells));
        Ok(())
    }
}

/// Appends the events of the runs in `shards` to `events` in the order of time: what the plan has happen to all of them once, and
/// what happened in one with the shard named in its detail. Lines that killed runs did not finish are passed over.
///
/// # Errors
/// If a file cannot be read, which the error names, or those of the merged run not be written.
pub(crate) fn merge_events(shards: &[(Shard, PathBuf)], events: &mut EventTable) -> Result<(), EventError> {
    let named = |directory: &Path, source: io::Error| EventError::Read {
        path: directory.join("events.csv").display().to_string(),
        source,
    };
    let mut sources = Vec::with_capacity(shards.len());
    for (shard, directory) in shards {
        sources.push((directory, Source::open(*shard, directory).map_err(|error| named(directory, error))?));
    }
    // Phases and what the plan does to fleets: as many as the plan has.
    let mut common: BTreeSet<[String; 4]> = BTreeSet::new();
    loop {
        let heads =
            sources.iter().enumerate().filter_map(|(nth, (_, source))| Some((source.head.as_ref()?.0, nth)));
        let Some((_, nth)) = heads.min() else { return Ok(()) };
        let Some((directory, source)) = sources.get_mut(nth) else { return Ok(()) };
        let (shard, head) = (source.shard, source.head.take());
        source.advance().map_err(|error| named(directory, error))?;
        let Some((_, mut cells)) = head else { continue };
        let planned = cells[1].starts_with("phase_") || cells[1].starts_with("fleet_");
        if planned {
            if !common.insert(cells.clone()) {
                continue;
            }
        } else if shards.len() > 1 {
            let detail = if cells[3].is_empty() { String::new() } else { format!(": {}", cells[3]) };
            cells[3] = format!("shard {}{detail}", shard.number());
        }
        events.write(&cells).map_err(EventError::Write)?;
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("shard", &self.shard).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::WallTime;
    use crate::results::RunDirectory;

    #[test]
    fn what_is_planned_stands_once_and_what_happened_names_its_shard() {
        let out = tempfile::tempdir().unwrap();
        let shards: Vec<_> = [
            "0.000,phase_start,warm-up,warm-up\n10.000,phase_end,warm-up,\n10.000,phase_start,steady,measured\n\
             10.001,fault_on,cut,\"planned 10.000 s, 3 devices\"\n20.100,end,,drained\n",
            "0.000,phase_start,warm-up,warm-up\n10.000,phase_end,warm-up,\n10.000,phase_start,steady,measured\n\
             10.000,fault_on,cut,\"planned 10.000 s, 2 devices\"\n12.000,interr",
        ]
        .into_iter()
        .zip(1..)
        .map(|(text, number)| {
            let directory = out.path().join(number.to_string());
            std::fs::create_dir(&directory).unwrap();
            std::fs::write(directory.join("events.csv"), format!("t_s,event,name,detail\n{text}")).unwrap();
            (Shard::new(number, 2).unwrap(), directory)
        })
        .collect();
        let directory = RunDirectory::create(out.path(), "s", "", WallTime::now()).unwrap();
        merge_events(&shards, &mut directory.start_events().unwrap()).unwrap();
        let text = std::fs::read_to_string(directory.path().join("events.csv")).unwrap();
        let rows: Vec<_> = text.lines().skip(1).collect();
        assert_eq!(
            rows,
            [
                "0.000,phase_start,warm-up,warm-up",
                "10.000,phase_end,warm-up,",
                "10.000,phase_start,steady,measured",
                "10.000,fault_on,cut,\"shard 2: planned 10.000 s, 2 devices\"",
                "10.001,fault_on,cut,\"shard 1: planned 10.000 s, 3 devices\"",
                "20.100,end,,shard 1: drained",
            ]
        );
        std::fs::write(shards[0].1.join("events.csv"), "t_s,event,name,detail\nsoon,end,,\n").unwrap();
        let second = RunDirectory::create(out.path(), "s", "", WallTime::now()).unwrap();
        let error = merge_events(&shards, &mut second.start_events().unwrap()).unwrap_err();
        assert!(error.to_string().contains("1/events.csv: `soon` is not a time; restore it"), "{error}");
    }
}

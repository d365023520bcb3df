//! The files that grow while a run lasts, flushed every interval.

use std::fs::File;
use std::io::{self, BufWriter};

use hdrhistogram::Histogram;

use super::total::{Totals, budgeted, is_headline};
use crate::clock::{Tick, WallTime};
use crate::record::{Gauge, Kind, Layout, SwitchEvent};
use crate::results::files::anomaly::AnomalyTable;
use crate::results::files::directory::RunDirectory;
use crate::results::files::failure::Failure;
use crate::results::files::figures::Figures;
use crate::results::files::hlog::{BESIDE, IntervalLog};
use crate::results::files::outage::Outage;
use crate::results::files::replaced::{ReplacedRow, write_rows};
use crate::results::files::shard::{Closing, ShardHeader, ShardRecord};
use crate::results::files::slow_reading::SlowRow;
use crate::results::files::table::{IntervalKey, IntervalTable};
use crate::results::record::batch::IntervalBatch;
use crate::results::record::cell::{Bounds, Cell, Key, add_all};

/// Room for an ordinary interval, so that it reaches the file in one write and a killed run seldom ends in half a line.
const INTERVAL_BYTES: usize = 256 * 1024;

impl RunDirectory {
    /// Starts `intervals.csv`, `latency.hlog`, `anomalies.csv`, `faults.csv`, `failures.csv` and `slowest.csv`, whose times count
    /// from `started`.
    ///
    /// # Errors
    /// If a file cannot be made.
    pub fn start_files(&self, layout: &Layout, started: WallTime) -> io::Result<RunFiles> {
        let make = |name| {
            File::create_new(self.path().join(name))
                .map(|file| BufWriter::with_capacity(INTERVAL_BYTES, file))
        };
        write_rows::<Outage>(self, &[])?;
        write_rows::<Failure>(self, &[])?;
        write_rows::<SlowRow>(self, &[])?;
        Ok(RunFiles {
            intervals: IntervalTable::start(make("intervals.csv")?, self.run_id())?,
            log: IntervalLog::start(make("latency.hlog")?, self.run_id(), started)?,
            anomalies: AnomalyTable::start(make("anomalies.csv")?, self.run_id())?,
            directory: self.clone(),
            record: None,
            scratch: Bounds::of(layout).histogram(),
            headline: Bounds::of(layout).histogram(),
        })
    }

    /// Writes `failures.csv` and `slowest.csv`, each in one step, once nothing changes them any more.
    ///
    /// # Errors
    /// If one cannot be written.
    pub(crate) fn write_replaced(&self, totals: &Totals) -> io::Result<()> {
        write_rows(self, &totals.failures())?;
        write_rows(self, &totals.slowest())
    }
}

/// The files that are written while a run lasts.
pub struct RunFiles {
    intervals: IntervalTable<BufWriter<File>>,
    log: IntervalLog<BufWriter<File>>,
    anomalies: AnomalyTable<BufWriter<File>>,
    directory: RunDirectory,
    /// Of a shard: everything, exactly.
    record: Option<ShardRecord>,
    scratch: Histogram<u32>,
    headline: Histogram<u32>,
}

impl RunFiles {
    /// Appends the interval from `start` to `end`, in which the faults named in `fault` were active, to all that grow with
    /// every interval, and flushes them.
    pub(crate) fn append(
        &mut self,
        layout: &Layout,
        (start, end): (Tick, Tick),
        fault: &str,
        batch: &mut IntervalBatch,
    ) -> io::Result<()> {
        let opens = open_rows(layout, batch, end);
        let cells = &batch.cells;
        let length_s = end.since(start) as f64 / 1e9;
        self.headline.reset();
        for (key, cell) in cells.iter() {
            let (phase, fleet) = (&layout.phases[key.phase], &layout.fleets[key.fleet]);
            let names = IntervalKey {
                start_s: start.as_secs_f64(),
                length_s,
                phase: &phase.name,
                fleet: &fleet.name,
                protocol: fleet.protocol.name(),
                kind: key.kind.name(),
            };
            let has_budget = budgeted(fleet.budget_ns, key.kind);
            let figures = Figures::of(cell, length_s, has_budget, &mut self.scratch).of_kind(key.kind, cell);
            let gauge = batch.gauges.get(key.fleet).filter(|_| opens.contains(&Some(key)));
            let (open, overdue) = (gauge.map(|gauge| gauge.open), gauge.map(Gauge::overdue));
            self.intervals.append(names, &Figures { fault: fault.to_owned(), open, overdue, ..figures })?;
            if let Some(response) = cell.response(&mut self.scratch)
                && is_headline(layout, key)
            {
                add_all(&mut self.headline, response);
            }
        }
        self.append_still(layout, (start, end), fault, (batch, &opens))?;
        let cells = &batch.cells;
        self.log.append(None, start, end, &self.headline)?;
        for (key, cell) in cells.iter() {
            self.append_tagged(layout, (start, end), key, cell)?;
        }
        self.anomalies.append(layout, &mut batch.anomalies)?;
        self.intervals.flush()?;
        self.anomalies.flush()?;
        self.log.flush()
    }

    /// Appends a row for every fleet of which readings are open though nothing became of any in the interval.
    fn append_still(
        &mut self,
        layout: &Layout,
        (start, end): (Tick, Tick),
        fault: &str,
        (batch, opens): (&IntervalBatch, &[Option<Key>]),
    ) -> io::Result<()> {
        let phase = layout.phase_at(Tick(end.0.saturating_sub(1)));
        let still = layout.fleets.iter().zip(&batch.gauges).zip(opens);
        for ((fleet, gauge), _) in still.filter(|((_, gauge), row)| row.is_none() && gauge.open > 0) {
            let names = IntervalKey {
                start_s: start.as_secs_f64(),
                length_s: end.since(start) as f64 / 1e9,
                phase: &layout.phase(phase).name,
                fleet: &fleet.name,
                protocol: fleet.protocol.name(),
                kind: Kind::Reading.name(),
            };
            let (open, overdue) = (Some(gauge.open), Some(gauge.overdue()));
            self.intervals
                .append(names, &Figures { fault: fault.to_owned(), open, overdue, ..Figures::default() })?;
        }
        Ok(())
    }

    /// Has everything recorded in `shard.ndjson` too, from which shards are merged, after [`RunFiles::begin_shard`].
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn start_shard(&mut self, directory: &RunDirectory) -> io::Result<()> {
        self.record = Some(ShardRecord::start(directory.path())?);
        Ok(())
    }

    /// Writes the first line of `shard.ndjson`, if there is to be one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn begin_shard(&mut self, header: &ShardHeader) -> io::Result<()> {
        self.record.as_mut().map_or(Ok(()), |record| record.begin(header))
    }

    /// Keeps what was recorded in interval `number`, from the end of the one before to `end`, where that is wanted.
    pub(crate) fn keep(
        &mut self,
        number: u64,
        (start, end): (Tick, Tick),
        batch: &IntervalBatch,
        switches: &[SwitchEvent],
    ) -> io::Result<()> {
        self.record.as_mut().map_or(Ok(()), |record| record.interval(number, (start, end), batch, switches))
    }

    /// Notes that there is no more to keep.
    pub(crate) fn keep_end(
        &mut self,
        totals: &Totals,
        reached: Tick,
        switches: Vec<SwitchEvent>,
    ) -> io::Result<()> {
        let Totals { merged_slices, late_slices, switches_omitted, .. } = *totals;
        let (reached, open) = (Some(reached), Some(totals.open()));
        let closing = Closing { merged_slices, late_slices, switches_omitted, switches, reached, open };
        self.record.as_mut().map_or(Ok(()), |record| record.end(closing))
    }

    /// Writes anew the table that holds such rows.
    pub(crate) fn replace<R: ReplacedRow>(&self, rows: &[R]) -> io::Result<()> {
        write_rows(&self.directory, rows)
    }

    fn append_tagged(
        &mut self,
        layout: &Layout,
        (start, end): (Tick, Tick),
        key: Key,
        cell: &Cell<u32>,
    ) -> io::Result<()> {
        let (phase, fleet) = (&layout.phases[key.phase], &layout.fleets[key.fleet]);
        let tag = |times: &str| format!("{}.{}.{}.{times}", fleet.name, fleet.protocol, phase.name);
        if let Some(response) = cell.response(&mut self.scratch) {
            let times = if key.kind == Kind::Reading { "response" } else { key.kind.name() };
            self.log.append(Some(&tag(times)), start, end, response)?;
        }
        for (times, series) in BESIDE.into_iter().filter(|_| key.kind == Kind::Reading) {
            if let Some(histogram) = cell.times(series) {
                self.log.append(Some(&tag(times)), start, end, histogram)?;
            }
        }
        Ok(())
    }
}

/// Of every fleet, the row of an interval that ends at `end` in which what is open at that instant stands: that of the last phase
/// in which something was recorded.
fn open_rows(layout: &Layout, batch: &IntervalBatch, end: Tick) -> Vec<Option<Key>> {
    let last = |fleet: usize| {
        let rows = batch.cells.iter().map(|(key, _)| key);
        let readings = rows.filter(|key| key.fleet == fleet && key.kind == Kind::Reading);
        readings.filter(|key| layout.begins(&layout.phases[key.phase]) < end).last()
    };
    (0..layout.fleets.len()).map(last).collect()
}

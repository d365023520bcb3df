//! What is made of every interval that is complete: rows in the files, totals, a report, and the stories of faults. Whether its
//! batch comes from workers or from the records of shards makes no difference.

use std::io;
use std::sync::Arc;

use super::budget::BudgetWatch;
use super::interval::{IntervalReport, ReportBuilder, observation};
use super::metric_board::MetricBoard;
use super::refusal::RefusalWatch;
use super::run_files::RunFiles;
use super::total::Totals;
use crate::budget::Budget;
use crate::clock::Tick;
use crate::record::{FaultId, Layout, RunToken, SwitchLog};
use crate::results::impact::watch::FaultWatch;
use crate::results::record::batch::IntervalBatch;
use crate::results::record::cell::Bounds;

/// Writes intervals in the order of time. Its memory does not depend on the length of the run.
#[derive(Debug)]
pub(crate) struct IntervalPipeline {
    layout: Arc<Layout>,
    bounds: Bounds,
    /// Where the last interval ended.
    written_to: Tick,
    spare: Option<IntervalBatch>,
    pub(crate) totals: Totals,
    running: ReportBuilder,
    faults: FaultWatch,
    budgets: BudgetWatch,
    refusals: RefusalWatch,
    /// Where the figures of a run under way are read.
    board: Option<MetricBoard>,
    /// Failures of which the file does not know yet.
    untold: bool,
    /// Slow readings of which the file does not know yet.
    unlisted: bool,
}

impl IntervalPipeline {
    /// One that follows the faults whose switches are noted in `log`.
    pub(crate) fn new(layout: Arc<Layout>, log: SwitchLog) -> Self {
        Self {
            bounds: Bounds::of(&layout),
            written_to: Tick::ZERO,
            spare: None,
            totals: Totals::new(Arc::clone(&layout)),
            running: ReportBuilder::new(Arc::clone(&layout)),
            faults: FaultWatch::new(Arc::clone(&layout), log),
            budgets: BudgetWatch::default(),
            refusals: RefusalWatch::default(),
            board: None,
            untold: false,
            unlisted: false,
            layout,
        }
    }

    /// Has it say what readings of the run that `token` names are known by in the traces of the service.
    pub(crate) fn name(&mut self, token: Option<RunToken>) {
        self.totals.token = token;
    }

    /// Has it follow the faults whose switches are noted in `log`.
    pub(crate) fn follow(&mut self, log: SwitchLog) {
        self.faults = FaultWatch::new(Arc::clone(&self.layout), log);
    }

    /// Has it judge those of `budgets` that may end the run, at every interval.
    pub(crate) fn watch(&mut self, budgets: &[Budget]) {
        self.budgets = BudgetWatch::new(budgets);
    }

    /// Has it tell when every device of a fleet has been refused for good: `devices` says how many each has, `None` where that
    /// is expected.
    pub(crate) fn watch_refusals(&mut self, devices: Vec<Option<u32>>) {
        self.refusals = RefusalWatch::new(devices);
    }

    /// Has it put every interval on `board`.
    pub(crate) fn tell(&mut self, board: MetricBoard) {
        self.board = Some(board);
    }

    /// Where the last interval ended.
    pub(crate) const fn written_to(&self) -> Tick {
        self.written_to
    }

    /// A batch with nothing in it.
    pub(crate) fn blank(&mut self) -> IntervalBatch {
        self.spare.take().unwrap_or_else(|| IntervalBatch::new(&self.layout))
    }

    /// Adds all of `part` to `whole`.
    pub(crate) fn add(&self, whole: &mut IntervalBatch, part: &IntervalBatch) {
        for (key, cell) in part.cells.iter() {
            whole.cells.get_or_new(key, self.bounds).add(cell);
        }
        whole.anomalies.add(&part.anomalies);
        whole.deliveries.add(&part.deliveries);
        whole.ok_timeline.add(&part.ok_timeline);
        whole.failures.add(&part.failures);
        whole.slow.add(&part.slow);
        for (mine, theirs) in whole.gauges.iter_mut().zip(&part.gauges) {
            mine.add(theirs);
        }
    }

    /// Writes interval `number`, which ended at `end`. What cannot be written is in the totals all the same, which then say why;
    /// no further interval is written, as it would hide the gap.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub(crate) fn write(
        &mut self,
        number: u64,
        end: Tick,
        mut batch: IntervalBatch,
        files: &mut RunFiles,
        on_interval: &mut impl FnMut(&IntervalReport),
    ) -> io::Result<()> {
        let (start, reached) = (self.written_to, end);
        // Stragglers after the last boundary have no time of their own; they get an interval's length.
        let end = if end > start { end } else { start.plus_ns(self.layout.interval_ns) };
        let switches = self.faults.switch(end);
        let (heard, active) = (self.faults.heard(), self.faults.active(start, end));
        let is_open = self.totals.unwritten.is_none();
        let mut written = Ok(());
        if is_open {
            let faults = self.names(&active);
            written = files
                .keep(number, (start, reached), &batch, &heard)
                .and_then(|()| files.append(&self.layout, (start, end), &faults, &mut batch));
        }
        self.totals.absorb(&batch, end);
        if let Some(board) = &self.board {
            board.add(&self.layout, &batch, &active);
        }
        self.written_to = end;
        self.untold |= !batch.failures.is_empty();
        self.unlisted |= !batch.slow.is_empty();
        if is_open {
            self.replace(files);
        }
        let mut report = self.running.report(start, end, &batch, &self.totals);
        report.refused = self.refusals.judge(end, &self.totals);
        (report.switches, report.faults) = (switches, active.clone());
        let (observation, connected) = observation(&self.layout, &report, &batch.cells);
        self.faults.observe(&observation, &connected, active, &batch.ok_timeline);
        if is_open {
            written = written.and_then(|()| self.write_faults(files));
        }
        self.note(&written);
        report.unwritten.clone_from(&self.totals.unwritten);
        report.budget_failed = self.budgets.judge(end, &self.totals, &batch.gauges, || self.faults.rows());
        on_interval(&report);
        batch.recycle(self.layout.phase_at(end));
        self.spare = Some(batch);
        written
    }

    /// Writes the files anew to which something is to be added. Where descriptors have run out this fails, and the run must not: the
    /// next interval tries again.
    fn replace(&mut self, files: &RunFiles) {
        self.untold = self.untold && files.replace(&self.totals.failures()).is_err();
        self.unlisted = self.unlisted && files.replace(&self.totals.slowest()).is_err();
    }

    fn note(&mut self, written: &io::Result<()>) {
        if let Err(error) = written {
            self.totals.unwritten.get_or_insert_with(|| error.to_string());
        }
    }

    /// Takes in what was switched since the last interval, and gives the totals, which say whether all of it was written.
    pub(crate) fn close(mut self, files: &mut RunFiles) -> Totals {
        self.totals.late_switches = self.faults.switch(Tick::FAR);
        let heard = self.faults.heard();
        self.faults.finish();
        if self.totals.unwritten.is_none() {
            let written = self.write_faults(files);
            self.note(&written);
        }
        self.totals.outages = self.faults.rows();
        self.totals.fault_spells_omitted = self.faults.omitted;
        self.totals.switches_omitted += self.faults.unlogged();
        if self.totals.unwritten.is_none() {
            let written = files.keep_end(&self.totals, self.written_to, heard);
            self.note(&written);
        }
        self.totals
    }

    fn write_faults(&mut self, files: &RunFiles) -> io::Result<()> {
        self.faults.news().map_or(Ok(()), |rows| files.replace(&rows))
    }

    /// The names of `faults`, as the column has them.
    fn names(&self, faults: &[FaultId]) -> String {
        let names: Vec<_> = faults.iter().map(|fault| self.layout.fault(*fault).name.as_str()).collect();
        names.join("+")
    }
}

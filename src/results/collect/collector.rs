//! The collector: gathers every worker's slices per interval, appends them to the files, and keeps the totals.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::interval::IntervalReport;
use super::metric_board::MetricBoard;
use super::pipeline::IntervalPipeline;
use super::run_files::RunFiles;
use super::total::Totals;
use crate::budget::Budget;
use crate::clock::Tick;
use crate::record::{Layout, RunToken, SwitchLog};
use crate::results::record::batch::IntervalBatch;
use crate::results::record::recorder::{Recorder, WorkerInterval};

/// Slices of one worker that may wait for the collector; beyond that the worker keeps growing its current one.
const SLICES_PER_WORKER: usize = 4;
/// Intervals kept open for workers that are behind; beyond that the oldest is written without them.
const OPEN_INTERVALS: usize = 4;
/// Emptied batches kept for one worker.
const EMPTIED_PER_WORKER: usize = 2;

/// One recorder for each of `workers` workers, and the collector of them all.
pub fn recorders(layout: &Arc<Layout>, workers: usize) -> (Vec<Recorder>, Collector) {
    let (out, slices) = sync_channel(workers.max(1) * SLICES_PER_WORKER);
    let (recorders, emptied) = (0..workers)
        .map(|worker| {
            let (back, emptied) = sync_channel(EMPTIED_PER_WORKER);
            (Recorder::new(Arc::clone(layout), worker, out.clone(), emptied), back)
        })
        .unzip();
    (recorders, Collector::new(Arc::clone(layout), slices, emptied))
}

/// What the workers recorded in one interval, as far as it has arrived.
#[derive(Debug)]
struct OpenInterval {
    end: Tick,
    batch: IntervalBatch,
}

/// Gathers slices until every worker has ended. Its memory does not depend on the length of the run.
#[derive(Debug)]
pub struct Collector {
    layout: Arc<Layout>,
    slices: Receiver<WorkerInterval>,
    emptied: Vec<SyncSender<IntervalBatch>>,
    /// For each worker, the first interval it may still contribute to; `None` once it has ended.
    progress: Vec<Option<u64>>,
    /// By interval number; never more than [`OPEN_INTERVALS`] after a slice has been dealt with.
    open: BTreeMap<u64, OpenInterval>,
    /// The first interval not written yet.
    next: u64,
    /// Whoever switches faults besides the workers holds the other end.
    switching: Option<Receiver<()>>,
    pipeline: IntervalPipeline,
}

impl Collector {
    fn new(
        layout: Arc<Layout>,
        slices: Receiver<WorkerInterval>,
        emptied: Vec<SyncSender<IntervalBatch>>,
    ) -> Self {
        Self {
            slices,
            progress: vec![Some(0); emptied.len()],
            emptied,
            open: BTreeMap::new(),
            next: 0,
            switching: None,
            pipeline: IntervalPipeline::new(Arc::clone(&layout), SwitchLog::default()),
            layout,
        }
    }

    /// Has it say what readings of the run that `token` names are known by in the traces of the service.
    #[must_use]
    pub fn with_token(mut self, token: RunToken) -> Self {
        self.pipeline.name(Some(token));
        self
    }

    /// Has it follow the faults whose switches are noted in `log`.
    #[must_use]
    pub fn with_switches(mut self, log: SwitchLog) -> Self {
        self.pipeline.follow(log);
        self
    }

    /// Has it judge those of `budgets` that may end the run at every interval; a failed one stands in the interval's report.
    #[must_use]
    pub fn with_budgets(mut self, budgets: &[Budget]) -> Self {
        self.pipeline.watch(budgets);
        self
    }

    /// Has it tell, once the connect phase is over, when every device of a fleet has been refused for good. `devices` says how
    /// many each fleet has here, in the order of the layout; `None` where refusals are expected.
    #[must_use]
    pub fn with_refusals(mut self, devices: Vec<Option<u32>>) -> Self {
        self.pipeline.watch_refusals(devices);
        self
    }

    /// Has it put every interval on `board`, where there is one, as it ends.
    #[must_use]
    pub fn with_board(mut self, board: Option<MetricBoard>) -> Self {
        if let Some(board) = board {
            self.pipeline.tell(board);
        }
        self
    }

    /// Has it read the last switches only once the other end of `switching` has been dropped: whoever switches faults besides
    /// the workers may have something to undo after their end.
    #[must_use]
    pub fn with_operator(mut self, switching: Receiver<()>) -> Self {
        self.switching = Some(switching);
        self
    }

    /// Appends every interval to `files` as it ends, tells `on_interval`, and returns the totals once all recorders have
    /// finished or been dropped. Blocks meanwhile: give it a thread of its own. If a file cannot be written, the totals are whole
    /// all the same, and say so.
    pub fn run(mut self, files: &mut RunFiles, mut on_interval: impl FnMut(&IntervalReport)) -> Totals {
        while self.progress.iter().any(Option::is_some) {
            let Ok(slice) = self.slices.recv() else { break };
            self.gather(slice);
            while let Some((number, OpenInterval { end, batch })) = self.complete() {
                // The totals keep the error.
                let _ = self.pipeline.write(number, end, batch, files, &mut on_interval);
            }
        }
        while let Some((number, OpenInterval { end, batch })) = self.open.pop_first() {
            let _ = self.pipeline.write(number, end, batch, files, &mut on_interval);
        }
        if let Some(switching) = &self.switching {
            // Nothing is ever sent: it only tells that the other end is gone.
            let _ = switching.recv();
        }
        self.pipeline.close(files)
    }

    /// Adds `slice` to the interval it ends, or to the earliest one still open if that one is already written.
    fn gather(&mut self, mut slice: WorkerInterval) {
        let number = self.interval_ending(slice.end, slice.last);
        self.pipeline.totals.merged_slices += slice.merged;
        self.pipeline.totals.late_slices += u64::from(number < self.next && !slice.batch.is_empty());
        if let Some(progress) = self.progress.get_mut(slice.worker) {
            *progress = if slice.last { None } else { Some(number + 1) };
        }
        if slice.last && slice.end <= self.pipeline.written_to() && slice.batch.is_empty() {
            return;
        }
        if number < self.next {
            // What was open then is not open now, and this worker's part of the later interval says what is.
            slice.batch.forget_gauges();
        }
        let pipeline = &mut self.pipeline;
        let open = self
            .open
            .entry(number.max(self.next))
            .or_insert_with(|| OpenInterval { end: slice.end, batch: pipeline.blank() });
        open.end = open.end.max(slice.end);
        pipeline.add(&mut open.batch, &slice.batch);
        if !slice.last {
            slice.batch.recycle(self.layout.phase_at(slice.end));
            // A full or closed return path only means that the worker makes itself a new one.
            let _ = self.emptied[slice.worker].try_send(slice.batch);
        }
    }

    /// The number of the interval that a slice handed over at `end` closes. A rotation may come late by up to half an
    /// interval; the last slice closes the interval it ends in.
    fn interval_ending(&self, end: Tick, last: bool) -> u64 {
        let length = self.layout.interval_ns.max(1);
        let ended = if last { end.0.div_ceil(length) } else { end.0.saturating_add(length / 2) / length };
        ended.saturating_sub(1)
    }

    /// The earliest open interval, if no worker that is still expected can add to it.
    fn complete(&mut self) -> Option<(u64, OpenInterval)> {
        let (&number, _) = self.open.first_key_value()?;
        let all_past = self.progress.iter().flatten().all(|&progress| progress > number);
        if !all_past && self.open.len() <= OPEN_INTERVALS {
            return None;
        }
        self.next = number + 1;
        self.open.pop_first()
    }
}

//! One worker's recorder: counts and records, and hands a slice over at every interval's end without waiting.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};

use super::anomaly::Rows;
use super::cell::{Bounds, Cell, Cells, Key};
use super::delivery::Deliveries;
use super::pulse::Pulses;
use crate::clock::Tick;
use crate::record::{Detection, Finding, FleetId, Kind, Layout, Outcome, PhaseId, Sample, Sink};

/// What one worker recorded between two boundaries.
#[derive(Debug)]
pub(super) struct Slice {
    pub(super) worker: usize,
    /// The boundary at which it was handed over.
    pub(super) end: Tick,
    /// Boundaries it spans beyond one, because the collector was behind.
    pub(super) merged: u64,
    /// Whether the worker has ended.
    pub(super) last: bool,
    pub(super) load: Load,
}

/// What there is to hand over, and what comes back emptied.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) cells: Cells<u32>,
    pub(super) anomalies: Rows,
    pub(super) deliveries: Deliveries,
    pub(super) pulses: Pulses,
}

impl Load {
    pub(super) fn new(layout: &Layout) -> Self {
        Self {
            cells: Cells::new(layout),
            anomalies: Rows::default(),
            deliveries: Deliveries::new(layout),
            pulses: Pulses::new(layout),
        }
    }

    /// Empties it and moves its memory to `phase`.
    pub(super) fn recycle(&mut self, phase: PhaseId) {
        self.cells.recycle(usize::from(phase.0));
        self.anomalies.reset();
        self.deliveries.reset();
        self.pulses.reset();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.cells.iter().next().is_none() && self.anomalies.is_empty()
    }
}

/// One worker's [`Sink`]. Its memory depends on the number of fleets, not on the length of the run.
#[derive(Debug)]
pub struct Recorder {
    layout: Arc<Layout>,
    bounds: Bounds,
    worker: usize,
    load: Load,
    merged: u64,
    last_boundary: Tick,
    /// The latest stamp seen: what the clock read, or a little less.
    latest: Tick,
    finished: bool,
    out: SyncSender<Slice>,
    emptied: Receiver<Load>,
}

impl Recorder {
    pub(super) fn new(
        layout: Arc<Layout>,
        worker: usize,
        out: SyncSender<Slice>,
        emptied: Receiver<Load>,
    ) -> Self {
        let (bounds, load) = (Bounds::of(&layout), Load::new(&layout));
        Self {
            layout,
            bounds,
            worker,
            load,
            merged: 0,
            last_boundary: Tick::ZERO,
            latest: Tick::ZERO,
            finished: false,
            out,
            emptied,
        }
    }

    fn cell(&mut self, phase: PhaseId, fleet: FleetId, kind: Kind) -> &mut Cell<u32> {
        let key = Key { phase: usize::from(phase.0), fleet: usize::from(fleet.0), kind };
        self.load.cells.get_or_new(key, self.bounds)
    }

    /// What has ended since the last hand-over.
    #[cfg(test)]
    pub(super) fn recorded(&self) -> u64 {
        self.load.cells.iter().map(|(_, cell)| cell.counters.ended()).sum()
    }

    /// Takes what is recorded so far, leaving emptied memory for the phase at `end` if the collector sent some back.
    fn slice(&mut self, end: Tick, last: bool) -> Slice {
        let fresh = if last { None } else { self.emptied.try_recv().ok() };
        let fresh = fresh.map(|mut load| {
            load.recycle(self.layout.phase_at(end));
            load
        });
        let load = std::mem::replace(&mut self.load, fresh.unwrap_or_else(|| Load::new(&self.layout)));
        Slice { worker: self.worker, end, merged: std::mem::take(&mut self.merged), last, load }
    }
}

impl Sink for Recorder {
    fn planned(&mut self, phase: PhaseId, fleet: FleetId, kind: Kind) {
        self.cell(phase, fleet, kind).counters.planned += 1;
    }

    fn sent(&mut self, phase: PhaseId, fleet: FleetId, kind: Kind) {
        self.cell(phase, fleet, kind).counters.sent += 1;
    }

    fn completed(&mut self, sample: &Sample) {
        let fleet = self.layout.fleet(sample.fleet);
        let (timeout_ns, budget_ns) = (fleet.timeout_ns, fleet.budget_ns);
        self.cell(sample.phase, sample.fleet, sample.kind).completed(sample, timeout_ns, budget_ns);
        self.latest = self.latest.max(sample.completed);
        self.load.deliveries.completed(sample);
        if sample.kind == Kind::Reading && sample.outcome == Outcome::Ok {
            self.load.pulses.beat(sample.completed);
        }
    }

    fn finding(&mut self, phase: PhaseId, fleet: FleetId, finding: Finding, device: u32, seq: u64) {
        self.cell(phase, fleet, Kind::Reading).counters.note(finding);
        self.load.deliveries.found(usize::from(fleet.0), finding, self.latest, device, seq);
    }

    fn detection(&mut self, detection: &Detection<'_>) {
        let sample = detection.sample;
        let cell = self.cell(sample.phase, sample.fleet, sample.kind);
        cell.counters.anomalies_found += u64::from(detection.found);
        self.load.anomalies.push(detection);
    }

    fn rotate(&mut self, boundary: Tick) {
        self.last_boundary = boundary;
        self.latest = self.latest.max(boundary);
        let slice = self.slice(boundary, false);
        match self.out.try_send(slice) {
            Ok(()) => {}
            // The worker must not wait: what was recorded goes on growing and is handed over at the next boundary.
            Err(TrySendError::Full(slice) | TrySendError::Disconnected(slice)) => {
                self.load = slice.load;
                self.merged = slice.merged + 1;
            }
        }
    }

    fn finish(&mut self, end: Tick) {
        self.finished = true;
        let slice = self.slice(end, true);
        // An error means that the collector has given up, and with it the files: there is nobody left to tell.
        let _ = self.out.send(slice);
    }
}

impl Drop for Recorder {
    /// A worker that dies without [`Sink::finish`] still hands over what it recorded, if there is room.
    fn drop(&mut self) {
        if !self.finished {
            let slice = self.slice(self.last_boundary, true);
            let _ = self.out.try_send(slice);
        }
    }
}

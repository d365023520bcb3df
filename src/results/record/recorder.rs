//! One worker's recorder: counts and records, and hands a slice over at every interval's end without waiting.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};

use super::batch::IntervalBatch;
use super::cell::{Bounds, Cell, Key};
use super::failure::{Ending, MOST_ATTEMPTS, Row, Subject};
use super::privacy::Privacy;
use super::reason_ledger::{ReasonLedger, Scope};
use super::slow_reading::SlowFloor;
use crate::clock::Tick;
use crate::record::{
    AuditFinding, Detection, FleetId, Gauge, Kind, Layout, Outcome, PhaseId, PhaseRole, Reason, Retry,
    Sample, Sink, Stray, Traffic,
};

/// What one worker recorded between two boundaries.
#[derive(Debug)]
pub(crate) struct WorkerInterval {
    pub(crate) worker: usize,
    /// The boundary at which it was handed over.
    pub(crate) end: Tick,
    /// Boundaries it spans beyond one, because the collector was behind.
    pub(crate) merged: u64,
    /// Whether the worker has ended.
    pub(crate) last: bool,
    pub(crate) batch: IntervalBatch,
}

/// One worker's [`Sink`]. Its memory depends on the number of fleets, not on the length of the run.
#[derive(Debug)]
pub struct Recorder {
    layout: Arc<Layout>,
    bounds: Bounds,
    worker: usize,
    batch: IntervalBatch,
    concerns: ReasonLedger,
    slow_floor: SlowFloor,
    merged: u64,
    last_boundary: Tick,
    /// The latest stamp seen: what the clock read, or a little less.
    latest: Tick,
    finished: bool,
    out: SyncSender<WorkerInterval>,
    emptied: Receiver<IntervalBatch>,
}

impl Recorder {
    pub(crate) fn new(
        layout: Arc<Layout>,
        worker: usize,
        out: SyncSender<WorkerInterval>,
        emptied: Receiver<IntervalBatch>,
    ) -> Self {
        let (bounds, batch) = (Bounds::of(&layout), IntervalBatch::new(&layout));
        let slow_floor = SlowFloor::new(&layout);
        Self {
            layout,
            bounds,
            worker,
            batch,
            concerns: ReasonLedger::default(),
            slow_floor,
            merged: 0,
            last_boundary: Tick::ZERO,
            latest: Tick::ZERO,
            finished: false,
            out,
            emptied,
        }
    }

    /// Has it keep of the peers' replies only what `privacy` allows.
    #[must_use]
    pub fn with_privacy(mut self, privacy: Privacy) -> Self {
        self.concerns.privacy = privacy;
        self
    }

    /// What bytes and messages of no reading of a fleet are told with: in the phase in which the fleets connect, with the
    /// connections; else with what the fleet is there for.
    fn kind_at(&self, phase: PhaseId, fleet: FleetId) -> Kind {
        match (self.layout.phase(phase).role, self.layout.fleet(fleet).hears) {
            (PhaseRole::Connect, _) => Kind::Connect,
            (_, true) => Kind::Delivery,
            (_, false) => Kind::Reading,
        }
    }

    fn is_measured(&self, phase: PhaseId) -> bool {
        self.layout.phase(phase).role == PhaseRole::Measured
    }

    fn cell(&mut self, phase: PhaseId, fleet: FleetId, kind: Kind) -> &mut Cell<u32> {
        let key = Key { phase: usize::from(phase.0), fleet: usize::from(fleet.0), kind };
        self.batch.cells.get_or_new(key, self.bounds)
    }

    /// Adds that something went wrong with `subject`, for `reason` and `count` times. `attempt` is 0 where
    /// it was no attempt at a reading; `first` is when it was, the device, and the number of its reading.
    fn blame(
        &mut self,
        subject: Subject,
        measured: bool,
        reason: &Reason,
        (attempt, count): (u8, u64),
        first: (Tick, u32, u64),
    ) {
        let (Subject { fleet, kind, ending, .. }, (at, device, _)) = (subject, first);
        let (reason, new) = self.concerns.meet(Scope { fleet, kind, ending, measured }, reason, device);
        self.batch.failures.add_row(&Row {
            subject,
            attempt: attempt.min(MOST_ATTEMPTS),
            reason,
            count,
            devices: u64::from(new),
            first,
            last: at,
        });
    }

    /// What has ended since the last hand-over.
    #[cfg(test)]
    pub(crate) fn recorded(&self) -> u64 {
        self.batch.cells.iter().map(|(_, cell)| cell.counters.ended()).sum()
    }

    /// Takes what is recorded so far, leaving emptied memory for the phase at `end` if the collector sent some back.
    fn slice(&mut self, end: Tick, last: bool) -> WorkerInterval {
        let fresh = if last { None } else { self.emptied.try_recv().ok() };
        let fresh = fresh.map(|mut batch| {
            batch.recycle(self.layout.phase_at(end));
            batch
        });
        self.batch.cells.settle();
        let batch =
            std::mem::replace(&mut self.batch, fresh.unwrap_or_else(|| IntervalBatch::new(&self.layout)));
        WorkerInterval { worker: self.worker, end, merged: std::mem::take(&mut self.merged), last, batch }
    }
}

impl Sink for Recorder {
    fn planned(&mut self, phase: PhaseId, fleet: FleetId, kind: Kind) {
        self.cell(phase, fleet, kind).counters.planned += 1;
    }

    fn resumed(&mut self, phase: PhaseId, fleet: FleetId) {
        self.cell(phase, fleet, Kind::Tls).counters.resumed += 1;
    }

    fn sent(&mut self, phase: PhaseId, fleet: FleetId, kind: Kind) {
        self.cell(phase, fleet, kind).counters.sent += 1;
    }

    fn retry(&mut self, phase: PhaseId, fleet: FleetId, retry: Retry<'_>) {
        self.cell(phase, fleet, Kind::Reading).counters.retry(&retry);
        let Retry::Due { device, seq, number, at, reason } = retry else { return };
        let measured = self.is_measured(phase);
        let (phase, fleet) = (usize::from(phase.0), usize::from(fleet.0));
        let subject = Subject { phase, fleet, kind: Kind::Reading, ending: Ending::Retried };
        self.blame(subject, measured, reason, (number, 1), (at, device, seq));
    }

    fn completed(&mut self, sample: &Sample) {
        let fleet = self.layout.fleet(sample.fleet);
        let (timeout_ns, budget_ns) = (fleet.timeout_ns, fleet.budget_ns);
        self.cell(sample.phase, sample.fleet, sample.kind).completed(sample, timeout_ns, budget_ns);
        self.latest = self.latest.max(sample.completed);
        self.batch.deliveries.completed(sample);
        if sample.kind == Kind::Reading {
            self.slow_floor.offer(sample, &mut self.batch.slow);
        }
        if sample.kind == Kind::Reading && sample.outcome == Outcome::Ok {
            self.batch.ok_timeline.beat(sample.completed);
        }
    }

    fn failed(&mut self, sample: &Sample, reason: &Reason) {
        let Some(ending) = Ending::of(sample.outcome) else { return };
        let (fleet, kind, device) = (usize::from(sample.fleet.0), sample.kind, sample.device);
        // Attempts to connect are of the whole run: a device that is refused goes on trying.
        let measured = !kind.is_of_connections() && self.is_measured(sample.phase);
        if kind == Kind::Connect && reason.final_refusal && self.concerns.refuse(fleet, device) {
            self.batch.failures.refuse(fleet, 1);
        }
        if kind == Kind::Reading && self.concerns.fail(fleet, measured, device) {
            self.cell(sample.phase, sample.fleet, kind).counters.failed_devices += 1;
        }
        let subject = Subject { phase: usize::from(sample.phase.0), fleet, kind, ending };
        let attempt = if kind == Kind::Reading { sample.attempts } else { 0 };
        self.blame(subject, measured, reason, (attempt, 1), (sample.completed, device, sample.seq));
    }

    fn remark(&mut self, fleet: FleetId, at: Tick, device: u32, remark: &Reason, count: u64) {
        let (phase, fleet) = (usize::from(self.layout.phase_at(at).0), usize::from(fleet.0));
        let subject = Subject { phase, fleet, kind: Kind::Connect, ending: Ending::Remark };
        // As attempts to connect are, it is of the whole run.
        self.blame(subject, false, remark, (0, count), (at, device, 0));
    }

    fn unmatched(
        &mut self,
        fleet: FleetId,
        at: Tick,
        device: u32,
        stray: Stray,
        (count, first): (u64, Option<&str>),
    ) {
        let phase = self.layout.phase_at(at);
        let kind = self.kind_at(phase, fleet);
        self.cell(phase, fleet, kind).counters.unmatched += count;
        let reason = Reason { sample: first.map(Into::into), ..stray.reason() };
        let measured = self.is_measured(phase);
        let (phase, fleet) = (usize::from(phase.0), usize::from(fleet.0));
        let subject = Subject { phase, fleet, kind, ending: Ending::Unmatched };
        self.blame(subject, measured, &reason, (0, count), (at, device, 0));
    }

    fn traffic(&mut self, fleet: FleetId, at: Tick, traffic: Traffic) {
        let phase = self.layout.phase_at(at);
        let kind = self.kind_at(phase, fleet);
        self.cell(phase, fleet, kind).counters.traffic.add(traffic);
    }

    fn gauge(&mut self, fleet: FleetId, gauge: &Gauge) {
        if let Some(mine) = self.batch.gauges.get_mut(usize::from(fleet.0)) {
            mine.clone_from(gauge);
        }
    }

    fn finding(
        &mut self,
        (phase, fleet, kind): (PhaseId, FleetId, Kind),
        finding: AuditFinding,
        device: u32,
        seq: u64,
    ) {
        self.cell(phase, fleet, kind).counters.note(finding);
        self.batch.deliveries.found(usize::from(fleet.0), finding, self.latest, device, seq);
    }

    fn part(&mut self, fleet: FleetId, deliveries: u64) {
        self.batch.deliveries.part(usize::from(fleet.0), deliveries);
    }

    fn detection(&mut self, detection: &Detection<'_>) {
        let sample = detection.sample;
        let cell = self.cell(sample.phase, sample.fleet, sample.kind);
        cell.counters.anomalies_found += u64::from(detection.found);
        self.batch.anomalies.push(detection);
    }

    fn rotate(&mut self, boundary: Tick) {
        self.last_boundary = boundary;
        self.latest = self.latest.max(boundary);
        let slice = self.slice(boundary, false);
        match self.out.try_send(slice) {
            Ok(()) => {}
            // The worker must not wait: what was recorded goes on growing and is handed over at the next boundary.
            Err(TrySendError::Full(slice) | TrySendError::Disconnected(slice)) => {
                self.batch = slice.batch;
                self.merged = slice.merged + 1;
            }
        }
    }

    fn finish(&mut self, end: Tick) {
        self.finished = true;
        // Nothing is open any more.
        self.batch.forget_gauges();
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

//! What is recorded between two boundaries, of one worker or of all: it goes to the collector, and comes back emptied.

use super::anomaly::AnomalyRows;
use super::cell::Cells;
use super::delivery::Deliveries;
use super::failure::Failures;
use super::ok_timeline::OkTimeline;
use super::slow_reading::SlowReadings;
use crate::record::{Gauge, Layout, PhaseId};

/// What there is to hand over, and what comes back emptied.
#[derive(Debug)]
pub(crate) struct IntervalBatch {
    pub(crate) cells: Cells<u32>,
    pub(crate) anomalies: AnomalyRows,
    pub(crate) deliveries: Deliveries,
    pub(crate) ok_timeline: OkTimeline,
    pub(crate) failures: Failures,
    pub(crate) slow: SlowReadings,
    /// What is open at its end, by fleet.
    pub(crate) gauges: Vec<Gauge>,
}

impl IntervalBatch {
    pub(crate) fn new(layout: &Layout) -> Self {
        Self {
            cells: Cells::new(layout),
            anomalies: AnomalyRows::default(),
            deliveries: Deliveries::new(layout),
            ok_timeline: OkTimeline::new(layout),
            failures: Failures::default(),
            slow: SlowReadings::default(),
            gauges: vec![Gauge::default(); layout.fleets.len()],
        }
    }

    /// Empties it and moves its memory to `phase`.
    pub(crate) fn recycle(&mut self, phase: PhaseId) {
        self.cells.recycle(usize::from(phase.0));
        self.anomalies.reset();
        self.deliveries.reset();
        self.ok_timeline.reset();
        self.failures.reset();
        self.slow.reset();
        self.forget_gauges();
    }

    /// Forgets what was open at its end: it says nothing of another instant.
    pub(crate) fn forget_gauges(&mut self) {
        self.gauges.iter_mut().for_each(Gauge::reset);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.cells.iter().next().is_none() && self.anomalies.is_empty() && self.failures.is_empty()
    }
}

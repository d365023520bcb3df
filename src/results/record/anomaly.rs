//! The readings of an interval in which a seeded anomaly shows.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::clock::Tick;
use crate::record::{AnomalyMark, Arm, Detection, FleetId, Layout, Outcome, PhaseId};

/// Rows that a worker hands over per interval; further ones are counted and left out.
pub(crate) const ROWS_PER_SLICE: usize = 8_192;

/// A marked reading that has ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AnomalyRecord {
    pub(crate) intended: Tick,
    pub(crate) phase: PhaseId,
    pub(crate) fleet: FleetId,
    /// Where the device's name stands.
    pub(crate) device: Range<usize>,
    pub(crate) seq: u64,
    pub(crate) mark: AnomalyMark,
    pub(crate) outcome: Outcome,
    pub(crate) flagged: Option<bool>,
    #[serde(default)]
    pub(crate) arm: Option<Arm>,
}

/// Marked readings on their way to the file. The names of their devices share one text, so that a row allocates nothing.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct AnomalyRows {
    pub(crate) entries: Vec<AnomalyRecord>,
    names: String,
    /// Rows that were left out because there were too many.
    pub(crate) omitted: u64,
}

impl AnomalyRows {
    /// Adds a row, or counts it if there are [`ROWS_PER_SLICE`] already.
    pub(crate) fn push(&mut self, detection: &Detection<'_>) {
        if self.entries.len() >= ROWS_PER_SLICE {
            self.omitted += 1;
            return;
        }
        let sample = detection.sample;
        let device = self.name(detection.device);
        self.entries.push(AnomalyRecord {
            intended: sample.intended,
            phase: sample.phase,
            fleet: sample.fleet,
            device,
            seq: sample.seq,
            mark: detection.mark,
            outcome: sample.outcome,
            flagged: sample.flagged,
            arm: sample.arm,
        });
    }

    /// Adds all of `other`, whose bound is its own.
    pub(crate) fn add(&mut self, other: &Self) {
        self.omitted += other.omitted;
        for row in &other.entries {
            let device = self.name(other.device(row));
            self.entries.push(AnomalyRecord { device, ..row.clone() });
        }
    }

    /// Forgets everything but the memory it stands in.
    pub(crate) fn reset(&mut self) {
        self.entries.clear();
        self.names.clear();
        self.omitted = 0;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.omitted == 0
    }

    /// Whether phases and fleets of all rows are of `layout`.
    pub(crate) fn fit(&self, layout: &Layout) -> bool {
        let (phases, fleets) = (layout.phases.len(), layout.fleets.len());
        self.entries.iter().all(|row| usize::from(row.phase.0) < phases && usize::from(row.fleet.0) < fleets)
    }

    fn name(&mut self, device: &str) -> Range<usize> {
        let start = self.names.len();
        self.names.push_str(device);
        start..self.names.len()
    }

    pub(crate) fn device(&self, row: &AnomalyRecord) -> &str {
        self.names.get(row.device.clone()).unwrap_or_default()
    }
}

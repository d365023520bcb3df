//! How often what happened, of one (phase, fleet, kind).

use serde::{Deserialize, Serialize};

use crate::record::{ErrorKind, Finding, Outcome, Sample, Traffic};

/// How often what happened. `planned` is the sum of the outcomes once every reading has ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Counters {
    pub(super) planned: u64,
    pub(super) sent: u64,
    pub(super) ok: u64,
    pub(super) shed: u64,
    /// By [`ErrorKind`], in the order of [`ErrorKind::ALL`].
    pub(super) errors: [u64; ErrorKind::ALL.len()],
    pub(super) timeout: u64,
    pub(super) lost: u64,
    pub(super) dropped: u64,
    pub(super) duplicated: u64,
    pub(super) reordered: u64,
    pub(super) late: u64,
    /// Times beyond the histograms' bounds, recorded at the bound.
    pub(super) overflow: u64,
    pub(super) within_budget: u64,
    /// Ended readings in which a seeded anomaly begins.
    pub(super) anomalies: u64,
    /// Seeded anomalies of which a first reading was flagged.
    pub(super) anomalies_found: u64,
    /// Ended readings without an anomaly that the peer judged.
    pub(super) judged_normal: u64,
    /// Of those, the ones it flagged.
    pub(super) false_alarms: u64,
    /// Devices whose first failed reading, of the measured phases or of the others, is counted here.
    pub(super) failed_devices: u64,
    /// Messages that answered no reading.
    pub(super) unmatched: u64,
    pub(super) traffic: Traffic,
}

/// More than ever happens in an interval; so many intervals of so many shards as there can be still add up.
pub(super) const MOST: u64 = 1 << 40;

impl Counters {
    /// Whether every count is one that can have been counted in an interval.
    pub(super) fn countable(&self) -> bool {
        let counts = [
            self.planned,
            self.sent,
            self.ok,
            self.shed,
            self.timeout,
            self.lost,
            self.dropped,
            self.duplicated,
            self.reordered,
            self.late,
            self.overflow,
            self.within_budget,
            self.anomalies,
            self.anomalies_found,
            self.judged_normal,
            self.false_alarms,
            self.failed_devices,
            self.unmatched,
            self.traffic.wire_sent,
            self.traffic.wire_received,
            self.traffic.payload_sent,
            self.traffic.payload_received,
        ];
        counts.iter().chain(&self.errors).all(|count| *count <= MOST)
    }

    pub(super) fn error(&self) -> u64 {
        self.errors.iter().sum()
    }

    /// Everything that ended otherwise than ok.
    pub(super) fn failed(&self) -> u64 {
        self.shed + self.error() + self.timeout + self.lost + self.dropped
    }

    /// Everything that has ended.
    pub(super) fn ended(&self) -> u64 {
        self.ok + self.failed()
    }

    pub(super) fn count(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Ok => &mut self.ok,
            Outcome::Shed => &mut self.shed,
            Outcome::Error(kind) => &mut self.errors[kind as usize],
            Outcome::Timeout => &mut self.timeout,
            Outcome::Lost => &mut self.lost,
            Outcome::Dropped => &mut self.dropped,
        } += 1;
    }

    pub(super) fn note(&mut self, finding: Finding) {
        *match finding {
            Finding::Duplicated => &mut self.duplicated,
            Finding::Reordered => &mut self.reordered,
            Finding::Late => &mut self.late,
        } += 1;
    }

    /// Counts what was seeded in an ended reading, and what the peer made of it.
    pub(super) fn judge(&mut self, sample: &Sample) {
        match (sample.mark, sample.flagged) {
            (Some(mark), _) => self.anomalies += u64::from(mark.onset),
            (None, Some(flagged)) => {
                self.judged_normal += 1;
                self.false_alarms += u64::from(flagged);
            }
            (None, None) => {}
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.planned += other.planned;
        self.sent += other.sent;
        self.ok += other.ok;
        self.shed += other.shed;
        for (mine, theirs) in self.errors.iter_mut().zip(other.errors) {
            *mine += theirs;
        }
        self.timeout += other.timeout;
        self.lost += other.lost;
        self.dropped += other.dropped;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.late += other.late;
        self.overflow += other.overflow;
        self.within_budget += other.within_budget;
        self.anomalies += other.anomalies;
        self.anomalies_found += other.anomalies_found;
        self.judged_normal += other.judged_normal;
        self.false_alarms += other.false_alarms;
        self.failed_devices += other.failed_devices;
        self.unmatched += other.unmatched;
        self.traffic.add(other.traffic);
    }
}

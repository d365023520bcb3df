//! How often what happened, of one (phase, fleet, kind).

use serde::{Deserialize, Deserializer, Serialize, de};

use super::count::ReadingCounts;
use crate::record::{Arm, AuditFinding, ErrorKind, Outcome, Outcomes, Retry, Sample, Traffic};

/// How often what happened. `planned` is the sum of the outcomes once every reading has ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Counters {
    pub(crate) planned: u64,
    pub(crate) sent: u64,
    pub(crate) ok: u64,
    pub(crate) shed: u64,
    /// By [`ErrorKind`], in the order of [`ErrorKind::ALL`].
    #[serde(deserialize_with = "errors")]
    pub(crate) errors: [u64; ErrorKind::ALL.len()],
    pub(crate) timeout: u64,
    pub(crate) lost: u64,
    pub(crate) dropped: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    pub(crate) late: u64,
    /// Times beyond the histograms' bounds, recorded at the bound.
    pub(crate) overflow: u64,
    pub(crate) within_budget: u64,
    /// Ended readings in which a seeded anomaly begins.
    pub(crate) anomalies: u64,
    /// Seeded anomalies of which a first reading was flagged.
    pub(crate) anomalies_found: u64,
    /// Ended readings without an anomaly that the peer judged.
    pub(crate) judged_normal: u64,
    /// Of those, the ones it flagged.
    pub(crate) false_alarms: u64,
    /// The same two by [`Arm`], of what was judged by one that the peer named.
    pub(crate) arm_normal: [u64; Arm::ALL.len()],
    pub(crate) arm_alarms: [u64; Arm::ALL.len()],
    /// Devices whose first failed reading, of the measured phases or of the others, is counted here.
    pub(crate) failed_devices: u64,
    /// Messages that answered no reading.
    pub(crate) unmatched: u64,
    pub(crate) traffic: Traffic,
    /// TLS handshakes that took up an earlier session.
    pub(crate) resumed: u64,
    /// Attempts at readings beyond the first, and readings that had one.
    pub(crate) retries: u64,
    pub(crate) retried: u64,
    /// Retries that the fleet's budget did not allow.
    pub(crate) retries_denied: u64,
    /// Answers to readings already answered that the device itself had sent more than once.
    pub(crate) resent: u64,
}

/// Records of before a kind was known have fewer.
fn errors<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u64; ErrorKind::ALL.len()], D::Error> {
    let stored = Vec::<u64>::deserialize(deserializer)?;
    let mut errors = [0; ErrorKind::ALL.len()];
    let places = errors.get_mut(..stored.len());
    places
        .ok_or_else(|| de::Error::invalid_length(stored.len(), &"a count by kind"))?
        .copy_from_slice(&stored);
    Ok(errors)
}

/// More than ever happens in an interval; so many intervals of so many shards as there can be still add up.
pub(crate) const MOST: u64 = 1 << 40;

impl Counters {
    /// Whether every count is one that can have been counted in an interval.
    pub(crate) fn countable(&self) -> bool {
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
            self.traffic.requests,
            self.resumed,
            self.retries,
            self.retried,
            self.retries_denied,
            self.resent,
        ];
        counts
            .iter()
            .chain(&self.errors)
            .chain(&self.arm_normal)
            .chain(&self.arm_alarms)
            .all(|count| *count <= MOST)
    }

    pub(crate) fn error(&self) -> u64 {
        self.errors.iter().sum()
    }

    pub(crate) fn outcomes(&self) -> Outcomes {
        let Self { planned, ok, shed, timeout, lost, dropped, .. } = *self;
        Outcomes { planned, ok, shed, error: self.error(), timeout, lost, dropped }
    }

    /// How often readings were handed to the transport, retries included.
    pub(crate) const fn attempts(&self) -> u64 {
        self.sent + self.retries
    }

    /// Counts what became of a further attempt at a reading.
    pub(crate) fn retry(&mut self, retry: &Retry<'_>) {
        match retry {
            Retry::Due { .. } => {}
            Retry::Sent { number } => {
                self.retries += 1;
                self.retried += u64::from(*number == 2);
            }
            Retry::Denied => self.retries_denied += 1,
        }
    }

    pub(crate) fn counts(&self) -> ReadingCounts {
        let Self { duplicated, reordered, .. } = *self;
        ReadingCounts { outcomes: self.outcomes(), duplicated, reordered }
    }

    pub(crate) fn failed(&self) -> u64 {
        self.outcomes().failed()
    }

    pub(crate) fn ended(&self) -> u64 {
        self.outcomes().ended()
    }

    pub(crate) fn count(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Ok => &mut self.ok,
            Outcome::Shed => &mut self.shed,
            Outcome::Error(kind) => &mut self.errors[kind as usize],
            Outcome::Timeout => &mut self.timeout,
            Outcome::Lost => &mut self.lost,
            Outcome::Dropped => &mut self.dropped,
        } += 1;
    }

    pub(crate) fn note(&mut self, finding: AuditFinding) {
        *match finding {
            AuditFinding::Duplicated => &mut self.duplicated,
            AuditFinding::Resent => &mut self.resent,
            AuditFinding::Reordered => &mut self.reordered,
            AuditFinding::Late => &mut self.late,
            AuditFinding::Unaudited => return,
        } += 1;
    }

    /// Counts what was seeded in an ended reading, and what the peer made of it.
    pub(crate) fn judge(&mut self, sample: &Sample) {
        match (sample.mark, sample.flagged) {
            (Some(mark), _) => self.anomalies += u64::from(mark.onset),
            (None, Some(flagged)) => {
                self.judged_normal += 1;
                self.false_alarms += u64::from(flagged);
                if let Some(arm) = sample.arm {
                    self.arm_normal[arm as usize] += 1;
                    self.arm_alarms[arm as usize] += u64::from(flagged);
                }
            }
            (None, None) => {}
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
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
        for arm in 0..Arm::ALL.len() {
            self.arm_normal[arm] += other.arm_normal[arm];
            self.arm_alarms[arm] += other.arm_alarms[arm];
        }
        self.failed_devices += other.failed_devices;
        self.unmatched += other.unmatched;
        self.traffic.add(other.traffic);
        self.resumed += other.resumed;
        self.retries += other.retries;
        self.retried += other.retried;
        self.retries_denied += other.retries_denied;
        self.resent += other.resent;
    }
}

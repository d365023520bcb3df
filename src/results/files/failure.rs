//! `failures.csv`: why readings and connection attempts failed, one row per phase, fleet, kind and reason.

use serde::{Deserialize, Serialize};

use super::replaced::replaced_row;
use super::table::is_measured;
use crate::clock::Tick;
use crate::record::{Kind, Layout};
use crate::results::record::failure::{Ending, Failures, Row, Subject};
use crate::units::plural;

/// What one of the kind of this name is called in a sentence.
fn noun(kind: &str) -> &'static str {
    Kind::ALL.into_iter().find(|own| own.name() == kind).unwrap_or(Kind::Reading).noun()
}

/// One reason of a fleet over several phases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonSum {
    /// Fleet.
    pub fleet: String,
    /// Its protocol.
    pub protocol: String,
    /// `reading`, `connect` or `tls`.
    pub kind: String,
    /// How it ended: as in `failures.csv`.
    pub outcome: String,
    /// The code that the peer or the system gave, else a word.
    pub code: String,
    /// What happened, in a sentence.
    pub reason: String,
    /// How often.
    pub count: u64,
    /// Devices to which it happened.
    pub devices: u64,
    /// The first device it happened to.
    pub first_device: String,
    /// The beginning of the first reply, if there was one.
    pub sample: String,
}

impl ReasonSum {
    fn of(row: &Failure) -> Self {
        Self {
            fleet: row.fleet.clone(),
            protocol: row.protocol.clone(),
            kind: row.kind.clone(),
            outcome: row.outcome.clone(),
            code: row.code.clone(),
            reason: row.reason.clone(),
            count: 0,
            devices: 0,
            first_device: row.first_device.clone(),
            sample: row.sample.clone(),
        }
    }

    fn is_of(&self, row: &Failure) -> bool {
        (&self.fleet, &self.kind, &self.outcome, &self.code, &self.reason)
            == (&row.fleet, &row.kind, &row.outcome, &row.code, &row.reason)
    }

    /// What one of its kind is called in a sentence.
    pub(crate) fn noun(&self) -> &'static str {
        noun(&self.kind)
    }

    /// Whether it is about messages that answered nothing, not about failures.
    pub fn is_unmatched(&self) -> bool {
        self.outcome == Ending::Unmatched.name()
    }

    /// Whether it is about a peer that did other than it was asked to, not about failures.
    pub fn is_remark(&self) -> bool {
        self.outcome == Ending::Remark.name()
    }

    /// Whether it is about attempts at readings that failed and that another followed, not about failures.
    pub fn is_retried(&self) -> bool {
        self.outcome == Ending::Retried.name()
    }

    /// Whether readings or attempts to connect failed.
    pub fn is_failure(&self) -> bool {
        !self.is_unmatched() && !self.is_remark() && !self.is_retried()
    }

    /// Whether it only follows from what befell other readings or connections: never sent, or not waited for.
    fn is_consequence(&self) -> bool {
        [Ending::Lost, Ending::Dropped].iter().any(|ending| self.outcome == ending.name())
    }

    /// What happened, how often and to how many: `HTTP 404 Not Found: 2002 readings of 30 devices of fleet meters`.
    pub fn sentence(&self) -> String {
        let Self { reason, count, devices, fleet, .. } = self;
        let what = plural(*count, noun(&self.kind));
        format!("{reason}: {what} of {} of fleet {fleet}", plural(*devices, "device"))
    }
}

/// The reasons of `rows`, summed over phases: of readings and deliveries those of the measured phases, of connections and messages all. Causes
/// come before what follows from them, then the most frequent first.
pub(crate) fn reasons(rows: &[Failure]) -> Vec<ReasonSum> {
    let mut sums: Vec<ReasonSum> = Vec::new();
    let unmatched = Ending::Unmatched.name();
    let wanted = |row: &&Failure| match row.kind.as_str() {
        "reading" | "delivery" => row.outcome == unmatched || is_measured(&row.phase),
        // The attempt to connect failed for the same reason.
        "tls" => false,
        _ => true,
    };
    for row in rows.iter().filter(wanted) {
        let place = sums.iter().position(|sum| sum.is_of(row)).unwrap_or_else(|| {
            sums.push(ReasonSum::of(row));
            sums.len() - 1
        });
        let sum = &mut sums[place];
        sum.count += row.count;
        sum.devices += row.devices;
    }
    sums.sort_by(|a, b| {
        let rank = |sum: &ReasonSum| {
            let connect = sum.kind == "connect";
            (!sum.is_failure(), connect, sum.is_consequence(), std::cmp::Reverse(sum.count))
        };
        rank(a).cmp(&rank(b))
    });
    sums
}

replaced_row! {
    "failures.csv":
    /// A row of `failures.csv`: one reason for which readings or connection attempts of a fleet failed in a phase.
    struct Failure {
    /// Phase in which the reading was due or the attempt began.
    phase: String,
    /// Fleet.
    fleet: String,
    /// Its protocol.
    protocol: String,
    /// `reading` or `connect`.
    kind: String,
    /// `shed`, `error`, `timeout`, `lost`, `dropped`; or `unmatched`: a message that answered no reading; or `remark`: the peer did
    /// other than it was asked to, and readings went on; or `retried`: an attempt at a reading failed, and another followed.
    outcome: String,
    /// The code that the peer or the system gave: `HTTP 404`, `CONNACK 5`, `ECONNREFUSED`; else a word.
    code: String,
    /// What happened, in a sentence.
    reason: String,
    /// How often.
    count: u64,
    /// Devices to which it happened, each counted where it first happened to it: sums over measured phases are numbers of devices.
    devices: u64,
    /// When it was first known, seconds since the run began.
    first_s: f64,
    /// When it was last known.
    last_s: f64,
    /// The first device it happened to.
    first_device: String,
    /// The number of that device's reading; empty for connection attempts and messages.
    first_seq: Option<u64>,
    /// The beginning of the first reply, if there was one; known secrets are masked.
    sample: String,
    /// The attempt at the reading that failed, from 1, where 10 is the tenth or a later one; empty for what
    /// was never sent and what is no reading, and where reasons too many to tell apart share a row.
    attempt: Option<u64>,
    }
}

/// The rows of the file: by phase, fleet and kind, the most frequent first.
pub(crate) fn rows(failures: &Failures, layout: &Layout) -> Vec<Failure> {
    let mut rows: Vec<_> = failures.rows().iter().collect();
    rows.sort_by_key(|row| {
        let Subject { phase, fleet, kind, ending } = row.subject;
        (phase, fleet, kind, !ending.is_failure(), std::cmp::Reverse(row.count), row.first)
    });
    rows.into_iter().filter_map(|row| shown(layout, row)).collect()
}

fn shown(layout: &Layout, row: &Row) -> Option<Failure> {
    let (phase, fleet) = (layout.phases.get(row.subject.phase)?, layout.fleets.get(row.subject.fleet)?);
    let (at, device, seq) = row.first;
    Some(Failure {
        phase: phase.name.clone(),
        fleet: fleet.name.clone(),
        protocol: fleet.protocol.name().to_owned(),
        kind: row.subject.kind.name().to_owned(),
        outcome: row.subject.ending.name().to_owned(),
        code: row.reason.code.to_string(),
        reason: no_formula(&row.reason.sentence),
        count: row.count,
        devices: row.devices,
        first_s: rounded(at),
        last_s: rounded(row.last),
        first_device: fleet.device_name(device),
        first_seq: is_of_reading(row).then_some(seq),
        sample: no_formula(row.reason.sample.as_deref().unwrap_or_default()),
        attempt: (row.attempt > 0).then_some(row.attempt.into()),
    })
}

/// Whether a row is about readings and not about messages.
fn is_of_reading(row: &Row) -> bool {
    row.subject.kind == Kind::Reading && !matches!(row.subject.ending, Ending::Unmatched | Ending::Remark)
}

/// Foreign text that a spreadsheet would take for a formula begins with a space.
fn no_formula(text: &str) -> String {
    let space = if text.starts_with(['=', '+', '-', '@']) { " " } else { "" };
    format!("{space}{text}")
}

fn rounded(at: Tick) -> f64 {
    (at.as_secs_f64() * 1e6).round() / 1e6
}

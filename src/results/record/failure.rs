//! Why readings and connection attempts failed: bounded rows, one per phase, fleet, kind and reason.

use serde::{Deserialize, Serialize};

use super::counter;
use crate::clock::Tick;
use crate::record::{Code, Kind, Layout, Outcome, Reason};

/// Most reasons of one phase, fleet and kind; further ones share a row.
const MOST_REASONS: usize = 32;

/// Attempts at a reading that are told apart; the last of them stands for all further ones.
pub(crate) const MOST_ATTEMPTS: u8 = 10;

/// How something did not go well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ending {
    Shed,
    Error,
    Timeout,
    Lost,
    Dropped,
    /// A message answered no reading.
    Unmatched,
    /// The peer did other than it was asked to, and readings went on.
    Remark,
    /// An attempt at a reading failed, and another followed.
    Retried,
}

impl Ending {
    /// `None` for what ended ok.
    pub(crate) const fn of(outcome: Outcome) -> Option<Self> {
        Some(match outcome {
            Outcome::Ok => return None,
            Outcome::Shed => Self::Shed,
            Outcome::Error(_) => Self::Error,
            Outcome::Timeout => Self::Timeout,
            Outcome::Lost => Self::Lost,
            Outcome::Dropped => Self::Dropped,
        })
    }

    /// Whether something failed.
    pub(crate) const fn is_failure(self) -> bool {
        !matches!(self, Self::Unmatched | Self::Remark | Self::Retried)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Shed => "shed",
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::Lost => "lost",
            Self::Dropped => "dropped",
            Self::Unmatched => "unmatched",
            Self::Remark => "remark",
            Self::Retried => "retried",
        }
    }
}

/// What a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Subject {
    pub(crate) phase: usize,
    pub(crate) fleet: usize,
    pub(crate) kind: Kind,
    pub(crate) ending: Ending,
}

/// One reason of one subject: how often, when, and the first it happened to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) subject: Subject,
    /// The attempt at the reading that failed, from 1 to [`MOST_ATTEMPTS`]; 0 where there is none, or several share the row.
    #[serde(default)]
    pub(crate) attempt: u8,
    pub(crate) reason: Reason,
    pub(crate) count: u64,
    /// Devices to which this first happened here.
    pub(crate) devices: u64,
    /// When it first happened, to which device, and with which of its readings.
    pub(crate) first: (Tick, u32, u64),
    pub(crate) last: Tick,
}

impl Row {
    fn is_of(&self, other: &Self) -> bool {
        self.subject == other.subject && self.attempt == other.attempt && same(&self.reason, &other.reason)
    }

    fn join(&mut self, other: &Self) {
        self.count += other.count;
        self.devices += other.devices;
        self.last = self.last.max(other.last);
        if other.first < self.first {
            self.first = other.first;
            self.reason.sample = other.reason.sample.clone().or_else(|| self.reason.sample.take());
        }
    }
}

/// Whether two reasons count as one.
pub(crate) fn same(one: &Reason, other: &Reason) -> bool {
    one.code == other.code && one.sentence == other.sentence
}

/// Stands for `reason` where there are too many to tell apart: with its code, if that is a `known` one.
pub(crate) fn further_of(reason: &Reason, known: impl Fn(&Code) -> bool) -> Reason {
    if known(&reason.code) {
        return Reason::new(reason.code.clone(), format!("{}, with further reasons", reason.code));
    }
    Reason::new(Code::word("other"), "further reasons")
}

/// Whether `reason` stands for several.
fn is_further(reason: &Reason) -> bool {
    same(reason, &further_of(reason, |_| true)) || same(reason, &further_of(reason, |_| false))
}

/// Bounded rows, in the order in which they were first needed, and how many devices of each fleet were refused for good.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Failures {
    rows: Vec<Row>,
    /// By fleet; empty while there are none.
    refused: Vec<u64>,
}

impl Failures {
    /// Adds one row, or as much as it says to the row that stands for its reason.
    pub(crate) fn add_row(&mut self, row: &Row) {
        if let Some(mine) = self.rows.iter_mut().find(|mine| mine.is_of(row)) {
            return mine.join(row);
        }
        if self.has_room(row) || is_further(&row.reason) {
            self.rows.push(row.clone());
        } else {
            let of = |mine: &Row| mine.subject == row.subject;
            let known = |code: &Code| self.rows.iter().any(|mine| of(mine) && mine.reason.code == *code);
            let reason = Reason { sample: row.reason.sample.clone(), ..further_of(&row.reason, known) };
            self.add_row(&Row { reason, attempt: 0, ..row.clone() });
        }
    }

    /// Whether a row of its own may be made for `row`: for a further attempt that failed for a known reason, or for a new reason.
    fn has_room(&self, row: &Row) -> bool {
        let mut reasons: Vec<&Reason> = Vec::new();
        for mine in self.rows.iter().filter(|mine| mine.subject == row.subject) {
            if !reasons.iter().any(|known| same(known, &mine.reason)) {
                reasons.push(&mine.reason);
            }
        }
        reasons.len() < MOST_REASONS || reasons.iter().any(|known| same(known, &row.reason))
    }

    /// Notes that a further device of fleet number `fleet` was refused for good.
    pub(crate) fn refuse(&mut self, fleet: usize, devices: u64) {
        if self.refused.len() <= fleet {
            self.refused.resize(fleet + 1, 0);
        }
        self.refused[fleet] += devices;
    }

    /// Devices of fleet number `fleet` that were refused for good at least once.
    pub(crate) fn refused(&self, fleet: usize) -> u64 {
        self.refused.get(fleet).copied().unwrap_or(0)
    }

    /// The refusal that most connections of fleet number `fleet` met.
    pub(crate) fn refusal(&self, fleet: usize) -> Option<&Reason> {
        let connects = self.rows.iter().filter(|row| row.subject.fleet == fleet);
        let refusals = connects.filter(|row| row.subject.kind == Kind::Connect && row.reason.final_refusal);
        refusals.max_by_key(|row| row.count).map(|row| &row.reason)
    }

    /// Adds all of another worker's, interval's or shard's.
    pub(crate) fn add(&mut self, other: &Self) {
        other.rows.iter().for_each(|row| self.add_row(row));
        for (fleet, devices) in other.refused.iter().enumerate().filter(|(_, devices)| **devices > 0) {
            self.refuse(fleet, *devices);
        }
    }

    /// In the order in which they were first needed.
    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(crate) fn reset(&mut self) {
        self.rows.clear();
        self.refused.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether it is of phases and fleets of `layout`, with counts that an interval can have.
    pub(crate) fn fit(&self, layout: &Layout) -> bool {
        let fits = |row: &Row| {
            row.subject.phase < layout.phases.len()
                && row.subject.fleet < layout.fleets.len()
                && row.count.max(row.devices) <= counter::MOST
        };
        self.rows.iter().all(fits) && self.refused.len() <= layout.fleets.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(phase: usize, sentence: &str, at: u64) -> Row {
        let subject = Subject { phase, fleet: 0, kind: Kind::Reading, ending: Ending::Error };
        let reason = Reason::new(Code::word("error"), sentence.to_owned()).with_sample(sentence.as_bytes());
        Row { subject, attempt: 1, reason, count: 1, devices: 1, first: (Tick(at), 3, 9), last: Tick(at) }
    }

    #[test]
    fn equal_reasons_share_a_row_with_the_first_and_the_last_of_them() {
        let mut failures = Failures::default();
        for (phase, sentence, at) in [(0, "a", 50), (0, "a", 20), (0, "b", 30), (1, "a", 70), (0, "a", 90)] {
            failures.add_row(&row(phase, sentence, at));
        }
        let found: Vec<_> = failures
            .rows
            .iter()
            .map(|row| (row.subject.phase, &*row.reason.sentence, row.count, row.first.0.0, row.last.0))
            .collect();
        assert_eq!(found, [(0, "a", 3, 20, 90), (0, "b", 1, 30, 30), (1, "a", 1, 70, 70)]);
    }

    #[test]
    fn reasons_without_end_are_bounded_and_none_is_lost() {
        let mut failures = Failures::default();
        for number in 0..1_000 {
            failures.add_row(&row(0, &format!("error {number}"), number));
        }
        assert_eq!(failures.rows.len(), MOST_REASONS + 1);
        assert_eq!(failures.rows.iter().map(|row| row.count).sum::<u64>(), 1_000);
        let mut twice = failures.clone();
        twice.add(&failures);
        assert_eq!(twice.rows.len(), MOST_REASONS + 1);
        assert_eq!(twice.rows.iter().map(|row| row.count).sum::<u64>(), 2_000);
    }

    #[test]
    fn attempts_are_told_apart_and_take_no_room_from_reasons() {
        let mut failures = Failures::default();
        let numbered = |sentence: &str, attempt| Row { attempt, ..row(0, sentence, u64::from(attempt)) };
        for attempt in 1..=MOST_ATTEMPTS {
            failures.add_row(&numbered("a", attempt));
            failures.add_row(&numbered("a", attempt));
        }
        for number in 1..MOST_REASONS {
            failures.add_row(&numbered(&format!("b {number}"), 1));
        }
        failures.add_row(&numbered("one too many", 3));
        let of = |sentence: &str| {
            let rows = failures.rows.iter().filter(|row| row.reason.sentence == sentence);
            rows.map(|row| (row.attempt, row.count)).collect::<Vec<_>>()
        };
        assert_eq!(of("a"), (1..=MOST_ATTEMPTS).map(|attempt| (attempt, 2)).collect::<Vec<_>>());
        assert_eq!((of("b 31"), of("one too many")), (vec![(1, 1)], vec![]));
        assert_eq!(of("error, with further reasons"), [(0, 1)]);
    }

    #[test]
    fn refused_devices_add_up_by_fleet() {
        let (mut one, mut other) = (Failures::default(), Failures::default());
        one.refuse(2, 1);
        other.refuse(0, 3);
        one.add(&other);
        assert_eq!([0, 1, 2, 3].map(|fleet| one.refused(fleet)), [3, 0, 1, 0]);
    }
}

//! Why readings and connection attempts failed: one row per phase, fleet, kind and reason, in `failures.csv`.

use std::fs::File;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::counter;
use super::directory::RunDirectory;
use super::table::{TableError, is_measured};
use crate::clock::Tick;
use crate::record::{Code, Kind, Layout, Outcome, Reason};

const NAME: &str = "failures.csv";

/// Most reasons of one phase, fleet and kind; further ones share a row.
const MOST_REASONS: usize = 32;

/// How something did not go well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ending {
    Shed,
    Error,
    Timeout,
    Lost,
    Dropped,
    /// A message answered no reading.
    Unmatched,
}

impl Ending {
    /// `None` for what ended ok.
    pub(super) const fn of(outcome: Outcome) -> Option<Self> {
        Some(match outcome {
            Outcome::Ok => return None,
            Outcome::Shed => Self::Shed,
            Outcome::Error(_) => Self::Error,
            Outcome::Timeout => Self::Timeout,
            Outcome::Lost => Self::Lost,
            Outcome::Dropped => Self::Dropped,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Shed => "shed",
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::Lost => "lost",
            Self::Dropped => "dropped",
            Self::Unmatched => "unmatched",
        }
    }
}

/// What a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Subject {
    pub(super) phase: usize,
    pub(super) fleet: usize,
    pub(super) kind: Kind,
    pub(super) ending: Ending,
}

/// One reason of one subject: how often, when, and the first it happened to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) subject: Subject,
    pub(super) reason: Reason,
    pub(super) count: u64,
    /// Devices to which this first happened here.
    pub(super) devices: u64,
    /// When it first happened, to which device, and with which of its readings.
    pub(super) first: (Tick, u32, u64),
    pub(super) last: Tick,
}

impl Row {
    fn is_of(&self, subject: Subject, reason: &Reason) -> bool {
        self.subject == subject && same(&self.reason, reason)
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
pub(super) fn same(one: &Reason, other: &Reason) -> bool {
    one.code == other.code && one.sentence == other.sentence
}

/// Stands for `reason` where there are too many to tell apart: with its code, if that is a `known` one.
pub(super) fn further_of(reason: &Reason, known: impl Fn(&Code) -> bool) -> Reason {
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
pub(super) struct Failures {
    rows: Vec<Row>,
    /// By fleet; empty while there are none.
    refused: Vec<u64>,
}

impl Failures {
    /// Adds one row, or as much as it says to the row that stands for its reason.
    pub(super) fn add_row(&mut self, row: &Row) {
        if let Some(mine) = self.rows.iter_mut().find(|mine| mine.is_of(row.subject, &row.reason)) {
            return mine.join(row);
        }
        let several = self.rows.iter().filter(|mine| mine.subject == row.subject).count();
        if several < MOST_REASONS || is_further(&row.reason) {
            self.rows.push(row.clone());
        } else {
            let of = |mine: &Row| mine.subject == row.subject;
            let known = |code: &Code| self.rows.iter().any(|mine| of(mine) && mine.reason.code == *code);
            let reason = Reason { sample: row.reason.sample.clone(), ..further_of(&row.reason, known) };
            self.add_row(&Row { reason, ..row.clone() });
        }
    }

    /// Notes that a further device of fleet number `fleet` was refused for good.
    pub(super) fn refuse(&mut self, fleet: usize, devices: u64) {
        if self.refused.len() <= fleet {
            self.refused.resize(fleet + 1, 0);
        }
        self.refused[fleet] += devices;
    }

    /// Devices of fleet number `fleet` that were refused for good at least once.
    pub(super) fn refused(&self, fleet: usize) -> u64 {
        self.refused.get(fleet).copied().unwrap_or(0)
    }

    /// The refusal that most connections of fleet number `fleet` met.
    pub(super) fn refusal(&self, fleet: usize) -> Option<&Reason> {
        let connects = self.rows.iter().filter(|row| row.subject.fleet == fleet);
        let refusals = connects.filter(|row| row.subject.kind == Kind::Connect && row.reason.final_refusal);
        refusals.max_by_key(|row| row.count).map(|row| &row.reason)
    }

    /// Adds all of another worker's, interval's or shard's.
    pub(super) fn add(&mut self, other: &Self) {
        other.rows.iter().for_each(|row| self.add_row(row));
        for (fleet, devices) in other.refused.iter().enumerate().filter(|(_, devices)| **devices > 0) {
            self.refuse(fleet, *devices);
        }
    }

    pub(super) fn reset(&mut self) {
        self.rows.clear();
        self.refused.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether it is of phases and fleets of `layout`, with counts that an interval can have.
    pub(super) fn fit(&self, layout: &Layout) -> bool {
        let fits = |row: &Row| {
            row.subject.phase < layout.phases.len()
                && row.subject.fleet < layout.fleets.len()
                && row.count.max(row.devices) <= counter::MOST
        };
        self.rows.iter().all(fits) && self.refused.len() <= layout.fleets.len()
    }

    /// The rows of the file: by phase, fleet and kind, the most frequent first.
    pub(super) fn report(&self, layout: &Layout) -> Vec<Failure> {
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_by_key(|row| {
            let Subject { phase, fleet, kind, ending } = row.subject;
            (phase, fleet, kind, ending == Ending::Unmatched, std::cmp::Reverse(row.count), row.first)
        });
        rows.into_iter().filter_map(|row| shown(layout, row)).collect()
    }
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
        first_seq: (row.subject.kind == Kind::Reading && row.subject.ending != Ending::Unmatched)
            .then_some(seq),
        sample: no_formula(row.reason.sample.as_deref().unwrap_or_default()),
    })
}

/// Foreign text that a spreadsheet would take for a formula begins with a space.
fn no_formula(text: &str) -> String {
    let space = if text.starts_with(['=', '+', '-', '@']) { " " } else { "" };
    format!("{space}{text}")
}

fn rounded(at: Tick) -> f64 {
    (at.as_secs_f64() * 1e6).round() / 1e6
}

/// One reason of a fleet over several phases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonSum {
    /// Fleet.
    pub fleet: String,
    /// Its protocol.
    pub protocol: String,
    /// `reading` or `connect`.
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

    /// Whether it is about messages that answered nothing, not about failures.
    pub fn is_unmatched(&self) -> bool {
        self.outcome == Ending::Unmatched.name()
    }

    /// Whether it only follows from what befell other readings or connections: never sent, or not waited for.
    fn is_consequence(&self) -> bool {
        [Ending::Lost, Ending::Dropped].iter().any(|ending| self.outcome == ending.name())
    }

    /// What happened, how often and to how many: `HTTP 404 Not Found: 2002 readings of 30 devices of fleet meters`.
    pub fn sentence(&self) -> String {
        let Self { reason, count, devices, fleet, .. } = self;
        let plural = |number: u64, word: &str| {
            if number == 1 { format!("1 {word}") } else { format!("{number} {word}s") }
        };
        let what = match self.kind.as_str() {
            "connect" => plural(*count, "connection attempt"),
            _ => plural(*count, "reading"),
        };
        format!("{reason}: {what} of {} of fleet {fleet}", plural(*devices, "device"))
    }
}

/// The reasons of `rows`, summed over phases: of readings those of the measured phases, of connections and messages all. Causes
/// come before what follows from them, then the most frequent first.
pub(super) fn reasons(rows: &[Failure]) -> Vec<ReasonSum> {
    let mut sums: Vec<ReasonSum> = Vec::new();
    let unmatched = Ending::Unmatched.name();
    let wanted =
        |row: &&Failure| row.kind != "reading" || row.outcome == unmatched || is_measured(&row.phase);
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
            (sum.is_unmatched(), connect, sum.is_consequence(), std::cmp::Reverse(sum.count))
        };
        rank(a).cmp(&rank(b))
    });
    sums
}

/// Declares [`Failure`]: the names of its fields are the columns, in their order. Columns are only ever appended.
macro_rules! failure {
    ($($(#[$doc:meta])* $name:ident: $kind:ty,)*) => {
        /// A row of `failures.csv`: one reason for which readings or connection attempts of a fleet failed in a phase.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        pub struct Failure {
            $($(#[$doc])* pub $name: $kind,)*
        }

        const COLUMNS: &[&str] = &["run_id", $(stringify!($name)),*];
    };
}

failure! {
    /// Phase in which the reading was due or the attempt began.
    phase: String,
    /// Fleet.
    fleet: String,
    /// Its protocol.
    protocol: String,
    /// `reading` or `connect`.
    kind: String,
    /// `shed`, `error`, `timeout`, `lost`, `dropped`; or `unmatched`: a message that answered no reading.
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
}

/// Writes `failures.csv` anew whenever there is something to add: readers see the old file or the new one.
#[derive(Debug)]
pub(super) struct FailureTable {
    directory: RunDirectory,
}

impl FailureTable {
    pub(super) fn of(directory: &RunDirectory) -> Self {
        Self { directory: directory.clone() }
    }

    pub(super) fn start(directory: &RunDirectory) -> io::Result<Self> {
        let table = Self::of(directory);
        table.write(&[])?;
        Ok(table)
    }

    pub(super) fn write(&self, rows: &[Failure]) -> io::Result<()> {
        self.directory.replace(NAME, |file| {
            let mut table = csv::WriterBuilder::new().has_headers(false).from_writer(file);
            table.write_record(COLUMNS)?;
            for row in rows {
                table.serialize((self.directory.run_id(), row))?;
            }
            table.flush()
        })
    }
}

/// Reads `failures.csv` of the run in `directory`; a run from before there was one has none. Columns are found by name.
///
/// # Errors
/// If it cannot be read, is no CSV, or a cell does not hold a value of its column.
pub(super) fn read_failures(directory: &Path) -> Result<Vec<Failure>, TableError> {
    let file = directory.join(NAME);
    let path = file.display().to_string();
    let file = match File::open(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened.map_err(|source| TableError::Io { path: path.clone(), source })?,
    };
    let rows: Result<_, _> = csv::Reader::from_reader(file).deserialize().collect();
    rows.map_err(|source| TableError::Csv { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(phase: usize, sentence: &str, at: u64) -> Row {
        let subject = Subject { phase, fleet: 0, kind: Kind::Reading, ending: Ending::Error };
        let reason = Reason::new(Code::word("error"), sentence.to_owned()).with_sample(sentence.as_bytes());
        Row { subject, reason, count: 1, devices: 1, first: (Tick(at), 3, 9), last: Tick(at) }
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
    fn refused_devices_add_up_by_fleet() {
        let (mut one, mut other) = (Failures::default(), Failures::default());
        one.refuse(2, 1);
        other.refuse(0, 3);
        one.add(&other);
        assert_eq!([0, 1, 2, 3].map(|fleet| one.refused(fleet)), [3, 0, 1, 0]);
    }
}

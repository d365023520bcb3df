//! How well the service found what was seeded: the score of a run, from its `anomalies.csv` and `summary.csv`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::anomaly::{AnomalyRow, read_anomalies};
use super::table::{SummaryRow, TableError, read_summary};
use crate::record::{AnomalyKind, Kind, Outcome};

/// The phase whose readings are kept out of every headline.
const WARM_UP: &str = "warm-up";

/// The score of a run, by fleet and in all, over the measured phases.
///
/// An anomaly is what carries one episode number of one device. It counts as seeded if its first reading is in the file,
/// lies in a measured phase and ended ok, and if the service judged at least one of its readings: a service cannot find
/// what it never got, and one that does not judge is not scored. It counts as found if any of its readings was flagged,
/// whichever and in whatever phase. A reading that stands in the file twice counts once.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Detections {
    /// By fleet, sorted by name; fleets in which nothing was seeded and nothing judged are left out.
    pub fleets: Vec<FleetDetection>,
    /// All fleets together.
    pub all: Score,
}

/// The score of one fleet.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FleetDetection {
    /// The fleet.
    pub fleet: String,
    /// Its score.
    #[serde(flatten)]
    pub score: Score,
}

/// What was seeded and found, and what was flagged without reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Score {
    /// Single readings that are off.
    pub spike: DetectionCount,
    /// Levels that move.
    pub shift: DetectionCount,
    /// Levels that creep away.
    pub drift: DetectionCount,
    /// Values that are repeated.
    pub stuck: DetectionCount,
    /// Noise that grows.
    pub variance: DetectionCount,
    /// Readings without an anomaly that the service judged.
    pub judged_normal: u64,
    /// Of those, the ones it flagged.
    pub false_alarms: u64,
}

/// How many there were, and how many of them were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct DetectionCount {
    /// Anomalies that could have been found.
    pub seeded: u64,
    /// Of those, the ones that were.
    pub found: u64,
}

impl DetectionCount {
    fn add(&mut self, other: Self) {
        self.seeded += other.seeded;
        self.found += other.found;
    }
}

impl Score {
    /// Anomalies of one kind.
    pub fn of(&self, kind: AnomalyKind) -> DetectionCount {
        match kind {
            AnomalyKind::Spike => self.spike,
            AnomalyKind::Shift => self.shift,
            AnomalyKind::Drift => self.drift,
            AnomalyKind::Stuck => self.stuck,
            AnomalyKind::Variance => self.variance,
        }
    }

    fn of_mut(&mut self, kind: AnomalyKind) -> &mut DetectionCount {
        match kind {
            AnomalyKind::Spike => &mut self.spike,
            AnomalyKind::Shift => &mut self.shift,
            AnomalyKind::Drift => &mut self.drift,
            AnomalyKind::Stuck => &mut self.stuck,
            AnomalyKind::Variance => &mut self.variance,
        }
    }

    /// Anomalies of all kinds.
    pub fn anomalies(&self) -> DetectionCount {
        let mut all = DetectionCount::default();
        for kind in AnomalyKind::ALL {
            all.add(self.of(kind));
        }
        all
    }

    fn add(&mut self, other: &Self) {
        for kind in AnomalyKind::ALL {
            self.of_mut(kind).add(other.of(kind));
        }
        self.judged_normal += other.judged_normal;
        self.false_alarms += other.false_alarms;
    }
}

/// What the rows so far tell about one anomaly.
#[derive(Debug)]
struct Episode {
    kind: AnomalyKind,
    /// Whether its first reading is there, of a measured phase, and ended ok.
    arrived: bool,
    judged: bool,
    flagged: bool,
}

impl Detections {
    /// Scores the run in `directory`. A run from before `anomalies.csv` existed has an empty score.
    ///
    /// # Errors
    /// If `summary.csv` is missing, or either file does not hold what it should.
    pub fn load(directory: &Path) -> Result<Self, TableError> {
        Self::with_summary(directory, &read_summary(directory)?)
    }

    /// Scores the run in `directory`, whose summary has been read.
    pub(crate) fn with_summary(directory: &Path, summary: &[SummaryRow]) -> Result<Self, TableError> {
        match read_anomalies(directory) {
            Ok(rows) => Self::of(rows, summary),
            Err(TableError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Ok(Self::default())
            }
            Err(error) => Err(error),
        }
    }

    /// Scores `rows` of `anomalies.csv` in any order, with the false alarms of `summary`.
    ///
    /// # Errors
    /// The first one among `rows`.
    pub fn of(
        rows: impl IntoIterator<Item = Result<AnomalyRow, TableError>>,
        summary: &[SummaryRow],
    ) -> Result<Self, TableError> {
        let mut episodes = BTreeMap::new();
        for row in rows {
            let row = row?;
            let episode = episodes.entry((row.fleet, row.device, row.episode)).or_insert(Episode {
                kind: row.kind,
                arrived: false,
                judged: false,
                flagged: false,
            });
            episode.arrived |= row.onset && row.outcome == Outcome::Ok.name() && row.phase != WARM_UP;
            episode.judged |= row.flagged.is_some();
            episode.flagged |= row.flagged == Some(true);
        }
        let mut fleets: BTreeMap<String, Score> = BTreeMap::new();
        for ((fleet, ..), episode) in episodes {
            if episode.arrived && episode.judged {
                let found = DetectionCount { seeded: 1, found: u64::from(episode.flagged) };
                fleets.entry(fleet).or_default().of_mut(episode.kind).add(found);
            }
        }
        let readings = summary
            .iter()
            .filter(|row| !row.is_headline() && row.kind == Kind::Reading.name() && row.phase != WARM_UP);
        for row in readings {
            let Some(judged_normal) = row.figures.judged_normal else { continue };
            let false_alarms = row.figures.false_alarms.unwrap_or_default();
            let score = Score { judged_normal, false_alarms, ..Score::default() };
            fleets.entry(row.fleet.clone()).or_default().add(&score);
        }
        let mut all = Score::default();
        for score in fleets.values() {
            all.add(score);
        }
        let fleets = fleets.into_iter().map(|(fleet, score)| FleetDetection { fleet, score }).collect();
        Ok(Self { fleets, all })
    }
}

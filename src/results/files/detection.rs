//! How well the service found what was seeded: the score of a run, from its `anomalies.csv` and `summary.csv`.

use std::collections::BTreeMap;
use std::mem;
use std::path::Path;

use serde::Serialize;

use super::anomaly::{AnomalyRow, read_anomalies};
use super::figures::Figures;
use super::table::{SummaryRow, TableError, read_summary};
use crate::record::{AnomalyKind, Arm, Kind, Outcome};

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
    /// By which of two models judged, where the service says so: an anomaly belongs to the one that judged first of its readings.
    /// Empty where it never does.
    pub arms: Vec<ArmDetection>,
}

/// The score of one of two models that judge side by side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ArmDetection {
    /// Which.
    pub arm: Arm,
    /// Of its alarms, those for an anomaly, 0 to 1: found ÷ (found + false alarms); none without an alarm.
    pub precision: Option<f64>,
    /// Of the anomalies, those that it found, 0 to 1; none without an anomaly.
    pub recall: Option<f64>,
    /// Mean of the readings from the first of an anomaly to the one that was flagged, of those found: 0 is at once.
    pub delay_readings: Option<f64>,
    /// The same in seconds, between intended starts.
    pub delay_s: Option<f64>,
    /// Its score.
    #[serde(flatten)]
    pub score: Score,
}

impl ArmDetection {
    fn of(arm: Arm, score: Score, delay: Delay) -> Self {
        let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        let DetectionCount { seeded, found } = score.anomalies();
        Self {
            arm,
            precision: share(found, found + score.false_alarms),
            recall: share(found, seeded),
            delay_readings: share(delay.readings, found),
            delay_s: share(delay.us, found).map(|us| us / 1e6),
            score,
        }
    }
}

/// From the first readings of anomalies to those that were flagged, summed.
#[derive(Debug, Clone, Copy, Default)]
struct Delay {
    readings: u64,
    us: u64,
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
    /// The number of its first reading, and when that was due, microseconds.
    onset: Option<(u64, u64)>,
    /// The same of the first that was flagged.
    flagged: Option<(u64, u64)>,
    /// Who judged the first that was judged by a model with a name, and its number.
    arm: Option<(u64, Arm)>,
}

impl Episode {
    const fn new(kind: AnomalyKind) -> Self {
        Self { kind, arrived: false, judged: false, onset: None, flagged: None, arm: None }
    }

    fn add(&mut self, row: &AnomalyRow) {
        let place = (row.seq, (row.t_s * 1e6).round() as u64);
        let first = |known: Option<(u64, u64)>| Some(known.map_or(place, |known| known.min(place)));
        self.arrived |= row.onset && row.outcome == Outcome::Ok.name() && row.phase != WARM_UP;
        self.judged |= row.flagged.is_some();
        if row.onset {
            self.onset = first(self.onset);
        }
        if row.flagged == Some(true) {
            self.flagged = first(self.flagged);
        }
        if let Some(arm) = row.arm {
            let here = (row.seq, arm);
            self.arm = Some(self.arm.map_or(here, |known| known.min(here)));
        }
    }

    fn delay(&self) -> Delay {
        let between = self.onset.zip(self.flagged);
        between.map_or_else(Delay::default, |((seq, us), (flagged, at))| Delay {
            readings: flagged.saturating_sub(seq),
            us: at.saturating_sub(us),
        })
    }
}

/// What one of two models came to so far.
#[derive(Debug, Clone, Copy, Default)]
struct ArmTally {
    score: Score,
    delay: Delay,
}

/// Adds up what each of two models came to.
#[derive(Debug, Default)]
struct ArmTallies([ArmTally; Arm::ALL.len()]);

impl ArmTallies {
    fn add(&mut self, arm: Arm, score: &Score, delay: Delay) {
        let tally = &mut self.0[arm as usize];
        tally.score.add(score);
        tally.delay.readings += delay.readings;
        tally.delay.us += delay.us;
    }

    /// What of `figures` is of one of them.
    fn add_alarms(&mut self, figures: &Figures) {
        let alarms = [
            (Arm::Champion, figures.champion_normal, figures.champion_false_alarms),
            (Arm::Challenger, figures.challenger_normal, figures.challenger_false_alarms),
        ];
        for (arm, normal, alarms) in alarms {
            let (judged_normal, false_alarms) = (normal.unwrap_or_default(), alarms.unwrap_or_default());
            self.add(arm, &Score { judged_normal, false_alarms, ..Score::default() }, Delay::default());
        }
    }

    /// Both, unless neither judged anything.
    fn finish(self) -> Vec<ArmDetection> {
        if self.0.iter().all(|tally| tally.score == Score::default()) {
            return Vec::new();
        }
        let of = |(arm, tally): (Arm, ArmTally)| ArmDetection::of(arm, tally.score, tally.delay);
        Arm::ALL.into_iter().zip(self.0).map(of).collect()
    }
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
            let mut row = row?;
            let place = (mem::take(&mut row.fleet), mem::take(&mut row.device), row.episode);
            episodes.entry(place).or_insert(Episode::new(row.kind)).add(&row);
        }
        let mut fleets: BTreeMap<String, Score> = BTreeMap::new();
        let mut arms = ArmTallies::default();
        for ((fleet, ..), episode) in episodes {
            if episode.arrived && episode.judged {
                let found = DetectionCount { seeded: 1, found: u64::from(episode.flagged.is_some()) };
                fleets.entry(fleet).or_default().of_mut(episode.kind).add(found);
                if let Some((_, arm)) = episode.arm {
                    let mut score = Score::default();
                    score.of_mut(episode.kind).add(found);
                    arms.add(arm, &score, episode.delay());
                }
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
            arms.add_alarms(&row.figures);
        }
        let mut all = Score::default();
        for score in fleets.values() {
            all.add(score);
        }
        let fleets = fleets.into_iter().map(|(fleet, score)| FleetDetection { fleet, score }).collect();
        Ok(Self { fleets, all, arms: arms.finish() })
    }
}

//! What the seed knows of a reading that its receiver must find out: that an anomaly shows in it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a sensor misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnomalyKind {
    /// One value is off.
    Spike,
    /// The level moves and stays where it is.
    Shift,
    /// The level creeps away, a little with every reading, and then returns.
    Drift,
    /// The same value is repeated.
    Stuck,
    /// The noise grows.
    Variance,
}

impl AnomalyKind {
    /// All kinds, in the order documents list them.
    pub const ALL: [Self; 5] = [Self::Spike, Self::Shift, Self::Drift, Self::Stuck, Self::Variance];

    /// The word used in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spike => "spike",
            Self::Shift => "shift",
            Self::Drift => "drift",
            Self::Stuck => "stuck",
            Self::Variance => "variance",
        }
    }
}

impl fmt::Display for AnomalyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which of two models side by side judged a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// The model whose verdicts count unless another is tried.
    Champion,
    /// The one that is tried.
    Challenger,
}

impl Arm {
    /// Both, champion first.
    pub const ALL: [Self; 2] = [Self::Champion, Self::Challenger];

    /// The word used on the wire and in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Champion => "champion",
            Self::Challenger => "challenger",
        }
    }
}

/// A reading in which a seeded anomaly shows. A spike marks one reading; every other kind marks a window of readings, and
/// it is found if any reading of its window is flagged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AnomalyMark {
    /// What is wrong.
    pub kind: AnomalyKind,
    /// Number of the anomaly within the device, from 1.
    pub episode: u32,
    /// Whether this reading is its first.
    pub onset: bool,
}

/// A marked reading that has ended: what the score of a detection is made of, row by row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection<'a> {
    /// The reading; its mark is there.
    pub sample: &'a super::Sample,
    /// What was seeded.
    pub mark: AnomalyMark,
    /// Name of its device.
    pub device: &'a str,
    /// Whether this reading is the first of its anomaly to be flagged.
    pub found: bool,
}

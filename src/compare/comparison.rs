//! The result of a comparison in plain values: what `--json` prints, and what reports for people and CI are made from.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The version of [`Comparison`]'s JSON form. Keys may be added under the same version.
pub(crate) const SCHEMA: u32 = 1;

/// Two builds compared. Its JSON form holds no time of day and no path, so that equal inputs give equal bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The scenario both were run with.
    pub scenario: String,
    /// The build that is compared against.
    pub base: Side,
    /// The build that is judged.
    pub candidate: Side,
    /// How the runs were made and what is asked of them.
    pub design: Design,
    /// What is said of the candidate as a whole.
    pub verdict: Decision,
    /// Whether the verdict decides the exit code; an advisory one does not.
    pub gates: bool,
    /// Whether every cell is shown not to be worse by more than its threshold: less than no difference, and enough to go on.
    pub not_worse: bool,
    /// Why it is as it is, a sentence each, the most important first.
    pub reasons: Vec<String>,
    /// How many of its runs call themselves suspect.
    pub suspect_runs: u32,
    /// The versions of squall that measured the runs, sorted, where they are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_versions: Vec<String>,
    /// Fleets that the candidate answered in none of its runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unanswered: Vec<Unanswered>,
    /// One per group and figure, in the order of the groups.
    pub cells: Vec<Cell>,
    /// Mean log-ratio at p50 of all fleets in pairs that ran the base first, less that in the others: what the order of
    /// runs does by itself. `None` where it cannot be told.
    pub order_effect: Option<f64>,
    /// The looks taken at the data, in order; the last one is the basis of `cells`.
    pub looks: Vec<InterimLook>,
    /// The fresh pairs that were run to confirm a regression.
    pub confirmation: Option<Box<Comparison>>,
}

/// One of the two builds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// What it is called.
    pub label: String,
    /// The names of its runs, in the order of the pairs.
    pub runs: Vec<String>,
}

/// A fleet that the candidate answered in none of its runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unanswered {
    /// The fleet, or `all`.
    pub fleet: String,
    /// Whether the base answered it in none of its runs either: then there is nothing to compare.
    pub by_base: bool,
}

impl Unanswered {
    /// What to tell a person.
    pub fn sentence(&self) -> String {
        let what = match self.fleet.as_str() {
            "all" => "any reading".to_owned(),
            fleet => format!("fleet {fleet}"),
        };
        if self.by_base {
            format!(
                "neither build answered {what}: there is nothing to compare; the reports of the runs say why"
            )
        } else {
            format!(
                "the candidate did not answer {what} in any of its runs, as the base did; their reports say why"
            )
        }
    }

    /// Whether nothing can be said of the readings in `group`.
    pub(super) fn empties(&self, group: &Group) -> bool {
        self.by_base && (self.fleet == "all" || self.fleet == group.fleet)
    }
}

/// How the runs of a comparison belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pairing {
    /// Pairs run one after the other in a random order.
    Paired,
    /// Runs of other times or places than those they are compared with.
    Unpaired,
    /// One run of each build: described, not judged.
    Single,
}

/// How the runs were made and what is asked of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Design {
    /// How the runs belong together.
    pub pairing: Pairing,
    /// Pairs, or runs of the smaller side.
    pub pairs: u32,
    /// Probability of calling any cell of two equal builds different.
    pub alpha: f64,
    /// Seed of the permutations, as text: JSON numbers hold only 53 bits.
    pub seed: String,
    /// Digest of the plan of every pair, in their order; of every different plan where runs are not paired.
    pub plan_digests: Vec<String>,
    /// Whether the base ran first, by pair; empty where it is not known.
    pub base_first: Vec<bool>,
}

/// A look at the data taken before all pairs were run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InterimLook {
    /// Pairs it saw.
    pub pairs: u32,
    /// The significance level it was judged at.
    pub alpha: f64,
    /// What it said.
    pub verdict: Decision,
}

/// What is said of a candidate, or of one of its cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Worse beyond chance and beyond the noise threshold.
    Regression,
    /// Better beyond chance and beyond the noise threshold.
    Improvement,
    /// Shown to differ by less than the noise threshold.
    NoDifference,
    /// Neither is shown: more pairs, longer runs or a larger threshold are needed.
    Inconclusive,
}

impl Decision {
    /// As people read it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Regression => "regression",
            Self::Improvement => "improvement",
            Self::NoDifference => "no difference",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// What is compared of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Median response time.
    P50,
    /// 95 % response time.
    P95,
    /// 99 % response time.
    P99,
    /// 99.9 % response time.
    #[serde(rename = "p99_9")]
    P999,
    /// Share of the planned readings that were not answered ok.
    ErrorRate,
    /// Share of the planned readings that were never sent or never answered: in comparisons of earlier versions, whose error
    /// rate left them out.
    Shortfall,
}

impl Figure {
    /// Those that are compared, in the order of reports.
    pub const ALL: [Self; 5] = [Self::P50, Self::P95, Self::P99, Self::P999, Self::ErrorRate];

    /// As people read it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::P999 => "p99.9",
            Self::ErrorRate => "error rate",
            Self::Shortfall => "shortfall",
        }
    }

    /// The fraction of a response-time percentile; `None` for shares.
    pub const fn quantile(self) -> Option<f64> {
        match self {
            Self::P50 => Some(0.5),
            Self::P95 => Some(0.95),
            Self::P99 => Some(0.99),
            Self::P999 => Some(0.999),
            Self::ErrorRate | Self::Shortfall => None,
        }
    }
}

/// Readings that are compared together: a fleet in a measured phase, or all of them (`all` in each field).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Group {
    /// Phase, or `all`.
    pub phase: String,
    /// Fleet, or `all`.
    pub fleet: String,
    /// Protocol, or `all`.
    pub protocol: String,
}

impl fmt::Display for Group {
    /// As people read it: `all fleets`, `meters in burst`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_all() { f.write_str("all fleets") } else { write!(f, "{} in {}", self.fleet, self.phase) }
    }
}

impl Group {
    /// Whether it is every fleet in every measured phase.
    pub fn is_all(&self) -> bool {
        self.protocol == "all"
    }
}

/// Whether a cell has the samples to be judged by.
///
/// The order is that of the worst: of several runs the largest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Support {
    /// At least 100 samples lie beyond the percentile in every run, and none of them is a mere lower bound: it is judged.
    Judged,
    /// Between 10 and 99: it is shown, and does not decide.
    Shown,
    /// The percentile lies among failed readings in some run: the error rate judges instead.
    Censored,
    /// Fewer than 10, or no data in some run.
    None,
}

/// A group and a figure: what was measured, and what is said of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Which readings.
    pub group: Group,
    /// Which figure of theirs.
    pub figure: Figure,
    /// Whether it can be judged.
    pub support: Support,
    /// Of the base: geometric mean of its runs' percentiles, milliseconds, or arithmetic mean of their shares.
    pub base: Option<f64>,
    /// Of the candidate.
    pub candidate: Option<f64>,
    /// Change in the unit of inference: mean difference of logarithms for percentiles, of shares else. Positive is worse.
    pub effect: Option<f64>,
    /// Median of [`Cell::differences`]: a pair that strays does not move it. `None` where runs are not paired.
    #[serde(default)]
    pub median: Option<f64>,
    /// Its 95 % confidence interval (Student-t), same unit.
    pub ci95: Option<[f64; 2]>,
    /// Its 90 % interval: the one that equivalence is judged by.
    pub ci90: Option<[f64; 2]>,
    /// Standard deviation of the differences between pairs, same unit.
    pub spread: Option<f64>,
    /// Probability of a difference as large in any cell if the builds are equal (max-|t| over all judged cells).
    pub p_adjusted: Option<f64>,
    /// Noise threshold, same unit.
    pub threshold: f64,
    /// The differences, by pair; empty where runs are not paired.
    pub differences: Vec<f64>,
    /// What base and candidate measured, by pair, milliseconds or a share; empty where runs are not paired.
    #[serde(default)]
    pub values: Vec<[f64; 2]>,
    /// What is said of it; `None` if it is not judged.
    pub verdict: Option<CellDecision>,
}

/// What is said of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellDecision {
    /// The word.
    pub verdict: Decision,
    /// Whether all of the 90 % interval lies beyond the noise threshold.
    pub certain: bool,
    /// About so many further pairs would decide, where it is inconclusive and that can be told.
    pub more_pairs: Option<u32>,
    /// Why a claim was taken back, if one was.
    pub withdrawn: Option<Withdrawal>,
}

impl CellDecision {
    /// What is said of a cell whose claim was taken back.
    pub(super) const fn withdrawn(why: Withdrawal) -> Self {
        let verdict = Decision::Inconclusive;
        Self { verdict, certain: false, more_pairs: None, withdrawn: Some(why) }
    }
}

/// Why the claim of a regression or an improvement was taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Withdrawal {
    /// It is in favour of the build that fails clearly more: who fails has less to do.
    FailsMore,
    /// Fresh pairs did not show it again.
    NotConfirmed,
}

impl Cell {
    /// The change as a share: +0.1 is 10 % slower, or 10 percentage points more failures.
    pub fn change(&self) -> Option<f64> {
        self.effect.map(|effect| self.as_share(effect))
    }

    /// Whether there are several pairs, all of which differ the same way and on average beyond the threshold, and nothing speaks
    /// against it.
    pub(crate) fn is_unanimous(&self) -> bool {
        let same = |effect: f64| self.differences.iter().all(|own| own * effect > 0.0);
        self.differences.len() > 1
            && self.effect.is_some_and(|effect| effect.abs() > self.threshold && same(effect))
            && self.verdict.is_none_or(|own| own.withdrawn.is_none())
    }

    /// `value`, in the unit of [`Cell::effect`], as a share.
    pub fn as_share(&self, value: f64) -> f64 {
        if self.figure.quantile().is_some() { libm::expm1(value) } else { value }
    }
}

impl Comparison {
    /// What the pairs that were run to confirm it say of `cell`.
    pub(crate) fn fresh(&self, cell: &Cell) -> Option<&Cell> {
        self.confirmation.as_deref()?.cells.iter().find(|other| other.is(cell))
    }

    /// The cell that says most: the one that the verdict rests on, the median of all fleets where it does or where none does.
    pub(crate) fn headline(&self) -> Option<&Cell> {
        let claims = || self.cells.iter().filter(|cell| cell.claim() == Some(self.verdict));
        let weight = |cell: &Cell| cell.effect.unwrap_or(0.0).abs() / cell.threshold;
        let is_median = |cell: &&Cell| cell.group.is_all() && cell.figure == Figure::P50;
        let heaviest = || claims().max_by(|left, right| weight(left).total_cmp(&weight(right)));
        let measured = || self.cells.iter().filter(|cell| cell.effect.is_some());
        let shown = || measured().filter(|cell| cell.support <= Support::Shown);
        claims()
            .find(is_median)
            .or_else(heaviest)
            .or_else(|| shown().find(is_median))
            .or_else(|| shown().next())
            .or_else(|| measured().next())
    }
}

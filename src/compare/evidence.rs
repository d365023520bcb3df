//! What a comparison takes from a stored run, and when it refuses one.

use std::collections::BTreeMap;

use super::comparison::{Figure, Group, Support};
use crate::record::Judgement;
use crate::results::{ALL, Figures, Manifest, Millis, PlanAlteration, Report, RunState, SummaryRow};
use crate::units::part_of;

/// Samples that must lie beyond a percentile for it to be judged, and to be shown.
const JUDGED: f64 = 100.0;
const SHOWN: f64 = 10.0;

/// Why runs cannot be compared: the measurement is not a basis for a verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// A run that did not reach its end.
    #[error("{run} is {state}: only complete runs are compared; run it again")]
    Unfinished {
        /// The run.
        run: String,
        /// How far it got.
        state: &'static str,
    },
    /// A run whose generator was the bottleneck.
    #[error("{run} is invalid ({why}): its figures are the generator's, not the service's")]
    Invalid {
        /// The run.
        run: String,
        /// Its own reasons.
        why: String,
    },
    /// A run in which somebody switched faults.
    #[error("in {run} faults were switched by hand: it did not follow its plan alone")]
    ByHand {
        /// The run.
        run: String,
    },
    /// A run that left out a part of its plan.
    #[error(
        "the plan of {run} was altered: {what}; what it measured is of another load than its plan's, run it again"
    )]
    Altered {
        /// The run.
        run: String,
        /// What was left out.
        what: String,
    },
    /// Runs of different plans.
    #[error(
        "{left} and {right} ran different plans ({left_digest} and {right_digest}); run both with the same scenario, seed and overrides"
    )]
    Plans {
        /// A run.
        left: String,
        /// One it should equal.
        right: String,
        /// Its digest, shortened.
        left_digest: String,
        /// The other's.
        right_digest: String,
    },
    /// The same run twice.
    #[error("{run} is given twice: a run is evidence once")]
    Twice {
        /// The run.
        run: String,
    },
    /// No run on a side.
    #[error("there is no run of the {side}; give at least one")]
    Empty {
        /// `base` or `candidate`.
        side: &'static str,
    },
    /// A run that is only a part.
    #[error("{run} is {part}: merge all shards with `squall merge`, and compare what comes of it")]
    Part {
        /// The run.
        run: String,
        /// Which part.
        part: String,
    },
    /// Plans that have other shares of the runs on one side than on the other.
    #[error(
        "the plan of {run} has {base} runs of the base and {candidate} of the candidate, another share of the one than of the \
         other: seeds would pass for builds"
    )]
    Shares {
        /// A run of the plan.
        run: String,
        /// Runs of the base.
        base: usize,
        /// Runs of the candidate.
        candidate: usize,
    },
}

/// A value of one run: milliseconds or a share, and what it is good for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Value {
    pub(super) value: f64,
    pub(super) support: Support,
}

/// A complete, valid run as comparisons see it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Evidence {
    /// The run's name.
    pub run_id: String,
    /// The build's.
    pub label: String,
    /// The scenario's.
    pub scenario: String,
    /// Digest of what was planned.
    pub plan_digest: String,
    /// The version of squall that measured it.
    pub tool_version: String,
    /// What the run says against itself, if it is no more than suspect.
    pub doubts: Vec<String>,
    /// What disturbed its generator, as a clause, if it is suspect for that: another run may be free of it.
    pub disturbance: Option<&'static str>,
    /// What no other run shares, wherever its files lie.
    pub(super) identity: String,
    /// The fleets that the service left without an answer; `all` where it answered none.
    pub(super) unanswered: Vec<String>,
    pub(super) groups: Vec<Group>,
    pub(super) values: BTreeMap<(Group, Figure), Value>,
}

impl Evidence {
    /// Takes what is needed from a stored run.
    ///
    /// # Errors
    /// If the run is unfinished, invalid, or did not follow its plan.
    pub(crate) fn of(report: &Report) -> Result<Self, Refusal> {
        let manifest = &report.run;
        let run = manifest.run_id.clone();
        if manifest.state != RunState::Complete {
            return Err(Refusal::Unfinished { run, state: manifest.state.name() });
        }
        if manifest.faults_by_hand > 0 {
            return Err(Refusal::ByHand { run });
        }
        if !manifest.plan_altered.is_empty() {
            let what: Vec<_> = manifest.plan_altered.iter().map(PlanAlteration::sentence).collect();
            return Err(Refusal::Altered { run, what: what.join("; ") });
        }
        if let Some(part) = part(manifest) {
            return Err(Refusal::Part { run, part });
        }
        let validity = manifest.validity.as_ref();
        let reasons = validity.map(|validity| validity.reasons.clone()).unwrap_or_default();
        match validity.map(|validity| validity.verdict) {
            None => return Err(Refusal::Unfinished { run, state: "not judged" }),
            Some(Judgement::Invalid) => return Err(Refusal::Invalid { run, why: reasons.join("; ") }),
            Some(Judgement::Valid | Judgement::Suspect) => {}
        }
        let rows = groups(&report.summary);
        let values =
            rows.iter().flat_map(|row| values(row).map(|(figure, value)| ((group(row), figure), value)));
        Ok(Self {
            run_id: run,
            label: manifest.label.clone(),
            scenario: manifest.scenario.name.clone(),
            plan_digest: manifest.plan_digest.clone(),
            tool_version: manifest.tool_version.clone(),
            doubts: reasons,
            disturbance: validity
                .filter(|validity| validity.verdict == Judgement::Suspect)
                .and_then(|validity| validity.causes().find_map(|(_, cause)| cause.disturbance())),
            identity: format!("{} {} {}", manifest.run_id, manifest.started, manifest.host.name),
            unanswered: unanswered(report),
            values: values.collect(),
            groups: rows.into_iter().map(group).collect(),
        })
    }

    pub(super) fn value(&self, group: &Group, figure: Figure) -> Value {
        let none = Value { value: f64::NAN, support: Support::None };
        self.values.get(&(group.clone(), figure)).copied().unwrap_or(none)
    }
}

/// Which part of its plan a run is, if it is not all of it.
fn part(manifest: &Manifest) -> Option<String> {
    if let Some(own) = &manifest.shard {
        return Some(format!("shard {}", own.shard));
    }
    let first = manifest.merged.first()?;
    let (there, all) = (manifest.merged.len(), first.shard.of());
    (there < all as usize).then(|| part_of(there as u64, all.into(), "shard"))
}

fn unanswered(report: &Report) -> Vec<String> {
    if report.headline().is_none_or(|row| row.figures.ok == 0) {
        return vec![ALL.to_owned()];
    }
    report.run.silences.iter().map(|silence| silence.fleet.clone()).collect()
}

fn group(row: &SummaryRow) -> Group {
    Group { phase: row.phase.clone(), fleet: row.fleet.clone(), protocol: row.protocol.clone() }
}

/// The rows that are compared: all fleets first, then every fleet in every measured phase, its readings or what it hears of those of
/// others.
fn groups(rows: &[SummaryRow]) -> Vec<&SummaryRow> {
    let headline = rows.iter().find(|row| row.is_headline());
    let measured = |row: &&SummaryRow| {
        matches!(row.kind.as_str(), "reading" | "delivery")
            && row.phase != "warm-up"
            && row.phase != ALL
            && row.figures.planned > 0
    };
    headline.into_iter().chain(rows.iter().filter(measured)).collect()
}

/// The figures of a row.
fn values(row: &SummaryRow) -> impl Iterator<Item = (Figure, Value)> {
    let figures = &row.figures;
    let percentiles = [
        (Figure::P50, figures.p50_ms),
        (Figure::P95, figures.p95_ms),
        (Figure::P99, figures.p99_ms),
        (Figure::P999, figures.p99_9_ms),
    ];
    let errors = match figures.outcomes().error_rate() {
        Some(value) => Value { value, support: Support::Judged },
        None => Value { value: 0.0, support: Support::None },
    };
    percentiles
        .map(|(figure, at)| (figure, percentile(figures, figure, at)))
        .into_iter()
        .chain([(Figure::ErrorRate, errors)])
}

fn percentile(figures: &Figures, figure: Figure, at: Option<Millis>) -> Value {
    let beyond = figures.ended() as f64 * (1.0 - figure.quantile().unwrap_or(1.0));
    let Some(at) = at.filter(|at| at.as_ns() > 0) else {
        return Value { value: f64::NAN, support: Support::None };
    };
    let support = if beyond < SHOWN - 1e-6 {
        Support::None
    } else if figures.censored_floor_ms.is_some_and(|floor| at >= floor) {
        Support::Censored
    } else if beyond < JUDGED - 1e-6 {
        Support::Shown
    } else {
        Support::Judged
    };
    Value { value: at.as_ns() as f64 / 1e6, support }
}

//! The figures that laws name: which figure of a run, and whose.

use serde::Deserialize;

use super::formula::Quantity;
use crate::budget::{Comparison, Condition, Metric, Scope, Subject, Unit};
use crate::language::alternatives;
use crate::record::ServiceCounts;
use crate::results::{Recovery, StoredRun};

/// A figure of a run, as a lab names it.
#[derive(Debug)]
pub(super) struct LabFigure {
    /// What it is, as the subject of a sentence.
    pub(super) is: String,
    source: Source,
    /// Blocks, of which the median counts; none: all measured phases together.
    phases: Vec<String>,
    /// Whether it is one of the run of the lab as it is given, not of the run that is judged.
    pub(super) before: bool,
}

#[derive(Debug)]
enum Source {
    Metric(Scope, Metric),
    Counter(Counter),
}

/// What stands in `check.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FigureText {
    is: String,
    metric: Option<String>,
    counter: Option<String>,
    fleet: Option<String>,
    protocol: Option<String>,
    fault: Option<String>,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    phase: Phases,
    #[serde(default)]
    before: bool,
}

/// One phase, or several blocks.
#[derive(Debug, Default, Deserialize)]
#[serde(untagged)]
enum Phases {
    #[default]
    All,
    One(String),
    Blocks(Vec<String>),
}

/// A value of a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Found {
    pub(super) quantity: Quantity,
    /// Whether the true value is at least that.
    pub(super) at_least: bool,
}

/// Why a figure has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Missing {
    /// It cannot be known from this run.
    Unknown(String),
    /// What it is the time of, or the number of, never came: no demand is met by that.
    Never(String),
}

/// One of the numbers that the bundled service counts.
type Counter = fn(&ServiceCounts) -> u64;

/// What the bundled service counts, by the keys of `run.json`.
const COUNTERS: [(&str, Counter); 7] = [
    ("received", |counts| counts.received),
    ("verdicts", |counts| counts.verdicts),
    ("shed", |counts| counts.shed),
    ("inferences", |counts| counts.inferences),
    ("hits", |counts| counts.hits.all()),
    ("coalesced", |counts| counts.coalesced),
    ("queue_peak", |counts| counts.queue_peak),
];

impl LabFigure {
    /// The figure that `text` states.
    ///
    /// # Errors
    /// What is wrong with it, and what to write instead.
    pub(super) fn of(text: FigureText) -> Result<Self, String> {
        let phases = match text.phase {
            Phases::All => Vec::new(),
            Phases::One(phase) => vec![phase],
            Phases::Blocks(phases) => phases,
        };
        let source = match (&text.metric, &text.counter) {
            (Some(metric), None) => {
                let subject = match text.kind.as_str() {
                    "" => Subject::default(),
                    kind => Subject::of(kind).ok_or_else(|| {
                        format!("kind `{kind}` is unknown; write {}", alternatives(Subject::WORDS))
                    })?,
                };
                let (fleet, protocol, fault) = (text.fleet, text.protocol, text.fault);
                let named = Metric::parse(metric).ok_or_else(|| format!("`{metric}` names no figure"))?;
                let metric = named.map_err(|error| error.to_string())?;
                Source::Metric(Scope { fleet, protocol, phase: None, subject, fault }, metric)
            }
            (None, Some(counter)) => {
                let known = COUNTERS.iter().find(|(key, _)| key == counter);
                let (_, count) = known.ok_or_else(|| {
                    let keys = COUNTERS.map(|(key, _)| key).join(", ");
                    format!("`{counter}` is not counted by the service; there are: {keys}")
                })?;
                Source::Counter(*count)
            }
            _ => return Err("names no figure; write metric or counter".to_owned()),
        };
        Ok(Self { is: text.is, source, phases, before: text.before })
    }

    /// What it is measured in.
    pub(super) const fn unit(&self) -> Unit {
        match &self.source {
            Source::Metric(_, metric) => metric.unit(),
            Source::Counter(_) => Unit::Count,
        }
    }

    /// Its value in `run`; of several blocks, the median.
    pub(super) fn find(&self, run: &StoredRun) -> Result<Found, Missing> {
        let mut found: Vec<Found> = Vec::new();
        for scope in self.blocks() {
            found.push(self.find_in(run, scope)?);
        }
        found.sort_by(|one, other| one.quantity.value.total_cmp(&other.quantity.value));
        found.get(found.len() / 2).copied().ok_or_else(|| Missing::Unknown("it names no phase".to_owned()))
    }

    /// The phases that are looked at one by one; `None` stands for all measured ones together.
    fn blocks(&self) -> Vec<Option<&str>> {
        if self.phases.is_empty() {
            return vec![None];
        }
        self.phases.iter().map(|phase| Some(phase.as_str())).collect()
    }

    fn find_in(&self, run: &StoredRun, phase: Option<&str>) -> Result<Found, Missing> {
        let (scope, metric) = match &self.source {
            Source::Metric(scope, metric) => {
                (Scope { phase: phase.map(str::to_owned), ..scope.clone() }, *metric)
            }
            Source::Counter(count) => return counted(run, phase, *count),
        };
        // Of several activations the largest value counts.
        let condition = Condition { metric, comparison: Comparison::AtMost, bound: 0.0 };
        match run.measure(&scope, &condition) {
            Ok(found) => {
                let quantity = Quantity::measured(found.value, metric.unit());
                Ok(Found { quantity, at_least: found.at_least })
            }
            Err(why) if Self::may_be_known(run, &scope) => Err(Missing::Never(why)),
            Err(why) => Err(Missing::Unknown(why)),
        }
    }

    /// Whether what is missing is missing because it never happened: the fault was on, and there was
    /// something before it to compare with.
    fn may_be_known(run: &StoredRun, scope: &Scope) -> bool {
        let Some(fault) = &scope.fault else { return false };
        let mut activations =
            run.report.faults.iter().filter(|activation| activation.fault == *fault).peekable();
        activations.peek().is_some()
            && activations.all(|activation| !matches!(activation.state, Recovery::NoLevel | Recovery::Open))
    }

    /// How late the generator was at most where this was measured (p99), seconds.
    pub(super) fn lag_s(&self, run: &StoredRun) -> Option<f64> {
        let Source::Metric(scope, _) = &self.source else { return None };
        let of =
            |phase: Option<&str>| run.lag_ns(&Scope { phase: phase.map(str::to_owned), ..scope.clone() });
        self.blocks().into_iter().filter_map(of).max().map(|ns| ns as f64 / 1e9)
    }
}

fn counted(run: &StoredRun, phase: Option<&str>, count: Counter) -> Result<Found, Missing> {
    let unknown =
        || Missing::Unknown("the service is not the bundled one, and its counters are unknown".to_owned());
    let facts = run.report.run.reference.as_ref().ok_or_else(unknown)?;
    let wanted = |own: &str| phase.map_or_else(|| crate::results::is_measured(own), |phase| phase == own);
    let counts = facts.counts(wanted).ok_or_else(unknown)?;
    Ok(Found { quantity: Quantity::number(count(&counts) as f64), at_least: false })
}

//! Budgets: what a run's figures must keep to. Plain data with one parser and one printer, and the judgement of a value;
//! where the values come from is the business of others.
//!
//! A budget says *whose* figures it means ([`Scope`]) and what they must keep to, in any number of [`Condition`]s that are
//! judged each by itself. It is not the latency budget of a fleet (`budget = "250ms"`), by which single readings are counted.

mod condition;
mod metric;
mod unit;

pub(crate) use condition::{Comparison, Condition};
pub(crate) use metric::{Figure, Metric, Recovery, Times};
pub(crate) use unit::Unit;

use crate::units::Span;
use crate::units::word::{Choice as _, words};

/// Percentiles with fewer samples beyond them than this have no support, and no budget can rest on them.
pub(crate) const LEAST_SUPPORT: u64 = 10;

/// Why a text is neither a metric nor a condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {help}")]
pub struct BudgetError {
    /// What is wrong, without a final stop.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

/// What some of the figures of a run must keep to.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    /// What the author calls it.
    pub name: Option<String>,
    /// Whose figures it means.
    pub scope: Scope,
    /// What they must keep to, in the order of the keys; at least one.
    pub conditions: Vec<Condition>,
    /// Whether the run ends as soon as it cannot be met.
    pub abort_on_fail: bool,
    /// It is not judged while the run is on before so long into its phase, or into the measured phases if it names none.
    pub grace: Span,
}

impl Budget {
    /// Whether it fails when too many readings do: the shares of failures that it bounds are of readings, and in no fault's activations
    /// alone.
    pub fn looks_at_failures(&self) -> bool {
        let of_readings = self.scope.subject == Subject::Readings && self.scope.fault.is_none();
        of_readings && self.conditions.iter().any(|condition| condition.metric.counts_failures())
    }
}

words! {
    /// What the figures are of.
    Subject {
        /// Readings.
        Readings = "reading",
        /// Attempts to connect.
        Connections = "connect",
        /// TLS handshakes.
        Handshakes = "tls",
        /// Deliveries to fleets that only hear.
        Deliveries = "delivery",
    }
}

impl Default for Subject {
    fn default() -> Self {
        Self::FIRST
    }
}

/// Whose figures are meant; what is left open means all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    /// Only this fleet.
    pub fleet: Option<String>,
    /// Only fleets that speak this protocol, by its word.
    pub protocol: Option<String>,
    /// Only this phase; left open: of readings and deliveries the measured phases together, of all else the whole run.
    pub phase: Option<String>,
    /// Readings, their deliveries, or how connections come about.
    pub subject: Subject,
    /// What happened around this fault, instead of phases.
    pub fault: Option<String>,
}

impl std::fmt::Display for Scope {
    /// As a person would say it: `pumps in burst`, `all fleets`, `fault cut`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(fault) = &self.fault {
            return write!(f, "fault {fault}");
        }
        match (&self.fleet, &self.protocol) {
            (Some(fleet), _) => f.write_str(fleet)?,
            (None, Some(protocol)) => write!(f, "all {protocol} fleets")?,
            (None, None) => f.write_str("all fleets")?,
        }
        f.write_str(match self.subject {
            Subject::Readings => "",
            Subject::Connections => ", connecting",
            Subject::Handshakes => ", TLS handshakes",
            Subject::Deliveries => ", deliveries",
        })?;
        self.phase.as_ref().map_or(Ok(()), |phase| write!(f, " in {phase}"))
    }
}

//! What a manifest says of the bundled service's own work, phase by phase.

use serde::{Deserialize, Serialize};

use crate::record::ServiceCounts;

/// The bundled service during a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceFacts {
    /// Readings that may wait.
    pub queue_capacity: u64,
    /// Workers that run.
    pub workers: u64,
    /// What it counted, phase by phase, in the order of time; the drain belongs to the last.
    pub phases: Vec<ServicePhase>,
}

/// What the bundled service counted during a phase: by when it did it, not by when the reading was due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePhase {
    /// The phase.
    pub phase: String,
    /// What it counted.
    #[serde(flatten)]
    pub counts: ServiceCounts,
}

impl ServiceFacts {
    /// What it counted in the phases that `wanted` takes by name; `None` without such.
    pub(crate) fn counts(&self, wanted: impl Fn(&str) -> bool) -> Option<ServiceCounts> {
        let phases = self.phases.iter().filter(|phase| wanted(&phase.phase));
        phases.map(|phase| phase.counts).reduce(ServiceCounts::and)
    }
}

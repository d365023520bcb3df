//! Budgets as a shard's manifest holds them, so that the merged run can be judged by what its shards were given.

use serde::{Deserialize, Serialize};

use crate::budget::{Budget, BudgetError, Condition, Scope, Subject};
use crate::units::Span;

/// A budget that waits to be judged, with the words and keys that scenarios have for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    /// What its author calls it.
    #[serde(default)]
    pub name: Option<String>,
    /// Of which fleet, if of one.
    #[serde(default)]
    pub fleet: Option<String>,
    /// Of which protocol, if of one.
    #[serde(default)]
    pub protocol: Option<String>,
    /// Of which phase, if of one.
    #[serde(default)]
    pub phase: Option<String>,
    /// Of connection attempts instead of readings.
    #[serde(default)]
    pub connections: bool,
    /// Of TLS handshakes.
    #[serde(default)]
    pub handshakes: bool,
    /// Of deliveries.
    #[serde(default)]
    pub deliveries: bool,
    /// Of which fault, if of one.
    #[serde(default)]
    pub fault: Option<String>,
    /// Key and value of every condition: `p99`, `<250ms`.
    pub conditions: Vec<(String, String)>,
}

impl Demand {
    /// `budget` without what matters only while a run is on.
    pub fn of(budget: &Budget) -> Self {
        let Scope { fleet, protocol, phase, subject, fault } = budget.scope.clone();
        let connections = subject == Subject::Connections;
        let handshakes = subject == Subject::Handshakes;
        let deliveries = subject == Subject::Deliveries;
        let conditions = budget.conditions.iter().map(|condition| (condition.metric.key(), condition.text()));
        let (name, conditions) = (budget.name.clone(), conditions.collect());
        Self { name, fleet, protocol, phase, connections, handshakes, deliveries, fault, conditions }
    }

    /// The budget it was made of.
    ///
    /// # Errors
    /// If a condition is none that this version knows.
    pub fn budget(&self) -> Result<Budget, BudgetError> {
        let Self { name, fleet, protocol, phase, connections, handshakes, deliveries, fault, conditions } =
            self.clone();
        let unknown = |key: &str| BudgetError {
            message: format!("`{key}` names no figure"),
            help: "merge with the squall that ran the shards".to_owned(),
        };
        let condition =
            |(key, text): &(String, String)| Condition::parse(key, text).unwrap_or_else(|| Err(unknown(key)));
        let conditions = conditions.iter().map(condition).collect::<Result<_, _>>()?;
        let subject = match (connections, handshakes, deliveries) {
            (_, true, _) => Subject::Handshakes,
            (true, false, _) => Subject::Connections,
            (false, false, true) => Subject::Deliveries,
            (false, false, false) => Subject::Readings,
        };
        let scope = Scope { fleet, protocol, phase, subject, fault };
        Ok(Budget { name, scope, conditions, abort_on_fail: false, grace: Span::ZERO })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_comes_back_as_it_was() {
        let conditions = [
            ("p99", "<250ms"),
            ("service_p99_9_ms", "<=1.5s"),
            ("error_rate", "<0.1%"),
            ("within_budget_rate", ">=99.95%"),
            ("lost", "<=0"),
            ("rate_per_s", ">=1234.5/s"),
            ("recovered", "true"),
            ("recovered_after", "<5s"),
            ("worst_p99", "<2s"),
            ("resumed_rate", ">=99%"),
        ];
        for (subject, (key, text)) in Subject::ALL.iter().cycle().zip(conditions) {
            let budget = Budget {
                name: Some("gate".into()),
                scope: Scope { phase: Some("burst".into()), subject: *subject, ..Scope::default() },
                conditions: vec![Condition::parse(key, text).unwrap().unwrap()],
                abort_on_fail: false,
                grace: Span::ZERO,
            };
            let stored = serde_json::to_string(&Demand::of(&budget)).unwrap();
            let read: Demand = serde_json::from_str(&stored).unwrap();
            assert_eq!(read.budget(), Ok(budget), "{stored}");
        }
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for (key, text) in [("p99", "250ms"), ("later", "<1"), ("p99", "")] {
            let text = format!(r#"{{"conditions": [["{key}", "{text}"]]}}"#);
            assert!(serde_json::from_str::<Demand>(&text).unwrap().budget().is_err(), "{text}");
        }
    }
}

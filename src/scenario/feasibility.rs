//! Budgets that a plan can never give data: said before anything is sent, not after.

use super::error::ScenarioError;
use super::model::Model;
use super::plan::Plan;
use crate::arrival::ArrivalProcess;
use crate::budget::{Budget, LEAST_SUPPORT, Metric, Subject};
use crate::language::{Diagnostic, Diagnostics, Location, quote};
use crate::record::{FleetId, PhaseId, PhaseRole};
use crate::units::figure::count;

/// So many standard deviations more than expected never come due.
const CERTAIN: f64 = 8.0;

/// Fewer readings than this are none, but for what rounding leaves of them.
const LEAST_DUE: f64 = 1e-6;

/// Problems listed.
const MOST: usize = 50;

impl Plan {
    /// Whether every budget can have data: whether something is due in what it means, and percentiles have enough beyond them.
    ///
    /// # Errors
    /// With every one that cannot, and what to do about it.
    pub fn budgets_have_data(&self) -> Result<(), ScenarioError> {
        let budgets = self.scenario().budgets.iter();
        let mut problems: Vec<Diagnostic> = budgets.flat_map(|budget| hopeless(self, budget)).collect();
        if problems.is_empty() {
            return Ok(());
        }
        let omitted = problems.len().saturating_sub(MOST);
        problems.truncate(MOST);
        Err(Diagnostics { file: self.scenario().source.clone(), problems, omitted }.into())
    }

    /// Of every fleet whose readings are all due before the measured phases, that nothing of it is measured, and what to do.
    pub(crate) fn unmeasured(&self) -> Vec<String> {
        let fleets = self.scenario().fleets.iter().zip(0..);
        let sentences = fleets.filter_map(|(fleet, at)| {
            let Model::Open { arrival, recorded_rate, .. } = &fleet.model else { return None };
            let id = FleetId(at);
            let measured: f64 =
                self.measured_phases().map(|phase| self.expected_readings(phase, id)).sum::<Option<f64>>()?;
            let all = self.expected_between(id, self.sending_starts(), self.end())?;
            let recorded = recorded_rate.is_some() || matches!(arrival, ArrivalProcess::Recorded { .. });
            let remedy = if recorded {
                "its recording is over before they begin: shorten run.warm_up, or record for longer"
            } else {
                "it sends in the warm-up alone: give it load in a phase, or leave it out"
            };
            // What never sends at all was meant to be idle.
            let unmeasured = measured < LEAST_DUE && all >= LEAST_DUE;
            unmeasured.then(|| {
                format!("no reading of fleet `{}` is due in the measured phases; {remedy}", fleet.name)
            })
        });
        sentences.collect()
    }
}

/// What of `budget` can never have data.
fn hopeless(plan: &Plan, budget: &Budget) -> Vec<Diagnostic> {
    let Some(most) = most_due(plan, budget) else { return Vec::new() };
    let key =
        budget.name.as_ref().map_or_else(|| "budget".to_owned(), |name| format!("budget.{}", quote(name)));
    let problem = |key: String, message: String, help: &str| Diagnostic {
        location: Location::Whole,
        key,
        message,
        help: help.to_owned(),
    };
    if most == 0 {
        let message = format!("nothing is due of {}", budget.scope);
        return vec![problem(key, message, "name another phase or fleet, or give this one load")];
    }
    let unsupported = budget.conditions.iter().filter_map(|condition| {
        let Metric::Percentile(_, quantile) = condition.metric else { return None };
        let beyond = quantile.samples_beyond(most);
        let message = format!(
            "of at most {} readings of {} only {beyond} lie beyond {quantile}, and {LEAST_SUPPORT} are needed",
            count(most),
            budget.scope
        );
        let help = "run longer, send more, or demand a lower percentile";
        let key = format!("{key}.{}", condition.metric.key());
        (beyond < LEAST_SUPPORT).then(|| problem(key, message, help))
    });
    unsupported.collect()
}

/// More readings than this are never due in what `budget` means; `None` where that depends on the service, or on chance
/// without bounds.
fn most_due(plan: &Plan, budget: &Budget) -> Option<u64> {
    let scope = &budget.scope;
    if scope.fault.is_some() || scope.subject != Subject::Readings {
        return None;
    }
    let phases = plan.layout().phases.iter().enumerate().filter(|(_, phase)| match &scope.phase {
        Some(name) => phase.name == *name,
        None => phase.role == PhaseRole::Measured,
    });
    let phases: Vec<PhaseId> = phases.map(|(nth, _)| PhaseId(nth as u16)).collect();
    let (mut expected, mut stray) = (0.0, 0.0);
    for (nth, fleet) in plan.scenario().fleets.iter().enumerate() {
        let named = scope.fleet.as_ref().is_none_or(|name| *name == fleet.name);
        let speaks = scope.protocol.as_ref().is_none_or(|word| word == fleet.protocol.name());
        if !(named && speaks) || fleet.model == Model::Subscriber {
            continue;
        }
        let id = FleetId(nth as u16);
        let own: f64 = phases.iter().map(|phase| plan.expected_readings(*phase, id)).sum::<Option<f64>>()?;
        // Grids stray by a reading per device and edge, whatever is expected; nothing expected is nothing due.
        if own > 0.0 {
            stray += plan.deviation(id, own)? * CERTAIN + f64::from(fleet.devices) * phases.len() as f64;
        }
        // What is sent twice on purpose, and what comes of spikes, is in the expectation or at most doubles it.
        let repeats = if fleet.behaviour.repeat_one_in > 0 { 2.0 } else { 1.0 };
        expected += own * repeats;
    }
    Some((expected + stray).ceil() as u64)
}

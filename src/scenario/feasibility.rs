//! Budgets that a plan can never give data: said before anything is sent, not after.

use super::error::ScenarioError;
use super::model::{Fleet, Model, Scenario};
use super::plan::Plan;
use crate::arrival::ArrivalProcess;
use crate::budget::{Budget, LEAST_SUPPORT, Metric, Subject};
use crate::language::{Diagnostic, Diagnostics, Location, conjunction, quote};
use crate::record::{FleetId, PhaseId, PhaseRole};
use crate::units::plural;

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
        let problems = budgets.flat_map(|budget| hopeless(self, budget)).collect();
        self.scenario().all_told(problems)
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

impl Scenario {
    /// Checks that every table on TLS is of a target that is reached over TLS, as far as the scenario states the targets: a run may
    /// be given others.
    ///
    /// # Errors
    /// With every one that is not, and what to write.
    pub fn handshakes_apply(&self) -> Result<(), ScenarioError> {
        let is_plain = |fleet: &Fleet| self.target.of(fleet.protocol).is_some() && !self.is_tls(fleet);
        let common: Vec<_> = self.fleets.iter().filter(|fleet| fleet.tls.is_some()).collect();
        // What is said for all fleets may be meant for those of one protocol.
        let is_idle = common.iter().all(|fleet| is_plain(fleet));
        let (mut problems, mut is_told) = (Vec::new(), false);
        for fleet in self.fleets.iter().filter(|fleet| is_plain(fleet)) {
            let Some(tls) = &fleet.tls else { continue };
            if !tls.own && (is_told || !is_idle) {
                continue;
            }
            is_told |= !tls.own;
            let key = if tls.own { format!("fleet.{}.tls", fleet.name) } else { "target.tls".to_owned() };
            let scheme = fleet.facts.target.tls_schemes.first().copied().unwrap_or_default();
            problems.push(Diagnostic {
                location: tls.place.clone(),
                key,
                message: format!(
                    "says how to shake hands, and target.{} is reached without TLS",
                    fleet.protocol
                ),
                help: format!("write a URL that begins with {scheme}:// there, or take this table out"),
            });
        }
        self.all_told(problems)
    }

    /// Refuses what has `problems`, with as many of them as can be read.
    fn all_told(&self, mut problems: Vec<Diagnostic>) -> Result<(), ScenarioError> {
        if problems.is_empty() {
            return Ok(());
        }
        let omitted = problems.len().saturating_sub(MOST);
        problems.truncate(MOST);
        Err(Diagnostics { file: self.source.clone(), problems, omitted }.into())
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
        let demands: Vec<_> = budget.conditions.iter().map(|condition| format!("`{condition}`")).collect();
        let message =
            format!("{} cannot be judged: nothing is due of {}", conjunction(&demands), budget.scope);
        return vec![problem(key, message, "name another phase or fleet, or give this one load")];
    }
    let unsupported = budget.conditions.iter().filter_map(|condition| {
        let Metric::Percentile(_, quantile) = condition.metric else { return None };
        let beyond = quantile.samples_beyond(most);
        let message = format!(
            "`{condition}` cannot be judged: of at most {} of {} only {beyond} can be beyond {quantile}, and {LEAST_SUPPORT} are \
             needed",
            plural(most, "reading"),
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

//! What a run has to keep to, judged on what is known of it so far.

use super::demand::Demand;
use super::manifest::Manifest;
use super::row::Row;
use super::table::is_measured;
use super::times::Times;
use crate::budget::{Budget, Condition, Figure, LEAST_SUPPORT, Metric, Subject, Times as Of};
use crate::record::Outcomes;

/// Conditions that are followed.
const MOST: usize = 32;

/// How a condition stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Standing {
    /// It holds on what is known; the figure in words.
    Kept(String),
    /// It does not; the figure in words.
    Broken(String),
    /// Too little is known, or it is only known at the end.
    Open(&'static str),
}

/// One condition of a budget, and the figures it is about.
#[derive(Debug)]
pub(crate) struct Promise {
    budget: Budget,
    condition: Condition,
    outcomes: Outcomes,
    pub(super) times: Times,
}

/// The conditions that the manifest of a run tells; those that cannot be read are passed over.
pub(super) fn promises(run: &Manifest) -> Vec<Promise> {
    let demands = run.plan.iter().flat_map(|plan| &plan.budgets);
    let budgets = demands.filter_map(|demand: &Demand| demand.budget().ok());
    let conditions = budgets.flat_map(|budget| {
        let of = |condition: &Condition| Promise {
            budget: budget.clone(),
            condition: *condition,
            outcomes: Outcomes::default(),
            times: Times::default(),
        };
        budget.conditions.iter().map(of).collect::<Vec<_>>()
    });
    conditions.take(MOST).collect()
}

impl Promise {
    /// Whose figures are meant, and what is demanded.
    pub(crate) fn sentence(&self) -> String {
        let scope = self.budget.scope.to_string();
        let subject = match &self.budget.name {
            Some(name) if scope.is_empty() => name.clone(),
            Some(name) => format!("{name} ({scope})"),
            None => scope,
        };
        format!("{subject}: {}", self.condition)
    }

    /// Whether readings of this fleet in this phase are meant.
    pub(super) fn is_of(&self, fleet: &str, protocol: &str, phase: &str) -> bool {
        let scope = &self.budget.scope;
        let is = |wanted: &Option<String>, own: &str| wanted.as_ref().is_none_or(|wanted| wanted == own);
        let phase_meant = if scope.phase.is_some() { is(&scope.phase, phase) } else { is_measured(phase) };
        scope.subject == Subject::Readings
            && scope.fault.is_none()
            && is(&scope.fleet, fleet)
            && is(&scope.protocol, protocol)
            && phase_meant
    }

    /// Takes in a row of readings, which ended in `outcomes`.
    pub(super) fn take_row(&mut self, row: Row<'_>, outcomes: &Outcomes) {
        if self.is_of(row.text("fleet"), row.text("protocol"), row.text("phase")) {
            self.outcomes.add(outcomes);
            self.times.bound(row);
        }
    }

    /// How it stands on what has ended; what is open may still end ok.
    pub(crate) fn standing(&self) -> Standing {
        let (value, at_least) = match self.measured() {
            Ok(measured) => measured,
            Err(why) => return Standing::Open(why),
        };
        let unit = self.condition.metric.unit();
        let sign = if at_least { "at least " } else { "" };
        let words = format!("{sign}{}", unit.show_beside(value, self.condition.bound));
        if self.condition.is_met(value, at_least) { Standing::Kept(words) } else { Standing::Broken(words) }
    }

    fn measured(&self) -> Result<(f64, bool), &'static str> {
        const LATER: &str = "judged at the end";
        const FEW: &str = "too few readings so far";
        if self.budget.scope.subject != Subject::Readings || self.budget.scope.fault.is_some() {
            return Err(LATER);
        }
        let known = self.outcomes.so_far(0);
        let share = |part: u64| known.share(part).map(|share| (share, false)).ok_or(FEW);
        let count = |number: u64| Ok((number as f64, false));
        match self.condition.metric {
            Metric::Percentile(of @ (Of::Response | Of::Service), quantile) => {
                let times = if of == Of::Response { &self.times.response } else { &self.times.service };
                let samples = times.as_ref().map_or(0, hdrhistogram::Histogram::len);
                if quantile.samples_beyond(samples) < LEAST_SUPPORT {
                    return Err(FEW);
                }
                if of == Of::Service {
                    let ns = times.as_ref().map_or(0, |times| times.value_at_quantile(quantile.fraction()));
                    return Ok((ns as f64, false));
                }
                let found = self.times.at(quantile.fraction()).ok_or(FEW)?;
                Ok((found.ns as f64, found.censored))
            }
            Metric::Figure(figure) => match figure {
                Figure::ErrorRate | Figure::FailedRate => share(known.failed()),
                Figure::OkRate => share(known.ok),
                Figure::ShedRate => share(known.shed),
                Figure::TimeoutRate => share(known.timeout),
                Figure::LostRate => share(known.lost),
                Figure::DroppedRate => share(known.dropped),
                Figure::Shortfall => share(known.dropped + known.lost),
                Figure::Failed => count(known.failed()),
                Figure::Shed => count(known.shed),
                Figure::Error => count(known.error),
                Figure::Timeout => count(known.timeout),
                Figure::Lost => count(known.lost),
                Figure::Dropped => count(known.dropped),
                Figure::Max => {
                    let found = self.times.at(1.0).ok_or(FEW)?;
                    Ok((found.ns as f64, found.censored))
                }
                _ => Err(LATER),
            },
            _ => Err(LATER),
        }
    }
}

//! Judges a run's figures by its budgets: at the end, and, where a budget may end the run, at every interval.

use super::measurement::{
    MeasuredValue, Measurement, extreme, longest, of_counts, percentile, share, within_budget, worst,
};
use super::total::Totals;
use crate::budget::{Budget, Condition, Figure, LEAST_SUPPORT, Metric, Scope, Subject, Times};
use crate::clock::Tick;
use crate::record::{Cause, Gauge, Judgement, Kind, Layout, Outcomes, PhaseRole, Validity};
use crate::results::files::figures::Figures;
use crate::results::files::manifest::BudgetResult;
use crate::results::files::outage::{Outage, Recovery as State};
use crate::results::files::table::ALL;
use crate::results::record::cell::{Cell, Key, Series};
use crate::units::figure::count;
use crate::units::{Quantile, plural};

/// Every condition of `budgets` and what `totals` say of it, in their order. Of the one that ended the run early the verdict of
/// that instant stands, `early`: what came in afterwards cannot undo it.
pub(crate) fn judge(totals: &Totals, budgets: &[Budget], early: Option<&BudgetResult>) -> Vec<BudgetResult> {
    let mut results = Vec::new();
    for budget in budgets {
        let figures = ScopeFigures::of(totals, &totals.outages, &budget.scope, Stage::Over);
        // An activation that nobody followed may be the one that failed.
        let unknown = budget.scope.fault.as_ref().filter(|_| totals.fault_spells_omitted > 0);
        let judged = |condition: &Condition| {
            let measurement = match unknown {
                Some(_) => Err(format!(
                    "{} more than can be followed",
                    plural(totals.fault_spells_omitted, "activation")
                )),
                None => figures.find(condition),
            };
            let found = result(budget, condition, &measurement);
            early.filter(|early| early.is_of_same(&found)).cloned().unwrap_or(found)
        };
        results.extend(budget.conditions.iter().map(judged));
    }
    results
}

/// Makes a measurement invalid that cannot say whether the service or the generator broke one of `budgets`, since the percentile
/// that was too long is one that the generator may have shaped; and marks the budgets of an invalid one as not judged.
pub(crate) fn confine(validity: &mut Validity, budgets: &mut [BudgetResult]) {
    if validity.verdict < Judgement::Invalid {
        let doubtful = budgets.iter().filter(|budget| is_doubtful(budget, validity));
        let reason =
            |budget: &BudgetResult| format!("{}: the generator may have broken it", budget.sentence());
        let reasons: Vec<_> = doubtful.map(reason).collect();
        for reason in reasons {
            validity.add(Judgement::Invalid, Cause::Budget, reason);
        }
    }
    for budget in budgets {
        budget.unjudged |= validity.verdict == Judgement::Invalid;
    }
}

/// Marks the budgets of an interrupted run that have no data as not judged: what was to come would have brought it.
pub(crate) fn cut_short(budgets: &mut [BudgetResult]) {
    for budget in budgets.iter_mut().filter(|budget| budget.measured.is_none()) {
        budget.unjudged = true;
        budget.reason = Some("interrupted before enough samples".to_owned());
    }
}

/// Marks those budgets of a run that ended itself at `end` as not judged that have no data because what they are about was still to come.
pub(crate) fn left_out(budgets: &mut [BudgetResult], layout: &Layout, end: Tick) {
    let is_over = |name: &String| {
        let own = layout.phases.iter().find(|phase| phase.name == *name);
        own.is_some_and(|phase| layout.ends(phase) <= end)
    };
    let without = budgets.iter_mut().filter(|budget| budget.measured.is_none());
    for budget in without.filter(|budget| !budget.phase.as_ref().is_some_and(is_over)) {
        budget.unjudged = true;
        budget.reason = Some("the run ended before that".to_owned());
    }
}

/// Whether a budget was broken by a percentile that the generator may have shaped.
fn is_doubtful(budget: &BudgetResult, validity: &Validity) -> bool {
    let Some(Ok(Metric::Percentile(times, quantile))) = Metric::parse(&budget.metric) else { return false };
    let by_generator = matches!(times, Times::Response | Times::Ok | Times::Service);
    let judged = || Quantile::REPORTED.into_iter().filter(|judged| *judged <= Quantile::P99_9);
    // What lies between two percentiles is no safer than the higher of them.
    let next = judged().find(|judged| *judged >= quantile).or_else(|| judged().next_back());
    let measured = !budget.met && budget.value.is_some() && budget.kind == Kind::Reading.name();
    by_generator && measured && next.is_some_and(|next| validity.leaves_out(&next.to_string()))
}

/// Judges, while a run is on, those budgets that may end it.
#[derive(Debug, Default)]
pub(crate) struct BudgetWatch {
    budgets: Vec<Budget>,
    /// One has failed: the run is about to end.
    failed: bool,
}

impl BudgetWatch {
    pub(crate) fn new(budgets: &[Budget]) -> Self {
        let budgets = budgets.iter().filter(|budget| budget.abort_on_fail).cloned().collect();
        Self { budgets, failed: false }
    }

    /// The first condition that fails on the figures up to `now` and on what is overdue in `open`, by fleet, once in a run. What has no data yet does not fail yet, and
    /// what can still grow enough does not either.
    pub(crate) fn judge(
        &mut self,
        now: Tick,
        totals: &Totals,
        open: &[Gauge],
        outages: impl Fn() -> Vec<Outage>,
    ) -> Option<BudgetResult> {
        let layout = totals.layout();
        let mut measured = layout.phases.iter().filter(|phase| phase.role == PhaseRole::Measured);
        let begin = layout.begins(measured.next()?);
        // A phase's own budget counts from where that phase begins.
        let begin_of = |budget: &Budget| {
            let own = |name: &String| layout.phases.iter().find(|phase| phase.name == *name);
            budget.scope.phase.as_ref().and_then(own).map_or(begin, |phase| layout.begins(phase))
        };
        // Behind the last phase there is nothing left to end.
        let under_way = now > begin && now < layout.end();
        if self.failed || !under_way || self.budgets.is_empty() {
            return None;
        }
        let due = self.budgets.iter().filter(|budget| now >= begin_of(budget).plus_ns(budget.grace.as_ns()));
        for budget in due {
            let activations = if budget.scope.fault.is_some() { outages() } else { Vec::new() };
            let over: Vec<_> =
                activations.into_iter().filter(|activation| activation.state != State::Open).collect();
            let figures = ScopeFigures::of(totals, &over, &budget.scope, Stage::UnderWay(open));
            for condition in budget.conditions.iter().filter(|condition| condition.decides_early()) {
                let measurement = figures.find(condition);
                if measurement.as_ref().is_ok_and(|found| !condition.is_met(found.value, found.at_least)) {
                    self.failed = true;
                    return Some(BudgetResult { aborted: true, ..result(budget, condition, &measurement) });
                }
            }
        }
        None
    }
}

fn result(budget: &Budget, condition: &Condition, measurement: &Measurement) -> BudgetResult {
    let (scope, unit) = (&budget.scope, condition.metric.unit());
    let (word, per) = unit.in_files();
    let found = measurement.as_ref().ok();
    let shown = |found: &MeasuredValue| {
        format!(
            "{}{}",
            if found.at_least { "at least " } else { "" },
            unit.show_beside(found.value, condition.bound)
        )
    };
    BudgetResult {
        demand: condition.to_string(),
        fleet: scope.fleet.clone().unwrap_or_else(|| ALL.to_owned()),
        measured: found.map(shown),
        met: found.is_some_and(|found| condition.is_met(found.value, found.at_least)),
        unjudged: false,
        name: budget.name.clone(),
        scope: scope.to_string(),
        protocol: scope.protocol.clone(),
        phase: scope.phase.clone(),
        kind: kind_of(scope.subject).name().to_owned(),
        fault: scope.fault.clone(),
        metric: condition.metric.key(),
        comparison: condition.comparison.sign().to_owned(),
        bound: Some(condition.bound / per),
        value: found.map(|found| found.value / per),
        at_least: found.is_some_and(|found| found.at_least),
        unit: word.to_owned(),
        reason: measurement.as_ref().err().cloned(),
        aborted: false,
    }
}

pub(super) const fn kind_of(subject: Subject) -> Kind {
    match subject {
        Subject::Readings => Kind::Reading,
        Subject::Connections => Kind::Connect,
        Subject::Handshakes => Kind::Tls,
        Subject::Deliveries => Kind::Delivery,
    }
}

/// What a scope's figures are found in.
enum ScopeFigures<'o> {
    Readings(Box<ScopedCells>),
    Activations(Vec<&'o Outage>),
}

impl<'o> ScopeFigures<'o> {
    fn of(totals: &Totals, outages: &'o [Outage], scope: &Scope, stage: Stage<'_>) -> Self {
        match &scope.fault {
            Some(fault) => {
                Self::Activations(outages.iter().filter(|activation| activation.fault == *fault).collect())
            }
            None => Self::Readings(Box::new(ScopedCells::of(totals, scope, stage))),
        }
    }

    fn find(&self, condition: &Condition) -> Measurement {
        match self {
            Self::Readings(cells) => cells.find(condition.metric),
            Self::Activations(activations) => worst(activations, condition),
        }
    }
}

/// When figures are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage<'g> {
    /// What is open, by fleet, may still end ok, unless it is overdue.
    UnderWay(&'g [Gauge]),
    /// What has not ended by now never will.
    Over,
}

/// The readings, deliveries or connections that a scope means.
struct ScopedCells {
    /// How many of them are overdue while the run is on; `None` at its end.
    overdue: Option<u64>,
    /// How many of those of fleets with a latency budget have ended or are overdue.
    past_budgeted: u64,
    cell: Cell<u64>,
    /// The counts of the cell.
    counts: Figures,
    seconds: f64,
}

impl ScopedCells {
    fn of(totals: &Totals, scope: &Scope, stage: Stage<'_>) -> Self {
        let layout = totals.layout();
        let kind = kind_of(scope.subject);
        let wanted = |key: Key| {
            let (Some(phase), Some(fleet)) = (layout.phases.get(key.phase), layout.fleets.get(key.fleet))
            else {
                return false;
            };
            let timely = match &scope.phase {
                Some(name) => phase.name == *name,
                None => kind.is_of_connections() || phase.role == PhaseRole::Measured,
            };
            let named = scope.fleet.as_ref().is_none_or(|name| *name == fleet.name);
            let speaks = scope.protocol.as_ref().is_none_or(|word| word == fleet.protocol.name());
            key.kind == kind && timely && named && speaks
        };
        let has_budget =
            |key: Key| layout.fleets.get(key.fleet).is_some_and(|fleet| fleet.budget_ns.is_some());
        let number = |name: &String| layout.phases.iter().position(|phase| phase.name == *name);
        let seconds = match &scope.phase {
            Some(name) => number(name).map_or(0.0, |phase| totals.phase_seconds(phase)),
            None if kind.is_of_connections() => totals.end().as_secs_f64(),
            None => totals.measured_seconds(),
        };
        let mut cell = totals.merged(wanted);
        let (mut overdue, mut overdue_budgeted) = (0, 0);
        if let Stage::UnderWay(open) = stage {
            let present = layout.phase_at(Tick(totals.end().0.saturating_sub(1)));
            for (gauge, fleet) in open.iter().zip(0..) {
                let key = Key { phase: usize::from(present.0), fleet, kind };
                if wanted(key) && kind == Kind::Reading {
                    cell.add_overdue(gauge);
                    overdue += gauge.overdue();
                    overdue_budgeted += if has_budget(key) { gauge.overdue() } else { 0 };
                }
            }
        }
        let budgeted = totals.merged(|key| wanted(key) && has_budget(key)).counters;
        let counts = Figures {
            within_budget: (budgeted.planned > 0).then_some(budgeted.within_budget),
            resumed: Some(cell.counters.resumed),
            ..Figures::of_counts(&cell, false)
        };
        Self {
            overdue: matches!(stage, Stage::UnderWay(_)).then_some(overdue),
            past_budgeted: budgeted.ended() + overdue_budgeted,
            cell,
            counts,
            seconds,
        }
    }

    fn find(&self, metric: Metric) -> Measurement {
        if self.counts.planned == 0 {
            return Err("nothing came due".to_owned());
        }
        match metric {
            Metric::Percentile(times, quantile) => self.percentile(times, quantile),
            Metric::Figure(figure) => self.figure(figure),
            Metric::Recovery(_) => Err("known of faults only".to_owned()),
        }
    }

    fn percentile(&self, times: Times, quantile: Quantile) -> Measurement {
        let (cell, mut scratch) = (&self.cell, self.cell.scratch());
        let series = match times {
            Times::Response => None,
            Times::Ok => Some(Series::Ok),
            Times::Service => Some(Series::Service),
            Times::PacingLag => Some(Series::PacingLag),
            Times::BacklogWait => Some(Series::BacklogWait),
            Times::ServiceWait => Some(Series::ServiceWait),
            Times::OwnWait => Some(Series::OwnWait),
            Times::Queue => Some(Series::Queue),
            Times::Cache => Some(Series::Cache),
            Times::Inference => Some(Series::Inference),
            Times::Network => Some(Series::Network),
        };
        let histogram = match series {
            Some(series) => cell.times(series),
            None => cell.response(&mut scratch),
        };
        let histogram = histogram.ok_or("none was measured")?;
        let floor_ns = if series.is_none() { self.counts.floor_ns() } else { u64::MAX };
        percentile(histogram, quantile, floor_ns).ok_or_else(|| {
            let enough = |samples: &u64| quantile.samples_beyond(*samples) >= LEAST_SUPPORT;
            let least = (LEAST_SUPPORT as f64 / (1.0 - quantile.fraction())) as u64;
            let needed = (least.saturating_sub(1)..=least.saturating_add(2)).find(enough).unwrap_or(least);
            let (found, needed) = (count(histogram.len()), count(needed));
            format!("too few samples for {quantile} ({found}, needs {needed})")
        })
    }

    fn figure(&self, figure: Figure) -> Measurement {
        let (cell, counts) = (&self.cell, &self.counts);
        match figure {
            Figure::Mean | Figure::Min | Figure::Max => {
                let mut scratch = cell.scratch();
                let response = cell.response(&mut scratch).ok_or("nothing ended")?;
                Ok(extreme(figure, response, counts))
            }
            Figure::ServiceMax => Ok(longest(cell.times(Series::Service).ok_or("none was measured")?)),
            Figure::WithinBudgetRate => share(within_budget(counts)?, self.past_budgeted),
            // An overdue reading is not within its time-out any more, whatever becomes of it.
            Figure::Failed => {
                Ok(MeasuredValue::exactly((counts.failed() + self.overdue.unwrap_or(0)) as f64))
            }
            figure => of_counts(figure, counts, &self.outcomes(), self.seconds),
        }
    }

    fn outcomes(&self) -> Outcomes {
        match self.overdue {
            Some(overdue) => self.counts.outcomes().so_far(overdue),
            None => self.counts.outcomes(),
        }
    }
}

//! What a stored run says of its load: its figures, how its budgets stand, and whether it is about the service at all.

use std::path::Path;

use crate::capacity::Verdict;
use crate::cli::CliError;
use crate::record::{Cause, Judgement, Validity};
use crate::results::{BudgetResult, History, Report, SummaryRow};
use crate::units::Quantile;

/// A budget that was missed is used up at least so much, whatever is only known to be at least that.
const MISSED: f64 = 1.0;

/// A probe as its run's files have it.
#[derive(Debug, Clone)]
pub(super) struct Measurement {
    /// Digest of the plan that was run.
    pub(super) plan_digest: String,
    /// Readings that came due per second of the measured time.
    pub(super) offered_per_s: f64,
    /// Readings answered ok per second of the measured time, by when the answers came.
    pub(super) goodput_per_s: f64,
    /// Response times of all that ended, milliseconds, and whether they are only known to be at least that.
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    pub(super) is_p99_bound: bool,
    /// How far the tightest budget is used up.
    pub(super) usage: Option<f64>,
    pub(super) verdict: Verdict,
    pub(super) validity: Judgement,
    /// What the run says against itself.
    pub(super) reasons: Vec<String>,
    pub(super) budgets: Vec<BudgetResult>,
    /// Whether every reading that was sent has been answered: then the service has nothing of them left.
    pub(super) is_settled: bool,
}

impl Measurement {
    /// Reads the run in `directory`.
    ///
    /// # Errors
    /// If its files cannot be read.
    pub(super) fn read(directory: &Path) -> Result<Self, CliError> {
        let report = Report::load(directory).map_err(CliError::failed)?;
        let history = History::load(directory).map_err(CliError::failed)?;
        let Some(row) = report.headline() else {
            return Err(CliError::failed(format!("{} has no figures", directory.display())));
        };
        let figures = &row.figures;
        let at = |quantile| figures.percentile(quantile).map(|time| (time.ns as f64 / 1e6, time.censored));
        let (p50, p99) = (at(Quantile::P50), at(Quantile::P99));
        let validity = report.run.validity.clone().unwrap_or_else(|| {
            let mut unknown = Validity::new();
            unknown.add(Judgement::Invalid, Cause::Unknown, "the run was not judged".to_owned());
            unknown
        });
        let budgets = report.run.budgets.clone();
        let open = figures.timeout + figures.lost;
        Ok(Self {
            plan_digest: report.run.plan_digest.clone(),
            offered_per_s: if row.duration_s > 0.0 { figures.planned as f64 / row.duration_s } else { 0.0 },
            goodput_per_s: goodput(&report.summary, &history).unwrap_or(figures.rate_per_s),
            p50_ms: p50.map(|(ms, _)| ms),
            p99_ms: p99.map(|(ms, _)| ms),
            is_p99_bound: p99.is_some_and(|(_, censored)| censored),
            usage: budgets.iter().filter_map(usage).reduce(f64::max),
            verdict: verdict(&validity, &budgets),
            validity: validity.verdict,
            reasons: validity.reasons,
            budgets,
            is_settled: open == 0,
        })
    }
}

/// Readings answered ok per second while the measured phases lasted. What a service answers after they are over is no throughput of
/// that load: a long drain would make an overloaded service look able.
fn goodput(summary: &[SummaryRow], history: &History) -> Option<f64> {
    let measured = |name: &str| summary.iter().any(|row| row.phase == name && row.is_measured());
    let phases: Vec<_> = history.phases.iter().filter(|phase| measured(&phase.name)).collect();
    let (start, end) = (phases.first()?.start_s, phases.last()?.end_s.min(history.end_s));
    let within = (0..history.columns.len()).filter(|column| {
        let (from, to) = history.bounds(*column);
        from >= start - 1e-6 && to <= end + 1e-6
    });
    let (ok, length) = within.fold((0, 0.0), |(ok, length), column| {
        (ok + history.columns[column].outcomes.ok, length + history.length_s(column))
    });
    (length > 0.0).then(|| ok as f64 / length)
}

/// What a run says of the service at its load.
fn verdict(validity: &Validity, budgets: &[BudgetResult]) -> Verdict {
    if validity.verdict == Judgement::Invalid {
        let by_generator = |cause: Cause| cause.disturbance().is_some() || cause == Cause::Budget;
        return if validity.causes().any(|(_, cause)| by_generator(cause)) {
            Verdict::GeneratorLimited
        } else {
            Verdict::Unjudged
        };
    }
    let judged = |budget: &&BudgetResult| !budget.unjudged && budget.measured.is_some();
    if budgets.iter().filter(judged).any(|budget| !budget.met) {
        return Verdict::Missed;
    }
    // A budget without data says nothing of the service, whatever the others say.
    if budgets.iter().all(|budget| judged(&budget)) { Verdict::Met } else { Verdict::Unjudged }
}

/// How far a budget is used up: measured ÷ bound, or bound ÷ measured of a floor.
pub(super) fn usage(budget: &BudgetResult) -> Option<f64> {
    let (bound, value) = (budget.bound?, budget.value?);
    let share = if budget.comparison.starts_with('<') { value / bound } else { bound / value };
    let share = share.is_finite().then_some(share)?;
    // What is known only from below, and a bound that is just met, must not be told otherwise than they were judged.
    Some(if budget.met { share } else { share.max(MISSED) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(comparison: &str, bound: f64, value: Option<f64>, met: bool) -> BudgetResult {
        BudgetResult {
            comparison: comparison.to_owned(),
            bound: Some(bound),
            value,
            measured: value.map(|value| value.to_string()),
            met,
            ..BudgetResult::default()
        }
    }

    #[test]
    fn a_budget_is_used_up_by_the_share_of_its_bound() {
        for (comparison, bound, value, met, share) in [
            ("<", 200.0, Some(150.0), true, Some(0.75)),
            ("<=", 0.01, Some(0.0), true, Some(0.0)),
            (">", 100.0, Some(400.0), true, Some(0.25)),
            (">=", 100.0, Some(0.0), false, None),
            // A bound that must be kept below is missed at it, and a time that is only known from below may be longer.
            ("<", 200.0, Some(200.0), false, Some(1.0)),
            ("<", 200.0, Some(150.0), false, Some(1.0)),
            ("<", 200.0, None, false, None),
        ] {
            let budget = budget(comparison, bound, value, met);
            assert_eq!(usage(&budget), share, "{budget:?}");
        }
    }

    #[test]
    fn an_invalid_run_is_no_news_of_the_service_and_no_data_is_no_verdict() {
        let (met, missed, none) = (
            budget("<", 2.0, Some(1.0), true),
            budget("<", 2.0, Some(3.0), false),
            budget("<", 2.0, None, false),
        );
        let of = |cause: Option<Cause>, budgets: &[&BudgetResult]| {
            let mut validity = Validity::new();
            if let Some(cause) = cause {
                validity.add(Judgement::Invalid, cause, String::new());
            }
            let budgets: Vec<_> = budgets.iter().map(|budget| (*budget).clone()).collect();
            verdict(&validity, &budgets)
        };
        assert_eq!(of(None, &[&met]), Verdict::Met);
        assert_eq!(of(None, &[&met, &missed]), Verdict::Missed);
        assert_eq!(of(None, &[&met, &none]), Verdict::Unjudged);
        assert_eq!(of(None, &[&missed, &none]), Verdict::Missed);
        for cause in [Cause::Lag, Cause::Rate, Cause::Processor, Cause::Scarcity, Cause::Stall, Cause::Budget]
        {
            assert_eq!(of(Some(cause), &[&missed]), Verdict::GeneratorLimited, "{cause:?}");
        }
        for cause in [Cause::Plan, Cause::Identity, Cause::Unknown] {
            assert_eq!(of(Some(cause), &[&missed]), Verdict::Unjudged, "{cause:?}");
        }
    }
}

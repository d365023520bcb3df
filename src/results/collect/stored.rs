//! The figures of a stored run, by whose they are and which: what budgets find while a run is in memory,
//! found once more from its files.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::path::Path;

use hdrhistogram::Histogram;

use super::budget::kind_of;
use super::measurement::{
    MeasuredValue, Measurement, extreme, longest, of_counts, percentile, share, within_budget, worst,
};
use crate::budget::{Condition, Figure, Metric, Scope, Subject, Times};
use crate::results::files::distribution::{Distributions, read_distributions, tag_of};
use crate::results::files::figures::Figures;
use crate::results::files::millis::Millis;
use crate::results::files::report::{LoadError, Report};
use crate::results::files::table::{SummaryRow, is_measured};
use crate::units::Quantile;

/// A stored run whose figures are asked for one by one.
#[derive(Debug)]
pub(crate) struct StoredRun {
    /// The run.
    pub(crate) report: Report,
    /// The distributions of its log, once one is asked for, or why there are none.
    distributions: OnceCell<Result<Distributions, String>>,
}

impl StoredRun {
    /// Reads the run in `directory`.
    ///
    /// # Errors
    /// As [`Report::load`].
    pub(crate) fn load(directory: &Path) -> Result<Self, LoadError> {
        Report::load(directory).map(Self::of)
    }

    /// The run that `report` is of.
    pub(crate) const fn of(report: Report) -> Self {
        Self { report, distributions: OnceCell::new() }
    }

    /// The run that `report` is of, with these distributions in place of its log's.
    #[cfg(test)]
    pub(crate) fn with(report: Report, distributions: Distributions) -> Self {
        Self { report, distributions: OnceCell::from(Ok(distributions)) }
    }

    /// The figure that `condition` is about, of what `scope` means: as [`judge`](super::budget::judge) would
    /// have found it at the end of the run. Of several activations of a fault it is the one that keeps least
    /// to the condition.
    ///
    /// # Errors
    /// Why there is no such figure, in words.
    pub(crate) fn measure(&self, scope: &Scope, condition: &Condition) -> Measurement {
        if let Some(fault) = &scope.fault {
            if self.report.run.fault_spells_omitted > 0 {
                return Err("there were too many activations to follow".to_owned());
            }
            let activations: Vec<_> =
                self.report.faults.iter().filter(|activation| activation.fault == *fault).collect();
            return worst(&activations, condition);
        }
        let rows = self.rows(scope);
        if rows.iter().all(|row| row.figures.planned == 0) {
            return Err("nothing came due".to_owned());
        }
        match condition.metric {
            Metric::Percentile(times, quantile) => self.percentile(&rows, times, quantile),
            Metric::Figure(figure) => self.figure(&rows, figure),
            Metric::Recovery(_) => Err("known of faults only".to_owned()),
        }
    }

    /// The largest pacing lag (p99) of any fleet in any phase that `scope` means, nanoseconds; of a fault
    /// that of all measured phases. Deliveries begin when readings come due, whoever sends those: theirs is that of all readings.
    pub(crate) fn lag_ns(&self, scope: &Scope) -> Option<u64> {
        let whole = match scope.subject {
            Subject::Deliveries => Scope { phase: scope.phase.clone(), ..Scope::default() },
            _ => Scope { fault: None, ..scope.clone() },
        };
        self.rows(&whole).iter().filter_map(|row| row.figures.pacing_lag_p99_ms).map(|lag| lag.0).max()
    }

    /// The rows of the summary that `scope` means.
    fn rows(&self, scope: &Scope) -> Vec<&SummaryRow> {
        let kind = kind_of(scope.subject);
        let is = |wanted: &Option<String>, own: &str| wanted.as_ref().is_none_or(|wanted| wanted == own);
        let meant = |row: &&SummaryRow| {
            let timely = match &scope.phase {
                Some(phase) => row.phase == *phase,
                None => kind.is_of_connections() || is_measured(&row.phase),
            };
            let own = is(&scope.fleet, &row.fleet) && is(&scope.protocol, &row.protocol);
            !row.is_headline() && row.kind == kind.name() && timely && own
        };
        self.report.summary.iter().filter(meant).collect()
    }

    /// The log's distribution of `times` behind all of `rows`; `None` where there is none.
    fn times(&self, rows: &[&SummaryRow], times: &str) -> Result<Option<Histogram<u64>>, String> {
        let load = || read_distributions(&self.report.directory).map_err(|error| error.to_string());
        let log = self.distributions.get_or_init(load).as_ref().map_err(Clone::clone)?;
        let mut sum: Option<Histogram<u64>> = None;
        for row in rows {
            let Some(own) = log.get(&Some(tag_of(row, times))) else { continue };
            match &mut sum {
                None => sum = Some(own.clone()),
                Some(sum) => sum.add(own).map_err(|error| error.to_string())?,
            }
        }
        Ok(sum)
    }

    fn percentile(&self, rows: &[&SummaryRow], times: Times, quantile: Quantile) -> Measurement {
        let (word, floor_ns) = match times {
            Times::Response => ("response", total(rows.iter().copied()).floor_ns()),
            Times::Ok => ("ok", u64::MAX),
            Times::Service => ("service", u64::MAX),
            Times::PacingLag => ("pacing-lag", u64::MAX),
            _ => return column(rows, times, quantile),
        };
        let histogram = self.times(rows, word)?.ok_or("none was measured")?;
        percentile(&histogram, quantile, floor_ns)
            .ok_or_else(|| format!("too few samples for {quantile} ({})", histogram.len()))
    }

    fn figure(&self, rows: &[&SummaryRow], figure: Figure) -> Measurement {
        let counts = total(rows.iter().copied());
        match figure {
            Figure::Mean | Figure::Min | Figure::Max => {
                let response = self.times(rows, "response")?.ok_or("nothing ended")?;
                Ok(extreme(figure, &response, &counts))
            }
            Figure::ServiceMax => Ok(longest(&self.times(rows, "service")?.ok_or("none was measured")?)),
            Figure::WithinBudgetRate => {
                let budgeted = rows.iter().copied().filter(|row| row.figures.within_budget.is_some());
                share(within_budget(&counts)?, total(budgeted).ended())
            }
            figure => of_counts(figure, &counts, &counts.outcomes(), seconds(rows)),
        }
    }
}

/// The counts of `rows` together.
fn total<'r>(rows: impl Iterator<Item = &'r SummaryRow>) -> Figures {
    let mut sum = Figures::default();
    rows.for_each(|row| sum.add_counts(&row.figures));
    sum
}

/// How long the phases of `rows` lasted.
fn seconds(rows: &[&SummaryRow]) -> f64 {
    let mut phases = BTreeSet::new();
    rows.iter().filter(|row| phases.insert(&row.phase)).map(|row| row.duration_s).sum()
}

/// A percentile that the log does not hold, from its column: known of one fleet in one phase.
fn column(rows: &[&SummaryRow], times: Times, quantile: Quantile) -> Measurement {
    let [row] = rows else {
        return Err("known of one fleet in one phase only".to_owned());
    };
    let figures = &row.figures;
    let value: Option<Millis> = match (times, quantile) {
        (Times::BacklogWait, Quantile::P99) => figures.backlog_wait_p99_ms,
        (Times::ServiceWait, Quantile::P99) => figures.service_wait_p99_ms,
        (Times::OwnWait, Quantile::P99) => figures.own_wait_p99_ms,
        (Times::Queue, Quantile::P50) => figures.stage_queue_p50_ms,
        (Times::Cache, Quantile::P50) => figures.stage_cache_p50_ms,
        (Times::Inference, Quantile::P50) => figures.stage_inference_p50_ms,
        (Times::Network, Quantile::P50) => figures.stage_network_p50_ms,
        _ => return Err("the files of a run do not hold this percentile".to_owned()),
    };
    value.map(|time| MeasuredValue::exactly(time.0 as f64)).ok_or_else(|| "none was measured".to_owned())
}

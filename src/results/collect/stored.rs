//! The figures of a stored run, by whose they are and which: what budgets find while a run is in memory,
//! found once more from its files.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::path::Path;

use hdrhistogram::Histogram;

use super::budget::kind_of;
use super::measurement::{MeasuredValue, Measurement, audited, counted, share, worst};
use crate::budget::{Condition, Figure, LEAST_SUPPORT, Metric, Scope, Times};
use crate::record::{ErrorKind, Kind};
use crate::results::files::distribution::{Distributions, read_distributions, tag_of};
use crate::results::files::figures::Figures;
use crate::results::files::millis::Millis;
use crate::results::files::report::{LoadError, Report};
use crate::results::files::table::{SummaryRow, is_measured};
use crate::results::record::count::ReadingCounts;
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
    /// that of all measured phases.
    pub(crate) fn lag_ns(&self, scope: &Scope) -> Option<u64> {
        let whole = Scope { fault: None, ..scope.clone() };
        self.rows(&whole).iter().filter_map(|row| row.figures.pacing_lag_p99_ms).map(|lag| lag.0).max()
    }

    /// The rows of the summary that `scope` means.
    fn rows(&self, scope: &Scope) -> Vec<&SummaryRow> {
        let kind = kind_of(scope.subject);
        let is = |wanted: &Option<String>, own: &str| wanted.as_ref().is_none_or(|wanted| wanted == own);
        let meant = |row: &&SummaryRow| {
            let timely = match &scope.phase {
                Some(phase) => row.phase == *phase,
                None => kind != Kind::Reading || is_measured(&row.phase),
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
        let tag = match times {
            Times::Response => "response",
            Times::Ok => "ok",
            Times::Service => "service",
            Times::PacingLag => "pacing-lag",
            _ => return column(rows, times, quantile),
        };
        let histogram = self.times(rows, tag)?.ok_or("none was measured")?;
        if quantile.samples_beyond(histogram.len()) < LEAST_SUPPORT {
            return Err(format!("too few samples for {quantile} ({})", histogram.len()));
        }
        let ns = histogram.value_at_quantile(quantile.fraction());
        let at_least = (times == Times::Response && ns >= floor_ns(rows)) || ns >= histogram.high();
        Ok(MeasuredValue { value: ns as f64, at_least })
    }

    fn figure(&self, rows: &[&SummaryRow], figure: Figure) -> Measurement {
        let sum = total(rows.iter().copied());
        let budgeted = total(rows.iter().copied().filter(|row| row.figures.within_budget.is_some()));
        let number = |number: u64| Ok(MeasuredValue::exactly(number as f64));
        let some = |count: Option<u64>| number(count.unwrap_or(0));
        let within = || budgeted.within_budget.ok_or("no reading had a latency budget");
        let per_second = |count: u64| {
            let rate = count as f64 / seconds(rows);
            if rate.is_finite() {
                Ok(MeasuredValue::exactly(rate))
            } else {
                Err("it lasted no time".to_owned())
            }
        };
        match figure {
            Figure::Mean | Figure::Min | Figure::Max => self.extreme(rows, figure, &sum),
            Figure::ServiceMax => {
                let times = self.times(rows, "service")?.ok_or("none was measured")?;
                Ok(MeasuredValue { value: times.max() as f64, at_least: times.max() >= times.high() })
            }
            Figure::WithinBudget => number(within()?),
            Figure::WithinBudgetRate => share(within()?, budgeted.outcomes().ended()),
            Figure::FoundRate => share(sum.anomalies_found.unwrap_or(0), sum.anomalies.unwrap_or(0)),
            Figure::FalseAlarmRate => share(sum.false_alarms.unwrap_or(0), sum.judged_normal.unwrap_or(0)),
            Figure::RatePerS | Figure::Goodput => per_second(sum.ok),
            Figure::OfferedPerS => per_second(sum.planned),
            Figure::CensoredFloor if floor_ns(rows) == u64::MAX => Err("nothing failed".to_owned()),
            Figure::CensoredFloor => number(floor_ns(rows)),
            Figure::Planned => number(sum.planned),
            Figure::Sent => number(sum.sent),
            Figure::Attempts => number(sum.attempts.unwrap_or(sum.sent)),
            Figure::Retried => some(sum.retried),
            Figure::RetriesDenied => some(sum.retries_denied),
            Figure::Resent => some(sum.resent),
            Figure::Resumed => some(sum.resumed),
            Figure::ResumedRate => share(sum.resumed.unwrap_or(0), sum.ok),
            Figure::Late => number(sum.late),
            Figure::Censored => number(sum.censored),
            Figure::Overflow => number(sum.overflow),
            Figure::ErrorRefused => number(sum.errors(ErrorKind::Refused)),
            Figure::ErrorReset => number(sum.errors(ErrorKind::Reset)),
            Figure::ErrorClosed => number(sum.errors(ErrorKind::Closed)),
            Figure::ErrorProtocol => number(sum.errors(ErrorKind::Protocol)),
            Figure::ErrorStatus => number(sum.errors(ErrorKind::Status)),
            Figure::ErrorResource => number(sum.errors(ErrorKind::Resource)),
            Figure::ErrorNetwork => number(sum.errors(ErrorKind::Network)),
            Figure::ErrorTls => number(sum.errors(ErrorKind::Tls)),
            Figure::FailedDevices => number(sum.failed_devices),
            Figure::Unmatched => number(sum.unmatched),
            Figure::WireSentBytes => number(sum.wire_sent_bytes),
            Figure::WireReceivedBytes => number(sum.wire_received_bytes),
            Figure::PayloadSentBytes => number(sum.payload_sent_bytes),
            Figure::PayloadReceivedBytes => number(sum.payload_received_bytes),
            Figure::Anomalies => some(sum.anomalies),
            Figure::AnomaliesFound => some(sum.anomalies_found),
            Figure::JudgedNormal => some(sum.judged_normal),
            Figure::FalseAlarms => sum.false_alarms.map_or_else(|| Err("none was judged".to_owned()), number),
            Figure::Duplicated | Figure::DuplicatedRate | Figure::Reordered | Figure::ReorderedRate => {
                let (duplicated, reordered) = (sum.duplicated, sum.reordered);
                audited(figure, &ReadingCounts { outcomes: sum.outcomes(), duplicated, reordered })
            }
            figure => counted(figure, &sum.outcomes()),
        }
    }

    fn extreme(&self, rows: &[&SummaryRow], figure: Figure, sum: &Figures) -> Measurement {
        let response = self.times(rows, "response")?.ok_or("nothing ended")?;
        let floor = floor_ns(rows);
        let bounded =
            |ns: u64| MeasuredValue { value: ns as f64, at_least: ns >= floor.min(response.high()) };
        Ok(match figure {
            Figure::Min => bounded(response.min()),
            Figure::Max => bounded(response.max()),
            // One lower bound among them makes their mean one.
            _ => {
                let at_least = floor < u64::MAX || sum.overflow > 0;
                MeasuredValue { value: response.mean().round(), at_least }
            }
        })
    }
}

/// The counts of `rows` together.
fn total<'r>(rows: impl Iterator<Item = &'r SummaryRow>) -> Figures {
    let mut sum = Figures::default();
    rows.for_each(|row| sum.add_counts(&row.figures));
    sum
}

/// The smallest bound that a failed reading of `rows` counts as, nanoseconds; the largest number where
/// nothing failed.
fn floor_ns(rows: &[&SummaryRow]) -> u64 {
    rows.iter().filter_map(|row| row.figures.censored_floor_ms).map(|floor| floor.0).min().unwrap_or(u64::MAX)
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

//! What budgets find, in the memory of a run and in its files alike: a measured figure or why there is none, and the figures of the
//! activations of faults.

use hdrhistogram::Histogram;

use crate::budget::{Condition, Figure, LEAST_SUPPORT, Metric, Recovery};
use crate::record::{ErrorKind, Outcomes};
use crate::results::files::figures::Figures;
use crate::results::files::outage::{Outage, Recovery as State};
use crate::results::record::count::ReadingCounts;
use crate::units::Quantile;

/// A measured figure, in the measure of its unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct MeasuredValue {
    pub(crate) value: f64,
    /// Whether the true value is at least that.
    pub(crate) at_least: bool,
}

impl MeasuredValue {
    pub(crate) const fn exactly(value: f64) -> Self {
        Self { value, at_least: false }
    }
}

/// A figure, or why there is none.
pub(crate) type Measurement = Result<MeasuredValue, String>;

/// The activation that keeps least to the condition: one without data, else one that fails, else the one nearest to failing.
pub(crate) fn worst(activations: &[&Outage], condition: &Condition) -> Measurement {
    let mut worst: Option<MeasuredValue> = None;
    for activation in activations {
        let found = of_activation(activation, condition.metric)
            .map_err(|why| format!("{why} (activation {})", activation.turn + 1))?;
        let takes_its_place = worst.is_none_or(|worst| {
            if condition.comparison.is_ceiling() {
                (found.at_least, found.value) > (worst.at_least, worst.value)
            } else {
                found.value < worst.value
            }
        });
        if takes_its_place {
            worst = Some(found);
        }
    }
    worst.ok_or_else(|| "it was never on".to_owned())
}

fn of_activation(activation: &Outage, metric: Metric) -> Measurement {
    let seconds = |time: Option<f64>, why: &str| {
        time.map(|s| MeasuredValue::exactly((s * 1e9).round())).ok_or_else(|| why.to_owned())
    };
    let millis = |time: Option<f64>, at_least| {
        let measured = time.map(|ms| MeasuredValue { value: (ms * 1e6).round(), at_least });
        measured.ok_or_else(|| "no reading ended".to_owned())
    };
    let number = |number: u64| Ok(MeasuredValue::exactly(number as f64));
    let recovery = match metric {
        Metric::Recovery(recovery) => recovery,
        Metric::Figure(figure) => {
            let counts = activation.counts();
            // Where nothing ended, nothing failed either: that proves nothing.
            let ended = counts.outcomes.ended();
            return if ended == 0 { Err("no reading ended".to_owned()) } else { audited(figure, &counts) };
        }
        Metric::Percentile(..) => return Err("not known of a fault".to_owned()),
    };
    match recovery {
        Recovery::Recovered => match activation.state {
            State::Recovered => Ok(MeasuredValue::exactly(1.0)),
            State::NotRecovered => Ok(MeasuredValue::exactly(0.0)),
            state => Err(unproven(state).to_owned()),
        },
        Recovery::RecoveredAfter => seconds(activation.recovered_after_s, unproven(activation.state)),
        Recovery::FirstOkAfter => seconds(activation.first_ok_after_s, "no reading ended ok after it"),
        Recovery::BacklogDrainedAfter => {
            seconds(activation.backlog_drained_after_s, "the backlog was never gone")
        }
        Recovery::ReconnectedAfter => {
            seconds(activation.reconnected_99_after_s, "nothing was connected again")
        }
        Recovery::P99Before => millis(activation.p99_before_ms, false),
        Recovery::WorstP99 => millis(activation.worst_p99_ms, activation.worst_p99_censored),
        Recovery::PeakBacklog => number(activation.peak_backlog),
        Recovery::BacklogBefore => number(activation.backlog_before),
        Recovery::Reconnected => number(activation.reconnected),
        Recovery::PeakReconnectsPerS => {
            Ok(MeasuredValue::exactly(activation.peak_reconnects_per_s.unwrap_or(0.0)))
        }
        Recovery::Devices => number(u64::from(activation.devices)),
        Recovery::Acted => activation.acted.map_or_else(|| Err("that is not counted".to_owned()), number),
    }
}

const fn unproven(state: State) -> &'static str {
    match state {
        State::Recovered | State::NotRecovered => "it had not recovered when the run ended",
        State::Overlapped => "it had not recovered when the fault began again",
        State::RunEnded | State::Open => "the run left less time after it than the proof of a recovery takes",
        State::NoLevel => "there was nothing before it to compare with",
    }
}

/// Figures that rest on the counts of so many `seconds`, and on the smallest bound of what was censored. `outcomes` are those of
/// `counts`, and while a run is on only [what counts so far](Outcomes::so_far).
pub(super) fn of_counts(figure: Figure, counts: &Figures, outcomes: &Outcomes, seconds: f64) -> Measurement {
    let number = |number: u64| Ok(MeasuredValue::exactly(number as f64));
    let some = |count: Option<u64>| number(count.unwrap_or(0));
    let unnamed = || Err("the service named no model".to_owned());
    let rate = |part: Option<u64>, whole: Option<u64>| share(part.unwrap_or(0), whole.unwrap_or(0));
    match figure {
        Figure::WithinBudget => number(within_budget(counts)?),
        Figure::FoundRate => rate(counts.anomalies_found, counts.anomalies),
        Figure::FalseAlarmRate => rate(counts.false_alarms, counts.judged_normal),
        Figure::RatePerS | Figure::Goodput => per_second(counts.ok, seconds),
        Figure::OfferedPerS => per_second(counts.planned, seconds),
        Figure::CensoredFloor if counts.floor_ns() == u64::MAX => Err("nothing failed".to_owned()),
        Figure::CensoredFloor => number(counts.floor_ns()),
        Figure::Planned => number(counts.planned),
        Figure::Sent => number(counts.sent),
        // Runs of earlier versions do not tell them apart.
        Figure::Attempts => number(counts.attempts.unwrap_or(counts.sent)),
        Figure::Retried => some(counts.retried),
        Figure::RetriesDenied => some(counts.retries_denied),
        Figure::Resent => some(counts.resent),
        Figure::Resumed => some(counts.resumed),
        Figure::ResumedRate => share(counts.resumed.unwrap_or(0), counts.ok),
        Figure::Late => number(counts.late),
        Figure::Censored => number(counts.censored),
        Figure::Overflow => number(counts.overflow),
        Figure::ErrorRefused => number(counts.errors(ErrorKind::Refused)),
        Figure::ErrorReset => number(counts.errors(ErrorKind::Reset)),
        Figure::ErrorClosed => number(counts.errors(ErrorKind::Closed)),
        Figure::ErrorProtocol => number(counts.errors(ErrorKind::Protocol)),
        Figure::ErrorStatus => number(counts.errors(ErrorKind::Status)),
        Figure::ErrorResource => number(counts.errors(ErrorKind::Resource)),
        Figure::ErrorNetwork => number(counts.errors(ErrorKind::Network)),
        Figure::ErrorTls => number(counts.errors(ErrorKind::Tls)),
        Figure::FailedDevices => number(counts.failed_devices),
        Figure::Unmatched => number(counts.unmatched),
        Figure::WireSentBytes => number(counts.wire_sent_bytes),
        Figure::WireReceivedBytes => number(counts.wire_received_bytes),
        Figure::PayloadSentBytes => number(counts.payload_sent_bytes),
        Figure::PayloadReceivedBytes => number(counts.payload_received_bytes),
        Figure::Anomalies => some(counts.anomalies),
        Figure::AnomaliesFound => some(counts.anomalies_found),
        Figure::JudgedNormal => some(counts.judged_normal),
        Figure::FalseAlarms => counts.false_alarms.map_or_else(|| Err("none was judged".to_owned()), number),
        Figure::ChampionNormal => some(counts.champion_normal),
        Figure::ChallengerNormal => some(counts.challenger_normal),
        Figure::ChampionFalseAlarms => counts.champion_false_alarms.map_or_else(unnamed, number),
        Figure::Requests => some(counts.requests),
        Figure::ChallengerFalseAlarms => counts.challenger_false_alarms.map_or_else(unnamed, number),
        Figure::Duplicated | Figure::DuplicatedRate | Figure::Reordered | Figure::ReorderedRate => {
            let (duplicated, reordered) = (counts.duplicated, counts.reordered);
            audited(figure, &ReadingCounts { outcomes: *outcomes, duplicated, reordered })
        }
        figure => counted(figure, outcomes),
    }
}

/// How many ended within the latency budgets of their fleets.
pub(super) fn within_budget(counts: &Figures) -> Result<u64, String> {
    counts.within_budget.ok_or_else(|| "no reading had a latency budget".to_owned())
}

/// The time at `quantile`; `None` where too few samples lie beyond it. From `floor_ns` on times are lower bounds.
pub(super) fn percentile(times: &Histogram<u64>, quantile: Quantile, floor_ns: u64) -> Option<MeasuredValue> {
    let is_supported = quantile.samples_beyond(times.len()) >= LEAST_SUPPORT;
    is_supported.then(|| bounded(times.value_at_quantile(quantile.fraction()), times, floor_ns))
}

/// The longest or shortest of the `response` times of what `counts` are of, or their mean.
pub(super) fn extreme(figure: Figure, response: &Histogram<u64>, counts: &Figures) -> MeasuredValue {
    let floor_ns = counts.floor_ns();
    match figure {
        Figure::Min => bounded(response.min(), response, floor_ns),
        Figure::Max => bounded(response.max(), response, floor_ns),
        // One lower bound among them makes their mean one.
        _ => {
            let at_least = floor_ns < u64::MAX || counts.overflow > 0;
            MeasuredValue { value: response.mean().round(), at_least }
        }
    }
}

/// The longest of `times`, none of which is a lower bound of another.
pub(super) fn longest(times: &Histogram<u64>) -> MeasuredValue {
    bounded(times.max(), times, u64::MAX)
}

/// One of `times`. What was longer than a histogram reaches stands at its end.
fn bounded(ns: u64, times: &Histogram<u64>, floor_ns: u64) -> MeasuredValue {
    MeasuredValue { value: ns as f64, at_least: ns >= floor_ns.min(times.high()) }
}

fn per_second(count: u64, seconds: f64) -> Measurement {
    let rate = count as f64 / seconds;
    if rate.is_finite() { Ok(MeasuredValue::exactly(rate)) } else { Err("it lasted no time".to_owned()) }
}

/// Figures that rest on how readings or connections ended alone.
fn counted(figure: Figure, outcomes: &Outcomes) -> Measurement {
    let number = |number: u64| Ok(MeasuredValue::exactly(number as f64));
    let found =
        |rate: Option<f64>| rate.map(MeasuredValue::exactly).ok_or_else(|| "nothing ended".to_owned());
    let share = |part: u64| found(outcomes.share(part));
    match figure {
        Figure::ErrorRate | Figure::FailedRate | Figure::ConnectErrorRate => found(outcomes.error_rate()),
        Figure::Shortfall => share(outcomes.dropped + outcomes.lost),
        Figure::OkRate => share(outcomes.ok),
        Figure::ShedRate => share(outcomes.shed),
        Figure::TimeoutRate => share(outcomes.timeout),
        Figure::LostRate => share(outcomes.lost),
        Figure::DroppedRate => share(outcomes.dropped),
        Figure::Ok => number(outcomes.ok),
        Figure::Failed => number(outcomes.failed()),
        Figure::Shed => number(outcomes.shed),
        Figure::Error => number(outcomes.error),
        Figure::Timeout => number(outcomes.timeout),
        Figure::Lost => number(outcomes.lost),
        Figure::Dropped => number(outcomes.dropped),
        _ => Err("not known of a fault".to_owned()),
    }
}

/// Figures that rest on how the readings around a fault ended, and on their order.
fn audited(figure: Figure, counts: &ReadingCounts) -> Measurement {
    match figure {
        Figure::DuplicatedRate => share(counts.duplicated, counts.outcomes.ended()),
        Figure::ReorderedRate => share(counts.reordered, counts.outcomes.ended()),
        Figure::Duplicated => Ok(MeasuredValue::exactly(counts.duplicated as f64)),
        Figure::Reordered => Ok(MeasuredValue::exactly(counts.reordered as f64)),
        figure => counted(figure, &counts.outcomes.so_far(0)),
    }
}

pub(super) fn share(part: u64, whole: u64) -> Measurement {
    if whole == 0 {
        return Err("nothing ended".to_owned());
    }
    Ok(MeasuredValue::exactly(part as f64 / whole as f64))
}

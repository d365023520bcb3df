//! What budgets find: a measured figure or why there is none, and the figures of the spells of faults.

use super::level::Sums;
use super::outage::{Outage, Recovery as State};
use crate::budget::{Condition, Figure, Metric, Recovery};
use crate::record::Outcomes;

/// A measured figure, in the measure of its unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Measured {
    pub(super) value: f64,
    /// Whether the true value is at least that.
    pub(super) at_least: bool,
}

impl Measured {
    pub(super) const fn exactly(value: f64) -> Self {
        Self { value, at_least: false }
    }
}

/// A figure, or why there is none.
pub(super) type Finding = Result<Measured, String>;

/// The spell that keeps least to the condition: one without data, else one that fails, else the one nearest to failing.
pub(super) fn worst(spells: &[&Outage], condition: &Condition) -> Finding {
    let mut worst: Option<Measured> = None;
    for spell in spells {
        let found =
            of_spell(spell, condition.metric).map_err(|why| format!("{why} (spell {})", spell.turn + 1))?;
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

fn of_spell(spell: &Outage, metric: Metric) -> Finding {
    let seconds = |time: Option<f64>, why: &str| {
        time.map(|s| Measured::exactly((s * 1e9).round())).ok_or_else(|| why.to_owned())
    };
    let millis = |time: Option<f64>, at_least| {
        let measured = time.map(|ms| Measured { value: (ms * 1e6).round(), at_least });
        measured.ok_or_else(|| "no reading ended".to_owned())
    };
    let number = |number: u64| Ok(Measured::exactly(number as f64));
    let recovery = match metric {
        Metric::Recovery(recovery) => recovery,
        Metric::Figure(figure) => {
            let counts = sums(spell);
            // Where nothing ended, nothing failed either: that proves nothing.
            let ended = counts.ended();
            return if ended == 0 { Err("no reading ended".to_owned()) } else { audited(figure, &counts) };
        }
        Metric::Percentile(..) => return Err("not known of a fault".to_owned()),
    };
    match recovery {
        Recovery::Recovered => match spell.state {
            State::Recovered => Ok(Measured::exactly(1.0)),
            State::NotRecovered => Ok(Measured::exactly(0.0)),
            state => Err(unproven(state).to_owned()),
        },
        Recovery::RecoveredAfter => seconds(spell.recovered_after_s, unproven(spell.state)),
        Recovery::FirstOkAfter => seconds(spell.first_ok_after_s, "no reading ended ok after it"),
        Recovery::BacklogDrainedAfter => seconds(spell.backlog_drained_after_s, "the backlog was never gone"),
        Recovery::ReconnectedAfter => seconds(spell.reconnected_99_after_s, "nothing was connected again"),
        Recovery::P99Before => millis(spell.p99_before_ms, false),
        Recovery::WorstP99 => millis(spell.worst_p99_ms, spell.worst_p99_censored),
        Recovery::PeakBacklog => number(spell.peak_backlog),
        Recovery::BacklogBefore => number(spell.backlog_before),
        Recovery::Reconnected => number(spell.reconnected),
        Recovery::PeakReconnectsPerS => Ok(Measured::exactly(spell.peak_reconnects_per_s.unwrap_or(0.0))),
        Recovery::Devices => number(u64::from(spell.devices)),
        Recovery::Acted => spell.acted.map_or_else(|| Err("that is not counted".to_owned()), number),
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

/// How the readings of a spell ended.
const fn sums(spell: &Outage) -> Sums {
    let Outage { ok, shed, error, timeout, lost, dropped, duplicated, reordered, .. } = *spell;
    Sums { ok, shed, error, timeout, lost, dropped, duplicated, reordered }
}

/// Figures that rest on how readings or connections ended alone.
pub(super) fn counted(figure: Figure, outcomes: &Outcomes) -> Finding {
    let number = |number: u64| Ok(Measured::exactly(number as f64));
    let found = |rate: Option<f64>| rate.map(Measured::exactly).ok_or_else(|| "nothing ended".to_owned());
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
pub(super) fn audited(figure: Figure, sums: &Sums) -> Finding {
    match figure {
        Figure::DuplicatedRate => share(sums.duplicated, sums.ended()),
        Figure::ReorderedRate => share(sums.reordered, sums.ended()),
        Figure::Duplicated => Ok(Measured::exactly(sums.duplicated as f64)),
        Figure::Reordered => Ok(Measured::exactly(sums.reordered as f64)),
        figure => counted(figure, &sums.outcomes()),
    }
}

pub(super) fn share(part: u64, whole: u64) -> Finding {
    if whole == 0 {
        return Err("nothing ended".to_owned());
    }
    Ok(Measured::exactly(part as f64 / whole as f64))
}

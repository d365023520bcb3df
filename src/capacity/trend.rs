//! Whether the knee moved while it was looked for: a leak, a cache that fills, a machine that gets hot.

use serde::{Deserialize, Serialize};

use super::answer::Fit;
use super::posterior::Posterior;
use super::probe::Probe;
use super::regression::regress;
use crate::compare::t_tail;

/// The probability of taking a steady service for one whose knee moves.
const ALPHA: f64 = 0.01;
/// How far around the knee probes are looked at: so many scales of the response curve, or so many times the precision.
const AROUND: (f64, f64) = (4.0, 2.0);
/// Fewer probes there show no trend.
const FEWEST: usize = 8;
/// By how much the logarithm of a knee that runs away changes from one probe to the next, either way.
const SPEEDS: [f64; 5] = [0.0025, 0.005, 0.01, 0.02, 0.04];
/// The precision with which it is followed.
const COARSE: f64 = 0.15;
/// How much more or less than its bound a budget may be used up, on the scale of logarithms; what is beyond is taken for this, since
/// response times of an overloaded service say how long it was overloaded.
const MOST_USAGE: f64 = 1.0;

/// How the knee moved from the first to the last probe around it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trend {
    /// By how much, as a share: −0.2 is a fifth less.
    pub change: f64,
    /// The probability of such a trend, or a larger one, of a steady service.
    pub p: f64,
    /// How many probes show it.
    pub probes: u32,
}

impl Trend {
    /// The trend of the probes around the knee in `fit`; `None` if they are too few, or do not show how the budget depends on the load.
    ///
    /// How far the budget is used up is explained by the factor, a parabola, and by the number of the probe, a line: what the number
    /// explains beyond the factor is the trend (least squares, Student's t), and divided by the slope of the factor it is a motion of
    /// the knee.
    pub(super) fn of(probes: &[Probe], fit: &Fit, precision: f64) -> Option<Self> {
        Self::around(probes, fit, precision).or_else(|| Self::followed(probes))
    }

    /// The same of a knee that ran away: the search followed it, so that factor and time go together and no regression tells them apart.
    ///
    /// A search that assumes a knee in motion explains the probes better then. The ratio of the likelihoods, averaged over speeds,
    /// exceeds b with probability 1 ÷ b at most if the knee does not move (Ville's inequality).
    fn followed(probes: &[Probe]) -> Option<Self> {
        let judged: Vec<&Probe> = probes.iter().filter(|probe| probe.met().is_some()).collect();
        let (first, last) = (judged.first()?.number, judged.last()?.number);
        let span = f64::from(last.checked_sub(first).filter(|span| *span > 0)?);
        if judged.len() < FEWEST {
            return None;
        }
        let still = likelihood(&judged, 0.0, span);
        let speeds = SPEEDS.into_iter().flat_map(|speed| [-speed, speed]);
        let moving: Vec<(f64, f64)> =
            speeds.map(|speed| (speed, (likelihood(&judged, speed, span) - still).exp())).collect();
        let ratio = moving.iter().map(|(_, ratio)| ratio).sum::<f64>() / moving.len() as f64;
        let (speed, _) = moving.into_iter().max_by(|left, right| left.1.total_cmp(&right.1))?;
        Some(Self { change: (speed * span).exp_m1(), p: (1.0 / ratio).min(1.0), probes: judged.len() as u32 })
    }

    /// The trend of the probes around the knee.
    fn around(probes: &[Probe], fit: &Fit, precision: f64) -> Option<Self> {
        let reach = (AROUND.0 * fit.scale).max(AROUND.1 * precision);
        let place = |probe: &Probe| (probe.factor / fit.factor).ln();
        let near: Vec<&Probe> =
            probes.iter().filter(|probe| probe.met().is_some() && place(probe).abs() <= reach).collect();
        let (first, last) = (near.first()?.number, near.last()?.number);
        let span = f64::from(last.checked_sub(first).filter(|span| *span > 0)?);
        if near.len() < FEWEST {
            return None;
        }
        let middle = f64::from(first) + span / 2.0;
        let row = |probe: &&Probe| {
            let place = place(probe) / reach;
            [1.0, place, place * place, (f64::from(probe.number) - middle) / span]
        };
        let rows: Vec<_> = near.iter().map(row).collect();
        let usages: Vec<f64> = near.iter().map(|probe| usage(probe)).collect();
        let found = regress(&rows, &usages)?;
        let [_, slope, _, drift] = found.coefficients;
        let [_, slope_error, _, drift_error] = found.errors;
        let is_known = slope > 0.0 && slope_error > 0.0 && t_tail(slope / slope_error, found.df) < 0.05;
        let change = (-drift / slope * reach).exp_m1();
        is_known.then(|| Self { change, p: t_tail(drift / drift_error, found.df), probes: near.len() as u32 })
    }

    /// Whether the knee moved beyond chance, and by more than the interval that was asked for.
    pub(super) fn is_material(&self, precision: f64) -> bool {
        self.p <= ALPHA && self.change.ln_1p().abs() > precision
    }
}

/// The logarithm of the likelihood of what the probes saw, if the logarithm of the knee changes by `speed` from one to the next. `span` is
/// how many there are from the first to the last.
fn likelihood(probes: &[&Probe], speed: f64, span: f64) -> f64 {
    let middle = probes.first().map_or(0.0, |probe| f64::from(probe.number)) + span / 2.0;
    let places = || probes.iter().map(|probe| probe.factor.ln());
    let (lowest, highest) = places()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), place| (low.min(place), high.max(place)));
    // The same room for all speeds, so that none is punished for its own.
    let room = SPEEDS[SPEEDS.len() - 1] * span / 2.0;
    let mut posterior = Posterior::new(lowest - room, highest + room, COARSE);
    let note = |probe: &&Probe| {
        let place = probe.factor.ln() - speed * (f64::from(probe.number) - middle);
        posterior.note(place, probe.met() == Some(true), probe.log_usage()).ln()
    };
    probes.iter().map(note).sum()
}

/// How far a probe's budget is used up, on the scale of logarithms.
fn usage(probe: &Probe) -> f64 {
    let by_verdict = if probe.met() == Some(true) { -MOST_USAGE } else { MOST_USAGE };
    let known = probe.usage.map(f64::ln).filter(|usage| !usage.is_nan());
    known.unwrap_or(by_verdict).clamp(-MOST_USAGE, MOST_USAGE)
}

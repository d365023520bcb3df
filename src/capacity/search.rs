//! Which factor to probe next, and when enough is known.

use rand::RngExt as _;

use super::answer::{Answer, End, Finding, Fit};
use super::posterior::{Difference, Posterior};
use super::probe::{Probe, Verdict};
use super::scalability::Scalability;
use super::settings::Settings;
use super::trend::Trend;
use crate::seed::Stream;

/// Factors are drawn from the middle of where the knee may be: between these quantiles. Any of them about halves what is unknown, and
/// which one it is hangs on no time of day.
const DRAWN: [f64; 2] = [0.25, 0.75];
/// Below so little probability between the ends of what can be probed, the knee is outside.
const OUTSIDE: f64 = 1e-6;
/// The share of the tails that are left out of an interval which are: a search ends when its interval happens to be narrow, which it
/// does a little more often when it is wrong.
const CAUTION: f64 = 0.7;

/// What a search wants next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// A probe of the service.
    Probe {
        /// The factor by which the plan's load is to be multiplied.
        factor: f64,
    },
    /// Nothing more.
    Done(Box<Answer>),
}

/// A search for the highest load factor at which a service keeps to its budgets.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    settings: Settings,
    posterior: Posterior,
    stream: Stream,
    probes: Vec<Probe>,
    /// The factor that was asked for and not noted yet.
    pending: Option<f64>,
}

impl Search {
    /// A search that has seen nothing. `settings` are to be without [`Settings::faults`].
    pub(crate) fn new(settings: Settings) -> Self {
        Self::with_stream(settings, settings.seed.stream("capacity/search", 0))
    }

    /// The same with a stream of factors of its own.
    pub(super) fn with_stream(settings: Settings, stream: Stream) -> Self {
        let posterior = Posterior::new(settings.lowest.ln(), settings.highest.ln(), settings.precision);
        Self { settings, posterior, stream, probes: Vec::new(), pending: None }
    }

    /// What to do next. Asked again before the probe is noted, it says the same.
    pub(crate) fn next_step(&mut self) -> Step {
        if self.is_settled() || self.probes.len() as u32 >= self.settings.most_probes {
            return Step::Done(Box::new(self.answer_so_far()));
        }
        Step::Probe { factor: self.factor() }
    }

    /// The next factor, also of a search that has enough.
    pub(super) fn factor(&mut self) -> f64 {
        let factor = self.pending.unwrap_or_else(|| self.draw());
        self.pending = Some(factor);
        factor
    }

    /// Learns what a probe saw, whatever its factor. Probes are to be noted in the order of time.
    pub(crate) fn note(&mut self, probe: Probe) {
        if let Some(met) = probe.met() {
            self.posterior.note(probe.factor.ln(), met, probe.log_usage());
        }
        self.probes.push(probe);
        self.pending = None;
    }

    /// What is known by now, whether or not it is enough.
    pub(crate) fn answer_so_far(&self) -> Answer {
        let Settings { confidence, precision, .. } = self.settings;
        let is_judged = self.probes.iter().any(|probe| probe.met().is_some());
        let fit = is_judged.then(|| self.fit());
        let trend = fit.and_then(|fit| Trend::of(&self.probes, &fit, precision));
        let finding = match (fit, trend.filter(|trend| trend.is_material(precision))) {
            (None, _) => Finding::Unknown,
            (Some(fit), Some(trend)) => Finding::Unsteady { factor: fit.factor, change: trend.change },
            (Some(_), None) => self.finding(),
        };
        Answer {
            finding,
            confidence,
            precision,
            fit,
            generator_limit: self.generator_limit(),
            trend,
            scalability: Scalability::of(&self.probes),
            probes: self.probes.clone(),
        }
    }

    /// Whether the interval is as narrow as was asked for, or the knee is known to lie outside of what can be probed.
    pub(super) fn is_settled(&self) -> bool {
        !matches!(self.settled(), Finding::Open { .. })
    }

    /// The distribution of how much lower the knee of `other` is, on the scale of logarithms.
    pub(super) fn above(&self, other: &Self) -> Difference {
        other.posterior.less_than(other.ends(), &self.posterior, self.ends())
    }

    /// Whether the knee lies within what could be probed.
    pub(super) fn is_inside(&self) -> bool {
        matches!(self.finding(), Finding::Knee { .. } | Finding::Open { .. })
    }

    /// The logarithms of the factors between which the knee can be looked for.
    fn ends(&self) -> [f64; 2] {
        [self.settings.lowest, self.end().factor()].map(f64::ln)
    }

    /// The finding that the probes support by now; [`Finding::Open`] as long as it is not one to end with.
    fn settled(&self) -> Finding {
        let Fit { factor, low, high, .. } = self.fit();
        let (Settings { lowest, precision, .. }, end) = (self.settings, self.end());
        let shown = low.min(self.highest_judged());
        if shown >= end.factor() * (1.0 - precision) {
            Finding::AtLeast { factor: shown, end }
        } else if high <= lowest * (1.0 + precision) {
            Finding::AtMost { factor: high.max(lowest) }
        } else if high - low <= precision * factor && low >= lowest && high <= end.factor() {
            Finding::Knee { factor, low, high }
        } else {
            Finding::Open { factor, low, high }
        }
    }

    /// The same, of a search that ends here.
    fn finding(&self) -> Finding {
        let (settled, end) = (self.settled(), self.end());
        match settled {
            Finding::Open { low, high, .. } if high > end.factor() && low > self.settings.lowest => {
                Finding::AtLeast { factor: low.min(self.highest_judged()), end }
            }
            Finding::Open { low, high, .. } if low < self.settings.lowest && high < end.factor() => {
                Finding::AtMost { factor: high }
            }
            settled => settled,
        }
    }

    fn fit(&self) -> Fit {
        let tail = CAUTION * (1.0 - self.settings.confidence) / 2.0;
        let at = |p: f64| self.posterior.quantile(p).exp();
        Fit { factor: at(0.5), low: at(tail), high: at(1.0 - tail), scale: self.posterior.scale() }
    }

    /// Where the range ends in which the knee can be looked for.
    fn end(&self) -> End {
        self.generator_limit()
            .map_or(End::Highest { factor: self.settings.highest }, |factor| End::Generator { factor })
    }

    /// The lowest factor at which the generator was the bottleneck, above all at which it was not: one that was limited below them was
    /// disturbed.
    fn generator_limit(&self) -> Option<f64> {
        let highest = self.highest_judged();
        let limited = self.probes.iter().filter(|probe| probe.verdict == Verdict::GeneratorLimited);
        limited.map(|probe| probe.factor).filter(|factor| *factor > highest).min_by(f64::total_cmp)
    }

    /// The highest factor at which the service was judged; 0 if it was at none.
    fn highest_judged(&self) -> f64 {
        let judged = self.probes.iter().filter(|probe| probe.met().is_some());
        judged.map(|probe| probe.factor).fold(0.0, f64::max)
    }

    /// The next factor: where the knee probably is, or as far above or below as the curve is gradual.
    fn draw(&mut self) -> f64 {
        let Settings { lowest, precision, .. } = self.settings;
        let highest = match self.end() {
            // A little less may be within the generator's reach.
            End::Generator { factor } => factor * (1.0 - precision / 4.0),
            End::Highest { factor } => factor,
        };
        let (lowest, highest) = (lowest.ln(), highest.ln().max(lowest.ln()));
        let below = self.posterior.below(lowest);
        let inside = self.posterior.below(highest) - below;
        let share = DRAWN[0] + (DRAWN[1] - DRAWN[0]) * self.stream.random::<f64>();
        let aside = [0.0, 0.0, -1.0, 1.0][self.stream.random_range(0..4_usize)];
        let place = if inside > OUTSIDE {
            self.posterior.quantile(below + share * inside)
        } else if below > 0.5 {
            lowest
        } else {
            highest
        };
        let met = |wanted: bool| self.probes.iter().any(|probe| probe.met() == Some(wanted));
        let aside = if met(true) && met(false) { aside * self.posterior.scale() } else { 0.0 };
        (place + aside).clamp(lowest, highest).exp()
    }
}

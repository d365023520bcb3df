//! How much runs of one build differ on a machine, and which change a comparison there can see.

use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};
use statrs::distribution::{ChiSquared, ContinuousCDF};

use super::comparison::{Comparison, Figure, Group, Support};
use super::decision::Settings;
use super::statistic::{Tail, sign_flip, t_quantile};
use crate::results::Host;
use crate::seed::Seed;

/// The version of [`NoiseProfile`]'s JSON form.
pub(crate) const NOISE_SCHEMA: u32 = 1;
/// The probability with which each of four conditions holds for a promised change: to be significant, and to be beyond the
/// threshold, in the first pairs and in the fresh ones. Together they hold nine times out of ten at least.
const PROMISE: f64 = 0.975;
/// Pairs up to which it is found by trying the test what it sees; above, Student's t is near enough.
const TRIED_PAIRS: usize = 10;
/// A spread from few pairs may be too small by chance: it is taken as large as it is with this confidence.
const CONFIDENCE: f64 = 0.8;

/// What a build compared with itself showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct NoiseProfile {
    /// [`NOISE_SCHEMA`].
    pub schema: u32,
    /// The scenario.
    pub scenario: String,
    /// Digest of its plan, with the seed it states.
    pub plan_digest: String,
    /// The machine.
    pub host: Host,
    /// When it was measured, RFC 3339.
    pub measured: String,
    /// Pairs it rests on.
    pub pairs: u32,
    /// What was seen, by group and figure.
    pub cells: Vec<NoiseCell>,
}

/// The noise of a group and figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct NoiseCell {
    /// Which readings.
    pub group: Group,
    /// Which figure of theirs.
    pub figure: Figure,
    /// Standard deviation of the differences between pairs: of logarithms for percentiles, of shares else.
    pub spread: f64,
    /// Typical value: milliseconds, or a share.
    pub typical: f64,
}

/// Why a kept profile is of no use here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoiseError {
    /// It is not a profile.
    #[error("it is not a noise profile: {0}")]
    Json(#[from] serde_json::Error),
    /// A later squall wrote it.
    #[error("it has schema {0}; this squall reads {NOISE_SCHEMA}")]
    Schema(u32),
    /// Another machine, or another number of processors.
    #[error("it was measured on another machine ({0})")]
    Host(String),
    /// Another scenario, or other overrides.
    #[error("it was measured with another plan of `{0}`")]
    Plan(String),
}

/// The smallest change that is called and confirmed nine times out of ten.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Detectable {
    /// Of which readings.
    pub group: Group,
    /// Of which figure.
    pub figure: Figure,
    /// The change: a share for percentiles, a difference of shares else.
    pub change: f64,
}

impl NoiseProfile {
    /// The profile that a comparison of a build with itself gives.
    pub(crate) fn of(aa: &Comparison, plan_digest: &str, host: Host, measured: String) -> Self {
        let judged = aa.cells.iter().filter(|cell| cell.support == Support::Judged);
        let cells = judged.filter_map(|cell| {
            let (group, figure) = (cell.group.clone(), cell.figure);
            let typical = (cell.base? * cell.candidate?).sqrt();
            Some(NoiseCell { group, figure, spread: cell.spread?, typical })
        });
        Self {
            schema: NOISE_SCHEMA,
            scenario: aa.scenario.clone(),
            plan_digest: plan_digest.to_owned(),
            host,
            measured,
            pairs: aa.design.pairs,
            cells: cells.collect(),
        }
    }

    /// Reads a kept profile, for this machine and plan.
    ///
    /// # Errors
    /// If it is not a profile, or of something else.
    pub(crate) fn read(text: &str, plan_digest: &str, here: &Host) -> Result<Self, NoiseError> {
        #[derive(Deserialize)]
        struct SchemaOnly {
            schema: u32,
        }
        let SchemaOnly { schema } = serde_json::from_str(text)?;
        if schema != NOISE_SCHEMA {
            return Err(NoiseError::Schema(schema));
        }
        let profile: Self = serde_json::from_str(text)?;
        let machine = |host: &Host| (host.name.clone(), host.cores, host.cpu_model.clone());
        if machine(&profile.host) != machine(here) {
            return Err(NoiseError::Host(profile.host.name));
        }
        if profile.plan_digest != plan_digest {
            return Err(NoiseError::Plan(profile.scenario));
        }
        Ok(profile)
    }

    /// Which change of every cell `pairs` pairs show nine times out of ten, if the cells are independent of each other; that
    /// they mostly are not makes the test see more.
    pub(crate) fn detectable(&self, pairs: u32, settings: &Settings) -> Vec<Detectable> {
        let moving = self.cells.iter().filter(|cell| cell.spread > 0.0).count().max(1);
        let n = f64::from(pairs);
        let promise = t_quantile(PROMISE, n - 1.0);
        let seen = errors_seen(pairs as usize, moving, settings.alpha);
        let of = |cell: &NoiseCell| {
            let error = self.cautious(cell.spread) / n.sqrt();
            let effect = (seen * error)
                .max(settings.thresholds.of(cell.figure, cell.typical, cell.typical) + promise * error);
            let change = if cell.figure.quantile().is_some() { libm::expm1(effect) } else { effect };
            Detectable { group: cell.group.clone(), figure: cell.figure, change }
        };
        self.cells.iter().map(of).collect()
    }

    /// The spread as large as it may well be.
    fn cautious(&self, spread: f64) -> f64 {
        let df = f64::from(self.pairs.saturating_sub(1).max(1));
        ChiSquared::new(df).map_or(spread, |law| spread * (df / law.inverse_cdf(1.0 - CONFIDENCE)).sqrt())
    }
}

/// Simulated comparisons by which it is found what the test sees.
const TRIALS: usize = 300;
/// Steps of the search for it, and the range, in standard errors.
const STEPS: usize = 8;
const RANGE: (f64, f64) = (1.0, 33.0);

/// How many standard errors a difference of one of `cells` cells must have to be seen as often as promised.
///
/// With few pairs found by trying the test itself, which then asks for more than Student's t would; with many by Student's t
/// and Bonferroni's correction.
fn errors_seen(pairs: usize, cells: usize, alpha: f64) -> f64 {
    let df = pairs as f64 - 1.0;
    if pairs > TRIED_PAIRS {
        return t_quantile(1.0 - alpha / (2.0 * cells as f64), df) + t_quantile(PROMISE, df);
    }
    let mut stream = Seed(1).stream("compare/promise", (pairs * 1_000 + cells) as u64);
    let noise: Vec<Vec<Vec<f64>>> = (0..TRIALS)
        .map(|_| {
            (0..cells).map(|_| (0..pairs).map(|_| StandardNormal.sample(&mut stream)).collect()).collect()
        })
        .collect();
    let power = |errors: f64| {
        let shift = errors / (pairs as f64).sqrt();
        let seen = noise.iter().filter(|cells| {
            let moved: Vec<f64> = cells[0].iter().map(|d| d + shift).collect();
            let all: Vec<&[f64]> =
                std::iter::once(moved.as_slice()).chain(cells[1..].iter().map(Vec::as_slice)).collect();
            sign_flip(&all, Tail::Both, Seed(1)).first().is_some_and(|p| *p <= alpha)
        });
        seen.count() as f64 / TRIALS as f64
    };
    let (mut low, mut high) = RANGE;
    for _ in 0..STEPS {
        let middle = f64::midpoint(low, high);
        if power(middle) < PROMISE {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Decision;
    use crate::compare::comparison::Cell;
    use crate::compare::judge::judge_paired;
    use crate::compare::simulation::{Noise, Order, Simulation};

    fn host(name: &str) -> Host {
        Host { name: name.into(), kernel: "k".into(), cores: 2, cpu_model: None, memory_bytes: None }
    }

    fn profile(spread: f64, pairs: u32) -> NoiseProfile {
        let group = Group { phase: "all".into(), fleet: "all".into(), protocol: "all".into() };
        let figures = [Figure::P50, Figure::P95, Figure::P99, Figure::P999];
        let cell = |figure| NoiseCell { group: group.clone(), figure, spread, typical: 1e6 };
        NoiseProfile {
            schema: NOISE_SCHEMA,
            scenario: "s".into(),
            plan_digest: "ab".into(),
            host: host("here"),
            measured: String::new(),
            pairs,
            cells: figures.map(cell).to_vec(),
        }
    }

    #[test]
    fn a_promised_change_is_seen_as_often_as_promised() {
        for (pairs, spread) in [(6, 0.05), (8, 0.05), (8, 0.02), (12, 0.1), (20, 0.1)] {
            // Known for certain: so many pairs leave no doubt about the spread.
            let known = profile(spread, 100_000);
            let change = known.detectable(pairs, &Settings::default())[2].change;
            let world = Simulation {
                noise: Noise::Normal,
                order: Order::Balanced,
                pairs: pairs as usize,
                spread,
                together: 0.5,
                scale: [1.0; 4],
                drift: 0.0,
                shift: [0.0, 0.0, change.ln_1p(), 0.0],
                disturbance: None,
            };
            let mut stream = Seed(9).stream("test", u64::from(pairs));
            let seen = |_: &u32| {
                let mut judged = |claims: Option<&[Option<Decision>]>| -> Vec<Option<Decision>> {
                    let mut cells: Vec<Cell> = crate::compare::self_test::cells(world.compare(&mut stream));
                    judge_paired(&mut cells, &Settings::default(), claims);
                    cells.iter().map(Cell::claim).collect()
                };
                let first = judged(None);
                let again = judged(Some(&first));
                first[2] == Some(Decision::Regression) && again[2] == first[2]
            };
            let trials = if pairs > 14 { 30 } else { 400 };
            let power = (0..trials).filter(seen).count() as f64 / f64::from(trials);
            let slack = 3.0 * (0.09 / f64::from(trials)).sqrt();
            assert!(power > 0.9 - slack, "{pairs} pairs, {spread}: {power} at {change}");
        }
    }

    #[test]
    fn few_pairs_promise_less_and_more_pairs_see_more() {
        let settings = Settings::default();
        let change = |known: u32, pairs| profile(0.05, known).detectable(pairs, &settings)[2].change;
        assert!(change(6, 8) > change(20, 8) && change(20, 8) > change(20, 20));
    }

    #[test]
    fn a_profile_reads_back_for_its_machine_and_plan_only() {
        let text = serde_json::to_string(&profile(0.05, 8)).unwrap();
        assert_eq!(NoiseProfile::read(&text, "ab", &host("here")).unwrap(), profile(0.05, 8));
        assert!(matches!(NoiseProfile::read(&text, "ab", &host("there")), Err(NoiseError::Host(_))));
        assert!(matches!(NoiseProfile::read(&text, "cd", &host("here")), Err(NoiseError::Plan(_))));
        assert!(matches!(NoiseProfile::read("{}", "ab", &host("here")), Err(NoiseError::Json(_))));
        let later = text.replace("\"schema\":1", "\"schema\":2");
        assert!(matches!(NoiseProfile::read(&later, "ab", &host("here")), Err(NoiseError::Schema(2))));
    }
}

//! One worker of the pool: the devices it owns, its cache, and the model.

use std::num::NonZeroUsize;
use std::sync::Arc;

use quick_cache::unsync::Cache;

use super::config::Config;
use super::detector::{Detector, Vector};
use super::metric::Metrics;
use super::model::{Model, VERSION};
use super::reading::{Level, Reading, StageTimes, Verdict};
use crate::clock::{Monotonic, Tick};

/// What a cached score hangs on: nothing but the model's input and its version, so that an exact hit is exact.
type Key = (Vector, u32);

/// One worker. It alone holds the state of the devices it owns, so that nothing is locked.
#[derive(Debug)]
pub(super) struct Worker {
    clock: Monotonic,
    metrics: Arc<Metrics>,
    model: Model,
    devices: Cache<Arc<str>, Box<Detector>>,
    /// None where the cache is switched off.
    scores: Option<Cache<Key, f64>>,
}

impl Worker {
    /// A worker that knows no device yet.
    pub(super) fn new(config: &Config, clock: Monotonic, metrics: Arc<Metrics>) -> Self {
        let share = |capacity: usize| capacity.div_ceil(config.workers.max(1));
        Self {
            clock,
            metrics,
            model: Model::new(clock, config.inference),
            devices: Cache::new(share(config.device_capacity.max(1))),
            scores: NonZeroUsize::new(share(config.cache_capacity))
                .map(|capacity| Cache::new(capacity.get())),
        }
    }

    /// Judges a reading that arrived at `arrived`.
    pub(super) fn judge(&mut self, reading: Reading, arrived: Tick) -> Verdict {
        let taken = self.clock.now();
        self.admit(&reading.device);
        let Self { clock, metrics, model, devices, scores } = self;
        // The table always has room for one; if it ever had not, the device would begin anew with every reading.
        let mut known = devices.get_mut(&reading.device);
        let mut stranger = Detector::default();
        let detector: &mut Detector = known.as_deref_mut().map_or(&mut stranger, |boxed| boxed);
        let vector = detector.observe(reading.value);
        let looking = clock.now();
        let (score, inference_ns) = scored(vector, scores.as_mut(), model, metrics, *clock);
        let cache_ns = clock.now().since(looking).saturating_sub(inference_ns);
        let level = detector.conclude(score);
        metrics.verdicts.inc();
        let anomaly = level != Level::None;
        if anomaly {
            metrics.anomalies.inc();
        }
        let (queue_ns, total_ns) = (taken.since(arrived), clock.now().since(arrived));
        let stages = StageTimes { queue_ns, cache_ns, inference_ns, total_ns };
        Verdict { device: reading.device, seq: reading.seq, score, anomaly, level, stages }
    }

    /// Makes sure that the device has a state, forgetting another's if the table is full.
    fn admit(&mut self, device: &Arc<str>) {
        if self.devices.contains_key(device) {
            return;
        }
        let before = self.devices.len();
        self.devices.insert(Arc::clone(device), Box::default());
        if self.devices.len() <= before {
            self.metrics.devices_evicted.inc();
        }
    }
}

/// The score of a vector, from the cache or else from the model, and how long the model took, nanoseconds.
fn scored(
    vector: Vector,
    scores: Option<&mut Cache<Key, f64>>,
    model: &Model,
    metrics: &Metrics,
    clock: Monotonic,
) -> (f64, u64) {
    let key = (vector, VERSION);
    if let Some(score) = scores.as_ref().and_then(|scores| scores.get(&key)) {
        metrics.cache_hits.inc();
        return (*score, 0);
    }
    let began = clock.now();
    let score = model.infer(vector);
    let inference_ns = clock.now().since(began);
    if let Some(scores) = scores {
        metrics.cache_misses.inc();
        scores.insert(key, score);
    }
    (score, inference_ns)
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::reference::model;
    use crate::seed::Seed;
    use crate::units::Span;

    fn worker(config: &Config) -> (Worker, Arc<Metrics>) {
        let metrics = Arc::new(Metrics::default());
        (Worker::new(config, Monotonic::start(), Arc::clone(&metrics)), metrics)
    }

    fn reading(device: &str, seq: u64, value: f64) -> Reading {
        Reading { device: device.into(), seq, value }
    }

    /// Verdicts on a noisy signal with a jump in it.
    fn verdicts(config: &Config) -> (Vec<(f64, Level)>, Arc<Metrics>) {
        let (mut worker, metrics) = worker(config);
        let mut stream = Seed(8).stream("test/worker", 0);
        let verdicts = (0..600).map(|seq| {
            let value = 20.0 + stream.random::<f64>() + if seq == 500 { 30.0 } else { 0.0 };
            let verdict = worker.judge(reading("m", seq, value), Tick::ZERO);
            let StageTimes { queue_ns, cache_ns, inference_ns, total_ns } = verdict.stages;
            assert!(queue_ns + cache_ns + inference_ns <= total_ns, "{:?}", verdict.stages);
            (verdict.score, verdict.level)
        });
        (verdicts.collect(), metrics)
    }

    #[test]
    fn cached_verdicts_are_those_that_would_be_computed() {
        let (cached, with) = verdicts(&Config::default());
        let (computed, without) = verdicts(&Config { cache_capacity: 0, ..Config::default() });
        assert_eq!(cached, computed);
        assert!(cached[500].1 > Level::None, "the jump is found: {:?}", cached[500]);
        assert_eq!(with.cache_hits.get() + with.cache_misses.get(), 600);
        assert!(with.cache_hits.get() > 300, "{} hits", with.cache_hits.get());
        assert_eq!(
            without.cache_hits.get() + without.cache_misses.get(),
            0,
            "a cache that is off counts nothing"
        );
    }

    #[test]
    fn the_inference_cost_is_paid_on_a_miss_only() {
        let config = Config { inference: Span::from_ms(2), ..Config::default() };
        let (mut worker, _) = worker(&config);
        let costs: Vec<u64> =
            (0..60).map(|seq| worker.judge(reading("m", seq, 5.0), Tick::ZERO).stages.inference_ns).collect();
        assert!(costs[0] >= 2_000_000, "{costs:?}");
        assert!(costs.contains(&0), "equal vectors are scored once: {costs:?}");
    }

    #[test]
    fn no_more_devices_are_remembered_than_there_is_room_for() {
        let (mut worker, metrics) = worker(&Config { device_capacity: 10, ..Config::default() });
        for device in 0..100 {
            worker.judge(reading(&format!("m-{device}"), 1, 5.0), Tick::ZERO);
        }
        assert!(worker.devices.len() <= 10);
        assert!(metrics.devices_evicted.get() >= 90);
    }

    #[test]
    fn the_score_is_the_largest_margin_on_the_scale_of_the_tail() {
        for (margins, excess, score) in
            [([0, 0, 0], 0, 0.0), ([16, 32, 8], 0, 2.0), ([16, 0, 0], 16, (-1.0_f64).exp())]
        {
            assert!((model::score(Vector { margins, excess }) - score).abs() < 1e-12);
        }
    }
}

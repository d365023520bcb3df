//! Single steps of the bundled system, for the benches. Compiled with the feature `internals` only; no part of the API.

use std::sync::Arc;

use super::config::Config;
use super::detector::Detector;
use super::metric::Metrics;
use super::reading::Reading;
use super::worker::Worker;
use crate::clock::{Monotonic, Tick};

/// Lets one device's detector observe a value.
pub fn detect() -> impl FnMut(f64) {
    let mut detector = Detector::default();
    move |value| {
        detector.observe(value);
    }
}

/// Judges a reading of one device as a worker does: detector, cache of `capacity` vectors, model where the cache has none, verdict.
pub fn judge(capacity: usize) -> impl FnMut(f64) -> f64 {
    let config = Config { cache_capacity: capacity, ..Config::default() };
    let mut worker = Worker::new(&config, Monotonic::start(), Arc::new(Metrics::default()));
    let device: Arc<str> = "d".into();
    let mut seq = 0;
    move |value| {
        seq += 1;
        worker.judge(Reading { device: Arc::clone(&device), seq, value }, Tick::ZERO).score
    }
}

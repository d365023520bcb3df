//! Single steps of the bundled system, for the benches. Compiled with the feature `internals` only; no part of the API.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::detector::Detector;
use super::job::{Answer, Job, Ticket, Word};
use super::metric::Metrics;
use super::processor::{Parts, Processor};
use super::reading::Reading;
use crate::clock::Monotonic;
use crate::service::{Cache, Setup};

/// Lets one device's detector observe a value.
pub fn detect() -> impl FnMut(f64) {
    let mut detector = Detector::default();
    move |value| {
        detector.observe(value, 8);
    }
}

/// Judges a reading of one device as a worker does: detector, cache of `capacity` vectors, model where the cache has none, verdict.
///
/// # Panics
/// Never: no address is read.
pub fn judge(capacity: usize) -> impl FnMut(f64) -> f64 {
    let setup = Setup { cache: Cache { capacity, ..Cache::default() }, ..Setup::default() };
    let clock = Monotonic::start();
    let parts =
        Arc::new(Parts::new(&setup, clock, &Arc::new(Metrics::default())).expect("no Redis is asked for"));
    let (back, mut words) = mpsc::channel(64);
    let mut processor = Processor::new(&parts, back.clone(), 0);
    let device: Arc<str> = "d".into();
    let (mut seq, mut tasks) = (0, Vec::new());
    move |value| {
        seq += 1;
        let reading = Reading { device: Arc::clone(&device), seq, value, ..Reading::default() };
        let ticket = Ticket { line: 0, generation: 0 };
        let job = Job::new(reading, clock.now(), ticket, back.clone());
        tasks.extend(processor.begin(job));
        processor.infer(&mut tasks);
        let mut score = 0.0;
        while let Ok(word) = words.try_recv() {
            if let Word::Answer(_, Answer::Verdict(verdict)) = word {
                score = verdict.score;
            }
        }
        score
    }
}

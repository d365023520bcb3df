//! Single steps of the bundled system, for the benches. Compiled with the feature `internals` only; no part of the API.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::super::answer::{Answer, ReplyTo, ReturnPath, Unanswered, WorkerMessage};
use super::super::detector::Detector;
use super::super::metric::Metrics;
use super::super::processor::{Processor, Shared};
use super::super::reading::Reading;
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
    let metrics = Arc::new(Metrics::default());
    let shared = Arc::new(Shared::new(&setup, clock, &metrics).expect("no Redis is asked for"));
    let (sender, mut messages) = mpsc::channel(64);
    let back = ReturnPath::new(sender, &metrics);
    let mut processor = Processor::new(&shared, Arc::clone(&back), 0);
    let device: Arc<str> = "d".into();
    let (mut seq, mut tasks) = (0, Vec::new());
    move |value| {
        seq += 1;
        let reading = Reading { device: Arc::clone(&device), seq, value, ..Reading::default() };
        let reply_to = ReplyTo { channel: 0, generation: 0 };
        let unanswered = Unanswered::new(reading, clock.now(), reply_to, Arc::clone(&back));
        tasks.extend(processor.begin(unanswered));
        processor.infer(&mut tasks);
        let mut score = 0.0;
        while let Ok(message) = messages.try_recv() {
            if let WorkerMessage::Answer(_, Answer::Verdict(verdict)) = message {
                score = verdict.score;
            }
        }
        score
    }
}

//! How long readings take in the service, over the last seconds.

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::clock::Tick;
use crate::reference::reading::StageTimes;

/// Times are kept for at least so long and at most twice that, nanoseconds.
const SPAN: u64 = 5_000_000_000;
/// Longest time told apart, nanoseconds.
const LONGEST: u64 = 60_000_000_000;

/// Times from arrival to verdict of the last seconds: two histograms that take turns.
#[derive(Debug)]
pub(in crate::reference) struct Times {
    now: Histogram<u32>,
    before: Histogram<u32>,
    since: Tick,
    spent: Spent,
}

/// Where the time of all readings so far went, seconds, summed over them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(in crate::reference) struct Spent {
    verdicts: u64,
    queue_s: f64,
    /// Features and cache.
    cache_s: f64,
    inference_s: f64,
    reply_s: f64,
}

/// What they come to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[expect(clippy::struct_field_names, reason = "the wire names its unit in every field")]
pub(in crate::reference) struct Latency {
    pub(in crate::reference) p50_ms: Option<f64>,
    pub(in crate::reference) p99_ms: Option<f64>,
    pub(in crate::reference) max_ms: Option<f64>,
}

impl Times {
    pub(in crate::reference) fn new() -> Self {
        // Constant and sound bounds.
        let empty =
            || Histogram::new_with_bounds(1, LONGEST, 2).expect("1 ns to 60 s with 2 digits is sound");
        Self { now: empty(), before: empty(), since: Tick::ZERO, spent: Spent::default() }
    }

    fn turn(&mut self, now: Tick) {
        let age = now.since(self.since);
        if age < SPAN {
            return;
        }
        std::mem::swap(&mut self.now, &mut self.before);
        self.now.reset();
        if age >= 2 * SPAN {
            self.before.reset();
        }
        self.since = now;
    }

    /// Takes note of a verdict given at `now`, with where its reading's time went.
    pub(in crate::reference) fn note(&mut self, now: Tick, stages: StageTimes) {
        self.turn(now);
        self.now.saturating_record(stages.total_ns.max(1));
        let seconds = |ns: u64| ns as f64 / 1e9;
        let spent = &mut self.spent;
        spent.verdicts += 1;
        spent.queue_s += seconds(stages.queue_ns);
        spent.cache_s += seconds(stages.features_ns + stages.cache_ns);
        spent.inference_s += seconds(stages.inference_ns);
        spent.reply_s += seconds(stages.reply_ns);
    }

    /// Where the time of all readings so far went.
    pub(in crate::reference) const fn spent(&self) -> Spent {
        self.spent
    }

    /// What the times of the last seconds come to.
    pub(in crate::reference) fn read(&mut self, now: Tick) -> Latency {
        self.turn(now);
        let mut all = self.before.clone();
        if all.add(&self.now).is_err() || all.is_empty() {
            return Latency { p50_ms: None, p99_ms: None, max_ms: None };
        }
        let ms = |ns: u64| Some(ns as f64 / 1e6);
        Latency {
            p50_ms: ms(all.value_at_quantile(0.5)),
            p99_ms: ms(all.value_at_quantile(0.99)),
            max_ms: ms(all.max()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_forgotten_after_ten_seconds_at_the_latest() {
        let second = |s: u64| Tick(s * 1_000_000_000);
        let mut times = Times::new();
        assert_eq!(times.read(second(0)).p50_ms, None);
        let took = |total_ns| StageTimes {
            queue_ns: total_ns / 2,
            reply_ns: total_ns / 2,
            total_ns,
            ..StageTimes::default()
        };
        (0..100).for_each(|_| times.note(second(1), took(1_000_000)));
        times.note(second(1), took(50_000_000));
        let near = |found: Option<f64>, expected: f64| (found.unwrap() / expected - 1.0).abs() < 0.01;
        let read = times.read(second(4));
        assert!(near(read.p50_ms, 1.0) && near(read.max_ms, 50.0), "{read:?}");
        times.note(second(6), took(2_000_000));
        assert!(near(times.read(second(7)).max_ms, 50.0));
        assert!(near(times.read(second(12)).max_ms, 2.0));
        assert_eq!(times.read(second(30)).max_ms, None);
        // Where the time went is summed over all.
        let spent = times.spent();
        assert!(
            spent.verdicts == 102 && near(Some(spent.queue_s), 0.076) && near(Some(spent.reply_s), 0.076),
            "{spent:?}"
        );
    }
}

//! What is left to chance about a job, fixed by the seed of the settings: whether a try fails on purpose, and how long the wait
//! for the next is.

use crate::seed::variate::uniform;
use crate::seed::{Seed, Stream};
use crate::service::Backoff;

/// The draw of try `nth` (from 1) of a job, uniform over (0, 1], whatever was drawn before it.
fn draw(seed: u64, label: &str, number: u64, nth: u32) -> f64 {
    let mut stream: Stream = Seed(seed).stream(label, number);
    let mut drawn = uniform(&mut stream);
    for _ in 1..nth {
        drawn = uniform(&mut stream);
    }
    drawn
}

/// Whether try `nth` of job `number` fails on purpose, where a share of `failure` does.
pub(super) fn fails(seed: u64, number: u64, nth: u32, failure: f64) -> bool {
    failure > 0.0 && draw(seed, "job failure", number, nth) <= failure
}

/// The wait after try `nth` (from 1) of job `number` failed, nanoseconds.
pub(super) fn wait_ns(backoff: &Backoff, seed: u64, number: u64, nth: u32) -> u64 {
    let doubled = backoff.first.as_ns().saturating_mul(1_u64.checked_shl(nth.max(1) - 1).unwrap_or(u64::MAX));
    let bounded = doubled.min(backoff.longest.as_ns());
    if backoff.jitter <= 0.0 {
        return bounded;
    }
    let left_out = backoff.jitter.min(1.0) * draw(seed, "job back-off", number, nth);
    (bounded as f64 * (1.0 - left_out)) as u64
}

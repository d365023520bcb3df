//! The statistic that judges drawn arrivals in tests: the index of dispersion.

use crate::clock::Tick;

/// Variance ÷ mean of the counts in `windows` windows of `window_ns` from the beginning: 1 for a Poisson process.
pub(super) fn dispersion(due: &[Tick], window_ns: u64, windows: usize) -> f64 {
    let mut counts = vec![0.0_f64; windows];
    for at in due {
        if let Some(count) = counts.get_mut((at.0 / window_ns) as usize) {
            *count += 1.0;
        }
    }
    let mean = counts.iter().sum::<f64>() / windows as f64;
    let variance = counts.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / (windows as f64 - 1.0);
    variance / mean
}

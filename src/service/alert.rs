//! When an anomaly becomes an alert, and how it spreads.

use crate::units::Span;
use crate::units::word::words;

words! {
    /// What happens to a subscriber whose buffer is full.
    Slow {
        /// It misses the oldest alert, and is told how many.
        DropOldest = "drop-oldest",
        /// It misses the newest, and is told how many.
        DropNewest = "drop-newest",
        /// It is disconnected.
        Disconnect = "disconnect",
    }
}

/// When an anomaly becomes an alert, and how it spreads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Alerts {
    /// Least scores of low, medium, high and critical alerts, rising; in e-foldings beyond a device's usual worst 2 %.
    pub thresholds: [f64; 4],
    /// Anomalies among the last `of` readings that make an alert, 1 to `of`.
    pub need: u8,
    /// Readings that are looked back on, 1 to 64.
    pub of: u8,
    /// An alert of a device is over when its score falls below this share of the threshold; until then it does not alert anew
    /// at the same level or below. 1: no hysteresis.
    pub clear: f64,
    /// An alert of the same device and level within this time is not published again.
    pub quiet: Span,
    /// Alerts that are kept for those who ask later.
    pub history: usize,
    /// Alerts that may wait for a subscriber.
    pub buffer: usize,
    /// What happens when more do.
    pub slow: Slow,
}

impl Default for Alerts {
    fn default() -> Self {
        Self {
            thresholds: [2.8, 5.0, 8.0, 12.0],
            need: 1,
            of: 1,
            clear: 1.0,
            quiet: Span::ZERO,
            history: 1_000,
            buffer: 256,
            slow: Slow::DropOldest,
        }
    }
}

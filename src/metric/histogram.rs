//! Times by how often they came, in the buckets that Prometheus knows: native ones, finely and evenly spaced on a logarithmic
//! scale, and classic ones with bounds for people. Owned by one thread: nothing is shared or locked while times are noted.

/// Bounds of the classic buckets, nanoseconds.
const CLASSIC: [u64; 17] = [
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// Each power of two is divided into `2^SCHEMA` native buckets (Prometheus, native histograms).
pub(crate) const SCHEMA: i32 = 3;
const PARTS: i32 = 1 << SCHEMA;
/// Times up to this count as nothing, seconds: the usual threshold, 2^-128.
pub(crate) const ZERO_THRESHOLD: f64 = 2.938_735_877_055_719e-39;
/// Where the native buckets begin within a power of two: `2^(n/8) / 2`.
const STARTS: [f64; PARTS as usize] = [
    0.5,
    0.545_253_866_332_628_8,
    0.594_603_557_501_360_5,
    0.648_419_777_325_504_8,
    0.707_106_781_186_547_5,
    0.771_105_412_703_970_4,
    0.840_896_415_253_714_5,
    0.917_004_043_204_671_2,
];
/// Powers of two, seconds, between which native buckets lie: from about 1 ns to 128 s. What is outside counts to the outermost.
const POWERS: std::ops::Range<i32> = -30..7;
const HIGHEST: i32 = (POWERS.end - POWERS.start) * PARTS;
const NATIVE: usize = HIGHEST as usize + 1;

/// How often which times came.
#[derive(Debug, Clone)]
pub(crate) struct TimeHistogram {
    count: u64,
    sum_ns: u64,
    zero: u64,
    native: [u64; NATIVE],
    /// By bound; beyond all of them is what is left of `count`.
    classic: [u64; CLASSIC.len()],
}

impl Default for TimeHistogram {
    fn default() -> Self {
        Self { count: 0, sum_ns: 0, zero: 0, native: [0; NATIVE], classic: [0; CLASSIC.len()] }
    }
}

impl TimeHistogram {
    /// Takes note of a time, nanoseconds.
    pub(crate) fn note(&mut self, ns: u64) {
        self.note_many(ns, 1);
    }

    /// Takes note of a time that came so often, nanoseconds.
    pub(crate) fn note_many(&mut self, ns: u64, times: u64) {
        self.count += times;
        self.sum_ns = self.sum_ns.saturating_add(ns.saturating_mul(times));
        if let Some(bucket) = self.classic.get_mut(CLASSIC.partition_point(|bound| *bound < ns)) {
            *bucket += times;
        }
        if ns == 0 {
            self.zero += times;
        } else {
            self.native[place(ns as f64 / 1e9)] += times;
        }
    }

    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    /// All times together, seconds.
    pub(crate) fn sum(&self) -> f64 {
        self.sum_ns as f64 / 1e9
    }

    /// Times of nothing.
    pub(crate) const fn zero(&self) -> u64 {
        self.zero
    }

    /// The classic buckets: how many times were at most so many seconds; the last one holds all.
    pub(crate) fn classic(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let bounds = CLASSIC.iter().zip(&self.classic).scan(0, |so_far, (bound, count)| {
            *so_far += count;
            Some((*bound as f64 / 1e9, *so_far))
        });
        bounds.chain([(f64::INFINITY, self.count)])
    }

    /// The native buckets that are not empty, by their number in Prometheus's scheme: number `n` reaches up to `2^(n/8)` seconds.
    pub(crate) fn native(&self) -> impl Iterator<Item = (i32, u64)> + '_ {
        let numbered = (POWERS.start * PARTS..).zip(&self.native);
        numbered.filter(|(_, count)| **count > 0).map(|(number, count)| (number, *count))
    }
}

/// Which native bucket a time above 0 belongs to.
fn place(seconds: f64) -> usize {
    let bits = seconds.to_bits();
    // As a fraction from 0.5 up to 1, times a power of two.
    let power = (bits >> 52) as i32 - 1_022;
    let fraction = f64::from_bits((bits & ((1 << 52) - 1)) | (1_022 << 52));
    let part: i32 = STARTS.iter().map(|start| i32::from(*start < fraction)).sum();
    let number = (power - 1) * PARTS + part;
    (number - POWERS.start * PARTS).clamp(0, HIGHEST) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_time_on_a_bound_belongs_below_it() {
        let mut times = TimeHistogram::default();
        for ns in [0, 100_000_000, 100_000_001, 1_000_000_000, 500_000_000, 200_000_000_000] {
            times.note(ns);
        }
        let at_most = |bound: f64| times.classic().find(|(known, _)| *known >= bound).unwrap().1;
        assert_eq!([at_most(0.05), at_most(0.1), at_most(0.25), at_most(1.0)], [1, 2, 3, 5]);
        assert_eq!((at_most(f64::INFINITY), times.count(), times.zero()), (6, 6, 1));
        assert!((times.sum() - 201.700_000_001).abs() < 1e-9);
        let numbers: Vec<(i32, u64)> = times.native().collect();
        assert_eq!(numbers, [(-26, 2), (-8, 1), (0, 1), (56, 1)], "0.1 s is below 2^(-26/8) = 0.105 s");
    }

    proptest! {
        /// Bucket `n` holds what is above 2^((n-1)/8) and at most 2^(n/8).
        #[test]
        fn every_time_lies_within_its_native_bucket(ns in 1_u64..120_000_000_000) {
            let mut times = TimeHistogram::default();
            times.note(ns);
            let (number, _) = times.native().next().unwrap();
            let (seconds, bound) = (ns as f64 / 1e9, |number: i32| 2_f64.powf(f64::from(number) / 8.0));
            prop_assert!(seconds <= bound(number) * (1.0 + 1e-12));
            prop_assert!(ns == 1 || seconds > bound(number - 1) * (1.0 - 1e-12));
        }
    }
}

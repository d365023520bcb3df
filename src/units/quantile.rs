//! Quantiles: a fraction in code, `p99.9` on screens, `p99_9` in columns.

use std::fmt;
use std::str::FromStr;

use super::UnitError;

/// A quantile in parts per million, so that it compares and hashes exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Quantile(u32);

impl Quantile {
    /// The median.
    pub const P50: Self = Self(500_000);
    /// 0.9
    pub const P90: Self = Self(900_000);
    /// 0.95
    pub const P95: Self = Self(950_000);
    /// 0.99
    pub const P99: Self = Self(990_000);
    /// 0.999
    pub const P99_9: Self = Self(999_000);
    /// 0.9999
    pub const P99_99: Self = Self(999_900);

    /// The largest value itself.
    pub const MAX: Self = Self(1_000_000);

    /// The quantiles every summary states.
    pub const REPORTED: [Self; 6] = [Self::P50, Self::P90, Self::P95, Self::P99, Self::P99_9, Self::P99_99];

    /// The quantile of a fraction, held in [0, 1], to a millionth.
    pub fn of(fraction: f64) -> Self {
        Self((fraction.clamp(0.0, 1.0) * 1e6).round() as u32)
    }

    /// As a fraction in [0, 1].
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 1e6
    }

    /// How many of `count` samples lie beyond it: the support of the tail.
    pub fn samples_beyond(self, count: u64) -> u64 {
        (u128::from(count) * u128::from(1_000_000 - self.0) / 1_000_000) as u64
    }

    /// The form used in column names: `p99_9`.
    pub fn column(self) -> String {
        self.to_string().replace('.', "_")
    }
}

impl FromStr for Quantile {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let fault = || {
            UnitError(format!(
                "`{text}` is not a valid percentile; write for example \"p50\", \"p99\" or \"p99.9\""
            ))
        };
        let percent: f64 = text.strip_prefix('p').ok_or_else(fault)?.parse().map_err(|_| fault())?;
        let millionths = percent * 10_000.0;
        if !(0.0..=1e6).contains(&millionths) || (millionths - millionths.round()).abs() > 1e-6 {
            return Err(fault());
        }
        Ok(Self(millionths.round() as u32))
    }
}

impl fmt::Display for Quantile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", f64::from(self.0) / 1e4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantiles_have_one_name_each() {
        let names: Vec<_> = Quantile::REPORTED.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["p50", "p90", "p95", "p99", "p99.9", "p99.99"]);
        assert_eq!(Quantile::P99_9.column(), "p99_9");
        for text in ["99", "p", "p101", "p-1", "p99.99999"] {
            assert!(
                text.parse::<Quantile>().unwrap_err().to_string().contains("write for example"),
                "{text}"
            );
        }
    }

    #[test]
    fn tail_support_is_exact() {
        assert_eq!(Quantile::P99.samples_beyond(1_000), 10);
        assert_eq!(Quantile::P99.samples_beyond(999), 9);
        assert_eq!(Quantile::P99_99.samples_beyond(100_000), 10);
    }

    proptest! {
        #[test]
        fn printing_and_reading_give_the_quantile_back(millionths in 0_u32..=1_000_000) {
            let quantile = Quantile(millionths);
            prop_assert_eq!(quantile.to_string().parse::<Quantile>().unwrap(), quantile);
        }
    }
}

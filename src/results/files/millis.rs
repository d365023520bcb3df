//! A time as the files of a run write it: milliseconds with all six decimals, so that no nanosecond is lost.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// Whole nanoseconds, written as milliseconds: `1.234567`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Millis(pub u64);

impl Millis {
    const NS: u64 = 1_000_000;

    /// Nanoseconds.
    pub const fn as_ns(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / Self::NS, self.0 % Self::NS)
    }
}

/// The text is not a non-negative number of milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a number of milliseconds")]
pub struct NotMillis(String);

impl FromStr for Millis {
    type Err = NotMillis;

    fn from_str(text: &str) -> Result<Self, NotMillis> {
        let fault = || NotMillis(text.to_owned());
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits =
            |part: &str| part.len() <= 20 && !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || decimals.len() > 6 {
            return Err(fault());
        }
        let whole: u64 = whole.parse().map_err(|_| fault())?;
        let part: u64 = format!("{decimals:0<6}").parse().map_err(|_| fault())?;
        whole.checked_mul(Self::NS).and_then(|ns| ns.checked_add(part)).map(Self).ok_or_else(fault)
    }
}

impl Serialize for Millis {
    /// A JSON number of milliseconds; exact below 2^53 ns, which is 104 days.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0 as f64 / Self::NS as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_written_in_milliseconds_with_every_nanosecond() {
        for (ns, text) in
            [(0, "0.000000"), (1, "0.000001"), (1_234_567, "1.234567"), (5_000_000_000, "5000.000000")]
        {
            assert_eq!(Millis(ns).to_string(), text);
        }
        assert_eq!("1.5".parse(), Ok(Millis(1_500_000)));
        for text in ["", ".", "1.", "-1.0", "1e3", "1.0000000", "99999999999999999999.0", "N/A"] {
            assert!(text.parse::<Millis>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn writing_and_reading_give_the_time_back(ns in any::<u64>()) {
            prop_assert_eq!(Millis(ns).to_string().parse(), Ok(Millis(ns)));
        }
    }
}

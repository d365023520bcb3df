//! Spans of time: `250ms`, `1.5s`, `2m`, `1h30m`, `7d`; a day is 24 hours.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{UnitError, bare_number, split_number};

const UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3_600e9),
    ("d", 86_400e9),
];

/// A length of time in whole nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Span(u64);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A span of `ns` nanoseconds.
    pub const fn from_ns(ns: u64) -> Self {
        Self(ns)
    }

    /// A span of `ms` milliseconds.
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms * 1_000_000)
    }

    /// A span of `secs` seconds; negative and non-finite values give [`Span::ZERO`].
    pub fn from_secs_f64(secs: f64) -> Self {
        Self((secs * 1e9).round() as u64)
    }

    /// Whole nanoseconds.
    pub const fn as_ns(self) -> u64 {
        self.0
    }

    /// Seconds.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// As the standard library's duration.
    pub const fn as_duration(self) -> Duration {
        Duration::from_nanos(self.0)
    }
}

impl FromStr for Span {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let fault = || {
            UnitError(format!(
                "`{text}` is not a valid span of time; write for example \"250ms\", \"1.5s\" or \"2m\""
            ))
        };
        let (mut rest, mut total) = (text.trim(), 0.0_f64);
        if rest.is_empty() {
            return Err(fault());
        }
        if rest == "0" {
            return Ok(Self::ZERO);
        }
        if let Some(error) = bare_number(rest, "s") {
            return Err(error);
        }
        while !rest.is_empty() {
            let (number, after) = split_number(rest).ok_or_else(fault)?;
            let end = after.find(|c: char| c.is_ascii_digit() || c.is_whitespace()).unwrap_or(after.len());
            let (_, scale) = UNITS.iter().find(|(unit, _)| *unit == &after[..end]).ok_or_else(fault)?;
            total += number * scale;
            rest = after[end..].trim_start();
        }
        if total >= u64::MAX as f64 {
            return Err(UnitError(format!("`{text}` is longer than 584 years")));
        }
        Ok(Self(total.round() as u64))
    }
}

impl fmt::Display for Span {
    /// The shortest exact form: `1h30m`, `250ms`, `1500us`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WHOLE: [(u64, &str); 3] =
            [(3_600_000_000_000, "h"), (60_000_000_000, "m"), (1_000_000_000, "s")];
        if self.0 == 0 {
            return f.write_str("0s");
        }
        if !self.0.is_multiple_of(1_000_000_000) {
            let (scale, unit) = [(1_000_000, "ms"), (1_000, "us"), (1, "ns")]
                .into_iter()
                .find(|(s, _)| self.0.is_multiple_of(*s))
                .unwrap_or((1, "ns"));
            return write!(f, "{}{unit}", self.0 / scale);
        }
        let mut rest = self.0;
        for (scale, unit) in WHOLE {
            if rest >= scale {
                write!(f, "{}{unit}", rest / scale)?;
                rest %= scale;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spans_read_as_people_write_them() {
        for (text, ns) in [
            ("250ms", 250_000_000),
            ("1.5s", 1_500_000_000),
            ("2m", 120_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1h 30m", 5_400_000_000_000),
            ("1d", 86_400_000_000_000),
            ("1d12h", 129_600_000_000_000),
            ("0.5d", 43_200_000_000_000),
            ("10us", 10_000),
            ("10µs", 10_000),
            ("7ns", 7),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(text.parse::<Span>().unwrap().as_ns(), ns, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_a_remedy() {
        for text in ["", "5", "s", "-1s", "1 fortnight", "1s!", "nan", "1e3s", "999999999999h"] {
            let error = text.parse::<Span>().unwrap_err().to_string();
            let helps = ["write for example", "584 years", "did you mean \"5s\"?"];
            assert!(helps.iter().any(|help| error.contains(help)), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn printing_and_reading_give_the_span_back(ns in 0_u64..1 << 50) {
            let span = Span::from_ns(ns);
            prop_assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        }
    }
}

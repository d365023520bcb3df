//! Rates of events: `10/s`, `6/m`, `1/30s`.

use std::fmt;
use std::str::FromStr;

use super::{Span, UnitError, bare_number, split_number};

/// Events per second, finite and not negative.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Rate(f64);

impl Rate {
    /// `value` events per second; `None` unless finite and not negative.
    pub fn per_second(value: f64) -> Option<Self> {
        (value.is_finite() && value >= 0.0).then_some(Self(value))
    }

    /// Events per second.
    pub const fn as_per_second(self) -> f64 {
        self.0
    }
}

impl FromStr for Rate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let fault = || {
            UnitError(format!(
                "`{text}` is not a valid rate; write for example \"10/s\", \"6/m\" or \"1/30s\""
            ))
        };
        if let Some(error) = bare_number(text, "/s") {
            return Err(error);
        }
        let (count, per) = text.split_once('/').ok_or_else(fault)?;
        let (count, rest) = split_number(count).ok_or_else(fault)?;
        if !rest.is_empty() {
            return Err(fault());
        }
        let per = per.trim();
        let bare_unit = per.starts_with(|c: char| c.is_alphabetic());
        let span: Span =
            if bare_unit { format!("1{per}") } else { per.to_owned() }.parse().map_err(|_| fault())?;
        if span == Span::ZERO {
            return Err(fault());
        }
        Self::per_second(count / span.as_secs_f64()).ok_or_else(fault)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rates_read_as_people_write_them() {
        for (text, per_second) in [
            ("10/s", 10.0),
            ("6/m", 0.1),
            ("1/30s", 1.0 / 30.0),
            ("0.5/s", 0.5),
            ("1_000/s", 1000.0),
            ("3/100ms", 30.0),
        ] {
            let rate: Rate = text.parse().unwrap();
            assert!((rate.as_per_second() - per_second).abs() < 1e-12, "{text}: {rate}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_a_remedy() {
        for text in ["", "10", "10/", "/s", "-1/s", "1/0s", "ten/s", "1/s/s", "1x/s"] {
            let error = text.parse::<Rate>().unwrap_err().to_string();
            let helps = ["write for example", "did you mean \"10/s\"?"];
            assert!(helps.iter().any(|help| error.contains(help)), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn printing_and_reading_give_the_rate_back(value in 1e-6_f64..1e9) {
            let rate = Rate::per_second(value).unwrap();
            prop_assert_eq!(rate.to_string().parse::<Rate>().unwrap(), rate);
        }
    }
}

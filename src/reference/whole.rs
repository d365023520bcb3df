//! Whole numbers as JSON writes them: `47593`, and `47593.0` as well, for JSON has no integers of their own (RFC 8259 §6).

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// Above this the fractions of a float are no longer told apart from its neighbours: what was written is not known.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A whole number from 0 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Whole(pub(super) u64);

impl Whole {
    fn of(number: f64) -> Option<Self> {
        (number.fract() == 0.0 && (0.0..=EXACT).contains(&number)).then_some(Self(number as u64))
    }
}

/// The whole number that stands at `key` of a query, within what may stand there.
///
/// # Errors
/// What is wrong with it.
pub(super) fn in_query(key: &str, value: &str, least: u64, most: u64) -> Result<u64, String> {
    let number = value.parse().ok().map(|Whole(number)| number);
    number
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("`{key}` is a whole number from {least} to {most}, not `{value}`"))
}

struct WholeVisitor;

impl Visitor<'_> for WholeVisitor {
    type Value = Whole;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number from 0 on")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Whole, E> {
        Ok(Whole(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Whole, E> {
        u64::try_from(number).map(Whole).map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Whole, E> {
        Whole::of(number).ok_or_else(|| E::invalid_value(Unexpected::Float(number), &self))
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(WholeVisitor)
    }
}

impl FromStr for Whole {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if let Ok(number) = text.parse() {
            return Ok(Self(number));
        }
        // Of what Rust reads as a float only what JSON does.
        let is_plain = text.starts_with(|first: char| first.is_ascii_digit());
        text.parse().ok().filter(|_| is_plain).and_then(Self::of).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_read_however_json_writes_them() {
        for (text, number) in [
            ("0", Some(0)),
            ("47593", Some(47_593)),
            ("47593.0", Some(47_593)),
            ("4.7593e4", Some(47_593)),
            ("18446744073709551615", Some(u64::MAX)),
            ("9007199254740992.0", Some(9_007_199_254_740_992)),
            ("9007199254740994.0", None),
            ("1.5", None),
            ("-1", None),
            ("-1.0", None),
            ("1e400", None),
            ("\"1\"", None),
            ("null", None),
            ("true", None),
        ] {
            let read = serde_json::from_str::<Whole>(text).ok().map(|whole| whole.0);
            assert_eq!(read, number, "{text}");
            assert_eq!(text.parse::<Whole>().ok().map(|whole| whole.0), number, "{text} in a query");
        }
        for text in ["", "inf", "nan", "+1.0", " 1", ".5", "1_0"] {
            assert!(text.parse::<Whole>().is_err(), "{text}");
        }
    }
}

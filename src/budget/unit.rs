//! The units that figures are in: how a bound is written, and how a measured value is shown.

use super::BudgetError;
use crate::units::{Rate, Span, figure};

/// What a figure is measured in. Values are plain numbers in the unit's own measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Nanoseconds; written as a span.
    Time,
    /// A share of 1; written in per cent, or as a fraction.
    Share,
    /// A number of readings, connections or devices.
    Count,
    /// Per second; written as a rate, or as a bare number per second.
    Rate,
    /// 1 if it is so, else 0; written `true`.
    Truth,
}

impl Unit {
    /// The word that stands in files beside a value, and what a value is divided by to be in it.
    pub const fn in_files(self) -> (&'static str, f64) {
        match self {
            Self::Time => ("ms", 1e6),
            Self::Share => ("share", 1.0),
            Self::Count => ("count", 1.0),
            Self::Rate => ("per_s", 1.0),
            Self::Truth => ("truth", 1.0),
        }
    }

    /// A condition in it, as an example.
    pub const fn example(self) -> &'static str {
        match self {
            Self::Time => "\"<250ms\"",
            Self::Share => "\"<0.1%\"",
            Self::Count => "\"<100\"",
            Self::Rate => "\">=100/s\"",
            Self::Truth => "true",
        }
    }

    /// The value written as `text`. A time without a unit is in steps of `step_ns`, where there are any.
    pub(super) fn read(self, text: &str, step_ns: Option<u64>) -> Result<f64, BudgetError> {
        let refuse = |message: String| {
            Err(BudgetError { message, help: format!("write for example {}", self.example()) })
        };
        match self {
            Self::Time => match (text.parse::<Span>(), step_ns.zip(decimal(text))) {
                (_, Some((step_ns, steps))) => {
                    let ns = (steps * step_ns as f64).round();
                    if ns <= u64::MAX as f64 {
                        Ok(ns)
                    } else {
                        refuse(format!("`{}` is too long", brief(text)))
                    }
                }
                (Ok(span), None) => Ok(span.as_ns() as f64),
                (Err(_), None) if decimal(text).is_some() => refuse(format!("`{text}` has no unit")),
                (Err(_), None) => refuse(format!("`{text}` is not a valid span of time")),
            },
            Self::Share => match share(text) {
                Some(share) if share <= 1.0 => Ok(share),
                Some(_) if !text.ends_with('%') => {
                    refuse(format!("`{text}` is more than the whole, and has no %"))
                }
                Some(_) => refuse(format!("`{text}` is more than the whole")),
                None => refuse(format!("`{text}` is not a valid share")),
            },
            Self::Count => match text.replace('_', "").parse::<u64>() {
                Ok(count) => Ok(count as f64),
                Err(_) => refuse(format!("`{text}` is not a number of readings")),
            },
            Self::Rate => {
                match text.parse::<Rate>().map_or_else(|_| decimal(text), |rate| Some(rate.as_per_second())) {
                    Some(rate) => Ok(rate),
                    None => refuse(format!("`{text}` is not a valid rate")),
                }
            }
            Self::Truth => refuse(format!("`{text}` is neither true nor false")),
        }
    }

    /// `value` exactly, as [`Unit::read`] takes it.
    pub(super) fn write(self, value: f64) -> String {
        match self {
            Self::Time => Span::from_ns(value as u64).to_string(),
            Self::Share => {
                let percent = format!("{}%", (value * 1e12).round() / 1e10);
                if share(&percent) == Some(value) { percent } else { value.to_string() }
            }
            Self::Count => (value as u64).to_string(),
            Self::Rate => Rate::per_second(value).unwrap_or_default().to_string(),
            Self::Truth => (value > 0.0).to_string(),
        }
    }

    /// `value` as people read it, times and rates with three significant digits.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Time => figure::time(value as u64),
            Self::Share => Self::show_share(value, None),
            Self::Count => figure::count(value as u64),
            Self::Rate => show_rate(value, None),
            Self::Truth => if value > 0.0 { "yes" } else { "no" }.to_owned(),
        }
    }
}

impl Unit {
    /// The same beside a `bound`: a rounded share or time must not look like the bound that it missed.
    pub fn show_beside(self, value: f64, bound: f64) -> String {
        match self {
            Self::Share => Self::show_share(value, Some(bound)),
            Self::Time => figure::time_beside(value as u64, bound as u64),
            Self::Rate => show_rate(value, Some(bound)),
            Self::Count | Self::Truth => self.show(value),
        }
    }

    /// Per cent with two decimals, or as many more as it takes to tell it from nothing and from `bound`.
    fn show_share(value: f64, bound: Option<f64>) -> String {
        let rounded = |value: f64, places: i32| {
            let scale = 10_f64.powi(places);
            (value * 100.0 * scale).round() / scale
        };
        let tells = |places: &i32| {
            let shown = rounded(value, *places);
            let apart = bound.is_none_or(|bound| {
                let bound_shown = rounded(bound, 8);
                shown.total_cmp(&bound_shown) == rounded(value, 8).total_cmp(&bound_shown)
            });
            apart && (shown > 0.0 || value <= 0.0)
        };
        format!("{} %", rounded(value, (2..8).find(tells).unwrap_or(8)))
    }
}

/// A rate with three significant digits, or as many more as it takes to tell it from `bound`.
fn show_rate(value: f64, bound: Option<f64>) -> String {
    let least = if value >= 100.0 { 0 } else { usize::from(value < 10.0) + 1 };
    let tells = |decimals: &usize| {
        let shown = format!("{value:.decimals$}").parse().unwrap_or(value);
        bound.is_none_or(|bound| shown.total_cmp(&bound) == value.total_cmp(&bound))
    };
    let decimals = (least..least + 3).find(tells).unwrap_or(least);
    let text = format!("{value:.decimals$}");
    let (whole, places) = text.split_at(text.find('.').unwrap_or(text.len()));
    format!("{}{places}/s", figure::count(whole.parse().unwrap_or_default()))
}

/// What repeats of a user's words are kept to.
fn brief(text: &str) -> String {
    text.chars().take(40).collect()
}

/// A finite number without a sign and without an exponent.
fn decimal(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'_'));
    text.replace('_', "").parse::<f64>().ok().filter(|number| plain && number.is_finite())
}

/// A share in per cent or as a fraction. Shifted in the text, so that `0.7%` is the very number that 7 of 1 000 is.
fn share(text: &str) -> Option<f64> {
    let Some(percent) = text.strip_suffix('%') else { return decimal(text) };
    let percent = percent.trim_end();
    decimal(percent)?;
    format!("{}e-2", percent.replace('_', "")).parse().ok()
}

//! Quantities: numbers, times and rates, and what comes of multiplying them.

use crate::budget::Unit;
use crate::units::figure;

/// The power of time that a quantity has: 0 is a plain number, 1 a time, -1 a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lab) struct Dimension(pub(in crate::lab) i8);

impl Dimension {
    pub(in crate::lab) const NUMBER: Self = Self(0);
    pub(in crate::lab) const TIME: Self = Self(1);
    pub(in crate::lab) const RATE: Self = Self(-1);

    /// The word for it, with its article.
    pub(in crate::lab) fn described(self) -> String {
        match self {
            Self::NUMBER => "a number".to_owned(),
            Self::TIME => "a time".to_owned(),
            Self::RATE => "a rate".to_owned(),
            Self(power) => format!("a time to the power {power}"),
        }
    }
}

/// A value in seconds to the power of its dimension.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::lab) struct Quantity {
    pub(in crate::lab) value: f64,
    pub(in crate::lab) dimension: Dimension,
}

impl Quantity {
    pub(in crate::lab) const fn number(value: f64) -> Self {
        Self { value, dimension: Dimension::NUMBER }
    }

    /// A time of so many seconds.
    pub(in crate::lab) const fn seconds(value: f64) -> Self {
        Self { value, dimension: Dimension::TIME }
    }

    /// So many per second.
    pub(in crate::lab) const fn per_second(value: f64) -> Self {
        Self { value, dimension: Dimension::RATE }
    }

    /// A figure's value, which is in the measure of its `unit`.
    pub(in crate::lab) fn measured(value: f64, unit: Unit) -> Self {
        match unit {
            Unit::Time => Self::seconds(value / 1e9),
            Unit::Rate => Self::per_second(value),
            Unit::Share | Unit::Count | Unit::Truth => Self::number(value),
        }
    }

    /// As people read it; a plain number in per cent where it is a share.
    pub(in crate::lab) fn show(self, is_share: bool) -> String {
        self.shown(is_share, None)
    }

    /// The same beside a `bound`, with as many more digits as it takes to tell the two apart.
    pub(in crate::lab) fn show_beside(self, is_share: bool, bound: Self) -> String {
        self.shown(is_share, Some(bound.value))
    }

    fn shown(self, is_share: bool, bound: Option<f64>) -> String {
        if self.value < 0.0 {
            return format!("-{}", Self { value: -self.value, ..self }.shown(is_share, None));
        }
        let unit = match self.dimension {
            Dimension::TIME => Unit::Time,
            Dimension::RATE => Unit::Rate,
            Dimension::NUMBER if is_share => Unit::Share,
            _ => return plain(self.value),
        };
        match bound {
            Some(bound) => unit.show_beside(in_measure(self.value, unit), in_measure(bound, unit)),
            None => unit.show(in_measure(self.value, unit)),
        }
    }
}

/// A value in the measure of figures: times are whole nanoseconds there.
fn in_measure(value: f64, unit: Unit) -> f64 {
    if unit == Unit::Time { (value * 1e9).round() } else { value }
}

/// A number with three significant digits, or whole; not negative.
fn plain(value: f64) -> String {
    if value >= 100.0 || value.fract() < 1e-9 {
        return figure::count(value.round() as u64);
    }
    let decimals = match value {
        10.0.. => 1,
        1.0..10.0 => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

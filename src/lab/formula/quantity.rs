//! Quantities: numbers, times and rates, and what comes of multiplying them.

use crate::budget::Unit;

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
        match self.dimension {
            Dimension::TIME if self.value < 0.0 => format!("-{}", Unit::Time.show(-self.value * 1e9)),
            Dimension::TIME => Unit::Time.show((self.value * 1e9).round()),
            Dimension::RATE => Unit::Rate.show(self.value),
            Dimension::NUMBER if is_share && self.value >= 0.0 => Unit::Share.show(self.value),
            _ => plain(self.value),
        }
    }
}

/// A number with three significant digits, or whole.
fn plain(value: f64) -> String {
    let size = value.abs();
    if size >= 100.0 || value.fract().abs() < 1e-9 {
        return format!("{value:.0}");
    }
    let decimals = if size >= 10.0 {
        1
    } else if size >= 1.0 {
        2
    } else {
        3
    };
    format!("{value:.decimals$}")
}

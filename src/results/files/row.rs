//! A row of one of a run's tables, its cells found by the names of their columns.

use std::collections::BTreeMap;

use crate::record::Outcomes;
use crate::results::Millis;

/// Where the columns of a table stand.
pub(super) type Places = BTreeMap<String, usize>;

/// The places of the columns that `header` names.
pub(super) fn places(header: &csv::StringRecord) -> Places {
    header.iter().enumerate().map(|(place, name)| (name.to_owned(), place)).collect()
}

/// The number that a cell holds, where it is finite and not below 0.
pub(super) fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)
}

/// A time that a cell holds in milliseconds, in nanoseconds.
pub(super) fn time(text: &str) -> Option<u64> {
    text.parse().ok().map(Millis::as_ns)
}

/// A row; a column that the table does not have reads as empty.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'t> {
    pub(super) cells: &'t csv::StringRecord,
    pub(super) places: &'t Places,
}

impl<'t> Row<'t> {
    /// Whether it has as many cells as the table has columns: one that was cut has not.
    pub(super) fn is_whole(&self) -> bool {
        self.cells.len() == self.places.len()
    }

    pub(super) fn text(&self, column: &str) -> &'t str {
        self.places.get(column).and_then(|place| self.cells.get(*place)).unwrap_or_default()
    }

    pub(super) fn number(&self, column: &str) -> Option<f64> {
        number(self.text(column))
    }

    pub(super) fn whole(&self, column: &str) -> Option<u64> {
        self.text(column).parse().ok()
    }

    pub(super) fn count(&self, column: &str) -> u64 {
        self.whole(column).unwrap_or(0)
    }

    pub(super) fn time(&self, column: &str) -> Option<u64> {
        time(self.text(column))
    }

    pub(super) fn outcomes(&self) -> Outcomes {
        let of = |column| self.count(column);
        Outcomes {
            planned: of("planned"),
            ok: of("ok"),
            shed: of("shed"),
            error: of("error"),
            timeout: of("timeout"),
            lost: of("lost"),
            dropped: of("dropped"),
        }
    }
}

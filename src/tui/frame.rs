//! The axis of time that everything of the overview stands under, and what lies under each of its cells.

use super::control::Controls;
use super::model::Model;
use crate::results::Column;

/// What is shown of the last minute is this long, seconds.
const MINUTE_S: f64 = 60.0;

/// The intervals under one cell.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) start_s: f64,
    pub(super) seconds: f64,
    /// Of several intervals the sums, the largest p99 and lateness, and what was open last.
    pub(super) column: Column,
}

/// The axis.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    pub(super) left: u16,
    pub(super) columns: u16,
    from_s: f64,
    to_s: f64,
}

/// The axis with what lies under its cells: for the overview alone, as that adds up all columns of the run.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) axis: Axis,
    slots: Vec<Option<Slot>>,
}

/// Columns with their beginnings and ends, seconds.
type Timed<'c> = (f64, f64, &'c Column);

impl Axis {
    /// Of the whole plan, or of the last minute, in so many columns of the screen from `left` on.
    pub(super) fn new(model: &Model<'_>, controls: &Controls, left: u16, columns: u16) -> Self {
        let (now_s, end_s) = (model.now_s(), model.end_s());
        let (from_s, to_s) = if controls.minute {
            let to_s = now_s.max(MINUTE_S.min(end_s));
            ((to_s - MINUTE_S).max(0.0), to_s)
        } else {
            (0.0, end_s)
        };
        Self { left, columns, from_s, to_s }
    }

    /// The time that a cell stands for.
    fn span(&self, nth: u16) -> (f64, f64) {
        let width_s = (self.to_s - self.from_s) / f64::from(self.columns.max(1));
        let start_s = self.from_s + f64::from(nth) * width_s;
        (start_s, start_s + width_s)
    }

    /// The column of the screen that an instant stands in, held within the axis.
    pub(super) fn x(&self, at_s: f64) -> u16 {
        let share = (at_s - self.from_s) / (self.to_s - self.from_s).max(1e-9);
        let nth = (share.clamp(0.0, 1.0) * f64::from(self.columns) + 1e-6) as u16;
        self.left + nth.min(self.columns)
    }

    /// The columns from one instant to another, at least one; `None` where they lie outside.
    pub(super) fn cells(&self, from_s: f64, to_s: f64) -> Option<(u16, u16)> {
        if to_s < self.from_s || from_s >= self.to_s {
            return None;
        }
        let from = self.x(from_s).min(self.left + self.columns.saturating_sub(1));
        Some((from, self.x(to_s).max(from + 1)))
    }
}

impl Frame {
    pub(super) fn new(axis: Axis, model: &Model<'_>, controls: &Controls) -> Self {
        let watched = model.watched;
        let timed: Vec<Timed<'_>> = if controls.minute {
            let recent = watched.recent.iter();
            recent.map(|recent| (recent.start_s, recent.end_s, &recent.column)).collect()
        } else {
            let end = |place: usize| ((place + 1) as f64 * watched.column_s).min(model.now_s());
            let columns = watched.columns.iter().enumerate();
            columns.map(|(place, column)| (place as f64 * watched.column_s, end(place), column)).collect()
        };
        let slots = (0..axis.columns).map(|nth| slot(axis.span(nth), &timed)).collect();
        Self { axis, slots }
    }

    /// The cells that hold something, with their columns of the screen.
    pub(super) fn filled(&self) -> impl Iterator<Item = (u16, &Slot)> {
        let slots = (self.axis.left..).zip(&self.slots);
        slots.filter_map(|(x, slot)| slot.as_ref().map(|slot| (x, slot)))
    }

    /// The cell at which the cursor stands, counted from the last that holds something.
    pub(super) fn at_cursor(&self, cursor: u16) -> Option<(u16, &Slot)> {
        let filled: Vec<_> = self.filled().collect();
        let place = filled.len().saturating_sub(1 + usize::from(cursor));
        filled.get(place).copied()
    }
}

/// What lies in a stretch of time: the columns that begin in it, or the one that covers its middle.
fn slot((from_s, to_s): (f64, f64), columns: &[Timed<'_>]) -> Option<Slot> {
    let middle_s = f64::midpoint(from_s, to_s);
    let begin = columns.partition_point(|(start_s, ..)| *start_s < from_s - 1e-6);
    let within = columns[begin..].iter().take_while(|(start_s, ..)| *start_s < to_s - 1e-6);
    let mut found: Vec<_> = within.copied().collect();
    if found.is_empty() || found[0].0 > middle_s {
        let covers = columns[..begin].last().filter(|(_, end_s, _)| *end_s > middle_s);
        if let Some(covers) = covers {
            found = vec![*covers];
        }
    }
    let (start_s, end_s) = (found.first()?.0, found.last()?.1);
    let mut merged = Column::default();
    let mut most = 0;
    for (_, _, column) in found {
        merged.outcomes.add(&column.outcomes);
        merged.connected += column.connected;
        merged.refused += column.refused;
        (merged.open, merged.overdue) = (column.open.or(merged.open), column.overdue.or(merged.overdue));
        merged.lag_p99 = merged.lag_p99.max(column.lag_p99);
        merged.p99 = merged.p99.max(column.p99);
        merged.max = merged.max.max(column.max);
        for (row, readings) in &column.heat {
            *merged.heat.entry(*row).or_default() += readings;
        }
        if column.outcomes.ended() >= most {
            most = column.outcomes.ended();
            merged.p50 = column.p50.or(merged.p50);
        }
    }
    Some(Slot { start_s, seconds: (end_s - start_s).max(1e-9), column: merged })
}

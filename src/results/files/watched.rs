//! What is known of a run at an instant, as its files are read one interval after the other.

use std::collections::{BTreeMap, VecDeque};

use hdrhistogram::Histogram;

use super::history::{Column, MOST_COLUMNS, Stretch};
use super::history_log::{Grid, percentiles, row_of};
use super::packed::{Bounds, add_values};
use super::promise::Promise;
use super::row::Row;
use super::table::is_measured;
use super::times::Times;
use crate::record::{Kind, Outcomes};

/// Events that are kept, the latest.
const MOST_EVENTS: usize = 200;
/// Spells of faults that are kept.
const MOST_SPELLS: usize = 1_000;
/// Fleets that are told apart.
const MOST_FLEETS: usize = 64;
/// Intervals that are kept one by one, the latest.
const MOST_RECENT: usize = 240;
/// Columns at most, also of a run that lasts far longer than its plan.
const COLUMN_LIMIT: usize = 4 * MOST_COLUMNS;

/// A fleet as it was in the last interval, and what became of it so far.
#[derive(Debug, Default)]
pub(crate) struct FleetPulse {
    pub(crate) name: String,
    pub(crate) protocol: String,
    /// Of the last interval.
    pub(crate) last: Outcomes,
    /// Of the measured phases; of what came before them until the first of them is heard of.
    pub(crate) so_far: Outcomes,
    /// Came due and not ended.
    pub(crate) open: u64,
    /// Of those, past their time-out.
    pub(crate) overdue: u64,
    /// Connections that were made, and attempts that failed, since the beginning.
    pub(crate) connected: u64,
    pub(crate) refused: u64,
    /// Of the last interval.
    pub(crate) times: Times,
    /// Of the measured phases.
    pub(crate) measured: Times,
}

/// One interval by itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recent {
    pub(crate) start_s: f64,
    pub(crate) end_s: f64,
    pub(crate) column: Column,
}

/// A time that a fault was on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spell {
    pub(crate) fault: String,
    pub(crate) start_s: f64,
    /// `None` while it lasts.
    pub(crate) end_s: Option<f64>,
    pub(crate) by_hand: bool,
}

/// A row of `events.csv`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) at_s: f64,
    /// What happened, as the file's column `event` says it.
    pub(crate) what: String,
    pub(crate) name: String,
    pub(crate) detail: String,
}

/// What is known of a run at an instant.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// End of the last interval that was read.
    pub(crate) reached_s: f64,
    /// Length of a column.
    pub(crate) column_s: f64,
    /// From the beginning of the run, without a gap.
    pub(crate) columns: Vec<Column>,
    /// The last intervals, one by one.
    pub(crate) recent: VecDeque<Recent>,
    /// The phases that have begun.
    pub(crate) phases: Vec<Stretch>,
    pub(crate) spells: Vec<Spell>,
    /// What happened last.
    pub(crate) events: VecDeque<Event>,
    /// In the order in which they appeared.
    pub(crate) fleets: Vec<FleetPulse>,
    /// All fleets in the last interval.
    pub(crate) last: Times,
    /// All fleets in the present phase, and what that is called.
    pub(crate) phase: Times,
    pub(crate) phase_name: String,
    /// By phase, the smallest bound that a failed reading of it counts as.
    pub(super) floors: BTreeMap<String, u64>,
    /// All fleets in the measured phases.
    pub(crate) measured: Times,
    /// How late the generator woke in the measured phases, nanoseconds.
    pub(crate) lag: Option<Histogram<u64>>,
    /// What was demanded, and how that stands.
    pub(crate) promises: Vec<Promise>,
    /// The column that is read of the log, and its response times.
    pub(super) read: (usize, Option<Histogram<u64>>),
    /// Phases in the order in which readings of them ended.
    pub(super) seen: Vec<String>,
    /// Whether a measured phase has been heard of.
    pub(super) measures: bool,
}

impl Watched {
    /// All fleets in the measured phases; in what came before them until the first of them is heard of.
    pub(crate) fn so_far(&self) -> Outcomes {
        let mut sum = Outcomes::default();
        self.fleets.iter().for_each(|fleet| sum.add(&fleet.so_far));
        sum
    }

    /// All fleets in the last interval.
    pub(crate) fn now(&self) -> Outcomes {
        let mut sum = Outcomes::default();
        self.fleets.iter().for_each(|fleet| sum.add(&fleet.last));
        sum
    }

    pub(super) fn begin(&mut self, start_s: f64, end_s: f64) {
        self.reached_s = self.reached_s.max(end_s);
        let is_stub = |last: &&mut Recent| end_s - start_s < (last.end_s - last.start_s) / 2.0;
        if let Some(last) = self.recent.back_mut().filter(is_stub) {
            last.end_s = end_s;
            return;
        }
        self.fleets.iter_mut().for_each(|fleet| fleet.last = Outcomes::default());
        self.last.floor = None;
        self.fleets.iter_mut().for_each(|fleet| fleet.times.floor = None);
        self.recent.push_back(Recent { start_s, end_s, column: Column::default() });
        keep_last(&mut self.recent, MOST_RECENT);
        self.column(start_s);
    }

    /// Where the interval that is shown as that of `start_s` begins. A stub at the end of a run is part of the one before: a rate
    /// over its moment would be any number.
    fn shown_at(&self, start_s: f64) -> f64 {
        let holds = |last: &&Recent| last.start_s < start_s && start_s < last.end_s;
        self.recent.back().filter(holds).map_or(start_s, |last| last.start_s)
    }

    /// The place of the column in which an interval begins, made if it is not there.
    fn column(&mut self, start_s: f64) -> Option<usize> {
        let end_s = self.column_s * COLUMN_LIMIT as f64;
        let grid = Grid { column_s: self.column_s, columns: COLUMN_LIMIT, end_s };
        let place = grid.column_at(self.shown_at(start_s))?;
        if place >= self.columns.len() {
            self.columns.resize_with(place + 1, Column::default);
        }
        Some(place)
    }

    fn fleet(&mut self, name: &str, protocol: &str) -> Option<&mut FleetPulse> {
        let place = self.fleets.iter().position(|fleet| fleet.name == name).or_else(|| {
            (self.fleets.len() < MOST_FLEETS).then(|| {
                let (name, protocol) = (name.to_owned(), protocol.to_owned());
                self.fleets.push(FleetPulse { name, protocol, ..FleetPulse::default() });
                self.fleets.len() - 1
            })
        })?;
        self.fleets.get_mut(place)
    }

    pub(super) fn take_row(&mut self, start_s: f64, row: Row<'_>) {
        let (kind, outcomes) = (row.text("kind"), row.outcomes());
        let place = self.column(start_s);
        if kind == Kind::Connect.name() {
            let refused = outcomes.planned.saturating_sub(outcomes.ok);
            if let Some(column) = place.and_then(|place| self.columns.get_mut(place)) {
                column.connected += outcomes.ok;
                column.refused += refused;
            }
            if let Some(fleet) = self.fleet(row.text("fleet"), row.text("protocol")) {
                fleet.connected += outcomes.ok;
                fleet.refused += refused;
            }
            return;
        }
        if kind != Kind::Reading.name() {
            return;
        }
        self.promises.iter_mut().for_each(|promise| promise.take_row(row, &outcomes));
        let lags = ["pacing_lag_p50_ms", "pacing_lag_p99_ms"].map(|name| row.time(name));
        let gauges = ["open", "overdue"].map(|name| row.whole(name));
        let [sent, attempts] = ["sent", "attempts"].map(|name| row.whole(name).unwrap_or(0));
        let retries = attempts.saturating_sub(sent);
        let column = place.and_then(|place| self.columns.get_mut(place));
        let recent = self.recent.back_mut().map(|recent| &mut recent.column);
        for column in column.into_iter().chain(recent) {
            column.add(start_s, &outcomes, lags, gauges);
            column.retries += retries;
        }
        let phase = row.text("phase");
        self.last.bound(row);
        if is_measured(phase) {
            self.measured.bound(row);
        }
        if let Some(floor) = row.time("censored_floor_ms") {
            let least = self.floors.entry(phase.to_owned()).or_insert(floor);
            *least = floor.min(*least);
        }
        if is_measured(phase) && !self.measures {
            // What the warm-up came to is no part of what a report counts.
            self.measures = true;
            self.fleets.iter_mut().for_each(|fleet| fleet.so_far = Outcomes::default());
        }
        let counts = is_measured(phase) || !self.measures;
        let Some(fleet) = self.fleet(row.text("fleet"), row.text("protocol")) else { return };
        fleet.last.add(&outcomes);
        if counts {
            fleet.so_far.add(&outcomes);
        }
        fleet.times.bound(row);
        if is_measured(phase) {
            fleet.measured.bound(row);
        }
        if let [Some(open), Some(overdue)] = gauges {
            (fleet.open, fleet.overdue) = (open, overdue);
        }
    }

    /// Begins the interval of the log that starts at `start_s`.
    pub(super) fn begin_times(&mut self, start_s: f64) {
        if self.shown_at(start_s) < start_s {
            return;
        }
        self.last.reset();
        self.fleets.iter_mut().for_each(|fleet| fleet.times.reset());
    }

    /// Takes the times of an interval, whose tag has `head` and what they are of.
    pub(super) fn take_times(
        &mut self,
        (head, times): (&str, &str),
        start_s: f64,
        (values, bounds): (&[(u64, u64)], Bounds),
    ) {
        let mut names = head.splitn(3, '.');
        let mut name = || names.next().unwrap_or_default();
        let (fleet, protocol, phase) = (name(), name(), name());
        if times == "pacing-lag" && is_measured(phase) {
            return add_values(&mut self.lag, values, bounds);
        }
        if !matches!(times, "response" | "service") {
            return;
        }
        for promise in self.promises.iter_mut().filter(|promise| promise.is_of(fleet, protocol, phase)) {
            promise.times.add(times, values, bounds);
        }
        self.last.add(times, values, bounds);
        if is_measured(phase) {
            self.measured.add(times, values, bounds);
        }
        if phase != self.phase_name && !self.seen.iter().any(|own| own == phase) {
            self.seen.push(phase.to_owned());
            phase.clone_into(&mut self.phase_name);
            self.phase.reset();
        }
        if phase == self.phase_name {
            self.phase.add(times, values, bounds);
        }
        if let Some(fleet) = self.fleet(fleet, protocol) {
            fleet.times.add(times, values, bounds);
            if is_measured(phase) {
                fleet.measured.add(times, values, bounds);
            }
        }
        if times == "response" {
            self.warm(start_s, values, bounds);
        }
    }

    /// Puts response times into the heat map.
    fn warm(&mut self, start_s: f64, values: &[(u64, u64)], bounds: Bounds) {
        let Some(place) = self.column(start_s) else { return };
        if place != self.read.0 {
            self.read.1.iter_mut().for_each(Histogram::reset);
            self.read.0 = place;
        }
        add_values(&mut self.read.1, values, bounds);
        let shown_s = self.shown_at(start_s);
        let column = &mut self.columns[place];
        let mut recent = began_at(&mut self.recent, shown_s);
        for (value, count) in values {
            let row = row_of(*value);
            *column.heat.entry(row).or_default() += count;
            if let Some(recent) = &mut recent {
                *recent.heat.entry(row).or_default() += count;
            }
        }
    }

    /// States the percentiles of the column that is being read, and of the interval that began at `start_s`.
    pub(super) fn settle(&mut self, start_s: f64) {
        self.phase.floor = self.floors.get(&self.phase_name).copied();
        let full = |times: &&Histogram<u64>| !times.is_empty();
        let (place, times) = &self.read;
        if let (Some(times), Some(column)) = (times.as_ref().filter(full), self.columns.get_mut(*place)) {
            [column.p50, column.p99, column.max] = percentiles(times);
        }
        let shown_s = self.shown_at(start_s);
        let recent = began_at(&mut self.recent, shown_s);
        if let (Some(times), Some(column)) = (self.last.response.as_ref().filter(full), recent) {
            [column.p50, column.p99, column.max] = percentiles(times);
        }
    }

    pub(super) fn take_event(&mut self, event: Event) {
        let Event { at_s, name, detail, .. } = &event;
        Stretch::note(&mut self.phases, &event.what, name, *at_s);
        match event.what.as_str() {
            "fault_on" if self.spells.len() < MOST_SPELLS => {
                let by_hand = detail.starts_with("by hand");
                self.spells.push(Spell { fault: name.clone(), start_s: *at_s, end_s: None, by_hand });
            }
            "fault_off" => {
                let open = self.spells.iter_mut().rev();
                let mut open = open.filter(|spell| spell.end_s.is_none());
                if let Some(spell) = open.find(|spell| spell.fault == *name) {
                    spell.end_s = Some(*at_s);
                }
            }
            _ => {}
        }
        self.events.push_back(event);
        keep_last(&mut self.events, MOST_EVENTS);
    }
}

/// The column of the interval that began at `start_s`, if it is one of the last.
fn began_at(recent: &mut VecDeque<Recent>, start_s: f64) -> Option<&mut Column> {
    let own = recent.iter_mut().rev().find(|own| (own.start_s - start_s).abs() < 1e-3);
    own.map(|own| &mut own.column)
}

/// Keeps the last of a queue.
pub(super) fn keep_last<T>(queue: &mut VecDeque<T>, most: usize) {
    let beyond = queue.len().saturating_sub(most);
    queue.drain(..beyond);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stub_at_the_end_is_part_of_the_interval_before() {
        for (left_s, intervals) in [(0.000_001, 2), (0.006, 2), (0.6, 3), (1.0, 3)] {
            let mut watched = Watched { column_s: 1.0, ..Watched::default() };
            for (start_s, end_s) in [(0.0, 1.0), (1.0, 2.0), (2.0, 2.0 + left_s)] {
                watched.begin(start_s, end_s);
            }
            assert_eq!((watched.recent.len(), watched.columns.len()), (intervals, intervals), "{left_s}");
            assert_eq!(watched.recent.back().map(|last| last.end_s), Some(2.0 + left_s));
        }
    }
}

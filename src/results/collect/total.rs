//! The merged totals of a run, and what can be asked of them.

use std::sync::Arc;

use hdrhistogram::Histogram;

use crate::clock::Tick;
use crate::record::{FleetId, Kind, Layout, PhaseRole, RunToken, SwitchEvent};
use crate::results::files::failure;
use crate::results::files::failure::{Failure, ReasonSum, reasons};
use crate::results::files::figures::Figures;
use crate::results::files::manifest::{MOST_REASONS, PacingLag};
use crate::results::files::outage::Outage;
use crate::results::files::slow_reading::{self, SlowRow};
use crate::results::files::table::{ALL, SummaryRow};
use crate::results::record::batch::IntervalBatch;
use crate::results::record::cell::{Bounds, Cell, Cells, Key, Percentile, Series};
use crate::results::record::delivery::{Deliveries, FleetDelivery};
use crate::results::record::failure::Failures;
use crate::results::record::slow_reading::SlowReadings;
use crate::units::Quantile;

/// All that a run recorded, merged over workers and intervals, by phase, fleet and kind.
#[derive(Debug)]
pub struct Totals {
    layout: Arc<Layout>,
    bounds: Bounds,
    cells: Cells<u64>,
    deliveries: Deliveries,
    failures: Failures,
    slow: SlowReadings,
    /// The run's, where it is known.
    pub(super) token: Option<RunToken>,
    end: Tick,
    /// Interval boundaries at which a worker could not hand over because the collector was behind.
    pub merged_slices: u64,
    /// Slices that arrived after their interval had been written; their content is in a later one.
    pub late_slices: u64,
    /// Marked readings that `anomalies.csv` leaves out because an interval had too many; the counts include them.
    pub anomaly_rows_omitted: u64,
    /// Activations of faults that `faults.csv` leaves out because there were too many.
    pub fault_spells_omitted: u64,
    /// Switches of faults that nobody could note because too many were waiting; their activations are incomplete or missing.
    pub switches_omitted: u64,
    /// The activations of faults, as `faults.csv` has them; empty until the run has ended.
    pub outages: Vec<Outage>,
    /// Why the files do not hold all of this: the first that could not be written. Nothing was written after it.
    pub unwritten: Option<String>,
    /// Faults switched after the last interval, as [`super::IntervalReport::switches`] has the others.
    pub late_switches: Vec<SwitchEvent>,
}

impl Totals {
    pub(crate) fn new(layout: Arc<Layout>) -> Self {
        let (bounds, cells) = (Bounds::of(&layout), Cells::new(&layout));
        Self {
            deliveries: Deliveries::new(&layout),
            failures: Failures::default(),
            slow: SlowReadings::default(),
            token: None,
            layout,
            bounds,
            cells,
            end: Tick::ZERO,
            merged_slices: 0,
            late_slices: 0,
            anomaly_rows_omitted: 0,
            fault_spells_omitted: 0,
            switches_omitted: 0,
            outages: Vec::new(),
            unwritten: None,
            late_switches: Vec::new(),
        }
    }

    pub(crate) fn absorb(&mut self, batch: &IntervalBatch, end: Tick) {
        self.end = self.end.max(end);
        self.anomaly_rows_omitted += batch.anomalies.omitted;
        self.deliveries.add(&batch.deliveries);
        self.failures.add(&batch.failures);
        self.slow.add(&batch.slow);
        for (key, cell) in batch.cells.iter() {
            self.cells.get_or_new(key, self.bounds).widen(cell);
        }
    }

    /// The end of the last interval.
    pub fn end(&self) -> Tick {
        self.end
    }

    /// What came due in all, less what ended.
    pub(crate) fn open(&self) -> i64 {
        let counters = self.cells.iter().map(|(_, cell)| &cell.counters);
        counters.map(|one| one.planned.cast_signed() - one.ended().cast_signed()).sum()
    }

    /// Everything that came due but of which no outcome was ever recorded; 0 unless a worker died.
    pub fn unaccounted(&self) -> u64 {
        self.cells.iter().map(|(_, cell)| cell.counters.planned.saturating_sub(cell.counters.ended())).sum()
    }

    /// Why readings and connection attempts failed: the rows of `failures.csv`.
    pub fn failures(&self) -> Vec<Failure> {
        failure::rows(&self.failures, &self.layout)
    }

    /// The slowest readings of each phase and fleet: the rows of `slowest.csv`.
    pub fn slowest(&self) -> Vec<SlowRow> {
        slow_reading::rows(&self.slow, &self.layout, self.token)
    }

    /// The reasons for failures summed over phases, most frequent first, as manifests have them.
    pub fn reasons(&self) -> Vec<ReasonSum> {
        let mut reasons = reasons(&self.failures());
        reasons.truncate(MOST_REASONS);
        reasons
    }

    /// The same, before it is put into words.
    pub(crate) const fn refusals(&self) -> &Failures {
        &self.failures
    }

    /// Connections that fleet number `fleet` has set up.
    pub(crate) fn connected(&self, fleet: usize) -> u64 {
        let connects = self.cells.iter().filter(|(key, _)| key.kind == Kind::Connect && key.fleet == fleet);
        connects.map(|(_, cell)| cell.counters.ok).sum()
    }

    /// The delivery audit of every fleet, in the order of the layout: warm-up, measured phases and drain.
    pub fn deliveries(&self) -> Vec<FleetDelivery> {
        self.deliveries.report(&self.layout)
    }

    /// The audit of those fleets in which what they expect of the service was broken, or was not tested.
    pub fn unkept_promises(&self) -> Vec<FleetDelivery> {
        self.deliveries().into_iter().filter(|fleet| fleet.unkept().is_some()).collect()
    }

    /// The rows of `summary.csv`: one per phase, fleet and kind with data, then the headline row: readings of all
    /// fleets in all measured phases.
    pub fn rows(&self) -> Vec<SummaryRow> {
        let mut scratch: Histogram<u64> = self.bounds.histogram();
        let mut rows: Vec<_> = self
            .cells
            .iter()
            .map(|(key, cell)| {
                let fleet = &self.layout.fleets[key.fleet];
                let seconds = self.phase_seconds(key.phase);
                SummaryRow {
                    duration_s: seconds,
                    phase: self.layout.phases[key.phase].name.clone(),
                    fleet: fleet.name.clone(),
                    protocol: fleet.protocol.name().to_owned(),
                    kind: key.kind.name().to_owned(),
                    figures: Figures::of(cell, seconds, budgeted(fleet.budget_ns, key.kind), &mut scratch)
                        .of_kind(key.kind, cell)
                        .with_tail(cell),
                }
            })
            .collect();
        let headline = self.readings(None);
        let any_budget = self.layout.fleets.iter().any(|fleet| fleet.budget_ns.is_some());
        let seconds = self.measured_seconds();
        rows.push(SummaryRow {
            duration_s: seconds,
            phase: ALL.to_owned(),
            fleet: ALL.to_owned(),
            protocol: ALL.to_owned(),
            kind: Kind::Reading.name().to_owned(),
            figures: Figures::of(&headline.cell, seconds, any_budget, &mut scratch).with_tail(&headline.cell),
        });
        rows
    }

    /// Readings of `fleet`, or of all fleets, merged over the measured phases: what budgets and validity judge.
    pub fn readings(&self, fleet: Option<FleetId>) -> Readings {
        let mut merged = Cell::new(self.bounds);
        for (key, cell) in self.cells.iter() {
            let wanted = fleet.is_none_or(|fleet| usize::from(fleet.0) == key.fleet);
            if wanted && self.is_headline(key) {
                merged.add(cell);
            }
        }
        Readings { cell: merged }
    }

    /// What was recorded of the fleets, phases and kinds that `wanted` names by key, merged.
    pub(crate) fn merged(&self, wanted: impl Fn(Key) -> bool) -> Cell<u64> {
        let mut merged = Cell::new(self.bounds);
        for (_, cell) in self.cells.iter().filter(|(key, _)| wanted(*key)) {
            merged.add(cell);
        }
        merged
    }

    /// The names behind the keys.
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    fn is_headline(&self, key: Key) -> bool {
        is_headline(&self.layout, key)
    }

    /// How long phase number `phase` lasted, as far as the run got; the drain counts to no phase.
    pub(crate) fn phase_seconds(&self, phase: usize) -> f64 {
        let phase = &self.layout.phases[phase];
        self.layout.ends(phase).min(self.end).since(self.layout.begins(phase)) as f64 / 1e9
    }

    pub(crate) fn measured_seconds(&self) -> f64 {
        let phases = self.layout.phases.iter().enumerate();
        phases
            .filter(|(_, phase)| phase.role == PhaseRole::Measured)
            .map(|(index, _)| self.phase_seconds(index))
            .sum()
    }
}

/// Whether a cell belongs to the headline: readings of a measured phase.
pub(crate) fn is_headline(layout: &Layout, key: Key) -> bool {
    key.kind == Kind::Reading && layout.phases[key.phase].role == PhaseRole::Measured
}

/// Whether a latency budget applies to what is of this kind.
pub(crate) fn budgeted(budget_ns: Option<u64>, kind: Kind) -> bool {
    kind == Kind::Reading && budget_ns.is_some()
}

/// Readings merged over measured phases, open to any quantile.
#[derive(Debug)]
pub struct Readings {
    cell: Cell<u64>,
}

impl Readings {
    /// Came due.
    pub fn planned(&self) -> u64 {
        self.cell.counters.planned
    }

    /// Ended ok.
    pub fn ok(&self) -> u64 {
        self.cell.counters.ok
    }

    /// Response time of everything that ended; `None` without data.
    pub fn response(&self, quantile: Quantile) -> Option<Percentile> {
        self.cell.response_at(quantile, &mut self.cell.scratch())
    }

    /// Service time of what ended ok, nanoseconds; `None` without data.
    pub fn service_ns(&self, quantile: Quantile) -> Option<u64> {
        self.at(Series::Service, quantile)
    }

    /// How late the generator itself woke, nanoseconds; `None` without data.
    pub fn pacing_lag_ns(&self, quantile: Quantile) -> Option<u64> {
        self.at(Series::PacingLag, quantile)
    }

    /// How late the generator itself woke, as manifests have it; `None` without data.
    pub fn pacing_lag(&self) -> Option<PacingLag> {
        let ms = |quantile| self.pacing_lag_ns(quantile).map(|ns| ns as f64 / 1e6);
        Some(PacingLag { p50_ms: ms(Quantile::P50)?, p99_ms: ms(Quantile::P99)? })
    }

    fn at(&self, series: Series, quantile: Quantile) -> Option<u64> {
        self.cell.times(series).map(|times| times.value_at_quantile(quantile.fraction()))
    }
}

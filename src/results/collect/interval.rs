//! The report on one interval that watchers of a run get: progress, and whatever may end a run early.

use std::sync::Arc;

use hdrhistogram::Histogram;

use super::refusal::Refused;
use super::total::Totals;
use crate::clock::Tick;
use crate::record::{FaultId, Gauge, Kind, Layout, PhaseId, PhaseRole, SwitchEvent};
use crate::results::files::manifest::BudgetResult;
use crate::results::impact::level::Observation;
use crate::results::record::batch::IntervalBatch;
use crate::results::record::cell::{Bounds, Cell, Cells, Percentile};
use crate::results::record::count::ReadingCounts;
use crate::units::Quantile;

/// What happened in one interval, and so far.
#[derive(Debug, Clone, PartialEq)]
pub struct IntervalReport {
    /// First instant of the interval.
    pub start: Tick,
    /// First instant after it.
    pub end: Tick,
    /// The phase in which it began.
    pub phase: PhaseId,
    /// Readings of all fleets.
    pub total: Progress,
    /// Readings by fleet, in the order of the layout.
    pub fleets: Vec<Progress>,
    /// Interval boundaries so far at which a worker could not hand over.
    pub merged_slices: u64,
    /// Slices so far that came after their interval had been written.
    pub late_slices: u64,
    /// Faults active in the interval, in the order of the layout.
    pub faults: Vec<FaultId>,
    /// Faults switched up to its end and not reported before, in the order of time; the workers' parts of a switch are put
    /// together.
    pub switches: Vec<SwitchEvent>,
    /// The fleet of which every device has been refused for good, where that ends the run; at most one in a run.
    pub refused: Option<Refused>,
    /// The budget that fails on the figures so far and is to end the run; at most one in a run.
    pub budget_failed: Option<BudgetResult>,
    /// Why the files no longer take what is measured, from the interval on in which they did not.
    pub unwritten: Option<String>,
}

/// Readings of one fleet or of all, in one interval and so far; warm-up included.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// Came due in the interval.
    pub planned: u64,
    /// Ended ok in the interval.
    pub ok: u64,
    /// Ended otherwise in the interval.
    pub failed: u64,
    /// Median response time of what ended in the interval.
    pub p50: Option<Percentile>,
    /// 99 % response time of what ended in the interval.
    pub p99: Option<Percentile>,
    /// Came due so far.
    pub planned_so_far: u64,
    /// Ended ok so far.
    pub ok_so_far: u64,
    /// Ended otherwise so far.
    pub failed_so_far: u64,
    /// Connections set up so far, reconnections included.
    pub connected_so_far: u64,
    /// Connection attempts that failed so far.
    pub connects_failed_so_far: u64,
    /// Came due and has not ended, at the end of the interval.
    pub open: u64,
    /// Of those, the ones whose time-out has passed since their intended start; each counts in the percentiles as at least its
    /// age.
    pub overdue: u64,
    /// Attempts beyond the first that were made in the interval.
    pub retries: u64,
    /// Readings that had one so far.
    pub retried_so_far: u64,
}

impl Progress {
    /// Came due and has not ended: in flight, or waiting for its device.
    pub fn outstanding(&self) -> u64 {
        self.planned_so_far.saturating_sub(self.ok_so_far + self.failed_so_far)
    }

    fn begin_interval(&mut self) {
        (self.planned, self.ok, self.failed, self.p50, self.p99) = (0, 0, 0, None, None);
        (self.open, self.overdue, self.retries) = (0, 0, 0);
    }

    fn add(&mut self, kind: Kind, cell: &Cell<u32>) {
        let counters = &cell.counters;
        if kind == Kind::Connect {
            self.connected_so_far += counters.ok;
            self.connects_failed_so_far += counters.failed();
        }
        if kind != Kind::Reading {
            return;
        }
        self.planned += counters.planned;
        self.ok += counters.ok;
        self.failed += counters.failed();
        self.planned_so_far += counters.planned;
        self.ok_so_far += counters.ok;
        self.failed_so_far += counters.failed();
        self.retries += counters.retries;
        self.retried_so_far += counters.retried;
    }

    /// Adds what is open, and to `cell` what is overdue.
    fn add_open(&mut self, gauge: &Gauge, cell: &mut Cell<u32>) {
        self.open += gauge.open;
        self.overdue += gauge.overdue();
        cell.add_overdue(gauge);
    }

    fn set_percentiles(&mut self, merged: &Cell<u32>, scratch: &mut Histogram<u32>) {
        self.p50 = merged.response_at(Quantile::P50, scratch);
        self.p99 = merged.response_at(Quantile::P99, scratch);
    }
}

/// Makes the reports; keeps the sums so far.
#[derive(Debug)]
pub(crate) struct ReportBuilder {
    layout: Arc<Layout>,
    total: Progress,
    fleets: Vec<Progress>,
    merged: Cell<u32>,
    merged_fleet: Cell<u32>,
    scratch: Histogram<u32>,
}

impl ReportBuilder {
    pub(crate) fn new(layout: Arc<Layout>) -> Self {
        let bounds = Bounds::of(&layout);
        let fleets = vec![Progress::default(); layout.fleets.len()];
        Self {
            layout,
            total: Progress::default(),
            fleets,
            merged: Cell::new(bounds),
            merged_fleet: Cell::new(bounds),
            scratch: bounds.histogram(),
        }
    }

    pub(crate) fn report(
        &mut self,
        start: Tick,
        end: Tick,
        batch: &IntervalBatch,
        totals: &Totals,
    ) -> IntervalReport {
        let cells = &batch.cells;
        self.total.begin_interval();
        self.merged.reset();
        for (index, fleet) in self.fleets.iter_mut().enumerate() {
            fleet.begin_interval();
            self.merged_fleet.reset();
            for (key, cell) in cells.iter().filter(|(key, _)| key.fleet == index) {
                fleet.add(key.kind, cell);
                self.total.add(key.kind, cell);
                if key.kind == Kind::Reading {
                    self.merged_fleet.add_response(cell);
                }
            }
            if let Some(gauge) = batch.gauges.get(index) {
                fleet.add_open(gauge, &mut self.merged_fleet);
                self.total.open += gauge.open;
                self.total.overdue += gauge.overdue();
            }
            fleet.set_percentiles(&self.merged_fleet, &mut self.scratch);
            self.merged.add_response(&self.merged_fleet);
        }
        self.total.set_percentiles(&self.merged, &mut self.scratch);
        IntervalReport {
            start,
            end,
            phase: self.layout.phase_at(start),
            total: self.total.clone(),
            fleets: self.fleets.clone(),
            merged_slices: totals.merged_slices,
            late_slices: totals.late_slices,
            faults: Vec::new(),
            switches: Vec::new(),
            refused: None,
            budget_failed: None,
            unwritten: None,
        }
    }
}

/// The interval of `report`, whose cells are `cells`, as the stories of faults see it, and the connections set up in it by fleet.
pub(crate) fn observation(
    layout: &Layout,
    report: &IntervalReport,
    cells: &Cells<u32>,
) -> (Observation, Vec<u64>) {
    let (mut counts, mut connected) = (ReadingCounts::default(), vec![0; layout.fleets.len()]);
    for (key, cell) in cells.iter() {
        let counters = &cell.counters;
        if key.kind == Kind::Connect
            && let Some(connected) = connected.get_mut(key.fleet)
        {
            *connected += counters.ok;
        }
        if key.kind == Kind::Reading {
            counts.add(&counters.counts());
        }
    }
    let phase = layout.phase(report.phase);
    let observation = Observation {
        start: report.start,
        end: report.end,
        judged: phase.role != PhaseRole::Connect && report.start < layout.ends(phase),
        p99: report.total.p99,
        counts,
        backlog: report.total.outstanding(),
        connected: connected.iter().sum(),
    };
    (observation, connected)
}

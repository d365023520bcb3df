//! What is known about one (phase, fleet, kind): counters, and one histogram per measured time.
//!
//! Workers hold cells of `u32` counts (an interval's worth), the totals of a run hold `u64`.

use hdrhistogram::{Counter, Histogram};
use serde::{Deserialize, Serialize};

use super::counter::Counters;
use super::stage::StageSums;
use crate::record::{Gauge, Kind, Layout, Outcome, Sample};
use crate::units::Quantile;

const SIGNIFICANT_DIGITS: u8 = 3;
const LEAST_HIGH_NS: u64 = 60_000_000_000;
/// A year: Java's readers hold bounds in a signed long and derive larger numbers from them.
const MOST_HIGH_NS: u64 = 365 * 24 * 3_600 * 1_000_000_000;

/// The fixed bounds of every histogram of a run: 1 ns to `high_ns`, 3 significant digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) high_ns: u64,
}

impl Bounds {
    /// 60 s, or twice the longest time-out of `layout` if that is longer: a failed reading is recorded as at least
    /// its time-out, and what waited in a backlog first must still fit.
    pub(crate) fn of(layout: &Layout) -> Self {
        let longest = layout.fleets.iter().map(|fleet| fleet.timeout_ns).max().unwrap_or(0);
        Self { high_ns: longest.saturating_mul(2).clamp(LEAST_HIGH_NS, MOST_HIGH_NS) }
    }

    pub(crate) fn histogram<C: Counter>(self) -> Histogram<C> {
        Histogram::new_with_bounds(1, self.high_ns, SIGNIFICANT_DIGITS)
            .expect("low is 1 and high at least 60 s")
    }
}

/// The times that are measured; each has a histogram of its own in every cell that has seen one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Series {
    /// Response time of what ended ok.
    Ok,
    /// Lower bounds of the response time of everything else.
    Censored,
    /// Service time of what ended ok.
    Service,
    PacingLag,
    BacklogWait,
    Queue,
    Cache,
    Inference,
    /// Service time less everything the service itself accounted for.
    Network,
    /// The part of [`Series::BacklogWait`] that is the service's.
    ServiceWait,
    /// How long a reading waited by squall's own rule.
    OwnWait,
    /// Response times, or lower bounds of them, of what waited by squall's own rule at all.
    Paused,
    /// The same less that wait.
    Unpaused,
}

impl Series {
    const COUNT: usize = Self::Unpaused as usize + 1;

    /// All of them, in the order in which cells hold them.
    pub(crate) const ALL: [Self; Self::COUNT] = [
        Self::Ok,
        Self::Censored,
        Self::Service,
        Self::PacingLag,
        Self::BacklogWait,
        Self::Queue,
        Self::Cache,
        Self::Inference,
        Self::Network,
        Self::ServiceWait,
        Self::OwnWait,
        Self::Paused,
        Self::Unpaused,
    ];
}

/// A percentile, or a bound on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percentile {
    /// The time, nanoseconds.
    pub ns: u64,
    /// Whether it lies among failed readings, so that the true value is at least `ns`.
    pub censored: bool,
}

/// Counters and histograms of one (phase, fleet, kind).
#[derive(Debug, Clone)]
pub(crate) struct Cell<C: Counter> {
    bounds: Bounds,
    pub(crate) counters: Counters,
    /// The smallest lower bound recorded in [`Series::Censored`]; `u64::MAX` while there is none.
    pub(crate) censored_floor_ns: u64,
    times: [Option<Histogram<C>>; Series::COUNT],
    /// Waits of 0 that are not in `times` yet: nearly all are, and to count one costs a tenth of recording it.
    zeros: [C; Series::COUNT],
    /// What its response times are made of, where the peer says so.
    stages: Option<StageSums>,
}

impl<C: Counter> Cell<C> {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            counters: Counters::default(),
            censored_floor_ns: u64::MAX,
            times: [const { None }; Series::COUNT],
            zeros: [C::zero(); Series::COUNT],
            stages: None,
        }
    }

    /// What its response times are made of; `None` while no peer has said so.
    pub(crate) fn stages(&self) -> Option<&StageSums> {
        self.stages.as_ref().filter(|stages| !stages.is_empty())
    }

    /// Takes `stages` for what the response times are made of.
    pub(crate) fn put_stages(&mut self, stages: StageSums) {
        self.stages = Some(stages);
    }

    /// The histogram of `series`; `None` while nothing is recorded in it.
    pub(crate) fn times(&self, series: Series) -> Option<&Histogram<C>> {
        debug_assert!(self.is_settled(), "what was counted is in the histograms before anyone looks");
        self.times[series as usize].as_ref().filter(|histogram| !histogram.is_empty())
    }

    /// Takes `times` for what was recorded in `series`; they have the cell's bounds.
    pub(crate) fn put(&mut self, series: Series, times: Histogram<C>) {
        self.times[series as usize] = Some(times);
    }

    /// Response times of all that ended: the ok ones, and the lower bounds of the rest.
    /// The two are merged into `scratch` only where there is something to merge.
    pub(crate) fn response<'a>(&'a self, scratch: &'a mut Histogram<C>) -> Option<&'a Histogram<C>> {
        match (self.times(Series::Ok), self.times(Series::Censored)) {
            (ok, None) => ok,
            (None, censored) => censored,
            (Some(ok), Some(censored)) => {
                scratch.reset();
                add_all(scratch, ok);
                add_all(scratch, censored);
                Some(scratch)
            }
        }
    }

    /// The response time at `quantile`, of all that ended.
    pub(crate) fn response_at(&self, quantile: Quantile, scratch: &mut Histogram<C>) -> Option<Percentile> {
        let ns = self.response(scratch)?.value_at_quantile(quantile.fraction());
        Some(Percentile { ns, censored: ns >= self.censored_floor_ns })
    }

    /// The response time at `quantile` had nothing waited by squall's own rule; `None` where nothing did.
    pub(crate) fn unpaused_at(&self, quantile: Quantile, scratch: &mut Histogram<C>) -> Option<u64> {
        let (paused, unpaused) = (self.times(Series::Paused)?, self.times(Series::Unpaused)?);
        let response = self.response(scratch)?;
        let mut times = response.clone();
        // What is taken out was put in with the response times.
        times.subtract(paused).ok()?;
        add_all(&mut times, unpaused);
        Some(times.value_at_quantile(quantile.fraction()))
    }

    fn record(&mut self, series: Series, ns: u64) {
        self.note_overflow(ns);
        self.record_part(series, ns);
    }

    fn note_overflow(&mut self, ns: u64) {
        self.counters.overflow += u64::from(ns > self.bounds.high_ns);
    }

    /// Records what is 0 nearly always, as [`Self::record_part`] does.
    fn record_wait(&mut self, series: Series, ns: u64) {
        if ns > 0 {
            return self.record_part(series, ns);
        }
        let zeros = &mut self.zeros[series as usize];
        *zeros = zeros.saturating_add(C::one());
    }

    /// Puts into the histograms what was only counted so far.
    pub(crate) fn settle(&mut self) {
        let bounds = self.bounds;
        for (times, zeros) in self.times.iter_mut().zip(&mut self.zeros) {
            let zeros = std::mem::replace(zeros, C::zero());
            if zeros > C::zero() {
                let histogram = times.get_or_insert_with(|| bounds.histogram());
                histogram.record_n(0, zeros).expect("0 lies within all bounds");
            }
        }
    }

    fn is_settled(&self) -> bool {
        self.zeros.iter().all(C::is_zero)
    }

    /// Records what is part of a time that is recorded itself: that one counts if it does not fit.
    fn record_part(&mut self, series: Series, ns: u64) {
        let bounds = self.bounds;
        let histogram = self.times[series as usize].get_or_insert_with(|| bounds.histogram());
        histogram.record(ns.min(bounds.high_ns)).expect("the value was held within the bounds");
    }

    /// Records a finished reading or connection attempt of a fleet with this time-out and budget, nanoseconds.
    pub(crate) fn completed(&mut self, sample: &Sample, timeout_ns: u64, budget_ns: Option<u64>) {
        self.counters.count(sample.outcome);
        let response_ns = sample.response_time_ns();
        let floor_ns = if sample.outcome.is_censored() { timeout_ns } else { 0 };
        if sample.own_wait_ns > 0 {
            let unpaused_ns = response_ns.saturating_sub(sample.own_wait_ns);
            self.record_part(Series::Paused, response_ns.max(floor_ns));
            self.record_part(Series::Unpaused, unpaused_ns.max(floor_ns));
        }
        if sample.outcome.is_censored() {
            // A lower bound stays one when it is lowered, so this is not an overflow.
            let bound_ns = response_ns.max(floor_ns).min(self.bounds.high_ns);
            self.censored_floor_ns = self.censored_floor_ns.min(bound_ns);
            self.record(Series::Censored, bound_ns);
        } else {
            self.counters.within_budget += u64::from(budget_ns.is_some_and(|budget| response_ns <= budget));
            self.record(Series::Ok, response_ns);
        }
        if sample.kind == Kind::Reading {
            self.counters.judge(sample);
            self.reading_times(sample);
        }
    }

    fn reading_times(&mut self, sample: &Sample) {
        if let Some(lag) = sample.pacing_lag_ns() {
            self.record(Series::PacingLag, lag);
        }
        if let (Some(wait), Some(service_wait)) = (sample.backlog_wait_ns(), sample.service_wait_ns()) {
            self.note_overflow(wait);
            self.record_wait(Series::BacklogWait, wait);
            self.record_wait(Series::ServiceWait, service_wait);
            self.record_wait(Series::OwnWait, sample.own_wait_ns);
        }
        let (Outcome::Ok, Some(service_ns)) = (sample.outcome, sample.service_time_ns()) else { return };
        self.record(Series::Service, service_ns);
        if let Some(stages) = sample.stages {
            self.record(Series::Queue, stages.queue_ns);
            self.record(Series::Cache, stages.cache_ns);
            self.record(Series::Inference, stages.inference_ns);
            self.record(Series::Network, service_ns.saturating_sub(stages.total_ns));
            self.stages.get_or_insert_default().record(sample, service_ns, stages);
        }
    }

    /// Adds all of `other`, which has the same bounds.
    pub(crate) fn add(&mut self, other: &Self) {
        self.add_by(other, add_all);
    }

    /// Adds what [`Cell::response`] is made of.
    pub(crate) fn add_response(&mut self, other: &Self) {
        self.censored_floor_ns = self.censored_floor_ns.min(other.censored_floor_ns);
        for series in [Series::Ok, Series::Censored] {
            if let Some(times) = other.times(series) {
                let bounds = self.bounds;
                add_all(self.times[series as usize].get_or_insert_with(|| bounds.histogram()), times);
            }
        }
    }

    /// Adds what is overdue, each reading as at least its age: for figures of a run under way, never for files.
    pub(crate) fn add_overdue(&mut self, gauge: &Gauge)
    where
        C: TryFrom<u64>,
    {
        let bounds = self.bounds;
        for (age_ns, count) in &gauge.overdue {
            let age_ns = (*age_ns).clamp(1, bounds.high_ns);
            self.censored_floor_ns = self.censored_floor_ns.min(age_ns);
            let histogram = self.times[Series::Censored as usize].get_or_insert_with(|| bounds.histogram());
            let Ok(count) = C::try_from(*count) else { continue };
            histogram.record_n(age_ns, count).expect("the age was held within the bounds above");
        }
    }

    /// Adds all of `other`, which has the same bounds but counts in another width.
    pub(crate) fn widen<D: Counter>(&mut self, other: &Cell<D>)
    where
        C: From<D>,
    {
        self.add_by(other, |mine, theirs| {
            for bucket in theirs.iter_recorded() {
                mine.record_n(bucket.value_iterated_to(), C::from(bucket.count_at_value()))
                    .expect("both histograms have the same bounds");
            }
        });
    }

    fn add_by<D: Counter>(&mut self, other: &Cell<D>, add: impl Fn(&mut Histogram<C>, &Histogram<D>)) {
        debug_assert!(other.is_settled(), "what was counted is in the histograms before it is handed over");
        self.counters.add(&other.counters);
        self.censored_floor_ns = self.censored_floor_ns.min(other.censored_floor_ns);
        let bounds = self.bounds;
        for (mine, theirs) in self.times.iter_mut().zip(&other.times) {
            if let Some(theirs) = theirs.as_ref().filter(|histogram| !histogram.is_empty()) {
                add(mine.get_or_insert_with(|| bounds.histogram()), theirs);
            }
        }
        if let Some(stages) = other.stages() {
            self.stages.get_or_insert_default().add(stages);
        }
    }

    /// Forgets everything but the memory it stands in.
    pub(crate) fn reset(&mut self) {
        self.counters = Counters::default();
        self.censored_floor_ns = u64::MAX;
        self.times.iter_mut().flatten().filter(|histogram| !histogram.is_empty()).for_each(Histogram::reset);
        self.zeros = [C::zero(); Series::COUNT];
        self.stages.iter_mut().for_each(StageSums::reset);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.counters == Counters::default()
    }

    pub(crate) fn scratch(&self) -> Histogram<C> {
        self.bounds.histogram()
    }
}

/// Adds `source` to `target`, which has the same bounds.
pub(crate) fn add_all<C: Counter>(target: &mut Histogram<C>, source: &Histogram<C>) {
    target.add(source).expect("both histograms have the same bounds");
}

/// Cells by phase, fleet and kind, made when first needed.
#[derive(Debug)]
pub(crate) struct Cells<C: Counter> {
    fleets: usize,
    slots: Vec<Option<Box<Cell<C>>>>,
}

/// What a cell is about, as indexes into the layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) phase: usize,
    pub(crate) fleet: usize,
    pub(crate) kind: Kind,
}

impl<C: Counter> Cells<C> {
    pub(crate) fn new(layout: &Layout) -> Self {
        let fleets = layout.fleets.len();
        let slots = layout.phases.len() * fleets * Kind::ALL.len();
        Self { fleets, slots: std::iter::repeat_with(|| None).take(slots).collect() }
    }

    fn index(&self, key: Key) -> usize {
        (key.phase * self.fleets + key.fleet) * Kind::ALL.len() + key.kind as usize
    }

    pub(crate) fn get_or_new(&mut self, key: Key, bounds: Bounds) -> &mut Cell<C> {
        let index = self.index(key);
        self.slots[index].get_or_insert_with(|| Box::new(Cell::new(bounds)))
    }

    /// The cells in which something is recorded, in the order of phase, fleet and kind.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &Cell<C>)> {
        let per_phase = (self.fleets * Kind::ALL.len()).max(1);
        self.slots.iter().enumerate().filter_map(move |(index, slot)| {
            let cell = slot.as_deref().filter(|cell| !cell.is_empty())?;
            let within = index % per_phase;
            let kind = Kind::ALL[within % Kind::ALL.len()];
            Some((Key { phase: index / per_phase, fleet: within / Kind::ALL.len(), kind }, cell))
        })
    }

    /// Completes the histograms of all cells: see [`Cell::settle`].
    pub(crate) fn settle(&mut self) {
        self.slots.iter_mut().flatten().for_each(|cell| cell.settle());
    }

    /// Empties all cells and keeps one per fleet and kind, moved to `phase`, so that their memory is used again.
    pub(crate) fn recycle(&mut self, phase: usize) {
        let per_phase = self.fleets * Kind::ALL.len();
        for index in (0..self.slots.len()).rev() {
            let Some(mut cell) = self.slots[index].take() else { continue };
            let home = &mut self.slots[phase * per_phase + index % per_phase];
            if home.is_none() {
                cell.reset();
                *home = Some(cell);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::layout;

    fn fill(cell: &mut Cell<u32>, values: impl IntoIterator<Item = u64>) {
        for value in values {
            cell.counters.planned += 1;
            cell.counters.ok += 1;
            cell.record(Series::Ok, value);
        }
    }

    #[test]
    fn bounds_reach_60_s_or_twice_the_longest_time_out_and_never_beyond_what_java_reads() {
        let mut layout = (*layout()).clone();
        for (timeout_ns, high_ns) in
            [(1, 60_000_000_000), (45_000_000_000, 90_000_000_000), (u64::MAX, MOST_HIGH_NS)]
        {
            layout.fleets[0].timeout_ns = timeout_ns;
            assert_eq!(Bounds::of(&layout).high_ns, high_ns);
            assert!(i64::try_from(Bounds::of(&layout).histogram::<u32>().high()).is_ok());
        }
    }

    #[test]
    fn widening_adds_the_same_as_adding() {
        let bounds = Bounds::of(&layout());
        let mut narrow = Cell::<u32>::new(bounds);
        fill(&mut narrow, [0, 1, 999, 123_456_789, 60_000_000_000]);
        let mut wide = Cell::<u64>::new(bounds);
        wide.widen(&narrow);
        wide.widen(&narrow);
        let (narrow, wide) = (narrow.times(Series::Ok).unwrap(), wide.times(Series::Ok).unwrap());
        assert_eq!((wide.len(), wide.min(), wide.max()), (10, narrow.min(), narrow.max()));
        for bucket in narrow.iter_recorded() {
            assert_eq!(wide.count_at(bucket.value_iterated_to()), 2 * u64::from(bucket.count_at_value()));
        }
    }

    #[test]
    fn waits_of_none_are_in_the_histograms_once_the_cell_is_settled_and_never_twice() {
        let layout = layout();
        let mut cell = Cell::<u32>::new(Bounds::of(&layout));
        for (waits, zeros, all) in
            [(vec![0, 0, 7, 0], 3, 4), (vec![], 3, 4), (vec![0], 4, 5), (vec![9], 4, 6)]
        {
            for wait in &waits {
                cell.record_wait(Series::OwnWait, *wait);
            }
            cell.settle();
            let times = cell.times(Series::OwnWait).unwrap();
            assert_eq!((times.count_at(0), times.len()), (zeros, all), "{waits:?}");
        }
        cell.record_wait(Series::BacklogWait, 0);
        cell.reset();
        cell.settle();
        assert!(Series::ALL.iter().all(|series| cell.times(*series).is_none()));
    }

    #[test]
    fn recycled_cells_are_empty_and_stand_in_the_phase_at_hand_one_per_fleet_and_kind() {
        let layout = layout();
        let (bounds, mut cells) = (Bounds::of(&layout), Cells::<u32>::new(&layout));
        for phase in 0..3 {
            fill(cells.get_or_new(Key { phase, fleet: 1, kind: Kind::Reading }, bounds), [7]);
        }
        cells.recycle(1);
        assert_eq!(cells.iter().count(), 0);
        let kept: Vec<_> = (0..cells.slots.len()).filter(|&index| cells.slots[index].is_some()).collect();
        assert_eq!(kept, [cells.index(Key { phase: 1, fleet: 1, kind: Kind::Reading })]);
        assert!(cells.slots[kept[0]].as_ref().is_some_and(|cell| cell.times(Series::Ok).is_none()));
    }
}

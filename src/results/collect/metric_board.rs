//! What a run has recorded so far, as Prometheus takes it: counters, gauges and histograms, never percentiles, and nothing by device.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use hdrhistogram::Histogram;

use crate::clock::Accounts;
use crate::metric::{self, Family, Kind as FamilyKind, TimeHistogram, Value};
use crate::record::{FaultId, FleetInfo, Kind, Layout};
use crate::results::record::batch::IntervalBatch;
use crate::results::record::cell::{Cell, Series};
use crate::results::record::counter::Counters;

/// The figures of a run under way, as of the last interval that is complete. Clones are of the same run; what is recorded by one thread
/// once per interval may be read by another at any time.
#[derive(Debug, Clone, Default)]
pub struct MetricBoard(Arc<Mutex<Board>>);

#[derive(Debug, Default)]
struct Board {
    layout: Option<Arc<Layout>>,
    scenario: String,
    run_id: String,
    /// By phase, fleet and place of the kind.
    tallies: BTreeMap<(usize, usize, usize), Tally>,
    /// Open and overdue readings by fleet.
    gauges: Vec<(u64, u64)>,
    /// Whether each fault was on in the last interval.
    faults: Vec<bool>,
}

/// What was recorded of one phase, fleet and kind.
#[derive(Debug, Default)]
struct Tally {
    planned: u64,
    outcomes: [u64; OUTCOMES.len()],
    retries: u64,
    /// In the order of [`TIMES`].
    times: [Option<Box<TimeHistogram>>; TIMES.len()],
}

const OUTCOMES: [&str; 6] = ["ok", "shed", "error", "timeout", "lost", "dropped"];

fn outcomes(counters: &Counters) -> [u64; OUTCOMES.len()] {
    let Counters { ok, shed, errors, timeout, lost, dropped, .. } = counters;
    [*ok, *shed, errors.iter().sum(), *timeout, *lost, *dropped]
}

/// The histograms: name, help, and what of a cell they are of.
const TIMES: [(&str, &str, &[Series]); 3] = [
    (
        "run_response_seconds",
        "From the intended start to the end; what failed took at least its time-out",
        &[Series::Ok, Series::Censored],
    ),
    ("run_service_seconds", "From the actual start to the end, of readings answered ok", &[Series::Service]),
    ("run_pacing_lag_seconds", "How late the generator itself woke", &[Series::PacingLag]),
];

impl Tally {
    fn add(&mut self, cell: &Cell<u32>) {
        self.planned += cell.counters.planned;
        self.retries += cell.counters.retries;
        for (mine, theirs) in self.outcomes.iter_mut().zip(outcomes(&cell.counters)) {
            *mine += theirs;
        }
        for (times, (_, _, series)) in self.times.iter_mut().zip(TIMES) {
            for recorded in series.iter().filter_map(|series| cell.times(*series)) {
                note(times.get_or_insert_default(), recorded);
            }
        }
    }
}

fn note(times: &mut TimeHistogram, recorded: &Histogram<u32>) {
    for step in recorded.iter_recorded() {
        times.note_many(step.value_iterated_to(), u64::from(step.count_at_value()));
    }
}

impl MetricBoard {
    /// Says which run it is of.
    pub(crate) fn name(&self, scenario: &str, run_id: &str) {
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        scenario.clone_into(&mut board.scenario);
        run_id.clone_into(&mut board.run_id);
    }

    /// Adds an interval, in which the faults `active` were on.
    pub(super) fn add(&self, layout: &Arc<Layout>, batch: &IntervalBatch, active: &[FaultId]) {
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        board.layout.get_or_insert_with(|| Arc::clone(layout));
        for (key, cell) in batch.cells.iter() {
            board.tallies.entry((key.phase, key.fleet, key.kind as usize)).or_default().add(cell);
        }
        board.gauges = batch.gauges.iter().map(|gauge| (gauge.open, gauge.overdue())).collect();
        board.faults = (0..layout.faults.len()).map(|nth| active.contains(&FaultId(nth as u16))).collect();
    }

    /// All figures, as one who sends these `Accept` header fields of HTTP can read them, and their content type: Prometheus's own messages
    /// with native histograms where they are accepted, else the text of `OpenMetrics` 1.0.
    pub fn page<'a>(&self, accepts: impl IntoIterator<Item = &'a str>) -> (&'static str, Vec<u8>) {
        let families = self.0.lock().unwrap_or_else(PoisonError::into_inner).families();
        metric::encode(&families, accepts)
    }
}

impl Board {
    fn families(&self) -> Vec<Family> {
        let info = Family::of(FamilyKind::Gauge, "run_info", "The run, always 1");
        let labels = [("scenario", self.scenario.as_str()), ("run_id", &self.run_id), ("version", VERSION)];
        let mut families = vec![info.with(labels, 1.0)];
        if let Some(layout) = &self.layout {
            families.extend(self.counts(layout));
            families.extend(self.times(layout));
            families.extend(self.gauges(layout));
        }
        families.extend(process());
        families
    }

    /// What every tally is of, as labels.
    fn labelled<'l>(
        &'l self,
        layout: &'l Layout,
    ) -> impl Iterator<Item = ([(&'static str, &'l str); 4], &'l Tally)> {
        self.tallies.iter().map(|((phase, fleet, kind), tally)| {
            let FleetInfo { name, protocol, .. } = &layout.fleets[*fleet];
            let labels = [
                ("phase", layout.phases[*phase].name.as_str()),
                ("fleet", name),
                ("protocol", protocol.name()),
                ("kind", Kind::ALL[*kind].name()),
            ];
            (labels, tally)
        })
    }

    fn counts(&self, layout: &Layout) -> [Family; 3] {
        let counter = |name, help| Family::of(FamilyKind::Counter, name, help);
        let mut planned = counter("run_planned", "Came due");
        let mut ended = counter("run_ended", "Ended, by outcome");
        let mut retries = counter("run_retries", "Attempts at readings beyond the first");
        for (labels, tally) in self.labelled(layout) {
            let [phase, fleet, protocol, kind] = labels;
            planned.add(labels, Value::Number(tally.planned as f64));
            retries.add(labels, Value::Number(tally.retries as f64));
            for (outcome, count) in OUTCOMES.iter().zip(tally.outcomes) {
                let labels = [phase, fleet, protocol, kind, ("outcome", outcome)];
                ended.add(labels, Value::Number(count as f64));
            }
        }
        [planned, ended, retries]
    }

    fn times(&self, layout: &Layout) -> Vec<Family> {
        let family = |(nth, (name, help, _)): (usize, (&str, &'static str, _))| {
            let mut family = Family::of(FamilyKind::Histogram, name, help);
            for (labels, tally) in self.labelled(layout) {
                if let Some(times) = &tally.times[nth] {
                    family.add(labels, Value::Times(times.clone()));
                }
            }
            family
        };
        TIMES.into_iter().enumerate().map(family).collect()
    }

    fn gauges(&self, layout: &Layout) -> [Family; 3] {
        let gauge = |name, help| Family::of(FamilyKind::Gauge, name, help);
        let mut open = gauge("run_open", "Readings that came due and have not ended");
        let mut overdue = gauge("run_overdue", "Of these, the ones whose time-out has passed");
        for (fleet, gauge) in layout.fleets.iter().zip(&self.gauges) {
            open.add([("fleet", &fleet.name)], Value::Number(gauge.0 as f64));
            overdue.add([("fleet", &fleet.name)], Value::Number(gauge.1 as f64));
        }
        let mut faults = gauge("run_fault_active", "Faults, 1 where it was on in the last interval");
        for (fault, on) in layout.faults.iter().zip(&self.faults) {
            faults.add([("fault", &fault.name)], Value::Number(f64::from(u8::from(*on))));
        }
        [open, overdue, faults]
    }
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the generator itself uses; nothing where the system does not tell.
fn process() -> Vec<Family> {
    let Ok(accounts) = Accounts::of(std::process::id()) else { return Vec::new() };
    let cpu = "Processor time of the generator, seconds";
    let gauge = |name, help, value: u64| Family::process(FamilyKind::Gauge, name, help, value as f64);
    let mut families = vec![
        Family::process(FamilyKind::Counter, "cpu_seconds", cpu, accounts.cpu.as_secs_f64()),
        gauge("threads", "Threads of the generator", accounts.threads),
    ];
    let resident = accounts.resident_bytes;
    families.extend(
        resident.map(|bytes| gauge("resident_memory_bytes", "Memory that the generator holds", bytes)),
    );
    families.extend(
        accounts.descriptors.map(|open| gauge("open_fds", "Descriptors that the generator has open", open)),
    );
    families
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::SeriesSample;
    use crate::record::Gauge;
    use crate::results::record::cell::{Bounds, Key};
    use crate::results::tests::layout;

    /// Every sample of the text by its name and labels.
    fn samples(board: &MetricBoard) -> BTreeMap<String, f64> {
        let (_, text) = board.page([]);
        let (text, mut found) = (String::from_utf8(text).unwrap(), BTreeMap::new());
        let take = |sample: SeriesSample<'_>| {
            let before = found.insert(format!("{}{{{}}}", sample.name, sample.labels), sample.value);
            assert_eq!(before, None, "{sample:?} stands there twice");
        };
        metric::read(&text, take).unwrap();
        found
    }

    #[test]
    fn intervals_add_up_and_gauges_are_those_of_the_last() {
        let (layout, board) = (layout(), MetricBoard::default());
        board.name("s", "r");
        let is_info = |name: &String| name.starts_with("squall_run_");
        assert_eq!(
            samples(&board).keys().filter(|name| is_info(name)).count(),
            1,
            "no figures before the first"
        );
        for (ok, open) in [(3, 9), (4, 2)] {
            let mut batch = IntervalBatch::new(&layout);
            let key = Key { phase: 1, fleet: 0, kind: Kind::Reading };
            let cell = batch.cells.get_or_new(key, Bounds::of(&layout));
            cell.counters.planned = ok + 1;
            (cell.counters.ok, cell.counters.errors[0]) = (ok, 1);
            let mut times = Bounds::of(&layout).histogram();
            times.record_n(2_000_000, ok as u32).unwrap();
            cell.put(Series::Ok, times);
            let mut failed = Bounds::of(&layout).histogram();
            failed.record(5_000_000_000).unwrap();
            cell.put(Series::Censored, failed);
            batch.gauges[0] = Gauge { open, overdue: vec![(1, 1)] };
            board.add(&layout, &batch, &[]);
        }
        let samples = samples(&board);
        let (phase, fleet) = (&layout.phases[1].name, &layout.fleets[0]);
        let labels = format!(
            "phase=\"{phase}\",fleet=\"{}\",protocol=\"{}\",kind=\"reading\"",
            fleet.name, fleet.protocol
        );
        for (name, value) in [
            (format!("squall_run_planned_total{{{labels}}}"), 9.0),
            (format!("squall_run_ended_total{{{labels},outcome=\"ok\"}}"), 7.0),
            (format!("squall_run_ended_total{{{labels},outcome=\"error\"}}"), 2.0),
            (format!("squall_run_response_seconds_count{{{labels}}}"), 9.0),
            (format!("squall_run_response_seconds_bucket{{{labels},le=\"0.0025\"}}"), 7.0),
            (format!("squall_run_open{{fleet=\"{}\"}}", fleet.name), 2.0),
            (format!("squall_run_overdue{{fleet=\"{}\"}}", fleet.name), 1.0),
        ] {
            assert_eq!(samples.get(&name), Some(&value), "{name} in {samples:#?}");
        }
        assert!(samples.keys().all(|name| !name.contains("quantile") && !name.contains("device")));
    }
}

//! The room as a whole: what goes into recorders must come out of the files, whatever the workers' timing.

mod anomaly;
mod budget;
mod fault;
mod history;
mod pause;
mod rebuilt;
mod recovery;
mod shard;
mod stored;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::clock::{Course, Tick, WallTime};
use crate::record::{
    AnomalyKind, AnomalyMark, Arm, AuditFinding, Code, DeliveryGuarantee, Detection, ErrorKind, FleetId,
    FleetInfo, Kind, Layout, Outcome, PhaseId, PhaseInfo, PhaseRole, Protocol, Reason, Retry, Sample, Shard,
    Sink, Stages,
};
use crate::units::Quantile;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

pub(super) fn layout() -> Arc<Layout> {
    let phase = |name: &str, role, from: u64, to: u64| PhaseInfo {
        name: name.into(),
        role,
        start: Tick(from * SECOND),
        end: Tick(to * SECOND),
    };
    let fleet = |name: &str, protocol, budget_ns| FleetInfo {
        name: name.into(),
        protocol,
        devices: 10,
        timeout_ns: 5 * SECOND,
        budget_ns,
        expects: DeliveryGuarantee::default(),
        trace: None,
        hears: false,
    };
    Arc::new(Layout {
        phases: vec![
            phase("connect", PhaseRole::Connect, 0, 1),
            phase("warm-up", PhaseRole::WarmUp, 1, 2),
            phase("steady", PhaseRole::Measured, 2, 8),
        ],
        fleets: vec![
            fleet("meters", Protocol::named("http"), Some(50 * MS)),
            fleet("pumps", Protocol::named("mqtt"), None),
        ],
        interval_ns: SECOND,
        faults: Vec::new(),
        course: Course::default(),
    })
}

pub(super) fn sample(
    layout: &Layout,
    fleet: u16,
    intended: Tick,
    response_ns: u64,
    outcome: Outcome,
) -> Sample {
    let sent = outcome != Outcome::Dropped;
    Sample {
        phase: layout.phase_at(intended),
        fleet: FleetId(fleet),
        kind: Kind::Reading,
        seq: 1,
        intended,
        eligible: sent.then_some(intended.plus_ns(response_ns / 4)),
        actual: sent.then_some(intended.plus_ns(response_ns / 2)),
        completed: intended.plus_ns(response_ns),
        outcome,
        stages: (outcome == Outcome::Ok).then_some(Stages {
            queue_ns: response_ns / 8,
            cache_ns: response_ns / 16,
            inference_ns: response_ns / 16,
            total_ns: response_ns / 4,
        }),
        mark: None,
        flagged: None,
        arm: None,
        attempts: u8::from(sent),
        own_wait_ns: 0,
        plan_wait_ns: 0,
        device: 0,
    }
}

fn offer(recorder: &mut Recorder, sample: &Sample) {
    recorder.planned(sample.phase, sample.fleet, sample.kind);
    if sample.actual.is_some() {
        recorder.sent(sample.phase, sample.fleet, sample.kind);
    }
    let reason = Reason::new(Code::word("trial"), "an attempt failed");
    for number in 2..=sample.attempts {
        let (device, seq, at) = (sample.device, sample.seq, sample.completed);
        recorder.retry(
            sample.phase,
            sample.fleet,
            Retry::Due { device, seq, number: number - 1, at, reason: &reason },
        );
        recorder.retry(sample.phase, sample.fleet, Retry::Sent { number });
    }
    if sample.attempts > 2 {
        recorder.retry(sample.phase, sample.fleet, Retry::Denied);
        recorder.finding(
            (sample.phase, sample.fleet, Kind::Reading),
            AuditFinding::Resent,
            sample.device,
            sample.seq,
        );
    }
    recorder.completed(sample);
    if let Some(mark) = sample.mark {
        // Every marked sample of these tests is an anomaly of its own.
        let found = sample.flagged == Some(true);
        recorder.detection(&Detection { sample, mark, device: &device(sample), found });
    }
}

fn device(sample: &Sample) -> String {
    format!("device-{}", sample.seq % 7)
}

/// A run of `samples`, split over workers by `worker_of`, into a fresh directory under `out`.
fn run_of(
    out: &Path,
    samples: &[(usize, Sample)],
    workers: usize,
) -> (RunDirectory, Totals, Vec<IntervalReport>) {
    let layout = layout();
    let started = WallTime::from_epoch(Duration::from_millis(1_790_000_000_123));
    let directory = RunDirectory::create(out, "trial", "a", started).unwrap();
    let mut files = directory.start_files(&layout, started).unwrap();
    shard::start(&mut files, &directory, &layout, Shard::WHOLE);
    let (recorders, collector) = recorders(&layout, workers);
    let mut reports = Vec::new();
    let totals = std::thread::scope(|scope| {
        for (worker, mut recorder) in recorders.into_iter().enumerate() {
            let samples = samples.iter().filter(move |(by, _)| *by == worker).map(|(_, sample)| sample);
            scope.spawn(move || {
                let mut boundary = Tick(SECOND);
                for sample in samples {
                    while sample.completed >= boundary {
                        recorder.rotate(boundary);
                        boundary = boundary.plus_ns(SECOND);
                    }
                    offer(&mut recorder, sample);
                }
                recorder.finish(boundary);
            });
        }
        collector.run(&mut files, |report| reports.push(report.clone()))
    });
    directory.write_summary(&totals.rows()).unwrap();
    shard::assert_replays(&directory, &totals, started);
    (directory, totals, reports)
}

/// Outcome number `choice` of all that there are.
fn outcome(choice: usize) -> Outcome {
    let failures = [Outcome::Shed, Outcome::Timeout, Outcome::Lost, Outcome::Dropped];
    match choice {
        0..4 => failures[choice],
        4..11 => Outcome::Error(ErrorKind::ALL[choice - 4]),
        _ => Outcome::Ok,
    }
}

prop_compose! {
    fn samples()(raw in prop::collection::vec((0_u16..2, 1_000..8_000_u64, 0..9_000_000_000_u64, 0_usize..40, 0_usize..2, (0_usize..12, 0_usize..4)), 0..60))
        -> Vec<(usize, Sample)>
    {
        let layout = layout();
        let mut samples: Vec<_> = raw.into_iter().zip(1..).map(|((fleet, intended_ms, response_ns, choice, worker, (mark, flag)), seq)| {
            let plain = sample(&layout, fleet, Tick(intended_ms * MS), response_ns, outcome(choice));
            let kind = AnomalyKind::ALL.get(mark).copied();
            let mark = kind.map(|kind| AnomalyMark { kind, episode: seq, onset: seq % 2 == 0 });
            let flagged = [None, Some(false), Some(true)].get(flag).copied().flatten();
            let arm = flagged.map(|flagged| Arm::ALL[usize::from(flagged ^ (seq % 2 == 0))]);
            let attempts = plain.attempts * (1 + (response_ns % 4) as u8);
            (worker, Sample { seq: u64::from(seq), mark, flagged, arm, attempts, ..plain })
        }).collect();
        samples.sort_by_key(|(_, sample)| sample.completed);
        samples
    }
}

/// The sums of the counting columns of a table, by phase, fleet and kind.
fn sums(file: &Path) -> BTreeMap<Vec<String>, BTreeMap<String, u64>> {
    let counting = [
        "planned",
        "sent",
        "ok",
        "shed",
        "error",
        "timeout",
        "lost",
        "dropped",
        "duplicated",
        "reordered",
        "late",
        "within_budget",
        "censored",
        "overflow",
        "error_refused",
        "error_reset",
        "error_closed",
        "error_protocol",
        "error_status",
        "error_resource",
        "error_network",
        "anomalies",
        "anomalies_found",
        "judged_normal",
        "false_alarms",
        "attempts",
        "retried",
        "retries_denied",
        "resent",
        "champion_normal",
        "champion_false_alarms",
        "challenger_normal",
        "challenger_false_alarms",
        "requests",
    ];
    let mut table = csv::Reader::from_path(file).unwrap();
    let mut sums: BTreeMap<_, BTreeMap<String, u64>> = BTreeMap::new();
    for row in table.deserialize::<BTreeMap<String, String>>() {
        let row = row.unwrap();
        let key = ["phase", "fleet", "protocol", "kind"].map(|column| row[column].clone()).to_vec();
        for column in counting {
            let value = if row[column].is_empty() { 0 } else { row[column].parse().unwrap() };
            *sums.entry(key.clone()).or_default().entry(column.to_owned()).or_default() += value;
        }
    }
    sums
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn two_workers_leave_the_same_summary_as_one(samples in samples()) {
        let out = tempfile::tempdir().unwrap();
        let (_, two, _) = run_of(out.path(), &samples, 2);
        let alone: Vec<_> = samples.iter().map(|(_, sample)| (0, *sample)).collect();
        let (_, one, _) = run_of(out.path(), &alone, 1);
        let mut two = two.rows();
        for (row, other) in two.iter_mut().zip(one.rows()) {
            // The run with fewer workers may end an interval earlier; the figures themselves must not differ.
            row.duration_s = other.duration_s;
            row.figures.rate_per_s = other.figures.rate_per_s;
        }
        prop_assert_eq!(two, one.rows());
    }

    #[test]
    fn the_summary_is_the_sum_of_the_intervals_and_every_reading_has_one_outcome(samples in samples()) {
        let out = tempfile::tempdir().unwrap();
        let (directory, totals, reports) = run_of(out.path(), &samples, 2);
        let mut summary = sums(&directory.path().join("summary.csv"));
        let headline = summary.remove(&vec![ALL.into(), ALL.into(), ALL.into(), "reading".into()]).unwrap();
        prop_assert_eq!(&summary, &sums(&directory.path().join("intervals.csv")));
        prop_assert_eq!(totals.unaccounted(), 0);
        let measured: u64 = summary.iter().filter(|(key, _)| key[0] == "steady").map(|(_, row)| row["planned"]).sum();
        prop_assert_eq!(headline["planned"], measured);
        let all = |column: &str| summary.values().map(|row| row[column]).sum::<u64>();
        let of = |count: fn(&Sample) -> u64| samples.iter().map(|(_, sample)| count(sample)).sum::<u64>();
        prop_assert_eq!(all("attempts"), of(|sample| sample.attempts.into()));
        prop_assert_eq!(all("attempts"), all("sent") + of(|sample| sample.attempts.saturating_sub(1).into()));
        prop_assert_eq!(all("retried"), of(|sample| (sample.attempts > 1).into()));
        prop_assert_eq!((all("resent"), all("duplicated")), (all("retries_denied"), 0));
        for column in ["anomalies", "anomalies_found", "judged_normal", "false_alarms", "attempts", "retried"] {
            let parts = summary.iter().filter(|(key, _)| key[0] == "steady");
            prop_assert_eq!(headline[column], parts.map(|(_, row)| row[column]).sum::<u64>());
        }
        for row in totals.rows() {
            prop_assert_eq!(row.figures.planned, row.figures.ended());
        }
        prop_assert_eq!(reports.iter().map(|report| report.total.planned).sum::<u64>(), samples.len() as u64);
        prop_assert!(reports.windows(2).all(|pair| pair[0].end == pair[1].start));
    }

    #[test]
    fn percentiles_agree_with_exact_sorting_to_three_digits(samples in samples()) {
        let out = tempfile::tempdir().unwrap();
        let (_, totals, _) = run_of(out.path(), &samples, 2);
        for (fleet, layout_fleet) in layout().fleets.iter().enumerate() {
            let mut exact: Vec<u64> = samples.iter().map(|(_, sample)| sample)
                .filter(|sample| usize::from(sample.fleet.0) == fleet && sample.phase == PhaseId(2))
                .map(|sample| match sample.outcome {
                    Outcome::Ok => sample.response_time_ns(),
                    _ => sample.response_time_ns().max(layout_fleet.timeout_ns),
                }).collect();
            exact.sort_unstable();
            let readings = totals.readings(Some(FleetId(fleet as u16)));
            for quantile in Quantile::REPORTED {
                let rank = (quantile.fraction() * exact.len() as f64).ceil().max(1.0) as usize;
                let expected = exact.get(rank - 1).copied();
                let got = readings.response(quantile).map(|percentile| percentile.ns);
                prop_assert_eq!(expected.is_some(), got.is_some());
                if let (Some(expected), Some(got)) = (expected, got) {
                    prop_assert!(got >= expected && got - expected <= expected / 1_000 + 1, "{} {} {}", quantile, expected, got);
                }
            }
        }
    }

    #[test]
    fn a_stored_summary_reads_back_as_it_was_written(samples in samples()) {
        let out = tempfile::tempdir().unwrap();
        let (directory, totals, _) = run_of(out.path(), &samples, 1);
        let mut rows = totals.rows();
        for row in &mut rows {
            row.figures.rate_per_s = format!("{:.3}", row.figures.rate_per_s).parse().unwrap();
        }
        prop_assert_eq!(read_summary(directory.path()).unwrap(), rows);
    }
}

#[test]
fn the_summary_says_what_the_slowest_readings_were_made_of_and_the_intervals_do_not() {
    let out = tempfile::tempdir().unwrap();
    let layout = layout();
    // One in a hundred waits in the queue, half a second at a time.
    let at = |nth: u64| {
        let slow = nth % 100 == 99;
        let response_ns = if slow { 500 * MS } else { 10 * MS };
        let plain = sample(&layout, (nth % 2) as u16, Tick(2 * SECOND + nth * MS), response_ns, Outcome::Ok);
        let queue_ns = if slow { response_ns / 4 } else { 0 };
        let stages = Stages { queue_ns, cache_ns: 1_000, inference_ns: MS, total_ns: queue_ns + 2 * MS };
        (0, Sample { stages: Some(stages), ..plain })
    };
    let mut samples: Vec<_> = (0..4_000).map(at).collect();
    samples.sort_by_key(|(_, sample)| sample.completed);
    let (directory, totals, _) = run_of(out.path(), &samples, 1);
    let rows = totals.rows();
    let all = &rows.last().unwrap().figures;
    let tail = [
        all.tail_wait_ms,
        all.tail_network_ms,
        all.tail_queue_ms,
        all.tail_cache_ms,
        all.tail_inference_ms,
        all.tail_other_ms,
    ];
    let expected = [250 * MS, 123 * MS, 125 * MS, 1_000, MS, MS - 1_000];
    assert_eq!((all.tail_readings, tail), (Some(40), expected.map(|ns| Some(Millis(ns)))));
    assert_eq!(tail.iter().flatten().map(|part| part.as_ns()).sum::<u64>(), 500 * MS);
    // All of the slow ones are of the second fleet.
    let pumps = rows.iter().find(|row| row.fleet == "pumps").unwrap();
    assert_eq!(
        (pumps.figures.tail_readings, pumps.figures.tail_queue_ms),
        (Some(20), Some(Millis(125 * MS)))
    );
    let mut intervals = csv::Reader::from_path(directory.path().join("intervals.csv")).unwrap();
    for row in intervals.deserialize::<BTreeMap<String, String>>().map(Result::unwrap) {
        assert!(row["tail_readings"].is_empty() && row["tail_queue_ms"].is_empty());
    }
}

/// A thread that collects into a throw-away directory and gives back the totals and the reports.
fn collect(collector: Collector) -> std::thread::JoinHandle<(Totals, Vec<IntervalReport>)> {
    std::thread::spawn(move || {
        let out = tempfile::tempdir().unwrap();
        let directory = RunDirectory::create(out.path(), "trial", "", WallTime::now()).unwrap();
        let mut files = directory.start_files(&layout(), WallTime::now()).unwrap();
        let mut reports = Vec::new();
        let totals = collector.run(&mut files, |report| reports.push(report.clone()));
        (totals, reports)
    })
}

#[test]
fn a_collector_that_is_behind_never_stops_a_worker_and_loses_nothing() {
    let layout = layout();
    let (mut recorders, collector) = recorders(&layout, 1);
    let mut recorder = recorders.pop().unwrap();
    for second in 2..40 {
        offer(&mut recorder, &sample(&layout, 0, Tick(second * SECOND), MS, Outcome::Ok));
        recorder.rotate(Tick((second + 1) * SECOND));
    }
    let collecting = collect(collector);
    recorder.finish(Tick(41 * SECOND));
    let (totals, reports) = collecting.join().unwrap();
    assert_eq!(totals.readings(None).ok(), 38);
    assert!(totals.merged_slices > 20, "{}", totals.merged_slices);
    assert_eq!(reports.first().map(|report| report.start), Some(Tick::ZERO));
    assert!(reports.windows(2).all(|pair| pair[0].end == pair[1].start));
    assert_eq!(reports.last().map(|report| report.end), Some(Tick(41 * SECOND)));
}

#[test]
fn a_worker_that_stands_still_holds_up_neither_the_others_nor_the_files() {
    let layout = layout();
    let (mut recorders, collector) = recorders(&layout, 2);
    let (mut stuck, mut brisk) = (recorders.pop().unwrap(), recorders.pop().unwrap());
    let (tell, told) = std::sync::mpsc::sync_channel(64);
    let collecting = std::thread::spawn(move || {
        let out = tempfile::tempdir().unwrap();
        let directory = RunDirectory::create(out.path(), "trial", "", WallTime::now()).unwrap();
        let mut files = directory.start_files(&self::layout(), WallTime::now()).unwrap();
        collector.run(&mut files, |report| tell.send(report.clone()).unwrap())
    });
    offer(&mut stuck, &sample(&layout, 1, Tick(2 * SECOND), MS, Outcome::Ok));
    for second in 2..7 {
        offer(&mut brisk, &sample(&layout, 0, Tick(second * SECOND), MS, Outcome::Ok));
        brisk.rotate(Tick((second + 1) * SECOND));
    }
    // This returns although the other worker has not rotated once: the interval is written without it.
    let first = told.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!((first.fleets[0].ok, first.fleets[1].ok), (1, 0));
    stuck.rotate(Tick(3 * SECOND));
    stuck.finish(Tick(8 * SECOND));
    brisk.finish(Tick(8 * SECOND));
    let totals = collecting.join().unwrap();
    assert_eq!(totals.readings(None).ok(), 6);
    assert_eq!(totals.late_slices, 1);
}

#[test]
fn a_worker_that_dies_leaves_what_it_recorded_and_is_found_out() {
    let layout = layout();
    let (mut recorders, collector) = recorders(&layout, 1);
    let mut recorder = recorders.pop().unwrap();
    offer(&mut recorder, &sample(&layout, 0, Tick(2 * SECOND), MS, Outcome::Ok));
    recorder.planned(PhaseId(2), FleetId(0), Kind::Reading);
    drop(recorder);
    let (totals, _) = collect(collector).join().unwrap();
    assert_eq!((totals.readings(None).ok(), totals.unaccounted()), (1, 1));
}

#[test]
fn a_service_cannot_look_faster_by_failing() {
    let out = tempfile::tempdir().unwrap();
    let layout = layout();
    // One in ten is refused after a tenth of the time that the others take.
    let samples: Vec<_> = (0..100)
        .map(|n| {
            let fails = n % 10 == 0;
            let outcome = if fails { Outcome::Error(ErrorKind::Refused) } else { Outcome::Ok };
            (0, sample(&layout, 0, Tick(2 * SECOND + n * MS), if fails { MS } else { 10 * MS }, outcome))
        })
        .collect();
    let (_, totals, _) = run_of(out.path(), &samples, 1);
    let readings = totals.readings(None);
    let p50 = readings.response(Quantile::P50).unwrap();
    assert!(!p50.censored && p50.ns.abs_diff(10 * MS) < MS / 10, "{p50:?}");
    let p99 = readings.response(Quantile::P99).unwrap();
    assert!(p99.censored && p99.ns >= 5 * SECOND, "{p99:?}");
    let rows = totals.rows();
    let figures = &rows.last().unwrap().figures;
    assert_eq!(figures.percentile(Quantile::P99), Some(p99));
    assert_eq!((figures.censored, figures.censored_floor_ms), (10, Some(Millis(5 * SECOND))));
    assert_eq!((figures.error_refused, figures.within_budget), (10, Some(90)));
    assert!(figures.ok_p99_ms.unwrap() < Millis(11 * MS));
}

#[test]
fn a_time_beyond_the_bounds_is_counted_as_overflow_and_recorded_at_the_bound() {
    let out = tempfile::tempdir().unwrap();
    let slow = sample(&layout(), 1, Tick(2 * SECOND), 3_600 * SECOND, Outcome::Timeout);
    let (_, totals, _) = run_of(out.path(), &[(0, slow)], 1);
    let rows = totals.rows();
    let figures = &rows.last().unwrap().figures;
    // The pacing lag and the backlog wait are beyond 60 s; so is the response time, but it is a lower bound anyway.
    assert_eq!(figures.overflow, 2);
    let max = figures.max().unwrap();
    assert!(max.censored && max.ns >= 60 * SECOND && max.ns < 61 * SECOND, "{max:?}");
}

#[test]
fn intervals_without_data_leave_empty_cells_and_still_a_line_in_the_log() {
    let out = tempfile::tempdir().unwrap();
    let dropped = sample(&layout(), 1, Tick(4 * SECOND), 0, Outcome::Dropped);
    let (directory, ..) = run_of(out.path(), &[(0, dropped)], 1);
    let table = std::fs::read_to_string(directory.path().join("intervals.csv")).unwrap();
    let mut table = csv::Reader::from_reader(table.as_bytes());
    let rows: Vec<BTreeMap<String, String>> = table.deserialize().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0]["t_start_s"].as_str(), rows[0]["interval_s"].as_str()), ("4.000", "1.000"));
    for column in ["service_p50_ms", "ok_p99_ms", "within_budget", "stage_queue_p50_ms", "fault"] {
        assert_eq!(rows[0][column], "", "{column}");
    }
    let log = std::fs::read_to_string(directory.path().join("latency.hlog")).unwrap();
    let untagged = log.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit())).count();
    assert_eq!(untagged, 5, "{log}");
    assert!(log.ends_with('\n'));
}

#[test]
fn a_collector_that_gave_up_never_stops_a_worker() {
    let layout = layout();
    let (mut recorders, collector) = recorders(&layout, 1);
    drop(collector);
    let mut recorder = recorders.pop().unwrap();
    for second in 2..20 {
        offer(&mut recorder, &sample(&layout, 0, Tick(second * SECOND), MS, Outcome::Ok));
        recorder.rotate(Tick((second + 1) * SECOND));
    }
    assert_eq!(recorder.recorded(), 18);
    recorder.finish(Tick(20 * SECOND));
}

//! Health state by state, at instants of the tests' own.

use super::*;
use crate::reference::metric::Books;

const SECOND: u64 = 1_000_000_000;
const NOW: Tick = Tick(100 * SECOND);

fn well() -> HealthInputs {
    HealthInputs {
        now: NOW,
        queue_depth: 0,
        queue_capacity: 100,
        workers: 2,
        workers_wanted: 2,
        shed: 0,
        full_since: None,
        operation: Operation::Running,
        away: Vec::new(),
        faults: Vec::new(),
        lately: Figures::default(),
    }
}

#[test]
fn health_is_judged_as_the_table_says() {
    use Status::{Degraded, Healthy, Unhealthy};
    let fault = |kind| HealthInputs {
        faults: vec![ActiveFault { name: "f".into(), kind, sentence: "the fault `f` is on".into() }],
        ..well()
    };
    let ago = |ms: u64| Some(Tick(NOW.0 - ms * 1_000_000));
    let full = |full_since| HealthInputs { queue_depth: 100, full_since, ..well() };
    let lately = |lately| HealthInputs { lately, ..well() };
    let none = Figures::default();
    let errors = |share| lately(Figures { error_ratio: Some(share), ..none });
    for (name, signs, status, reason) in [
        ("well", well(), Healthy, ""),
        ("half full", HealthInputs { queue_depth: 50, ..well() }, Healthy, ""),
        ("over half", HealthInputs { queue_depth: 51, ..well() }, Degraded, "51 readings wait"),
        ("full a moment", full(ago(999)), Degraded, "100 readings"),
        ("full", full(ago(1_000)), Unhealthy, "full for 1.0 s"),
        (
            "a worker down",
            HealthInputs { workers: 1, ..well() },
            Degraded,
            "1 worker running; there should be 2",
        ),
        ("all down", HealthInputs { workers: 0, ..well() }, Unhealthy, "no worker runs"),
        ("Redis away", HealthInputs { away: vec!["Redis is away".into()], ..well() }, Degraded, "Redis is"),
        ("inline", HealthInputs { workers: 0, workers_wanted: 0, ..well() }, Healthy, ""),
        ("a fault", fault(FaultKind::CacheOff), Degraded, "the fault `f`"),
        ("a stall", fault(FaultKind::Stall), Unhealthy, "the fault `f`"),
        ("paused", HealthInputs { operation: Operation::Paused, ..well() }, Unhealthy, "is paused"),
        ("stopped", HealthInputs { operation: Operation::Stopped, ..well() }, Unhealthy, "is stopped"),
        ("quick", lately(Figures { p99_ms: Some(99.9), ..none }), Healthy, ""),
        ("slow", lately(Figures { p99_ms: Some(100.0), ..none }), Degraded, "100.0 ms"),
        ("able", lately(Figures { possible_per_s: Some(10.1), ..none }), Healthy, ""),
        ("unable", lately(Figures { possible_per_s: Some(10.0), ..none }), Degraded, "10.0 readings/s"),
        ("few errors", errors(0.009), Healthy, ""),
        ("errors", errors(0.01), Degraded, "1 % of the last 10 s ended in an error"),
        ("many errors", errors(0.05), Unhealthy, "5 % of the last 10 s ended in an error"),
        ("bad input", lately(Figures { bad_ratio: Some(0.01), ..none }), Degraded, "was no reading"),
        ("nearly all", lately(Figures { answered_ratio: Some(0.999), ..none }), Healthy, ""),
        ("refused", lately(Figures { answered_ratio: Some(0.99), ..none }), Degraded, "99 % of the readings"),
        ("busy", lately(Figures { cpu_ratio: Some(0.95), ..none }), Degraded, "95 % of a processor"),
        ("large", lately(Figures { memory_ratio: Some(0.9), ..none }), Degraded, "90 % of the memory"),
    ] {
        let health = Health::judge(&signs, &Limits::default(), 100);
        assert_eq!(health.status, status, "{name}: {health:?}");
        assert!(health.reasons.iter().any(|r| r.contains(reason)) || reason.is_empty(), "{name}: {health:?}");
        assert_eq!(health.reasons.is_empty(), status == Healthy, "{name}: {health:?}");
        assert_eq!(health.grave.is_empty(), status != Unhealthy, "{name}: {health:?}");
    }
    assert_eq!(Health::judge(&errors(1.0), &Limits::default(), 19).status, Degraded, "of few");
}

#[test]
fn limits_are_those_that_were_set() {
    let limits = Limits { errors: 0.2, queue: 0.1, ..Limits::default() };
    let signs = HealthInputs {
        queue_depth: 11,
        lately: Figures { error_ratio: Some(0.1), ..Figures::default() },
        ..well()
    };
    let health = Health::judge(&signs, &limits, 100);
    assert_eq!(health.reasons, ["11 readings waiting; the limit is 10 % of the queue"]);
}

/// A service that is asked every second, and what befalls it: each state lasts from the event until it has been past for ten
/// seconds, whether or not another reading comes.
#[test]
fn what_has_passed_is_forgotten_by_time_alone() {
    use Status::{Degraded, Healthy, Unhealthy};
    let monitor = Monitor::new();
    let mut seen = Vec::new();
    for second in 1..=40_u64 {
        // 100 readings a second for 20 seconds; at 5 s three of them are refused, at 18 s all crash, and then nobody comes.
        let done = 100 * second.min(20);
        let (shed, crashed) = (if second >= 5 { 3 } else { 0 }, if second >= 18 { 100 } else { 0 });
        let books =
            Books { received: done, verdicts: done - shed - crashed, shed, crashed, ..Books::default() };
        let (now, sample) = (Tick(second * SECOND), Sample { books, ..Sample::default() });
        monitor.observe(now, sample, None, None);
        let (lately, ended) = monitor.figures(now, sample, 1);
        let signs = HealthInputs { now, lately, ..well() };
        let status = Health::judge(&signs, &Limits::default(), ended).status;
        if seen.last().is_none_or(|(_, last)| *last != status) {
            seen.push((second, status));
        }
    }
    // What came between 4 s and 5 s has passed for ten seconds at 15 s; of 17 s to 18 s the same is true at 28 s.
    assert_eq!(seen, [(1, Healthy), (5, Degraded), (15, Healthy), (18, Unhealthy), (28, Healthy)]);
}

#[test]
fn what_workers_could_do_follows_from_what_they_needed() {
    let monitor = Monitor::new();
    let books = Books { received: 30, verdicts: 30, ..Books::default() };
    let busy = |busy_ns| Sample { books, busy_ns, ..Sample::default() };
    let possible = |sample| monitor.figures(Tick(SECOND), sample, 2).0.possible_per_s;
    // Two workers were at 30 readings for 6 s together.
    assert_eq!(possible(busy(6 * SECOND)), Some(10.0));
    assert_eq!(possible(busy(WORKED - 1)), None, "too little to tell");
}

#[test]
fn the_processor_is_judged_once_there_is_enough_to_judge() {
    let monitor = Monitor::new();
    let used = |ms| Some(std::time::Duration::from_millis(ms));
    let sample = |serving| Sample { serving, ..Sample::default() };
    monitor.observe(Tick(SECOND), sample(used(500)), Some(3.0), Some(0.5));
    let cpu = |second: u64, ms| monitor.figures(Tick(second * SECOND), sample(used(ms)), 1).0.cpu_ratio;
    assert_eq!(cpu(4, 3_500), None);
    for second in 2..=11 {
        monitor.observe(Tick(second * SECOND), sample(used(second * 1_000 - 500)), Some(3.0), Some(0.5));
    }
    assert_eq!(cpu(11, 10_500), Some(1.0));
    let (figures, _) = monitor.figures(Tick(12 * SECOND), sample(None), 1);
    assert_eq!((figures.p99_ms, figures.memory_ratio), (Some(3.0), Some(0.5)));
}

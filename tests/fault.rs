//! Faults that act on devices, end to end against the bundled reference system.

use std::collections::BTreeMap;
use std::sync::Arc;

use squall::record::{AnomalyKind, ErrorKind, Kind, Outcome};
use squall::scenario::Plan;

use crate::bundled::{drive_at_reference, drive_undisturbed, patient};
use crate::support::Book;

const MS: u64 = 1_000_000;

/// A plan over four seconds with `faults`.
fn faulty(faults: &str) -> Arc<Plan> {
    patient(&format!(
        r#"
        [scenario]
        name = "fault"
        seed = 5
        [run]
        warm_up = "0s"
        interval = "500ms"
        connect_rate = "1000/s"
        [[phase]]
        name = "whole"
        duration = "4s"
        [fleet.meters]
        protocol = "http"
        devices = 40
        rate = "10/s"
        backoff = {{ first = "50ms", jitter = 0 }}
        [fleet.pumps]
        protocol = "ws"
        devices = 40
        rate = "10/s"
        backoff = {{ first = "50ms", jitter = 0 }}
        {faults}
        "#
    ))
}

/// How often each device connected: (fleet, device) → times.
fn connected(book: &Book) -> BTreeMap<(u16, u32), u32> {
    let mut times = BTreeMap::new();
    for sample in book.samples.iter().filter(|sample| sample.kind == Kind::Connect) {
        *times.entry((sample.fleet.0, sample.device)).or_default() +=
            u32::from(sample.outcome == Outcome::Ok);
    }
    times
}

#[test]
fn the_same_devices_are_hit_at_the_same_instants_with_one_worker_and_with_two() {
    let plan = faulty(
        r#"
        [[fault]]
        name = "cut"
        kind = "disconnect"
        start = "1s"
        every = "1s"
        times = 2
        share = 0.3
        endpoint = "http"
        [[fault]]
        name = "away"
        kind = "offline"
        start = "1500ms"
        duration = "600ms"
        fleets = "pumps"
        share = 0.5
        ramp = "200ms"
        "#,
    );
    let hit: BTreeMap<(u16, u32), u32> = (0..plan.devices())
        .map(|global| {
            let device = plan.device(global);
            let cuts = device.hits.iter().map(|hit| if hit.fault == 0 { 2 } else { 1 }).sum::<u32>();
            ((device.fleet.0, device.index), 1 + cuts)
        })
        .collect();
    for workers in [1, 2] {
        let (book, undisturbed) = drive_undisturbed(&plan, workers);
        let found = connected(&book);
        assert!(found.iter().all(|(device, times)| *times <= hit[device]), "{workers} workers: {found:?}");
        if undisturbed {
            // Otherwise who is cut off twice at once comes back once.
            assert_eq!(found, hit, "{workers} workers");
        }
        let mut switches: Vec<_> = book
            .switches
            .iter()
            .map(|s| (s.fault.0, s.occurrence, !s.on, s.planned.unwrap(), s.devices))
            .collect();
        switches.sort_unstable();
        let merged = switches
            .chunk_by(|one, other| one.0 == other.0 && one.1 == other.1 && one.2 == other.2)
            .map(|same| {
                assert_eq!(same.len(), workers, "{same:?}");
                assert!(same.iter().all(|switch| switch.3 == same[0].3));
                (
                    same[0].0,
                    same[0].1,
                    !same[0].2,
                    same[0].3.since(plan.measuring_starts()) / MS,
                    same.iter().map(|s| s.4).sum::<u32>(),
                )
            });
        assert_eq!(
            merged.collect::<Vec<_>>(),
            [
                (0, 0, true, 1_000, 12),
                (0, 0, false, 1_000, 12),
                (0, 1, true, 2_000, 12),
                (0, 1, false, 2_000, 12),
                (1, 0, true, 1_500, 20),
                (1, 0, false, 2_100, 20),
            ]
        );
    }
}

#[test]
fn a_device_that_is_away_comes_back_by_its_back_off_and_loses_only_what_was_under_way() {
    let plan = faulty(
        r#"
        [[fault]]
        name = "away"
        kind = "offline"
        start = "1s"
        duration = "1s"
        fleets = "pumps"
        "#,
    );
    let (book, undisturbed) = drive_undisturbed(&plan, 1);
    let (off, on) =
        (plan.measuring_starts().plus_ns(1_000 * MS), plan.measuring_starts().plus_ns(2_000 * MS));
    // What is sent is on its way for less than this.
    let late = off.plus_ns(400 * MS);
    for sample in book.samples.iter().filter(|sample| sample.fleet.0 == 1) {
        let kind = sample.kind;
        if let Some(actual) = sample.actual {
            assert!(actual < late || actual >= on || !undisturbed, "{kind:?} at {actual}");
        }
        match (kind, sample.outcome) {
            (_, Outcome::Ok) => {}
            (Kind::Reading, Outcome::Error(ErrorKind::Reset)) => {
                assert!(sample.intended < late || !undisturbed);
            }
            other => panic!("{other:?}: {sample:?}"),
        }
        if kind == Kind::Connect && sample.intended > off {
            assert!(
                sample.intended >= on.plus_ns(50 * MS),
                "after the first wait of its back-off: {}",
                sample.intended
            );
        }
    }
    // What the scenario demands is neither a rule of ours nor the service's doing.
    assert!(book.readings().all(|sample| sample.own_wait_ns == 0));
    for sample in book.readings().filter(|s| s.fleet.0 == 1 && s.intended > late && s.intended < on) {
        // What the worker released late waited for the worker first.
        let planned = on.since(sample.intended).saturating_sub(100 * MS);
        assert!(sample.plan_wait_ns >= planned || !undisturbed, "{sample:?}");
    }
    let waited =
        book.readings().filter(|s| s.fleet.0 == 1 && s.intended > off && s.intended < on.plus_ns(0)).count();
    assert!(waited > 300, "readings that came due meanwhile wait: {waited}");
}

#[test]
fn sensors_clocks_and_payloads_go_wrong_while_their_faults_last() {
    let plan = faulty(
        r#"
        [[fault]]
        name = "frozen"
        kind = "stuck"
        start = "1s"
        duration = "1s"
        fleets = "pumps"
        [[fault]]
        name = "garbled"
        kind = "malformed"
        start = "2s"
        duration = "1s"
        fleets = "meters"
        chance = 0.5
        "#,
    );
    let book = drive_at_reference(&plan, 1);
    let begin = plan.measuring_starts();
    let marks: Vec<_> = book.marks.iter().filter(|(device, ..)| device.starts_with("pumps")).collect();
    assert!(marks.iter().all(|(.., mark)| mark.kind == AnomalyKind::Stuck));
    assert_eq!(marks.iter().filter(|(.., mark)| mark.onset).count(), 40, "one for each device");
    assert!((350..=450).contains(&marks.len()), "{}", marks.len());
    let refused: Vec<_> =
        book.readings().filter(|s| s.outcome == Outcome::Error(ErrorKind::Status)).collect();
    for sample in &refused {
        assert!((2_000..3_000).contains(&(sample.intended.since(begin) / MS)), "{sample:?}");
    }
    // 40 devices × 10/s × 1 s × 0.5: a binomial, standard deviation 10.
    assert!((150..=250).contains(&refused.len()), "{}", refused.len());
    let switches = book.switches.iter().filter(|switch| switch.fault.0 == 1);
    let acted: u64 = switches.clone().map(|switch| switch.acted).sum();
    // What was due before the end of the fault and sent after it is not counted any more.
    let off = switches.filter(|switch| !switch.on).map(|switch| switch.at).max().unwrap();
    let in_time = refused.iter().filter(|sample| sample.actual < Some(off)).count() as u64;
    assert!((in_time..=refused.len() as u64).contains(&acted), "{in_time} {acted} {}", refused.len());
}

/// Guards against lost wake-ups: bytes and messages that are held up for different times must each be delivered when due,
/// though nothing else wakes the device meanwhile.
#[test]
fn what_is_held_up_is_delivered_when_it_is_due() {
    let plan = patient(
        r#"
        [scenario]
        name = "held"
        [run]
        warm_up = "0s"
        interval = "500ms"
        [[phase]]
        name = "whole"
        duration = "6s"
        [fleet.panels]
        protocol = "ws"
        devices = 20
        rate = "1/2s"
        [[fault]]
        name = "road"
        kind = "latency"
        delay = "60ms"
        start = "0s"
        [[fault]]
        name = "lag"
        kind = "message-delay"
        delay = "100ms"
        start = "0s"
        "#,
    );
    let (book, undisturbed) = drive_undisturbed(&plan, 1);
    let mut times: Vec<u64> = book.readings().map(|sample| sample.response_time_ns() / MS).collect();
    times.sort_unstable();
    assert!(book.readings().all(|sample| sample.outcome == Outcome::Ok));
    let median = times[times.len() / 2];
    // Twice 60 ms on the road and 100 ms of lag; the next thing that wakes a device comes 2 s later.
    assert!(median >= 220 && (median < 1_000 || !undisturbed), "{median} ms: {times:?}");
}

/// Guards against time-outs that are forgotten once an earlier reading has been answered before its own.
#[test]
fn a_closed_device_that_is_no_longer_answered_times_out() {
    let plan = patient(
        r#"
        [scenario]
        name = "silent"
        [run]
        warm_up = "0s"
        drain = "3s"
        interval = "500ms"
        [[phase]]
        name = "whole"
        duration = "8s"
        [fleet.meters]
        protocol = "http"
        devices = 10
        model = "closed"
        think = "20ms"
        timeout = "400ms"
        [[fault]]
        name = "gone"
        kind = "blackhole"
        start = "1500ms"
        "#,
    );
    let book = drive_at_reference(&plan, 1);
    let mut timed_out: Vec<u32> =
        book.readings().filter(|s| s.outcome == Outcome::Timeout).map(|sample| sample.device).collect();
    timed_out.sort_unstable();
    timed_out.dedup();
    assert_eq!(timed_out, (0..10).collect::<Vec<_>>());
}

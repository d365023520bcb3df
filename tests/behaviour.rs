//! How fleets behave, end to end against the bundled reference system: what the plan says is what the record shows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use squall::clock::Tick;
use squall::record::{AuditFinding, FleetId, Kind, Outcome, Sample};
use squall::scenario::Plan;

use crate::bundled::{drive_at_reference, drive_undisturbed, patient};
use crate::support::Book;

const MS: u64 = 1_000_000;

/// A plan of `fleets` over three seconds.
fn short(fleets: &str) -> Arc<Plan> {
    patient(&format!(
        r#"
        [scenario]
        name = "behaviour"
        seed = 11
        [run]
        warm_up = "0s"
        interval = "500ms"
        connect_rate = "1000/s"
        [[phase]]
        name = "whole"
        duration = "3s"
        {fleets}
        "#
    ))
}

/// Drives `plan` at a reference system of its own.
fn run(plan: &Arc<Plan>, workers: usize) -> Book {
    answered(drive_at_reference(plan, workers))
}

/// Sees that every reading was answered.
fn answered(book: Book) -> Book {
    let readings = book.readings().count() as u64;
    assert_eq!(book.sent, readings, "and counts as sent once, however often it was");
    let failed: Vec<&Sample> = book.readings().filter(|sample| sample.outcome != Outcome::Ok).collect();
    assert!(failed.is_empty(), "{} of {readings} failed: {:?}", failed.len(), failed[0]);
    book
}

fn connects(book: &Book) -> Vec<&Sample> {
    let mut connects: Vec<_> = book.samples.iter().filter(|sample| sample.kind == Kind::Connect).collect();
    assert!(connects.iter().all(|sample| sample.outcome == Outcome::Ok));
    connects.sort_by_key(|sample| sample.intended);
    connects
}

fn after(plan: &Plan, ms: u64) -> Tick {
    plan.measuring_starts().plus_ns(ms * MS)
}

#[test]
fn a_herd_is_cut_at_one_instant_and_comes_back_without_losing_a_reading() {
    let plan = short(
        r#"
        [fleet.herd]
        protocol = "mqtt"
        devices = 40
        rate = "20/s"
        behaviour = { preset = "thundering-herd", at = "1s" }
        [fleet.still]
        protocol = "ws"
        devices = 5
        rate = "5/s"
        "#,
    );
    let book = run(&plan, 2);
    let cut = after(&plan, 1_000);
    let again: Vec<_> = connects(&book).into_iter().filter(|sample| sample.intended >= cut).collect();
    assert_eq!(again.len(), 40);
    assert!(again.iter().all(|sample| sample.intended == cut && sample.fleet == FleetId(0)));
}

#[test]
fn what_is_stored_goes_out_in_order_at_its_rate_with_its_original_instants() {
    let fleet = |name: &str| {
        format!(
            "[fleet.{name}]\nprotocol = \"mqtt\"\ndevices = 1\nrate = \"20/s\"\narrival = {{ jitter = 0 }}\n\
             behaviour = {{ preset = \"store-and-forward\", at = \"500ms\", offline = \"1s\", flush = \"40/s\" }}\n"
        )
    };
    let plan = short(&["a", "b", "c"].map(fleet).concat());
    let (book, undisturbed) = drive_undisturbed(&plan, 1);
    let book = answered(book);
    let (from, until) = (after(&plan, 500), after(&plan, 1_500));
    for fleet in 0..3 {
        let mut own: Vec<&Sample> = book.readings().filter(|sample| sample.fleet == FleetId(fleet)).collect();
        own.sort_by_key(|sample| sample.seq);
        assert!((58..=61).contains(&own.len()), "{}", own.len());
        let sent: Vec<Tick> = own.iter().map(|sample| sample.actual.unwrap()).collect();
        assert!(sent.windows(2).all(|pair| pair[0] <= pair[1]), "newer readings wait behind older ones");
        let stored: Vec<&&Sample> =
            own.iter().filter(|sample| (from..until).contains(&sample.intended)).collect();
        assert!((19..=21).contains(&stored.len()), "{}", stored.len());
        for (turn, sample) in (0..).zip(&stored) {
            let turn = until.plus_ns(turn * 25 * MS);
            assert!(sample.actual.unwrap() >= turn, "before {turn} at 40/s: {sample:?}");
        }
        // The plan keeps them waiting: neither the service nor a rule of ours does.
        assert!(own.iter().all(|sample| sample.own_wait_ns == 0));
        for sample in stored.iter().filter(|_| undisturbed) {
            let (waited, least) = (sample.plan_wait_ns, until.since(sample.intended));
            // What passed before the worker noticed that it was due is lag.
            let lag = sample.pacing_lag_ns().unwrap();
            assert!(waited + lag >= least && waited <= sample.backlog_wait_ns().unwrap(), "{sample:?}");
        }
        // Waiting for its turn, a second or so, is not the generator's lateness.
        let mut lags: Vec<u64> = stored.iter().map(|sample| sample.pacing_lag_ns().unwrap()).collect();
        lags.sort_unstable();
        assert!(lags[lags.len() / 2] < 300 * MS || !undisturbed, "{lags:?}");
        let (first, last) = (stored[0].actual.unwrap(), stored[stored.len() - 1].actual.unwrap());
        let paced = (stored.len() as u64 - 2) * 25 * MS;
        assert!(
            last.since(first) >= paced,
            "a delay of the first is not made up by a burst: {first} to {last}"
        );
        assert!(stored.iter().all(|sample| sample.response_time_ns() >= until.since(sample.intended)));
    }
}

#[test]
fn sleepy_devices_connect_when_a_reading_is_due_and_are_away_in_between() {
    let plan = short(
        r#"
        [fleet.sleepy]
        protocol = "mqtt"
        devices = 10
        rate = "2/s"
        arrival = "poisson"
        behaviour = { preset = "sleepy", awake = "20ms" }
        [fleet.fresh]
        protocol = "http"
        devices = 5
        rate = "4/s"
        http = { fresh = true }
        "#,
    );
    // Whether each wake-up has its reading, and most readings woke their devices: where the machine stands still, they go out together
    // when it is over.
    let most_woke = |book: &Book| {
        [FleetId(0), FleetId(1)].into_iter().all(|fleet| {
            let readings: Vec<&Sample> = book.readings().filter(|sample| sample.fleet == fleet).collect();
            let due: BTreeSet<Tick> = readings.iter().map(|sample| sample.intended).collect();
            let own: Vec<_> = connects(book).into_iter().filter(|sample| sample.fleet == fleet).collect();
            let each_has_its_reading = own.iter().all(|sample| due.contains(&sample.intended));
            // The reading that woke its device waited for the connection.
            let woken = readings.iter().filter(|sample| sample.backlog_wait_ns().unwrap() > 0).count();
            assert!(woken >= own.len(), "{woken} {}", own.len());
            each_has_its_reading && (readings.len() * 6..=readings.len() * 10).contains(&(own.len() * 10))
        })
    };
    // A device that never slept would connect once for its six or twelve readings.
    assert!((0..10).any(|_| most_woke(&run(&plan, 2))), "devices stay awake");
}

#[test]
fn a_roll_out_restarts_one_device_after_the_other() {
    let plan = short(
        r#"
        [fleet.devices]
        protocol = "ws"
        devices = 20
        rate = "10/s"
        behaviour = { preset = "roll-out", at = "500ms", pace = "20/s", restart = "200ms" }
        "#,
    );
    let book = run(&plan, 2);
    let begin = after(&plan, 0);
    let back: Vec<Tick> =
        connects(&book).iter().map(|sample| sample.intended).filter(|at| *at > begin).collect();
    let expected: Vec<Tick> = (0..20).map(|index| after(&plan, 700 + index * 50)).collect();
    assert_eq!(back, expected);
}

#[test]
fn repeated_readings_are_answered_twice_and_counted_as_duplicates() {
    let fleet = |protocol: &str| {
        format!(
            "[fleet.{protocol}]\nprotocol = \"{protocol}\"\ndevices = 5\nrate = \"20/s\"\n\
             behaviour = {{ preset = \"at-least-once\", one_in = 3 }}\n"
        )
    };
    let plan = short(&["http", "mqtt", "ws"].map(fleet).concat());
    let book = run(&plan, 2);
    let mut repeats = 0;
    for global in 0..plan.devices() {
        let mut device = plan.device(global);
        let count = std::iter::from_fn(|| device.next_due()).count() as u64;
        repeats += (1..=count).filter(|seq| device.repeats(*seq)).count();
    }
    let duplicated = book.findings.iter().filter(|finding| **finding == AuditFinding::Duplicated).count();
    // A repeat that is under way when the last reading ends is not waited for; after a standstill that may be many.
    assert!(duplicated <= repeats && duplicated * 2 >= repeats, "{duplicated} of {repeats}");
    assert!(repeats > 200, "{repeats}");
    assert_eq!(book.findings.len(), duplicated, "and nothing else is found");
}

#[test]
fn a_fleet_that_joins_and_leaves_is_there_in_between() {
    let plan = short(
        r#"
        [fleet.always]
        protocol = "http"
        devices = 5
        rate = "10/s"
        [fleet.visitors]
        protocol = "mqtt"
        devices = 20
        rate = "20/s"
        join = "500ms"
        leave = "2s"
        connect_rate = "100/s"
        "#,
    );
    let book = run(&plan, 2);
    let own: Vec<_> = connects(&book).into_iter().filter(|sample| sample.fleet == FleetId(1)).collect();
    let (first, last) = (after(&plan, 500), after(&plan, 700));
    assert_eq!(own.len(), 20);
    assert!(own.iter().all(|sample| (first..last).contains(&sample.intended)));
    let readings: Vec<_> = book.readings().filter(|sample| sample.fleet == FleetId(1)).collect();
    assert!(
        readings.iter().all(|sample| (after(&plan, 1_000)..after(&plan, 2_200)).contains(&sample.intended))
    );
    let expected: f64 = plan.expected_between(FleetId(1), Tick::ZERO, plan.end()).unwrap();
    assert!((readings.len() as f64 - expected).abs() <= 20.0, "{} {expected}", readings.len());
}

#[test]
fn replies_name_their_readings_by_pointer_and_by_order() {
    let plan = short(
        r#"
        [fleet.by-order]
        protocol = "ws"
        devices = 5
        rate = "20/s"
        close = "reply"
        ws = { correlate = "order" }
        [fleet.by-pointer]
        protocol = "mqtt"
        devices = 5
        rate = "20/s"
        close = "reply"
        mqtt = { correlate = "/seq" }
        payload = "cbor"
        [fleet.compact]
        protocol = "http"
        devices = 5
        rate = "20/s"
        payload = { format = "binary", size = "300B" }
        "#,
    );
    let book = run(&plan, 2);
    assert_eq!(book.findings, []);
}

#[test]
fn bursts_fall_into_their_seconds_and_behaviours_do_not_depend_on_workers() {
    let text = r#"
        [fleet.a]
        protocol = "mqtt"
        devices = 20
        rate = "10/s"
        arrival = "poisson"
        behaviour = [{ preset = "thundering-herd", at = "1s", share = 0.5 }, "at-least-once", "clock-skew"]
        [fleet.b]
        protocol = "ws"
        devices = 10
        rate = "5/s"
        behaviour = "sleepy"
        "#;
    let plan = short(text);
    let keys = |book: &Book| {
        let mut keys: BTreeMap<(FleetId, Tick), Vec<u64>> = BTreeMap::new();
        for sample in book.readings() {
            keys.entry((sample.fleet, sample.intended)).or_default().push(sample.seq);
        }
        keys
    };
    let (one, three) = (run(&plan, 1), run(&plan, 3));
    assert_eq!(keys(&one), keys(&three));
    for second in 0..3 {
        let (from, to) = (after(&plan, second * 1_000), after(&plan, second * 1_000 + 1_000));
        let expected = plan.expected_between(FleetId(0), from, to).unwrap();
        let due = |sample: &&Sample| sample.fleet == FleetId(0) && (from..to).contains(&sample.intended);
        let count = one.readings().filter(due).count() as f64;
        assert!((count - expected).abs() <= 4.0 * expected.sqrt(), "second {second}: {count} for {expected}");
    }
}

#[test]
fn a_reading_ends_when_a_subscriber_of_another_fleet_hears_it() {
    let plan = short(
        r#"
        [fleet.dashboards]
        protocol = "mqtt"
        devices = 2
        model = "subscriber"
        mqtt = { subscribe = "devices/+/readings" }
        [fleet.heard]
        protocol = "mqtt"
        devices = 20
        rate = "10/s"
        close = "delivery"
        timeout = "20s"
        mqtt = { subscribers = "dashboards" }
        [fleet.own]
        protocol = "mqtt"
        devices = 5
        rate = "10/s"
        close = "delivery"
        "#,
    );
    // What is sent before the dashboards are there is heard by nobody: where the machine stood still just then. And to one that is
    // slow to listen nothing is promised.
    let in_time = |book: &Book| {
        let heard = book.readings().all(|sample| sample.outcome == Outcome::Ok);
        let connected = connects(book).iter().filter(|s| s.fleet == FleetId(0)).map(|s| s.completed).max();
        heard && connected < book.readings().filter_map(|sample| sample.actual).min()
    };
    // One worker hears all; of three, one hears most readings for devices of the others.
    for workers in [1, 3] {
        let book = (0..5).map(|_| drive_at_reference(&plan, workers)).find(in_time);
        let book = answered(book.expect("subscribers that connect before others send, and hear all"));
        let heard = book.readings().filter(|sample| sample.fleet == FleetId(1)).count();
        assert!((550..=620).contains(&heard), "{heard}");
        assert_eq!(book.findings, [], "two subscribers hear it, and it ends once");
    }
}

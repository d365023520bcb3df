//! Tests of the plan: what fixes it, what leaves it alone, and that it keeps its closed forms.

use crate::clock::{Skip, Tick};
use crate::fleet::RunFacts;
use crate::record::{FleetId, PhaseId, PhaseRole, Shard};
use crate::scenario::{Overrides, Plan, Scenario};
use crate::seed::Seed;
use crate::units::Span;

const HEAD: &str = r#"
[scenario]
name = "plan"

[[phase]]
name = "steady"
duration = "20s"

[[phase]]
name = "silence"
duration = "5s"
load = 0

[[phase]]
name = "burst"
duration = "10s"
load = 2.5
"#;

const METERS: &str = "\n[fleet.meters]\nprotocol = \"http\"\ndevices = 200\nrate = \"2/s\"\narrival = \"poisson\"\nanomalies = { spikes = 0.05 }\n";
const PUMPS: &str =
    "\n[fleet.pumps]\nprotocol = \"mqtt\"\ndevices = 100\nrate = \"5/s\"\narrival = { jitter = 0.3 }\n";
const USERS: &str = "\n[fleet.users]\nprotocol = \"ws\"\ndevices = 3\nmodel = \"closed\"\nthink = \"1s\"\n";

fn plan_with(parts: &[&str], overrides: &Overrides) -> Plan {
    let text = format!("{HEAD}{}", parts.concat());
    Plan::new(Scenario::parse("plan.toml", &text, overrides).unwrap())
}

fn plan(parts: &[&str]) -> Plan {
    plan_with(parts, &Overrides::default())
}

#[test]
fn a_password_that_stands_in_the_scenario_is_a_secret() {
    let fleet = "\n[fleet.meters]\nprotocol = \"mqtt\"\ndevices = 1\nrate = \"1/s\"\n\
                 mqtt = { username = \"ann\", password = \"hunter2-{{device}}\" }\n";
    assert_eq!(plan(&[fleet]).scenario().secrets.reveal(), ["hunter2-"]);
}

#[test]
fn readings_without_a_payload_are_due_like_others_and_say_nothing() {
    let fleet = METERS.replace("arrival", "payload = \"none\"\narrival");
    let (silent, usual) = (plan(&[&fleet]), plan(&[METERS]));
    assert_eq!(readings(&silent, "meters"), readings(&usual, "meters"));
    assert_ne!(silent.digest(), usual.digest());
    let mut device = silent.device(0);
    let due = device.next_due().unwrap();
    let (reading, mut payload) = (device.device.reading(due), Vec::new());
    device.device.encode(&reading, RunFacts::default(), &mut payload);
    assert_eq!(payload, b"");
}

/// Every due instant since sending began, with its value, of the devices of the fleet named `name`.
fn readings(plan: &Plan, name: &str) -> Vec<(u32, u64, u64, f64)> {
    let mut all = Vec::new();
    for mut device in (0..plan.devices()).map(|global| plan.device(global)) {
        if plan.fleet(device.fleet).name != name {
            continue;
        }
        while let Some(due) = device.next_due() {
            let reading = device.device.reading(due);
            all.push((
                device.index,
                reading.seq,
                due.since(plan.sending_starts()),
                reading.values.as_slice()[0],
            ));
        }
    }
    all
}

#[test]
fn one_seed_is_one_plan_and_another_seed_another() {
    let parts = [METERS, PUMPS, USERS];
    let other = Overrides { seed: Some(Seed(2)), ..Overrides::default() };
    assert_eq!(plan(&parts).digest(), plan(&parts).digest());
    assert_ne!(plan(&parts).digest(), plan_with(&parts, &other).digest());
    assert_eq!(readings(&plan(&parts), "meters"), readings(&plan(&parts), "meters"));
    assert_ne!(readings(&plan(&parts), "meters"), readings(&plan_with(&parts, &other), "meters"));
}

#[test]
fn the_order_of_fleets_in_the_file_does_not_matter() {
    let (one, other) = (plan(&[METERS, PUMPS, USERS]), plan(&[USERS, PUMPS, METERS]));
    assert_eq!(one.digest(), other.digest());
    assert_eq!(one.layout(), other.layout());
    assert_eq!(readings(&one, "pumps"), readings(&other, "pumps"));
}

#[test]
fn other_fleets_leave_a_fleets_readings_alone() {
    let alone = plan(&[METERS]);
    for company in
        [plan(&[METERS, PUMPS]), plan(&["[fleet.a]\nprotocol=\"ws\"\ndevices=4000\nrate=\"1/s\"\n", METERS])]
    {
        assert_eq!(readings(&alone, "meters"), readings(&company, "meters"));
        assert_ne!(alone.digest(), company.digest());
    }
    // A fleet so large that connecting takes longer moves the whole plan, by whole intervals: its instants count from the
    // start of sending.
    let large = plan(&[METERS, "[fleet.z]\nprotocol=\"ws\"\ndevices=4000\nrate=\"1/s\"\n"]);
    assert_eq!(large.sending_starts(), Tick(9_000_000_000));
}

#[test]
fn what_does_not_shape_the_plan_is_not_in_its_digest() {
    let base = plan(&[METERS]);
    let text = format!(
        "# another comment\n[target]\nhttp = \"http://localhost:1\"\n[reference]\nworkers = 3\n{HEAD}{METERS}\n\
         [[budget]]\nfleet = \"meters\"\np99 = \"<1s\"\nabort_on_fail = true\n"
    )
    .replace("name = \"plan\"", "name = \"renamed\"\nabout = \"other words\"");
    let other = Plan::new(Scenario::parse("elsewhere.toml", &text, &Overrides::default()).unwrap());
    assert_eq!(base.digest(), other.digest());
}

#[test]
fn everything_that_shapes_the_plan_is_in_its_digest() {
    let base = plan(&[METERS, PUMPS, USERS]);
    for set in [
        "phase.burst.load=2.6",
        "phase.burst.duration=11s",
        "phase.burst.name=rush",
        "run.warm_up=2s",
        "run.drain=1s",
        "run.interval=500ms",
        "run.connect_rate=400/s",
        "run.connect_timeout=1s",
        "fleet.meters.rate=3/s",
        "fleet.meters.devices=201",
        "fleet.meters.arrival=constant",
        "fleet.meters.timeout=1s",
        "fleet.meters.budget=1s",
        "fleet.meters.backlog=1",
        "fleet.meters.anomalies.spikes=0.06",
        "fleet.meters.anomalies.shifts=0.1",
        "fleet.meters.anomalies.size=5",
        "fleet.meters.signal.level=1",
        "fleet.meters.signal.amplitude=1",
        "fleet.meters.signal.period=1s",
        "fleet.meters.signal.noise=1",
        "fleet.meters.signal.kind=constant",
        "fleet.pumps.mqtt.qos=2",
        "fleet.pumps.mqtt.keep_alive=10s",
        "fleet.pumps.close=ack",
        "fleet.pumps.in_flight=2",
        "fleet.pumps.arrival.jitter=0.2",
        "fleet.pumps.backoff.first=1s",
        "fleet.pumps.backoff.max=1s",
        "fleet.pumps.backoff.jitter=1",
        "fleet.pumps.retry=3",
        "fleet.pumps.retry=1",
        "fleet.users.think=2s",
        "fleet.users.close=sent",
        "scenario.seed=2",
    ] {
        let overrides = Overrides { set: vec![set.parse().unwrap()], ..Overrides::default() };
        let other = plan_with(&[METERS, PUMPS, USERS], &overrides);
        assert_ne!(base.digest(), other.digest(), "{set}");
        assert_eq!(other.scenario().overrides, [format!("--set {set}")]);
    }
}

#[test]
fn counts_keep_the_closed_form_in_every_phase() {
    let plan = plan(&[METERS, PUMPS, USERS]);
    for (nth, fleet) in plan.scenario().fleets.iter().enumerate().take(2) {
        let fleet_id = FleetId(nth as u16);
        let due: Vec<Tick> = readings(&plan, &fleet.name)
            .iter()
            .map(|reading| plan.sending_starts().plus_ns(reading.2))
            .collect();
        for (nth, phase) in plan.layout().phases.iter().enumerate() {
            let expected = plan.expected_readings(PhaseId(nth as u16), fleet_id).unwrap();
            let count = due.iter().filter(|at| (phase.start..phase.end).contains(at)).count() as f64;
            assert!(
                (count - expected).abs() <= 4.0 * expected.sqrt(),
                "{} {}: {count} {expected}",
                fleet.name,
                phase.name
            );
            assert_eq!(phase.role == PhaseRole::Connect || phase.name == "silence", expected == 0.0);
        }
        assert!(due.iter().all(|at| (plan.sending_starts()..plan.end()).contains(at)));
    }
    assert_eq!(plan.expected_readings(PhaseId(1), FleetId(2)), None);
    // (200 × 2/s + 100 × 5/s) × (20 s × 1 + 5 s × 0 + 10 s × 2.5) ÷ 35 s
    assert!((plan.expected_rate() - 900.0 * 45.0 / 35.0).abs() < 1e-9);
    assert!((plan.peak_rate() - 2_250.0).abs() < 1e-9);
}

#[test]
fn the_time_line_is_connect_warm_up_and_the_phases() {
    let slow = METERS.to_owned() + "connect_rate = \"150/s\"\n";
    let plan = plan(&[&slow, PUMPS, USERS]);
    let line: Vec<_> =
        plan.layout().phases.iter().map(|phase| (phase.name.as_str(), phase.start.0 / 1_000_000)).collect();
    // The slowest fleet, 200 devices at 150/s, takes 1.33 s; half a second more to settle, rounded up to whole intervals.
    assert_eq!(
        line,
        [("connect", 0), ("warm-up", 2_000), ("steady", 5_000), ("silence", 25_000), ("burst", 30_000)]
    );
    assert_eq!(plan.end(), Tick(40_000_000_000));
    assert_eq!(plan.measuring_starts(), Tick(5_000_000_000));
}

#[test]
fn a_duration_scales_the_measured_phases_and_is_recorded() {
    let overrides = Overrides { duration: Some(Span::from_ms(10_000)), ..Overrides::default() };
    let plan = plan_with(&[METERS], &overrides);
    let measured: u64 = plan.scenario().phases.iter().map(|phase| phase.duration.as_ns()).sum();
    assert_eq!(measured, Span::from_ms(10_000).as_ns());
    let lengths: Vec<_> = plan.scenario().phases.iter().map(|phase| phase.duration.as_ns()).collect();
    assert_eq!(lengths, [5_714_285_714, 1_428_571_428, 2_857_142_858]);
    assert_eq!(plan.scenario().overrides, ["--duration 10s"]);
}

#[test]
fn the_devices_of_a_fleet_connect_evenly_at_its_rate_before_anything_is_due() {
    let plan = plan(&[METERS, PUMPS, USERS]);
    let mut at: Vec<Tick> = (0..200).filter_map(|global| plan.device(global).connect_at).collect();
    at.sort();
    let last = plan.sending_starts().0 - 500_000_000;
    let ramp = 400_000_000;
    assert!(at.iter().all(|at| (last - ramp..last).contains(&at.0)));
    for gap in at.windows(2).map(|pair| pair[1].since(pair[0])) {
        assert!(gap.abs_diff(2_000_000) <= 1, "{gap}");
    }
}

const OUTAGE: &str =
    "\n[[fault]]\nname = \"outage\"\nkind = \"offline\"\nstart = \"2s\"\nduration = \"3s\"\nshare = 0.25\n";
const RUSH: &str = "\n[[fault]]\nname = \"rush\"\nkind = \"spike\"\nstart = \"4s\"\nduration = \"5s\"\nevery = \"15s\"\nfactor = 3\nshare = 0.5\nramp = \"2s\"\nfleets = \"meters\"\n";

#[test]
fn faults_hit_exactly_their_share_and_shape_the_digest() {
    let (calm, faulty) = (plan(&[METERS, PUMPS]), plan(&[METERS, PUMPS, OUTAGE]));
    assert_ne!(calm.digest(), faulty.digest());
    assert_eq!(readings(&calm, "meters"), readings(&faulty, "meters"), "what is due does not change");
    let hit = |plan: &Plan| -> Vec<u32> {
        (0..plan.devices()).filter(|global| !plan.device(*global).hits.is_empty()).collect()
    };
    assert_eq!((hit(&calm).len(), hit(&faulty).len()), (0, 50 + 25));
    assert_eq!(faulty.layout().faults[0].devices, 75);
    assert_eq!(hit(&faulty), hit(&plan(&[OUTAGE, PUMPS, METERS])), "the order of the file does not matter");
    let more = "\n[[fault]]\nname = \"other\"\nkind = \"partition\"\nshare = 0.5\n";
    let both = plan(&[METERS, PUMPS, more, OUTAGE]);
    let of_outage: Vec<u32> = (0..both.devices())
        .filter(|global| both.device(*global).hits.iter().any(|hit| hit.fault == 1))
        .collect();
    assert_eq!(of_outage, hit(&faulty), "nor does another fault");
    for set in [
        "fault.outage.share=0.26",
        "fault.outage.start=2500ms",
        "fault.outage.duration=2s",
        "fault.outage.ramp=1s",
        "fault.outage.ending=fin",
        "fault.outage.every=4s",
        "fault.outage.name=other",
        "fault.outage.fleets=meters",
        "scenario.seed=2",
    ] {
        let overrides = Overrides { set: vec![set.parse().unwrap()], ..Overrides::default() };
        assert_ne!(plan_with(&[METERS, PUMPS, OUTAGE], &overrides).digest(), faulty.digest(), "{set}");
    }
    let other = Overrides { seed: Some(Seed(2)), ..Overrides::default() };
    assert_ne!(hit(&faulty), hit(&plan_with(&[METERS, PUMPS, OUTAGE], &other)), "the seed chooses");
}

#[test]
fn a_spike_brings_further_readings_of_the_same_law_in_its_activations_only() {
    let (calm, rush) = (plan(&[METERS, PUMPS]), plan(&[METERS, PUMPS, RUSH]));
    assert_eq!(readings(&calm, "pumps"), readings(&rush, "pumps"));
    let due =
        |plan: &Plan| -> Vec<u64> { readings(plan, "meters").into_iter().map(|reading| reading.2).collect() };
    let (before, after) = (due(&calm), due(&rush));
    let warm_up = calm.measuring_starts().since(calm.sending_starts());
    let within = |at: &u64| {
        [4.0, 19.0, 34.0].iter().any(|from| {
            let at = (*at as f64 - warm_up as f64) / 1e9 - from;
            (0.0..5.0).contains(&at)
        })
    };
    let outside = |due: &[u64]| due.iter().filter(|at| !within(at)).count();
    assert_eq!(outside(&before), outside(&after), "regular readings stay, others come within activations");
    let meters = FleetId(0);
    let expected = rush.expected_between(meters, Tick::ZERO, rush.end()).unwrap();
    let regular = calm.expected_between(meters, Tick::ZERO, calm.end()).unwrap();
    // Half of 200 devices send 2 × 2/s more, from 1 s after the start of an activation on average: for 4 s of the first at a load of
    // 1; of the second and third, which are cut short after 1 s by silence and by the end, for ∫₀¹ (1 − t) ÷ 2 dt = ¼ s, at
    // loads of 1 and 2.5.
    let surplus = 100.0 * 4.0 * (4.0 + 0.25 + 2.5 * 0.25);
    assert!((expected - regular - surplus).abs() < 0.02 * surplus, "{} {surplus}", expected - regular);
    let further = after.len() as f64 - before.len() as f64;
    assert!((further - surplus).abs() < 4.0 * surplus.sqrt(), "{further} {surplus}");
    assert!(after.len() > before.len() && rush.peak_rate() > calm.peak_rate());
}

/// One fleet of 100 devices with `keys`, in phases of 35 s after 3 s of warm-up.
fn behaving(keys: &str) -> Plan {
    plan(&[&format!("\n[fleet.a]\nprotocol = \"mqtt\"\ndevices = 100\nrate = \"1/s\"\n{keys}\n")])
}

fn after(plan: &Plan, seconds: f64) -> Tick {
    plan.measuring_starts().plus_ns((seconds * 1e9) as u64)
}

#[test]
fn fleets_join_and_leave_at_their_rate_and_are_counted_exactly() {
    let plan = behaving("join = \"5s\"\nleave = \"15s\"\nconnect_rate = \"50/s\"\nbehaviour = \"periodic\"");
    for index in 0..100 {
        let mut device = plan.device(index);
        let turn = f64::from(index) / 50.0;
        let (from, to) = (after(&plan, 5.0 + turn), after(&plan, 15.0 + turn));
        let connects = device.connect_at.unwrap();
        assert!((from..from.plus_ns(20_000_000)).contains(&connects), "{connects} {from}");
        assert!((to..to.plus_ns(20_000_000)).contains(&device.leave_at.unwrap()));
        let due: Vec<Tick> = std::iter::from_fn(|| device.next_due()).collect();
        assert!(due.iter().all(|at| (connects..device.leave_at.unwrap()).contains(at)), "{index}: {due:?}");
    }
    let expected: f64 =
        plan.measured_phases().map(|phase| plan.expected_readings(phase, FleetId(0)).unwrap()).sum();
    // Each device is there for 10 s, and sends after half a second.
    assert!((expected - 100.0 * 9.5).abs() < 1e-6, "{expected}");
    let count = readings(&plan, "a").len() as f64;
    assert!((count - expected).abs() <= 100.0, "{count}");
    let events: Vec<_> = plan.events().iter().map(|event| (event.what, event.at)).collect();
    assert_eq!(events, [("join", after(&plan, 5.0)), ("leave", after(&plan, 15.0))]);
}

#[test]
fn a_run_that_leaves_out_a_part_has_the_rest_earlier_and_expects_what_it_keeps() {
    let mut plan =
        behaving("join = \"2s\"\nleave = \"23s\"\nconnect_rate = \"50/s\"\nbehaviour = \"periodic\"");
    let (steady, fleet) = (plan.measured_phases().next().unwrap(), FleetId(0));
    let (begin, end, all) = (after(&plan, 0.0), plan.end(), plan.expected_readings(steady, fleet));
    let kept = plan.expected_between(fleet, begin, after(&plan, 8.0));
    let skip = Skip { at: after(&plan, 8.0), length_ns: 12_000_000_000 };
    plan.layout().course.leave_out(skip);
    assert_eq!((plan.measuring_starts(), plan.end()), (begin, Tick(end.0 - skip.length_ns)));
    assert_eq!(plan.expected_of_shard(steady, fleet, Shard::WHOLE), kept);
    assert_eq!(plan.expected_readings(steady, fleet), all);
    let mut device = plan.device(7);
    let planned = plan.device(7);
    assert!(device.leave_out(skip));
    assert_eq!(device.connect_at, planned.connect_at);
    assert_eq!(device.leave_at.unwrap().plus_ns(skip.length_ns), planned.leave_at.unwrap());
    // Another run of the same plan keeps all of it.
    plan.begin();
    assert_eq!(plan.end(), end);
}

#[test]
fn presets_cut_connections_as_they_say() {
    let of = |keys: &str| {
        let plan = behaving(keys);
        let from = plan.measuring_starts();
        (0..100)
            .map(|index| plan.device(index).outage.map(|o| (o.from.since(from), o.until.since(o.from))))
            .collect::<Vec<_>>()
    };
    let second = 1_000_000_000;
    assert_eq!(of("behaviour = { preset = \"thundering-herd\", at = \"7s\" }"), [Some((7 * second, 0)); 100]);
    assert_eq!(of("behaviour = \"store-and-forward\""), [Some((10 * second, 20 * second)); 100]);
    let some = of("behaviour = { preset = \"thundering-herd\", share = 0.3 }");
    let cut = some.iter().flatten().count();
    assert!((15..=45).contains(&cut), "{cut}");
    assert_eq!(some, of("behaviour = { preset = \"thundering-herd\", share = 0.3 }"));
    let wave = of("behaviour = { preset = \"roll-out\", pace = \"10/s\", restart = \"3s\" }");
    for (index, outage) in wave.iter().enumerate() {
        assert_eq!(*outage, Some((10 * second + index as u64 * second / 10, 3 * second)));
    }
    assert_eq!(of(""), [None; 100]);
}

#[test]
fn a_device_speaks_the_schema_of_a_roll_out_from_its_return_on() {
    let wave = r#"behaviour = { preset = "roll-out", at = "2s", pace = "10/s", restart = "3s", schema = 2 }"#;
    let (new, old) = (r#"{"schema":2,"device":"a-00030","class":"a","#, r#"{"device":"a-00030","#);
    for (keys, schemas) in [
        (wave.to_owned(), (old, new)),
        (wave.replace("schema = 2", "schema = 1") + "\npayload = { schema = 2 }", (new, old)),
        ("payload = { schema = 2 }".to_owned(), (new, new)),
        (String::new(), (old, old)),
    ] {
        let plan = behaving(&keys);
        let mut device = plan.device(30);
        // Device 30 is cut 3 s after the first and comes back 3 s later.
        let mut seen = 0;
        while let Some(at) = device.next_due() {
            let reading = device.device.reading(at);
            let mut payload = Vec::new();
            device.device.encode(&reading, RunFacts::default(), &mut payload);
            let is_after = at >= after(&plan, 8.0);
            let expected = if is_after { schemas.1 } else { schemas.0 };
            assert!(
                payload.starts_with(expected.as_bytes()),
                "{keys} {at}: {}",
                String::from_utf8_lossy(&payload)
            );
            seen |= 1 << u8::from(is_after);
        }
        assert_eq!(seen, 3, "{keys}");
    }
    // What a run leaves out of its plan brings the change forward, too.
    let plan = behaving(wave);
    let mut device = plan.device(30);
    assert!(device.leave_out(Skip { at: after(&plan, 0.0), length_ns: 4_000_000_000 }));
    for (at, expected) in [(3.9, old), (4.0, new)] {
        let reading = device.device.reading(after(&plan, at));
        let mut payload = Vec::new();
        device.device.encode(&reading, RunFacts::default(), &mut payload);
        assert!(payload.starts_with(expected.as_bytes()), "{at}");
    }
}

#[test]
fn presets_change_arrivals_repeats_and_connections() {
    let aligned = behaving("behaviour = { preset = \"top-of-minute\", spread = \"100ms\" }");
    assert!(
        readings(&aligned, "a")
            .iter()
            .filter(|r| r.2 < 3_000_000_000)
            .all(|r| r.2 % 1_000_000_000 < 100_000_000)
    );
    let twice = behaving("behaviour = { preset = \"at-least-once\", one_in = 10 }");
    let device = twice.device(3);
    let count = (1..=10_000).filter(|seq| device.repeats(*seq)).count() as f64;
    assert!((count - 1_000.0).abs() < 4.0 * 900_f64.sqrt(), "{count}");
    assert!((1..=100).all(|seq| device.repeats(seq) == twice.device(3).repeats(seq)));
    let sleepy = behaving("behaviour = \"sleepy\"");
    assert_eq!(sleepy.device(0).connect_at, None);
    assert_eq!(sleepy.sending_starts(), Tick(1_000_000_000));
}

#[test]
fn phases_scale_and_replace_the_rates_of_single_fleets() {
    let text = format!(
        "{HEAD}loads = {{ pumps = {{ shape = \"ramp\", to = 3 }} }}\nrates = {{ meters = \"10/s\" }}\n{METERS}{PUMPS}"
    );
    let plan = Plan::new(Scenario::parse("x.toml", &text, &Overrides::default()).unwrap());
    let burst = PhaseId(4);
    assert_eq!(plan.layout().phase(burst).name, "burst");
    // 200 devices at 10/s; 100 at 5/s, from 1 to 3 times that: 10 s of each.
    assert!((plan.expected_readings(burst, FleetId(0)).unwrap() - 20_000.0).abs() < 1e-6);
    assert!((plan.expected_readings(burst, FleetId(1)).unwrap() - 10_000.0).abs() < 1e-6);
}

#[test]
fn neither_another_fleet_nor_its_place_changes_a_fleets_digest() {
    let alone = plan(&[METERS]);
    let large = "[fleet.a]\nprotocol=\"ws\"\ndevices=4000\nrate=\"1/s\"\n";
    for company in [plan(&[METERS, PUMPS]), plan(&[PUMPS, USERS, METERS]), plan(&[large, METERS])] {
        let at = company.scenario().fleets.iter().position(|fleet| fleet.name == "meters").unwrap();
        assert_eq!(alone.fleet_digest(FleetId(0)), company.fleet_digest(FleetId(at as u16)));
        assert_ne!(alone.digest(), company.digest());
    }
}

#[test]
fn a_recording_shapes_the_plan_and_its_digest() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("plan.toml").display().to_string();
    let load = |keys: &str, csv: &str| {
        std::fs::write(dir.path().join("x.csv"), csv).unwrap();
        let fleet = format!("\n[fleet.a]\nprotocol = \"mqtt\"\ndevices = 10\n{keys}\n");
        Plan::new(Scenario::parse(&source, &format!("{HEAD}{fleet}"), &Overrides::default()).unwrap())
    };
    let times = "arrival = { law = \"recorded\", file = \"x.csv\" }";
    let (one, other) =
        (load(times, "time\n100\n101\n101.5\n103\n"), load(times, "time\n100\n101\n101.6\n103\n"));
    assert_eq!(
        readings(&one, "a").iter().map(|r| r.2 / 1_000_000).collect::<Vec<_>>(),
        [0, 1_000, 1_500, 3_000]
    );
    assert_ne!(one.digest(), other.digest());
    let rates = "arrival = { law = \"recorded-rate\", file = \"x.csv\", repeat = true }";
    let plan = load(rates, "time,rate\n0,100\n10,300\n");
    let warm_up = plan.expected_between(FleetId(0), plan.sending_starts(), plan.measuring_starts()).unwrap();
    assert!((warm_up - 300.0).abs() < 1e-6, "{warm_up}");
    let steady = plan.expected_readings(PhaseId(2), FleetId(0)).unwrap();
    // From 3 s to 23 s of the recording, which begins again after 20 s: 7 s × 100, 10 s × 300, 3 s × 100.
    assert!((steady - 4_000.0).abs() < 1e-6, "{steady}");
}

#[test]
fn back_off_doubles_to_its_limit_and_is_drawn_from_the_seed() {
    let waits = |jitter: &str, seed| {
        let pumps = format!("{PUMPS}backoff = {{ first = \"100ms\", max = \"2s\", jitter = {jitter} }}\n");
        let overrides = Overrides { seed: Some(Seed(seed)), ..Overrides::default() };
        let mut device = plan_with(&[&pumps], &overrides).device(7);
        [0, 1, 2, 3, 4, 5, 40, u32::MAX].map(|attempt| device.backoff(attempt).as_ns() / 1_000_000)
    };
    let exact = [100, 200, 400, 800, 1_600, 2_000, 2_000, 2_000];
    assert_eq!(waits("0", 1), exact);
    let drawn = waits("0.5", 1);
    assert!(drawn.iter().zip(exact).all(|(wait, most)| (most / 2..=most).contains(wait)), "{drawn:?}");
    assert_eq!(drawn, waits("0.5", 1));
    assert_ne!(drawn, waits("0.5", 2));
    assert_ne!(drawn[6], drawn[7], "equal attempts draw anew");
}

#[test]
fn global_indexes_run_through_the_fleets_in_the_order_of_their_names() {
    let plan = plan(&[USERS, PUMPS, METERS]);
    let ids: Vec<String> =
        [0, 199, 200, 299, 300, 302].map(|global| plan.device(global).device.id().to_owned()).to_vec();
    assert_eq!(
        ids,
        ["meters-00000", "meters-00199", "pumps-00000", "pumps-00099", "users-00000", "users-00002"]
    );
    assert_eq!(plan.devices(), 303);
}

/// What is wrong with the budgets of a plan of open fleets, or of open and closed ones.
fn hopeless(parts: &[&str], budget: &str) -> String {
    let budget = format!("\n[[budget]]\n{budget}\n");
    let plan = plan(&[&parts.concat(), &budget]);
    plan.budgets_have_data().map_or_else(|error| error.to_string(), |()| String::new())
}

#[test]
fn budgets_that_can_never_have_data_are_known_before_anything_is_sent() {
    // 200 devices at 2/s over 20 s at a load of 1, 5 s at 0 and 10 s at 2.5: 18 000 readings are expected.
    for (budget, said) in [
        ("p99_9 = \"<1s\"", ""),
        (
            "name = \"deep\"\np99_99 = \"<1s\"\np99 = \"<1s\"",
            "plan.toml: budget.deep.p99_99: `p99.99 < 1s` cannot be judged: of at most 19,674 readings of all fleets only 1 can be beyond p99.99, and 10 are needed; \
             run longer, send more, or demand a lower percentile",
        ),
        (
            "phase = \"silence\"\nerror_rate = \"<1%\"",
            "plan.toml: budget: `error rate < 1%` cannot be judged: nothing is due of all fleets in silence; name another phase or fleet, or give this one load",
        ),
        ("phase = \"warm-up\"\np99 = \"<1s\"", ""),
        ("kind = \"connect\"\np99_99 = \"<1s\"", ""),
    ] {
        assert_eq!(hopeless(&[METERS], budget), said, "{budget}");
    }
    assert_eq!(hopeless(&[METERS, USERS], "p99_99 = \"<1s\""), "", "what a closed fleet sends is not known");
}

#[test]
fn budgets_of_a_file_add_up_with_those_of_the_scenario_and_can_be_overridden() {
    let set = vec![crate::scenario::Override::parse("budget.quick.p99=<300ms").unwrap()];
    let overrides = Overrides { set, ..Overrides::default() };
    let own = "\n[[budget]]\nname = \"quick\"\np99 = \"<250ms\"\np50 = [\"<1s\", \">1us\"]\n";
    let text = format!("{HEAD}{METERS}{own}");
    let scenario = Scenario::parse("plan.toml", &text, &overrides).unwrap();
    let said: Vec<_> = scenario.budgets[0].conditions.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        ["p50 < 1s", "p50 > 1us", "p99 < 300ms"],
        "in the order of the file, what is given last"
    );
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("gate.toml");
    let load = |text: &str| {
        std::fs::write(&file, text).unwrap();
        crate::scenario::load_budgets(
            &file,
            &scenario,
            crate::language::Environment::Fixed(std::collections::BTreeMap::default()),
        )
    };
    assert_eq!(load("[[budget]]\nmax = \"<1s\"\n[[budget]]\nlost = \"<=0\"\n").unwrap().len(), 2);
    let faults =
        load("[[budget]]\nfleet = \"meter\"\nmax = \"1s\"\n[run]\ndrain = \"1s\"\n").unwrap_err().to_string();
    let faults: Vec<_> =
        faults.lines().filter_map(|line| line.split_once("gate.toml:")).map(|(_, said)| said).collect();
    assert_eq!(
        faults,
        [
            "2:9: budget[1].fleet: there is no fleet `meter`; did you mean `meters`?",
            "3:7: budget[1].max: `1s` does not begin with <, <=, > or >=; write \"<1s\", or one of <=, > and >=",
            "4:2: run: does not belong here; a file of budgets has [[budget]] tables only",
        ]
    );
    assert!(load("").unwrap_err().to_string().contains("there is no budget; add one"));
    assert!(load("[[budget]]\np99 = \"<${LIMIT}\"").unwrap_err().to_string().contains("LIMIT"));
}

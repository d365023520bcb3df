//! A factor on the load of a scenario: what it does to each kind of fleet, to the digest, and what it cannot be put on.

use proptest::prelude::*;

use crate::clock::Tick;
use crate::record::FleetId;
use crate::scenario::{Overrides, Plan, Scenario};

const FLEETS: &str = "
[scenario]
name = \"scaled\"

[run]
warm_up = \"2s\"

[[phase]]
name = \"steady\"
duration = \"10s\"

[[phase]]
name = \"rush\"
duration = \"5s\"
load = 3
rates = { meters = \"7/s\" }

[fleet.alarms]
protocol = \"http\"
devices = 5
rate = \"2/s\"
arrival = { law = \"aligned\", spread = \"100ms\" }

[fleet.meters]
protocol = \"mqtt\"
devices = 20
rate = \"4/s\"
arrival = \"poisson\"

[fleet.screens]
protocol = \"ws\"
devices = 6
model = \"subscriber\"
ws = { path = \"/v1/alerts/ws\" }

[fleet.users]
protocol = \"ws\"
devices = 10
model = \"closed\"
think = \"100ms\"
";

fn scaled(load: Option<f64>) -> Plan {
    let overrides = Overrides { load, ..Overrides::default() };
    Plan::new(Scenario::parse("x.toml", FLEETS, &overrides).unwrap_or_else(|error| panic!("{error}")))
}

fn refusals(text: &str, load: f64) -> String {
    let overrides = Overrides { load: Some(load), ..Overrides::default() };
    Scenario::parse("x.toml", text, &overrides).err().map(|error| error.to_string()).unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn open_fleets_send_more_and_closed_ones_are_more(load in 0.05..4.9_f64) {
        let (stated, plan) = (scaled(None), scaled(Some(load)));
        for (fleet, is_open) in [(0, true), (1, true), (2, false), (3, false)] {
            let (own, other) = (plan.fleet(FleetId(fleet)), stated.fleet(FleetId(fleet)));
            let devices = if fleet == 3 { (10.0 * load).round().max(1.0) } else { f64::from(other.devices) };
            prop_assert_eq!(own.devices, devices as u32, "{}", own.name);
            for phase in plan.measured_phases().filter(|_| is_open) {
                let [own, other] =
                    [&plan, &stated].map(|plan| plan.expected_readings(phase, FleetId(fleet)).unwrap());
                // A grid has whole readings of each device.
                let tolerance = if fleet == 0 { devices * (1.0 + load) } else { 1e-6 * own.max(1.0) };
                prop_assert!((own - load * other).abs() <= tolerance, "{} for {}", own, load * other);
            }
        }
        let warm_up = |plan: &Plan| plan.expected_between(FleetId(1), Tick::ZERO, plan.measuring_starts()).unwrap();
        prop_assert!((warm_up(&plan) - load * warm_up(&stated)).abs() < 1e-6, "the warm-up, too");
        prop_assert_ne!(plan.digest(), stated.digest());
        prop_assert_eq!(plan.fleet_digest(FleetId(2)) == stated.fleet_digest(FleetId(2)), true, "who only hears");
        prop_assert_eq!(&plan.scenario().overrides, &[format!("--load {load}")]);
    }
}

#[test]
fn the_load_as_stated_is_the_plan_as_stated() {
    assert_eq!(scaled(Some(1.0)).digest(), scaled(None).digest());
    // As many devices, and yet another plan: it was asked for another load.
    let closed = "[scenario]\nname = \"c\"\n[[phase]]\nname = \"p\"\nduration = \"1s\"\n[fleet.a]\nprotocol = \"http\"\n\
                  devices = 3\nmodel = \"closed\"\n";
    let plan = |load| {
        let overrides = Overrides { load: Some(load), ..Overrides::default() };
        Plan::new(Scenario::parse("x.toml", closed, &overrides).unwrap())
    };
    let (own, other) = (plan(1.01), plan(1.02));
    assert_eq!((own.devices(), other.devices()), (3, 3));
    assert_ne!(own.digest(), other.digest());
}

#[test]
fn what_cannot_be_scaled_is_refused_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("times.csv"), "time\n0\n1\n2\n").unwrap();
    let recorded = FLEETS.replace(
        "rate = \"4/s\"\narrival = \"poisson\"",
        "arrival = { law = \"recorded\", file = \"times.csv\" }",
    );
    let path = folder.path().join("x.toml");
    std::fs::write(&path, recorded.replace("rates = { meters = \"7/s\" }", "")).unwrap();
    let load = |load| Scenario::load(&path, &Overrides { load: Some(load), ..Overrides::default() });
    assert!(load(1.0).is_ok());
    let error = load(2.0).unwrap_err().to_string();
    assert!(error.contains("recorded instants cannot be played at 2 times their load"), "{error}");
    for (load, said) in [
        (6.0, "at 6 times the load, `spread` is longer than the time between two readings"),
        (30_000.0, "30000 times the rate is more than 100000/s of one device"),
        (200_000.0, "all fleets together have 2000031 devices"),
    ] {
        let error = refusals(FLEETS, load);
        assert!(error.contains(said), "{load}: {error}");
    }
}

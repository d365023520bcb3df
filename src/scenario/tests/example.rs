//! The scenarios shipped with squall, checked and pinned.

use std::path::Path;

use crate::language::Environment;
use crate::record::{FleetId, Protocol, Shard};
use crate::scenario::{Overrides, Plan, Scenario};

/// Pinned: a change here makes every stored run of the scenario incomparable, so it must be meant.
const DIGESTS: &str = include_str!("example.txt");

fn plan(name: &str) -> Plan {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("scenarios/{name}.toml"));
    let variables = ["SQUALL_TOKEN", "SQUALL_MQTT_USER", "SQUALL_MQTT_PASSWORD"];
    let variables = variables.map(|name| (name.to_owned(), format!("some {name}")));
    let environment = Environment::Fixed(variables.into());
    match Scenario::load(&path, &Overrides { environment, ..Overrides::default() }) {
        Ok(scenario) => Plan::new(scenario),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn every_shipped_scenario_is_sound_and_has_its_pinned_digest() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut found: Vec<(String, String)> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .map(|name| {
            let plan = plan(&name);
            assert_eq!(plan.scenario().name, name, "a scenario is named as its file");
            (name, plan.digest().to_owned())
        })
        .collect();
    found.sort();
    let found: Vec<String> = found.iter().map(|(name, digest)| format!("{digest}  {name}")).collect();
    assert_eq!(found, DIGESTS.lines().collect::<Vec<_>>());
    assert!(found.len() >= 14);
}

#[test]
fn four_shards_of_every_shipped_scenario_are_its_whole_plan() {
    for name in DIGESTS.lines().filter_map(|line| line.split("  ").nth(1)) {
        let plan = plan(name);
        let shards: Vec<_> = (1..=4).filter_map(|number| Shard::new(number, 4)).collect();
        let mut owners = vec![0; plan.devices() as usize];
        for shard in &shards {
            for global in (0..plan.devices()).filter(|global| shard.drives(*global)) {
                owners[global as usize] += 1;
            }
        }
        assert!(owners.iter().all(|owners| *owners == 1), "{name}");
        for (at, fleet) in plan.scenario().fleets.iter().enumerate() {
            let id = FleetId(at as u16);
            assert_eq!(
                shards.iter().map(|shard| plan.devices_of(id, *shard)).sum::<u32>(),
                fleet.devices,
                "{name}"
            );
            for phase in plan.measured_phases() {
                let parts: Option<f64> =
                    shards.iter().map(|shard| plan.expected_of_shard(phase, id, *shard)).sum();
                let whole = plan.expected_readings(phase, id);
                assert_eq!(parts.is_some(), whole.is_some(), "{name} {}", fleet.name);
                let (parts, whole) = (parts.unwrap_or_default(), whole.unwrap_or_default());
                assert!(
                    (parts - whole).abs() <= 1e-6 * whole.max(1.0),
                    "{name} {}: {parts} {whole}",
                    fleet.name
                );
            }
        }
    }
}

#[test]
fn the_quickstart_is_as_large_and_as_short_as_promised() {
    let plan = plan("quickstart");
    for protocol in ["http", "ws", "mqtt"].map(Protocol::named) {
        let devices: u32 = plan
            .scenario()
            .fleets
            .iter()
            .filter(|fleet| fleet.protocol == protocol)
            .map(|fleet| fleet.devices)
            .sum();
        assert!(devices >= 300, "{protocol}: {devices}");
    }
    assert!(plan.expected_rate() >= 2_000.0, "{}", plan.expected_rate());
    assert!(plan.end().as_secs_f64() < 45.0, "{}", plan.end());
    let names: Vec<_> = plan.layout().phases.iter().map(|phase| phase.name.as_str()).collect();
    assert_eq!(names, ["connect", "warm-up", "steady", "burst", "recovery"]);
}

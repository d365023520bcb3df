//! The scenarios shipped with squall, checked and pinned.

use std::path::Path;

use super::{Overrides, Plan, Scenario};
use crate::record::Protocol;

/// Pinned: a change here makes every stored run of the scenario incomparable, so it must be meant.
const DIGESTS: [(&str, &str); 2] = [
    ("ci-smoke", "541f1de2c1c8d36891974fe54c0cfbb368bee83ffe6a74cabcfb13027f6d18a3"),
    ("quickstart", "43854b2a928da14dcf13752b6259394172d8ac49897c70728c0134cbe90e6eca"),
];

fn plan(name: &str) -> Plan {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("scenarios/{name}.toml"));
    match Scenario::load(&path, &Overrides::default()) {
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
    assert_eq!(found, DIGESTS.map(|(name, digest)| (name.to_owned(), digest.to_owned())));
}

#[test]
fn the_quickstart_is_as_large_and_as_short_as_promised() {
    let plan = plan("quickstart");
    for protocol in Protocol::ALL {
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

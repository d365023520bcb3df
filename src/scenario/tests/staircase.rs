//! Staircases: the phases that steps stand for, to the last reading, and what refers to them by name.

use proptest::prelude::*;

use super::broken::problems;
use crate::clock::Tick;
use crate::record::FleetId;
use crate::scenario::{Override, Overrides, Plan, Scenario};
use crate::units::Span;

const FLEETS: &str = "
[fleet.meters]
protocol = \"http\"
devices = 7
rate = \"3/s\"
arrival = \"poisson\"

[fleet.pumps]
protocol = \"mqtt\"
devices = 4
rate = \"5/s\"
arrival = { jitter = 0.3 }
";

fn parse(phases: &str, overrides: &Overrides) -> Scenario {
    let text = format!("[scenario]\nname = \"climb\"\n{phases}{FLEETS}");
    Scenario::parse("x.toml", &text, overrides).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn dues(plan: &Plan) -> Vec<Vec<Tick>> {
    let devices = (0..plan.devices()).map(|index| plan.device(index));
    devices.map(|mut device| std::iter::from_fn(|| device.next_due()).collect()).collect()
}

/// A number of tenths as a person writes it.
fn tenths(number: u32) -> String {
    format!("{}.{}", number / 10, number % 10)
}

fn stairs(from: u32, to: u32, by: u32, hold: u32) -> String {
    let (from, to, by) = (tenths(from), tenths(to), tenths(by));
    format!("{{ shape = \"steps\", from = {from}, to = {to}, by = {by}, hold = \"{hold}ms\" }}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_staircase_is_the_phases_that_it_stands_for(
        low in 0..60_u32, by in 1..25_u32, steps in 1..7_u32, hold in 1..3_000_u32,
        is_down in any::<bool>(), own in prop::option::of((0..30_u32, 1..9_u32)),
    ) {
        let high = low + by * steps;
        let (from, to) = if is_down { (high, low) } else { (low, high) };
        let fleet = |value: &str| format!("loads = {{ pumps = {value} }}\n");
        let own_stairs = own.map_or(fleet("2"), |(low, by)| fleet(&stairs(low, low + by * steps, by, hold)));
        let short = format!("[[phase]]\nname = \"climb\"\nload = {}\n{own_stairs}", stairs(from, to, by, hold));
        let levels: Vec<u32> = (0..=steps).map(|n| if is_down { high - by * n } else { low + by * n }).collect();
        let long: Vec<_> = levels.iter().zip(0..).map(|(level, n)| {
            let own = own.map_or(fleet("2"), |(low, by)| fleet(&tenths(low + by * n)));
            let level = tenths(*level);
            format!("[[phase]]\nname = \"climb-{}\"\nduration = \"{hold}ms\"\nload = {level}\n{own}", n + 1)
        }).collect();
        let long = long.concat();
        let overrides = Overrides::default();
        let (short, long) = (Plan::new(parse(&short, &overrides)), Plan::new(parse(&long, &overrides)));
        prop_assert_eq!(short.digest(), long.digest());
        prop_assert_eq!(short.layout(), long.layout());
        prop_assert_eq!(dues(&short), dues(&long));
        for (phase, level) in short.measured_phases().zip(levels) {
            let expected = short.expected_readings(phase, FleetId(0)).unwrap();
            let wanted = 7.0 * 3.0 * f64::from(level) / 10.0 * f64::from(hold) / 1e3;
            prop_assert!((expected - wanted).abs() < 1e-6 * wanted.max(1.0), "{} for {}", expected, wanted);
        }
    }
}

const CLIMB: &str = "[[phase]]\nname = \"climb\"\n\
                     load = { shape = \"steps\", from = 0.1, to = 0.4, by = 0.1, hold = \"10s\" }\n";

#[test]
fn steps_may_go_down_by_either_sign_and_their_duration_may_be_said() {
    let descend = |by: &str, more: &str| {
        let load = format!("{{ shape = \"steps\", from = 5, to = 1, by = {by}, hold = \"2s\" }}");
        parse(&format!("[[phase]]\nname = \"down\"\nload = {load}\n{more}"), &Overrides::default()).phases
    };
    assert_eq!(descend("2", ""), descend("-2", ""));
    assert_eq!(descend("2", ""), descend("2", "duration = \"6s\"\n"));
    let lengths: Vec<_> = descend("2", "").iter().map(|phase| (phase.name.clone(), phase.duration)).collect();
    let second = Span::from_ms(2_000);
    assert_eq!(lengths, ["down-1", "down-2", "down-3"].map(|name| (name.to_owned(), second)));
}

#[test]
fn an_override_changes_the_staircase_as_it_is_written() {
    let overrides = |set: &str, duration| Overrides {
        set: vec![Override::parse(set).unwrap()],
        duration,
        ..Overrides::default()
    };
    let lengths = |overrides: &Overrides| -> Vec<u64> {
        parse(CLIMB, overrides).phases.iter().map(|phase| phase.duration.as_ns() / 1_000_000).collect()
    };
    assert_eq!(lengths(&overrides("phase.climb.load.hold=5s", None)), [5_000; 4]);
    assert_eq!(lengths(&overrides("phase.climb.load.to=0.2", Some(Span::from_ms(3_000)))), [1_500; 2]);
    let text = format!("[scenario]\nname = \"climb\"\n{CLIMB}{FLEETS}");
    let [flat, single] = ["phase.climb.load=2", "phase.climb-2.load=2"]
        .map(|set| problems(&text, &overrides(set, None)).concat());
    assert!(flat.contains("phase.climb.duration: is missing"), "{flat}");
    assert!(single.contains("there is no phase `climb-2`; did you mean `climb`?"), "{single}");
}

#[test]
fn a_budget_of_a_staircase_is_one_of_every_step() {
    let scopes = |budget: &str, phases: &str| -> Vec<String> {
        let scenario =
            parse(&format!("{phases}[[budget]]\n{budget}\np99 = \"<1s\"\n"), &Overrides::default());
        scenario.budgets.iter().map(|budget| budget.scope.to_string()).collect()
    };
    let each = [1, 2, 3, 4].map(|n| format!("all fleets in climb-{n}"));
    assert_eq!(scopes("phase = \"climb\"", CLIMB), each);
    assert_eq!(scopes("phase = \"climb-3\"", CLIMB), ["all fleets in climb-3"]);
    assert_eq!(scopes("fleet = \"pumps\"", CLIMB), ["pumps"]);
    let text = format!(
        "[scenario]\nname = \"climb\"\n{CLIMB}[[budget]]\nphase = \"climp\"\np99 = \"<1s\"\n{FLEETS}"
    );
    let found = problems(&text, &Overrides::default());
    assert_eq!(found, ["7:9: budget[1].phase: there is no phase `climp`; did you mean `climb`?"]);
}

#[test]
fn a_name_is_had_once_by_phases_steps_and_staircases() {
    let plain = |name: &str| format!("[[phase]]\nname = \"{name}\"\nduration = \"1s\"\n");
    for (phases, name) in [
        (format!("{CLIMB}{}", plain("climb")), "climb"),
        (format!("{CLIMB}{}", plain("climb-2")), "climb-2"),
        (format!("{}{CLIMB}", plain("climb-2")), "climb-2"),
        (format!("{}{CLIMB}", plain("climb")), "climb"),
        (format!("{CLIMB}{CLIMB}"), "climb"),
    ] {
        let text = format!("[scenario]\nname = \"climb\"\n{phases}{FLEETS}");
        let found = problems(&text, &Overrides::default());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(&format!("there is a phase `{name}` already")), "{found:?}");
    }
    assert_eq!(parse(&format!("{CLIMB}{}", plain("climb-5")), &Overrides::default()).phases.len(), 5);
}

#[test]
fn phases_and_steps_together_are_bounded() {
    let load = "{ shape = \"steps\", from = 1, to = 100, by = 1, hold = \"1s\" }";
    let many = [0, 1, 2].map(|n| format!("[[phase]]\nname = \"p{n}\"\nload = {load}\n")).concat();
    let text = format!("[scenario]\nname = \"climb\"\n{many}{FLEETS}");
    let found = problems(&text, &Overrides::default()).concat();
    assert!(found.contains("with every step of a staircase there are more than 256 phases"), "{found}");
}

//! The sizes of three scenarios, worked by hand, and the page that is written from the figures.

use std::fmt::Write as _;

use super::*;
use crate::protocol::protocols;
use crate::scenario::{Overrides, Scenario};
use crate::units::figure::count;

/// Round figures in place of measured ones, so that what is worked by hand stays so.
fn round() -> Cost {
    let text = "
        [reading]
        http = { us = 5.0, from = { result = '', part = '' } }
        mqtt = { us = 4.0, from = { result = '', part = '' } }
        [tls]
        us = 10.0
        from = { result = '', part = '' }
        [crowd]
        few_us = 5.0
        many_us = 10.0
        from = { result = '', part = '' }
        [connection]
        kernel_bytes = 4000
        [segments]
        http = 3.0
        mqtt = 7.0
        [node]
        share = 0.5
        descriptors = 1000064
        ports = 28000
        memory_per_core = 4000000000
        memory_share = 0.8
        segments_per_s = 1000000
        cores = [8]
    ";
    toml::from_str(text).unwrap()
}

fn demand(devices: u64, readings_per_s: f64, processor: f64, memory: f64) -> Demand {
    Demand {
        devices,
        readings_per_s,
        processor,
        segments_per_s: readings_per_s * 3.0,
        memory,
        memory_each: 600_000_000,
        connections: devices,
        is_open_ended: false,
    }
}

fn told(sizing: &Sizing) -> (u64, Limit, u64, u64) {
    (sizing.shards, sizing.limits[0].0, sizing.devices, sizing.source_addresses)
}

#[test]
fn three_plans_come_to_what_is_worked_by_hand() {
    let cost = round();
    // A million idle meters that say something once a minute: 16 667/s at 8 us each are 0.13 cores of 4. Memory: 9 GB of
    // 8 x 4 x 0.8 - 0.6 = 25 GB. Descriptors: a million of a million. One machine, of 36 addresses.
    let rate = 1e6 / 60.0;
    let meters = demand(1_000_000, rate, rate * cost.seconds("mqtt", false), 9e9).on(8, &cost);
    assert_eq!(told(&meters), (1, Limit::Descriptors, 1_000_000, 36));
    assert!((meters.limits[0].1 - 1.0).abs() < 1e-9 && meters.limits[1].0 == Limit::Memory);
    assert!((meters.limits[1].1 - 0.36).abs() < 1e-9, "{meters:?}");
    // 300 000 readings/s over TLS at 20 us are 6 cores, of which a machine gives 4: 1.5, so two, of 15 000 devices each.
    let secure = demand(30_000, 3e5, 3e5 * cost.seconds("http", true), 30_000.0 * 15e3).on(8, &cost);
    assert_eq!(told(&secure), (2, Limit::Processor, 15_000, 1));
    assert!((secure.limits[0].1 - 1.5).abs() < 1e-9, "{secure:?}");
    assert_eq!(secure.memory, 600_000_000 + 225_000_000);
    // Ten million devices that each send every ten seconds: a million readings/s at 10 us are 10 cores. Of 32 cores a machine gives
    // 16: 0.625. Packets: 3 million of a million. Descriptors: ten million of a million, so ten of a million devices each.
    let many = demand(10_000_000, 1e6, 1e6 * cost.seconds("http", false), 1e7 * 9e3).on(32, &cost);
    assert_eq!(told(&many), (10, Limit::Descriptors, 1_000_000, 36));
    let order: Vec<Limit> = many.limits.iter().map(|(limit, _)| *limit).collect();
    assert_eq!(order, [Limit::Descriptors, Limit::Packets, Limit::Memory, Limit::Processor]);
}

#[test]
fn a_protocol_that_was_not_measured_costs_as_much_as_the_dearest() {
    let cost = round();
    for (protocol, tls, us) in
        [("mqtt", false, 8.0), ("http", false, 10.0), ("sse", false, 10.0), ("mqtt", true, 20.0)]
    {
        assert!((cost.seconds(protocol, tls) * 1e6 - us).abs() < 1e-9, "{protocol}");
    }
}

#[test]
fn a_plan_demands_what_its_fleets_do_at_their_peak() {
    let text = "
        [scenario]
        name = 's'
        [[phase]]
        name = 'p'
        duration = '10s'
        load = 2
        [fleet.a]
        protocol = 'http'
        devices = 100
        rate = '10/s'
        [fleet.b]
        protocol = 'mqtt'
        devices = 50
        rate = '2/s'
    ";
    let plan = Plan::new(Scenario::parse("s", text, &Overrides::default()).unwrap());
    let demand = Demand::of(&plan);
    assert_eq!((demand.devices, demand.connections, demand.is_open_ended), (150, 100, false));
    assert!((demand.readings_per_s - 2_200.0).abs() < 1e-6, "{demand:?}");
    let processor = 2_000.0 * COST.seconds("http", false) + 200.0 * COST.seconds("mqtt", false);
    assert!((demand.processor - processor).abs() < 1e-9);
    let segments = 2_000.0 * COST.segments("http") + 200.0 * COST.segments("mqtt");
    assert!((demand.segments_per_s - segments).abs() < 1e-6);
    let idle: u64 =
        plan.scenario().fleets.iter().map(|fleet| fleet.facts.idle_bytes * u64::from(fleet.devices)).sum();
    assert!((demand.memory - (idle + 150 * COST.connection.kernel_bytes) as f64).abs() < 1.0);
}

const PAGE: &str = "docs/scale.md";
const MARKS: (&str, &str) = ("<!-- figures: begin -->\n", "<!-- figures: end -->\n");

/// What the page shows between its marks.
fn figures() -> String {
    let mut page = "\n| protocol | a reading, µs of processor time among 1 000 devices | measured in | among 10 000, µs |\n|---|---|---|---|\n".to_owned();
    let measured = COST.reading.iter().map(|(name, measured)| (name.as_str(), measured, false));
    for (name, measured, tls) in measured.chain([("any, over TLS 1.3", &COST.tls, true)]) {
        let result = &measured.from.result;
        let many = COST.seconds(name, tls) * 1e6;
        let _ = writeln!(
            page,
            "| {name} | {} | [{result}](../results/peers/{result}.md) | {many:.1} |",
            measured.us
        );
    }
    page += "\n| cores | readings/s by processor, HTTP | over TLS | devices by memory | over TLS | by descriptors | readings/s by packets, HTTP |\n|---|---|---|---|---|---|---|\n";
    let node = &COST.node;
    for cores in &node.cores {
        let rate = |tls| (f64::from(*cores) * node.share / COST.seconds("http", tls)) as u64;
        let memory = f64::from(*cores) * node.memory_per_core as f64 * node.memory_share;
        let room = |tls: u64| (memory / (idle() + tls + COST.connection.kernel_bytes) as f64) as u64;
        let packets = node.segments_per_s / COST.segments("http");
        let cells =
            [rate(false), rate(true), room(0), room(preflight::TLS), node.descriptors, packets as u64];
        let cells = cells.map(|number| count(round_down(number)));
        let _ = writeln!(page, "| {cores} | {} |", cells.join(" | "));
    }
    page += "\n| ten million devices over HTTP, a reading each | machines of 8 cores | of 32 | of 96 | what decides |\n|---|---|---|---|---|\n";
    for (word, per_s, tls) in [
        ("every minute, plain", 1.0 / 60.0, false),
        ("every 10 s, plain", 0.1, false),
        ("every 10 s, over TLS", 0.1, true),
        ("every second, over TLS", 1.0, true),
    ] {
        let each = idle() + COST.connection.kernel_bytes + if tls { preflight::TLS } else { 0 };
        let rate = 1e7 * per_s;
        let demand = demand(10_000_000, rate, rate * COST.seconds("http", tls), 1e7 * each as f64);
        let demand = Demand { segments_per_s: rate * COST.segments("http"), ..demand };
        let sized: Vec<Sizing> = node.cores.iter().map(|cores| demand.on(*cores, &COST)).collect();
        let shards: Vec<String> = sized.iter().map(|sizing| count(sizing.shards)).collect();
        let limits: Vec<&str> = sized.iter().map(|sizing| sizing.limits[0].0.name()).collect();
        let _ = writeln!(page, "| {word} | {} | {} |", shards.join(" | "), limits.join(", "));
    }
    page + "\n"
}

/// What a device of any protocol is allowed to take while it is idle, bytes; a test of `protocol` holds it to that.
fn idle() -> u64 {
    protocols().map(|facts| facts.idle_bytes).max().unwrap_or(0)
}

/// To two digits: more would be pretence.
fn round_down(number: u64) -> u64 {
    let scale = 10_u64.pow(number.max(1).ilog10().saturating_sub(1));
    number / scale * scale
}

/// `SQUALL_WRITE_DOCS=1 cargo test node` puts the tables into the page.
#[test]
fn the_page_holds_the_figures_that_plans_are_sized_by() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(MARKS.0).expect("the page marks where the figures begin");
    let (found, after) = rest.split_once(MARKS.1).expect("the page marks where the figures end");
    let wanted = figures();
    if std::env::var_os("SQUALL_WRITE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{}{wanted}{}{after}", MARKS.0, MARKS.1)).unwrap();
    } else {
        assert_eq!(found, wanted, "run SQUALL_WRITE_DOCS=1 cargo test node");
    }
}

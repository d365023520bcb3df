//! What single steps cost. `cargo bench --bench micro --features internals`; every figure is one iteration as its name says.

use std::sync::Arc;

use divan::{Bencher, black_box};
use squall::clock::{Monotonic, Pacer, Tick};
use squall::record::{FleetId, Kind, Outcome, PhaseId, Sample, Sink};
use squall::results;
use squall::scenario::{DevicePlan, Overrides, Plan, Scenario};

fn main() {
    divan::main();
}

/// The plan of one fleet, with `keys` in its table.
fn plan(keys: &str) -> Plan {
    let text = format!(
        "[scenario]\nname = \"micro\"\n[[phase]]\nname = \"steady\"\nduration = \"24h\"\n[fleet.meters]\nprotocol = \"http\"\n\
         devices = 1\nrate = \"100/s\"\n{keys}\n"
    );
    let scenario = Scenario::parse("micro.toml", &text, &Overrides::default());
    Plan::new(scenario.unwrap_or_else(|faults| panic!("{faults}")))
}

fn device(keys: &str) -> DevicePlan {
    plan(keys).device(0)
}

/// One reading written down.
#[divan::bench(args = [
    "payload = \"json\"",
    "payload = \"cbor\"",
    "payload = \"binary\"",
    "payload = { size = \"1KiB\" }",
    "payload = { format = \"template\", template = '{\"d\":\"{{device}}\",\"n\":{{seq}},\"v\":{{value}}}' }",
])]
#[expect(clippy::default_trait_access, reason = "the type is not public")]
fn encode(bencher: Bencher<'_, '_>, keys: &str) {
    let mut device = device(keys).device;
    let reading = device.reading(Tick(1_000_000_000));
    let mut out = Vec::with_capacity(2048);
    bencher.bench_local(|| {
        out.clear();
        device.encode(black_box(&reading), Default::default(), &mut out);
        black_box(out.len())
    });
}

/// One reading made: signal, noise, anomalies.
#[divan::bench]
fn reading(bencher: Bencher<'_, '_>) {
    let mut device = device("").device;
    let mut at = 0;
    bencher.bench_local(|| {
        at += 10_000_000;
        black_box(device.reading(Tick(at)))
    });
}

/// When the next reading is due.
#[divan::bench(args = ["constant", "poisson", "gamma", "pareto"])]
fn next_due(bencher: Bencher<'_, '_>, law: &str) {
    let fresh = || {
        device(&match law {
            "gamma" => "arrival = { law = \"gamma\", shape = 2.0 }".to_owned(),
            "pareto" => "arrival = { law = \"pareto\", tail = 2.5 }".to_owned(),
            law => format!("arrival = \"{law}\""),
        })
    };
    let mut device = fresh();
    bencher.bench_local(|| {
        let due = device.next_due();
        if due.is_none() {
            device = fresh();
        }
        black_box(due)
    });
}

/// One reading recorded: planned, sent, completed, three histograms.
#[divan::bench]
fn record(bencher: Bencher<'_, '_>) {
    let layout = Arc::new(plan("").layout().clone());
    let (mut recorders, _collector) = results::recorders(&layout, 1);
    let mut recorder = recorders.remove(0);
    let phase = PhaseId((layout.phases.len() - 1) as u16);
    let mut seq = 0;
    bencher.bench_local(|| {
        seq += 1;
        let intended = Tick(seq * 10_000);
        recorder.planned(phase, FleetId(0), Kind::Reading);
        recorder.sent(phase, FleetId(0), Kind::Reading);
        recorder.completed(&Sample {
            device: 0,
            phase,
            fleet: FleetId(0),
            kind: Kind::Reading,
            seq,
            intended,
            eligible: Some(intended),
            actual: Some(intended.plus_ns(5_000)),
            completed: intended.plus_ns(100_000 + seq % 50_000),
            outcome: Outcome::Ok,
            stages: None,
            mark: None,
            flagged: None,
            arm: None,
            attempts: 1,
            own_wait_ns: 0,
            plan_wait_ns: 0,
        });
    });
}

/// The clock read.
#[divan::bench]
fn now(bencher: Bencher<'_, '_>) {
    let clock = Monotonic::start();
    bencher.bench_local(|| black_box(clock.now()));
}

/// The pacer armed for 200 µs from now, slept and woken: what is above 200 µs is how late this machine wakes.
#[divan::bench]
fn sleep_200_us(bencher: Bencher<'_, '_>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let clock = Monotonic::start();
    let mut pacer = runtime.block_on(async { Pacer::new(clock) });
    bencher.bench_local(|| {
        runtime.block_on(pacer.sleep_until(clock.now().plus_ns(200_000))).expect("a timer");
    });
}

/// One request written and its response read, over a stream in memory.
#[divan::bench(args = ["http", "ws", "mqtt"])]
fn exchange(bencher: Bencher<'_, '_>, protocol: &str) {
    use squall::protocol::internals;
    let exchange: Box<dyn FnMut()> = match protocol {
        "http" => Box::new(internals::http()),
        "ws" => Box::new(internals::ws()),
        _ => Box::new(internals::mqtt()),
    };
    bencher.bench_local(exchange);
}

/// One value observed by the bundled system's detector.
#[divan::bench]
fn detect(bencher: Bencher<'_, '_>) {
    let mut detect = squall::reference::internals::detect();
    let mut nth = 0.0;
    bencher.bench_local(|| {
        nth += 1.0;
        detect(20.0 + black_box(nth % 7.0));
    });
}

/// One reading judged by the bundled system's worker, with its cache and without.
#[divan::bench(args = [0, 10_000])]
fn judge(bencher: Bencher<'_, '_>, cache: usize) {
    let mut judge = squall::reference::internals::judge(cache);
    let mut nth = 0.0;
    bencher.bench_local(|| {
        nth += 1.0;
        black_box(judge(20.0 + nth % 7.0))
    });
}

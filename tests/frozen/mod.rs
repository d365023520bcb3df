//! One proof per protocol, all by the same formula.

mod server;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use squall::clock::{Monotonic, Tick};
use squall::engine::{Control, End, Report};
use squall::protocol::Endpoint;
use squall::record::{Kind, Outcome, PhaseRole, Protocol, Sample};
use squall::scenario::Plan;

use crate::support::{Book, drive, plan};
use server::{Law, Server};

const FREEZE_NS: u64 = 2_000_000_000;
const MS: u64 = 1_000_000;

fn scenario(protocol: Protocol) -> String {
    let close = match protocol {
        Protocol::Http => "response",
        Protocol::Ws => "verdict",
        Protocol::Mqtt => "ack",
    };
    format!(
        r#"
        [scenario]
        name = "frozen"
        seed = 11
        [run]
        warm_up = "1s"
        [[phase]]
        name = "steady"
        duration = "20s"
        [fleet.meters]
        protocol = "{protocol}"
        devices = 1
        rate = "100/s"
        arrival = {{ jitter = 0.0 }}
        in_flight = 1
        backlog = 1000
        close = "{close}"
        "#
    )
}

/// The planned instants of the only device, from the plan itself.
fn planned(plan: &Plan) -> Vec<Tick> {
    let mut device = plan.device(0);
    std::iter::from_fn(|| device.next_due()).collect()
}

/// A freeze that begins halfway between two planned instants, a third of the way into the measured phase, so that
/// no reading lies so near its edges that a microsecond decides on which side.
fn freeze_start(plan: &Plan, due: &[Tick]) -> Tick {
    let steady = plan.layout().phases.iter().find(|phase| phase.role == PhaseRole::Measured).unwrap();
    let from = steady.start.plus_ns(7_000_000_000);
    let at = due.iter().position(|instant| *instant >= from).unwrap();
    Tick(due[at].0.midpoint(due[at + 1].0))
}

/// Response times the formula gives for the measured readings: taken up when due or when the one before is answered.
fn predicted(plan: &Plan, due: &[Tick], law: Law, still: &[(Tick, Tick)]) -> Vec<u64> {
    let mut answered = Tick::ZERO;
    let mut times = Vec::new();
    for intended in due {
        answered = awake(still, law.answer_at(awake(still, (*intended).max(answered))));
        if plan.layout().phase(plan.layout().phase_at(*intended)).role == PhaseRole::Measured {
            times.push(answered.since(*intended));
        }
    }
    times
}

fn measured(plan: &Plan, book: &Book, figure: impl Fn(&Sample) -> Option<u64>) -> Vec<u64> {
    let steady = |sample: &&Sample| plan.layout().phase(sample.phase).role == PhaseRole::Measured;
    book.readings().filter(steady).filter_map(figure).collect()
}

fn quantile(times: &[u64], q: f64) -> u64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[((q * sorted.len() as f64).ceil() as usize).clamp(1, sorted.len()) - 1]
}

/// The runs of all three protocols, made side by side: together they take no longer than one, and load the machine little.
static RUNS: LazyLock<[Run; 3]> = LazyLock::new(|| {
    // A machine that stands still much, as virtual ones do now and then, is given another chance.
    let quiet = |runs: &[Run; 3]| runs.iter().all(|run| run.still_ns < 50 * MS);
    (0..2).map(|_| all()).find(quiet).unwrap_or_else(all)
});

fn all() -> [Run; 3] {
    std::thread::scope(|scope| {
        Protocol::ALL.map(|protocol| scope.spawn(move || run(protocol))).map(|run| run.join().unwrap())
    })
}

/// Does `work`, and gives with its result when the machine itself stood still meanwhile, by a thread that only sleeps and
/// notes when it overslept. To the readings such a standstill is one more freeze of the server.
fn watched<T>(clock: Monotonic, work: impl FnOnce() -> T) -> (T, Vec<(Tick, Tick)>) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut standstills = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let before = clock.now();
                std::thread::sleep(Duration::from_millis(1));
                let after = clock.now();
                if after.since(before) > 5 * MS {
                    standstills.push((before, after));
                }
            }
            standstills
        });
        let done = work();
        over.store(true, Ordering::Relaxed);
        (done, watch.join().unwrap())
    })
}

/// `at`, or the end of the standstill it lies in.
fn awake(standstills: &[(Tick, Tick)], at: Tick) -> Tick {
    let still = standstills.iter().find(|(from, to)| (*from..*to).contains(&at));
    still.map_or(at, |(_, to)| *to)
}

/// What a run recorded, and what the formula says of it.
struct Run {
    plan: Arc<Plan>,
    report: Report,
    book: Book,
    due: Vec<Tick>,
    expected: Vec<u64>,
    /// How long the machine stood still, altogether.
    still_ns: u64,
}

fn run(protocol: Protocol) -> Run {
    let plan = plan(&scenario(protocol));
    let due = planned(&plan);
    let law = Law { freeze: freeze_start(&plan, &due), freeze_ns: FREEZE_NS };
    let clock = Monotonic::start();
    let server = Server::start(protocol, law, clock);
    let endpoint = Endpoint::resolve(protocol, &server.url()).unwrap();
    let ((report, book), still) = watched(clock, || drive(&plan, vec![endpoint], 1, clock, &Control::new()));
    let expected = predicted(&plan, &due, law, &still);
    let still_ns = still.iter().map(|(from, to)| to.since(*from)).sum();
    Run { plan, report, book, due, expected, still_ns }
}

fn prove(protocol: Protocol) {
    let run = RUNS.iter().find(|run| run.plan.layout().fleets[0].protocol == protocol).unwrap();
    let Run { plan, report, book, due, expected, still_ns } = run;
    assert_eq!(report.end, End::Complete);
    assert_eq!(book.planned as usize, due.len(), "every planned reading was released");
    assert!(book.readings().all(|sample| sample.outcome == Outcome::Ok), "all are answered in the end");
    let connects = book.samples.iter().filter(|sample| sample.kind == Kind::Connect).count();
    assert_eq!(connects, 1, "a freeze is no reason to reconnect");

    let response = measured(plan, book, |sample| Some(sample.response_time_ns()));
    let service = measured(plan, book, Sample::service_time_ns);
    assert_eq!(response.len(), expected.len());
    println!("the machine stood still for {:.0} ms", *still_ns as f64 / 1e6);
    println!("{protocol}: {} readings; figure: expected, response, service (ms)", expected.len());
    for (name, q) in [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)] {
        let (want, got, alone) = (quantile(expected, q), quantile(&response, q), quantile(&service, q));
        let ms = |ns: u64| ns as f64 / 1e6;
        println!("  {name:>4}  {:10.3}  {:10.3}  {:10.3}", ms(want), ms(got), ms(alone));
        let off = want.abs_diff(got);
        assert!(
            off <= (2 * MS).max(want / 50),
            "{protocol} {name}: {:.3} ms where the plan gives {:.3} ms",
            ms(got),
            ms(want)
        );
    }
    assert!(quantile(expected, 0.99) > 1_500 * MS, "the freeze reaches the percentiles");
    assert!(
        quantile(&service, 0.99) < quantile(&response, 0.99) / 100,
        "a closed loop would have hidden the freeze: service p99 {} ns",
        quantile(&service, 0.99)
    );
}

#[test]
fn http_response_times_follow_the_plan_through_a_freeze() {
    prove(Protocol::Http);
}

#[test]
fn websocket_response_times_follow_the_plan_through_a_freeze() {
    prove(Protocol::Ws);
}

#[test]
fn mqtt_response_times_follow_the_plan_through_a_freeze() {
    prove(Protocol::Mqtt);
}

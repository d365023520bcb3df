//! The frozen-server proof: one per protocol, in the clear and over TLS, all by the same formula.
//!
//! A server answers one reading per millisecond and connection, but freezes once for 2 s. The response times a run must
//! show follow from the plan by a closed recursion: reading k is taken up when it is due or when the one before it is
//! answered, whichever is later. The run's percentiles must agree with that; its service times show how small a closed
//! loop would have made the freeze look.

mod server;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use squall::clock::{Monotonic, Tick};
use squall::engine::{Control, End, Report};
use squall::protocol::Endpoint;
use squall::record::{Kind, Outcome, PhaseRole, Protocol, Sample};
use squall::scenario::Plan;

use crate::alone::{Misfit, alone, disturbance, measure};
use crate::support::{Book, drive, plan};
use crate::trusted::Trusted;
use server::{Law, Server};

const FREEZE_NS: u64 = 2_000_000_000;
const MS: u64 = 1_000_000;

/// How a fleet speaks its protocol.
type Manner = (Protocol, Version);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Usual,
    /// MQTT 5: nothing but the broker's receive maximum of 1 keeps a second reading from being sent.
    Five,
    /// MQTT within a WebSocket.
    Carried,
}

fn scenario((protocol, version): Manner) -> String {
    let (in_flight, mqtt) = match version {
        Version::Usual | Version::Carried => ("in_flight = 1", ""),
        Version::Five => ("in_flight = 1024", "mqtt = { version = 5, qos = 1 }"),
    };
    let close = match protocol.name() {
        "http" => "response",
        "ws" => "verdict",
        "tcp" => "reply\"\ntcp.correlate = \"order",
        _ => "ack",
    };
    format!(
        r#"
        [scenario]
        name = "frozen"
        seed = 11
        [run]
        warm_up = "1s"
        drain = "60s"
        connect_timeout = "60s"
        [[phase]]
        name = "steady"
        duration = "15s"
        [fleet.meters]
        protocol = "{protocol}"
        devices = 1
        rate = "100/s"
        arrival = {{ jitter = 0.0 }}
        {in_flight}
        {mqtt}
        backlog = 4096
        timeout = "60s"
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

/// The runs of all protocols, made side by side: together they take no longer than one, and load the machine little.
/// Misfits are kept for the tests of their protocols, which [`measure`] hands them to one after the other.
static RUNS: [Mutex<Option<[Run; 6]>>; 2] = [const { Mutex::new(None) }; 2];

/// The runs of all protocols, over TLS where `tls` is given.
fn all(tls: bool) -> [Run; 6] {
    let [http, ws, mqtt] = crate::support::BUNDLED;
    let authority = tls.then(Trusted::new);
    std::thread::scope(|scope| {
        let usual = [http, ws, mqtt, Protocol::named("tcp")].map(|protocol| (protocol, Version::Usual));
        let [first, second, third, fourth] = usual;
        [first, second, third, fourth, (mqtt, Version::Five), (mqtt, Version::Carried)]
            .map(|manner| {
                let authority = authority.as_ref();
                scope.spawn(move || run(manner, authority))
            })
            .map(|run| run.join().unwrap())
    })
}

/// Does `work`, and gives with its result when the machine itself stood still meanwhile, by a thread that only sleeps and
/// notes when it overslept, and how often, of 1, it did by more than a millisecond. To the readings such a standstill is one more
/// freeze of the server.
fn watched<T>(clock: Monotonic, work: impl FnOnce() -> T) -> (T, Vec<(Tick, Tick)>, f64) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let (mut standstills, mut naps, mut late) = (Vec::new(), 0_u32, 0_u32);
            while !over.load(Ordering::Relaxed) {
                let before = clock.now();
                std::thread::sleep(Duration::from_millis(1));
                let after = clock.now();
                naps += 1;
                late += u32::from(after.since(before) > 2 * MS);
                if after.since(before) > 5 * MS {
                    standstills.push((before, after));
                }
            }
            (standstills, f64::from(late) / f64::from(naps.max(1)))
        });
        let done = work();
        over.store(true, Ordering::Relaxed);
        let (standstills, late) = watch.join().unwrap();
        (done, standstills, late)
    })
}

/// `at`, or the end of the standstill it lies in.
fn awake(standstills: &[(Tick, Tick)], at: Tick) -> Tick {
    let still = standstills.iter().find(|(from, to)| (*from..*to).contains(&at));
    still.map_or(at, |(_, to)| *to)
}

/// What a run recorded, and what the formula says of it.
struct Run {
    manner: Manner,
    plan: Arc<Plan>,
    report: Report,
    book: Book,
    due: Vec<Tick>,
    expected: Vec<u64>,
    /// What the machine did to it.
    disturbance: Option<String>,
}

fn run(manner: Manner, authority: Option<&Trusted>) -> Run {
    let (protocol, mut text) = (manner.0, scenario(manner));
    text.push_str(&authority.map(Trusted::target).unwrap_or_default());
    let plan = plan(&text);
    let due = planned(&plan);
    let law = Law { freeze: freeze_start(&plan, &due), freeze_ns: FREEZE_NS };
    let clock = Monotonic::start();
    let is_carried = manner.1 == Version::Carried;
    let server = Server::start((protocol, is_carried), authority.map(Trusted::server), law, clock);
    let mut endpoints = vec![Endpoint::resolve(protocol, server.url()).unwrap()];
    squall::run::secure(plan.scenario(), &mut endpoints).unwrap();
    let ((report, book), still, late) = watched(clock, || drive(&plan, endpoints, 1, clock, &Control::new()));
    let expected = predicted(&plan, &due, law, &still);
    // The threads of the server are held up like the one that watches.
    let held_up = (late > 0.02).then(|| format!("one thread in {:.0} wakes late", 1.0 / late));
    let disturbance = disturbance(&report, 0.0).or(held_up);
    Run { manner, plan, report, book, due, expected, disturbance }
}

fn prove(protocol: Protocol, tls: bool) {
    prove_of((protocol, Version::Usual), tls);
}

fn prove_of(manner: Manner, tls: bool) {
    let _alone = alone();
    measure(|| {
        let mut runs = RUNS[usize::from(tls)].lock().unwrap_or_else(PoisonError::into_inner);
        let run = runs.get_or_insert_with(|| all(tls)).iter().find(|run| run.manner == manner).unwrap();
        let misfits = misfits(run);
        if misfits.is_empty() {
            return Ok(());
        }
        let misfit = Misfit::new(misfits.join("; "), run.disturbance.clone());
        // The next attempt is another one.
        *runs = None;
        Err(misfit)
    });
}

/// Sees that nothing was lost, and gives what does not agree with the formula.
fn misfits(run: &Run) -> Vec<String> {
    let Run { plan, report, book, due, expected, .. } = run;
    assert_eq!(report.end, End::Complete);
    assert_eq!(book.planned as usize, due.len(), "every planned reading was released");
    assert!(book.readings().all(|sample| sample.outcome == Outcome::Ok), "all are answered in the end");
    let connects = book.samples.iter().filter(|sample| sample.kind == Kind::Connect).count();
    assert_eq!(connects, 1, "a freeze is not a reason to reconnect");

    let response = measured(plan, book, |sample| Some(sample.response_time_ns()));
    let service = measured(plan, book, Sample::service_time_ns);
    assert_eq!(response.len(), expected.len());
    let (protocol, version) = run.manner;
    let protocol = format!("{protocol} {version:?}");
    println!("{protocol}: {} readings; figure: expected, response, service (ms)", expected.len());
    let mut misfits = Vec::new();
    for (name, q) in [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)] {
        let (want, got, alone) = (quantile(expected, q), quantile(&response, q), quantile(&service, q));
        let [want_ms, got_ms, alone_ms] = [want, got, alone].map(|ns| ns as f64 / 1e6);
        println!("  {name:>4}  {want_ms:10.3}  {got_ms:10.3}  {alone_ms:10.3}");
        if want.abs_diff(got) > (2 * MS).max(want / 50) {
            misfits.push(format!("{protocol} {name}: {got_ms:.3} ms where the plan gives {want_ms:.3} ms"));
        }
    }
    assert!(quantile(expected, 0.99) > 1_500 * MS, "the freeze reaches the percentiles");
    let hidden = quantile(&service, 0.99);
    if hidden >= quantile(&response, 0.99) / 100 {
        misfits.push(format!("a closed loop would not have hidden the freeze: service p99 {hidden} ns"));
    }
    misfits
}

#[test]
fn http_response_times_follow_the_plan_through_a_freeze() {
    prove(Protocol::named("http"), false);
}

#[test]
fn websocket_response_times_follow_the_plan_through_a_freeze() {
    prove(Protocol::named("ws"), false);
}

#[test]
fn tcp_response_times_follow_the_plan_through_a_freeze() {
    prove(Protocol::named("tcp"), false);
}

#[test]
fn mqtt_response_times_follow_the_plan_through_a_freeze() {
    prove(Protocol::named("mqtt"), false);
}

/// What waits for the broker's credit waits as backlog, exactly as long as the formula says.
#[test]
fn mqtt_5_response_times_follow_the_plan_through_a_freeze() {
    prove_of((Protocol::named("mqtt"), Version::Five), false);
}

#[test]
fn mqtt_response_times_follow_the_plan_through_a_freeze_within_a_websocket() {
    prove_of((Protocol::named("mqtt"), Version::Carried), false);
}

#[test]
fn http_response_times_follow_the_plan_through_a_freeze_over_tls() {
    prove(Protocol::named("http"), true);
}

#[test]
fn websocket_response_times_follow_the_plan_through_a_freeze_over_tls() {
    prove(Protocol::named("ws"), true);
}

#[test]
fn tcp_response_times_follow_the_plan_through_a_freeze_over_tls() {
    prove(Protocol::named("tcp"), true);
}

#[test]
fn mqtt_response_times_follow_the_plan_through_a_freeze_over_tls() {
    prove(Protocol::named("mqtt"), true);
}

#[test]
fn mqtt_response_times_follow_the_plan_through_a_freeze_within_a_websocket_over_tls() {
    prove_of((Protocol::named("mqtt"), Version::Carried), true);
}

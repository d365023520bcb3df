//! Every planned reading ends exactly once, whatever the target does: kept alive, killed in mid-run, or never answering.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use squall::clock::{Monotonic, Tick};
use squall::engine::{Control, End, Order};
use squall::protocol::Endpoint;
use squall::record::{FleetId, Kind, Outcome, Protocol};

use crate::support::{Book, drive, plan};

fn scenario(extra: &str) -> String {
    format!(
        r#"
        [scenario]
        name = "accounting"
        seed = 5
        [run]
        warm_up = "200ms"
        drain = "1s"
        interval = "100ms"
        connect_rate = "1000/s"
        connect_timeout = "300ms"
        [[phase]]
        name = "steady"
        duration = "1s"
        {extra}
        "#
    )
}

fn http_fleet(devices: u32) -> String {
    format!(
        r#"
        [fleet.meters]
        protocol = "http"
        devices = {devices}
        rate = "20/s"
        arrival = "poisson"
        backlog = 4
        timeout = "250ms"
        backoff = {{ first = "50ms", max = "200ms", jitter = 0.5 }}
        "#
    )
}

/// The same with room and time enough for a machine that stands still for a while.
fn patient_fleet(devices: u32) -> String {
    http_fleet(devices)
        .replace("backlog = 4", "backlog = 4096")
        .replace("timeout = \"250ms\"", "timeout = \"60s\"")
}

/// A scenario that has such time throughout.
fn patient_scenario(fleets: &str) -> String {
    scenario(fleets)
        .replace("drain = \"1s\"", "drain = \"60s\"")
        .replace("connect_timeout = \"300ms\"", "connect_timeout = \"60s\"")
}

/// What the test's HTTP server does with a request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Manner {
    Answer,
    Refuse,
    Silent,
    HangUp,
}

/// A plain HTTP server on a free port whose manner can change in mid-run, or which can be killed.
struct Service {
    addr: SocketAddr,
    alive: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    answered: Arc<AtomicUsize>,
}

impl Service {
    fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let alive = Arc::new(AtomicBool::new(true));
        let open = Arc::new(Mutex::new(Vec::new()));
        let answered = Arc::new(AtomicUsize::new(0));
        let (living, opened, count) = (Arc::clone(&alive), Arc::clone(&open), Arc::clone(&answered));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if !living.load(Ordering::SeqCst) {
                    return;
                }
                let stream = stream.unwrap();
                opened.lock().unwrap().push(stream.try_clone().unwrap());
                let count = Arc::clone(&count);
                thread::spawn(move || serve(stream, manner, &count));
            }
        });
        Self { addr, alive, open, answered }
    }

    /// Ends the service as a crash would: the port refuses, open connections are cut.
    fn kill(&self) {
        self.alive.store(false, Ordering::SeqCst);
        drop(TcpStream::connect(self.addr));
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::resolve(Protocol::named("http"), &format!("http://{}/", self.addr)).unwrap()
    }
}

fn serve(mut stream: TcpStream, manner: Manner, answered: &AtomicUsize) {
    let mut buffer = [0; 4096];
    // Requests are small and one at a time, so one read holds one request.
    while stream.read(&mut buffer).is_ok_and(|count| count > 0) {
        let reply: &[u8] = match manner {
            Manner::Answer => b"HTTP/1.1 204 No Content\r\n\r\n",
            Manner::Refuse => b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
            Manner::Silent => continue,
            Manner::HangUp => return drop(stream.shutdown(Shutdown::Both)),
        };
        if stream.write_all(reply).is_err() {
            return;
        }
        answered.fetch_add(1, Ordering::SeqCst);
    }
}

fn count(book: &Book, outcome: &str) -> usize {
    book.readings().filter(|sample| sample.outcome.name() == outcome).count()
}

fn ok(book: &Book) -> usize {
    count(book, "ok")
}

fn assert_accounted(book: &Book) {
    assert!(book.finished);
    assert_eq!(book.planned as usize, book.readings().count(), "every planned reading has one outcome");
    let connects = book.samples.iter().filter(|sample| sample.kind == Kind::Connect).count();
    assert_eq!(book.connects_planned as usize, connects, "and so has every connection attempt");
    let sent = book.readings().filter(|sample| sample.actual.is_some()).count();
    assert_eq!(book.sent as usize, sent);
    for sample in &book.samples {
        let stamps = [Some(sample.intended), sample.eligible, sample.actual, Some(sample.completed)];
        let stamps: Vec<Tick> = stamps.into_iter().flatten().collect();
        assert!(stamps.is_sorted(), "stamps run backwards: {sample:?}");
    }
}

#[test]
fn an_answering_target_leaves_nothing_but_ok() {
    let plan = plan(&patient_scenario(&patient_fleet(20)));
    let service = Service::start(Manner::Answer);
    let (report, book) = drive(&plan, vec![service.endpoint()], 2, Monotonic::start(), &Control::new());
    assert_accounted(&book);
    assert_eq!(report.end, End::Complete);
    assert_eq!(ok(&book), book.planned as usize);
    assert!(book.rotations >= 20, "both workers rotated at every interval: {}", book.rotations);
}

#[test]
fn the_readings_that_are_sent_are_those_of_the_plan_with_one_worker_and_with_two() {
    let plan = plan(&patient_scenario(&patient_fleet(10)));
    let mut intended: Vec<(FleetId, Tick)> = (0..plan.devices())
        .flat_map(|global| {
            let mut device = plan.device(global);
            let fleet = device.fleet;
            std::iter::from_fn(move || device.next_due().map(|at| (fleet, at))).collect::<Vec<_>>()
        })
        .collect();
    intended.sort();
    assert!(intended.len() > 100);
    for workers in [1, 2] {
        let service = Service::start(Manner::Answer);
        let (_, book) = drive(&plan, vec![service.endpoint()], workers, Monotonic::start(), &Control::new());
        let mut sent: Vec<(FleetId, Tick)> =
            book.readings().map(|sample| (sample.fleet, sample.intended)).collect();
        sent.sort();
        assert_eq!(sent, intended, "{workers} workers");
        assert!(book.readings().all(|sample| sample.actual.is_some_and(|actual| actual >= sample.intended)));
    }
}

#[test]
fn a_target_that_never_answers_leaves_time_outs_losses_and_drops() {
    // The readings of some time out, those of others are still open when the drain is over.
    let enduring =
        http_fleet(5).replace("meters", "pumps").replace("timeout = \"250ms\"", "timeout = \"60s\"");
    let fleets = http_fleet(20) + &enduring;
    let plan = plan(&scenario(&fleets).replace("duration = \"1s\"", "duration = \"3s\""));
    let service = Service::start(Manner::Silent);
    let (_, book) = drive(&plan, vec![service.endpoint()], 2, Monotonic::start(), &Control::new());
    assert_accounted(&book);
    assert_eq!(ok(&book), 0);
    for outcome in ["timeout", "lost", "dropped"] {
        assert!(count(&book, outcome) > 0, "no reading ended as {outcome}");
    }
    let early =
        book.readings().filter(|s| s.outcome == Outcome::Timeout && s.service_time_ns() < Some(250_000_000));
    assert_eq!(early.count(), 0, "a reading is given its whole time-out");
}

#[test]
fn a_target_that_sheds_or_hangs_up_is_told_apart() {
    for (manner, outcome) in [(Manner::Refuse, "shed"), (Manner::HangUp, "error")] {
        let plan = plan(&patient_scenario(&patient_fleet(5)).replace("drain = \"60s\"", "drain = \"3s\""));
        let service = Service::start(manner);
        let (_, book) = drive(&plan, vec![service.endpoint()], 1, Monotonic::start(), &Control::new());
        assert_accounted(&book);
        assert_eq!(ok(&book), 0);
        assert!(count(&book, outcome) > 0, "{manner:?}: no reading ended as {outcome}");
    }
}

#[test]
fn a_target_killed_in_mid_run_loses_readings_but_not_the_account() {
    let text = patient_scenario(&patient_fleet(20)).replace("drain = \"60s\"", "drain = \"3s\"");
    let plan = plan(&text.replace("duration = \"1s\"", "duration = \"3s\""));
    let service = Service::start(Manner::Answer);
    let endpoint = service.endpoint();
    // Of more than a thousand, however late they come.
    let killer = thread::spawn(move || {
        let clock = Monotonic::start();
        while service.answered.load(Ordering::SeqCst) < 200 && clock.now().as_secs_f64() < 60.0 {
            thread::sleep(Duration::from_millis(1));
        }
        service.kill();
    });
    let (report, book) = drive(&plan, vec![endpoint], 2, Monotonic::start(), &Control::new());
    killer.join().unwrap();
    assert_accounted(&book);
    assert_eq!(report.end, End::Complete);
    // What was under way when the connections were cut, one reading of each device, may not have arrived.
    assert!(ok(&book) >= 180, "before the kill, readings are answered: {}", ok(&book));
    assert!(count(&book, "lost") + count(&book, "dropped") > 0, "and after it not");
    let refused = book.samples.iter().filter(|s| s.kind == Kind::Connect && s.outcome != Outcome::Ok).count();
    assert!(refused > 20, "devices keep trying, spaced out: {refused} attempts");
    // Six seconds hold no more than 25, 50 and then 100 ms at the least.
    assert!(refused < 20 * 70, "but not in a storm: {refused} attempts");
}

#[test]
fn a_run_ended_early_is_drained_and_accounted_for() {
    let plan = plan(&patient_scenario(&patient_fleet(20)).replace("duration = \"1s\"", "duration = \"60s\""));
    let service = Service::start(Manner::Answer);
    let control = Control::new();
    let (steering, clock) = (control.clone(), Monotonic::start());
    let at = plan.sending_starts().plus_ns(400_000_000);
    let stopper = thread::spawn(move || {
        thread::sleep(Duration::from_nanos(at.since(clock.now())));
        steering.give(Order::Finish);
    });
    let (report, book) = drive(&plan, vec![service.endpoint()], 2, clock, &control);
    stopper.join().unwrap();
    assert_accounted(&book);
    assert_eq!(report.end, End::Interrupted);
    assert_eq!(ok(&book), book.planned as usize, "what was open is settled");
    assert!(report.finished < plan.end(), "and nothing was sent after the order");
}

#[test]
fn a_closed_model_sends_the_next_reading_after_the_answer_to_the_last() {
    let fleet = r#"
        [fleet.meters]
        protocol = "http"
        devices = 4
        model = "closed"
        think = "20ms"
    "#;
    let plan = plan(&patient_scenario(fleet).replace("duration = \"1s\"", "duration = \"3s\""));
    let service = Service::start(Manner::Answer);
    let (_, book) = drive(&plan, vec![service.endpoint()], 1, Monotonic::start(), &Control::new());
    assert_accounted(&book);
    assert_eq!(ok(&book), book.planned as usize);
    assert!(book.planned > 4 * 5, "{}", book.planned);
    for device in 0..4 {
        let mut own: Vec<_> = book.readings().filter(|sample| sample.device == device).collect();
        own.sort_by_key(|sample| sample.seq);
        for pair in own.windows(2) {
            let thought = pair[1].intended.since(pair[0].completed);
            assert!(thought >= 20_000_000, "after {thought} ns: {pair:?}");
        }
    }
}

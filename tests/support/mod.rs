//! What the engine's tests share: a sink that keeps every sample, and a run of a scenario's text.

use std::io::{self, BufRead};
use std::sync::{Arc, Mutex};

use squall::clock::{Monotonic, Tick};
use squall::engine::{self, Control, Report, Setup};
use squall::protocol::Endpoint;
use squall::record::{
    AnomalyMark, AuditFinding, Detection, FleetId, Gauge, Kind, PhaseId, Reason, Retry, RunToken, Sample,
    Shard, Sink, Stray, SwitchEvent, SwitchLog, Traffic,
};
use squall::scenario::{Overrides, Plan, Scenario};

/// Everything a run recorded.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) planned: u64,
    pub(crate) sent: u64,
    pub(crate) connects_planned: u64,
    pub(crate) samples: Vec<Sample>,
    pub(crate) findings: Vec<AuditFinding>,
    /// When attempts failed that another was to follow, and the further attempts that were made, and not made for want of budget.
    pub(crate) retries_due: Vec<Tick>,
    pub(crate) retries_sent: u64,
    pub(crate) retries_denied: u64,
    /// Why each failed reading or attempt failed, in the order of the samples.
    pub(crate) reasons: Vec<Reason>,
    pub(crate) unmatched: u64,
    pub(crate) traffic: Traffic,
    /// What was open and overdue at the ends of intervals, of every fleet of every worker.
    pub(crate) gauges: Vec<Gauge>,
    /// Device, sequence number and mark of every ended reading that showed an anomaly.
    pub(crate) marks: Vec<(String, u64, AnomalyMark)>,
    pub(crate) rotations: u64,
    pub(crate) finished: bool,
    /// What was switched on and off, as each worker logged it.
    pub(crate) switches: Vec<SwitchEvent>,
}

impl Book {
    pub(crate) fn readings(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(|sample| sample.kind == Kind::Reading)
    }
}

/// A sink that keeps all samples; only for runs whose length a test bounds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keeper(Arc<Mutex<Book>>);

impl Sink for Keeper {
    fn planned(&mut self, _: PhaseId, _: FleetId, kind: Kind) {
        let mut book = self.0.lock().unwrap();
        match kind {
            Kind::Reading => book.planned += 1,
            Kind::Connect => book.connects_planned += 1,
            Kind::Tls | Kind::Delivery | Kind::Gap => {}
        }
    }

    fn sent(&mut self, _: PhaseId, _: FleetId, kind: Kind) {
        self.0.lock().unwrap().sent += u64::from(kind == Kind::Reading);
    }

    fn retry(&mut self, _: PhaseId, _: FleetId, retry: Retry<'_>) {
        let mut book = self.0.lock().unwrap();
        match retry {
            Retry::Due { at, .. } => book.retries_due.push(at),
            Retry::Sent { .. } => book.retries_sent += 1,
            Retry::Denied => book.retries_denied += 1,
        }
    }

    fn resumed(&mut self, _: PhaseId, _: FleetId) {}

    fn completed(&mut self, sample: &Sample) {
        self.0.lock().unwrap().samples.push(*sample);
    }

    fn failed(&mut self, sample: &Sample, reason: &Reason) {
        assert!(sample.outcome.is_censored() && !reason.sentence.is_empty());
        self.0.lock().unwrap().reasons.push(reason.clone());
    }

    fn remark(&mut self, _: FleetId, _: Tick, _: u32, _: &Reason, _: u64) {}

    fn unmatched(&mut self, _: FleetId, _: Tick, _: u32, _: Stray, (count, _): (u64, Option<&str>)) {
        self.0.lock().unwrap().unmatched += count;
    }

    fn traffic(&mut self, _: FleetId, _: Tick, traffic: Traffic) {
        self.0.lock().unwrap().traffic.add(traffic);
    }

    fn gauge(&mut self, _: FleetId, gauge: &Gauge) {
        self.0.lock().unwrap().gauges.push(gauge.clone());
    }

    fn finding(&mut self, (_, _, kind): (PhaseId, FleetId, Kind), finding: AuditFinding, _: u32, _: u64) {
        if kind == Kind::Reading {
            self.0.lock().unwrap().findings.push(finding);
        }
    }

    fn part(&mut self, _: FleetId, _: u64) {}

    fn detection(&mut self, detection: &Detection<'_>) {
        self.0.lock().unwrap().marks.push((
            detection.device.to_owned(),
            detection.sample.seq,
            detection.mark,
        ));
    }

    fn rotate(&mut self, _: Tick) {
        self.0.lock().unwrap().rotations += 1;
    }

    fn finish(&mut self, _: Tick) {
        self.0.lock().unwrap().finished = true;
    }
}

/// The plan of a scenario's text.
pub(crate) fn plan(text: &str) -> Arc<Plan> {
    let scenario =
        Scenario::parse("test.toml", text, &Overrides::default()).unwrap_or_else(|faults| panic!("{faults}"));
    Arc::new(Plan::new(scenario))
}

/// Drives `plan` at `endpoints` with `workers` workers and gives what they recorded.
pub(crate) fn drive(
    plan: &Arc<Plan>,
    endpoints: Vec<Endpoint>,
    workers: usize,
    clock: Monotonic,
    control: &Control,
) -> (Report, Book) {
    drive_shard(plan, Shard::WHOLE, endpoints, workers, clock, control)
}

/// Drives the devices of one shard of `plan` at `endpoints` and gives what was recorded.
pub(crate) fn drive_shard(
    plan: &Arc<Plan>,
    shard: Shard,
    endpoints: Vec<Endpoint>,
    workers: usize,
    clock: Monotonic,
    control: &Control,
) -> (Report, Book) {
    let (keeper, switches) = (Keeper::default(), SwitchLog::default());
    let sinks = (0..workers).map(|_| keeper.clone()).collect();
    let setup = Setup {
        plan: Arc::clone(plan),
        shard,
        endpoints: Arc::new(endpoints),
        clock,
        epoch_ns: 0,
        token: RunToken::UNSET,
        token_is_drawn: true,
        control: control.clone(),
        switches: switches.clone(),
    };
    let report = engine::run(&setup, sinks).unwrap();
    let mut book = Arc::into_inner(keeper.0).expect("the workers have ended").into_inner().unwrap();
    book.switches = switches.take_before(Tick::FAR);
    (report, book)
}

/// Takes one HTTP request with a length from `input`; false at the end of the connection.
///
/// # Errors
/// If it ends in the middle of the body.
pub(crate) fn take_request(input: &mut impl BufRead) -> io::Result<bool> {
    take_body(input).map(|body| body.is_some())
}

/// The body of the next HTTP request with a length from `input`; nothing at the end of the connection.
///
/// # Errors
/// If it ends in the middle of the body.
pub(crate) fn take_body(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if input.read_line(&mut line).unwrap_or(0) == 0 {
            return Ok(None);
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    input.read_exact(&mut body).map(|()| Some(body))
}

/// The protocols that the bundled system speaks.
pub(crate) const BUNDLED: [squall::record::Protocol; 3] = [
    squall::record::Protocol::named("http"),
    squall::record::Protocol::named("ws"),
    squall::record::Protocol::named("mqtt"),
];

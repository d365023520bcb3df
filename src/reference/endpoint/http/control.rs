//! Control and observation: what the service does, how it is, and what it remembers.

use hyper::body::Incoming;
use hyper::header::{ACCEPT, HeaderMap};
use hyper::{Request, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::judge::body;
use super::{JSON, Reply, admission, done, error, json, reply};
use crate::reference::device::open;
use crate::reference::endpoint::dispatcher::Dispatcher;
use crate::reference::endpoint::latency::{Latency, Spent};
use crate::reference::health::Status;
use crate::reference::model::MODELS;
use crate::reference::pipeline::{MOST_TOPICS, Operation};
use crate::reference::reading::LONGEST_DEVICE;
use crate::reference::token::Grant;
use crate::reference::window::WindowSummary;
use crate::service::Priority;

/// Dead letters of one answer.
const MOST_LETTERS: usize = 100;
/// What the service does now, as `/v1/realtime` tells it.
#[derive(Serialize)]
struct Realtime {
    operation: &'static str,
    /// The classes of devices whose readings are taken; none: all are.
    topics: Option<Vec<String>>,
    uptime_s: f64,
    queue: Queue,
    workers: usize,
    readings: Readings,
    latency: Latency,
    spent: Work,
    faults_allowed: bool,
    /// Those that are on.
    faults: serde_json::Value,
    cache: Cache,
    connections: Connections,
    alerts: Alerts,
    devices: usize,
    cluster: Option<Cluster>,
}

/// Where the time went, summed over readings and workers.
#[derive(Serialize)]
struct Work {
    #[serde(flatten)]
    readings: Spent,
    busy_s: f64,
}

#[derive(Serialize)]
struct Cluster {
    instances: usize,
    answers: bool,
    failures: u64,
    lost: u64,
}

#[derive(Serialize)]
struct Queue {
    capacity: usize,
    depth: usize,
    critical: usize,
    high: usize,
    medium: usize,
    low: usize,
}

#[derive(Serialize)]
struct Readings {
    received: u64,
    verdicts: u64,
    shed: u64,
    bad: u64,
    duplicates: u64,
    anomalies: u64,
}

#[derive(Serialize)]
struct Cache {
    entries: usize,
    exact: u64,
    semantic: u64,
    stale: u64,
    shared: u64,
    coalesced: u64,
    missed: u64,
    audited: u64,
    wrong: u64,
    /// Share of verdicts that needed no inference of their own; none before the first.
    hit_ratio: Option<f64>,
}

#[derive(Serialize)]
struct Connections {
    http: i64,
    ws: i64,
    mqtt: i64,
}

#[derive(Serialize)]
struct Alerts {
    raised: u64,
    last_id: u64,
    subscribers: usize,
    missed_by_slow_subscribers: u64,
}

pub(super) fn status(dispatcher: &Dispatcher) -> Reply {
    use crate::reference::cache::Tier;
    let (metrics, now) = (&dispatcher.metrics, dispatcher.pipeline.snapshot());
    let waiting = |level: Priority| now.waiting[level as usize];
    let tier = |tier| metrics.scored_by(tier);
    let missed = tier(Tier::Miss);
    let hits: u64 =
        [Tier::Exact, Tier::Stale, Tier::Semantic, Tier::Shared, Tier::Coalesced].map(tier).iter().sum();
    let mut times = dispatcher.latency.borrow_mut();
    let (latency, readings) = (times.read(dispatcher.pipeline.now()), times.spent());
    drop(times);
    json(&Realtime {
        operation: dispatcher.pipeline.operation().name(),
        topics: Some(dispatcher.pipeline.topics().chosen()).filter(|topics| !topics.is_empty()),
        uptime_s: dispatcher.pipeline.now().as_secs_f64(),
        queue: Queue {
            capacity: now.queue_capacity,
            depth: now.waiting.iter().sum(),
            critical: waiting(Priority::Critical),
            high: waiting(Priority::High),
            medium: waiting(Priority::Medium),
            low: waiting(Priority::Low),
        },
        workers: now.workers,
        readings: Readings {
            received: metrics.received.get(),
            verdicts: metrics.verdicts.get(),
            shed: metrics.shed_total(),
            bad: metrics.bad.get(),
            duplicates: metrics.duplicates.get(),
            anomalies: metrics.anomalies.get(),
        },
        latency,
        spent: Work { readings, busy_s: metrics.busy_ns() as f64 / 1e9 },
        faults_allowed: dispatcher.pipeline.setup().faults,
        faults: dispatcher.pipeline.faults().to_json(),
        cache: Cache {
            entries: now.cached,
            exact: tier(Tier::Exact),
            semantic: tier(Tier::Semantic),
            stale: tier(Tier::Stale),
            shared: tier(Tier::Shared),
            coalesced: tier(Tier::Coalesced),
            missed,
            audited: metrics.cache_audited.get(),
            wrong: metrics.cache_false.get(),
            hit_ratio: (hits + missed > 0).then(|| hits as f64 / (hits + missed) as f64),
        },
        connections: Connections {
            http: metrics.http_connections.get(),
            ws: metrics.ws_connections.get(),
            mqtt: metrics.mqtt_connections.get(),
        },
        alerts: Alerts {
            raised: metrics.alerts.get(),
            last_id: dispatcher.alert_log.last(),
            subscribers: dispatcher.alert_log.subscribers(),
            missed_by_slow_subscribers: dispatcher.alert_log.missed(),
        },
        devices: now.devices,
        cluster: dispatcher.bus.as_ref().map(|bus| Cluster {
            instances: bus.living(),
            answers: bus.link().down_for().is_none(),
            failures: bus.link().failures(),
            lost: bus.lost(),
        }),
    })
}

/// What the body of a request says, which is to be `noun`.
pub(super) async fn command<C: DeserializeOwned>(
    request: Request<Incoming>,
    noun: &str,
) -> Result<C, Box<Reply>> {
    let bytes = body(request).await.map_err(Box::new)?;
    serde_json::from_slice(&bytes)
        .map_err(|fault| Box::new(error(StatusCode::BAD_REQUEST, &format!("not {noun}: {fault}"))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Command {
    operation: String,
    /// Classes of devices, by how their names begin.
    topics: Option<Vec<String>>,
}

/// What is wrong with these topics.
fn fault_in(topics: &[String], operation: &str) -> Option<String> {
    let fits = |topic: &String| (1..=LONGEST_DEVICE).contains(&topic.chars().count());
    if operation != "start" {
        return Some(format!("`topics` say what is started; `{operation}` is for all devices"));
    }
    let is_sound = (1..=MOST_TOPICS).contains(&topics.len()) && topics.iter().all(fits);
    (!is_sound).then(|| {
        format!(
            "`topics` is a list of 1 to {MOST_TOPICS} classes of devices, by how their names begin (1 to \
             {LONGEST_DEVICE} characters each), such as [\"meters\",\"pump\"]; leave it out to start all"
        )
    })
}

/// `POST /v1/realtime`.
pub(super) async fn operate(request: Request<Incoming>, dispatcher: &Dispatcher) -> Reply {
    let Command { operation, topics } = match command(request, "an operation").await {
        Ok(command) => command,
        Err(reply) => return *reply,
    };
    if let Some(reason) = topics.as_deref().and_then(|topics| fault_in(topics, &operation)) {
        return error(StatusCode::BAD_REQUEST, &reason);
    }
    let mut what = format!("POST /v1/realtime {operation}");
    let pipeline = &dispatcher.pipeline;
    match operation.as_str() {
        "start" => {
            let topics = topics.unwrap_or_default();
            if !topics.is_empty() {
                what = format!("{what} {}", topics.join(", "));
            }
            pipeline.topics().choose(topics);
            pipeline.operate(Operation::Running);
        }
        "pause" => pipeline.operate(Operation::Paused),
        "stop" => pipeline.operate(Operation::Stopped),
        "status" => return status(dispatcher),
        other => {
            let reason = format!("`{other}` is not an operation; write start, stop, pause or status");
            return error(StatusCode::BAD_REQUEST, &reason);
        }
    }
    done(what, status(dispatcher))
}

/// What is known of a device, as `GET /v1/devices/<device>` tells it.
#[derive(Serialize)]
struct DeviceReport<'a> {
    device: &'a str,
    /// The last window that was closed.
    window: Option<WindowSummary>,
    windows_closed: u64,
    late: u64,
    /// Which model judges it.
    model: &'static str,
}

/// `GET /v1/devices/<device>`.
pub(super) fn device(dispatcher: &Dispatcher, name: &str, grant: &Grant) -> Reply {
    let shared = dispatcher.pipeline.shared();
    let name = percent_decoded(name);
    if let Err(denial) = grant.demand_device(&name) {
        return admission::refusal(&denial);
    }
    let Some(handle) = shared.devices.find(&name) else {
        return error(StatusCode::NOT_FOUND, &format!("no device `{name}` is known"));
    };
    let windows = open(&handle).signal.windows.as_deref().cloned().unwrap_or_default();
    json(&DeviceReport {
        device: &name,
        window: windows.last,
        windows_closed: windows.closed,
        late: windows.late,
        model: MODELS[shared.experiment.variant_of(&name)].name(),
    })
}

/// A path's part with its escapes undone; what is not UTF-8 is replaced.
fn percent_decoded(part: &str) -> String {
    let pair = format!("x={}", part.replace('+', "%2B"));
    url::form_urlencoded::parse(pair.as_bytes())
        .next()
        .map_or_else(String::new, |(_, value)| value.into_owned())
}

/// Where a device is, as `GET /v1/connections?device=NAME` tells it.
#[derive(Serialize)]
struct Whereabouts<'a> {
    this: &'a str,
    device: &'a str,
    /// The instance that it spoke to last; none if it has not been heard of.
    instance: Option<&'a str>,
}

/// `GET /v1/connections`: who is connected where, as far as other instances said so.
pub(super) fn connections(dispatcher: &Dispatcher, query: Option<&str>, grant: &Grant) -> Reply {
    let instances = dispatcher.bus.as_ref().map(|bus| bus.instances()).unwrap_or_default();
    let mut pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let device = match (pairs.next(), pairs.next()) {
        (None, _) => return json(&instances),
        (Some((key, device)), None) if key == "device" => device,
        _ => {
            return error(
                StatusCode::BAD_REQUEST,
                "write ?device=NAME for one device, or nothing for all instances",
            );
        }
    };
    if let Err(denial) = grant.demand_device(&device) {
        return admission::refusal(&denial);
    }
    let instance = instances.places.get(&*device).map(String::as_str);
    // Who is alone is told of nobody, but knows its own.
    let alone = dispatcher.bus.is_none() && dispatcher.pipeline.shared().devices.find(&device).is_some();
    json(&Whereabouts { this: &instances.this, device: &device, instance: instance.or(alone.then_some("")) })
}

pub(super) fn dead_letters(dispatcher: &Dispatcher) -> Reply {
    json(&dispatcher.pipeline.dead_letters().latest(MOST_LETTERS))
}

/// `GET /health`: 503 while unhealthy, or what `unhealthy=` asks for: to whoever reads the answer, such as the page, which looks twice a
/// second, that is no failed request.
pub(super) fn health(dispatcher: &Dispatcher, query: Option<&str>) -> Reply {
    let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let asked = pairs.into_iter().find_map(|(key, value)| (key == "unhealthy").then_some(value));
    let unhealthy = match asked.as_deref() {
        None | Some("503") => StatusCode::SERVICE_UNAVAILABLE,
        Some("200") => StatusCode::OK,
        Some(_) => {
            return error(
                StatusCode::BAD_REQUEST,
                "`unhealthy` is 200 or 503: the status that unhealthy is told with",
            );
        }
    };
    let health = dispatcher.health();
    let status = if health.status == Status::Unhealthy { unhealthy } else { StatusCode::OK };
    reply(status, JSON, serde_json::to_string(&health).unwrap_or_default())
}

/// `GET /live`: it answers, and so is not to be started again.
pub(super) fn live() -> Reply {
    json(&serde_json::json!({ "status": "live" }))
}

/// `GET /ready`: whether readings are to be sent here; what only makes it slower does not count.
pub(super) fn ready(dispatcher: &Dispatcher) -> Reply {
    let health = dispatcher.health();
    let is_ready = health.status != Status::Unhealthy;
    let word = if is_ready { "ready" } else { "unready" };
    let told = serde_json::json!({ "status": word, "reasons": health.grave });
    reply(probe(is_ready), JSON, told.to_string())
}

const fn probe(is_well: bool) -> StatusCode {
    if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// `GET /metrics`, in the format that whoever asks can read: native histograms are told in Prometheus's own only.
pub(super) fn metrics(headers: &HeaderMap, dispatcher: &Dispatcher) -> Reply {
    let (now, serving) = (dispatcher.pipeline.snapshot(), dispatcher.serving_snapshot());
    let accepts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let (kind, page) = dispatcher.metrics.page(&now, &serving, accepts);
    reply(StatusCode::OK, kind, page)
}

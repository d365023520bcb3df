//! `/v1/faults`: breaks the service on purpose, where that was asked for when it was started.

use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::control::status;
use super::judge::body;
use super::{Reply, done, error, json};
use crate::reference::endpoint::dispatcher::Dispatcher;
use crate::reference::fault::{Fault, Order, name};
use crate::reference::whole::Whole;

/// Operations without a name: they last until they are asked for otherwise.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LastingOperation {
    operation: String,
    factor: Option<f64>,
    capacity: Option<Whole>,
}

const OPERATIONS: &str = "write {\"operation\":\"start\",\"name\":\"slow-1\",\"kind\":\"slow\",\"factor\":10}, \
    {\"operation\":\"stop\",\"name\":\"slow-1\"}, {\"operation\":\"stop-all\"}, or for good: \
    {\"operation\":\"crash-worker\"}, {\"operation\":\"slow\",\"factor\":3} (0 to 1 000 000; 1 ends it) or \
    {\"operation\":\"queue\",\"capacity\":100}";

fn forbidden(dispatcher: &Dispatcher) -> Option<Reply> {
    let text = "the service was not started to be broken: squall serve --faults";
    (!dispatcher.pipeline.setup().faults).then(|| error(StatusCode::FORBIDDEN, text))
}

/// `GET /v1/faults`: those that are on.
pub(super) fn list(dispatcher: &Dispatcher) -> Reply {
    forbidden(dispatcher).unwrap_or_else(|| json(&dispatcher.pipeline.faults().to_json()))
}

/// `POST /v1/faults`.
pub(super) async fn operate(request: Request<Incoming>, dispatcher: &Dispatcher) -> Reply {
    if let Some(refusal) = forbidden(dispatcher) {
        return refusal;
    }
    let bytes = match body(request).await {
        Ok(bytes) => bytes,
        Err(reply) => return reply,
    };
    let fields: Map<String, Value> = match serde_json::from_slice(&bytes) {
        Ok(fields) => fields,
        Err(fault) => {
            return error(StatusCode::BAD_REQUEST, &format!("not an operation: {fault}; {OPERATIONS}"));
        }
    };
    match fields.get("operation").and_then(Value::as_str) {
        Some("start") => start(&fields, dispatcher),
        Some("stop") => stop(&fields, dispatcher),
        Some("stop-all") if fields.len() == 1 => {
            let ended = dispatcher.pipeline.end_all_faults();
            let acted: u64 = ended.iter().map(Fault::acted).sum();
            let stopped: Vec<Value> = ended.iter().map(Fault::to_json).collect();
            done("POST /v1/faults stop-all", json(&serde_json::json!({ "stopped": stopped, "acted": acted })))
        }
        _ => lasting(fields, dispatcher),
    }
}

fn start(fields: &Map<String, Value>, dispatcher: &Dispatcher) -> Reply {
    match Order::read(fields) {
        Err(reason) => error(StatusCode::BAD_REQUEST, &reason),
        Ok(order) => {
            let what = format!("POST /v1/faults start {} ({})", order.name, order.kind.name());
            match dispatcher.pipeline.begin_fault(order) {
                Ok(begun) => done(what, json(&begun)),
                Err(reason) => error(StatusCode::CONFLICT, &reason),
            }
        }
    }
}

fn stop(fields: &Map<String, Value>, dispatcher: &Dispatcher) -> Reply {
    let asked = match name(fields) {
        Ok(name) => name,
        Err(reason) => return error(StatusCode::BAD_REQUEST, &reason),
    };
    if let Some(other) = fields.keys().find(|key| !["operation", "name"].contains(&key.as_str())) {
        let reason = format!("`{other}` is not a field of `stop`: write operation and name");
        return error(StatusCode::BAD_REQUEST, &reason);
    }
    match dispatcher.pipeline.end_fault(&asked) {
        Some(fault) => done(format!("POST /v1/faults stop {asked}"), json(&fault.to_json())),
        None => error(StatusCode::NOT_FOUND, &format!("no fault `{asked}` is on; GET /v1/faults lists them")),
    }
}

/// The operations without a name.
fn lasting(fields: Map<String, Value>, dispatcher: &Dispatcher) -> Reply {
    if fields.values().any(Value::is_null) {
        return error(StatusCode::BAD_REQUEST, OPERATIONS);
    }
    let asked = serde_json::from_value(Value::Object(fields));
    let LastingOperation { operation, factor, capacity } = match asked {
        Ok(asked) => asked,
        Err(fault) => {
            return error(StatusCode::BAD_REQUEST, &format!("not an operation: {fault}; {OPERATIONS}"));
        }
    };
    match (operation.as_str(), factor, capacity) {
        ("crash-worker", None, None) => dispatcher.pipeline.crash_worker(),
        ("slow", Some(factor), None) if (0.0..=1e6).contains(&factor) => {
            dispatcher.pipeline.shared().slow_down(factor);
        }
        ("queue", None, Some(Whole(capacity @ 1..=1_000_000))) => {
            dispatcher.pipeline.resize_queue(capacity as usize);
        }
        _ => return error(StatusCode::BAD_REQUEST, OPERATIONS),
    }
    done(format!("POST /v1/faults {operation}"), status(dispatcher))
}

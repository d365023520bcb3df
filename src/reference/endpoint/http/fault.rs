//! `/v1/faults`: breaks the service on purpose, where that was asked for when it was started.

use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::control::status;
use super::judge::body;
use super::{Reply, error, json};
use crate::reference::endpoint::desk::Desk;
use crate::reference::fault::{Fault, Order, name};

/// Operations without a name: they last until they are asked for otherwise.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lasting {
    operation: String,
    factor: Option<f64>,
    capacity: Option<usize>,
}

const OPERATIONS: &str = "write {\"operation\":\"start\",\"name\":\"slow-1\",\"kind\":\"slow\",\"factor\":10}, \
    {\"operation\":\"stop\",\"name\":\"slow-1\"}, {\"operation\":\"stop-all\"}, or for good: \
    {\"operation\":\"crash-worker\"}, {\"operation\":\"slow\",\"factor\":3} (0 to 1 000 000; 1 ends it) or \
    {\"operation\":\"queue\",\"capacity\":100}";

fn forbidden(desk: &Desk) -> Option<Reply> {
    let text = "the service was not started to be broken: squall serve --faults";
    (!desk.pipeline.setup().faults).then(|| error(StatusCode::FORBIDDEN, text))
}

/// `GET /v1/faults`: those that are on.
pub(super) fn list(desk: &Desk) -> Reply {
    forbidden(desk).unwrap_or_else(|| json(&desk.pipeline.faults().to_json()))
}

/// `POST /v1/faults`.
pub(super) async fn operate(request: Request<Incoming>, desk: &Desk) -> Reply {
    if let Some(refusal) = forbidden(desk) {
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
        Some("start") => start(&fields, desk),
        Some("stop") => stop(&fields, desk),
        Some("stop-all") if fields.len() == 1 => {
            let ended = desk.pipeline.end_all_faults();
            let acted: u64 = ended.iter().map(Fault::acted).sum();
            let stopped: Vec<Value> = ended.iter().map(Fault::to_json).collect();
            json(&serde_json::json!({ "stopped": stopped, "acted": acted }))
        }
        _ => lasting(fields, desk),
    }
}

fn start(fields: &Map<String, Value>, desk: &Desk) -> Reply {
    match Order::read(fields) {
        Err(reason) => error(StatusCode::BAD_REQUEST, &reason),
        Ok(order) => match desk.pipeline.begin_fault(order) {
            Ok(told) => json(&told),
            Err(reason) => error(StatusCode::CONFLICT, &reason),
        },
    }
}

fn stop(fields: &Map<String, Value>, desk: &Desk) -> Reply {
    let asked = match name(fields) {
        Ok(name) => name,
        Err(reason) => return error(StatusCode::BAD_REQUEST, &reason),
    };
    if let Some(other) = fields.keys().find(|key| !["operation", "name"].contains(&key.as_str())) {
        let reason = format!("`{other}` is no field of `stop`: write operation and name");
        return error(StatusCode::BAD_REQUEST, &reason);
    }
    match desk.pipeline.end_fault(&asked) {
        Some(fault) => json(&fault.to_json()),
        None => error(StatusCode::NOT_FOUND, &format!("no fault `{asked}` is on; GET /v1/faults lists them")),
    }
}

/// The operations without a name.
fn lasting(fields: Map<String, Value>, desk: &Desk) -> Reply {
    let asked = serde_json::from_value(Value::Object(fields));
    let Lasting { operation, factor, capacity } = match asked {
        Ok(asked) => asked,
        Err(fault) => {
            return error(StatusCode::BAD_REQUEST, &format!("not an operation: {fault}; {OPERATIONS}"));
        }
    };
    match (operation.as_str(), factor, capacity) {
        ("crash-worker", None, None) => desk.pipeline.crash_worker(),
        ("slow", Some(factor), None) if (0.0..=1e6).contains(&factor) => {
            desk.pipeline.parts().slow_down(factor);
        }
        ("queue", None, Some(capacity)) if (1..=1_000_000).contains(&capacity) => {
            desk.pipeline.resize_queue(capacity);
        }
        _ => return error(StatusCode::BAD_REQUEST, OPERATIONS),
    }
    status(desk)
}

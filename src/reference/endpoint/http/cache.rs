//! `POST /v1/cache`: what is forgotten, recorded or computed beforehand.

use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::control::command;
use super::{Reply, done, error, json};
use crate::reference::cluster::CacheOrder;
use crate::reference::endpoint::dispatcher::Dispatcher;
use crate::reference::model::{Key, MODELS};

/// Keys of one answer.
const MOST_KEYS: usize = 10_000;
/// Keys that are warmed at once: as many as fit a body.
const MOST_WARMED: usize = 2_000;

#[derive(Deserialize)]
#[serde(tag = "operation", rename_all = "lowercase", deny_unknown_fields)]
enum Command {
    Flush {},
    Version { model: Option<String> },
    Device { device: String },
    Keys {},
    Warm { keys: Vec<String> },
}

/// `POST /v1/cache`. What is forgotten here, and a model that is replaced, other instances hear of.
pub(super) async fn operate(request: Request<Incoming>, dispatcher: &Dispatcher) -> Reply {
    match command(request, "an operation").await {
        Err(reply) => *reply,
        Ok(Command::Flush {}) => {
            let shared = dispatcher.pipeline.shared();
            let forgotten = shared.cache.clear();
            if let Some(store) = &shared.store {
                store.clear();
            }
            tell(dispatcher, CacheOrder::Flush);
            done("POST /v1/cache flush", json(&json!({ "forgotten": forgotten })))
        }
        Ok(Command::Version { model }) => version(model, dispatcher),
        Ok(Command::Device { device }) => {
            let (forgotten, state_forgotten) = dispatcher.pipeline.shared().forget(&device);
            tell(dispatcher, CacheOrder::Device(device.as_str().into()));
            done(
                format!("POST /v1/cache device {device}"),
                json(&json!({ "forgotten": forgotten, "state_forgotten": state_forgotten })),
            )
        }
        Ok(Command::Keys {}) => {
            let keys = dispatcher.pipeline.shared().cache.keys(MOST_KEYS);
            let keys: Vec<String> = keys.iter().map(Key::encode).collect();
            json(&json!({ "keys": keys }))
        }
        Ok(Command::Warm { keys }) => warm(&keys, dispatcher),
    }
}

fn tell(dispatcher: &Dispatcher, order: CacheOrder) {
    if let Some(bus) = &dispatcher.bus {
        bus.order(order);
    }
}

fn version(model: Option<String>, dispatcher: &Dispatcher) -> Reply {
    let named = model.unwrap_or_else(|| MODELS[0].name().to_owned());
    let Some(model) = MODELS.iter().position(|model| model.name() == named) else {
        let known = MODELS.map(crate::reference::model::Model::name).join(" and ");
        return error(StatusCode::BAD_REQUEST, &format!("there is no model `{named}`; there are {known}"));
    };
    let version = dispatcher.pipeline.shared().cache.raise_version(model);
    tell(dispatcher, CacheOrder::Version { model, version });
    done(format!("POST /v1/cache version {named}"), json(&json!({ "model": named, "version": version })))
}

fn warm(keys: &[String], dispatcher: &Dispatcher) -> Reply {
    if keys.len() > MOST_WARMED {
        let reason = format!("{} keys are too many at once; send {MOST_WARMED} at the most", keys.len());
        return error(StatusCode::BAD_REQUEST, &reason);
    }
    let known: Vec<Key> = keys.iter().filter_map(|text| Key::decode(text)).collect();
    if known.len() < keys.len() {
        let reason = format!("{} of {} keys are none", keys.len() - known.len(), keys.len());
        return error(StatusCode::BAD_REQUEST, &reason);
    }
    let warmed = dispatcher.pipeline.shared().warm(&known);
    done("POST /v1/cache warm", json(&json!({ "warmed": warmed })))
}

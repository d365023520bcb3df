//! `/v1/state`: what of the devices' state outlives a crash.

use std::time::Duration;

use hyper::StatusCode;

use super::{Reply, done, error, json};
use crate::reference::endpoint::dispatcher::Dispatcher;

/// How often it is tried to have a snapshot taken while much waits to be written, and how long between.
const TIMES: usize = 1_000;
const PAUSE: Duration = Duration::from_millis(1);

const NONE: &str = "no state outlives this instance: start it with `state.directory`, such as squall serve --set state.directory=DIR";

/// `GET /v1/state`: where it lies, how it is, and what was restored.
pub(super) fn show(dispatcher: &Dispatcher) -> Reply {
    match &dispatcher.pipeline.shared().journal {
        Some(journal) => json(&journal.report()),
        None => error(StatusCode::NOT_FOUND, NONE),
    }
}

/// `POST /v1/state/snapshot`: answered when the snapshot is whole and on the disk.
pub(super) async fn snapshot(dispatcher: &Dispatcher) -> Reply {
    let Some(journal) = &dispatcher.pipeline.shared().journal else {
        return error(StatusCode::CONFLICT, NONE);
    };
    for _ in 0..TIMES {
        let Some(answer) = journal.ask_for_snapshot() else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        return match answer.await {
            Ok(Ok(snapshot)) => done("POST /v1/state/snapshot", json(&snapshot)),
            Ok(Err(reason)) => error(StatusCode::INSUFFICIENT_STORAGE, &reason),
            Err(_) => error(StatusCode::SERVICE_UNAVAILABLE, "the service stops"),
        };
    }
    error(StatusCode::SERVICE_UNAVAILABLE, "too much waits to be written; try again")
}

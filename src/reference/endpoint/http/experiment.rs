//! `/v1/experiment`: champion and challenger, and what is decided between them by hand.

use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use serde::Deserialize;

use super::control::command;
use super::{Reply, done, error, json};
use crate::reference::endpoint::dispatcher::Dispatcher;

#[derive(Deserialize)]
#[serde(tag = "operation", rename_all = "lowercase", deny_unknown_fields)]
enum Command {
    Promote {},
    Rollback {},
}

/// `GET /v1/experiment`.
pub(super) fn report(dispatcher: &Dispatcher) -> Reply {
    json(&dispatcher.pipeline.shared().experiment.report())
}

/// `POST /v1/experiment`, by `who`.
pub(super) async fn operate(request: Request<Incoming>, dispatcher: &Dispatcher, who: &str) -> Reply {
    let command = match command(request, "an operation").await {
        Ok(command) => command,
        Err(reply) => return *reply,
    };
    let experiment = &dispatcher.pipeline.shared().experiment;
    if !experiment.is_on() {
        return error(StatusCode::CONFLICT, "there is no experiment; set `experiment.share`");
    }
    let (promoted, what) = match command {
        Command::Promote {} => (true, "POST /v1/experiment promote"),
        Command::Rollback {} => (false, "POST /v1/experiment rollback"),
    };
    experiment.decide_by_hand(promoted, who);
    done(what, report(dispatcher))
}

//! What is for all instances at once: orders, and how they are.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::http::{Failure, Reply, UNREACHED, Visit, error, own};
use super::lock;

/// The fault that is the front's to carry out.
const KILL: &str = "instance-kill";

/// Kills that are remembered until somebody asks for their end.
const MOST_KILLS: usize = 64;

/// Gives an order to every instance that lives, or to the one that it names, and the first answer of one that has obeyed, with what
/// faults did in all of them.
pub(super) async fn to_all(visit: &Visit, head: &Parts, body: Bytes) -> Reply {
    let order: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut asked = lock(&visit.instances.balance).living();
    let one = match named(&order, visit.instances.places.len()) {
        Ok(one) => one,
        Err(reason) => return error(StatusCode::BAD_REQUEST, &reason),
    };
    if let Some(one) = one {
        asked.retain(|index| *index == one);
        if asked.is_empty() {
            return error(StatusCode::CONFLICT, &format!("instance {} is gone already", one + 1));
        }
    }
    let mut answers = Vec::new();
    for index in asked {
        match answer(visit, index, head, &body).await {
            Ok(answer) => answers.push(answer),
            // One that has just gone need not be told any more.
            Err(Failure::Unsent | Failure::Broken) => {}
        }
    }
    let Some((status, text)) = merged(&answers).or_else(|| recalled(visit, &order, StatusCode::NOT_FOUND))
    else {
        return error(StatusCode::SERVICE_UNAVAILABLE, UNREACHED);
    };
    // It is the instance that says whether it may be broken, and by whom.
    if let Some(one) = one.filter(|_| status.is_success() && order["kind"] == KILL) {
        if let Err(fault) = (visit.instances.kill)(one) {
            return error(StatusCode::CONFLICT, &format!("instance {} cannot be killed: {fault}", one + 1));
        }
        lock(&visit.instances.balance).bury(one);
        let mut killed = visit.instances.killed.borrow_mut();
        killed.truncate(MOST_KILLS - 1);
        killed.push_front((order["name"].as_str().unwrap_or_default().to_owned(), text.clone()));
    }
    recalled(visit, &order, status).map_or_else(|| own(status, text), |(status, text)| own(status, text))
}

/// The instance that an order names, from 0; none if it is for all.
///
/// # Errors
/// What is wrong with it.
fn named(order: &Value, count: usize) -> Result<Option<usize>, String> {
    let is_of_one =
        order["operation"] == "start" && [KILL, "bus-partition"].iter().any(|kind| order["kind"] == *kind);
    if !is_of_one {
        return Ok(None);
    }
    let number = order["instance"].as_u64().and_then(|number| usize::try_from(number).ok());
    let known = number.filter(|number| (1..=count).contains(number));
    known.map(|number| Some(number - 1)).ok_or_else(|| {
        format!("`instance` is missing or wrong: write \"instance\":1, a whole number from 1 to {count}")
    })
}

/// What was said of a kill whose end is asked for, where no instance that is left knows of it.
fn recalled(visit: &Visit, order: &Value, status: StatusCode) -> Option<(StatusCode, String)> {
    if status != StatusCode::NOT_FOUND || order["operation"] != "stop" {
        return None;
    }
    let mut killed = visit.instances.killed.borrow_mut();
    let place = killed.iter().position(|(name, _)| order["name"] == **name)?;
    killed.remove(place).map(|(_, text)| (StatusCode::OK, text))
}

/// The first answer that is a success, else the first; `acted` of all is added up.
fn merged(answers: &[(StatusCode, String)]) -> Option<(StatusCode, String)> {
    let place = answers.iter().position(|(status, _)| status.is_success()).unwrap_or(0);
    let (status, text) = answers.get(place)?;
    let acted = |text: &str| serde_json::from_str::<Value>(text).ok()?.get("acted")?.as_u64();
    let sum: u64 =
        answers.iter().filter(|(status, _)| status.is_success()).filter_map(|(_, text)| acted(text)).sum();
    let mut told: Value = match serde_json::from_str(text) {
        Ok(told) if acted(text).is_some() => told,
        _ => return Some((*status, text.clone())),
    };
    told["acted"] = sum.into();
    Some((*status, told.to_string()))
}

/// The whole answer of an instance, which all of what goes here has in 64 KiB or some more.
pub(super) async fn answer(
    visit: &Visit,
    index: usize,
    head: &Parts,
    body: &Bytes,
) -> Result<(StatusCode, String), Failure> {
    let reply = visit.send(index, head, body).await?;
    let (status, body) = (reply.status(), reply.into_body());
    let body = body.collect().await.map_err(|_| Failure::Broken)?;
    Ok((status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
}

/// `GET /v1/instances`: how the front shares out, for whoever may see who is connected where.
pub(super) async fn report(visit: &Visit, head: &Parts) -> Reply {
    if head.method != Method::GET {
        return error(
            StatusCode::METHOD_NOT_ALLOWED,
            "the instances can only be looked at: GET /v1/instances",
        );
    }
    let mut asked = head.clone();
    asked.uri = hyper::Uri::from_static("/v1/connections");
    let mut tried = Vec::new();
    let (status, told) = loop {
        let Some(first) = visit.instances.first(&tried) else {
            return error(StatusCode::SERVICE_UNAVAILABLE, UNREACHED);
        };
        match answer(visit, first.index(), &asked, &Bytes::new()).await {
            Ok(told) => break told,
            Err(Failure::Unsent | Failure::Broken) => tried.push(first.index()),
        }
    };
    if !status.is_success() {
        return own(status, told);
    }
    let balance = lock(&visit.instances.balance);
    let instances: Vec<Value> = balance
        .seats()
        .iter()
        .map(|seat| {
            json!({
                "instance": seat.name, "lives": seat.lives, "ready": seat.lives && seat.is_ready, "open": seat.open, "chosen": seat.chosen,
            })
        })
        .collect();
    let report = json!({
        "rule": balance.rule().name(),
        "imbalance": balance.imbalance(),
        "instances": instances,
        "devices": serde_json::from_str::<Value>(&told).unwrap_or_default(),
    });
    own(StatusCode::OK, report.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_one_instance_goes_to_that_one() {
        let start =
            |kind: &str, instance: Value| json!({ "operation": "start", "kind": kind, "instance": instance });
        for (order, expected) in [
            (start(KILL, 1.into()), Ok(Some(0))),
            (start("bus-partition", 2.into()), Ok(Some(1))),
            (start("bus-delay", Value::Null), Ok(None)),
            (start(KILL, 3.into()), Err("from 1 to 2")),
            (start(KILL, 0.into()), Err("from 1 to 2")),
            (start("bus-partition", Value::Null), Err("`instance` is missing")),
            (json!({ "operation": "stop", "kind": KILL }), Ok(None)),
            (Value::Null, Ok(None)),
        ] {
            let told = named(&order, 2);
            match expected {
                Ok(expected) => assert_eq!(told, Ok(expected), "{order}"),
                Err(words) => assert!(told.unwrap_err().contains(words), "{order}"),
            }
        }
    }

    #[test]
    fn orders_are_answered_by_one_that_obeyed_and_acts_are_added_up() {
        let answers = |list: &[(StatusCode, &str)]| {
            merged(&list.iter().map(|(status, text)| (*status, (*text).to_owned())).collect::<Vec<_>>())
        };
        let (ok, missing) = (StatusCode::OK, StatusCode::NOT_FOUND);
        for (told, expected) in [
            (vec![], None),
            (vec![(missing, "no"), (missing, "nor here")], Some((missing, "no"))),
            (vec![(missing, r#"{"acted":9}"#), (ok, r#"{"acted":2}"#)], Some((ok, r#"{"acted":2}"#))),
            (vec![(ok, r#"{"acted":1}"#), (ok, r#"{"acted":2}"#)], Some((ok, r#"{"acted":3}"#))),
            (vec![(ok, "[]"), (ok, "[1]")], Some((ok, "[]"))),
        ] {
            assert_eq!(answers(&told), expected.map(|(status, text)| (status, text.to_owned())), "{told:?}");
        }
    }
}

//! What is for all instances at once: orders, and how they are.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::http::{Failure, Reply, UNREACHED, Visit, error, own};
use super::lock;

/// Gives an order to every instance that lives, and the first answer of one that has obeyed, with what faults did in all of them.
pub(super) async fn to_all(visit: &Visit, head: &Parts, body: Bytes) -> Reply {
    let asked = lock(&visit.instances.balance).living();
    let mut answers = Vec::new();
    for index in asked {
        match answer(visit, index, head, &body).await {
            Ok(answer) => answers.push(answer),
            // One that has just gone need not be told any more.
            Err(Failure::Unsent | Failure::Broken) => {}
        }
    }
    let nobody = || error(StatusCode::SERVICE_UNAVAILABLE, UNREACHED);
    merged(&answers).map_or_else(nobody, |(status, text)| own(status, text))
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
        .map(|seat| json!({ "instance": seat.name, "lives": seat.lives, "open": seat.open, "chosen": seat.chosen }))
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

//! Readings by POST: one, or a list.

use std::cell::Cell;
use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::{Request, StatusCode};
use serde_json::value::RawValue;

use super::admission::forbidden;
use super::{Hangup, JSON, LARGEST_BODY, Reply, busy, error, keep_silent, reply};
use crate::clock::Tick;
use crate::reference::admission::Sender;
use crate::reference::answer::{Answer, Reason, Shed};
use crate::reference::endpoint::dispatcher::{Dispatcher, Refusal, ReplyChannel};
use crate::reference::metric::Endpoint;
use crate::reference::pipeline::Submission;
use crate::reference::reading::Reading;

/// A request's body must follow its head within this time.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Readings of one list.
const MOST: usize = 1_000;
/// Largest list, bytes: 2 KiB for each of its readings, more than any takes whose fields are all there and as long as they may be.
pub(in crate::reference) const LARGEST_LIST: usize = MOST * 2_048;
/// What is said of a larger one.
pub(in crate::reference) const TOO_LARGE: &str = "a reading is at most 64 KiB, and a list of them 2 000 KiB";
/// Lists beyond [`LARGEST_BODY`] that may be under way at once: together they take 64 MB at the most.
const LARGE_AT_ONCE: usize = 32;

/// The body of a request, or what is wrong with it.
pub(super) async fn body(request: Request<Incoming>) -> Result<Bytes, Reply> {
    body_within(request, LARGEST_BODY, "a body is at most 64 KiB").await
}

async fn body_within(request: Request<Incoming>, most: usize, too_large: &str) -> Result<Bytes, Reply> {
    // A length that is announced need not be waited for.
    if request.body().size_hint().lower() > most as u64 {
        return Err(error(StatusCode::PAYLOAD_TOO_LARGE, too_large));
    }
    let body = Limited::new(request.into_body(), most).collect();
    match tokio::time::timeout(BODY_TIMEOUT, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(fault)) if fault.is::<LengthLimitError>() => {
            Err(error(StatusCode::PAYLOAD_TOO_LARGE, too_large))
        }
        Ok(Err(_)) => Err(error(StatusCode::BAD_REQUEST, "the body broke off")),
        Err(_) => Err(error(StatusCode::REQUEST_TIMEOUT, "the body did not come within 10 s")),
    }
}

/// The body of a request with readings, which is counted where it cannot be read. Beyond what any other body may take, a list
/// finds room.
async fn readings(request: Request<Incoming>, dispatcher: &Dispatcher) -> Result<Bytes, Reply> {
    let length = request.body().size_hint();
    let is_small = length.upper().is_some_and(|most| most <= LARGEST_BODY as u64);
    let room = (!is_small).then(|| LargeBody::enter(&dispatcher.large_bodies)).flatten();
    if room.is_none() && length.lower() > LARGEST_BODY as u64 {
        dispatcher.metrics.turn_away(Reason::QueueFull);
        let reason = format!("{LARGE_AT_ONCE} lists beyond 64 KiB are under way; try again later");
        return Err(busy(error(StatusCode::SERVICE_UNAVAILABLE, &reason), 1_000));
    }
    let most = if room.is_some() { LARGEST_LIST } else { LARGEST_BODY };
    let refusal = match body_within(request, most, TOO_LARGE).await {
        Ok(bytes) if bytes.len() <= LARGEST_BODY || is_list(&bytes) => return Ok(bytes),
        Ok(_) => error(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE),
        Err(reply) => reply,
    };
    dispatcher.metrics.bury();
    Err(refusal)
}

fn is_list(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first() == Some(&b'[')
}

/// A place among the large bodies that are being read.
struct LargeBody<'c>(&'c Cell<usize>);

impl<'c> LargeBody<'c> {
    fn enter(count: &'c Cell<usize>) -> Option<Self> {
        (count.get() < LARGE_AT_ONCE).then(|| {
            count.set(count.get() + 1);
            Self(count)
        })
    }
}

impl Drop for LargeBody<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Judges what was posted.
///
/// # Errors
/// If the verdict vanished on purpose, and its client has waited for long.
pub(super) async fn judge(
    request: Request<Incoming>,
    dispatcher: &Dispatcher,
    channel: &ReplyChannel,
    sender: Sender<'_>,
) -> Result<Reply, Hangup> {
    let bytes = match readings(request, dispatcher).await {
        Ok(bytes) => bytes,
        Err(reply) => return Ok(reply),
    };
    let arrived = dispatcher.pipeline.now();
    if is_list(&bytes) {
        return list(&bytes, arrived, sender, dispatcher, channel).await;
    }
    let reading = match Reading::parse(&bytes) {
        Ok(reading) => reading,
        Err(bad) => {
            dispatcher.bad(arrived, Endpoint::Http, &bad.reason, &bytes);
            return Ok(reply(StatusCode::BAD_REQUEST, JSON, bad.encode()));
        }
    };
    if let Err(denial) = dispatcher.demand_device(sender, &reading.device) {
        return Ok(reply(StatusCode::FORBIDDEN, JSON, forbidden(&reading, &denial)));
    }
    let mut answer = match hand_in(reading, arrived, sender, dispatcher, channel).await {
        Some(answer) => answer,
        None => channel.next().await,
    };
    let text = dispatcher.encode(&mut answer, Endpoint::Http);
    Ok(match answer {
        Answer::Verdict(_) | Answer::Twice(_) => reply(StatusCode::OK, JSON, text),
        Answer::Shed(Shed { reason: Reason::Quota | Reason::Overload, retry_ms, .. }) => {
            busy(reply(StatusCode::TOO_MANY_REQUESTS, JSON, text), retry_ms)
        }
        Answer::Shed(Shed { retry_ms, .. }) => {
            busy(reply(StatusCode::SERVICE_UNAVAILABLE, JSON, text), retry_ms)
        }
        Answer::Failed(_) => reply(StatusCode::INTERNAL_SERVER_ERROR, JSON, text),
        Answer::Vanished(_) => return Err(keep_silent(dispatcher).await),
    })
}

/// Takes a reading to the pipeline. None if its answer will come on the channel.
async fn hand_in(
    reading: Reading,
    arrived: Tick,
    sender: Sender<'_>,
    dispatcher: &Dispatcher,
    channel: &ReplyChannel,
) -> Option<Answer> {
    let id = reading.id();
    if let Err(refusal) = dispatcher.admit(&id.device, sender, arrived).await {
        return Some(refusal.answer(id));
    }
    match dispatcher.submit_patiently(reading, arrived, channel.reply_to()).await {
        Submission::Taken => None,
        Submission::Refused(reason, retry_ms) => Some(Refusal::Shed(reason, retry_ms).answer(id)),
        Submission::Blocked(_) => Some(Refusal::Shed(Reason::QueueFull, 1_000).answer(id)),
    }
}

/// Judges a list of readings: a list of answers in the same order, each with its own success or failure.
async fn list(
    bytes: &[u8],
    arrived: Tick,
    sender: Sender<'_>,
    dispatcher: &Dispatcher,
    channel: &ReplyChannel,
) -> Result<Reply, Hangup> {
    let items: Vec<&RawValue> = match serde_json::from_slice(bytes) {
        Ok(items) => items,
        Err(fault) => {
            dispatcher.bad(arrived, Endpoint::Http, &fault.to_string(), bytes);
            return Ok(error(StatusCode::BAD_REQUEST, &format!("not a list of readings: {fault}")));
        }
    };
    if items.len() > MOST {
        dispatcher.metrics.bury();
        let reason = format!("a list has at most {MOST} readings");
        return Ok(error(StatusCode::PAYLOAD_TOO_LARGE, &reason));
    }
    let mut answers: Vec<Option<String>> = vec![None; items.len()];
    let mut due: HashMap<(std::sync::Arc<str>, u64), Vec<usize>> = HashMap::new();
    for (index, item) in items.iter().enumerate() {
        let text = item.get().as_bytes();
        match Reading::parse(text) {
            Err(bad) => {
                dispatcher.bad(arrived, Endpoint::Http, &bad.reason, text);
                answers[index] = Some(bad.encode());
            }
            Ok(reading) => {
                if let Err(denial) = dispatcher.demand_device(sender, &reading.device) {
                    answers[index] = Some(forbidden(&reading, &denial));
                    continue;
                }
                let name = (reading.device.clone(), reading.seq);
                match hand_in(reading, arrived, sender, dispatcher, channel).await {
                    Some(mut refusal) => {
                        answers[index] = Some(dispatcher.encode(&mut refusal, Endpoint::Http));
                    }
                    None => due.entry(name).or_default().push(index),
                }
            }
        }
    }
    while !due.is_empty() {
        let mut answer = channel.next().await;
        if answer.copies() == 0 {
            // The whole list has one answer.
            return Err(keep_silent(dispatcher).await);
        }
        let name = (answer.id().device.clone(), answer.id().seq);
        // Readings of the same name are answered in the order they came in.
        let Some(indices) = due.get_mut(&name) else { continue };
        let index = indices.remove(0);
        if indices.is_empty() {
            due.remove(&name);
        }
        answers[index] = Some(dispatcher.encode(&mut answer, Endpoint::Http));
    }
    let answers: Vec<String> = answers.into_iter().flatten().collect();
    Ok(reply(StatusCode::OK, JSON, format!("[{}]", answers.join(","))))
}

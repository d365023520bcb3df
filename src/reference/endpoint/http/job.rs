//! Jobs over HTTP: submitted, looked at, and watched as they go.

use std::num::NonZeroU64;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::{Stream, stream};
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::content::COMMENT_EVERY;
use super::control::command;
use super::{Content, JSON, Reply, busy, done, error, json, reply};
use crate::reference::endpoint::dispatcher::Dispatcher;
use crate::reference::job::{Filter, Heard, Jobs, Submitted, Tally, Watcher};
use crate::service::{JobClass, Priority, Work};
use crate::units::plural;

/// Where a job is shown.
pub(super) const JOBS: &str = "/v1/jobs/";
/// Dead letters of one answer.
const MOST_LETTERS: usize = 100;
/// Longest key, and longest text on what a job is about, characters.
const LONGEST: usize = 256;
/// When to try again after as many jobs waited as may, milliseconds.
const RETRY_MS: u64 = 1_000;

/// What is posted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Posted {
    class: String,
    priority: Option<String>,
    key: Option<String>,
    about: Option<String>,
}

impl Posted {
    /// What is wrong with it, with the place of its class where nothing is.
    fn checked(&self, classes: &[JobClass]) -> Result<(usize, Option<Priority>), String> {
        let Some(place) = classes.iter().position(|class| class.name == self.class) else {
            let known: Vec<&str> = classes.iter().map(|class| class.name.as_str()).collect();
            return Err(if known.is_empty() {
                "there are no classes of jobs: [reference.jobs.classes.NAME] sets one up".to_owned()
            } else {
                format!("there is no class `{}`; there are {}", self.class, known.join(", "))
            });
        };
        for (name, text) in [("key", &self.key), ("about", &self.about)] {
            if text.as_ref().is_some_and(|text| text.chars().count() > LONGEST) {
                return Err(format!("`{name}` has at most {LONGEST} characters"));
            }
        }
        let priority = match &self.priority {
            None => None,
            Some(word) => Some(
                Priority::of(word)
                    .ok_or_else(|| format!("`priority` is critical, high, medium or low, not `{word}`"))?,
            ),
        };
        Ok((place, priority))
    }
}

/// `POST /v1/jobs`: 202 for a new job, 200 for one that is known by its key.
pub(super) async fn submit(request: Request<Incoming>, dispatcher: &Dispatcher) -> Reply {
    let posted: Posted = match command(request, "a job").await {
        Ok(posted) => posted,
        Err(reply) => return *reply,
    };
    let jobs = dispatcher.jobs();
    let (class, priority) = match posted.checked(jobs.classes()) {
        Ok(checked) => checked,
        Err(reason) => return error(StatusCode::BAD_REQUEST, &reason),
    };
    let report = |number| jobs.report(number).map_or_else(String::new, |(text, _)| text);
    match jobs.submit(class, priority, posted.key.as_deref(), posted.about.as_deref()) {
        Submitted::New(number) => {
            let accepted = reply(StatusCode::ACCEPTED, JSON, report(number));
            match jobs.classes()[class].does {
                // Work handed in, as readings are: it changes nothing of the service.
                Work::Simulate => accepted,
                Work::CacheWarm | Work::SessionCleanup => {
                    done(format!("POST /v1/jobs {}", posted.class), accepted)
                }
            }
        }
        Submitted::Known(number) => reply(StatusCode::OK, JSON, report(number)),
        Submitted::Full => {
            let most = jobs.classes()[class].capacity;
            let refusal = format!(
                "{} of the class `{}` waiting, as many as may",
                plural(most as u64, "job"),
                posted.class
            );
            busy(error(StatusCode::SERVICE_UNAVAILABLE, &refusal), RETRY_MS)
        }
    }
}

/// What is told of a class.
#[derive(Serialize)]
struct Class<'a> {
    #[serde(rename = "class")]
    name: &'a str,
    does: &'static str,
    priority: &'static str,
    capacity: usize,
    waiting: usize,
    running: usize,
    submitted: u64,
    refused: u64,
    skipped: u64,
    done: u64,
    dead: u64,
    failures: u64,
    crashes: u64,
    effects: u64,
    /// Of all tries that ended; none before the first.
    mean_try_ms: Option<f64>,
    longest_try_ms: f64,
}

impl<'a> Class<'a> {
    fn of(class: &'a JobClass, tally: &Tally) -> Self {
        let tries = tally.done + tally.failures + tally.crashes;
        Self {
            name: &class.name,
            does: class.does.name(),
            priority: class.priority.name(),
            capacity: class.capacity,
            waiting: tally.waiting,
            running: tally.running,
            submitted: tally.submitted,
            refused: tally.refused,
            skipped: tally.skipped,
            done: tally.done,
            dead: tally.dead,
            failures: tally.failures,
            crashes: tally.crashes,
            effects: tally.effects,
            mean_try_ms: (tries > 0).then(|| tally.spent_ns as f64 / tries as f64 / 1e6),
            longest_try_ms: tally.longest_ns as f64 / 1e6,
        }
    }
}

#[derive(Serialize)]
struct Overview<'a> {
    /// 0: they are worked on inline.
    workers: usize,
    subscribers: usize,
    classes: Vec<Class<'a>>,
}

/// `GET /v1/jobs`: the figures of every class.
pub(super) fn list(dispatcher: &Dispatcher) -> Reply {
    let jobs = dispatcher.jobs();
    let (tallies, subscribers) = jobs.tallies();
    let classes = jobs.classes().iter().zip(&tallies).map(|(class, tally)| Class::of(class, tally));
    json(&Overview { workers: jobs.workers(), subscribers, classes: classes.collect() })
}

/// `GET /v1/jobs/<number>`, and `GET /v1/jobs/dead-letters`.
pub(super) fn show(dispatcher: &Dispatcher, name: &str) -> Reply {
    let jobs = dispatcher.jobs();
    if name == "dead-letters" {
        return reply(StatusCode::OK, JSON, format!("[{}]", jobs.dead_letters(MOST_LETTERS).join(",")));
    }
    let Ok(number) = name.parse::<NonZeroU64>() else {
        return error(StatusCode::BAD_REQUEST, "a job goes by its number, from 1");
    };
    match jobs.report(number.get()) {
        Some((text, _)) => reply(StatusCode::OK, JSON, text),
        None => error(StatusCode::NOT_FOUND, "no job of this number is known, or no more"),
    }
}

/// What `?job=17&class=email` asks for.
fn filter(query: Option<&str>, dispatcher: &Dispatcher) -> Result<Filter, String> {
    let mut filter = Filter::default();
    for (key, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match &*key {
            "job" => {
                let number = value.parse::<NonZeroU64>();
                let number = number.map_err(|_| format!("`job` is a whole number from 1, not `{value}`"))?;
                filter.job = Some(number.get());
            }
            "class" => {
                let place = dispatcher.jobs().class(&value);
                filter.class = Some(place.ok_or_else(|| format!("there is no class `{value}`"))?);
            }
            other => return Err(format!("`{other}` is unknown; there are job and class")),
        }
    }
    Ok(filter)
}

/// `GET /v1/jobs/stream`: every change as a server-sent event. One job's stream begins with how it is and ends with the job.
pub(super) fn watch(request: &Request<Incoming>, dispatcher: &Rc<Dispatcher>) -> Reply {
    let filter = match filter(request.uri().query(), dispatcher) {
        Ok(filter) => filter,
        Err(reason) => return error(StatusCode::BAD_REQUEST, &reason),
    };
    let jobs = dispatcher.jobs();
    let Some(watcher) = jobs.subscribe(filter) else {
        return error(StatusCode::SERVICE_UNAVAILABLE, "too many subscribers; try again later");
    };
    // Read after subscribing, so that no change falls between the two.
    let now = match filter.job.map(|number| jobs.report(number)) {
        Some(None) => return error(StatusCode::NOT_FOUND, "no job of this number is known, or no more"),
        Some(now) => now,
        None => None,
    };
    let mut reply = Response::new(Content::progress(events(watcher, now, dispatcher)));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// A stream of events, between two of them.
struct Watch {
    jobs: Arc<Jobs>,
    watcher: Watcher,
    /// How the one job is that is followed, where that is to be said next, and whether it is over.
    now: Option<(String, bool)>,
    stop: watch::Receiver<bool>,
}

/// What a subscriber hears, after `now`: how its job is, and whether that is over.
fn events(
    watcher: Watcher,
    now: Option<(String, bool)>,
    dispatcher: &Dispatcher,
) -> impl Stream<Item = String> + 'static {
    let (jobs, stop) = (Arc::clone(dispatcher.jobs()), dispatcher.stop.clone());
    stream::unfold(Some(Watch { jobs, watcher, now, stop }), |watch| async {
        let mut watch = watch?;
        if let Some((text, is_over)) = watch.now.take() {
            return Some((format!("event: job\ndata: {text}\n\n"), (!is_over).then_some(watch)));
        }
        let heard = tokio::select! {
            biased;
            _ = watch.stop.wait_for(|stop| *stop) => return None,
            heard = tokio::time::timeout(COMMENT_EVERY, watch.watcher.next()) => heard,
        };
        let follows = watch.watcher.follows();
        match heard {
            Err(_) => Some((": still here\n\n".to_owned(), Some(watch))),
            Ok(Heard::Event(event)) => {
                let text = format!("id: {}\nevent: job\ndata: {}\n\n", event.id, event.text);
                let is_last = event.is_last && follows.is_some();
                Some((text, (!is_last).then_some(watch)))
            }
            Ok(Heard::Missed(count)) => {
                // What was missed may have been the end of the job that is followed.
                watch.now = follows.and_then(|number| watch.jobs.report(number));
                Some((format!("event: missed\ndata: {{\"count\":{count}}}\n\n"), Some(watch)))
            }
            Ok(Heard::Over) => None,
        }
    })
}

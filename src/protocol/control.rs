//! Requests to the target outside the measured traffic, over an ordinary HTTP client.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Endpoint;
use super::http::read_head;
use crate::fault::ServiceFault;
use crate::net::{Connection, DeviceTls, Link};
use crate::record::RunToken;
use crate::service::SIGNATURE;
use crate::units::{Secret, Span, is_steering};

/// Why a request to the target came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// It cannot be broken on purpose.
    #[error(
        "`{url}` does not offer service faults ({reason}): start the reference system with `squall serve --faults`, or \
         write a fault of kind exec for a service of your own"
    )]
    Unbreakable {
        /// Where its faults would be.
        url: String,
        /// What it said.
        reason: String,
    },
    /// It did not do what it was asked.
    #[error("{reason}")]
    Refused {
        /// What it said, or why it was not reached.
        reason: String,
    },
}

/// Bytes of an answer that are read.
const ANSWER_BYTES: usize = 64 * 1024;

/// How long the target may take to answer a request about faults: it may be in trouble.
const PATIENCE: Duration = Duration::from_secs(5);

/// The service ends a fault by itself so long after it should have been stopped: nobody else would, had the generator died.
const GRACE: Span = Span::from_ms(60_000);

/// Whether a GET of `url` is answered with a status of success within `timeout`.
///
/// Needs a tokio runtime with time and I/O enabled.
pub async fn succeeds(url: &str, timeout: Duration) -> bool {
    let Ok(client) = client(timeout) else { return false };
    client.get(url).send().await.is_ok_and(|answer| answer.status().is_success())
}

/// The JSON that a GET of `url` is answered with within `timeout`; `None` where it is not, or in more than 64 KiB.
///
/// Needs a tokio runtime with time and I/O enabled.
pub async fn ask(url: &str, timeout: Duration) -> Option<Value> {
    let mut answer = client(timeout).ok()?.get(url).send().await.ok()?;
    let mut text = Vec::new();
    while let Some(part) = answer.chunk().await.ok()? {
        text.extend_from_slice(&part);
        if text.len() > ANSWER_BYTES {
            return None;
        }
    }
    answer.status().is_success().then(|| serde_json::from_slice(&text).ok()).flatten()
}

fn client(timeout: Duration) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .user_agent(concat!("squall/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(timeout)
        // A connection that is there already gets through where new ones are refused on purpose.
        .pool_idle_timeout(None)
        .build()
}

/// What went wrong at bottom: the outer message only repeats the URL.
fn innermost(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

/// The bundled reference system's way of being broken on purpose, `/v1/faults`.
#[derive(Debug, Clone)]
pub struct FaultClient {
    way: Way,
    url: String,
    authority: String,
    run: String,
    token: Option<Secret>,
}

/// How orders get there.
#[derive(Debug, Clone)]
enum Way {
    Plain(reqwest::Client),
    /// Over a connection for each order, as devices make it.
    Tls(SocketAddr, DeviceTls),
}

impl FaultClient {
    /// The client of the service at the authority of `endpoint`, whatever its path, for the run whose token is `run`, which signs
    /// its orders. Nothing is sent yet.
    ///
    /// # Errors
    /// If the system gives no HTTP client.
    pub fn at(endpoint: &Endpoint, run: RunToken) -> Result<Self, ControlError> {
        let (way, scheme) = if let Some(tls) = endpoint.control_tls() {
            (Way::Tls(endpoint.address(), tls), "https")
        } else {
            let client = client(PATIENCE);
            let client = client.map_err(|error| ControlError::Refused { reason: innermost(&error) })?;
            (Way::Plain(client), "http")
        };
        let url = format!("{scheme}://{}/v1/faults", endpoint.address());
        Ok(Self { way, url, authority: endpoint.authority().to_owned(), run: run.to_string(), token: None })
    }

    /// The same, which shows `token`.
    #[must_use]
    pub fn showing(self, token: Option<Secret>) -> Self {
        Self { token, ..self }
    }

    /// Asks, without changing anything, whether the service lets itself be broken.
    ///
    /// Needs a tokio runtime with time and I/O enabled, as all requests here do.
    ///
    /// # Errors
    /// [`ControlError::Unbreakable`] if it does not, or does not answer within 5 s.
    pub async fn offered(&self) -> Result<(), ControlError> {
        let asked = self.send(None).await;
        asked.map(drop).map_err(|reason| ControlError::Unbreakable { url: self.url.clone(), reason })
    }

    /// Starts `trouble` under the name `name`: for `length`, after which the service waits another minute for
    /// [`Self::stop`] and then ends it by itself. Chances are drawn by `seed`, of which 53 bits count. Gives how often it
    /// acted so far.
    ///
    /// # Errors
    /// [`ControlError::Refused`] if the service refuses, cannot be reached, or does not answer within 5 s.
    pub async fn start(
        &self,
        name: &str,
        trouble: &ServiceFault,
        seed: u64,
        length: Span,
    ) -> Result<u64, ControlError> {
        self.post(&start_order(name, trouble, seed, length)).await
    }

    /// Stops what was started under the name `name`, and gives how often it acted.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn stop(&self, name: &str) -> Result<u64, ControlError> {
        self.post(&json!({ "operation": "stop", "name": name })).await
    }

    async fn post(&self, order: &Value) -> Result<u64, ControlError> {
        let answer = self.send(Some(order.to_string())).await;
        let answer = answer.map_err(|reason| ControlError::Refused { reason })?;
        Ok(answer.get("acted").and_then(Value::as_u64).unwrap_or(0))
    }

    /// The JSON of a successful answer to an order, or to the question what goes wrong, `null` where it is none; else what to tell the
    /// user.
    async fn send(&self, order: Option<String>) -> Result<Value, String> {
        let (status, text) = match &self.way {
            Way::Plain(client) => self.send_plain(client, order).await.map_err(|error| innermost(&error))?,
            Way::Tls(address, tls) => {
                let sent = self.send_over_tls((*address, tls), order.as_deref());
                let sent = tokio::time::timeout(PATIENCE, sent).await;
                sent.map_err(|_| format!("no answer within {PATIENCE:?}"))?
                    .map_err(|error| error.to_string())?
            }
        };
        let answer: Value = serde_json::from_slice(&text).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(answer);
        }
        let said = answer.get("error").and_then(Value::as_str).unwrap_or_default();
        let said: String = said.chars().filter(|c| !is_steering(*c)).take(200).collect();
        Err(if said.is_empty() { format!("it answers {status}") } else { format!("{status}: {said}") })
    }
}

impl FaultClient {
    async fn send_plain(
        &self,
        client: &reqwest::Client,
        order: Option<String>,
    ) -> Result<(StatusCode, Vec<u8>), reqwest::Error> {
        let request = match order {
            Some(order) => client
                .post(&self.url)
                .header("content-type", "application/json")
                .header(SIGNATURE, &self.run)
                .body(order),
            None => client.get(&self.url),
        };
        let request = match &self.token {
            Some(token) => request.bearer_auth(token.reveal()),
            None => request,
        };
        let mut response = request.header("host", &self.authority).send().await?;
        let mut text = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            let room = ANSWER_BYTES - text.len();
            text.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
            if chunk.len() >= room {
                break;
            }
        }
        Ok((response.status(), text))
    }

    async fn send_over_tls(
        &self,
        (address, tls): (SocketAddr, &DeviceTls),
        order: Option<&str>,
    ) -> io::Result<(StatusCode, Vec<u8>)> {
        let link = Link::dial(address, None, None).await?;
        let mut stream = Connection::shake_hands(link, tls).await?;
        let (method, body) = order.map_or(("GET", ""), |order| ("POST", order));
        let token = self.token.as_ref().map(|token| format!("authorization: Bearer {}\r\n", token.reveal()));
        let token = token.unwrap_or_default();
        let request = format!(
            "{method} /v1/faults HTTP/1.1\r\nhost: {}\r\nuser-agent: squall/{}\r\n{SIGNATURE}: {}\r\nconnection: close\r\n{token}\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.authority,
            env!("CARGO_PKG_VERSION"),
            self.run,
            body.len(),
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES as u64).read_to_end(&mut answer).await?;
        let head = read_head(&answer, &mut 0, |head| Ok(StatusCode::from_u16(head.status).ok()));
        let Ok(Some((length, Some(status)))) = head else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "what it answers is not HTTP"));
        };
        Ok((status, answer.split_off(length)))
    }
}

fn start_order(name: &str, trouble: &ServiceFault, seed: u64, length: Span) -> Value {
    let for_ms = length.as_ns().saturating_add(GRACE.as_ns()).div_ceil(1_000_000);
    let mut order = json!({
        "operation": "start",
        "name": name,
        // What any reader of JSON can hold.
        "seed": seed >> 11,
        "for_ms": for_ms,
    });
    let (kind, parameters) = wording(trouble);
    if let Some(order) = order.as_object_mut() {
        order.insert("kind".into(), kind.into());
        order.extend(parameters.into_iter().map(|(key, value)| (key.to_owned(), value)));
    }
    order
}

/// A trouble as the control API writes it: its kind and its parameters.
fn wording(trouble: &ServiceFault) -> (&'static str, Vec<(&'static str, Value)>) {
    let ms = |span: Span| {
        let whole = span.as_ns() / 1_000_000;
        if span.as_ns().is_multiple_of(1_000_000) { json!(whole) } else { json!(span.as_secs_f64() * 1e3) }
    };
    match trouble {
        ServiceFault::Slow { factor } => ("slow", vec![("factor", json!(factor))]),
        ServiceFault::Crash { workers } => ("crash", vec![("workers", json!(workers))]),
        ServiceFault::Stall => ("stall", Vec::new()),
        ServiceFault::Errors { chance } => ("errors", vec![("chance", json!(chance))]),
        ServiceFault::Overload { chance, retry_after } => {
            ("overload", vec![("chance", json!(chance)), ("retry_after_ms", ms(*retry_after))])
        }
        ServiceFault::CacheFlush => ("cache-flush", Vec::new()),
        ServiceFault::CacheOff => ("cache-off", Vec::new()),
        ServiceFault::QueueShrink { capacity } => ("queue-shrink", vec![("capacity", json!(capacity))]),
        ServiceFault::VerdictDrop { chance } => ("verdict-drop", vec![("chance", json!(chance))]),
        ServiceFault::VerdictDelay { delay } => ("verdict-delay", vec![("delay_ms", ms(*delay))]),
        ServiceFault::VerdictDuplicate { chance } => ("verdict-duplicate", vec![("chance", json!(chance))]),
        ServiceFault::PubackWithheld => ("puback-withheld", Vec::new()),
        ServiceFault::Refuse => ("refuse", Vec::new()),
        ServiceFault::InstanceKill { instance } => ("instance-kill", vec![("instance", json!(instance))]),
        ServiceFault::BusDelay { delay } => ("bus-delay", vec![("delay_ms", ms(*delay))]),
        ServiceFault::BusPartition { instance } => ("bus-partition", vec![("instance", json!(instance))]),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::record::Protocol;

    /// Answers `reply` to one request on a connection of its own, and gives what was asked.
    async fn answered<T>(
        reply: &'static str,
        ask: impl AsyncFnOnce(FaultClient) -> Result<T, ControlError>,
    ) -> (Result<T, ControlError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/v1/stream", listener.local_addr().unwrap());
        let endpoint = Endpoint::resolve(Protocol::named("ws"), &url).unwrap();
        let server = async {
            let (mut peer, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            let ended = |request: &[u8]| {
                let text = String::from_utf8_lossy(request).into_owned();
                let (head, body) = text.split_once("\r\n\r\n")?;
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                (body.len() >= length.map_or(0, |length| length.parse().unwrap())).then_some(text)
            };
            let text = loop {
                peer.read_buf(&mut request).await.unwrap();
                if let Some(text) = ended(&request) {
                    break text;
                }
            };
            peer.write_all(reply.as_bytes()).await.unwrap();
            text
        };
        let client = FaultClient::at(&endpoint, RunToken::UNSET).unwrap();
        tokio::join!(ask(client), server)
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn troubles_are_started_and_stopped_by_name() {
        block_on(async {
            let reply = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"acted\":7}";
            let slow = ServiceFault::Slow { factor: 2.5 };
            let (acted, request) = answered(reply, async |client: FaultClient| {
                client.start("brake", &slow, 1 << 11, Span::from_ms(1_500)).await
            })
            .await;
            assert_eq!(acted.unwrap(), 7);
            let (head, body) = request.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("POST /v1/faults HTTP/1.1\r\n"), "{head}");
            assert!(head.contains("\r\nhost: 127.0.0.1:"), "{head}");
            assert!(head.contains("\r\nuser-agent: squall/"), "{head}");
            assert_eq!(
                serde_json::from_str::<Value>(body).unwrap(),
                json!({"operation": "start", "name": "brake", "kind": "slow", "factor": 2.5, "seed": 1, "for_ms": 61_500})
            );
            let (acted, request) =
                answered(reply, async |client: FaultClient| client.stop("brake").await).await;
            assert_eq!(acted.unwrap(), 7);
            assert!(request.ends_with(r#"{"name":"brake","operation":"stop"}"#), "{request}");
        });
    }

    #[test]
    fn refusals_are_told_in_the_services_own_words() {
        block_on(async {
            let body = r#"{"error":"not \u0007today"}"#;
            let head = "HTTP/1.1 403 Forbidden\r\nContent-Length: ";
            let reply: &'static str = format!("{head}{}\r\n\r\n{body}", body.len()).leak();
            let (stopped, _) = answered(reply, async |client: FaultClient| client.stop("x").await).await;
            assert_eq!(stopped.unwrap_err().to_string(), "403 Forbidden: not today");
            let plain = "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 4\r\n\r\nno.\n";
            let (offered, request) =
                answered(plain, async |client: FaultClient| client.offered().await).await;
            assert!(request.starts_with("GET /v1/faults HTTP/1.1\r\n"), "{request}");
            let error = offered.unwrap_err().to_string();
            assert!(
                error.contains("405 Method Not Allowed") && error.contains("squall serve --faults"),
                "{error}"
            );
        });
    }

    #[test]
    fn every_trouble_is_worded_as_the_control_api_wants_it() {
        let (chance, span) = (0.5, Span::from_ms(250));
        let table = [
            (ServiceFault::Slow { factor: 3.0 }, json!({"kind": "slow", "factor": 3.0})),
            (ServiceFault::Crash { workers: 2 }, json!({"kind": "crash", "workers": 2})),
            (ServiceFault::Stall, json!({"kind": "stall"})),
            (ServiceFault::Errors { chance }, json!({"kind": "errors", "chance": 0.5})),
            (
                ServiceFault::Overload { chance, retry_after: span },
                json!({"kind": "overload", "chance": 0.5, "retry_after_ms": 250}),
            ),
            (ServiceFault::CacheFlush, json!({"kind": "cache-flush"})),
            (ServiceFault::CacheOff, json!({"kind": "cache-off"})),
            (ServiceFault::QueueShrink { capacity: 9 }, json!({"kind": "queue-shrink", "capacity": 9})),
            (ServiceFault::VerdictDrop { chance }, json!({"kind": "verdict-drop", "chance": 0.5})),
            (
                ServiceFault::VerdictDelay { delay: Span::from_ns(1_500_000) },
                json!({"kind": "verdict-delay", "delay_ms": 1.5}),
            ),
            (ServiceFault::VerdictDuplicate { chance }, json!({"kind": "verdict-duplicate", "chance": 0.5})),
            (ServiceFault::PubackWithheld, json!({"kind": "puback-withheld"})),
            (ServiceFault::Refuse, json!({"kind": "refuse"})),
            (ServiceFault::InstanceKill { instance: 2 }, json!({"kind": "instance-kill", "instance": 2})),
            (ServiceFault::BusDelay { delay: span }, json!({"kind": "bus-delay", "delay_ms": 250})),
            (ServiceFault::BusPartition { instance: 1 }, json!({"kind": "bus-partition", "instance": 1})),
        ];
        for (trouble, expected) in table {
            let (kind, parameters) = wording(&trouble);
            let parameters = parameters.into_iter().map(|(key, value)| (key.to_owned(), value));
            let worded: Value = parameters.chain([("kind".to_owned(), json!(kind))]).collect();
            assert_eq!(worded, expected);
        }
    }
}

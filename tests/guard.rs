//! Nobody who does not belong gets in, by the built binary: every endpoint, asked by each kind of asker, with the exact answers; who
//! did what is in the audit; and no secret is in any answer or log.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::cluster::{Redis, until};

/// The bundled service as a process of its own, and what it says.
struct Service {
    child: Child,
    /// Held open, for the service to print to.
    _out: BufReader<ChildStdout>,
    printed: String,
    logged: Arc<Mutex<String>>,
}

impl Service {
    fn start(folder: &Path, more: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
        command.current_dir(folder).args(["serve", "--http-port", "0", "--mqtt-port", "0", "--faults"]);
        command.args(more).envs(environment.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (mut out, mut printed) = (BufReader::new(child.stdout.take().unwrap()), String::new());
        while !printed.contains("Ctrl-C") && out.read_line(&mut printed).unwrap() > 0 {}
        let (logged, mut errors) =
            (Arc::<Mutex<String>>::default(), BufReader::new(child.stderr.take().unwrap()));
        let kept = Arc::clone(&logged);
        thread::spawn(move || {
            let mut line = String::new();
            while errors.read_line(&mut line).is_ok_and(|count| count > 0) {
                kept.lock().unwrap().push_str(&std::mem::take(&mut line));
            }
        });
        Self { child, _out: out, printed, logged }
    }

    /// Where it says that it is reached by what begins so.
    fn place(&self, beginning: &str) -> String {
        let rest = self.printed.split(beginning).nth(1).unwrap_or_else(|| panic!("{}", self.printed));
        rest.chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect()
    }

    fn logged(&self) -> String {
        self.logged.lock().unwrap().clone()
    }

    /// Status, head and body of the answer to one request with these header `fields`, each with its line break. A body without a
    /// length is not waited for.
    fn ask(&self, method: &str, path: &str, fields: &str, body: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.place("page     http://")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let host = if fields.contains("Host: ") { "" } else { "Host: localhost\r\n" };
        let length = body.len();
        let request =
            format!("{method} {path} HTTP/1.1\r\n{host}Content-Length: {length}\r\n{fields}\r\n{body}");
        stream.write_all(request.as_bytes()).unwrap();
        let (mut answer, mut head) = (BufReader::new(stream), String::new());
        while !head.ends_with("\r\n\r\n") && answer.read_line(&mut head).unwrap() > 0 {}
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        answer.read_exact(&mut body).unwrap();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
        (status, head, String::from_utf8(body).unwrap())
    }

    /// What an order comes to with this token.
    fn order(&self, path: &str, token: &str, body: &str) -> u16 {
        self.ask("POST", path, &format!("Authorization: Bearer {token}\r\n"), body).0
    }

    fn json(&self, path: &str, token: &str) -> Value {
        let (_, head, body) = self.ask("GET", path, &format!("Authorization: Bearer {token}\r\n"), "");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {head}{body}"))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const TOKENS: &str = "token,rights,name\nr-Zq7,read,reader\nc-Zq7,control,operator\nall-Zq7,,admin\n";
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asker {
    Nobody,
    Wrong,
    Reader,
    Operator,
    Admin,
    ForeignOrigin,
    ForeignHost,
}

impl Asker {
    /// Those who are refused first: nothing of what they ask for may show in what the others get.
    const ALL: [Self; 7] = [
        Self::Nobody,
        Self::Wrong,
        Self::ForeignOrigin,
        Self::ForeignHost,
        Self::Reader,
        Self::Operator,
        Self::Admin,
    ];

    const fn fields(self) -> &'static str {
        match self {
            Self::Nobody => "",
            Self::Wrong => "Authorization: Bearer wrong-Zq7\r\n",
            Self::Reader => "Authorization: Bearer r-Zq7\r\n",
            Self::Operator => "Authorization: Bearer c-Zq7\r\n",
            Self::Admin => "Authorization: Bearer all-Zq7\r\n",
            Self::ForeignOrigin => "Authorization: Bearer all-Zq7\r\nOrigin: http://evil.example\r\n",
            Self::ForeignHost => "Authorization: Bearer all-Zq7\r\nHost: evil.example\r\n",
        }
    }

    /// Status and reason of a refusal, of what needs this `right`; `changes`: it changes something, or opens a WebSocket.
    fn refusal(self, right: Option<&str>, changes: bool) -> Option<(u16, String)> {
        let lacks = |right: &str| (403, format!("the token does not give the right to {right}"));
        match (self, right) {
            (Self::ForeignHost, _) => Some((
                421,
                "the service does not go by the name `evil.example`: squall serve --allow-host evil.example"
                    .into(),
            )),
            (Self::ForeignOrigin, _) => changes.then(|| {
                let page = "http://evil.example";
                (403, format!("a page of `{page}` may not do that here: squall serve --allow-origin {page}"))
            }),
            (_, None) | (Self::Admin, _) => None,
            (Self::Nobody, _) => Some((401, "a token is needed: Authorization: Bearer TOKEN".into())),
            (Self::Wrong, _) => Some((401, "the token is not known here".into())),
            (Self::Reader, Some(right)) => (right != "read").then(|| lacks(right)),
            (Self::Operator, Some(right)) => (right != "control").then(|| lacks(right)),
        }
    }
}

/// Method and path, header fields, body, the right that is needed, and what is answered to whoever may: status, and how the body
/// begins.
type Row = (&'static str, &'static str, &'static str, Option<&'static str>, (u16, &'static str));

/// Every endpoint. The order matters: what is changed by one row is put right by a later one.
const TABLE: [Row; 33] = [
    ("POST /v1/readings", "", READING, Some("publish"), (200, r#"{"type":"verdict","device":"m-1","#)),
    ("GET /v1/stream", UPGRADE, "", Some("publish"), (101, "")),
    ("GET /v1/alerts", "", "", Some("read"), (200, r#"{"last":0,"forgotten":0,"alerts":[]}"#)),
    ("GET /v1/alerts?wait_ms=1", "", "", Some("read"), (200, r#"{"last":0,"forgotten":0,"alerts":[]}"#)),
    ("GET /v1/alerts/stream", "", "", Some("read"), (200, "")),
    ("GET /v1/alerts/ws", UPGRADE, "", Some("read"), (101, "")),
    ("GET /v1/realtime", "", "", Some("read"), (200, r#"{"operation":"running","#)),
    ("GET /v1/experiment", "", "", Some("read"), (200, "{")),
    (
        "POST /v1/experiment",
        "",
        r#"{"operation":"promote"}"#,
        Some("control"),
        (409, r#"{"type":"error","reason":"there is no experiment; set `experiment.share`"}"#),
    ),
    (
        "GET /v1/windows",
        "",
        "",
        Some("read"),
        (409, r#"{"type":"error","reason":"there are no windows; set `features.window`"}"#),
    ),
    (
        "GET /v1/devices/nobody",
        "",
        "",
        Some("read"),
        (404, r#"{"type":"error","reason":"no device `nobody` is known"}"#),
    ),
    ("GET /v1/connections", "", "", Some("read"), (200, "{")),
    ("GET /v1/dead-letters", "", "", Some("read"), (200, "[]")),
    ("GET /v1/faults", "", "", Some("read"), (200, "[]")),
    ("GET /v1/audit", "", "", Some("read"), (200, r#"{"last":"#)),
    ("GET /v1/jobs", "", "", Some("read"), (200, r#"{"workers":0,"#)),
    ("GET /v1/jobs/dead-letters", "", "", Some("read"), (200, "[]")),
    ("GET /v1/jobs/stream", "", "", Some("read"), (200, "")),
    (
        "POST /v1/jobs",
        "",
        r#"{"class":"a"}"#,
        Some("control"),
        (400, r#"{"type":"error","reason":"there are no classes of jobs"#),
    ),
    (
        "GET /v1/state",
        "",
        "",
        Some("read"),
        (
            404,
            r#"{"type":"error","reason":"no state outlives this instance: start it with `state.directory`"#,
        ),
    ),
    (
        "POST /v1/state/snapshot",
        "",
        "",
        Some("control"),
        (
            409,
            r#"{"type":"error","reason":"no state outlives this instance: start it with `state.directory`"#,
        ),
    ),
    ("GET /metrics", "", "", Some("read"), (200, "# HELP ")),
    (
        "POST /v1/realtime",
        "",
        r#"{"operation":"pause"}"#,
        Some("control"),
        (200, r#"{"operation":"paused","#),
    ),
    (
        "POST /v1/realtime",
        "",
        r#"{"operation":"start"}"#,
        Some("control"),
        (200, r#"{"operation":"running","#),
    ),
    ("POST /v1/cache", "", r#"{"operation":"flush"}"#, Some("control"), (200, r#"{"forgotten":"#)),
    ("POST /v1/cache", "", r#"{"operation":"version"}"#, Some("control"), (200, r#"{"model":"histograms","#)),
    ("POST /v1/faults", "", FAULT, Some("control"), (200, "{")),
    ("POST /v1/faults", "", r#"{"operation":"stop-all"}"#, Some("control"), (200, "{")),
    ("DELETE /v1/alerts", "", "", Some("control"), (405, "use GET here\n")),
    ("GET /health", "", "", None, (200, r#"{"status":""#)),
    ("GET /openapi.json", "", "", None, (200, "{")),
    ("GET /", "", "", None, (200, "squall reference system")),
    ("GET /nothing", "", "", None, (404, "there is no /nothing here; GET / names what there is\n")),
];

const READING: &str = r#"{"device":"m-1","seq":1,"value":1}"#;
const FAULT: &str = r#"{"operation":"start","name":"f","kind":"cache-off"}"#;

#[test]
fn every_endpoint_answers_each_asker_exactly_as_it_should() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tokens.csv"), TOKENS).unwrap();
    let service = Service::start(folder.path(), &["--tokens", "tokens.csv", "--log", "text"], &[]);
    for asker in Asker::ALL {
        for (request, fields, body, right, (status, beginning)) in TABLE {
            let (method, path) = request.split_once(' ').unwrap();
            let (found, head, answer) =
                service.ask(method, path, &(asker.fields().to_owned() + fields), body);
            if let Some((status, reason)) = asker.refusal(right, method != "GET" || fields == UPGRADE) {
                let expected = format!(r#"{{"type":"error","reason":"{reason}"}}"#);
                assert_eq!(
                    (found, answer.as_str()),
                    (status, expected.as_str()),
                    "{asker:?} {request} {body}"
                );
            } else {
                assert_eq!(found, status, "{asker:?} {request} {body}: {answer}");
                assert!(answer.starts_with(beginning), "{asker:?} {request} {body}: {answer}");
            }
            assert!(!head.contains("access-control"), "{asker:?} {request}: {head}");
            assert!(!(head.clone() + &answer).contains("Zq7"), "{asker:?} {request}: {head}{answer}");
        }
    }
    let actions = service.json("/v1/audit", "r-Zq7")["actions"].clone();
    let told: Vec<String> = actions
        .as_array()
        .unwrap()
        .iter()
        .map(|action| format!("{} {} {}", action["id"], action["who"], action["what"]).replace('"', ""))
        .collect();
    let done = [
        "POST /v1/realtime pause",
        "POST /v1/realtime start",
        "POST /v1/cache flush",
        "POST /v1/cache version histograms",
        "POST /v1/faults start f (cache-off)",
        "POST /v1/faults stop-all",
    ];
    let by = ["operator", "admin"].into_iter().flat_map(|who| done.map(|what| (who, what)));
    let expected: Vec<String> =
        by.enumerate().map(|(place, (who, what))| format!("{} {who} {what}", place + 1)).collect();
    assert_eq!(told, expected, "who was refused has done nothing");
    assert!(!service.logged().contains("Zq7"), "{}", service.logged());
}

#[test]
fn who_did_what_and_when_is_in_the_audit_and_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let open = Service::start(folder.path(), &["--log", "json"], &[]);
    assert_eq!(open.order("/v1/cache", "any", r#"{"operation":"flush"}"#), 200);
    // What only asks, and what is refused, is no action.
    assert_eq!(open.order("/v1/realtime", "any", r#"{"operation":"status"}"#), 200);
    assert_eq!(open.order("/v1/faults", "any", r#"{"operation":"stop","name":"none"}"#), 404);
    // Whoever waits for the next hears of it when it has been done.
    let next = thread::scope(|scope| {
        let waiting = scope.spawn(|| open.json("/v1/audit?after=1&wait_ms=60000", "any"));
        thread::sleep(Duration::from_millis(100));
        open.order("/v1/realtime", "any", r#"{"operation":"pause"}"#);
        waiting.join().unwrap()
    });
    assert_eq!((&next["last"], &next["forgotten"]), (&2.into(), &0.into()), "{next}");
    let all = open.json("/v1/audit", "any");
    for (action, what) in
        all["actions"].as_array().unwrap().iter().zip(["POST /v1/cache flush", "POST /v1/realtime pause"])
    {
        assert_eq!(
            (&action["what"], &action["who"], &action["run"]),
            (&what.into(), &"anonymous".into(), &Value::Null)
        );
        assert!(action["from"].as_str().unwrap().starts_with("127.0.0.1:"), "{action}");
        let at = action["at"].as_str().unwrap();
        assert!(at.len() == "2026-11-20T21:41:15.123Z".len() && at.ends_with('Z'), "{action}");
        until("it is in the log", || {
            let logged = open.logged();
            let line = logged.lines().find(|line| line.contains(what));
            line.is_some_and(|line| {
                line.contains(r#""who":"anonymous""#) && line.contains(r#""from":"127.0.0.1:"#)
            })
        });
    }
    assert_eq!(all["actions"].as_array().map(Vec::len), Some(2), "{all}");
    for (query, status) in [("after=1&limit=1", 200), ("after=x", 400), ("wait=1", 400)] {
        assert_eq!(open.ask("GET", &format!("/v1/audit?{query}"), "", "").0, status, "{query}");
    }
}

/// What the variables of a set-up stand for; never a part of anything else.
const SECRETS: [(&str, &str); 4] = [
    ("ADMIN", "s3cr3t-admin-Zq7"),
    ("SIGNER", "s3cr3t-signer-Zq7-of-32-bytes-and-more"),
    ("REDIS_PASSWORD", "s3cr3t-redis-Zq7"),
    ("DEVICE", "s3cr3t-device-Zq7"),
];

/// A set-up that meets in the Redis at `address`, which may have a login in it.
fn setup(address: &str) -> String {
    format!(
        r#"[reference.admission]
tokens = ["${{ADMIN}}", {{ token = "other-Zq7", device = "${{DEVICE}}", rights = ["control"] }}]
jwt = {{ hs256 = "${{SIGNER}}" }}
total = "1000/s"
shared = true
[reference.cluster]
redis = "redis://{address}"
moves_state = true
[reference.cache]
shared = "redis://{address}"
"#
    )
}

#[test]
fn no_answer_and_no_log_tells_a_secret_and_a_refused_password_is_called_one() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut cases = vec![(format!("ann:${{REDIS_PASSWORD}}@{closed}"), closed, "has not answered")];
    let redis = Redis::on_a_free_port(&["--requirepass", "another"]);
    if let Some(redis) = &redis {
        let place = redis.place();
        cases.push((format!(":${{REDIS_PASSWORD}}@{place}"), place.clone(), "has refused the password"));
        cases.push((place.clone(), place, "has asked for a password, and none is set,"));
    }
    for (address, place, complaint) in cases {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("s.toml"), setup(&address)).unwrap();
        let service = Service::start(folder.path(), &["--config", "s.toml", "--log", "json"], &SECRETS);
        let admin = SECRETS[0].1;
        let complains = |meanwhile: &str| {
            let reasons = service.json("/health", admin)["reasons"].to_string();
            reasons.contains(&format!("Redis at redis://{place} {complaint} for "))
                && reasons.contains(meanwhile)
        };
        // Whoever sends makes it look for what others know.
        until("each way to Redis is found to lead nowhere", || {
            service.order("/v1/readings", admin, READING);
            ["alerts stay on this", "scores are computed here", "begin anew", "its part of the quotas"]
                .iter()
                .all(|meanwhile| complains(meanwhile))
        });
        until("the log tells of it", || service.logged().contains(complaint));
        assert_eq!(service.order("/v1/cache", "other-Zq7", r#"{"operation":"flush"}"#), 200);
        assert!(service.json("/v1/audit", admin)["actions"][0]["who"] == "device:${DEVICE}");
        let field = format!("Authorization: Bearer {admin}\r\n");
        for (request, fields, body, ..) in TABLE {
            let (method, path) = request.split_once(' ').unwrap();
            for fields in [field.clone() + fields, fields.to_owned()] {
                let (_, head, answer) = service.ask(method, path, &fields, body);
                assert!(!(head.clone() + &answer).contains("Zq7"), "{request}: {head}{answer}");
            }
        }
        let told = service.printed.clone() + &service.logged();
        assert!(!told.contains("Zq7"), "{told}");
    }
}

#[test]
fn whoever_lets_others_than_this_machine_in_without_a_token_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, expected) in [
        (&[] as &[&str], ""),
        (&["--bind", "127.0.0.1"], ""),
        (
            &["--bind", "0.0.0.0"],
            "warning: the service listens on 0.0.0.0, beyond this machine; nobody is asked for a token",
        ),
        (&["--bind", "0.0.0.0", "--log", "json"], "nobody is asked for a token"),
        (&["--bind", "0.0.0.0", "--token", "s3cr3t-Zq7"], "tokens come in unencrypted"),
    ] {
        let service = Service::start(folder.path(), arguments, &[]);
        let is_warned = || service.logged().contains("beyond this machine");
        if expected.is_empty() {
            assert!(!is_warned(), "{arguments:?}: {}", service.logged());
        } else {
            until("it is said", is_warned);
            assert!(service.logged().contains(expected), "{arguments:?}: {}", service.logged());
        }
        assert!(!(service.printed.clone() + &service.logged()).contains("Zq7"));
        let is_wide = arguments.contains(&"0.0.0.0");
        assert_eq!(service.place("page     http://").starts_with("0.0.0.0:"), is_wide, "{}", service.printed);
    }
}

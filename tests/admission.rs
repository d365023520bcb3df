//! Who may do what at the bundled service: every endpoint, asked without a token and with each kind of one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use squall::clock::Monotonic;
use squall::engine::Control;
use squall::protocol::Endpoint;
use squall::record::{Outcome, Protocol};
use squall::reference::{Config, Server};
use squall::service::{Admission, AnonymousPolicy, Jwt, Kept, Quota, Right, Setup, Token};
use squall::units::Secret;

use crate::bundled::patient;
use crate::support::drive;

const SECRET: &str = "an-example-of-a-secret-of-32-bytes";

/// A token signed by `secret` that says `claims`.
fn signed(secret: &str, claims: &str) -> String {
    let message =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#), URL_SAFE_NO_PAD.encode(claims));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn serve(anonymous: AnonymousPolicy) -> Server {
    let token = |word: &str, right| Token { rights: vec![right], ..Token::of(word) };
    let own =
        Token { rights: vec![Right::Publish, Right::Read], device: Some("m-1".into()), ..Token::of("own") };
    let tokens = vec![
        token("publisher", Right::Publish),
        token("reader", Right::Read),
        token("controller", Right::Control),
        own,
    ];
    let jwt = Jwt { hs256: Some(Kept::Here(Secret::new(SECRET))), ..Jwt::default() };
    let admission = Admission { tokens, jwt, anonymous, ..Admission::default() };
    let setup = Setup { admission, faults: true, ..Setup::default() };
    Server::start(&Config { setup, ..Config::default() }).unwrap()
}

/// Status and challenge of the answer to one request.
fn ask(address: SocketAddr, method: &str, target: &str, body: &str, fields: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n{fields}\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let (mut status, mut challenge) = (0, String::new());
    for line in BufReader::new(stream).lines() {
        let line = line.unwrap();
        if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
            status = rest[..3].parse().unwrap();
        }
        if let Some(rest) = line.strip_prefix("www-authenticate: ") {
            challenge = rest.to_owned();
        }
        if line.is_empty() {
            break;
        }
    }
    (status, challenge)
}

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Who asks, in the order of the columns below.
fn askers() -> [Option<String>; 8] {
    let good = |rights: &str| signed(SECRET, &format!(r#"{{"exp":4102444800,"scope":"{rights}"}}"#));
    [
        None,
        Some("wrong".into()),
        Some(signed(SECRET, r#"{"exp":1,"scope":"publish read control"}"#)),
        Some(signed("another-secret-of-at-least-32-bytes", r#"{"exp":4102444800,"scope":"control"}"#)),
        Some("reader".into()),
        Some("publisher".into()),
        Some(good("control")),
        Some(good("publish read control")),
    ]
}

#[test]
fn every_endpoint_answers_each_kind_of_token_as_it_should() {
    const READING: &str = r#"{"device":"m-1","seq":1,"value":1}"#;
    let server = serve(AnonymousPolicy::Refuse);
    let (publish, read, control) = (
        [401, 401, 401, 401, 403, 200, 403, 200],
        [401, 401, 401, 401, 200, 403, 403, 200],
        [401, 401, 401, 401, 403, 403, 200, 200],
    );
    let with = |mut row: [u16; 8], status: u16| {
        row.iter_mut().filter(|found| **found == 200).for_each(|found| *found = status);
        row
    };
    let (status, none) = (r#"{"operation":"status"}"#, "");
    let table = [
        ("POST", "/v1/readings", READING, "", publish),
        ("GET", "/v1/readings", none, "", with(publish, 405)),
        ("GET", "/v1/stream", none, UPGRADE, with(publish, 101)),
        ("GET", "/v1/stream", none, "", with(publish, 426)),
        ("GET", "/v1/alerts", none, "", read),
        ("GET", "/v1/alerts/stream", none, "", read),
        ("GET", "/v1/alerts/ws", none, UPGRADE, with(read, 101)),
        ("GET", "/v1/windows", none, "", with(read, 409)),
        ("GET", "/v1/windows/stream", none, "", with(read, 409)),
        ("GET", "/v1/windows/ws", none, UPGRADE, with(read, 409)),
        ("GET", "/v1/verdicts", none, "", read),
        ("GET", "/v1/verdicts/stream", none, "", read),
        ("GET", "/v1/verdicts/ws", none, UPGRADE, with(read, 101)),
        ("GET", "/v1/broadcast", none, "", read),
        ("GET", "/v1/broadcast/ws", none, UPGRADE, with(read, 101)),
        ("POST", "/v1/broadcast", r#"{"goal":"1:0"}"#, "", with(publish, 202)),
        ("POST", "/v1/broadcast", r#"{"id":1}"#, "", with(publish, 400)),
        ("POST", "/v1/verdicts", none, "", with(control, 405)),
        ("GET", "/v1/realtime", none, "", read),
        ("POST", "/v1/realtime", status, "", control),
        ("GET", "/v1/experiment", none, "", read),
        ("POST", "/v1/experiment", r#"{"operation":"promote"}"#, "", with(control, 409)),
        ("GET", "/v1/devices/none", none, "", with(read, 404)),
        ("GET", "/v1/connections", none, "", read),
        ("GET", "/v1/dead-letters", none, "", read),
        ("GET", "/v1/audit", none, "", read),
        ("GET", "/v1/jobs", none, "", read),
        ("GET", "/v1/jobs/1", none, "", with(read, 404)),
        ("GET", "/v1/jobs/stream", none, "", read),
        ("POST", "/v1/jobs", none, "", with(control, 400)),
        ("POST", "/v1/cache", r#"{"operation":"flush"}"#, "", control),
        ("GET", "/v1/faults", none, "", read),
        ("POST", "/v1/faults", r#"{"operation":"stop-all"}"#, "", control),
        ("GET", "/metrics", none, "", read),
        ("GET", "/v1/nothing", none, "", with(read, 404)),
        ("DELETE", "/v1/alerts", none, "", with(control, 405)),
        ("GET", "/health", none, "", [200; 8]),
        ("GET", "/openapi.json", none, "", [200; 8]),
        ("GET", "/", none, "", [200; 8]),
        ("GET", "/nothing", none, "", [404; 8]),
    ];
    for (method, path, body, fields, expected) in table {
        for (token, expected) in askers().into_iter().zip(expected) {
            let field =
                token.as_ref().map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
            let (status, challenge) = ask(server.http_addr(), method, path, body, &(field + fields));
            assert_eq!(status, expected, "{method} {path} {token:?}");
            let challenged = match (status, &token) {
                (401, None) => challenge == "Bearer realm=\"squall\"",
                (401, Some(_)) => challenge.contains("error=\"invalid_token\""),
                (403, _) => challenge.contains("error=\"insufficient_scope\""),
                _ => challenge.is_empty(),
            };
            assert!(challenged, "{method} {path} {token:?}: {challenge}");
        }
    }
    server.stop();
}

#[test]
fn a_token_is_shown_as_bearer_or_as_the_password_of_basic_authentication_and_in_no_other_way() {
    let server = serve(AnonymousPolicy::Refuse);
    let basic = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    for (fields, expected) in [
        ("Authorization: bearer reader".to_owned(), 200),
        ("Authorization: BEARER   reader ".to_owned(), 200),
        (format!("Authorization: Basic {}", basic("anybody:reader")), 200),
        (format!("Authorization: Basic {}", basic("reader")), 401),
        (format!("Authorization: Basic {}", basic("reader:")), 401),
        ("Authorization: Basic %%%".to_owned(), 401),
        ("Authorization: reader".to_owned(), 401),
        ("Authorization: Digest reader".to_owned(), 401),
        ("Authorization: Bearer reader\r\nAuthorization: Bearer reader".to_owned(), 401),
        ("Authorization: Bearer \u{e9}".to_owned(), 401),
    ] {
        let found = ask(server.http_addr(), "GET", "/v1/realtime", "", &format!("{fields}\r\n"));
        assert_eq!(found.0, expected, "{fields}");
    }
    server.stop();
}

#[test]
fn who_speaks_for_one_device_hears_and_says_nothing_of_others() {
    let server = serve(AnonymousPolicy::Refuse);
    let signed = signed(SECRET, r#"{"exp":4102444800,"sub":"m-1","scope":["publish","read"]}"#);
    for token in ["own", &signed] {
        let field = format!("Authorization: Bearer {token}\r\n");
        for (method, path, body, expected) in [
            ("POST", "/v1/readings", r#"{"device":"m-1","seq":1,"value":1}"#, 200),
            ("POST", "/v1/readings", r#"{"device":"m-2","seq":1,"value":1}"#, 403),
            ("GET", "/v1/alerts", "", 200),
            ("GET", "/v1/alerts?device=m-1", "", 200),
            ("GET", "/v1/alerts?device=m-2", "", 403),
            ("GET", "/v1/verdicts?device=m-2", "", 403),
            ("GET", "/v1/verdicts", "", 200),
            ("GET", "/v1/broadcast", "", 200),
            ("POST", "/v1/broadcast", "{}", 403),
            ("GET", "/v1/devices/m-1", "", 200),
            ("GET", "/v1/devices/m-2", "", 403),
            ("GET", "/v1/devices/m%2D2", "", 403),
            ("GET", "/v1/connections", "", 403),
            ("GET", "/v1/dead-letters", "", 403),
            ("GET", "/v1/audit", "", 403),
            ("GET", "/v1/jobs", "", 403),
            ("GET", "/v1/jobs/1", "", 403),
            ("GET", "/v1/realtime", "", 200),
        ] {
            assert_eq!(
                ask(server.http_addr(), method, path, body, &field).0,
                expected,
                "{method} {path} {body}"
            );
        }
    }
    server.stop();
}

#[test]
fn anonymous_senders_are_admitted_where_it_is_written_and_wrong_tokens_are_not() {
    for anonymous in [AnonymousPolicy::Admit, AnonymousPolicy::Limit] {
        let server = serve(anonymous);
        let ask = |method, path, body, fields: &str| ask(server.http_addr(), method, path, body, fields).0;
        assert_eq!(ask("POST", "/v1/readings", r#"{"device":"m-1","seq":1,"value":1}"#, ""), 200);
        assert_eq!(ask("GET", "/v1/realtime", "", ""), 200);
        assert_eq!(ask("POST", "/v1/realtime", r#"{"operation":"stop"}"#, ""), 403);
        assert_eq!(ask("GET", "/v1/realtime", "", "Authorization: Bearer wrong\r\n"), 401);
        assert_eq!(Mqtt::connect(server.mqtt_addr(), "d", None).1, 0);
        assert_eq!(Mqtt::connect(server.mqtt_addr(), "d", Some("wrong")).1, 4);
        server.stop();
    }
    let open = Server::start(&Config::default()).unwrap();
    assert_eq!(ask(open.http_addr(), "GET", "/v1/realtime", "", "Authorization: Bearer any\r\n").0, 200);
    assert_eq!(Mqtt::connect(open.mqtt_addr(), "d", Some("any")).1, 0);
    open.stop();
}

/// A client that knows as much of MQTT as is needed here.
pub(crate) struct Mqtt(pub(crate) TcpStream);

impl Mqtt {
    /// A client, and the code of its CONNACK.
    pub(crate) fn connect(address: SocketAddr, client: &str, token: Option<&str>) -> (Self, u8) {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut this = Self(stream);
        let flags = if token.is_some() { 0xc2 } else { 0x02 };
        let mut body = [text("MQTT"), vec![4, flags, 0, 60], text(client)].concat();
        if let Some(token) = token {
            body.extend([text("anybody"), text(token)].concat());
        }
        this.send(0x10, &body);
        let answer = this.take().unwrap();
        (this, answer[3])
    }

    pub(crate) fn send(&mut self, kind: u8, body: &[u8]) {
        let mut packet = vec![kind];
        let mut left = body.len();
        loop {
            let more = if left >= 128 { 0x80 } else { 0 };
            packet.push((left % 128) as u8 | more);
            left /= 128;
            if left == 0 {
                break;
            }
        }
        packet.extend_from_slice(body);
        self.0.write_all(&packet).unwrap();
    }

    /// The next packet, of less than 128 bytes; `None` if the connection has ended.
    pub(crate) fn take(&mut self) -> Option<Vec<u8>> {
        let mut packet = vec![0; 2];
        self.0.read_exact(&mut packet).ok()?;
        packet.resize(2 + usize::from(packet[1]), 0);
        self.0.read_exact(&mut packet[2..]).ok()?;
        Some(packet)
    }

    /// The code by which a subscription is answered.
    fn subscribe(&mut self, filter: &str) -> u8 {
        self.send(0x82, &[vec![0, 1], text(filter), vec![0]].concat());
        *self.take().unwrap().last().unwrap()
    }

    /// Whether a message of `QoS` 1 is acknowledged; else the connection has ended.
    fn publishes(mut self, topic: &str) -> bool {
        self.send(0x32, &[text(topic), vec![0, 1], b"{}".to_vec()].concat());
        self.take().is_some()
    }
}

pub(crate) fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat()
}

#[test]
fn mqtt_answers_each_kind_of_token_as_it_should() {
    let server = serve(AnonymousPolicy::Refuse);
    let connect = |token: Option<&str>| Mqtt::connect(server.mqtt_addr(), "", token);
    for (token, code) in askers().into_iter().zip([5, 4, 4, 4, 0, 0, 5, 0]) {
        assert_eq!(connect(token.as_deref()).1, code, "{token:?}");
    }
    for (token, topic, expected) in [
        ("publisher", "devices/m-9/readings", true),
        ("publisher", "anything", true),
        ("reader", "devices/m-9/readings", false),
        ("reader", "anything", false),
        ("own", "devices/m-1/readings", true),
        ("own", "devices/m-2/readings", false),
    ] {
        assert_eq!(connect(Some(token)).0.publishes(topic), expected, "{token} {topic}");
    }
    for (token, filter, code) in [
        ("publisher", "devices/m-9/verdicts", 0),
        ("publisher", "devices/+/verdicts", 0x80),
        ("publisher", "alerts/#", 0x80),
        ("reader", "alerts/#", 0),
        ("own", "devices/m-1/verdicts", 0),
        ("own", "devices/m-2/verdicts", 0x80),
        ("own", "#", 0x80),
    ] {
        assert_eq!(connect(Some(token)).0.subscribe(filter), code, "{token} {filter}");
    }
    server.stop();
}

#[test]
fn a_session_is_that_of_whoever_may_have_it() {
    let server = serve(AnonymousPolicy::Refuse);
    let other = signed(SECRET, r#"{"exp":4102444800,"sub":"m-2","scope":"publish read"}"#);
    // CONNECT with clean_session = 0: whether the CONNACK says that the session was there.
    let present = |token: &str| {
        let stream = TcpStream::connect(server.mqtt_addr()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut client = Mqtt(stream);
        client
            .send(0x10, &[text("MQTT"), vec![4, 0xc0, 0, 60], text("same"), text("x"), text(token)].concat());
        let answer = client.take().unwrap();
        assert_eq!(answer[3], 0);
        client.send(0xe0, &[]);
        // It has gone when the service has closed the connection.
        while client.take().is_some() {}
        answer[2] == 1
    };
    assert_eq!(
        ["own", &other, "own", &other, "reader", "publisher"].map(present),
        [false, false, true, true, false, false]
    );
    server.stop();
}

/// Sends readings of fifty devices over one connection, and returns when each has come to something.
fn send_fifty(server: &Server, protocol: &str) {
    let readings = (0..50).map(|n| format!(r#"{{"device":"m-{n}","seq":1,"value":1}}"#));
    let mut stream = TcpStream::connect(server.http_addr()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let head = "HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer t\r\n";
    match protocol {
        "http" => {
            let body = format!("[{}]", readings.collect::<Vec<_>>().join(","));
            let length = body.len();
            write!(
                stream,
                "POST /v1/readings {head}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
            )
            .unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert_eq!(answer.matches(r#""device":"m-"#).count(), 50, "{answer}");
        }
        "ws" => {
            write!(stream, "GET /v1/stream {head}{UPGRADE}\r\n").unwrap();
            let mut answer = BufReader::new(stream.try_clone().unwrap());
            answer.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
            for reading in readings {
                // A text in one frame, masked by zeros.
                stream.write_all(&[0x81, 0x80 | reading.len() as u8, 0, 0, 0, 0]).unwrap();
                stream.write_all(reading.as_bytes()).unwrap();
                let mut size = [0; 2];
                answer.read_exact(&mut size).unwrap();
                let mut length = u16::from(size[1]);
                if length == 126 {
                    answer.read_exact(&mut size).unwrap();
                    length = u16::from_be_bytes(size);
                }
                answer.read_exact(&mut vec![0; length.into()]).unwrap();
            }
        }
        _ => {
            let (mut client, code) = Mqtt::connect(server.mqtt_addr(), "", Some("t"));
            assert_eq!(code, 0);
            for (n, reading) in readings.enumerate() {
                let topic = text(&format!("devices/m-{n}/readings"));
                client.send(0x32, &[topic, vec![0, n as u8 + 1], reading.into_bytes()].concat());
                client.take().unwrap();
            }
        }
    }
}

#[test]
fn fifty_names_pass_no_more_than_the_connection_the_address_and_the_token_they_come_from() {
    let five = Some(Quota { rate: "0.001/s".parse().unwrap(), burst: 5 });
    let tokens = vec![Token::of("t")];
    for (name, admission, shed) in [
        ("none", Admission::default(), [0, 0]),
        ("per connection", Admission { per_connection: five, ..Admission::default() }, [45, 90]),
        ("per address", Admission { per_address: five, ..Admission::default() }, [45, 95]),
        ("per token", Admission { per_token: five, tokens, ..Admission::default() }, [45, 95]),
    ] {
        for protocol in ["http", "ws", "mqtt"] {
            let setup = Setup { admission: admission.clone(), ..Setup::default() };
            let server = Server::start(&Config { setup, ..Config::default() }).unwrap();
            let found = [(); 2].map(|()| {
                send_fifty(&server, protocol);
                server.health().shed
            });
            assert_eq!(found, shed, "{name} over {protocol}");
            server.stop();
        }
    }
}

#[test]
fn devices_of_mqtt_5_hear_by_the_acknowledgement_that_they_are_shed_and_hear_it_once() {
    let quota = Quota { rate: "0.001/s".parse().unwrap(), burst: 5 };
    let admission = Admission { device: Some(quota), ..Admission::default() };
    for close in ["ack", "verdict"] {
        let setup = Setup { admission: admission.clone(), ..Setup::default() };
        let server = Server::start(&Config { setup, ..Config::default() }).unwrap();
        let plan = patient(&format!(
            "[scenario]\nname = \"t\"\n\n[target]\nmqtt = \"mqtt://127.0.0.1\"\n\n[[phase]]\nname = \"p\"\nduration = \"0.2s\"\n\n\
             [fleet.m]\nprotocol = \"mqtt\"\ndevices = 3\nrate = \"100/s\"\nclose = \"{close}\"\nmqtt = {{ version = 5, qos = 1 }}\n"
        ));
        let endpoint = Endpoint::resolve(Protocol::named("mqtt"), &format!("mqtt://{}", server.mqtt_addr()));
        let (_, book) = drive(&plan, vec![endpoint.unwrap()], 1, Monotonic::start(), &Control::new());
        let of = |outcome| book.readings().filter(|sample| sample.outcome == outcome).count() as u64;
        assert_eq!((of(Outcome::Ok), of(Outcome::Shed)), (15, book.planned - 15), "{close}");
        assert!(book.reasons.iter().all(|reason| reason.sentence.contains("quota exceeded")), "{close}");
        assert_eq!((book.unmatched, book.findings.len()), (0, 0), "{close}");
        server.stop();
    }
}

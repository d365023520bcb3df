//! Whom the bundled service answers: names that it does not know and pages of other origins are turned away, by the built binary.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

pub(crate) struct Service {
    child: Child,
    /// Held open, for the service to print to.
    _out: BufReader<ChildStdout>,
    pub(crate) address: String,
}

impl Service {
    pub(crate) fn start(more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
        command.args(["serve", "--http-port", "0", "--mqtt-port", "0", "--faults"]).args(more);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let address = out.by_ref().lines().map_while(Result::ok).find_map(|line| {
            let rest = line.trim().strip_prefix("health")?.trim().strip_prefix("http://")?.to_owned();
            Some(rest.trim_end_matches("/health").to_owned())
        });
        Self { child, _out: out, address: address.unwrap() }
    }

    /// The answer to a request with `headers`, each a line; `@` stands for the service's address, `%` for its port.
    pub(crate) fn ask(&self, line: &str, headers: &[&str], body: &str) -> (u16, String) {
        let port = self.address.rsplit_once(':').unwrap().1;
        let mut head = format!("{line}\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        for header in headers {
            head += &(header.replace('@', &self.address).replace('%', port) + "\r\n");
        }
        self.send(&(head + "\r\n" + body))
    }

    fn send(&self, request: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let mut buffer = [0; 4_096];
        // A connection that was to be upgraded stays open.
        let is_upgrade = request.contains("Upgrade");
        while !(is_upgrade && String::from_utf8_lossy(&answer).contains("\r\n\r\n")) {
            match stream.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(count) => answer.extend_from_slice(&buffer[..count]),
            }
        }
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or_else(|| panic!("{request}: {answer}")), answer)
    }

    fn upgrade(&self, path: &str, host: &str, more: &[&str]) -> (u16, String) {
        let mut head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: keep-alive, Upgrade\r\n");
        head += "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
        for header in more {
            head += &(header.replace('@', &self.address) + "\r\n");
        }
        self.send(&(head + "\r\n"))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const READING: &str = r#"{"device":"m","seq":1,"value":1}"#;
const FAULT: &str = r#"{"operation":"start","name":"f","kind":"stall"}"#;
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

#[test]
fn only_names_that_it_knows_are_answered() {
    let (own, known) = (Service::start(&[]), Service::start(&["--allow-host", "squall.test"]));
    for (headers, status, allowed) in [
        (&["Host: @"] as &[&str], 200, 200),
        (&["Host: localhost:%"], 200, 200),
        (&["Host: LOCALHOST"], 200, 200),
        (&["Host: a.localhost.:1"], 200, 200),
        (&["Host: [::1]:%"], 200, 200),
        (&["Host: 127.8.8.8"], 200, 200),
        (&["Host: squall.test:%"], 421, 200),
        (&["Host: Squall.Test."], 421, 200),
        (&["Host: evil.example:%"], 421, 421),
        (&["Host: localhost.evil.example"], 421, 421),
        (&["Host: 127.0.0.1.evil.example"], 421, 421),
        (&["Host: notlocalhost"], 421, 421),
        (&["Host: 192.0.2.1:%"], 421, 421),
        (&["Host: localhost@evil.example"], 421, 421),
        (&["Host: a b"], 400, 400),
        (&["Host:"], 400, 400),
        (&[], 400, 400),
        (&["Host: localhost", "Host: localhost"], 400, 400),
        (&["Host: localhost", "Host: evil.example"], 400, 400),
    ] {
        for (service, expected) in [(&own, status), (&known, allowed)] {
            for (line, body) in [("GET /v1/realtime HTTP/1.1", ""), ("POST /v1/readings HTTP/1.1", READING)] {
                let (status, answer) = service.ask(line, headers, body);
                assert_eq!(status, expected, "{line} {headers:?}: {answer}");
                assert!(expected == 200 || answer.contains("\"error\""), "{answer}");
            }
        }
    }
    for (line, headers, expected) in [
        ("GET /health HTTP/1.0", &[] as &[&str], 200),
        ("GET http://localhost/health HTTP/1.1", &["Host: localhost"], 200),
        ("GET http://evil.example/health HTTP/1.1", &["Host: localhost"], 421),
    ] {
        let (status, answer) = own.ask(line, headers, "");
        assert_eq!(status, expected, "{line}: {answer}");
    }
    let (_, told) = own.ask("GET / HTTP/1.1", &["Host: squall.test"], "");
    assert!(told.contains("squall serve --allow-host squall.test"), "{told}");
}

#[test]
fn a_page_of_another_origin_changes_nothing_and_opens_no_websocket() {
    let own = Service::start(&[]);
    let open = Service::start(&["--allow-origin", "https://lab.example"]);
    let evil = "Origin: http://evil.example";
    let lab = "Origin: https://lab.example";
    let operation = |operation: &str| format!(r#"{{"operation":"{operation}"}}"#);
    let (flush, stop, status) = (operation("flush"), operation("stop"), operation("status"));
    let posts = [
        ("/v1/faults", FAULT),
        ("/v1/cache", flush.as_str()),
        ("/v1/realtime", stop.as_str()),
        ("/v1/readings", READING),
    ];
    for (path, body) in posts {
        for origin in
            [evil, "Origin: null", "Origin: http://localhost:1", "Origin: https://@", "Origin: x", lab]
        {
            let line = format!("POST {path} HTTP/1.1");
            let headers = ["Host: @", origin, "Content-Type: text/plain"];
            let (status, answer) = own.ask(&line, &headers, body);
            assert_eq!(status, 403, "{path} {origin}: {answer}");
        }
        for method in ["OPTIONS", "PUT", "DELETE"] {
            let (status, answer) = own.ask(&format!("{method} {path} HTTP/1.1"), &["Host: @", evil], "");
            assert_eq!(status, 403, "{method} {path}: {answer}");
        }
    }
    for path in ["/v1/stream", "/v1/alerts/ws"] {
        for (service, origin, expected) in
            [(&own, evil, 403), (&own, lab, 403), (&own, "Origin: http://@", 101), (&open, lab, 101)]
        {
            let (status, answer) = service.upgrade(path, &service.address, &[KEY, origin]);
            assert_eq!(status, expected, "{path} {origin}: {answer}");
        }
        assert_eq!(own.upgrade(path, &own.address, &[KEY]).0, 101, "{path}");
        assert_eq!(own.upgrade(path, "evil.example", &[KEY]).0, 421, "{path}");
    }
    // Nothing of all that was done; what is done by the service's own page, or by no page, is.
    let (_, now) = own.ask("GET /v1/realtime HTTP/1.1", &["Host: @", evil], "");
    assert!(now.contains(r#""operation":"running""#) && now.contains(r#""received":0"#), "{now}");
    assert!(!now.contains("access-control"), "{now}");
    let (_, faults) = own.ask("GET /v1/faults HTTP/1.1", &["Host: @"], "");
    assert!(!faults.contains("stall"), "{faults}");
    for headers in [&["Host: @"] as &[&str], &["Host: localhost:%", "Origin: http://localhost:%"]] {
        assert_eq!(own.ask("POST /v1/realtime HTTP/1.1", headers, &status).0, 200);
    }
    for (method, body, expected) in [("OPTIONS", "", 204), ("POST", status.as_str(), 200)] {
        let (status, answer) = open.ask(&format!("{method} /v1/realtime HTTP/1.1"), &["Host: @", lab], body);
        assert_eq!(status, expected, "{method}: {answer}");
        assert!(answer.contains("access-control-allow-origin: https://lab.example"), "{answer}");
    }
}

#[test]
fn the_live_page_asks_for_nothing_that_is_not_there() {
    let service = Service::start(&[]);
    let (status, page) = service.ask("GET / HTTP/1.1", &["Host: @", "Accept: text/html"], "");
    assert!(status == 200 && page.contains(r#"<link rel="icon" href="data:,">"#), "{page}");
    // No other page shows it in a frame, to have its buttons pressed.
    assert!(page.contains("frame-ancestors 'none'") && page.contains("x-frame-options: DENY"), "{page}");
    // What it links to, and what its script fetches or sends.
    let mut paths: Vec<&str> = page.split(['"', '`']).filter(|text| text.starts_with('/')).collect();
    paths.sort_unstable();
    paths.dedup();
    assert!(paths.len() >= 7, "{paths:?}");
    for path in paths {
        let path = path.split('?').next().unwrap();
        let (status, answer) = service.ask(&format!("GET {path} HTTP/1.1"), &["Host: @"], "");
        assert_ne!(status, 404, "{path}: {answer}");
    }
    // What its buttons send is understood, word for word; faults that are on are told to every page.
    for (path, body) in [
        ("/v1/faults", r#"{"operation":"start","name":"page-stall","kind":"stall","for_ms":60000}"#),
        (
            "/v1/faults",
            r#"{"operation":"start","name":"page-slow","kind":"slow","for_ms":60000,"factor":10}"#,
        ),
        (
            "/v1/faults",
            r#"{"operation":"start","name":"page-errors","kind":"errors","for_ms":60000,"chance":0.1}"#,
        ),
        (
            "/v1/faults",
            r#"{"operation":"start","name":"page-queue-shrink","kind":"queue-shrink","for_ms":60000,"capacity":100}"#,
        ),
        ("/v1/faults", r#"{"operation":"start","name":"page-cache-off","kind":"cache-off","for_ms":60000}"#),
        ("/v1/cache", r#"{"operation":"flush"}"#),
        ("/v1/faults", r#"{"operation":"crash-worker"}"#),
    ] {
        let (status, answer) = service.ask(&format!("POST {path} HTTP/1.1"), &["Host: @"], body);
        assert_eq!(status, 200, "{body}: {answer}");
    }
    // The page looks twice a second: what it asks does not fail because the service is unwell, which the console would be full of.
    assert!(page.contains("\"/health?unhealthy=200\""), "{page}");
    let (status, health) = service.ask("GET /health?unhealthy=200 HTTP/1.1", &["Host: @"], "");
    assert!(status == 200 && health.contains(r#""status":"unhealthy""#), "{health}");
    let (_, now) = service.ask("GET /v1/realtime HTTP/1.1", &["Host: @"], "");
    assert!(now.contains(r#""faults_allowed":true"#) && now.contains(r#""name":"page-stall""#), "{now}");
    for key in ["queue_s", "cache_s", "inference_s", "reply_s", "busy_s"] {
        assert!(now.contains(&format!("\"{key}\":")), "{key}: {now}");
    }
    let (_, ended) = service.ask("POST /v1/faults HTTP/1.1", &["Host: @"], r#"{"operation":"stop-all"}"#);
    assert_eq!(ended.matches("page-").count(), 5, "{ended}");
}

#[test]
fn a_websocket_needs_a_key_of_sixteen_bytes() {
    let service = Service::start(&[]);
    for (headers, expected) in [
        (&[KEY] as &[&str], 101),
        (&["Sec-WebSocket-Key: c2hvcnQ="], 400),
        (&["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZSE="], 400),
        (&["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ"], 400),
        (&["Sec-WebSocket-Key: !!!"], 400),
        (&["Sec-WebSocket-Key:"], 400),
        (&[KEY, KEY], 400),
        (&[], 400),
    ] {
        let (status, answer) = service.upgrade("/v1/stream", "localhost", headers);
        assert_eq!(status, expected, "{headers:?}: {answer}");
    }
}

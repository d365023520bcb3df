//! A page of another origin in a real browser, headless Chromium: it can neither stop the bundled service, nor flush its cache, nor
//! start a fault, nor open a WebSocket, by any of the ways that pages have.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::browser::Service;
use crate::skip;

/// What the page tries, each under a name; `TARGET` stands for the address of the service. It reports what it saw to its own
/// server, and what each attempt came to: `opened` and `read` must not occur.
const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><iframe name="sink"></iframe><script>
const orders = [
  ["/v1/realtime", '{"operation":"pause"}'],
  ["/v1/realtime", '{"operation":"stop"}'],
  ["/v1/cache", '{"operation":"flush"}'],
  ["/v1/faults", '{"operation":"start","name":"f","kind":"cache-off"}'],
  ["/v1/readings", '{"device":"m","seq":1,"value":1}'],
];
const tried = {};
async function attempt(name, act) {
  try { tried[name] = await act(); } catch (error) { tried[name] = "refused: " + error.name; }
}
function post(path, body, options) {
  return fetch("http://TARGET" + path, {method: "POST", body, ...options}).then(
    async reply => reply.type === "opaque" ? "sent" : reply.ok ? "read" : "answered " + reply.status);
}
function form(path, body) {
  return new Promise(resolve => {
    const form = document.createElement("form");
    const [name, value] = [body.slice(0, -1) + ',"x":"', '"}'];
    Object.assign(form, {method: "POST", action: "http://TARGET" + path, enctype: "text/plain", target: "sink"});
    const input = Object.assign(document.createElement("input"), {name, value});
    form.append(input); document.body.append(form);
    document.querySelector("iframe").onload = () => resolve("sent");
    form.submit();
    setTimeout(() => resolve("sent"), 3000);
  });
}
function socket(path) {
  return new Promise(resolve => {
    const socket = new WebSocket("ws://TARGET" + path);
    socket.onopen = () => { socket.send(orders[4][1]); resolve("opened"); };
    socket.onerror = () => resolve("refused: error");
  });
}
function events(path) {
  return new Promise(resolve => {
    const source = new EventSource("http://TARGET" + path);
    source.onopen = () => { source.close(); resolve("opened"); };
    source.onerror = () => { source.close(); resolve("refused: error"); };
  });
}
(async () => {
  for (const [nth, [path, body]] of orders.entries()) {
    await attempt("plain " + nth, () => post(path, body, {headers: {"content-type": "text/plain"}}));
    await attempt("opaque " + nth, () => post(path, body, {mode: "no-cors"}));
    await attempt("json " + nth, () => post(path, body, {headers: {"content-type": "application/json"}}));
    await attempt("with cookies " + nth, () => post(path, body, {mode: "no-cors", credentials: "include"}));
    await attempt("beacon " + nth, async () => { navigator.sendBeacon("http://TARGET" + path, body); return "sent"; });
    await attempt("form " + nth, () => form(path, body));
  }
  for (const path of ["/v1/stream", "/v1/alerts/ws"]) await attempt("socket " + path, () => socket(path));
  const told = ["/v1/realtime", "/v1/audit", "/v1/alerts", "/v1/faults", "/v1/dead-letters", "/metrics", "/health"];
  for (const path of told) await attempt("reading " + path, () => fetch("http://TARGET" + path).then(() => "read"));
  await attempt("events", () => events("/v1/alerts/stream"));
  await fetch("/report", {method: "POST", body: JSON.stringify(tried)});
})();
</script>"#;

/// Serves the page to whoever asks, and passes on what it reports.
fn serve(listener: TcpListener, target: &str) -> Receiver<Value> {
    let (tell, told) = sync_channel(1);
    let page = PAGE.replace("TARGET", target);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (tell, page) = (tell.clone(), page.clone());
            // A browser opens connections that it then does not use.
            thread::spawn(move || {
                if let Some(Ok(report)) = answer(stream, &page).map(|body| serde_json::from_slice(&body)) {
                    let _ = tell.try_send(report);
                }
            });
        }
    });
    told
}

/// Answers one request; gives the body of a report.
fn answer(mut stream: TcpStream, page: &str) -> Option<Vec<u8>> {
    let mut input = BufReader::new(stream.try_clone().ok()?);
    let (mut first, mut length) = (String::new(), 0);
    input.read_line(&mut first).ok()?;
    for line in input.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()) {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    input.read_exact(&mut body).ok()?;
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
        page.len()
    )
    .ok()?;
    first.starts_with("POST /report").then_some(body)
}

/// The browser, with a profile of its own. Ended with the test.
struct Browser {
    child: Child,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// `None`, having said so, where there is none.
    fn open(url: &str) -> Option<Self> {
        let profile = tempfile::tempdir().unwrap();
        for program in ["chromium", "chromium-browser", "google-chrome"] {
            let mut command = Command::new(program);
            command.args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]);
            command.args(["--disable-background-networking", "--disable-component-update"]);
            // A page may not ask the user for the loopback where no user is.
            command.arg("--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests");
            command.arg(format!("--user-data-dir={}", profile.path().display())).arg(url);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            if let Ok(child) = command.arg("--remote-debugging-port=0").spawn() {
                return Some(Self { child, _profile: profile });
            }
        }
        skip::missing("chromium is not installed");
        None
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What can be seen of the service from outside: whether it works, what it took, what its cache holds, what goes wrong on purpose, and
/// what it was told to do.
fn state(service: &Service) -> [Value; 6] {
    let read = |path: &str| -> Value {
        let (_, reply) = service.ask(&format!("GET {path} HTTP/1.1"), &["Host: @"], "");
        serde_json::from_str(reply.split_once("\r\n\r\n").unwrap().1).unwrap()
    };
    let realtime = read("/v1/realtime");
    let of = |part: &str| realtime[part].clone();
    [of("operation"), of("readings"), of("cache"), of("devices"), read("/v1/faults"), read("/v1/audit")]
}

/// What was tried, and what came of it.
type Attempt = (String, String);

/// What the page's attempts at a service came to, by name, and the state of the service before and after. `welcome`: the service
/// lets pages of this origin in. `None`, having said so, without a browser or without its report.
fn try_all(welcome: bool) -> Option<(Vec<Attempt>, [Value; 6], [Value; 6])> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let allow = ["--allow-origin", &origin];
    let service = Service::start(if welcome { &allow } else { &[] });
    // Something to flush.
    service.ask("POST /v1/readings HTTP/1.1", &["Host: @"], r#"{"device":"own","seq":1,"value":1}"#);
    let before = state(&service);
    let told = serve(listener, &service.address);
    let _browser = Browser::open(&origin)?;
    let Ok(tried) = told.recv_timeout(Duration::from_secs(120)) else {
        skip::disturbed("the browser does not come to report");
        return None;
    };
    let tried = tried.as_object().unwrap().iter();
    let tried = tried.map(|(name, came_to)| (name.clone(), came_to.as_str().unwrap().to_owned())).collect();
    Some((tried, before, state(&service)))
}

#[test]
fn a_page_of_another_origin_changes_nothing_in_a_real_browser() {
    let Some((tried, before, after)) = try_all(false) else { return };
    assert_eq!(tried.len(), 5 * 6 + 2 + 7 + 1, "{tried:?}");
    for (name, came_to) in &tried {
        assert!(!["opened", "read"].contains(&came_to.as_str()), "{name}: {came_to}");
        assert!(!name.starts_with("socket") || came_to.starts_with("refused"), "{name}: {came_to}");
    }
    assert_eq!(before, after, "{tried:?}");
    assert_eq!(before[0], "running");
    // The same page can do all of that where it is welcome: it is the service that keeps it out, not the browser.
    let Some((tried, before, after)) = try_all(true) else { return };
    let came_to = |word: &str| tried.iter().filter(|(_, came_to)| came_to == word).count();
    assert!(came_to("read") > 0, "{tried:?}");
    assert_eq!(came_to("opened"), 3, "{tried:?}");
    assert!(after[0] != "running" && before[4] != after[4], "{after:?}");
}

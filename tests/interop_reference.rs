//! The reference system's HTTP and WebSocket doors against clients that others wrote, and against abuse.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use squall::clock::Monotonic;
use squall::reference::{Config, Server, Status};
use squall::service::{Cache, Inference, Queue, Setup};
use squall::units::Span;

use crate::skip;

fn server() -> Server {
    Server::start(&Config::default()).unwrap()
}

/// Runs `command`; `None`, and a line that says so, if it is not installed.
fn peer(command: &str, arguments: &[&str]) -> Option<String> {
    let Ok(output) = Command::new(command).args(arguments).stdin(Stdio::null()).output() else {
        skip::missing(&format!("{command} is not installed"));
        return None;
    };
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn has_module(module: &str) -> bool {
    let probe =
        Command::new("python3").args(["-c", &format!("import {module}")]).stderr(Stdio::null()).status();
    let has = probe.is_ok_and(|status| status.success());
    if !has {
        skip::missing(&format!("Python's {module} is not installed"));
    }
    has
}

/// Sends `bytes` on a connection of its own and gives what comes back until there is a whole response, or the head of a switch of
/// protocols, or the server closes.
fn exchange(addr: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // The server may refuse before all has been sent.
    let _ = stream.write_all(bytes);
    let (mut reply, mut buffer) = (Vec::new(), [0; 4096]);
    while !is_whole(&reply) {
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => reply.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("no answer: {:?}", String::from_utf8_lossy(&reply))
            }
            _ => break,
        }
    }
    String::from_utf8_lossy(&reply).into_owned()
}

fn is_whole(reply: &[u8]) -> bool {
    let text = String::from_utf8_lossy(reply).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    if head.starts_with("http/1.1 101") {
        return true;
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.is_some_and(|length| body.len() >= length.parse().unwrap())
}

fn post(addr: SocketAddr, body: &[u8]) -> String {
    let head =
        format!("POST /v1/readings HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
    exchange(addr, &[head.as_bytes(), body].concat())
}

const READING: &str = r#"{"device":"meters-00017","seq":42,"intended_ns":123456789,"value":21.5}"#;

/// Four readings may wait for an inference of 30 ms each.
fn slow_and_small() -> Setup {
    Setup {
        queue: Queue { capacity: 4, ..Queue::default() },
        inference: Inference { cost: Span::from_ms(30), ..Inference::default() },
        cache: Cache { capacity: 0, ..Cache::default() },
        ..Setup::default()
    }
}

#[test]
fn curl_gets_a_verdict_health_and_metrics() {
    let server = server();
    let base = format!("http://{}", server.http_addr());
    let Some(text) = peer("curl", &["-sS", "-d", READING, &format!("{base}/v1/readings")]) else { return };
    let verdict: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&verdict["type"], &verdict["device"], &verdict["seq"]),
        (&"verdict".into(), &"meters-00017".into(), &42.into())
    );
    let stages = &verdict["stages"];
    let ns = |name: &str| stages[name].as_u64().unwrap();
    assert!(ns("queue_ns") + ns("cache_ns") + ns("inference_ns") <= ns("total_ns"), "{stages}");

    let health = peer("curl", &["-sS", &format!("{base}/health")]).unwrap();
    assert!(health.contains(r#""status":"healthy""#), "{health}");
    let metrics = peer("curl", &["-sS", &format!("{base}/metrics")]).unwrap();
    for line in
        ["squall_readings_received_total 1", "squall_verdicts_total 1", "squall_queue_depth 0", "# EOF"]
    {
        assert!(metrics.contains(line), "no `{line}` in\n{metrics}");
    }
    for (path, arguments, code) in [
        ("/v1/readings", vec!["-d", "{}"], "400"),
        ("/v1/readings", vec!["-X", "PUT"], "405"),
        ("/v1/stream", vec![], "426"),
        ("/nowhere", vec![], "404"),
        ("/", vec![], "200"),
        ("/health", vec!["-I"], "200"),
    ] {
        let url = format!("{base}{path}");
        let fixed = ["-sS", "-o", "/dev/null", "-w", "%{http_code}", url.as_str()];
        let got = peer("curl", &[fixed.as_slice(), &arguments].concat()).unwrap();
        assert_eq!(got, code, "{path} {arguments:?}");
    }
    server.stop();
}

#[test]
fn python_websockets_gets_pipelined_verdicts_pongs_and_errors() {
    if !has_module("websockets") {
        return;
    }
    let server = server();
    let script = r#"
import asyncio, json, sys, websockets
async def main(url):
    async with websockets.connect(url) as ws:
        for seq in range(1, 501):
            await ws.send(json.dumps({"device": "py-1", "seq": seq, "value": 20.0}))
        seqs = [json.loads(await ws.recv())["seq"] for _ in range(500)]
        assert seqs == list(range(1, 501)), "one device's verdicts come in order"
        await (await ws.ping())
        await ws.send("no json")
        answer = json.loads(await ws.recv())
        assert answer["type"] == "error", answer
        await ws.send(json.dumps({"device": "py-1", "seq": 501, "value": 20.0}))
        assert json.loads(await ws.recv())["seq"] == 501, "the connection survives a bad message"
        try:
            await ws.send("x" * 100_000)
            await ws.recv()
            raise AssertionError("an oversized message was taken")
        except websockets.ConnectionClosed as closed:
            assert closed.rcvd.code == 1009, closed
    print("all well")
asyncio.run(main(sys.argv[1]))
"#;
    let url = format!("ws://{}/v1/stream", server.http_addr());
    let said = peer("python3", &["-c", script, &url]).unwrap();
    assert!(said.contains("all well"));
    server.stop();
}

#[test]
fn abuse_is_refused_and_the_others_are_still_served() {
    let server = server();
    let addr = server.http_addr();
    let huge = vec![b'x'; 70_000];
    // Connections that say nothing, or half a head, stay open meanwhile.
    let silent: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(addr).unwrap()).collect();
    let mut slow = TcpStream::connect(addr).unwrap();
    slow.write_all(b"POST /v1/readings HTTP/1.1\r\nHost").unwrap();
    for (name, reply, wanted) in [
        ("oversized body", post(addr, &huge), "413"),
        ("malformed JSON", post(addr, b"{\"device\":"), "400"),
        ("bad UTF-8", post(addr, b"{\"device\":\"\xff\xfe\",\"seq\":1,\"value\":1}"), "400"),
        ("not finite", post(addr, b"{\"device\":\"m\",\"seq\":1,\"value\":1e999}"), "400"),
        ("deep nesting", post(addr, "[".repeat(60_000).as_bytes()), "400"),
        ("no HTTP", exchange(addr, b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"), ""),
        ("claimed length", exchange(addr, b"POST /v1/readings HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\nx"), "413"),
        ("endless head", exchange(addr, &[b"GET / HTTP/1.1\r\n".as_slice(), &vec![b'a'; 100_000]].concat()), ""),
        ("bad upgrade", exchange(addr, b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\r\n"), "426"),
        (
            "garbage frames",
            exchange(
                addr,
                b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                  Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\xff\xff\xff\xff\xff\xff",
            ),
            "101",
        ),
    ] {
        assert!(reply.contains(&format!("HTTP/1.1 {wanted}")) || wanted.is_empty(), "{name}: {reply}");
        let next = post(addr, READING.as_bytes());
        assert!(next.contains("200 OK") && next.contains("verdict"), "after {name}: {next}");
    }
    drop((silent, slow));
    server.stop();
}

#[test]
fn a_full_queue_sheds_says_so_and_recovers() {
    let config = Config { setup: slow_and_small(), ..Config::default() };
    let server = Server::start(&config).unwrap();
    let addr = server.http_addr();
    let operate = |operation: &str| {
        let body = format!(r#"{{"operation":"{operation}"}}"#);
        let head = format!(
            "POST /v1/realtime HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        assert!(exchange(addr, (head + &body).as_bytes()).contains("200 OK"));
    };
    // While nothing is worked on, they need not come at once.
    operate("pause");
    let replies: Vec<String> = std::thread::scope(|scope| {
        let posts: Vec<_> = (0..24).map(|_| scope.spawn(move || post(addr, READING.as_bytes()))).collect();
        let clock = Monotonic::start();
        while server.health().shed < 20 && clock.now().as_secs_f64() < 60.0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        operate("start");
        posts.into_iter().map(|post| post.join().unwrap()).collect()
    });
    let shed = replies.iter().filter(|reply| reply.contains("HTTP/1.1 503")).count();
    let taken = replies.iter().filter(|reply| reply.contains("HTTP/1.1 200")).count();
    assert_eq!(shed + taken, 24, "{replies:?}");
    assert_eq!((shed, taken), (20, 4));
    let refused = replies.iter().find(|reply| reply.contains("HTTP/1.1 503")).unwrap().to_lowercase();
    assert!(refused.contains("retry-after: 1") && refused.contains(r#""type":"shed""#), "{refused}");
    assert!(post(addr, READING.as_bytes()).contains("200 OK"), "the next one is served");
    let health = server.health();
    // What was refused counts for ten seconds.
    let forgotten = health.status == Status::Healthy && health.uptime_s > 10.0;
    assert!(health.status == Status::Degraded || forgotten, "{health:?}");
    assert_eq!(health.shed as usize, shed);
    server.stop();
}

#[test]
fn a_port_in_use_is_named_with_the_flag_that_changes_it() {
    let server = server();
    let port = server.http_addr().port();
    let error = Server::start(&Config { http_port: port, ..Config::default() }).unwrap_err().to_string();
    assert!(error.contains(&port.to_string()) && error.contains("--http-port"), "{error}");
    server.stop();
}

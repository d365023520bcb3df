//! The device sessions against peers that others wrote: Debian's mosquitto, Python's http.server and websockets.

use std::future::poll_fn;
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::task::Poll;
use std::time::Duration;

use squall::clock::Monotonic;
use squall::protocol::{
    Answer, Correlation, Endpoint, Event, Failure, HttpSettings, Identity, Message, MqttSettings,
    OwnSettings, Session, Settings, V5Settings, Will, connect,
};
use squall::record::{Close, ErrorKind, Protocol, Qos};

use crate::skip;

const READINGS: u64 = 60;

/// Readings in flight at once. Beyond its `max_inflight_messages` of 20, mosquitto acknowledges `QoS` 2 and forgets.
const IN_FLIGHT: u64 = 16;

/// A peer in a process of its own, ended with the test.
pub(crate) struct Peer(pub(crate) Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a Python server that prints the port it bound; `None` if Python or a module is missing.
pub(crate) fn python(script: &str, needs: &str) -> Option<(Peer, u16)> {
    let probe =
        Command::new("python3").args(["-c", &format!("import {needs}")]).stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        skip::missing(&format!("Python's {needs} is not installed"));
        return None;
    }
    let mut child =
        Command::new("python3").args(["-u", "-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    Some((Peer(child), line.trim().parse().unwrap()))
}

/// The endpoint of a peer that is starting.
pub(crate) fn endpoint(protocol: Protocol, port: u16) -> Endpoint {
    let mut endpoint = Endpoint::resolve(protocol, &format!("{protocol}://127.0.0.1:{port}")).unwrap();
    let clock = Monotonic::start();
    while endpoint.probe(Duration::from_secs(10)).is_err() {
        assert!(clock.now().as_secs_f64() < 60.0, "the {protocol} peer did not come up on port {port}");
        std::thread::sleep(Duration::from_millis(10));
    }
    endpoint
}

/// Starts a program that must be told its port, and waits until it listens; anew if it ended because somebody else had taken the port.
pub(crate) fn on_a_free_port(mut start: impl FnMut(u16) -> Option<Child>) -> Option<(Peer, u16)> {
    for _ in 0..10 {
        let port = free_port();
        let mut peer = Peer(start(port)?);
        let clock = Monotonic::start();
        while peer.0.try_wait().unwrap().is_none() {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some((peer, port));
            }
            assert!(clock.now().as_secs_f64() < 60.0, "nothing listens on port {port}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    panic!("it does not start");
}

/// A session with readings of its own, as the engine keeps one per device.
struct Device<'a> {
    name: &'a str,
    next: u64,
    last: u64,
    closed: Vec<u64>,
    lasting: bool,
}

impl<'a> Device<'a> {
    fn new(name: &'a str, readings: u64) -> Self {
        Self { name, next: 1, last: readings, closed: Vec::new(), lasting: false }
    }

    /// Sends what the session takes until every reading is closed or the session fails.
    async fn drive(&mut self, session: &mut dyn Session) -> Result<(), Failure> {
        while (self.closed.len() as u64) < self.last {
            let event = poll_fn(|cx| {
                while self.next <= self.last.min(self.closed.len() as u64 + IN_FLIGHT) && session.ready() {
                    let payload = format!(r#"{{"device":"{}","seq":{},"value":21.5}}"#, self.name, self.next);
                    let message = Message::new(self.next, payload.as_bytes());
                    if let Err(failure) = session.send(cx, &message) {
                        return Poll::Ready(Err(failure));
                    }
                    self.next += 1;
                }
                session.poll_event(cx)
            });
            if let Event::Closed { seq, answer, .. } = event.await? {
                assert_eq!(answer, Answer::Ok);
                // A session that outlives its connection may begin with what it did not see acknowledged on the last.
                if !self.lasting || (seq < self.next && !self.closed.contains(&seq)) {
                    self.closed.push(seq);
                }
            }
        }
        Ok(())
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), future).await }).expect("in time")
}

fn settings(close: Close, qos: Qos) -> Settings {
    let mqtt = MqttSettings { qos, ..MqttSettings::default() };
    Settings { close, keep_alive: Duration::from_secs(60), own: OwnSettings::of(mqtt), ..Settings::default() }
}

/// Settings whose replies name their readings by a pointer, or else come in turn.
fn replying(pointer: Option<&str>) -> Settings {
    let correlation = pointer.map_or(Correlation::Order, |pointer| Correlation::Pointer(pointer.into()));
    Settings { correlation, ..settings(Close::Reply, Qos::AtLeastOnce) }
}

/// A port for a program that cannot choose one. The socket only binds: one that listened could be inherited for a moment
/// by a process another test starts, and would then take the connections meant for the broker.
fn free_port() -> u16 {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket.local_addr().unwrap().port()
}

pub(crate) fn mosquitto(extra: &str) -> Option<(Peer, u16, tempfile::TempDir)> {
    let Some(program) = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/opt/homebrew/sbin/mosquitto"]
        .into_iter()
        .find(|path| std::path::Path::new(path).exists())
    else {
        skip::missing("mosquitto is not installed");
        return None;
    };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mosquitto.conf");
    let (peer, port) = on_a_free_port(|port| {
        let text = format!("listener {port} 127.0.0.1\npersistence false\nlog_dest none\n{extra}");
        std::fs::write(&file, text).unwrap();
        Some(Command::new(program).arg("-c").arg(&file).stderr(Stdio::null()).spawn().unwrap())
    })?;
    Some((peer, port, directory))
}

#[test]
fn mosquitto_closes_readings_at_every_quality_of_service() {
    let Some((_broker, port, _directory)) = mosquitto("allow_anonymous true\n") else { return };
    let endpoint = endpoint(Protocol::named("mqtt"), port);
    let (zero, one, two) = (Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce);
    let table = [
        (Close::Ack, one),
        (Close::Ack, two),
        (Close::Delivery, zero),
        (Close::Delivery, one),
        (Close::Delivery, two),
        (Close::Sent, zero),
        (Close::Sent, one),
        (Close::Sent, two),
    ];
    let aliased = V5Settings { topic_aliases: 10, message_expiry_s: 60, ..V5Settings::default() };
    for ((close, qos), five) in table.into_iter().flat_map(|row| [(row, None), (row, Some(aliased))]) {
        block_on(async {
            let mqtt = MqttSettings { qos, five, ..MqttSettings::default() };
            let settings = Settings { own: OwnSettings::of(mqtt), ..settings(close, qos) };
            let shown = format!("{close} {qos:?} {five:?}");
            let mut session = connect(&endpoint, &settings, &Identity::of("meters-00017")).await.unwrap();
            let mut device = Device::new("meters-00017", READINGS);
            device.drive(&mut *session).await.unwrap_or_else(|failure| panic!("{shown}: {failure}"));
            assert_eq!(device.closed, (1..=READINGS).collect::<Vec<_>>(), "{shown}");
            assert_eq!(session.take_unmatched(), None);
            poll_fn(|cx| session.poll_close(cx)).await;
        });
    }
}

#[test]
fn mosquitto_carries_replies_wills_and_sessions_that_outlive_their_connection() {
    let Some((_broker, port, _directory)) = mosquitto("allow_anonymous true\n") else { return };
    let endpoint = endpoint(Protocol::named("mqtt"), port);
    // Devices that hear their own readings as replies: any service that echoes.
    let identity = Identity {
        address: Some("plant/7/echo".to_owned()),
        reply_topic: Some("plant/+/echo".to_owned()),
        client_id: Some("client 7".to_owned()),
        will: Some(Will {
            topic: "plant/7/gone".to_owned(),
            payload: br#"{"seq":1}"#.to_vec(),
            qos: Qos::AtLeastOnce,
            retain: false,
        }),
        ..Identity::of("meters-00017")
    };
    let kept = MqttSettings { retain: true, clean_session: false, ..MqttSettings::default() };
    let kept = Settings { own: OwnSettings::of(kept), ..replying(Some("/seq")) };
    block_on(async {
        let forgotten = [replying(None), replying(Some("/seq"))].map(|settings| (settings, false));
        for (settings, lasting) in forgotten.into_iter().chain([(kept.clone(), true), (kept, true)]) {
            let mut session = connect(&endpoint, &settings, &identity).await.unwrap();
            let mut device = Device::new("meters-00017", READINGS);
            device.lasting = lasting;
            device.drive(&mut *session).await.unwrap();
            assert_eq!(device.closed, (1..=READINGS).collect::<Vec<_>>(), "{settings:?}");
            poll_fn(|cx| session.poll_close(cx)).await;
        }
        // Whoever listens to its will hears of a device that leaves without a goodbye.
        let heir = Identity { reply_topic: Some("plant/7/gone".to_owned()), ..Identity::of("heir") };
        let mut heir = connect(&endpoint, &replying(Some("/seq")), &heir).await.unwrap();
        drop(connect(&endpoint, &replying(None), &identity).await.unwrap());
        let told = poll_fn(|cx| heir.poll_event(cx)).await.unwrap();
        assert!(matches!(told, Event::Closed { seq: 1, .. }), "{told:?}");
    });
}

#[test]
fn mosquitto_keeps_a_pinging_device_and_ends_the_older_of_two_with_one_name() {
    let Some((_broker, port, _directory)) = mosquitto("allow_anonymous true\n") else { return };
    let endpoint = endpoint(Protocol::named("mqtt"), port);
    block_on(async {
        let settings = settings(Close::Ack, Qos::AtLeastOnce);
        let mut older = connect(&endpoint, &settings, &Identity::of("twin")).await.unwrap();
        let mut device = Device::new("twin", 0);
        for reading in 1..=3 {
            poll_fn(|cx| Poll::Ready(older.keep_alive(cx))).await.unwrap();
            // A period without traffic but for the PINGRESP, which tells no event.
            let quiet = poll_fn(|cx| older.poll_event(cx));
            assert!(tokio::time::timeout(Duration::from_millis(100), quiet).await.is_err());
            // What is acknowledged was sent after it, so the ping is answered by then.
            device.last = reading;
            device.drive(&mut *older).await.unwrap();
        }
        let mut newer = connect(&endpoint, &settings, &Identity::of("twin")).await.unwrap();
        let failure = poll_fn(|cx| older.poll_event(cx)).await.unwrap_err();
        assert!(matches!(failure.kind, ErrorKind::Closed | ErrorKind::Reset), "{failure}");
        Device::new("twin", 3).drive(&mut *newer).await.unwrap();
    });
}

#[test]
fn mosquitto_refuses_a_device_without_credentials() {
    let Some((_broker, port, _directory)) = mosquitto("allow_anonymous false\n") else { return };
    let endpoint = endpoint(Protocol::named("mqtt"), port);
    let settings = settings(Close::Ack, Qos::AtLeastOnce);
    let failure = block_on(connect(&endpoint, &settings, &Identity::of("d"))).unwrap_err();
    assert_eq!(failure.kind, ErrorKind::Protocol);
    assert!(failure.reason.sentence.contains("refused the connection"), "{failure}");
}

const HTTP_SERVER: &str = r#"
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *args): pass
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["Content-Type"] == "application/json" and body.startswith(b"{")
        seq = int(body.split(b'"seq":')[1].split(b",")[0])
        assert self.command != "PUT" or (self.path, self.headers["X-Key"]) == ("/devices/7", "k")
        if seq % 4 == 0:
            self.send_response_only(100); self.end_headers()
        self.send_response(200)
        if seq % 10 == 0: self.send_header("Connection", "close"); self.close_connection = True
        if seq % 3 == 0:
            self.send_header("Transfer-Encoding", "chunked"); self.end_headers()
            for piece in (body[:5], body[5:]):
                self.wfile.write(b"%x;a=b\r\n" % len(piece)); self.wfile.write(piece + b"\r\n")
            self.wfile.write(b"0\r\n"); self.wfile.write(b"X-Trailer: 1\r\n\r\n")
        elif seq % 10 == 0:
            self.end_headers(); self.wfile.write(body)
        else:
            self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    do_PUT = do_POST

server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1])
server.serve_forever()
"#;

#[test]
fn python_http_server_is_understood_chunked_kept_alive_and_closing() {
    let Some((_server, port)) = python(HTTP_SERVER, "http.server") else { return };
    let endpoint = endpoint(Protocol::named("http"), port);
    let settings = settings(Close::Response, Qos::AtMostOnce);
    block_on(async {
        let mut device = Device::new("meters-00017", READINGS);
        let mut connections = 0;
        loop {
            connections += 1;
            let mut session = connect(&endpoint, &settings, &Identity::of(device.name)).await.unwrap();
            match device.drive(&mut *session).await {
                Ok(()) => break,
                Err(failure) => assert_eq!(failure.kind, ErrorKind::Closed, "{failure}"),
            }
        }
        assert_eq!(device.closed, (1..=READINGS).collect::<Vec<_>>());
        assert_eq!(connections, READINGS / 10);
    });
}

#[test]
fn python_http_server_takes_other_methods_and_a_connection_per_reading() {
    let Some((_server, port)) = python(HTTP_SERVER, "http.server") else { return };
    let endpoint = endpoint(Protocol::named("http"), port);
    let http = HttpSettings { fresh: true, ..HttpSettings::default() };
    let settings = Settings { own: OwnSettings::of(http), ..settings(Close::Response, Qos::AtMostOnce) };
    let identity = Identity {
        method: "PUT".to_owned(),
        address: Some("/devices/7".to_owned()),
        headers: vec![("X-Key".to_owned(), "k".to_owned())],
        ..Identity::of("meters-00017")
    };
    block_on(async {
        let mut device = Device::new("meters-00017", 20);
        for reading in 1..=20 {
            let mut session = connect(&endpoint, &settings, &identity).await.unwrap();
            match device.drive(&mut *session).await {
                Ok(()) => assert_eq!(reading, 20),
                Err(failure) => assert_eq!(failure.kind, ErrorKind::Closed, "{failure}"),
            }
            assert_eq!(device.closed.len(), reading);
        }
    });
}

const WS_SERVER: &str = r#"
import asyncio, websockets

async def echo(socket):
    own = socket.request.path == "/devices/7?x=1" and socket.request.headers["X-Key"] == "k"
    assert socket.subprotocol == "echo" if own else socket.request.path == "/v1/stream"
    count = 0
    async for message in socket:
        count += 1
        if count % 3 == 0: await socket.ping()
        if count % 2: await socket.send(message)
        else: await socket.send([message[:5], message[5:9], message[9:]])
        if '"seq":60,' in message: await socket.close(1001, "enough")

async def main():
    select = lambda socket, offered: "echo" if "echo" in offered else None
    limits = dict(ping_interval=0.05, ping_timeout=60)
    async with websockets.serve(echo, "127.0.0.1", 0, select_subprotocol=select, **limits) as server:
        print(server.sockets[0].getsockname()[1])
        await asyncio.get_running_loop().create_future()

asyncio.run(main())
"#;

#[test]
fn python_websockets_echoes_fragments_pings_and_closes() {
    let Some((_server, port)) = python(WS_SERVER, "websockets") else { return };
    let endpoint = endpoint(Protocol::named("ws"), port);
    block_on(async {
        let verdict = settings(Close::Verdict, Qos::AtMostOnce);
        let mut session = connect(&endpoint, &verdict, &Identity::of("meters-00017")).await.unwrap();
        poll_fn(|cx| Poll::Ready(session.keep_alive(cx))).await.unwrap();
        // Long enough for the server to ping several times and to see its pings answered.
        let quiet = poll_fn(|cx| session.poll_event(cx));
        assert!(tokio::time::timeout(Duration::from_millis(300), quiet).await.is_err());
        let mut device = Device::new("meters-00017", 3);
        device.drive(&mut *session).await.unwrap();
        // What was echoed was sent after the ping, so that is answered.
        poll_fn(|cx| Poll::Ready(session.keep_alive(cx))).await.unwrap();

        device.last = READINGS;
        device.drive(&mut *session).await.unwrap();
        assert_eq!(device.closed, (1..=READINGS).collect::<Vec<_>>());
        assert_eq!(session.take_unmatched(), None);
        let failure = poll_fn(|cx| session.poll_event(cx)).await.unwrap_err();
        assert_eq!(failure.kind, ErrorKind::Closed);
        assert!(failure.reason.sentence.contains("enough"), "{failure}");

        let sent = settings(Close::Sent, Qos::AtMostOnce);
        let mut session = connect(&endpoint, &sent, &Identity::of("meters-00018")).await.unwrap();
        let mut device = Device::new("meters-00018", READINGS - 1);
        device.drive(&mut *session).await.unwrap();
        assert_eq!(device.closed, (1..READINGS).collect::<Vec<_>>());
        poll_fn(|cx| session.poll_close(cx)).await;
    });
}

#[test]
fn python_websockets_is_asked_for_a_path_a_sub_protocol_and_replies_of_its_own() {
    let Some((_server, port)) = python(WS_SERVER, "websockets") else { return };
    let endpoint = endpoint(Protocol::named("ws"), port);
    let identity = Identity {
        address: Some("/devices/7?x=1".to_owned()),
        headers: vec![("X-Key".to_owned(), "k".to_owned())],
        subprotocol: Some("echo".to_owned()),
        ..Identity::of("meters-00017")
    };
    block_on(async {
        for settings in [replying(None), replying(Some("/seq"))] {
            let mut session = connect(&endpoint, &settings, &identity).await.unwrap();
            let mut device = Device::new("meters-00017", READINGS - 1);
            device.drive(&mut *session).await.unwrap();
            assert_eq!(device.closed, (1..READINGS).collect::<Vec<_>>(), "{settings:?}");
            poll_fn(|cx| session.poll_close(cx)).await;
        }
        let unknown = Identity { subprotocol: Some("ocpp1.6".to_owned()), ..identity };
        let failure = connect(&endpoint, &replying(None), &unknown).await.unwrap_err();
        assert_eq!(failure.kind, ErrorKind::Protocol, "{failure}");
    });
}

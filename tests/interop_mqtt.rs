//! MQTT from both ends against what others wrote: the reference system's endpoint against `mosquitto_pub`, `mosquitto_sub` and
//! Python's `paho-mqtt`; whole runs of the tool against a real `mosquitto`.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::task::Poll;
use std::time::Duration;

use squall::clock::Monotonic;
use squall::engine::{Control, End};
use squall::protocol::{
    Answer, Event, Identity, Message, MqttSettings, OwnSettings, Session, SessionState, Settings, V5Settings,
    connect,
};
use squall::record::{Close, Outcome, Protocol, Qos};
use squall::reference::{Config, Server};

use crate::bundled::patient;
use crate::interop_device::{endpoint, mosquitto};
use crate::skip;
use crate::support::drive;

/// A `mosquitto_sub` in a process of its own, whose lines can be waited for.
struct Listener {
    child: Child,
    lines: Receiver<String>,
}

impl Listener {
    /// Subscribes; `None`, and a line that says so, if the program is not installed.
    fn start(port: u16, filter: &str, qos: &str) -> Option<Self> {
        Self::with(port, filter, qos, &["-v"])
    }

    /// The same, with further arguments.
    fn with(port: u16, filter: &str, qos: &str, more: &[&str]) -> Option<Self> {
        // With -d it also says when the subscription is in force, and through stdbuf it says so at once.
        let arguments = [
            "-oL",
            "mosquitto_sub",
            "-d",
            "-h",
            "127.0.0.1",
            "-p",
            &port.to_string(),
            "-t",
            filter,
            "-q",
            qos,
        ];
        let started = Command::new("stdbuf").args(arguments).args(more).stdout(Stdio::piped()).spawn();
        let installed = Command::new("mosquitto_sub").arg("--help").stdout(Stdio::null()).status().is_ok();
        let (Ok(mut child), true) = (started, installed) else {
            skip::missing("mosquitto_sub or stdbuf is not installed");
            return None;
        };
        let (send, lines) = sync_channel(1_000);
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        let listener = Self { child, lines };
        listener.await_line("SUBACK");
        Some(listener)
    }

    /// The next line that contains `word`.
    fn await_line(&self, word: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(60));
            let line = line.unwrap_or_else(|_| panic!("no line with `{word}` in 60 s"));
            // Lines on what the program itself does begin with its name.
            if line.contains(word) && (word == "SUBACK" || !line.starts_with("Client ")) {
                return line;
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn say(port: u16, topic: &str, text: &str, more: &[&str]) {
    let port = port.to_string();
    let fixed = ["-h", "127.0.0.1", "-p", &port, "-t", topic, "-m", text];
    let status = Command::new("mosquitto_pub").args([&fixed, more].concat()).status().unwrap();
    assert!(status.success(), "{topic}");
}

#[test]
fn mosquitto_clients_are_served_at_every_quality_of_service() {
    let server = Server::start(&Config::default()).unwrap();
    let port = server.mqtt_addr().port();
    for qos in ["0", "1", "2"] {
        let Some(listener) = Listener::start(port, "devices/#", qos) else { return };
        let reading = format!(r#"{{"device":"m-1","seq":{qos},"value":21.5}}"#);
        say(port, "devices/m-1/readings", &reading, &["-q", qos]);
        // The verdict, being of QoS 1 at most, may overtake the reading, which at QoS 2 is shown on its release.
        let heard = [listener.await_line("devices/m-1/"), listener.await_line("devices/m-1/")];
        let (readings, verdicts): (Vec<_>, Vec<_>) =
            heard.iter().partition(|line| line.contains("/readings {"));
        assert!(
            readings.len() == 1 && readings[0].contains(&reading),
            "readings are delivered like any message: {heard:?}"
        );
        let verdict = verdicts[0];
        assert!(
            verdict.contains(r#""type":"verdict""#) && verdict.contains(&format!(r#""seq":{qos}"#)),
            "{verdict}"
        );
    }
    say(port, "shelf/a", "kept", &["-r", "-q", "1"]);
    let late = Listener::start(port, "shelf/+", "1").unwrap();
    late.await_line("shelf/a kept");
    server.stop();
}

#[test]
fn mosquitto_clients_are_served_by_mqtt_5_and_hear_what_goes_with_a_message() {
    let server = Server::start(&Config::default()).unwrap();
    let port = server.mqtt_addr().port();
    let five = ["-V", "5"];
    for qos in ["0", "1", "2"] {
        let format = [&five[..], &["-F", "%t %p [%P] [%C] [%R] [%D]"]].concat();
        let Some(listener) = Listener::with(port, "devices/#", qos, &format) else { return };
        let reading = format!(r#"{{"device":"m-1","seq":{qos},"value":21.5}}"#);
        let said = "-D publish user-property site north -D publish content-type json -D publish response-topic r \
                    -D publish correlation-data 42 -D publish topic-alias 1";
        let said: Vec<&str> = said.split_whitespace().collect();
        say(port, "devices/m-1/readings", &reading, &[&five[..], &["-q", qos], &said].concat());
        let heard = [listener.await_line("devices/m-1/"), listener.await_line("devices/m-1/")];
        let (readings, verdicts): (Vec<_>, Vec<_>) =
            heard.iter().partition(|line| line.contains("/readings {"));
        assert!(readings[0].ends_with("[site:north] [json] [r] [42]"), "{heard:?}");
        assert!(verdicts[0].contains(r#""type":"verdict""#), "{heard:?}");
    }
    // One of each version hears the other.
    let (old, new) = (Listener::start(port, "t", "1"), Listener::with(port, "t", "1", &["-v", "-V", "5"]));
    for (text, more) in [("from 5", &five[..]), ("from 3", &[])] {
        say(port, "t", text, more);
        for listener in [&old, &new].into_iter().flatten() {
            listener.await_line(&format!("t {text}"));
        }
    }
    server.stop();
}

#[test]
fn a_last_will_reaches_mosquitto_sub() {
    let server = Server::start(&Config::default()).unwrap();
    let port = server.mqtt_addr().port();
    let Some(listener) = Listener::start(port, "wills/#", "1") else { return };
    let port_text = port.to_string();
    let arguments = [
        "-h",
        "127.0.0.1",
        "-p",
        &port_text,
        "-t",
        "x",
        "-l",
        "--will-topic",
        "wills/a",
        "--will-payload",
        "gone",
    ];
    let mut doomed = Command::new("mosquitto_pub").args(arguments).stdin(Stdio::piped()).spawn().unwrap();
    let probe = Listener::start(port, "x", "0").unwrap();
    // Once its first line has been heard it is connected; then it is cut off.
    std::io::Write::write_all(doomed.stdin.as_mut().unwrap(), b"here\n").unwrap();
    probe.await_line("x here");
    doomed.kill().unwrap();
    doomed.wait().unwrap();
    listener.await_line("wills/a gone");
    server.stop();
}

/// Whether Python's `paho-mqtt` is there; says so if not.
pub(crate) fn has_paho() -> bool {
    let probe =
        Command::new("python3").args(["-c", "import paho.mqtt.client"]).stderr(Stdio::null()).status();
    let has = probe.is_ok_and(|status| status.success());
    if !has {
        skip::missing("Python's paho-mqtt is not installed");
    }
    has
}

/// Runs a script with the server's MQTT port as its argument.
pub(crate) fn python(server: &Server, script: &str) {
    let port = server.mqtt_addr().port().to_string();
    let output = Command::new("python3").args(["-c", script, &port]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn paho_gets_verdicts_and_alerts() {
    if !has_paho() {
        return;
    }
    let server = Server::start(&Config::default()).unwrap();
    let script = r#"
import json, queue, random, sys, paho.mqtt.client as mqtt
heard = queue.Queue()
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="paho-1")
ready = queue.Queue()
client.on_subscribe = lambda *a: ready.put(True)
client.on_message = lambda c, u, m: heard.put((m.topic, json.loads(m.payload)))
client.connect("127.0.0.1", int(sys.argv[1]), keepalive=60)
client.loop_start()
client.subscribe([("devices/paho-1/verdicts", 1), ("alerts/#", 1)])
ready.get(timeout=60)
random.seed(1)
for seq in range(1, 301):
    value = 20 + random.gauss(0, 0.2) + (30 if seq == 250 else 0)
    text = json.dumps({"device": "paho-1", "seq": seq, "value": value})
    client.publish("devices/paho-1/readings", text, qos=seq % 3)
verdicts, alerts = {}, []
while len(verdicts) < 300 or not alerts:
    topic, message = heard.get(timeout=60)
    if topic.startswith("alerts/"):
        alerts.append((topic, message))
    else:
        assert message["type"] == "verdict", message
        assert message["seq"] not in verdicts, "a verdict came twice"
        verdicts[message["seq"]] = message
assert verdicts[250]["anomaly"], verdicts[250]
topic, alert = alerts[0]
assert topic == f"alerts/{alert['level']}/paho-1", topic
print("all well")
"#;
    python(&server, script);
    server.stop();
}

#[test]
fn paho_takes_its_session_up_where_it_was_cut_off() {
    if !has_paho() {
        return;
    }
    let server = Server::start(&Config::default()).unwrap();
    let script = r#"
import queue, socket, sys, paho.mqtt.client as mqtt
port, heard, flags, ready = int(sys.argv[1]), queue.Queue(), queue.Queue(), queue.Queue()
def client(name, clean):
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, clean_session=clean)
    client.on_connect = lambda c, u, f, r, p: flags.put(f.session_present)
    return client
away = client("away", False)
away.on_subscribe = lambda *a: ready.put(True)
away.on_message = lambda c, u, m: heard.put((int(m.payload), m.qos))
away.reconnect_delay_set(1, 1)
def connect(expected):
    away.connect("127.0.0.1", port, keepalive=60)
    away.loop_start()
    assert flags.get(timeout=60) == expected, f"session present is not {expected}"
connect(False)
away.subscribe("t", 2)
ready.get(timeout=60)
sender = client("sender", True)
sender.connect("127.0.0.1", port, keepalive=60)
sender.loop_start()
assert not flags.get(timeout=60)
def send(numbers):
    for sent in [sender.publish("t", str(number), qos=1 + number % 2) for number in numbers]:
        sent.wait_for_publish(60)
# Cut off amid a stream, it connects again by itself and gets every message exactly once.
sent = [sender.publish("t", str(number), qos=2) for number in range(500)]
away.socket().shutdown(socket.SHUT_RDWR)
assert flags.get(timeout=60), "the session is present"
assert [heard.get(timeout=60) for _ in range(500)] == [(number, 2) for number in range(500)]
away.disconnect()
away.loop_stop()
send(range(500, 550))
connect(True)
got = [heard.get(timeout=60) for _ in range(50)]
for qos in (1, 2):  # paho shows a message of QoS 2 on its release, so those of QoS 1 may overtake it
    assert [n for n, q in got if q == qos] == list(range(499 + qos, 550, 2)), got
away.disconnect()
away.loop_stop()
send([550])
wipe = client("away", True)
wipe.connect("127.0.0.1", port)
wipe.loop_start()
assert not flags.get(timeout=60)
wipe.disconnect()
wipe.loop_stop()
connect(False)
send([551])
assert heard.empty(), heard.get()
"#;
    python(&server, script);
    server.stop();
}

#[test]
fn whole_runs_against_mosquitto_close_at_the_acknowledgement_and_at_delivery() {
    let Some((_broker, port, _folder)) = mosquitto("allow_anonymous true\n") else { return };
    let fleet = |name: &str, qos: u8, close: &str| {
        let five =
            ", version = 5, topic_aliases = 1, message_expiry = \"1m\", user_properties = { site = \"n\" }";
        let more = if name.ends_with("five") { five } else { "" };
        format!(
            "[fleet.{name}]\nprotocol = \"mqtt\"\ndevices = 10\nrate = \"20/s\"\nmqtt = {{ qos = {qos}{more} }}\nclose = \"{close}\"\n"
        )
    };
    let cases = [
        ("ack-1", 1, "ack"),
        ("ack-2", 2, "ack"),
        ("del-0", 0, "delivery"),
        ("del-1", 1, "delivery"),
        ("del-2", 2, "delivery"),
        ("ack-five", 1, "ack"),
        ("del-five", 2, "delivery"),
    ];
    let fleets: String = cases.iter().map(|(name, qos, close)| fleet(name, *qos, close)).collect();
    let plan = patient(&format!(
        "[scenario]\nname = \"broker\"\n[run]\nwarm_up = \"200ms\"\nconnect_rate = \"500/s\"\n\
         [[phase]]\nname = \"steady\"\nduration = \"2s\"\n{fleets}"
    ));
    let endpoint = endpoint(Protocol::named("mqtt"), port);
    let (report, book) = drive(&plan, vec![endpoint], 1, Monotonic::start(), &Control::new());
    assert_eq!(report.end, End::Complete);
    assert!(book.planned > 1_500, "{}", book.planned);
    for (index, (name, ..)) in cases.iter().enumerate() {
        let fleet = plan.layout().fleets.iter().position(|fleet| fleet.name == *name).unwrap();
        let of_fleet = book.readings().filter(|sample| usize::from(sample.fleet.0) == fleet);
        let bad = of_fleet.filter(|sample| sample.outcome != Outcome::Ok).count();
        assert_eq!(bad, 0, "case {index}, {name}");
    }
    assert_eq!(book.findings, [], "nothing lost, doubled or out of order");
}

/// Sends what the session takes until all of `last` readings are closed, or, with `cut`, until so many were closed on this
/// connection and more are under way; true when all are closed.
async fn publish_until(
    session: &mut dyn Session,
    next: &mut u64,
    open: &mut BTreeSet<u64>,
    last: u64,
    cut: Option<usize>,
) -> bool {
    // Beyond its `max_inflight_messages` of 20, mosquitto acknowledges `QoS` 2 and forgets.
    const IN_FLIGHT: usize = 16;
    let mut closed = 0;
    loop {
        let parted = poll_fn(|cx| {
            while *next <= last && open.len() < IN_FLIGHT && session.ready() {
                let payload = format!("reading-{next}");
                session.send(cx, &Message::new(*next, payload.as_bytes())).unwrap();
                open.insert(*next);
                *next += 1;
            }
            if cut.is_some_and(|cut| closed >= cut) && !open.is_empty() || open.is_empty() {
                return Poll::Ready(true);
            }
            session.poll_event(cx).map(|event| {
                if let Event::Closed { seq, answer, .. } = event.unwrap() {
                    assert_eq!(answer, Answer::Ok);
                    assert!(open.remove(&seq), "reading {seq} was closed twice");
                    closed += 1;
                }
                false
            })
        });
        if parted.await {
            return open.is_empty() && *next > last;
        }
    }
}

#[test]
fn at_qos_2_every_reading_reaches_mosquitto_exactly_once_however_often_the_connection_breaks() {
    // By MQTT 5 it states a receive maximum of 5, which holds for sessions that are taken up again, too.
    for (five, more) in [(None, ""), (Some(V5Settings::default()), "max_inflight_messages 5\n")] {
        let Some((_broker, port, _folder)) = mosquitto(&format!("allow_anonymous true\n{more}")) else {
            return;
        };
        reach_exactly_once(port, five);
    }
}

fn reach_exactly_once(port: u16, five: Option<V5Settings>) {
    const READINGS: u64 = 300;
    let endpoint = endpoint(Protocol::named("mqtt"), port);
    let Some(listener) = Listener::start(port, "plant/up", "2") else { return };
    let mqtt = MqttSettings { qos: Qos::ExactlyOnce, clean_session: false, five, ..MqttSettings::default() };
    let settings = Settings { close: Close::Ack, own: OwnSettings::of(mqtt), ..Settings::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let conversation = async {
        let (mut next, mut open, mut resume, mut breaks) =
            (1, BTreeSet::new(), None::<SessionState>, 0_usize);
        loop {
            let identity = Identity {
                address: Some("plant/up".to_owned()),
                resume: resume.take(),
                ..Identity::of("meters-00017")
            };
            let mut session = connect(&endpoint, &settings, &identity).await.unwrap();
            // Sometimes before the first answer, sometimes amid a stream of them.
            let cut = (breaks < 40).then_some(breaks * 7 % 19);
            let done = publish_until(&mut *session, &mut next, &mut open, READINGS, cut).await;
            assert_eq!(session.take_unmatched(), None);
            if done {
                poll_fn(|cx| session.poll_close(cx)).await;
                return breaks;
            }
            breaks += 1;
            if breaks % 3 == 0 {
                session.abort();
            }
            let suspended = session.suspend().unwrap();
            resume = Some(suspended);
        }
    };
    let breaks =
        runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), conversation).await });
    assert!(breaks.unwrap() > 10);
    let heard: Vec<String> = (0..READINGS).map(|_| listener.await_line("plant/up reading-")).collect();
    let distinct: BTreeSet<_> = heard.iter().collect();
    assert_eq!(distinct.len() as u64, READINGS);
    say(port, "plant/up", "the end", &["-q", "2"]);
    assert_eq!(listener.await_line("plant/up"), "plant/up the end", "nothing came twice");
}

//! Two instances of the reference system that meet in a real Redis, which is killed and comes back.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use squall::clock::Monotonic;
use squall::reference::{Config, Server, Status};
use squall::service::{Admission, Cache, Cluster, Quota, RefusalNotice, Setup, Shared, State};
use squall::units::Span;

use crate::admission::{Mqtt, text};
use crate::program::ask;
use crate::skip;

/// A Redis of the test's own, on a free port, which keeps nothing.
pub(crate) struct Redis {
    port: u16,
    process: Child,
}

impl Redis {
    /// None where it ends at once, as it does if somebody else has the port.
    fn start(port: u16, more: &[&str]) -> Option<Self> {
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut redis = Self { port, process };
        let mut ended = false;
        until("Redis answers", || {
            ended = redis.process.try_wait().unwrap().is_some();
            ended || TcpStream::connect(("127.0.0.1", redis.port)).is_ok()
        });
        (!ended).then_some(redis)
    }

    /// A Redis with further arguments, or none where there is none to be had.
    pub(crate) fn on_a_free_port(more: &[&str]) -> Option<Self> {
        let is_there = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status();
        if is_there.is_err() {
            skip::missing("there is no redis-server here (Debian's package redis-server)");
            return None;
        }
        // Somebody else may take the port first.
        let port = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Some((0..10).find_map(|_| Self::start(port(), more)).expect("a Redis that starts"))
    }

    /// Where it is.
    pub(crate) fn place(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn url(&self) -> String {
        format!("redis://{}", self.place())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits for something that must come; how long is not a matter of this test.
pub(crate) fn until(what: &str, mut there: impl FnMut() -> bool) {
    let clock = Monotonic::start();
    while !there() {
        assert!(clock.now().as_secs_f64() < 60.0, "not within 60 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn instance(name: &str, redis: &str) -> Server {
    let cluster = Cluster {
        redis: redis.into(),
        instance: name.into(),
        expiry: Span::from_ms(9_000),
        timeout: Span::from_ms(2_500),
        moves_state: name.starts_with("moving"),
    };
    let shared = Shared {
        redis: redis.into(),
        connections: 2,
        timeout: Span::from_ms(1_000),
        ttl: Span::from_ms(60_000),
    };
    let setup = Setup {
        cluster: Some(cluster),
        cache: Cache { shared: Some(shared), ..Cache::default() },
        ..Setup::default()
    };
    Server::start(&Config { setup, ..Config::default() }).unwrap()
}

/// Readings that wobble a little and then leap, from sequence number `first` on; all get verdicts.
fn leap(server: &Server, device: &str, first: u64) {
    for n in 0..40 {
        let value = if n == 39 { 500.0 } else { 20.0 + f64::from(n % 3) * 0.1 };
        let body = format!(r#"{{"device":"{device}","seq":{},"value":{value}}}"#, first + n as u64);
        let answer = ask(server.http_addr(), "POST", "/v1/readings", &body);
        assert!(answer.contains(r#""type":"verdict""#), "{answer}");
    }
}

/// Readings that only wobble, from sequence number 0 on.
fn wobble(server: &Server, device: &str, readings: u32) {
    for seq in 0..readings {
        let value = 20.0 + f64::from(seq % 3) * 0.1;
        let body = format!(r#"{{"device":"{device}","seq":{seq},"value":{value}}}"#);
        ask(server.http_addr(), "POST", "/v1/readings", &body);
    }
}

fn heard(server: &Server, device: &str) -> String {
    ask(server.http_addr(), "GET", &format!("/v1/alerts?device={device}"), "")
}

#[test]
fn instances_hear_of_each_others_alerts_and_do_without_redis_while_it_is_away() {
    let Some(redis) = Redis::on_a_free_port(&[]) else { return };
    let (port, url) = (redis.port, redis.url());
    let (north, south) = (instance("north", &url), instance("south", &url));
    until("both live", || {
        let places = ask(south.http_addr(), "GET", "/v1/connections", "");
        places.contains(r#""instance":"north""#) && places.contains(r#""instance":"south""#)
    });

    leap(&north, "pump-1", 0);
    until("south hears of it", || heard(&south, "pump-1").contains(r#""instance":"north""#));
    assert!(heard(&north, "pump-1").contains(r#""device":"pump-1""#), "and north itself");
    until("everybody knows where it is", || {
        ask(south.http_addr(), "GET", "/v1/connections", "").contains(r#"{"instance":"north","devices":1}"#)
    });
    // One that Redis does not answer in time is worked out at home.
    let mut first = 0;
    until("north's scores serve south", || {
        leap(&south, "pump-2", first);
        first += 40;
        ask(south.http_addr(), "POST", "/v1/cache", r#"{"operation":"device","device":"pump-2"}"#);
        !ask(south.http_addr(), "GET", "/v1/realtime", "").contains(r#""shared":0"#)
    });

    drop(redis);
    until("its absence shows", || north.health().status == Status::Degraded);
    assert!(north.health().reasons.iter().any(|reason| reason.contains("Redis at")), "{:?}", north.health());
    leap(&north, "pump-3", 0);
    assert!(heard(&north, "pump-3").contains("pump-3"), "alerts go on where they are raised");

    // Whoever took the port meanwhile has it for a moment only.
    let mut back = None;
    until("Redis is back", || {
        back = Redis::start(port, &[]);
        back.is_some()
    });
    until("it is noticed", || {
        north.health().status == Status::Healthy && south.health().status == Status::Healthy
    });
    until("alerts cross again", || {
        leap(&south, "pump-4", 0);
        ask(south.http_addr(), "POST", "/v1/cache", r#"{"operation":"device","device":"pump-4"}"#);
        heard(&north, "pump-4").contains(r#""instance":"south""#)
    });
    drop(back);
    north.stop();
    south.stop();
}

fn order(server: &Server, body: &str) -> String {
    ask(server.http_addr(), "POST", "/v1/cache", body)
}

fn entries(server: &Server) -> String {
    let told = ask(server.http_addr(), "GET", "/v1/realtime", "");
    told.split(r#""cache":{"entries":"#).nth(1).unwrap().split(',').next().unwrap().to_owned()
}

/// What is said of a reading of a device that nobody knows.
fn verdict(server: &Server, device: &str) -> String {
    let body = format!(r#"{{"device":"{device}","seq":1,"value":20}}"#);
    ask(server.http_addr(), "POST", "/v1/readings", &body)
}

/// What is forgotten in one instance is forgotten in all: at once, when Redis is back, and in one that comes later.
#[test]
fn what_caches_forget_and_models_that_are_replaced_reach_all_instances() {
    let Some(redis) = Redis::on_a_free_port(&[]) else { return };
    let (port, url) = (redis.port, redis.url());
    let (north, south) = (instance("north", &url), instance("south", &url));
    until("both live", || {
        ask(north.http_addr(), "GET", "/v1/connections", "").contains(r#""instance":"south""#)
    });
    leap(&south, "pump-1", 0);
    assert_ne!(entries(&south), "0");
    order(&north, r#"{"operation":"flush"}"#);
    until("south forgets", || entries(&south) == "0");
    assert!(order(&north, r#"{"operation":"version"}"#).contains(r#""version":2"#));
    until("south has the new model", || verdict(&south, "new-1").contains(r#""model":2"#));
    order(&south, r#"{"operation":"device","device":"pump-1"}"#);
    leap(&north, "pump-2", 0);
    let known = |server: &Server| ask(server.http_addr(), "GET", "/v1/devices/pump-2", "").contains("200 OK");
    assert!(known(&north));
    order(&south, r#"{"operation":"device","device":"pump-2"}"#);
    until("north forgets the device", || !known(&north));

    drop(redis);
    until("its absence shows", || south.health().status == Status::Degraded);
    leap(&north, "pump-3", 0);
    assert!(order(&south, r#"{"operation":"version"}"#).contains(r#""version":3"#));
    order(&south, r#"{"operation":"flush"}"#);
    let mut back = None;
    until("Redis is back", || {
        back = Redis::start(port, &[]);
        back.is_some()
    });
    until("north hears of the model", || verdict(&north, "new-2").contains(r#""model":3"#));
    let late = instance("late", &url);
    until("who comes later has it too", || verdict(&late, "new-3").contains(r#""model":3"#));
    for server in [north, south, late] {
        server.stop();
    }
    drop(back);
}

/// Redis that is back is seen though nobody sends a reading.
#[test]
fn redis_that_is_back_is_seen_while_idle() {
    let Some(redis) = Redis::on_a_free_port(&[]) else { return };
    let (port, url) = (redis.port, redis.url());
    let server = instance("moving-1", &url);
    leap(&server, "pump-1", 0);
    drop(redis);
    let away = |purpose: &str| {
        let metrics = ask(server.http_addr(), "GET", "/metrics", "");
        metrics.contains(&format!(r#"squall_redis_up{{purpose="{purpose}"}} 0"#))
    };
    let mut first = 100;
    until("all three ways are lost", || {
        leap(&server, "pump-2", first);
        ask(server.http_addr(), "POST", "/v1/cache", r#"{"operation":"flush"}"#);
        first += 40;
        ["cluster", "scores", "states"].iter().all(|purpose| away(purpose))
    });
    let mut back = None;
    until("Redis is back", || {
        back = Redis::start(port, &[]);
        back.is_some()
    });
    until("it is seen", || !server.health().reasons.iter().any(|reason| reason.contains("Redis")));
    server.stop();
    drop(back);
}

/// The sum of all samples of a family in what `/metrics` says.
fn sum(metrics: &str, name: &str) -> u64 {
    let of = |line: &str| {
        let rest = line.strip_prefix(name)?;
        rest.starts_with(['{', ' ']).then(|| rest.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap())
    };
    metrics.lines().filter_map(of).sum()
}

#[test]
fn the_books_of_two_instances_add_up_through_the_loss_of_redis() {
    let Some(redis) = Redis::on_a_free_port(&[]) else { return };
    let url = redis.url();
    let (north, south) = (instance("moving-1", &url), instance("moving-2", &url));
    let mut redis = Some(redis);
    for round in 0..3_u64 {
        // Devices move between the two, before, while and after Redis goes.
        leap(&north, "pump-1", round * 100);
        if round == 1 {
            redis = None;
        }
        leap(&south, "pump-1", round * 100 + 50);
    }
    assert!(redis.is_none());
    for server in [north, south] {
        let metrics = ask(server.http_addr(), "GET", "/metrics", "");
        let of = |name: &str| sum(&metrics, &format!("squall_{name}"));
        let ends = ["verdicts_total", "readings_shed_total", "readings_failed_total", "readings_bad_total"];
        assert_eq!((of("readings_received_total"), of("readings_under_way")), (120, 0));
        assert_eq!(of("readings_received_total"), ends.iter().map(|name| of(name)).sum::<u64>());
        server.stop();
    }
}

/// What one instance knows of a device, the next one knows too, or not, as was chosen.
#[test]
fn the_state_of_a_device_follows_it_or_is_lost_as_was_chosen() {
    let Some(redis) = Redis::on_a_free_port(&[]) else { return };
    // Where Redis is not answered in time, a state does not follow: then another device is asked about.
    for (names, follows, attempts) in
        [(["moving-1", "moving-2"], true, 10), (["staying-1", "staying-2"], false, 2)]
    {
        let [first, second] = names.map(|name| instance(name, &redis.url()));
        let found = (0..attempts).any(|attempt| {
            let device = format!("pump-{attempt}");
            wobble(&first, &device, 40);
            // What is left is at most half a second old: the last readings leave what is there by then.
            std::thread::sleep(Duration::from_millis(600));
            let reading = |server: &Server, seq: u64, value: f64| {
                let body = format!(r#"{{"device":"{device}","seq":{seq},"value":{value}}}"#);
                ask(server.http_addr(), "POST", "/v1/readings", &body)
            };
            reading(&first, 100, 20.1);
            reading(&second, 101, 500.0).contains(r#""anomaly":true"#)
        });
        assert_eq!(found, follows, "{names:?}");
        first.stop();
        second.stop();
        let connection = TcpStream::connect(("127.0.0.1", redis.port)).unwrap();
        (&connection).write_all(b"FLUSHALL\r\n").unwrap();
        let _ = (&connection).read(&mut [0; 5]).unwrap();
    }
}

#[test]
fn a_device_whose_readings_go_from_one_instance_to_another_is_judged_as_by_one() {
    let Some(redis) = Redis::on_a_free_port(&[]) else { return };
    let moving = |name: &str| {
        let cluster = Cluster {
            redis: redis.url().as_str().into(),
            instance: name.into(),
            expiry: Span::from_ms(9_000),
            timeout: Span::from_ms(20_000),
            moves_state: true,
        };
        let setup = Setup { cluster: Some(cluster), state: Some(State::default()), ..Setup::default() };
        Server::start(&Config { setup, ..Config::default() }).unwrap()
    };
    let servers = [moving("north"), moving("south"), Server::start(&Config::default()).unwrap()];
    let verdict = |server: &Server, seq: usize| {
        let value = (seq * 7_919 % 101) as f64 / 50.0 + if seq % 90 == 89 { 60.0 } else { 0.0 };
        let body = format!(r#"{{"device":"m","seq":{seq},"value":{value}}}"#);
        let answer = ask(server.http_addr(), "POST", "/v1/readings", &body);
        let from = answer.find(r#""score""#).expect("a verdict");
        answer[from..answer.find(r#","cache""#).unwrap()].to_owned()
    };
    for seq in 0..400 {
        // In turn, and for a while at one alone.
        let here = if (100..150).contains(&seq) { 0 } else { seq % 2 };
        assert_eq!(verdict(&servers[here], seq), verdict(&servers[2], seq), "reading {seq}");
    }
    servers.into_iter().for_each(Server::stop);
}

/// An instance that shares what `admission` says of quotas.
fn sharing(redis: &str, admission: Admission) -> Server {
    let cluster = Cluster {
        redis: redis.into(),
        instance: String::new(),
        expiry: Span::from_ms(9_000),
        timeout: Span::from_ms(2_500),
        moves_state: false,
    };
    let admission = Admission { shared: true, ..admission };
    let setup = Setup { admission, cluster: Some(cluster), ..Setup::default() };
    Server::start(&Config { setup, ..Config::default() }).unwrap()
}

/// Ten readings of each device, and no more for long.
fn ten_each(mqtt: RefusalNotice) -> Admission {
    let ten = Quota { rate: "0.001/s".parse().unwrap(), burst: 10 };
    Admission { device: Some(ten), mqtt, ..Admission::default() }
}

/// How many of so many readings of `device` pass, sent to each of `servers` in turn.
fn passing(servers: &[&Server], device: &str, count: usize) -> usize {
    let sent = (0..count).map(|n| {
        let body = format!(r#"{{"device":"{device}","seq":{n},"value":1}}"#);
        ask(servers[n % servers.len()].http_addr(), "POST", "/v1/readings", &body)
    });
    sent.filter(|answer| {
        let passed = answer.contains(r#""type":"verdict""#);
        let wait = answer.split(r#""reason":"quota","retry_after_ms":"#).nth(1);
        let wait = wait.and_then(|rest| rest.trim_end_matches('}').parse::<u64>().ok());
        // A reading in 1 000 s.
        assert!(passed || wait.is_some_and(|ms| (1..=1_000_000).contains(&ms)), "{answer}");
        passed
    })
    .count()
}

/// A figure of what a service tells of itself.
fn figure(server: &Server, part: &str, name: &str) -> u64 {
    let answer = ask(server.http_addr(), "GET", "/v1/realtime", "");
    let told: serde_json::Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    told[part][name].as_u64().unwrap()
}

#[test]
fn instances_share_a_quota_as_if_they_were_one_and_each_has_its_part_while_redis_is_away() {
    let Some(redis) = Redis::on_a_free_port(&[]) else { return };
    let [north, south] = [(); 2].map(|()| sharing(&redis.url(), ten_each(RefusalNotice::Verdict)));
    assert_eq!(passing(&[&north, &south], "both", 30), 10, "together as many as one alone");
    assert_eq!(passing(&[&north], "northern", 30), 10, "one has it all where the other asks for nothing");
    assert_eq!(passing(&[&south], "northern", 5), 0, "and nothing is left for the other");

    until("north knows of both", || {
        ask(north.http_addr(), "GET", "/v1/connections", "").matches(r#""instance":"#).count() == 2
    });
    drop(redis);
    until("its absence shows", || {
        passing(&[&north], "probe", 1);
        north
            .health()
            .reasons
            .iter()
            .any(|reason| reason.contains("each instance has its part of the quotas"))
    });
    assert_eq!(passing(&[&north], "late", 30), 5, "its part of two");
    assert_eq!(passing(&[&north], "northern", 5), 0, "what had passed before still counts");
    north.stop();
    south.stop();
}

#[test]
fn a_shared_quota_fills_up_again_at_its_rate() {
    let Some(redis) = Redis::on_a_free_port(&[]) else { return };
    let total = Some(Quota { rate: "20/s".parse().unwrap(), burst: 1 });
    let [north, south] = [(); 2].map(|()| sharing(&redis.url(), Admission { total, ..Admission::default() }));
    let (clock, mut passed) = (Monotonic::start(), 0);
    until("thirty have passed", || {
        passed += passing(&[&north, &south], "any", 2);
        passed >= 30
    });
    // The first passes at once.
    assert!(clock.now().as_secs_f64() > (passed - 1) as f64 / 20.0 * 0.98, "{passed} in {}", clock.now());
    north.stop();
    south.stop();
}

#[test]
fn publishers_hear_of_a_shared_quota_in_order_and_as_much_as_they_are_to() {
    let Some(redis) = Redis::on_a_free_port(&[]) else { return };
    for (mqtt, acknowledged) in [(RefusalNotice::Verdict, 25), (RefusalNotice::Withhold, 10)] {
        let server = sharing(&redis.url(), ten_each(mqtt));
        let device = format!("wet-{acknowledged}");
        let publish = |client: &mut Mqtt, n: u8| {
            let reading = format!(r#"{{"device":"{device}","seq":{n},"value":1}}"#);
            let topic = text(&format!("devices/{device}/readings"));
            client.send(0x32, &[topic, vec![0, n], reading.into_bytes()].concat());
        };
        let (mut client, code) = Mqtt::connect(server.mqtt_addr(), "gateway", None);
        assert_eq!(code, 0);
        (1..=25).for_each(|n| publish(&mut client, n));
        client.send(0xc0, &[]);
        let mut pids = Vec::new();
        while let Some(packet) = client.take().filter(|packet| packet[0] == 0x40) {
            pids.push(packet[3]);
        }
        assert_eq!(pids, (1..=acknowledged).collect::<Vec<u8>>(), "{}", mqtt.name());
        let figures = || [figure(&server, "readings", "verdicts"), figure(&server, "readings", "shed")];
        until("all have come to something", || figures() == [10, 15]);
        // Who goes away at once has said what it has said.
        (26..=30).for_each(|n| publish(&mut client, n));
        client.0.shutdown(Shutdown::Write).unwrap();
        until("these, too", || figures() == [10, 20]);
        server.stop();
    }
}

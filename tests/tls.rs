//! TLS under every protocol, through the built binary: identities, storms of handshakes, and what is said when one side does not
//! accept the other.

mod own;
mod refusal;
mod server;
mod service;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use squall::results::{Figures, Report, SummaryRow};

use self::server::{Serve, Server};
use crate::authority::Authority;
use crate::interop_device::on_a_free_port;
use crate::program::{files, holds, squall, sum, told};
use crate::skip;

/// A folder with certificates, in which runs leave their results.
struct Place(tempfile::TempDir);

impl Place {
    fn with(authority: &Authority, names: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        authority.write(folder.path(), names);
        Self(folder)
    }

    /// `squall` with `arguments` and a scenario of `devices` that speak `protocol`, with `own` keys.
    fn squall(&self, arguments: &[&str], (protocol, devices): (&str, u32), own: &str) -> Ended {
        let text = format!(
            "[scenario]\nname = \"tls\"\n[run]\nwarm_up = \"0s\"\ndrain = \"5s\"\nconnect_timeout = \"60s\"\nconnect_rate = \"200/s\"\n\
             [[phase]]\nname = \"steady\"\nduration = \"2s\"\n\
             [fleet.m]\nprotocol = \"{protocol}\"\ndevices = {devices}\nrate = \"5/s\"\ntimeout = \"60s\"\n{own}\n"
        );
        self.drive(arguments, &text)
    }

    /// `squall` with `arguments` and the scenario `text`.
    fn drive(&self, arguments: &[&str], text: &str) -> Ended {
        std::fs::write(self.0.path().join("s.toml"), text).unwrap();
        let output = squall(self.0.path(), arguments).output().unwrap();
        Ended { output, results: self.0.path().join("results/tls") }
    }

    fn run(&self, url: &str, protocol: &str, own: &str) -> Ended {
        self.squall(&["run", "s.toml", "--target", &format!("{protocol}={url}")], (protocol, 3), own)
    }
}

/// A run that has ended, or a check.
struct Ended {
    output: Output,
    results: PathBuf,
}

impl Ended {
    fn said(&self) -> String {
        told(&self.output)
    }

    /// As one line.
    fn told(&self) -> String {
        self.said().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn report(&self) -> Report {
        let mut runs: Vec<_> = std::fs::read_dir(&self.results)
            .unwrap_or_else(|_| panic!("{}", self.said()))
            .map(|entry| entry.unwrap().path())
            .collect();
        runs.sort();
        Report::load(runs.last().unwrap()).unwrap()
    }

    /// The figures of all rows of a kind added up, as far as they count.
    fn sum(&self, kind: &str) -> Figures {
        self.sum_of("", kind)
    }

    /// The same, of one fleet.
    fn sum_of(&self, fleet: &str, kind: &str) -> Figures {
        let report = self.report();
        sum(report.summary.iter().filter(|row| fleet.is_empty() || row.fleet == fleet), kind)
    }

    /// Every kind has as many outcomes as it was planned. On a busy machine a run may rightly judge itself invalid.
    fn assert_answered(&self) {
        self.assert_all_ok(&["reading", "connect", "tls"]);
    }

    /// The same of connections and handshakes: a storm may cut off a reading that waits for its answer.
    fn assert_connected(&self) {
        self.assert_all_ok(&["connect", "tls"]);
    }

    fn assert_all_ok(&self, kinds: &[&str]) {
        assert!(matches!(self.output.status.code(), Some(0 | 12)), "{}", self.said());
        for kind in kinds {
            let sum = self.sum(kind);
            assert!(sum.planned > 0 && sum.ok == sum.planned, "{kind}: {sum:?} {}", self.said());
        }
    }
}

#[test]
fn every_protocol_is_spoken_over_tls() {
    let authority = Authority::new();
    let place = Place::with(&authority, &[]);
    let table: [(&str, &str, Serve, &str); 4] = [
        ("http", "https", server::http, ""),
        ("ws", "wss", server::websocket, "close = \"reply\"\nws = { correlate = \"order\" }"),
        ("mqtt", "mqtts", server::mqtt, "close = \"ack\""),
        ("tcp", "tcps", server::lines, "tcp = { correlate = \"order\" }"),
    ];
    for (protocol, scheme, serve, own) in table {
        let server = Server::start(&authority, false, serve);
        let own = format!("{own}\ntls = {{ ca = \"ca.pem\" }}");
        let ended = place.run(&format!("{scheme}://localhost:{}", server.port), protocol, &own);
        ended.assert_answered();
        assert_eq!(ended.sum("tls").planned, ended.sum("connect").planned, "{protocol}");
    }
}

const OWN_CERTIFICATES: &str = "tls = { ca = \"ca.pem\", cert = \"{{device}}.pem\", key = \"{{device}}.key\"";

#[test]
fn in_a_storm_each_device_takes_up_its_own_session_or_none_does() {
    const DEVICES: u32 = 100;
    let names: Vec<String> = (0..DEVICES).map(|index| format!("m-{index:05}")).collect();
    let authority = Authority::new();
    let place = Place::with(&authority, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let budget = format!("resumed = \">={DEVICES}\"\nresumed_rate = \">=50%\"");
    let none = "resumed = \"<=0\"\nresumed_rate = \"<=0%\"".to_owned();
    for (resume, expected, budget) in [("per-device", u64::from(DEVICES), budget), ("off", 0, none)] {
        let server = Server::start(&authority, true, server::mqtt);
        let own = format!(
            "close = \"ack\"\n{OWN_CERTIFICATES}, resume = \"{resume}\" }}\n[[fault]]\nname = \"storm\"\nkind = \"disconnect\"\nstart = \
             \"1s\"\n[[budget]]\nkind = \"tls\"\n{budget}\np50 = \"<60s\"\nerror_rate = \"<=0%\"\n"
        );
        let target = format!("mqtt=mqtts://localhost:{}", server.port);
        let ended = place.squall(&["run", "s.toml", "-v", "--target", &target], ("mqtt", DEVICES), &own);
        ended.assert_answered();
        let handshakes = ended.sum("tls");
        assert_eq!(handshakes.planned, u64::from(2 * DEVICES));
        assert_eq!(handshakes.resumed, Some(expected), "{}", ended.said());
        assert!(ended.told().contains(&format!("resumed: {expected} of {DEVICES}")), "{}", ended.said());
        let budgets = ended.report().run.budgets;
        assert!(
            budgets.len() == 4 && budgets.iter().all(|budget| budget.met && budget.kind == "tls"),
            "{budgets:?}"
        );
        let seen = server.seen.lock().unwrap();
        assert_eq!((seen.full, seen.resumed), (u64::from(2 * DEVICES) - expected, expected));
        // Sessions too are known by the certificate with which they began: each device's own, twice.
        assert_eq!(seen.certificates.len(), names.len());
        for name in &names {
            let own = CertificateDer::from_pem_file(place.0.path().join(format!("{name}.pem"))).unwrap();
            assert_eq!(seen.certificates.get(own.as_ref()), Some(&2), "{name}");
        }
    }
}

#[test]
fn a_device_that_is_not_let_in_fails_to_connect_and_its_readings_have_one_outcome_each() {
    let authority = Authority::new();
    let place = Place::with(&authority, &[]);
    let table: [(&str, &str, Serve, &str); 2] = [
        ("http", "https", server::http, ""),
        // What closes a reading by itself comes before the refusal.
        ("tcp", "tcps", server::lines, "close = \"sent\"\n"),
    ];
    for (protocol, scheme, serve, own) in table {
        let server = Server::start(&authority, true, serve);
        let url = format!("{scheme}://localhost:{}", server.port);
        let ended = place.run(&url, protocol, &format!("{own}tls = {{ ca = \"ca.pem\" }}"));
        let (connects, handshakes) = (ended.sum("connect"), ended.sum("tls"));
        assert!(
            connects.planned >= 3 && connects.error_tls == connects.planned,
            "{connects:?} {}",
            ended.said()
        );
        assert_eq!((handshakes.error_tls, handshakes.planned), (connects.planned, connects.planned));
        let readings = ended.report().summary.into_iter().find(SummaryRow::is_headline).unwrap().figures;
        // Never answered, never an error of their own: they waited for a connection to the end.
        assert!(readings.planned > 0 && readings.error == 0 && readings.ok == 0, "{readings:?}");
        assert_eq!(readings.lost + readings.dropped + readings.timeout, readings.planned, "{readings:?}");
        assert!(ended.told().contains("the server demands a client certificate"), "{}", ended.said());
        assert_eq!(server.seen.lock().unwrap().full, 0);
    }
}

#[test]
fn what_was_sent_to_a_server_that_asks_who_is_there_counts_once_it_cannot_refuse_any_more() {
    let authority = Authority::new();
    let place = Place::with(&authority, &["m-00000", "m-00001", "m-00002"]);
    let storm = "[[fault]]\nname = \"storm\"\nkind = \"disconnect\"\nstart = \"1s\"\n";
    // The one sends tickets behind its handshake, the other nothing at all.
    for tickets in [true, false] {
        let server = Server::with(&authority, true, server::lines, |config| {
            config.send_tls13_tickets = if tickets { 2 } else { 0 };
        });
        let url = format!("tcps://localhost:{}", server.port);
        let ended = place.run(&url, "tcp", &format!("close = \"sent\"\n{OWN_CERTIFICATES} }}\n{storm}"));
        ended.assert_answered();
    }
}

#[test]
fn a_server_that_is_not_trusted_is_refused_with_a_remedy_and_accepted_only_by_a_word_that_reports_show() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = Server::start(&other, false, server::http);
    let place = Place::with(&authority, &[]);
    let url = format!("https://localhost:{}", server.port);
    let ended = place.run(&url, "http", "tls = { ca = \"ca.pem\" }");
    assert!(ended.told().contains("name the authority that issued it by `ca`"), "{}", ended.said());
    let connects = ended.sum("connect");
    assert_eq!((connects.ok, connects.error_tls), (0, connects.planned));

    let place = Place::with(&other, &[]);
    let ended = place.run(&format!("https://127.0.0.1:{}", server.port), "http", "tls = { ca = \"ca.pem\" }");
    assert!(ended.told().contains("is not for `127.0.0.1` but for `localhost`"), "{}", ended.said());

    let ended = place.run(&url, "http", "tls = { insecure = \"accept-any-certificate\" }");
    ended.assert_answered();
    let said = "fleet m accepts any certificate of";
    assert!(ended.told().matches(said).count() >= 2, "before and after: {}", ended.said());
    let stored = ended.report().directory;
    for format in ["html", "junit", "github-summary", "pr-comment"] {
        let file = place.0.path().join(format);
        let shown = Command::new(env!("CARGO_BIN_EXE_squall"))
            .args(["report", "--format", &format!("{format}={}", file.display())])
            .arg(&stored)
            .output()
            .unwrap();
        assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
        let shown = std::fs::read_to_string(file).unwrap();
        assert!(shown.contains("accepts any certificate"), "{format}: {shown}");
    }
}

#[test]
fn a_server_that_accepts_and_says_nothing_is_a_time_out_of_the_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let held = std::thread::spawn(move || listener.incoming().take(64).collect::<Vec<_>>());
    let place = Place::with(&Authority::new(), &[]);
    let ended = place.run(&url, "http", "tls = { ca = \"ca.pem\", timeout = \"300ms\" }");
    let (connects, handshakes) = (ended.sum("connect"), ended.sum("tls"));
    assert!(connects.timeout >= 3 && connects.ok == 0, "{connects:?}");
    assert!(handshakes.timeout >= 3 && handshakes.ok == 0, "{handshakes:?}");
    assert!(ended.told().contains("did not complete TLS' handshake within 300ms"), "{}", ended.said());
    drop(held);
}

#[test]
fn what_does_not_fit_is_told_before_anything_is_sent() {
    let authority = Authority::new();
    let place = Place::with(&authority, &["m-00000", "m-00001", "m-00002", "other"]);
    let mixed = "tls = { cert = \"m-00001.pem\", key = \"other.key\" }";
    for arguments in [&["check", "s.toml"][..], &["run", "s.toml", "--target", "http=https://localhost:1"]] {
        let ended = place.squall(arguments, ("http", 3), mixed);
        assert_eq!(ended.output.status.code(), Some(2));
        let told = ended.told();
        assert!(
            told.contains("fleet.m.tls.key: other.key holds a key that is not the certificate's"),
            "{told}"
        );
    }
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let plain = format!("http://127.0.0.1:{}", server.local_addr().unwrap().port());
    let ended = place.run(&plain, "http", "tls = { ca = \"ca.pem\" }");
    assert_eq!(ended.output.status.code(), Some(2));
    let expected = "is reached without TLS: give it a URL that begins with https://, or take the table out";
    assert!(ended.told().contains(expected), "{}", ended.said());
    let ended = place.squall(&["run", "s.toml"], ("http", 3), "tls = { ca = \"ca.pem\" }");
    assert_eq!(ended.output.status.code(), Some(2));
    assert!(ended.told().contains("the bundled reference system is reached without TLS"), "{}", ended.said());
}

/// mosquitto with the certificate `file` in `folder`, where paths begin, and `more` said of its listener.
fn broker(folder: &Path, file: &str, more: &str) -> Option<(crate::interop_device::Peer, u16)> {
    on_a_free_port(|port| {
        let text = format!(
            "listener {port} 127.0.0.1\ncafile ca.pem\ncertfile {file}.pem\nkeyfile {file}.key\n{more}\
             user root\nallow_anonymous true\nlog_dest file broker.log\nlog_type notice\n"
        );
        let config = folder.join(format!("mosquitto-{port}.conf"));
        std::fs::write(&config, text).unwrap();
        let started =
            Command::new("mosquitto").arg("-c").arg(config).current_dir(folder).stderr(Stdio::null()).spawn();
        if started.is_err() {
            skip::missing("mosquitto is not installed");
        }
        started.ok()
    })
}

#[test]
fn mosquitto_knows_each_device_by_its_certificate_and_resumes_its_session() {
    let authority = Authority::new();
    let place = Place::with(&authority, &["localhost", "m-00000", "m-00001", "m-00002"]);
    let more = "require_certificate true\nuse_identity_as_username true\n";
    let Some((_peer, port)) = broker(place.0.path(), "localhost", more) else { return };
    let storm = "[[fault]]\nname = \"storm\"\nkind = \"disconnect\"\nstart = \"1s\"\n";
    let own = format!("close = \"ack\"\n{OWN_CERTIFICATES} }}\n{storm}");
    let ended = place.run(&format!("mqtts://localhost:{port}"), "mqtt", &own);
    ended.assert_answered();
    assert_eq!(ended.sum("tls").resumed, Some(3), "{}", ended.said());
    let log = std::fs::read_to_string(place.0.path().join("broker.log")).unwrap();
    for name in ["m-00000", "m-00001", "m-00002"] {
        assert_eq!(log.matches(&format!("u'{name}'")).count(), 2, "{log}");
    }
    let ended =
        place.run(&format!("mqtts://localhost:{port}"), "mqtt", "close = \"ack\"\ntls = { ca = \"ca.pem\" }");
    assert!(ended.told().contains("the server demands a client certificate"), "{}", ended.said());
    assert_eq!(ended.sum("connect").error_tls, ended.sum("connect").planned, "{}", ended.said());
}

/// What has nginx demand certificates.
const DEMANDING: &str = "ssl_client_certificate ca.pem; ssl_verify_client on;";

/// nginx with the certificate `file` in `folder`, where paths begin, and `more` said of its server. It says 200 and 400 by itself, and
/// logs of each request the name of the device, and whether its session was resumed (`r`).
fn front(folder: &Path, file: &str, more: &str) -> Option<(crate::interop_device::Peer, u16)> {
    let shown = folder.display();
    on_a_free_port(|port| {
        let text = format!(
            "daemon off; master_process off; user root; pid {shown}/nginx.pid; error_log {shown}/error.log;\n\
             events {{ worker_connections 4096; }}\n\
             http {{ log_format tls '$ssl_client_s_dn $ssl_session_reused'; access_log {shown}/access.log tls; \
             server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {file}.pem; ssl_certificate_key {file}.key; \
             {more} ssl_session_tickets on; location / {{ return 200 ok; }} }} }}\n"
        );
        std::fs::write(folder.join("nginx.conf"), text).unwrap();
        let started = Command::new("nginx")
            .args(["-e", "stderr", "-p"])
            .arg(folder)
            .args(["-c", "nginx.conf"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        if started.is_err() {
            skip::missing("nginx is not installed");
        }
        started.ok()
    })
}

#[test]
fn nginx_resumes_each_devices_session_and_answers_those_without_a_certificate_by_a_status() {
    let authority = Authority::new();
    let place = Place::with(&authority, &["localhost", "m-00000", "m-00001", "m-00002"]);
    let Some((_peer, port)) = front(place.0.path(), "localhost", DEMANDING) else { return };
    let storm = "[[fault]]\nname = \"storm\"\nkind = \"disconnect\"\nstart = \"1s\"\n";
    let url = format!("https://localhost:{port}");
    let ended = place.run(&url, "http", &format!("{OWN_CERTIFICATES} }}\n{storm}"));
    ended.assert_connected();
    assert_eq!(ended.sum("tls").resumed, Some(3), "{}", ended.said());
    // It completes the handshake, and judges the device at its first request.
    let ended = place.run(&url, "http", "tls = { ca = \"ca.pem\" }");
    assert!(ended.told().contains("HTTP 400 Bad Request"), "{}", ended.said());
    assert_eq!(ended.sum("connect").error_tls, 0);
}

/// A token, a password, a table of tokens, a key file and a client certificate: none is in any file of the run, in what it says, or in
/// the list of processes, neither when all goes well nor when the servers refuse everybody.
#[test]
fn a_run_with_secrets_of_every_kind_leaves_none_behind() {
    const SECRETS: [&str; 6] =
        ["s3cr3t-token", "s3cr3t-pass", "s3cr3t-row-0", "s3cr3t-row-1", "s3cr3t-file", "s3cr3t-set"];
    let authority = Authority::new();
    let place = Place::with(&authority, &["m-00000", "m-00001", "m-00002"]);
    let folder = place.0.path();
    let rows = [0, 1, 2].map(|index| format!("m-0000{index},s3cr3t-row-{index}\n")).concat();
    std::fs::write(folder.join("devices.csv"), format!("device,header:X-Row\n{rows}")).unwrap();
    std::fs::write(folder.join("file.key"), "s3cr3t-file\n").unwrap();
    let keys = std::fs::read_to_string(folder.join("m-00001.key")).unwrap();
    let key = keys.lines().nth(1).unwrap().to_owned();
    let login = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, "m-00001:s3cr3t-pass");
    let header = "headers = { X-Key = { file = \"file.key\" }, X-Set = \"a\" }";
    for (protocol, scheme, serve, own) in [
        (
            "http",
            "https",
            server::http as Serve,
            format!("auth = {{ bearer = \"s3cr3t-token\", {header} }}\ncredentials = \"devices.csv\""),
        ),
        (
            "http",
            "https",
            server::http,
            format!("auth = {{ username = \"{{{{device}}}}\", password = \"s3cr3t-pass\", {header} }}"),
        ),
        (
            "ws",
            "wss",
            server::websocket,
            format!(
                "close = \"reply\"\nws = {{ correlate = \"order\" }}\nauth = {{ bearer = \"s3cr3t-token\", {header} }}"
            ),
        ),
        (
            "mqtt",
            "mqtts",
            server::mqtt,
            "close = \"ack\"\nauth = { username = \"{{device}}\", password = \"s3cr3t-pass\" }".to_owned(),
        ),
    ] {
        for (known, more) in [(true, ""), (false, "refusal = \"expected\"")] {
            let stranger = Authority::new();
            let server = Server::start(if known { &authority } else { &stranger }, true, serve);
            let own = format!("{own}\n{more}\n{OWN_CERTIFICATES} }}");
            let target = format!("{protocol}={scheme}://localhost:{}", server.port);
            let set = ["--set", "fleet.m.auth.headers.X-Set=s3cr3t-set"];
            let set = if own.contains("X-Set") { &set[..] } else { &[] };
            let ended =
                place.squall(&[&["run", "s.toml", "--target", &target], set].concat(), (protocol, 3), &own);
            let expected = if known { [Some(0), Some(12)] } else { [Some(1), Some(12)] };
            assert!(expected.contains(&ended.output.status.code()), "{}", ended.said());
            let found = files(&folder.join("results"));
            assert!(found.iter().any(|path| path.ends_with("run.json")), "{found:?}");
            for secret in SECRETS.iter().copied().chain([key.as_str(), &login]) {
                assert!(!ended.said().contains(secret), "{protocol}: {secret} in {}", ended.said());
                let telling = found.iter().find(|path| holds(path, secret));
                assert_eq!(telling, None, "{protocol}: {secret}");
            }
            std::fs::remove_dir_all(folder.join("results")).unwrap();
        }
    }
}

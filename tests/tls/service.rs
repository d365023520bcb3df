//! The bundled service over TLS: in a run by one word, and on its own for everybody else's clients.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::own::Own;
use super::{DEMANDING, Ended, Place, front};
use crate::authority::Authority;
use crate::program::{files, holds, squall, told};
use crate::skip;

/// Devices of a storm. `SQUALL_STORM` may say another number, on a machine where so many connect before the storm begins.
fn storm_devices() -> u32 {
    std::env::var("SQUALL_STORM").ok().and_then(|text| text.parse().ok()).unwrap_or(200)
}

fn empty() -> Place {
    Place(tempfile::tempdir().unwrap())
}

/// A scenario for the bundled system with a fleet for each of its protocols.
fn three_fleets(reference: &str, fleets: &str, more: &str) -> String {
    let mut text = format!(
        "[scenario]\nname = \"tls\"\n[run]\nwarm_up = \"0s\"\ndrain = \"5s\"\nconnect_timeout = \"60s\"\n\
         [reference]\n{reference}\n[[phase]]\nname = \"steady\"\nduration = \"2s\"\n{more}\n"
    );
    for protocol in ["http", "ws", "mqtt"] {
        let _ = write!(
            text,
            "[fleet.{protocol}]\nprotocol = \"{protocol}\"\ndevices = 3\nrate = \"5/s\"\ntimeout = \"60s\"\n{fleets}\n"
        );
    }
    text
}

#[test]
fn one_word_has_a_run_drive_the_bundled_service_over_tls() {
    let table = [
        ("tls = true", ""),
        ("tls = { require_certificate = true }", ""),
        ("tls = true", "tls = { resume = \"off\", versions = \"1.2\", sni = \"localhost\" }"),
    ];
    for (reference, fleets) in table {
        let place = empty();
        let ended = place.drive(&["run", "s.toml", "-v"], &three_fleets(reference, fleets, ""));
        ended.assert_answered();
        assert_eq!(ended.sum("tls").planned, ended.sum("connect").planned, "{reference} {fleets}");
        for scheme in ["https://127.0.0.1", "wss://127.0.0.1", "mqtts://127.0.0.1"] {
            assert!(ended.said().contains(scheme), "{scheme}: {}", ended.said());
        }
        // Certificates are made in memory, and keys stay there.
        let left = files(place.0.path()).into_iter().find(|file| holds(file, "PRIVATE KEY"));
        assert_eq!(left, None, "{reference}");
    }
}

#[test]
fn who_listens_hears_the_same_over_tls_by_every_transport() {
    let mut text = three_fleets("tls = true", "", "");
    let listeners = ["sse", "long-poll", "poll", "ws", "mqtt"];
    for protocol in listeners {
        let _ = write!(
            text,
            "[fleet.by-{protocol}]\nprotocol = \"{protocol}\"\nmodel = \"subscriber\"\ndevices = 2\ntimeout = \"60s\"\n\
             topic = \"verdicts\"\n"
        );
    }
    let place = empty();
    let ended = place.drive(&["run", "s.toml"], &text.replace("drain = \"5s\"", "drain = \"60s\""));
    ended.assert_answered();
    let verdicts = ended.sum("reading").ok;
    for protocol in listeners {
        let fleet = format!("by-{protocol}");
        let heard = ended.sum_of(&fleet, "delivery");
        assert_eq!([heard.planned, heard.ok], [2 * verdicts; 2], "{protocol}: {heard:?}");
        assert!(ended.sum_of(&fleet, "tls").ok >= 2, "{protocol}");
    }
}

#[test]
fn faults_of_the_service_are_ordered_over_tls_too() {
    let fault = "[[fault]]\nname = \"wrong\"\nkind = \"errors\"\nchance = 1.0\nstart = \"500ms\"\nduration = \"500ms\"\n";
    for reference in ["tls = true", "tls = { require_certificate = true }"] {
        let place = empty();
        let ended = place.drive(&["run", "s.toml"], &three_fleets(reference, "", fault));
        assert!(matches!(ended.output.status.code(), Some(0 | 12)), "{}", ended.said());
        let readings = ended.sum("reading");
        assert!(readings.error > 0 && readings.ok > 0, "{readings:?} {}", ended.said());
    }
    let place = empty();
    let service = Own::start(place.0.path(), &["--tls", "--faults"]);
    let text = three_fleets("", "tls = { ca = \"squall-tls/ca.pem\" }", fault);
    let ended = run_at(&place, &service, &text);
    assert!(ended.sum("reading").error > 0, "{}", ended.said());
}

/// A run of `text` against `service`.
fn run_at(place: &Place, service: &Own, text: &str) -> Ended {
    let targets = ["http", "ws", "mqtt"].map(|protocol| format!("{protocol}={}", service.url(protocol)));
    let mut arguments = vec!["run", "s.toml"];
    arguments.extend(targets.iter().flat_map(|target| ["--target", target]));
    place.drive(&arguments, text)
}

/// A client of the service whose authority is in `folder`.
fn client(port: u16, folder: &Path) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("ca.pem")).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tls = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    StreamOwned::new(tls, TcpStream::connect(("127.0.0.1", port)).unwrap())
}

/// The whole answer to a request with `headers`, after which the service ends the connection with TLS' goodbye.
fn ask((service, folder): (&Own, &Path), line: &str, headers: &str, body: &str) -> String {
    let mut stream = client(service.port("http"), folder);
    let length = body.len();
    let request =
        format!("{line} HTTP/1.1\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn names_and_pages_are_looked_at_over_tls_as_without() {
    let place = empty();
    let service = Own::start(place.0.path(), &["--tls", "certs", "--allow-host", "squall.test"]);
    let folder = place.0.path().join("certs");
    let (port, reading) = (service.port("http"), r#"{"device":"m","seq":1,"value":1}"#);
    let write = "POST /v1/readings";
    let table = [
        (write, format!("Host: localhost:{port}\r\n"), "200"),
        (write, "Host: squall.test\r\n".to_owned(), "200"),
        (write, "Host: other.test\r\n".to_owned(), "421"),
        (write, format!("Host: localhost:{port}\r\nOrigin: https://localhost:{port}\r\n"), "200"),
        (write, format!("Host: localhost:{port}\r\nOrigin: http://localhost:{port}\r\n"), "403"),
        ("GET /", format!("Host: localhost:{port}\r\nAccept: text/html\r\n"), "200"),
    ];
    for (line, headers, status) in table {
        let answer = ask((&service, &folder), line, &headers, reading);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{headers} {answer}");
    }
}

#[test]
fn who_speaks_plainly_to_a_port_over_tls_is_closed_and_counted() {
    let place = empty();
    let service = Own::start(place.0.path(), &["--tls", "certs"]);
    let folder = place.0.path().join("certs");
    let http = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n".as_slice();
    let mqtt = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a".as_slice();
    for (protocol, plain) in [("http", http), ("mqtt", mqtt)] {
        let mut stream = TcpStream::connect(("127.0.0.1", service.port(protocol))).unwrap();
        stream.write_all(plain).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        // At most an alert.
        assert!(answer.is_empty() || answer[0] == 21, "{answer:?}");
    }
    let metrics = ask((&service, &folder), "GET /metrics", "Host: localhost\r\n", "");
    for counted in
        [r#"squall_tls_handshakes_total{end="plain"} 2"#, r#"squall_tls_handshakes_total{end="full"} 1"#]
    {
        assert!(metrics.contains(counted), "{metrics}");
    }
}

#[test]
fn a_service_that_stops_says_goodbye_over_tls() {
    let place = empty();
    let service = Own::start(place.0.path(), &["--tls", "certs"]);
    let folder = place.0.path().join("certs");
    let mut http = client(service.port("http"), &folder);
    http.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert_ne!(http.read(&mut [0; 4_096]).unwrap(), 0);
    let mut mqtt = client(service.port("mqtt"), &folder);
    mqtt.write_all(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a").unwrap();
    let mut answer = [0; 4];
    mqtt.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [0x20, 2, 0, 0]);
    assert!(service.stop());
    for mut stream in [http, mqtt] {
        // Without the goodbye this is an error.
        std::io::copy(&mut stream, &mut std::io::sink()).unwrap();
    }
}

#[test]
fn a_throw_away_authority_is_made_once_and_what_it_says_can_be_copied() {
    let place = empty();
    let folder = place.0.path().join("certs");
    let arguments = ["--tls", "certs", "--tls-devices", "http=3", "--set", "tls.require_certificate=true"];
    let ca = {
        let _service = Own::start(place.0.path(), &arguments);
        fs::read(folder.join("ca.pem")).unwrap()
    };
    let service = Own::start(place.0.path(), &arguments);
    assert_eq!(fs::read(folder.join("ca.pem")).unwrap(), ca, "who trusts it still does");
    for name in ["ca", "server", "device", "http-00002"] {
        let key = folder.join(format!("{name}.key"));
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&key.metadata().unwrap().permissions()) & 0o77, 0);
        assert!(folder.join(format!("{name}.pem")).exists(), "{name}");
    }
    let line = |begin: &str| {
        let found = service.said.lines().map(str::trim).find(|line| line.starts_with(begin));
        found.unwrap_or_else(|| panic!("{begin}: {}", service.said)).to_owned()
    };
    let shell = |command: &str| {
        Command::new("sh").current_dir(place.0.path()).args(["-c", command]).output().unwrap()
    };
    let scenario = three_fleets("", "", "").split("[fleet.ws]").next().unwrap().to_owned();
    fs::write(place.0.path().join("SCENARIO.toml"), scenario).unwrap();
    // The scenario has no fleets that speak the others.
    let run = line("squall run").replacen("squall", env!("CARGO_BIN_EXE_squall"), 1);
    let mut words: Vec<&str> = run.split(" --").collect();
    words.retain(|words| !words.starts_with("target ") || words.starts_with("target http="));
    let output = shell(&words.join(" --"));
    assert!(matches!(output.status.code(), Some(0 | 12)), "{run} {}", told(&output));
    for (begin, peer) in [("curl", "curl"), ("mosquitto_pub", "mosquitto_pub")] {
        let output = shell(&line(begin));
        if output.status.code() == Some(127) {
            skip::missing(peer);
            continue;
        }
        assert!(output.status.success(), "{begin} {}", String::from_utf8_lossy(&output.stderr));
    }
    let foreign = ["serve", "--http-port", "0", "--mqtt-port", "0", "--tls", "."];
    let foreign = squall(place.0.path(), &foreign).output().unwrap();
    assert_eq!(foreign.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&foreign.stderr).contains("name an empty or a new one"));
}

#[test]
fn certificates_that_do_not_fit_are_told_before_the_service_starts() {
    let authority = Authority::new();
    let place = Place::with(&authority, &["localhost", "other"]);
    let table: [(&[&str], &str); 5] = [
        (
            &["--tls-cert", "localhost.pem", "--tls-key", "other.key"],
            "--tls-key other.key holds a key that is not the certificate's",
        ),
        (&["--tls-cert", "none.pem"], "cannot read the file of --tls-cert none.pem"),
        (&["--tls-cert", "localhost.pem"], "--tls-cert localhost.pem holds no private key"),
        (
            &["--tls", "--tls-client-ca", "localhost.key"],
            "--tls-client-ca localhost.key holds no certificate",
        ),
        (
            &["--tls", "--tls-client-ca", "ca.pem", "--tls-client-crl", "ca.pem"],
            "--tls-client-crl ca.pem holds no revocation list",
        ),
    ];
    for (arguments, expected) in table {
        let serve = ["serve", "--http-port", "0", "--mqtt-port", "0"];
        let output = squall(place.0.path(), &serve).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {said}");
        assert!(said.split_whitespace().collect::<Vec<_>>().join(" ").contains(expected), "{said}");
    }
}

const STORM: &str = "[[fault]]\nname = \"storm\"\nkind = \"disconnect\"\nstart = \"1s\"\n";

/// How often each name was seen in a new session, and how often in one that was taken up.
type Sightings = BTreeMap<String, (u64, u64)>;

/// In a storm each device takes up its own session or none does, and the server knows each by its name.
fn assert_storm(ended: &Ended, resume: &str, devices: u32, seen: &Sightings) {
    ended.assert_connected();
    let resumed = if resume == "off" { 0 } else { u64::from(devices) };
    let handshakes = ended.sum("tls");
    assert_eq!(
        (handshakes.planned, handshakes.resumed),
        (u64::from(2 * devices), Some(resumed)),
        "{}",
        ended.said()
    );
    let names: Vec<String> = (0..devices).map(|index| format!("m-{index:05}")).collect();
    assert!(seen.keys().eq(&names), "{resume}: {seen:?}");
    for (name, (full, again)) in seen {
        assert!(*full > 0 && (*again > 0) == (resumed > 0), "{resume} {name}: {full} {again}");
    }
}

#[test]
fn the_own_service_resumes_every_devices_session_in_a_storm_and_knows_it_by_its_name() {
    let devices = storm_devices();
    for resume in ["per-device", "off"] {
        let place = empty();
        let arguments = ["--tls", "certs", "--set", "tls.require_certificate=true", "--tls-devices"];
        let fleet = format!("m={devices}");
        let service = Own::start(place.0.path(), &[&arguments[..], &[&fleet]].concat());
        let own = format!(
            "tls = {{ ca = \"certs/ca.pem\", cert = \"certs/{{{{device}}}}.pem\", key = \"certs/{{{{device}}}}.key\", resume = \"{resume}\" }}\n{STORM}"
        );
        let target = format!("mqtt={}", service.url("mqtt"));
        let ended = place.squall(&["run", "s.toml", "--target", &target], ("mqtt", devices), &own);
        let mut seen = Sightings::new();
        for line in fs::read_to_string(place.0.path().join("serve.log")).unwrap().lines() {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            let Some(client) = event["client"].as_str() else { continue };
            let (full, again) = seen.entry(client.to_owned()).or_default();
            *(if event["resumed"] == true { again } else { full }) += 1;
        }
        assert_storm(&ended, resume, devices, &seen);
    }
}

#[test]
fn nginx_resumes_every_devices_session_in_a_storm_and_knows_it_by_its_name() {
    let devices = storm_devices();
    let names: Vec<String> = (0..devices).map(|index| format!("m-{index:05}")).collect();
    let authority = Authority::new();
    let mut all: Vec<&str> = names.iter().map(String::as_str).collect();
    all.push("localhost");
    let place = Place::with(&authority, &all);
    for resume in ["per-device", "off"] {
        let Some((_peer, port)) = front(place.0.path(), "localhost", DEMANDING) else { return };
        let log = place.0.path().join("access.log");
        fs::write(&log, "").unwrap();
        let own = format!("{}, resume = \"{resume}\" }}\n{STORM}", super::OWN_CERTIFICATES);
        let target = format!("http=https://localhost:{port}");
        let ended = place.squall(&["run", "s.toml", "--target", &target], ("http", devices), &own);
        let mut seen = Sightings::new();
        for line in fs::read_to_string(&log).unwrap().lines() {
            let (name, how) = line.rsplit_once(' ').unwrap();
            let (full, again) = seen.entry(name.trim_start_matches("CN=").to_owned()).or_default();
            *(if how == "r" { again } else { full }) += 1;
        }
        assert_storm(&ended, resume, devices, &seen);
    }
}

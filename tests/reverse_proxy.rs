//! nginx and `HAProxy` in front of HTTP and WebSocket, by the configurations that `docs/proxies.md` explains.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use squall::reference::{Config, Server};
use squall::results::{Report, SummaryRow};

use crate::authority::Authority;
use crate::interop_device::{Peer, on_a_free_port};
use crate::program::{only_run, squall, sum, told};
use crate::skip;

/// A proxy, by what starts it and what it is told.
#[derive(Debug, Clone, Copy)]
struct Proxy {
    program: &'static str,
    /// Before the name of the configuration, whose folder is the one it works in.
    arguments: &'static [&'static str],
    configuration: &'static str,
    /// What has it end connections on which nothing was said for a second.
    impatient: &'static [(&'static str, &'static str)],
    /// What has it end connections after a hundred requests, where it counts them.
    counting: Option<(&'static str, &'static str)>,
}

const PROXIES: [Proxy; 2] = [
    Proxy {
        program: "nginx",
        // Killed, a master leaves its workers behind.
        arguments: &["-g", "master_process off;", "-p", ".", "-e", "stderr", "-c"],
        configuration: include_str!("../examples/proxies/nginx.conf"),
        impatient: &[
            ("keepalive_timeout 1h", "keepalive_timeout 1s"),
            ("proxy_read_timeout 1h", "proxy_read_timeout 1s"),
        ],
        counting: Some(("keepalive_requests 1000000", "keepalive_requests 20")),
    },
    Proxy {
        program: "haproxy",
        arguments: &["-f"],
        configuration: include_str!("../examples/proxies/haproxy.cfg"),
        impatient: &[
            ("timeout http-keep-alive 1h", "timeout http-keep-alive 1s"),
            ("timeout tunnel 1h", "timeout tunnel 1s"),
        ],
        counting: None,
    },
];

/// A service, a proxy in front of it, and runs through both.
struct Line {
    folder: tempfile::TempDir,
    port: u16,
    service: Option<Server>,
    _peer: Peer,
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(service) = self.service.take() {
            service.stop();
        }
    }
}

impl Line {
    /// `None` where the proxy is not installed. `changes` are made to its configuration.
    fn start(proxy: Proxy, changes: &[(&str, &str)]) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        Authority::new().write(folder.path(), &["localhost"]);
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        fs::write(folder.path().join("localhost.both.pem"), read("localhost.pem") + &read("localhost.key"))
            .unwrap();
        let service = Server::start(&Config::default()).unwrap();
        let mut text = proxy.configuration.replace("127.0.0.1:8080", &service.http_addr().to_string());
        for (from, to) in changes {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        let started = on_a_free_port(|port| begin(proxy, folder.path(), &text, port));
        let Some((peer, port)) = started else {
            service.stop();
            return None;
        };
        Some(Self { folder, port, service: Some(service), _peer: peer })
    }

    /// A run of one fleet over `protocol`, whose devices connect again at once; its keys and what surrounds it are `own`.
    fn run(&self, protocol: &str, own: &str) -> Vec<SummaryRow> {
        let text = format!(
            "[scenario]\nname = \"proxied\"\n[run]\nwarm_up = \"0s\"\ndrain = \"20s\"\nconnect_timeout = \"60s\"\n[[phase]]\nname = \"steady\"\n\
             {own}\ntimeout = \"60s\"\ntls = {{ ca = \"ca.pem\" }}\n"
        );
        fs::write(self.folder.path().join("s.toml"), text).unwrap();
        let path = if protocol == "http" { "/v1/readings" } else { "/v1/stream" };
        let secure = if protocol == "http" { "https" } else { "wss" };
        let target = format!("{protocol}={secure}://localhost:{}{path}", self.port);
        let out = self.folder.path().join(format!("results-{protocol}"));
        let mut command = squall(self.folder.path(), &["run", "s.toml", "--target", &target, "--out"]);
        let output = command.arg(&out).output().unwrap();
        // On a busy machine a run may rightly judge itself invalid.
        assert!(matches!(output.status.code(), Some(0 | 12)), "{}", told(&output));
        Report::load(&only_run(&out)).unwrap().summary
    }
}

fn begin(proxy: Proxy, folder: &Path, text: &str, port: u16) -> Option<Child> {
    fs::write(folder.join("proxy.conf"), text.replace("127.0.0.1:8443", &format!("127.0.0.1:{port}")))
        .unwrap();
    let started = Command::new(proxy.program)
        .current_dir(folder)
        .args(proxy.arguments)
        .arg("proxy.conf")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.join("proxy.log")).unwrap())
        .spawn();
    if started.is_err() {
        skip::missing(&format!("{} is not installed", proxy.program));
    }
    started.ok()
}

fn fleet(protocol: &str, devices: u32, rate: &str, duration: &str) -> String {
    format!(
        "duration = \"{duration}\"\n[fleet.m]\nprotocol = \"{protocol}\"\ndevices = {devices}\nrate = \"{rate}\"\narrival = {{ jitter = 0.0 }}\n\
         backoff = {{ first = \"1ms\", max = \"10ms\" }}"
    )
}

/// Every device has one connection, and every reading is answered.
#[test]
fn devices_keep_their_connections_through_a_proxy_that_is_told_to() {
    for proxy in PROXIES {
        let Some(line) = Line::start(proxy, &[]) else { continue };
        for protocol in ["http", "ws"] {
            let rows = line.run(protocol, &fleet(protocol, 5, "20/s", "2s"));
            let (readings, connects) = (sum(&rows, "reading"), sum(&rows, "connect"));
            assert!(
                readings.planned >= 150 && readings.ok == readings.planned,
                "{proxy:?} {protocol}: {readings:?}"
            );
            assert_eq!((connects.planned, connects.ok), (5, 5), "{proxy:?} {protocol}");
            assert_eq!(sum(&rows, "tls").ok, 5, "{proxy:?} {protocol}");
        }
    }
}

/// A proxy that is less patient than the devices are talkative costs connections, and no readings.
#[test]
fn a_proxy_that_ends_idle_connections_shows_as_connections_and_loses_no_reading() {
    for proxy in PROXIES {
        let Some(line) = Line::start(proxy, proxy.impatient) else { continue };
        for protocol in ["http", "ws"] {
            let rows = line.run(protocol, &fleet(protocol, 3, "0.4/s", "8s"));
            let (readings, connects) = (sum(&rows, "reading"), sum(&rows, "connect"));
            assert!(
                readings.planned >= 6 && readings.ok == readings.planned,
                "{proxy:?} {protocol}: {readings:?}"
            );
            assert!(
                connects.planned >= 6 && connects.ok == connects.planned,
                "{proxy:?} {protocol}: {connects:?}"
            );
        }
    }
}

/// A device takes up its session when its connection has served as many requests as the proxy allows.
#[test]
fn a_proxy_that_counts_requests_has_devices_connect_again_and_resume() {
    for proxy in PROXIES {
        let Some(counting) = proxy.counting else { continue };
        let Some(line) = Line::start(proxy, &[counting]) else { continue };
        let rows = line.run("http", &fleet("http", 3, "20/s", "4s"));
        let (readings, handshakes) = (sum(&rows, "reading"), sum(&rows, "tls"));
        assert!(readings.planned >= 200 && readings.ok == readings.planned, "{readings:?}");
        assert!((9..=20).contains(&handshakes.planned), "{handshakes:?}");
        assert_eq!(handshakes.resumed, Some(handshakes.planned - 3));
    }
}

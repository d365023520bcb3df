//! Services that are not ours, each with the scenario shipped for it: a Python HTTP service, a Python WebSocket server, and
//! mosquitto with users and passwords. And secrets: no file of a run, and nothing on the screen, may hold them.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use squall::record::Protocol;
use squall::results::read_summary;

use crate::interop_device::{Peer, on_a_free_port};
use crate::program::{files, holds, only_run, squall, told};
use crate::skip;

const SECRET: &str = "zX9-s3cret-Qw7";

fn shipped(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(path)
}

/// Starts one of the Python peers; `None` with a message where Python or a package is missing.
fn python(peer: &str, needs: &str, arguments: &[&str]) -> Option<(Peer, u16)> {
    let probe =
        Command::new("python3").args(["-c", &format!("import {needs}")]).stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        skip::missing(&format!("Python's {needs} is not installed"));
        return None;
    }
    let mut child = Command::new("python3")
        .arg(shipped("peers").join(peer))
        .arg("0")
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
    Some((Peer(child), port))
}

/// A run of a shipped scenario against a peer.
struct Run {
    folder: tempfile::TempDir,
    output: Output,
}

impl Run {
    fn of(scenario: &str, protocol: Protocol, port: u16, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let target = format!("{protocol}={protocol}://127.0.0.1:{port}");
        // A machine that stands still for a while is not a reason for a time-out.
        let text = std::fs::read_to_string(shipped(scenario)).unwrap();
        let fleets = text.lines().filter_map(|line| line.strip_prefix("[fleet.")?.strip_suffix(']'));
        let settings =
            fleets.filter(|name| !name.contains('.')).map(|name| format!("fleet.{name}.timeout=60s"));
        let settings = settings.flat_map(|setting| ["--set".to_owned(), setting]);
        let output = squall(folder.path(), &["run"])
            .arg(shipped(scenario))
            .args(["--target", &target, "--duration", "3s", "--json"])
            .args(["--set", "run.connect_timeout=60s", "--set", "run.drain=10s"])
            .args(settings)
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        Self { folder, output }
    }

    fn said(&self) -> String {
        told(&self.output)
    }

    /// The run's directory.
    fn directory(&self) -> PathBuf {
        only_run(&self.folder.path().join("results"))
    }

    /// Every reading was answered ok. On a machine busy with other tests the run may rightly judge itself invalid.
    fn assert_answered(&self, least: u64) {
        assert!(matches!(self.output.status.code(), Some(0 | 12)), "{}", self.said());
        let rows = read_summary(&self.directory()).unwrap();
        let headline = rows.iter().find(|row| row.is_headline()).unwrap();
        assert!(headline.figures.planned >= least, "{}", headline.figures.planned);
        assert_eq!(headline.figures.ok, headline.figures.planned, "{}", self.said());
    }

    /// Each reading was delivered to all of `devices` of a fleet, once.
    fn assert_delivered(&self, fleet: &str, devices: u64) {
        let rows = read_summary(&self.directory()).unwrap();
        let readings = rows.iter().filter(|row| row.kind == "reading" && !row.is_headline());
        let sent: u64 = readings.map(|row| row.figures.ok).sum();
        let own = rows.iter().filter(|row| row.fleet == fleet && row.kind == "delivery");
        let [planned, ok, twice] = own.fold([0; 3], |[planned, ok, twice], row| {
            let figures = &row.figures;
            [planned + figures.planned, ok + figures.ok, twice + figures.duplicated]
        });
        assert!(sent > 50, "{}", self.said());
        assert_eq!([planned, ok, twice], [devices * sent, devices * sent, 0], "{}", self.said());
    }

    /// Neither the screen nor any file of the run holds the secret.
    fn assert_discreet(&self) {
        assert!(!self.said().contains(SECRET), "{}", self.said());
        let files = files(&self.directory());
        assert!(files.len() >= 5, "{files:?}");
        assert_eq!(files.iter().find(|file| holds(file, SECRET)), None);
    }
}

#[test]
fn an_http_service_of_its_own_kind_is_driven_as_its_scenario_says() {
    let Some((_peer, port)) = python("http_service.py", "http.server", &[SECRET]) else { return };
    let run = Run::of("external-http.toml", Protocol::named("http"), port, &[("SQUALL_TOKEN", SECRET)]);
    run.assert_answered(100);
    run.assert_discreet();
    let manifest = std::fs::read_to_string(run.directory().join("run.json")).unwrap();
    assert!(manifest.contains("Bearer ${SQUALL_TOKEN}"), "the text stands there as it was written");

    let refused = Run::of("external-http.toml", Protocol::named("http"), port, &[("SQUALL_TOKEN", "wrong")]);
    assert!(matches!(refused.output.status.code(), Some(1 | 12)), "{}", refused.said());
    let rows = read_summary(&refused.directory()).unwrap();
    let headline = rows.iter().find(|row| row.is_headline()).unwrap();
    assert_eq!((headline.figures.ok, headline.figures.error), (0, headline.figures.planned));
}

#[test]
fn a_missing_variable_is_named_before_anything_is_sent() {
    let run = Run::of("external-http.toml", Protocol::named("http"), 9, &[]);
    assert_eq!(run.output.status.code(), Some(2));
    let said = run.said();
    assert!(
        said.contains("the environment variable `SQUALL_TOKEN` is not set; set it: export SQUALL_TOKEN=…"),
        "{said}"
    );
    assert!(!run.folder.path().join("results").exists());
}

#[test]
fn a_websocket_service_names_readings_where_the_pointer_says() {
    let Some((_peer, port)) = python("echo_ws.py", "websockets", &[]) else { return };
    Run::of("external-ws.toml", Protocol::named("ws"), port, &[]).assert_answered(250);
}

#[test]
fn a_gateway_of_lines_answers_some_devices_and_others_send_and_forget() {
    let Some((_peer, port)) = python("line_gateway.py", "asyncio", &[]) else { return };
    Run::of("external-tcp.toml", Protocol::named("tcp"), port, &[]).assert_answered(500);
}

#[test]
fn who_watches_a_websocket_service_finds_readings_where_the_pointers_say() {
    let Some((_peer, port)) = python("hub_ws.py", "websockets", &[]) else { return };
    let run = Run::of("external-ws-subscribers.toml", Protocol::named("ws"), port, &[]);
    run.assert_answered(50);
    run.assert_delivered("watchers", 20);
}

#[test]
fn who_listens_at_a_broker_finds_readings_where_the_pointers_say() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("mosquitto.conf");
    let started = on_a_free_port(|port| {
        std::fs::write(&settings, format!("listener {port} 127.0.0.1\nallow_anonymous true\n")).unwrap();
        Command::new("mosquitto").arg("-c").arg(&settings).stderr(Stdio::null()).spawn().ok()
    });
    let Some((_peer, port)) = started else { return skip::missing("mosquitto is not installed") };
    let run = Run::of("external-mqtt-subscribers.toml", Protocol::named("mqtt"), port, &[]);
    run.assert_answered(50);
    run.assert_delivered("dashboards", 20);
}

/// mosquitto with one user, on a free port.
fn broker(folder: &Path) -> Option<(Peer, u16)> {
    let users = folder.join("users");
    let made =
        Command::new("mosquitto_passwd").args(["-b", "-c"]).arg(&users).args(["squall", SECRET]).output();
    if !made.is_ok_and(|output| output.status.success()) {
        skip::missing("mosquitto is not installed");
        return None;
    }
    let settings = folder.join("mosquitto.conf");
    on_a_free_port(|port| {
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {}\nuser root\n",
            users.display()
        );
        std::fs::write(&settings, text).unwrap();
        Command::new("mosquitto").arg("-c").arg(&settings).stderr(Stdio::null()).spawn().ok()
    })
}

#[test]
fn a_broker_with_users_and_passwords_is_driven_and_keeps_its_secret() {
    let folder = tempfile::tempdir().unwrap();
    let Some((_peer, port)) = broker(folder.path()) else { return };
    let login = |password| [("SQUALL_MQTT_USER", "squall"), ("SQUALL_MQTT_PASSWORD", password)];
    let run = Run::of("external-mqtt.toml", Protocol::named("mqtt"), port, &login(SECRET));
    run.assert_answered(500);
    run.assert_discreet();

    let wrong = Run::of("external-mqtt.toml", Protocol::named("mqtt"), port, &login("wr0ng-passw0rd"));
    assert!(matches!(wrong.output.status.code(), Some(1 | 12)), "{}", wrong.said());
    assert!(!wrong.said().contains("wr0ng-passw0rd"), "{}", wrong.said());
}

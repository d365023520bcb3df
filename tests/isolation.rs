//! Runs beside each other and after each other at one broker: what one leaves or sends closes nothing of another's.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::http_service::Service;
use crate::interop_device::mosquitto;

/// Own topics at every quality of service, sessions that last, and a fleet of subscribers; all on topics that other runs share.
/// `IDS` stands for what the lasting fleet says of its identifiers.
const SCENARIO: &str = r#"
[scenario]
name = "shared"
[run]
warm_up = "0s"
drain = "30s"
connect_timeout = "60s"
[[phase]]
name = "whole"
duration = "4s"
[fleet.echo]
protocol = "mqtt"
devices = 10
rate = "5/s"
close = "delivery"
timeout = "60s"
expects = ["exactly-once", "ordered"]
mqtt = { qos = 1 }
[fleet.lasting]
protocol = "mqtt"
devices = 10
rate = "5/s"
close = "delivery"
timeout = "60s"
expects = ["exactly-once", "ordered"]
mqtt = { qos = 2, clean_session = false, topic = "lasting/{{device}}" IDS }
[fleet.panels]
protocol = "mqtt"
devices = 1
model = "subscriber"
mqtt = { qos = 1, subscribe = "shared/+" }
[fleet.sensors]
protocol = "mqtt"
devices = 10
rate = "5/s"
close = "delivery"
timeout = "60s"
expects = ["exactly-once", "ordered"]
mqtt = { qos = 1, topic = "shared/{{device}}", subscribers = "panels" }
"#;

const STABLE: &str = r#", client_id = "{{device}}""#;

struct Site {
    folder: tempfile::TempDir,
    target: String,
    runs: std::cell::Cell<u32>,
}

/// A run under way.
struct Running {
    process: Child,
    out: PathBuf,
}

impl Site {
    fn at(port: u16) -> Self {
        let target = format!("mqtt=mqtt://127.0.0.1:{port}");
        Self { folder: tempfile::tempdir().unwrap(), target, runs: 0.into() }
    }

    /// Begins to run `scenario`.
    fn start(&self, scenario: &str, arguments: &[&str]) -> Running {
        let number = self.runs.replace(self.runs.get() + 1);
        let place = |name: &str| self.folder.path().join(format!("{name}-{number}"));
        let (file, out) = (place("scenario"), place("out"));
        std::fs::write(&file, scenario).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_squall"))
            .args(["run", "--quiet", "--json", "--target", &self.target, "--out"])
            .arg(&out)
            .args(arguments)
            .arg(&file)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Running { process, out }
    }

    fn run(&self, scenario: &str, arguments: &[&str]) -> Value {
        self.start(scenario, arguments).report()
    }
}

impl Running {
    fn report(self) -> Value {
        let output = self.process.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(Path::new(&self.out).exists(), "{said}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
    }
}

fn lasting(ids: &str) -> String {
    SCENARIO.replace(" IDS", ids)
}

fn count(report: &Value, fleet: &str, key: &str) -> u64 {
    let rows = report["summary"].as_array().unwrap();
    rows.iter()
        .filter(|row| row["fleet"] == fleet && row["kind"] == "reading")
        .map(|row| row[key].as_u64().unwrap())
        .sum()
}

/// Every reading ended with its own delivery, none twice, none out of turn.
fn is_exact(report: &Value) {
    for fleet in ["echo", "lasting", "sensors"] {
        let planned = count(report, fleet, "planned");
        let kept = report["delivery"].as_array().unwrap().iter().find(|row| row["fleet"] == fleet).unwrap();
        assert!(planned > 100, "{fleet}: {planned}");
        assert_eq!(count(report, fleet, "ok"), planned, "{fleet}: {kept}");
        for what in ["lost", "duplicated", "reordered"] {
            assert_eq!(kept[what], 0, "{fleet}: {kept}");
        }
    }
}

fn strangers(report: &Value, fleet: &str) -> u64 {
    let rows = report["run"]["failures"].as_array().unwrap();
    let of_others = rows.iter().filter(|row| row["fleet"] == fleet && row["code"] == "stranger");
    of_others.map(|row| row["count"].as_u64().unwrap()).sum()
}

fn encounters<'r>(report: &'r Value, fleet: &str) -> &'r Value {
    let met = report["run"]["encounters"].as_array();
    met.and_then(|met| met.iter().find(|met| met["fleet"] == fleet)).unwrap_or(&Value::Null)
}

/// The reasons for which the run is suspect that are about other runs.
fn doubts(report: &Value) -> Vec<&str> {
    let validity = &report["run"]["validity"];
    let causes = validity["causes"].as_array().into_iter().flatten();
    let reasons = validity["reasons"].as_array().unwrap().iter().zip(causes);
    reasons.filter(|(_, cause)| *cause == "identity").map(|(reason, _)| reason.as_str().unwrap()).collect()
}

const OPEN: &str = "allow_anonymous true\nmax_inflight_messages 0\nmax_queued_messages 0\n";

#[test]
fn two_runs_of_one_scenario_at_one_broker_hear_each_other_and_count_none_of_it() {
    let Some((_broker, port, _directory)) = mosquitto(OPEN) else { return };
    let site = Site::at(port);
    let both = [(); 2].map(|()| site.start(&lasting(""), &[])).map(Running::report);
    let mut heard = 0;
    for report in &both {
        is_exact(report);
        assert_eq!(doubts(report), [""; 0]);
        assert_eq!(encounters(report, "lasting")["sessions_removed"], 10, "{}", report["run"]["encounters"]);
        heard += ["echo", "lasting", "panels"].iter().map(|fleet| strangers(report, fleet)).sum::<u64>();
    }
    assert_ne!(both[0]["run"]["run_token"], both[1]["run"]["run_token"]);
    assert!(heard > 0, "they ran at the same time");
}

#[test]
fn what_earlier_runs_left_at_a_broker_is_told_from_what_this_one_sent() {
    let Some((_broker, port, _directory)) = mosquitto(OPEN) else { return };
    let site = Site::at(port);
    // Sessions under identifiers that every run has stay, and fill up with what others publish.
    let first = site.run(&lasting(STABLE), &[]);
    is_exact(&first);
    assert_eq!((doubts(&first), encounters(&first, "lasting")), (vec![], &Value::Null));
    let between = site.run(&lasting(""), &["--run-token", "between0"]);
    is_exact(&between);
    assert_eq!(
        (doubts(&between), encounters(&between, "lasting")["sessions_removed"].as_u64()),
        (vec![], Some(10))
    );
    let second = site.run(&lasting(STABLE), &[]);
    is_exact(&second);
    assert_eq!(
        strangers(&second, "lasting"),
        count(&between, "lasting", "planned"),
        "all that was queued for it"
    );
    assert_eq!(encounters(&second, "lasting")["sessions_found"], 10);
    let said = doubts(&second);
    assert!(
        matches!(&*said, [one] if one.contains("had sessions of 10 devices of fleet lasting")),
        "{said:?}"
    );
    assert_eq!(second["run"]["validity"]["verdict"].as_str().map(|word| word != "valid"), Some(true));
    // Of a run whose identifiers name it nothing is left.
    let again = site.run(&lasting(""), &["--run-token", "between0"]);
    is_exact(&again);
    assert_eq!((doubts(&again), strangers(&again, "lasting")), (vec![], 0));
    // Stable identifiers are wiped where that is asked for.
    let wiping = format!("{STABLE}, wipe_sessions = true");
    let last = site.run(&lasting(&wiping), &[]);
    let met = encounters(&last, "lasting");
    assert_eq!((&met["sessions_found"], &met["sessions_removed"]), (&10.into(), &10.into()), "{met}");
    assert_eq!(doubts(&site.run(&lasting(&wiping), &[])), [""; 0]);
}

#[test]
fn runs_that_take_each_others_identifiers_over_say_so() {
    let Some((_broker, port, _directory)) = mosquitto(OPEN) else { return };
    let site = Site::at(port);
    let token = ["--run-token", "between0"];
    for (ids, arguments, remedy) in
        [(STABLE, &[][..], "let client_id name {{run}}"), ("", &token[..], "name the run token between0")]
    {
        let scenario =
            lasting(ids).replace("clean_session = false, ", "").replace("clean_session = false", "");
        let arguments = [&["--set", "phase.whole.duration=8s"], arguments].concat();
        let both = [(); 2].map(|()| site.start(&scenario, &arguments)).map(Running::report);
        for report in &both {
            let said = doubts(report);
            let is_told =
                |reason: &&str| reason.contains("disconnected again and again") && reason.contains(remedy);
            assert!(said.iter().any(is_told), "{said:?}");
            assert!(encounters(report, "lasting")["taken_over"].as_u64() > Some(0));
        }
    }
}

#[test]
fn a_target_whose_answers_name_no_run_is_called_not_isolated_once_per_fleet() {
    let Some((_broker, port, _directory)) = mosquitto(OPEN) else { return };
    let site = Site::at(port);
    let template = r#"payload = { format = "template", template = '{"seq":{{seq}}RUN}' }"#;
    let fleet = |name: &str, named: &str, topic: &str| {
        let payload = template.replace("RUN", named);
        format!(
            "[fleet.{name}]\nprotocol = \"mqtt\"\ndevices = 5\nrate = \"5/s\"\ntimeout = \"60s\"\nclose = \"delivery\"\n{payload}\nmqtt = {{ topic = \"{topic}\" }}\n"
        )
    };
    let beginning = SCENARIO.split("[fleet.").next().unwrap();
    let text = [
        beginning,
        &fleet("named", r#","run":"{{run}}""#, "named/{{device}}"),
        &fleet("placed", "", "{{run}}/{{device}}"),
        &fleet("plain", "", "plain/{{device}}"),
    ]
    .concat();
    let report = site.run(&text, &[]);
    assert_eq!(encounters(&report, "plain")["unnamed"], count(&report, "plain", "planned"));
    assert_eq!((encounters(&report, "named"), encounters(&report, "placed")), (&Value::Null, &Value::Null));
    let out = site.folder.path().join("out-0");
    let run = std::fs::read_dir(out.join("shared")).unwrap().next().unwrap().unwrap().path();
    let shown = Command::new(env!("CARGO_BIN_EXE_squall")).arg("report").arg(run).output().unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert_eq!(shown.matches("not guaranteed for").count(), 1, "{shown}");
    assert!(shown.contains("not guaranteed for plain"), "{shown}");
}

#[test]
fn a_run_with_the_same_token_says_the_same_again_and_with_another_as_much() {
    let service = Service::start("HTTP/1.1 204 No Content\r\n\r\n");
    let site = Site { target: format!("http=http://{}/", service.addr()), ..Site::at(0) };
    let beginning = SCENARIO.split("[fleet.").next().unwrap();
    let fleet = r#"
[fleet.meters]
protocol = "http"
devices = 5
rate = "10/s"
timeout = "60s"
payload = { run_token = true }
http = { path = "/{{run}}/{{device}}/{{seq}}/{{value}}", headers = { X-Run = "{{run}}" } }
"#;
    let text = format!("{beginning}{fleet}");
    let mut before = 0;
    let [one, again, other] = ["k3x9q2ab", "k3x9q2ab", "zzzzzzzz"].map(|token| {
        let report = site.run(&text, &["--run-token", token]);
        assert_eq!(report["run"]["run_token"], token);
        let mut heads = service.heads().split_off(before);
        before += heads.len();
        heads.sort_unstable();
        heads
    });
    assert!(one.len() > 100 && one == again, "{} and {}", one.len(), again.len());
    assert!(one != other);
    let plain = |heads: Vec<String>, token: &str| {
        heads.into_iter().map(|head| head.replace(token, "TOKEN")).collect::<Vec<_>>()
    };
    assert_eq!(
        plain(one, "k3x9q2ab"),
        plain(other, "zzzzzzzz"),
        "as many bytes, and the same but for the token"
    );
}

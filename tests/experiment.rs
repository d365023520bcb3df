//! Two models side by side in the bundled service: which of them is right, who decides, and what a run tells of it.

use std::process::{Command, Stdio};

use serde_json::Value;
use squall::record::Arm;
use squall::reference::{Config, Server};
use squall::results::Detections;
use squall::service::{Experiment, Setup};

use crate::client::Client;

fn serve(experiment: Experiment) -> Server {
    Server::start(&Config { setup: Setup { experiment, ..Setup::default() }, ..Config::default() }).unwrap()
}

/// Sends `readings` readings of a device; every tenth is far off, and said to be an anomaly. The models that judged.
fn send(client: &mut Client, device: &str, readings: u64) -> Vec<Value> {
    let answer = |seq: u64| {
        let is_anomaly = seq % 10 == 9 && seq > 100;
        let truth = if is_anomaly { seq / 10 } else { 0 };
        let value = (seq % 7) as f64 + if is_anomaly { 1e4 } else { 0.0 };
        let body = format!(r#"{{"device":"{device}","seq":{seq},"value":{value},"truth":{truth}}}"#);
        client.ask("POST", "/v1/readings", &body).1["arm"].clone()
    };
    (0..readings).map(answer).collect()
}

#[test]
fn verdicts_name_their_model_and_what_is_decided_by_hand_is_in_the_audit() {
    let server = serve(Experiment { share: 0.5, ..Experiment::default() });
    let mut client = Client::new(server.http_addr());
    let arms: Vec<Value> = (0..20).flat_map(|nth| send(&mut client, &format!("m-{nth}"), 1)).collect();
    assert!(["champion", "challenger"].iter().all(|arm| arms.iter().any(|found| found == arm)), "{arms:?}");
    let decide = |client: &mut Client, operation: &str| {
        client.ask("POST", "/v1/experiment", &format!(r#"{{"operation":"{operation}"}}"#))
    };
    for (operation, promoted, all) in [("promote", true, true), ("rollback", false, false)] {
        let (status, report) = decide(&mut client, operation);
        assert_eq!((status, &report["promoted"]), (200, &promoted.into()), "{report}");
        assert_eq!(report["decision"]["by"], "anonymous", "{report}");
        let challenged = (0..20).flat_map(|nth| send(&mut client, &format!("n-{nth}"), 1));
        assert_eq!(challenged.filter(|arm| arm == "challenger").count() == 20, all, "{operation}");
    }
    assert_eq!(decide(&mut client, "crown").0, 400);
    let told = client.ask("GET", "/v1/audit", "").1;
    let told: Vec<&Value> =
        told["actions"].as_array().unwrap().iter().map(|action| &action["what"]).collect();
    assert_eq!(told, ["POST /v1/experiment promote", "POST /v1/experiment rollback"]);
    server.stop();
    let without = Server::start(&Config::default()).unwrap();
    let mut client = Client::new(without.http_addr());
    assert_eq!(decide(&mut client, "promote").0, 409);
    assert_eq!(send(&mut client, "m-1", 1), [Value::Null], "there are no two models to tell apart");
    without.stop();
}

#[test]
fn the_truth_is_heeded_only_where_it_is_asked_for() {
    for asked in [true, false] {
        let server = serve(Experiment { share: 0.5, truth: asked, ..Experiment::default() });
        let mut client = Client::new(server.http_addr());
        send(&mut client, "m-1", 400);
        let report = client.ask("GET", "/v1/experiment", "").1;
        // Numbers 109, 119, … 399: the last is still under way.
        let anomalies = report["truth"]["anomalies"].as_u64();
        assert_eq!(anomalies, asked.then_some(29), "{report}");
        assert_eq!(report["champion"]["recall"].is_null(), !asked, "{report}");
        server.stop();
    }
}

#[test]
fn a_run_tells_how_right_each_model_was() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/two-models.toml");
    let run = Command::new(env!("CARGO_BIN_EXE_squall"))
        .current_dir(folder.path())
        .args(["run", scenario, "--duration", "15s", "--plain"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stdout);
    assert!(matches!(run.status.code(), Some(0 | 12)), "{told}{}", String::from_utf8_lossy(&run.stderr));
    let made = std::fs::read_dir(folder.path().join("results/two-models")).unwrap().next().unwrap().unwrap();
    let detections = Detections::load(&made.path()).unwrap();
    let arms: Vec<Arm> = detections.arms.iter().map(|arm| arm.arm).collect();
    assert_eq!(arms, Arm::ALL);
    let (mut seeded, mut normal) = (0, 0);
    for arm in &detections.arms {
        println!("{}: precision {:?}, recall {:?}", arm.arm.name(), arm.precision, arm.recall);
        assert!(arm.score.judged_normal > 0 && arm.recall.is_some_and(|recall| recall <= 1.0), "{arm:?}");
        seeded += arm.score.anomalies().seeded;
        normal += arm.score.judged_normal;
    }
    assert_eq!((seeded, normal), (detections.all.anomalies().seeded, detections.all.judged_normal));
    assert!(told.contains("champion: precision ") && told.contains("challenger: precision "), "{told}");
}

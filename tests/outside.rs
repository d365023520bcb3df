//! What is done to the bundled service from outside while a run measures it, through the built binary: events of the run, and a
//! reason to doubt it.
#![cfg(unix)]

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::program::{ask, events, squall, told, under_way};

const RUN: &str = r#"
[scenario]
name = "watched"
[run]
warm_up = "0s"
drain = "2s"
interval = "500ms"
[reference]
faults = true
[[phase]]
name = "steady"
duration = "6s"
[fleet.meters]
protocol = "http"
devices = 4
rate = "10/s"
timeout = "5s"
[[fault]]
name = "planned"
kind = "slow-worker"
factor = 2
start = "500ms"
duration = "500ms"
[[fault]]
name = "brake"
kind = "slow-worker"
factor = 2
"#;

/// The address of the service of a run.
fn service_of(run: &Path) -> String {
    let manifest: Value = serde_json::from_slice(&std::fs::read(run.join("run.json")).unwrap()).unwrap();
    let url = manifest["targets"]["http"].as_str().unwrap();
    url.trim_start_matches("http://").split('/').next().unwrap().to_owned()
}

/// Runs the scenario while `act` does something to the run of this directory and its service; gives `run.json`, `events.csv` and the screen.
fn run_while(act: impl Fn(&Path, &str)) -> (Value, String, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("s.toml"), RUN).unwrap();
    let mut command = squall(folder.path(), &["run", "s.toml"]);
    let run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let directory = under_way(&folder.path().join("results/watched"));
    act(&directory, &service_of(&directory));
    let said = told(&run.wait_with_output().unwrap());
    let manifest = serde_json::from_slice(&std::fs::read(directory.join("run.json")).unwrap()).unwrap();
    (manifest, events(&directory), said)
}

/// The reason of the validity whose cause is `outside`.
fn doubt(manifest: &Value) -> Option<&str> {
    let validity = &manifest["validity"];
    let causes = validity["causes"].as_array().into_iter().flatten();
    let place = causes.into_iter().position(|cause| cause == "outside")?;
    assert_ne!(validity["verdict"], "valid");
    validity["reasons"][place].as_str()
}

#[test]
fn what_nobody_ordered_through_squall_makes_the_run_suspect() {
    let orders = [
        ("/v1/cache", r#"{"operation":"flush"}"#, "POST /v1/cache flush"),
        ("/v1/realtime", r#"{"operation":"pause"}"#, "POST /v1/realtime pause"),
        ("/v1/realtime", r#"{"operation":"start"}"#, "POST /v1/realtime start"),
        (
            "/v1/faults",
            r#"{"operation":"start","name":"x","kind":"cache-off"}"#,
            "POST /v1/faults start x (cache-off)",
        ),
        ("/v1/faults", r#"{"operation":"stop-all"}"#, "POST /v1/faults stop-all"),
        ("/v1/faults", r#"{"operation":"crash-worker"}"#, "POST /v1/faults crash-worker"),
    ];
    let (manifest, events, said) = run_while(|_, address| {
        for (path, body, what) in orders {
            let answer = ask(address, "POST", path, body);
            assert!(answer.starts_with("HTTP/1.1 200"), "{what}: {answer}");
        }
        // What only asks, and what is refused, changes nothing.
        for (path, body) in [
            ("/v1/realtime", r#"{"operation":"status"}"#),
            ("/v1/cache", r#"{"operation":"keys"}"#),
            ("/v1/faults", r#"{"operation":"stop","name":"nothing"}"#),
            ("/v1/cache", "x"),
        ] {
            ask(address, "POST", path, body);
        }
    });
    let told: Vec<&str> = events.lines().filter(|row| row.contains(",outside,")).collect();
    assert_eq!(told.len(), orders.len(), "{events}");
    for (row, (.., what)) in told.iter().zip(orders) {
        assert!(row.contains(&format!("from outside: {what} from 127.0.0.1:")), "{row}");
        assert!(said.contains(&format!("from outside: {what} from 127.0.0.1:")), "{said}");
    }
    let reason = doubt(&manifest).unwrap_or_else(|| panic!("{manifest}"));
    assert!(
        reason.starts_with(
            "the service got 6 orders from outside the run, the first POST /v1/cache flush from 127.0.0.1:"
        ),
        "{reason}"
    );
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words(&said).contains(&words(reason)), "{said}");
    let times: Vec<f64> =
        events.lines().skip(1).map(|row| row.split(',').next().unwrap().parse().unwrap()).collect();
    assert!(times.is_sorted(), "{events}");
}

#[test]
fn what_the_plan_and_squall_fault_do_is_the_runs_own() {
    let (manifest, events, said) = run_while(|directory, _| {
        for operation in ["start", "stop"] {
            // Runs of other tests are under way, too.
            let output =
                squall(directory, &["fault", operation, "brake", "--run", directory.to_str().unwrap()])
                    .output()
                    .unwrap();
            assert!(output.status.success(), "{}", told(&output));
        }
    });
    assert_eq!((doubt(&manifest), manifest["faults_by_hand"].as_u64()), (None, Some(2)), "{manifest}");
    for event in ["fault_on", "fault_off"] {
        assert!(
            events.contains(&format!(",{event},brake,\"by hand: squall fault, service slow-worker")),
            "{events}"
        );
        assert!(events.contains(&format!(",{event},planned,\"planned ")), "{events}");
    }
    assert!(!events.contains("outside") && !said.contains("from outside"), "{events}{said}");
}

//! What a variable stands for is nowhere: not in a message, not in a file, not in the list of processes, and the shell runs
//! none of it.
#![cfg(unix)]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::program::{self, files, holds, told, wait_until};

/// Never a part of anything else.
const SECRET: &str = "s3cr3t-Zq7";

/// What the shell would run if it were pasted into a command.
const TRAP: &str = "x$(touch trapped)`touch trapped`'; touch trapped; '\"; touch trapped; \"s3cr3t-Zq7";

const RUN: &str = r#"
[scenario]
name = "small"
about = "with ${SECRET}"
seed = 3
[run]
warm_up = "0s"
drain = "1s"
[[phase]]
name = "steady"
duration = "1s"
[fleet.alpha]
protocol = "http"
devices = 2
rate = "10/s"
"#;

fn squall(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = program::squall(folder, arguments);
    command.env("XDG_RUNTIME_DIR", folder).env("SECRET", SECRET).env("TRAP", TRAP);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Nothing that `is_meant` of what lies under `folder` holds the secret.
fn assert_discreet(folder: &Path, is_meant: impl Fn(&Path) -> bool, what: &str) {
    let telling = files(folder).into_iter().find(|file| is_meant(file) && holds(file, SECRET));
    assert_eq!(telling, None, "{what}");
}

/// The command lines of all processes that hold the secret.
#[cfg(target_os = "linux")]
fn told_by_processes() -> Vec<String> {
    let entries = std::fs::read_dir("/proc").unwrap();
    let lines = entries.filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).into_owned()).filter(|l| l.contains(SECRET)).collect()
}

#[cfg(not(target_os = "linux"))]
fn told_by_processes() -> Vec<String> {
    Vec::new()
}

#[test]
fn no_message_tells_what_a_variable_stands_for() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let closed = taken.local_addr().unwrap().port();
    drop(taken);
    let target = |url: &str| format!("[target]\nhttp = \"{url}\"\n");
    let mqtt = |target: &str, key: &str| {
        format!(
            "[fleet.beta]\nprotocol = \"mqtt\"\ndevices = 1\nrate = \"1/s\"\nmqtt = {{ {key} }}\n[target]\nhttp = \"http://127.0.0.1:{closed}\"\nmqtt = \"{target}\"\n"
        )
    };
    let login = "username = \"ann\", password = \"${SECRET}\"";
    let http = |key: &str| format!("http = {{ {key} }}\n{}", target("http://127.0.0.1:1"));
    for (command, more) in [
        ("check", String::new()),
        ("run", target(&format!("http://127.0.0.1:{closed}/${{SECRET}}"))),
        ("run", target("http://${SECRET}.invalid/a")),
        ("run", target(&format!("http://ann:${{SECRET}}@127.0.0.1:{closed}/"))),
        ("run", http("headers = { Authorization = \"Bearer ${SECRET}\" }")),
        ("run", mqtt("mqtt://ann:${SECRET}@127.0.0.1:1", "qos = 1")),
        ("run", mqtt("mqtt://ann:${SECRET}@nowhere.invalid", "qos = 1")),
        ("run", mqtt("mqtt://${SECRET}:1", "qos = 1")),
        ("run", mqtt("mqtt://127.0.0.1:1", login)),
        ("check", mqtt("mqtt://127.0.0.1:1", "password = \"${SECRET}\"")),
        ("check", mqtt("mqtt://127.0.0.1:1", "topic = \"${SECRET}/#\"")),
        ("check", mqtt("mqtt://127.0.0.1:1", "client_id = \"{{${SECRET}}}\"")),
        ("run", target("${SECRET}")),
        ("check", target("ftp://${SECRET}/a")),
        ("check", http("path = \"/${SECRET}/{{no-such-thing}}\"")),
        ("check", http("path = \"/{{${SECRET}}}\"")),
        ("check", http("path = \"${SECRET}\"")),
        ("check", http("headers = { X = \"{{${SECRET}}}\" }")),
        ("check", http("method = \"a ${SECRET}\"")),
        ("check", "payload = { format = \"template\", template = \"{{${SECRET}}}\" }\n".to_owned()),
        ("check", "timeout = \"${SECRET}\"\n".to_owned()),
        ("check", "arrival = { law = \"recorded\", file = \"${SECRET}.csv\", time = \"t\" }\n".to_owned()),
        ("check", "arrival = { law = \"recorded\", file = \"a.csv\", time = \"${SECRET}\" }\n".to_owned()),
        ("check", "[reference.cluster]\nredis = \"${SECRET}\"\n".to_owned()),
        ("run", "[reference.cache]\nwarm = \"${SECRET}\"\n".to_owned()),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.csv"), "x\n1\n").unwrap();
        std::fs::write(folder.path().join("s.toml"), RUN.to_owned() + &more).unwrap();
        let output = squall(folder.path(), &[command, "s.toml"]).output().unwrap();
        let said = told(&output);
        assert!(more.is_empty() || matches!(output.status.code(), Some(1 | 2)), "{more}: {said}");
        assert!(!said.contains(SECRET), "{more}: {said}");
        assert_discreet(folder.path(), |_| true, &more);
    }
}

#[test]
fn what_is_written_in_the_scenario_itself_is_in_no_message_and_no_copy() {
    let http = "auth = { bearer = \"s3cr3t-Zq7\" }\n";
    let key = "[reference.admission]\ntokens = [\"s3cr3t-Zq7\", { token = \"s3cr3t-Zq7-2\", rights = [\"read\"] }]\n";
    for (command, code, more) in [
        ("run", 0, http.to_owned()),
        ("run", 0, format!("{http}{key}")),
        ("run", 0, format!("http = {{ headers = {{ X-Api-Key = \"{SECRET}\" }} }}\n")),
        ("check", 0, http.to_owned()),
        ("check", 2, "auth = { bearer = \"s3cr3t-Zq7\", basic = 1 }\n".to_owned()),
        ("check", 2, "auth = { bearer = \"s3cr3t-Zq7 }\n".to_owned()),
        ("check", 2, "auth = { bearer = \"s3cr3t-Zq7\", username = \"a\" }\n".to_owned()),
        ("run", 1, format!("{http}{key}[reference.admission.jwt]\nhs256 = \"{SECRET}\"\n")),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("s.toml"), RUN.to_owned() + &more).unwrap();
        let mut run = squall(folder.path(), &[command, "s.toml"]).spawn().unwrap();
        while run.try_wait().unwrap().is_none() {
            assert_eq!(told_by_processes(), Vec::<String>::new());
            thread::sleep(Duration::from_millis(20));
        }
        let output = run.wait_with_output().unwrap();
        let said = told(&output);
        assert!(
            output.status.code() == Some(code) || code == 0 && output.status.code() == Some(12),
            "{more}: {said}"
        );
        assert!(!said.contains(SECRET), "{more}: {said}");
        assert_discreet(folder.path(), |file| !file.ends_with("s.toml"), &more);
    }
}

#[test]
fn a_command_has_variables_in_its_environment_and_never_in_its_text() {
    let folder = tempfile::tempdir().unwrap();
    let exec = r#"
[[fault]]
name = "deploy"
kind = "exec"
start = "100ms"
duration = "500ms"
begin = 'printf %s "${TRAP}" > given; touch begun; sleep 0.3; echo "pid $$ got $${SECRET}"'
end = 'echo ${TRAP}; exit 3'
"#;
    std::fs::write(folder.path().join("s.toml"), RUN.to_owned() + exec).unwrap();
    let mut run = squall(folder.path(), &["run", "s.toml"]).spawn().unwrap();
    wait_until("the command runs", || folder.path().join("begun").exists());
    while run.try_wait().unwrap().is_none() {
        assert_eq!(told_by_processes(), Vec::<String>::new());
        thread::sleep(Duration::from_millis(20));
    }
    let said = told(&run.wait_with_output().unwrap());
    assert!(said.contains("end: exit status: 3: "), "{said}");
    assert_eq!(std::fs::read_to_string(folder.path().join("given")).unwrap(), TRAP, "{said}");
    assert!(!folder.path().join("trapped").exists(), "{said}");
    assert!(!said.contains(SECRET), "{said}");
    let results = folder.path().join("results");
    // What a command prints of its own accord is in its logs as it printed it.
    let is_log = |file: &Path| file.parent().is_some_and(|parent| parent.ends_with("commands"));
    assert_eq!(files(&results).iter().filter(|file| is_log(file)).count(), 2, "{said}");
    assert_discreet(&results, |file| !is_log(file), &said);
}

#[test]
fn a_run_that_is_killed_leaves_no_secret_behind() {
    let folder = tempfile::tempdir().unwrap();
    let more = "http = { headers = { Authorization = \"Bearer ${SECRET}\" } }\n";
    let text = (RUN.to_owned() + more).replace("duration = \"1s\"", "duration = \"60s\"");
    std::fs::write(folder.path().join("s.toml"), text).unwrap();
    let mut run = squall(folder.path(), &["run", "s.toml"]).spawn().unwrap();
    let measured = |file: &PathBuf| {
        file.ends_with("intervals.csv")
            && std::fs::read_to_string(file).is_ok_and(|rows| rows.lines().count() > 2)
    };
    wait_until("the run measures", || files(folder.path()).iter().any(measured));
    assert_eq!(told_by_processes(), Vec::<String>::new());
    run.kill().unwrap();
    let said_before = told(&run.wait_with_output().unwrap());
    let directory = files(folder.path()).into_iter().find(measured).unwrap();
    let directory = directory.parent().unwrap().to_str().unwrap();
    let report = squall(folder.path(), &["report", directory]).output().unwrap();
    for text in [said_before, told(&report)] {
        assert!(!text.contains(SECRET), "{text}");
    }
    assert_discreet(folder.path(), |_| true, "a run that was killed");
}

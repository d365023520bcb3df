//! A run knows whom to blame: a generator that is starved or overtaxed on purpose says so, a slow, silent, dead or hanging target
//! is never taken for one.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::alone::{Misfit, alone, measure};
use crate::skip;

/// What a target does with every connection.
type Answer = fn(TcpStream);

fn quick(stream: TcpStream) {
    answer_after(stream, Duration::ZERO);
}

fn slow(stream: TcpStream) {
    answer_after(stream, Duration::from_millis(200));
}

fn silent(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    while matches!(stream.read(&mut buffer), Ok(1..)) {}
}

fn hanging_up(stream: TcpStream) {
    drop(stream);
}

/// Freezes in the middle of the run, and keeps its connections.
fn freezing(stream: TcpStream) {
    let held = stream.try_clone().unwrap();
    answer_some(stream, Duration::ZERO, 8);
    silent(held);
}

/// Dies in the middle of the run: its connections are reset.
fn dying(stream: TcpStream) {
    answer_some(stream, Duration::ZERO, 8);
}

fn answer_after(stream: TcpStream, wait: Duration) {
    answer_some(stream, wait, u32::MAX);
}

/// Answers each of the first `most` readings after `wait`.
fn answer_some(mut stream: TcpStream, wait: Duration, most: u32) {
    stream.set_nodelay(true).unwrap();
    let mut buffer = [0; 4096];
    let (mut filled, mut answered) = (0, 0);
    while answered < most
        && let Ok(n @ 1..) = stream.read(&mut buffer[filled..])
    {
        filled += n;
        // A payload is one JSON object without a nested one, and ends the request.
        if buffer[..filled].ends_with(b"}") {
            filled = 0;
            answered += 1;
            thread::sleep(wait);
            if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
                return;
            }
        }
    }
}

/// Serves on a free port; notes where connections come from.
fn serve(answer: Answer) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let peers = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&peers);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let peer = stream.peer_addr().map_or_else(|_| String::new(), |peer| peer.ip().to_string());
            seen.lock().unwrap().push(peer);
            thread::spawn(move || answer(stream));
        }
    });
    (port, peers)
}

/// Runs squall, pinned to a core if one is named, and gives its manifest and exit code.
fn run(core: Option<&str>, port: u16, rate: &str, more: &[&str]) -> (Value, Option<i32>) {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("starvation.toml");
    let text = format!(
        "[scenario]\nname = \"starvation\"\n[run]\nwarm_up = \"0s\"\ndrain = \"1s\"\nconnect_timeout = \"2s\"\n[[phase]]\nname = \"steady\"\n\
         duration = \"2s\"\n[fleet.meters]\nprotocol = \"http\"\ndevices = 50\nrate = \"{rate}\"\narrival = \"poisson\"\n\
         timeout = \"1s\"\n"
    );
    std::fs::write(&scenario, text).unwrap();
    let squall = env!("CARGO_BIN_EXE_squall");
    let mut command = match core {
        Some(core) => {
            let mut command = Command::new("taskset");
            command.args(["-c", core, squall]);
            command
        }
        None => Command::new(squall),
    };
    let done = command
        .args(["run", "--quiet", "--workers", "1", "--target", &format!("http=http://127.0.0.1:{port}/")])
        .arg("--out")
        .arg(folder.path())
        .args(more)
        .arg(&scenario)
        .output()
        .unwrap();
    let manifest = find(&folder.path().join("starvation"));
    let text = manifest.unwrap_or_else(|| panic!("no manifest: {}", String::from_utf8_lossy(&done.stderr)));
    (serde_json::from_str(&text).unwrap(), done.status.code())
}

fn find(runs: &Path) -> Option<String> {
    let run = std::fs::read_dir(runs).ok()?.next()?.ok()?.path();
    std::fs::read_to_string(run.join("run.json")).ok()
}

fn judgement(manifest: &Value) -> (String, Vec<String>) {
    let validity = &manifest["validity"];
    let reasons = validity["reasons"].as_array().into_iter().flatten();
    let reasons = reasons.filter_map(Value::as_str).map(str::to_owned).collect();
    (validity["verdict"].as_str().unwrap_or_default().to_owned(), reasons)
}

/// Processes that use a core and do nothing, until dropped.
struct Neighbours(Vec<Child>);

impl Neighbours {
    fn on(core: &str) -> Self {
        let start = |_| {
            let mut command = Command::new("taskset");
            command.args(["-c", core, "sh", "-c", "while :; do :; done"]);
            command.stdout(Stdio::null()).spawn().unwrap()
        };
        Self((0..3).map(start).collect())
    }
}

impl Drop for Neighbours {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn has_taskset() -> bool {
    Command::new("taskset").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

#[test]
fn a_starved_or_overtaxed_generator_says_so() {
    let _alone = alone();
    if !has_taskset() {
        skip::missing("taskset is not installed");
        return;
    }
    // (what, neighbours, rate of each of 50 devices, what one of the reasons says)
    for (what, crowded, rate, reason) in [
        ("another process on its core", true, "20/s", "another process took"),
        ("a rate beyond its power", false, "4000/s", "of the planned rate"),
    ] {
        measure(|| {
            let (port, _) = serve(quick);
            let neighbours = crowded.then(|| Neighbours::on("0"));
            let (manifest, exit) = run(Some("0"), port, rate, &[]);
            drop(neighbours);
            let (verdict, reasons) = judgement(&manifest);
            println!("{what}: {verdict} {reasons:#?}");
            assert_eq!(exit == Some(12), verdict == "invalid", "{what}: {exit:?} {verdict}");
            let said = matches!(&*verdict, "suspect" | "invalid");
            if said && reasons.iter().any(|text| text.contains(reason)) {
                return Ok(());
            }
            // A machine that stands still may hide behind that what was done on purpose.
            let still = reasons.iter().find(|text| text.contains("stalled")).cloned();
            Err(Misfit::new(format!("{what}: {verdict} {reasons:?}"), still))
        });
    }
}

#[test]
fn a_target_is_never_taken_for_the_generator() {
    let _alone = alone();
    for (what, answer) in [
        ("slow", slow as Answer),
        ("silent", silent),
        ("hanging up", hanging_up),
        ("freezing", freezing),
        ("dying", dying),
    ] {
        measure(|| {
            let judged = |answer| {
                let (port, _) = serve(answer);
                judgement(&run(None, port, "10/s", &[]).0)
            };
            let (verdict, reasons) = judged(answer);
            if verdict != "invalid" {
                return Ok(());
            }
            // What the machine did to a run it also does to one whose target is quick.
            let (other, reason) = judged(quick);
            let disturbance = (other != "valid").then(|| format!("a quick one: {other} {reason:?}"));
            Err(Misfit::new(format!("{what}: {verdict} {reasons:?}"), disturbance))
        });
    }
}

#[test]
fn connections_come_from_the_addresses_that_are_named() {
    let _alone = alone();
    let (port, peers) = serve(quick);
    // Nobody connects again because the machine stands still.
    let patience = ["run.connect_timeout=60s", "fleet.meters.timeout=60s"];
    let patience = patience.iter().flat_map(|setting| ["--set", setting]);
    let arguments: Vec<&str> = ["--source-ip", "127.0.0.5,127.0.0.6"].into_iter().chain(patience).collect();
    let (manifest, _) = run(None, port, "5/s", &arguments);
    let peers = peers.lock().unwrap();
    // The first connection asked whether anything is there at all.
    for address in ["127.0.0.5", "127.0.0.6"] {
        assert_eq!(peers.iter().filter(|peer| *peer == address).count(), 25, "{peers:?}");
    }
    assert_eq!(manifest["source_ips"], serde_json::json!(["127.0.0.5", "127.0.0.6"]));
}

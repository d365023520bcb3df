//! Readings that are found again in the traces of a service: what plain servers see of a run, and what its files say of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::peer::{echo, frame, packet, start};
use crate::program::{self, only_run, squall};

/// What the servers of a run saw.
#[derive(Debug, Default)]
struct Seen {
    /// The `traceparent` of every reading, by device and number; empty where there was none.
    readings: BTreeMap<(String, u64), String>,
    /// Those of upgrades.
    upgrades: Vec<String>,
}

type Book = Arc<Mutex<Seen>>;

/// Serves one connection, and notes what it sees.
type Serve = fn(TcpStream, &Book) -> io::Result<()>;

/// Reads a request: its `traceparent`, the key of an upgrade, and its body. `None` at the end.
fn request(input: &mut impl BufRead) -> io::Result<Option<(String, String, Vec<u8>)>> {
    let (mut trace, mut key, mut length) = (String::new(), String::new(), 0);
    loop {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            if line == "\r\n" {
                break;
            }
            continue;
        };
        match &*name.to_ascii_lowercase() {
            "traceparent" => {
                assert!(trace.is_empty(), "one field");
                value.clone_into(&mut trace);
            }
            "sec-websocket-key" => value.clone_into(&mut key),
            "content-length" => length = value.parse().unwrap(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    input.read_exact(&mut body)?;
    Ok(Some((trace, key, body)))
}

fn told(body: &[u8]) -> (String, u64, Value) {
    let reading: Value = serde_json::from_slice(body).unwrap();
    (reading["device"].as_str().unwrap().to_owned(), reading["seq"].as_u64().unwrap(), reading)
}

/// Answers requests; one of each device late.
fn http(stream: TcpStream, book: &Book) -> io::Result<()> {
    let (mut input, mut output) = (BufReader::new(stream.try_clone()?), stream);
    while let Some((trace, _, body)) = request(&mut input)? {
        let (device, seq, reading) = told(&body);
        assert_eq!(reading.get("traceparent"), None);
        book.lock().unwrap().readings.insert((device, seq), trace);
        if seq == 7 {
            thread::sleep(Duration::from_millis(300));
        }
        output.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
    }
    Ok(())
}

/// Sends every message back.
fn ws(stream: TcpStream, book: &Book) -> io::Result<()> {
    let (mut input, mut output) = (BufReader::new(stream.try_clone()?), stream);
    let Some((trace, key, _)) = request(&mut input)? else { return Ok(()) };
    book.lock().unwrap().upgrades.push(trace);
    let accept = derive_accept_key(key.as_bytes());
    let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    write!(output, "{head}Sec-WebSocket-Accept: {accept}\r\n\r\n")?;
    while let Ok((1, payload)) = frame(&mut input) {
        let (device, seq, reading) = told(&payload);
        let trace = reading["trace"].as_str().unwrap_or_default().to_owned();
        book.lock().unwrap().readings.insert((device, seq), trace);
        output.write_all(&echo(&payload))?;
    }
    Ok(())
}

/// Acknowledges whatever comes.
fn mqtt(mut stream: TcpStream, book: &Book) -> io::Result<()> {
    loop {
        let (kind, body) = packet(&mut stream)?;
        match kind >> 4 {
            1 => stream.write_all(&[0x20, 2, 0, 0])?,
            3 => {
                let at = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
                let (device, seq, reading) = told(&body[at + 2..]);
                let trace = reading["context"]["parent"].as_str().unwrap_or_default().to_owned();
                book.lock().unwrap().readings.insert((device, seq), trace);
                stream.write_all(&[0x40, 2, body[at], body[at + 1]])?;
            }
            12 => stream.write_all(&[0xd0, 0])?,
            _ => return Ok(()),
        }
    }
}

const SCENARIO: &str = r#"
[scenario]
name = "trace"
seed = 5
[run]
warm_up = "0s"
drain = "10s"
[[phase]]
name = "first"
duration = "1s"
[[phase]]
name = "second"
duration = "1s"
[fleet.asking]
protocol = "http"
devices = 5
rate = "40/s"
timeout = "30s"
trace = 0.25
[fleet.talking]
protocol = "ws"
devices = 4
rate = "50/s"
timeout = "30s"
close = "reply"
ws = { correlate = "/seq" }
trace = { share = 0.25, field = "trace" }
[fleet.telling]
protocol = "mqtt"
devices = 4
rate = "50/s"
timeout = "30s"
close = "ack"
mqtt = { qos = 1 }
trace = { share = 0.25 }
[fleet.telling.payload]
format = "template"
template = '{"device":"{{device}}","seq":{{seq}},"context":{"parent":"{{traceparent}}"}}'
[fleet.untraced]
protocol = "http"
devices = 1
rate = "10/s"
timeout = "30s"
"#;

/// A run of the scenario.
struct Run {
    seen: Seen,
    token: String,
    /// Of `slowest.csv`, by column.
    rows: Vec<BTreeMap<String, String>>,
}

impl Run {
    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("s.toml"), SCENARIO).unwrap();
        let book = Book::default();
        let mut command = squall(folder.path(), &["run", "s.toml", "--workers", "2"]);
        let servers: [(&str, &str, Serve); 3] = [("http", "/", http), ("ws", "/", ws), ("mqtt", "", mqtt)];
        for (protocol, path, serve) in servers {
            let book = Arc::clone(&book);
            let port = start(move |stream| serve(stream, &book));
            command.args(["--target", &format!("{protocol}={protocol}://127.0.0.1:{port}{path}")]);
        }
        let output = command.output().unwrap();
        // On a busy machine a run may rightly judge itself invalid.
        assert!(matches!(output.status.code(), Some(0 | 12)), "{}", program::told(&output));
        let run = only_run(&folder.path().join("results"));
        let manifest: Value = serde_json::from_slice(&std::fs::read(run.join("run.json")).unwrap()).unwrap();
        assert!(manifest["files"]["slowest.csv"]["lines"].as_u64().unwrap() > 1, "it is sealed");
        let mut table = csv::Reader::from_path(run.join("slowest.csv")).unwrap();
        let rows = table.deserialize().map(Result::unwrap).collect();
        let seen = std::mem::take(&mut *book.lock().unwrap());
        Self { seen, token: manifest["run_token"].as_str().unwrap().to_owned(), rows }
    }

    /// What a device is known by, as the documentation has it.
    fn documented(&self, device: &str, what: &str, number: u64) -> String {
        let mut hash = Sha256::new();
        hash.update(format!("squall trace 1\0{}{device}\0{what}\0", self.token));
        hash.update(number.to_be_bytes());
        let hex = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        format!("00-{}-{}", &hex[..32], &hex[32..48])
    }
}

/// All ids, each of them once.
fn ids(run: &Run) -> BTreeSet<String> {
    let all: Vec<&String> =
        run.seen.readings.values().chain(&run.seen.upgrades).filter(|trace| !trace.is_empty()).collect();
    let parts =
        |trace: &&String| -> Vec<String> { trace.split('-').skip(1).take(2).map(str::to_owned).collect() };
    let found: BTreeSet<String> = all.iter().flat_map(parts).collect();
    assert_eq!(found.len(), 2 * all.len(), "no id stands twice in a run");
    found
}

fn check(run: &Run) {
    for (fleet, least) in [("asking", 300), ("talking", 300), ("telling", 300)] {
        let own: Vec<_> =
            run.seen.readings.iter().filter(|((device, _), _)| device.starts_with(fleet)).collect();
        assert!(own.len() >= least, "{fleet}: {}", own.len());
        for ((device, seq), trace) in &own {
            let (ids, flags) = trace.rsplit_once('-').unwrap();
            assert_eq!(ids, run.documented(device, "reading", *seq), "{device} {seq}");
            assert!(matches!(flags, "00" | "01"), "{trace}");
        }
        let sampled = own.iter().filter(|(_, trace)| trace.ends_with("-01")).count() as f64;
        let (expected, deviation) = (own.len() as f64 * 0.25, (own.len() as f64 * 0.25 * 0.75).sqrt());
        assert!((sampled - expected).abs() < 5.0 * deviation, "{fleet}: {sampled} of {}", own.len());
    }
    let mut upgrades: Vec<&str> = run.seen.upgrades.iter().map(|trace| &trace[..52]).collect();
    upgrades.sort_unstable();
    let mut expected: Vec<String> =
        (0..4).map(|device| run.documented(&format!("talking-{device:05}"), "connection", 1)).collect();
    expected.sort_unstable();
    assert_eq!(upgrades, expected);
    let bare = run.seen.readings.iter().filter(|((device, _), _)| device.starts_with("untraced"));
    assert!(bare.into_iter().all(|(_, trace)| trace.is_empty()), "no field where none is asked for");
}

/// What the file says of readings is what the servers saw of them.
fn check_slowest(run: &Run) {
    let number = |row: &BTreeMap<String, String>, column: &str| row[column].parse::<f64>().unwrap();
    for row in &run.rows {
        let key = (row["device"].clone(), row["seq"].parse().unwrap());
        let trace = run.seen.readings.get(&key).unwrap_or_else(|| panic!("nobody saw {key:?}"));
        if row["fleet"] == "untraced" {
            assert_eq!((&*row["trace_id"], &*row["sampled"]), ("", ""));
        } else {
            assert_eq!(row["trace_id"], trace[3..35], "{row:?}");
            assert_eq!(row["sampled"], trace.ends_with("-01").to_string(), "{row:?}");
        }
        assert_eq!(row["outcome"], "ok");
        let parts = number(row, "backlog_wait_ms") + number(row, "pacing_lag_ms") + number(row, "service_ms");
        assert!((parts - number(row, "response_ms")).abs() < 1e-3, "{row:?}");
    }
    for phase in ["first", "second"] {
        for fleet in ["asking", "talking", "telling", "untraced"] {
            let of = |row: &&BTreeMap<String, String>| row["phase"] == phase && row["fleet"] == fleet;
            let times: Vec<f64> = run.rows.iter().filter(of).map(|row| number(row, "response_ms")).collect();
            assert!(!times.is_empty() && times.len() <= 20, "{phase} {fleet}: {}", times.len());
            assert!(times.windows(2).all(|pair| pair[0] >= pair[1]), "{times:?}");
        }
    }
    // One of each device was answered late, and none of the others was.
    let late = |row: &&BTreeMap<String, String>| {
        row["fleet"] == "asking" && row["seq"] == "7" && number(row, "service_ms") >= 300.0
    };
    assert_eq!(run.rows.iter().filter(late).count(), 5, "{:?}", run.rows);
}

#[test]
fn readings_are_known_by_ids_that_servers_see_and_files_name_and_no_two_runs_share() {
    let runs = [Run::make(), Run::make()];
    for run in &runs {
        check(run);
        check_slowest(run);
    }
    assert!(ids(&runs[0]).is_disjoint(&ids(&runs[1])), "two runs of one seed share no id");
}

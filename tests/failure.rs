//! Why runs fail, through the built binary and its files: every way in which a service can refuse, with the code that names it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use squall::results::{Failure, Report, RunState, SummaryRow};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::peer::{Serve, start};
use crate::program::{files, holds, text};
use crate::skip;
use crate::support::take_request;

/// Answers every request with this response.
fn answer(stream: TcpStream, status: &str, body: &str) -> std::io::Result<()> {
    let (mut input, mut output) = (BufReader::new(stream.try_clone()?), stream);
    while take_request(&mut input)? {
        let length = body.len();
        output
            .write_all(format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}").as_bytes())?;
    }
    Ok(())
}

fn not_found(stream: TcpStream) -> std::io::Result<()> {
    answer(stream, "404 Not Found", r#"{"error":"no such path","seen":"s3cret-token"}"#)
}

fn unavailable(stream: TcpStream) -> std::io::Result<()> {
    answer(stream, "503 Service Unavailable", "later")
}

fn no_http(stream: TcpStream) -> std::io::Result<()> {
    let (mut input, mut output) = (BufReader::new(stream.try_clone()?), stream);
    take_request(&mut input)?;
    output.write_all(b"SSH-2.0-OpenSSH_9.2\r\n")
}

/// Says this in answer to a request, and then nothing more.
fn says(stream: TcpStream, answer: &[u8]) -> std::io::Result<()> {
    let (mut input, mut output) = (BufReader::new(stream.try_clone()?), stream);
    take_request(&mut input)?;
    output.write_all(answer)?;
    std::io::copy(&mut input, &mut std::io::sink()).map(drop)
}

fn only_interim(stream: TcpStream) -> std::io::Result<()> {
    says(stream, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n")
}

fn half_a_head(stream: TcpStream) -> std::io::Result<()> {
    says(stream, b"HTTP/1.1 200 OK\r\nX-Long: a")
}

fn endless_head(stream: TcpStream) -> std::io::Result<()> {
    let (mut input, mut output) = (BufReader::new(stream.try_clone()?), stream);
    take_request(&mut input)?;
    output.write_all(b"HTTP/1.1 200 OK\r\nX-Long: ")?;
    loop {
        output.write_all(&[b'a'; 16 * 1024])?;
    }
}

fn huge_chunk(stream: TcpStream) -> std::io::Result<()> {
    says(stream, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nab")
}

fn impossible_chunk(stream: TcpStream) -> std::io::Result<()> {
    says(stream, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1ffffffffffffffff\r\nab")
}

/// Ends its half of the connection in place of an answer, and hears on.
fn half_closed(stream: TcpStream) -> std::io::Result<()> {
    let (output, mut input) = (stream.try_clone()?, BufReader::new(stream));
    take_request(&mut input)?;
    output.shutdown(Shutdown::Write)?;
    std::io::copy(&mut input, &mut std::io::sink()).map(drop)
}

/// Answers an upgrade with this status.
fn refuse_upgrade(stream: TcpStream, status: &str) -> std::io::Result<()> {
    let (mut input, mut output) = (BufReader::new(stream.try_clone()?), stream);
    take_request(&mut input)?;
    output.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 8\r\n\r\nno entry").as_bytes())
}

fn unauthorized(stream: TcpStream) -> std::io::Result<()> {
    refuse_upgrade(stream, "401 Unauthorized")
}

fn busy_upgrade(stream: TcpStream) -> std::io::Result<()> {
    refuse_upgrade(stream, "503 Service Unavailable")
}

/// Takes the upgrade; gives both directions.
fn upgraded(stream: TcpStream) -> std::io::Result<(BufReader<TcpStream>, TcpStream)> {
    let (mut input, mut output) = (BufReader::new(stream.try_clone()?), stream);
    let mut key = String::new();
    loop {
        let mut line = String::new();
        input.read_line(&mut line)?;
        if let Some(value) = line.to_ascii_lowercase().find("sec-websocket-key:").map(|_| line[18..].trim()) {
            key = derive_accept_key(value.as_bytes());
        }
        if line == "\r\n" || line.is_empty() {
            break;
        }
    }
    let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
    output.write_all(format!("{head}Sec-WebSocket-Accept: {key}\r\n\r\n").as_bytes())?;
    Ok((input, output))
}

/// A short, masked frame of a client.
fn take_frame(input: &mut impl Read) -> std::io::Result<()> {
    let mut head = [0; 2];
    input.read_exact(&mut head)?;
    let length = match head[1] & 0x7f {
        126 => {
            let mut long = [0; 2];
            input.read_exact(&mut long)?;
            usize::from(u16::from_be_bytes(long))
        }
        short => usize::from(short),
    };
    input.read_exact(&mut vec![0; length + 4])
}

fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    [&[0x80 | opcode, payload.len() as u8], payload].concat()
}

/// Closes with 1008 when the first message comes.
fn policy(stream: TcpStream) -> std::io::Result<()> {
    let (mut input, mut output) = upgraded(stream)?;
    take_frame(&mut input)?;
    output.write_all(&frame(8, b"\x03\xf0quota used up"))
}

/// Answers every message with one that names another device.
fn stranger(stream: TcpStream) -> std::io::Result<()> {
    let (mut input, mut output) = upgraded(stream)?;
    loop {
        take_frame(&mut input)?;
        output.write_all(&frame(1, br#"{"device":"m-00000","seq":"1"}"#))?;
    }
}

/// Takes CONNECT and answers it with this code.
fn connack(mut stream: TcpStream, code: u8) -> std::io::Result<()> {
    let mut head = [0; 2];
    stream.read_exact(&mut head)?;
    stream.read_exact(&mut vec![0; usize::from(head[1])])?;
    stream.write_all(&[0x20, 2, 0, code])
}

fn not_authorized(stream: TcpStream) -> std::io::Result<()> {
    connack(stream, 5)
}

fn broker_down(stream: TcpStream) -> std::io::Result<()> {
    connack(stream, 3)
}

/// Takes the connection and refuses the subscription.
fn no_subscription(mut stream: TcpStream) -> std::io::Result<()> {
    connack(stream.try_clone()?, 0)?;
    let mut head = [0; 2];
    stream.read_exact(&mut head)?;
    let mut body = vec![0; usize::from(head[1])];
    stream.read_exact(&mut body)?;
    stream.write_all(&[0x90, 3, body[0], body[1], 0x80])
}

/// Never answers anything.
fn silent(mut stream: TcpStream) -> std::io::Result<()> {
    std::io::copy(&mut stream, &mut std::io::sink()).map(drop)
}

/// A run that has ended.
struct Ended {
    output: Output,
    folder: tempfile::TempDir,
    path: PathBuf,
}

impl Ended {
    fn said(&self) -> (String, String) {
        (text(&self.output.stdout), text(&self.output.stderr))
    }

    fn report(&self) -> Report {
        Report::load(&self.path).unwrap_or_else(|error| panic!("{error}: {:?}", self.said()))
    }

    /// The last line on standard error.
    fn last_line(&self) -> String {
        self.said().1.lines().last().unwrap_or_default().to_owned()
    }

    /// No file and no screen holds `secret`.
    fn assert_discreet(&self, secret: &str) {
        let (out, err) = self.said();
        assert!(!out.contains(secret) && !err.contains(secret), "{out}\n{err}");
        assert_eq!(files(&self.path).into_iter().find(|file| holds(file, secret)), None);
    }
}

/// Drives 6 devices of `protocol` for a second at the service on `port`; `fleet` are further keys of theirs.
fn run(protocol: &str, port: u16, fleet: &str, arguments: &[&str]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let scenario = format!(
        "[scenario]\nname = \"gate\"\n[run]\nwarm_up = \"0s\"\ndrain = \"500ms\"\ninterval = \"200ms\"\n\
         [[phase]]\nname = \"steady\"\nduration = \"1s\"\n\
         [fleet.meters]\nprotocol = \"{protocol}\"\ndevices = 6\nrate = \"10/s\"\ntimeout = \"300ms\"\n{fleet}\n"
    );
    std::fs::write(folder.path().join("s.toml"), scenario).unwrap();
    let target = format!("{protocol}={protocol}://127.0.0.1:{port}");
    let mut squall = Command::new(env!("CARGO_BIN_EXE_squall"));
    squall.current_dir(folder.path()).env("SQUALL_TEST_TOKEN", "s3cret-token");
    let output = squall.args(["run", "s.toml", "--target", &target]).args(arguments).output().unwrap();
    let runs = std::fs::read_dir(folder.path().join("results/gate"));
    let path = runs.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let path = path.map(|entry| entry.unwrap().path()).next().unwrap();
    Ended { output, folder, path }
}

/// The row of `failures.csv` with this kind and code.
fn row<'f>(failures: &'f [Failure], kind: &str, code: &str) -> &'f Failure {
    let found = failures.iter().find(|failure| failure.kind == kind && failure.code == code);
    found.unwrap_or_else(|| panic!("no {kind} {code} in {failures:#?}"))
}

/// Of every phase, fleet and kind: what is planned and not ok has exactly as many reasons.
fn assert_every_failure_has_its_reason(report: &Report) {
    for row in report.summary.iter().filter(|row| !row.is_headline()) {
        let SummaryRow { phase, fleet, kind, figures, .. } = row;
        let of_row = report.failures.iter().filter(|failure| {
            (&failure.phase, &failure.fleet, &failure.kind) == (phase, fleet, kind)
                && failure.outcome != "unmatched"
        });
        let told: u64 = of_row.map(|failure| failure.count).sum();
        assert_eq!(told, figures.planned - figures.ok, "{phase} {fleet} {kind}: {:#?}", report.failures);
    }
}

/// (situation, protocol, service, further keys, kind, code, part of the sentence, whether it ends after the connect phase)
type Case = (&'static str, &'static str, Serve, &'static str, &'static str, &'static str, &'static str, bool);

const CASES: &[Case] = &[
    ("every path is wrong", "http", not_found, "", "reading", "HTTP 404", "HTTP 404 Not Found", false),
    (
        "the service is overloaded",
        "http",
        unavailable,
        "",
        "reading",
        "HTTP 503",
        "HTTP 503 Service Unavailable",
        false,
    ),
    ("something else listens", "http", no_http, "", "reading", "protocol", "not an HTTP response", false),
    ("only 1xx", "http", only_interim, "", "reading", "timeout", "interim responses (1xx) had come", false),
    (
        "half a head",
        "http",
        half_a_head,
        "",
        "reading",
        "timeout",
        "section had begun and did not end",
        false,
    ),
    ("endless head", "http", endless_head, "", "reading", "protocol", "larger than 256 KiB", false),
    ("a huge chunk", "http", huge_chunk, "", "reading", "timeout", "body had begun and did not end", false),
    ("no chunk", "http", impossible_chunk, "", "reading", "protocol", "malformed chunk size", false),
    ("half closed", "http", half_closed, "", "reading", "closed", "connection without a response", false),
    ("nothing is answered", "http", silent, "", "reading", "timeout", "no answer within 300ms", false),
    (
        "the upgrade wants a login",
        "ws",
        unauthorized,
        "",
        "connect",
        "HTTP 401",
        "HTTP 401 Unauthorized",
        true,
    ),
    (
        "a refused upgrade is expected",
        "ws",
        unauthorized,
        "refusal = \"expected\"",
        "connect",
        "HTTP 401",
        "HTTP 401 Unauthorized",
        false,
    ),
    (
        "the upgrade is busy",
        "ws",
        busy_upgrade,
        "",
        "connect",
        "HTTP 503",
        "HTTP 503 Service Unavailable",
        false,
    ),
    (
        "the policy is violated",
        "ws",
        policy,
        "",
        "reading",
        "WebSocket close 1008",
        "(policy violation): quota used up",
        false,
    ),
    ("the password is wrong", "mqtt", not_authorized, "", "connect", "CONNACK 5", "not authorized", true),
    ("the broker is unavailable", "mqtt", broker_down, "", "connect", "CONNACK 3", "unavailable", false),
    (
        "the subscription is refused",
        "mqtt",
        no_subscription,
        "",
        "connect",
        "SUBACK 128",
        "refused the subscription",
        false,
    ),
    (
        "the broker never answers",
        "mqtt",
        silent,
        "",
        "reading",
        "not sent",
        "not sent before the run ended",
        false,
    ),
];

#[test]
fn every_failure_says_why_in_files_on_the_screen_and_in_the_last_line() {
    thread::scope(|scope| {
        for case in CASES {
            scope.spawn(move || {
                let (situation, protocol, serve, fleet, kind, code, sentence, ends) = *case;
                // A machine busy with other tests may rightly call a run invalid.
                let mut runs = (0..4).map(|_| run(protocol, start(serve), fleet, &[]));
                let Some(ended) = runs.find(|ended| ended.output.status.code() != Some(12)) else {
                    return skip::disturbed(situation);
                };
                let (out, err) = ended.said();
                let report = ended.report();
                assert_eq!(ended.output.status.code(), Some(1), "{situation}: {err}");
                let failure = row(&report.failures, kind, code);
                assert!(failure.reason.contains(sentence), "{situation}: {failure:?}");
                assert!(failure.count > 0 && failure.devices > 0, "{situation}: {failure:?}");
                assert!(failure.first_s <= failure.last_s && failure.first_device.starts_with("meters-000"));
                let flat = out.split_whitespace().collect::<Vec<_>>().join(" ");
                assert!(flat.contains(sentence), "{situation}: {out}");
                assert!(!out.contains("status "), "{situation}: {out}");
                let early = report.run.state == RunState::Aborted;
                assert_eq!(early, ends, "{situation}: {err}");
                if ends || kind == "reading" {
                    assert!(ended.last_line().contains(sentence), "{situation}: {err}");
                }
                assert!(report.run.failures.iter().any(|sum| sum.code == code), "{situation}");
                if !ends {
                    assert!(out.contains("service      0 of "), "{situation}: {out}");
                }
                assert_every_failure_has_its_reason(&report);
            });
        }
    });
}

#[test]
fn a_sample_of_the_reply_is_kept_without_secrets_or_not_at_all() {
    let port = start(not_found);
    let keys = "http = { headers = { Authorization = \"Bearer ${SQUALL_TEST_TOKEN}\" } }";
    let ended = run("http", port, keys, &[]);
    let failures = ended.report().failures;
    assert_eq!(row(&failures, "reading", "HTTP 404").sample, r#"{"error":"no such path","seen":"***"}"#);
    ended.assert_discreet("s3cret-token");
    let kept = run("http", port, "failure_body = false", &[]).report();
    assert_eq!(row(&kept.failures, "reading", "HTTP 404").sample, "");
}

#[test]
fn messages_that_name_no_reading_are_counted_and_the_first_is_shown() {
    let ended = run("ws", start(stranger), "", &[]);
    let report = ended.report();
    let unmatched = row(&report.failures, "reading", "unmatched");
    assert_eq!(unmatched.sample, r#"{"device":"m-00000","seq":"1"}"#);
    let steady = report.summary.iter().find(|row| row.phase == "steady").unwrap();
    assert_eq!(unmatched.count, steady.figures.unmatched);
    let (out, _) = ended.said();
    let flat = out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        flat.contains("messages that name none of its readings, the first: {\"device\":\"m-00000\""),
        "{out}"
    );
}

#[test]
fn bytes_both_ways_are_counted_by_fleet_and_interval() {
    let report = run("http", start(not_found), "", &[]).report();
    let steady = report.summary.iter().find(|row| row.phase == "steady").unwrap();
    let figures = &steady.figures;
    let body = r#"{"error":"no such path","seen":"s3cret-token"}"#.len() as u64;
    assert_eq!(figures.payload_received_bytes, body * figures.error);
    assert!(figures.wire_received_bytes > figures.payload_received_bytes);
    // A JSON reading has some sixty bytes, and its request a head of a hundred.
    assert!(figures.payload_sent_bytes >= 40 * figures.sent, "{figures:?}");
    assert!(figures.wire_sent_bytes >= figures.payload_sent_bytes + 60 * figures.sent, "{figures:?}");
}

/// A service that dies: it answers until it has answered so many readings, then neither listens nor keeps a connection.
pub(crate) fn mortal(readings: u64) -> u16 {
    use std::sync::atomic::{AtomicU64, Ordering};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (left, open) = (Arc::new(AtomicU64::new(readings)), Arc::new(Mutex::new(Vec::<TcpStream>::new())));
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            if left.load(Ordering::SeqCst) == 0 {
                break;
            }
            open.lock().unwrap().push(stream.try_clone().unwrap());
            let (left, open) = (Arc::clone(&left), Arc::clone(&open));
            thread::spawn(move || -> std::io::Result<()> {
                let (mut input, mut output) = (BufReader::new(stream.try_clone()?), stream);
                while take_request(&mut input)? {
                    let alive =
                        left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
                    if alive.is_err() {
                        // Everything dies at once, and the listener with it.
                        for stream in open.lock().unwrap().drain(..) {
                            let _ = stream.shutdown(Shutdown::Both);
                        }
                        let _ = TcpStream::connect(("127.0.0.1", port));
                        return Ok(());
                    }
                    output.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
                }
                Ok(())
            });
        }
    });
    port
}

/// 20 devices at 10/s for `seconds`, a time-out of a second, and a budget on errors that may end the run.
fn gate(port: u16, seconds: u32, budget: &str) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let scenario = format!(
        "[scenario]\nname = \"gate\"\n[run]\nwarm_up = \"0s\"\ninterval = \"500ms\"\n\
         [[phase]]\nname = \"steady\"\nduration = \"{seconds}s\"\n\
         [fleet.meters]\nprotocol = \"http\"\ndevices = 20\nrate = \"10/s\"\ntimeout = \"1s\"\n{budget}"
    );
    std::fs::write(folder.path().join("s.toml"), scenario).unwrap();
    let mut squall = Command::new(env!("CARGO_BIN_EXE_squall"));
    squall.current_dir(folder.path()).args(["run", "s.toml", "--junit", "junit.xml"]);
    squall.args(["--format", "pr-comment=comment.md"]);
    let output = squall.args(["--target", &format!("http=http://127.0.0.1:{port}/")]).output().unwrap();
    let runs = std::fs::read_dir(folder.path().join("results/gate"));
    let runs = runs.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let path = runs.map(|entry| entry.unwrap().path()).next().unwrap();
    Ended { output, folder, path }
}

const ERRORS: &str = "[[budget]]\nerror_rate = \"<5%\"\nabort_on_fail = true\n";

#[test]
fn a_service_that_dies_ends_the_run_soon_after_the_time_out_and_fails_its_gate() {
    let ended = gate(mortal(400), 60, ERRORS);
    let (out, err) = ended.said();
    let report = ended.report();
    let code = ended.output.status.code();
    assert!(code == Some(99) || code == Some(12), "{code:?} {err}");
    assert_eq!(report.run.state, RunState::Aborted, "{err}");
    let budget = &report.run.budgets[0];
    assert!(!budget.met && budget.aborted, "{budget:?}");
    assert!(out.contains("ECONNREFUSED"), "{out}");
    // Overdue readings showed before any of them ended, and are in no file as an outcome.
    let rows = csv::Reader::from_path(ended.path.join("intervals.csv"))
        .unwrap()
        .deserialize()
        .collect::<Result<Vec<std::collections::HashMap<String, String>>, _>>();
    let overdue =
        |row: &std::collections::HashMap<String, String>| row["overdue"].parse::<u64>().unwrap_or(0);
    assert!(rows.unwrap().iter().any(|row| overdue(row) > 0), "{err}");
    assert!(err.contains("overdue"), "{err}");
    assert_every_failure_has_its_reason(&report);
    let xml = std::fs::read_to_string(ended.folder.path().join("junit.xml")).unwrap();
    let comment = std::fs::read_to_string(ended.folder.path().join("comment.md")).unwrap();
    assert!(xml.contains("<failure") || code == Some(12), "{xml}");
    assert!(!comment.contains('✅'), "{comment}");
}

#[test]
fn a_service_that_dies_unwatched_still_fails_a_gate_at_the_end() {
    let ended = gate(mortal(400), 4, "[[budget]]\nerror_rate = \"<5%\"\n");
    let code = ended.output.status.code();
    assert!(code == Some(99) || code == Some(12), "{code:?} {}", ended.said().1);
    let report = ended.report();
    assert_eq!(report.run.state, RunState::Complete);
    assert!(!report.run.budgets[0].met, "{:?}", report.run.budgets);
}

/// Answers after nine tenths of the time-out.
fn sluggish(stream: TcpStream) -> std::io::Result<()> {
    let (mut input, mut output) = (BufReader::new(stream.try_clone()?), stream);
    while take_request(&mut input)? {
        thread::sleep(Duration::from_millis(900));
        output.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
    }
    Ok(())
}

#[test]
fn a_slow_service_that_answers_in_time_is_not_aborted() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = format!(
        "[scenario]\nname = \"gate\"\n[run]\nwarm_up = \"0s\"\ninterval = \"500ms\"\n\
         [[phase]]\nname = \"steady\"\nduration = \"4s\"\n\
         [fleet.meters]\nprotocol = \"http\"\ndevices = 20\nrate = \"0.5/s\"\ntimeout = \"1s\"\n{ERRORS}"
    );
    std::fs::write(folder.path().join("s.toml"), scenario).unwrap();
    let mut squall = Command::new(env!("CARGO_BIN_EXE_squall"));
    squall.current_dir(folder.path()).args(["run", "s.toml", "--target"]);
    let output = squall.arg(format!("http=http://127.0.0.1:{}/", start(sluggish))).output().unwrap();
    let path = std::fs::read_dir(folder.path().join("results/gate")).unwrap().next().unwrap().unwrap().path();
    let report = Report::load(&path).unwrap();
    let ok = report.summary.iter().find(|row| row.phase == "steady").unwrap().figures.clone();
    // A machine that stands still may make a reply late; then it is the run's own word that it is not a gate.
    let excused = output.status.code() == Some(12);
    assert!(report.run.state == RunState::Complete || excused, "{}", String::from_utf8_lossy(&output.stderr));
    assert!(ok.failed() == 0 || excused, "{ok:?}");
}

#[test]
fn a_closed_fleet_that_is_never_answered_blames_the_service() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = "[scenario]\nname = \"gate\"\n[run]\nwarm_up = \"300ms\"\ndrain = \"500ms\"\ninterval = \"200ms\"\n\
                    [[phase]]\nname = \"steady\"\nduration = \"1s\"\n\
                    [fleet.meters]\nprotocol = \"ws\"\ndevices = 6\nmodel = \"closed\"\ntimeout = \"20s\"\n\
                    [[budget]]\nerror_rate = \"<5%\"\n";
    std::fs::write(folder.path().join("s.toml"), scenario).unwrap();
    let mut squall = Command::new(env!("CARGO_BIN_EXE_squall"));
    squall.current_dir(folder.path()).args(["run", "s.toml", "--format", "pr-comment=c.md", "--target"]);
    let output = squall.arg(format!("ws=ws://127.0.0.1:{}/", start(busy_upgrade))).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.lines().last().unwrap_or_default().contains("HTTP 503 Service Unavailable"), "{err}");
    let comment = std::fs::read_to_string(folder.path().join("c.md")).unwrap();
    assert!(comment.contains("503") && !comment.contains('✅'), "{comment}");
}

#[test]
fn failures_without_a_budget_that_watches_them_end_in_a_warning() {
    for (budget, watched) in [
        ("", false),
        ("[[budget]]\nservice_p50 = \"<60s\"\n", false),
        ("[[budget]]\ntimeout_rate = \"<50%\"\n", false),
        ("[[budget]]\nerror_rate = \"<=99%\"\n", true),
    ] {
        let ended = gate(mortal(100), 2, budget);
        let comment = std::fs::read_to_string(ended.folder.path().join("comment.md")).unwrap();
        let xml = std::fs::read_to_string(ended.folder.path().join("junit.xml")).unwrap();
        let (out, err) = ended.said();
        if ended.output.status.code() == Some(12) {
            continue;
        }
        assert_eq!(ended.output.status.code(), Some(0), "{budget}: {err}");
        let warned = "no budget on failures watches them";
        let found = [out.contains("warning "), comment.contains(warned), xml.contains(warned)];
        assert_eq!(found, [!watched; 3], "{budget}: {out}\n{comment}\n{xml}");
        assert_eq!(comment.contains('✅'), watched, "{budget}: {comment}");
    }
}

//! Fleets that poll: what waiting for a turn costs, and what a server does to its lists, from the files of runs.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

use crate::program::{Desk, told};

/// Takes readings over HTTP and lists them for whoever asks what came after a number. To devices that ask for `/odd` it is a bad server:
/// the first gets every list backwards, every fifth event twice, and with the next list once more the first of the last; from the second
/// every fourth event is kept back.
#[derive(Default)]
struct Board {
    events: Vec<String>,
    /// The first event of the last list to the first device.
    replayed: Option<usize>,
    doubled: u64,
    reordered: u64,
    withheld: BTreeSet<usize>,
    pollers: usize,
    requests: u64,
    bytes: u64,
}

impl Board {
    fn publish(&mut self, reading: &Value) {
        let number = self.events.len() + 1;
        self.events
            .push(format!(r#"{{"id":{number},"device":{},"seq":{}}}"#, reading["device"], reading["seq"]));
    }

    /// The numbers that a request of the device `who` gets.
    fn list(&mut self, target: &str, who: usize) -> Vec<usize> {
        let after = target.split_once("after=").map_or(0, |(_, number)| number.parse::<usize>().unwrap());
        let news = after + 1..=self.events.len();
        if target.starts_with("/odd") && who == 2 {
            let (kept, told) = news.partition::<Vec<usize>, _>(|number| number.is_multiple_of(4));
            self.withheld.extend(kept);
            return told;
        }
        if !target.starts_with("/odd") {
            return news.collect();
        }
        self.reordered += (news.clone().count() as u64).saturating_sub(1);
        let replayed = std::mem::replace(&mut self.replayed, news.clone().next());
        let doubled = news.clone().filter(|number| number.is_multiple_of(5));
        self.doubled += doubled.count() as u64 + u64::from(replayed.is_some());
        let twice = |number: usize| std::iter::repeat_n(number, 1 + usize::from(number.is_multiple_of(5)));
        news.rev().flat_map(twice).chain(replayed).collect()
    }

    fn answer(&mut self, target: &str, who: &mut usize) -> String {
        if *who == 0 {
            self.pollers += 1;
            *who = self.pollers;
        }
        let numbers = self.list(target, *who);
        let events: Vec<&str> = numbers.iter().map(|number| &*self.events[number - 1]).collect();
        let body = format!("{{\"alerts\":[{}]}}", events.join(","));
        let mut answer = String::new();
        write!(answer, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        (self.requests, self.bytes) = (self.requests + 1, self.bytes + answer.len() as u64);
        answer
    }
}

fn serve(mut stream: TcpStream, board: &Mutex<Board>) {
    // Which of those that poll it is.
    let (mut bytes, mut who) = (Vec::new(), 0);
    loop {
        if let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4) {
            let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
            let length = text.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            let end = head + length.map_or(0, |length| length.parse::<usize>().unwrap());
            if bytes.len() >= end {
                let answer = if text.starts_with("GET") {
                    board.lock().unwrap().answer(text.split(' ').nth(1).unwrap(), &mut who)
                } else {
                    board.lock().unwrap().publish(&serde_json::from_slice(&bytes[head..end]).unwrap());
                    "HTTP/1.1 204 No Content\r\n\r\n".to_owned()
                };
                bytes.drain(..end);
                if stream.write_all(answer.as_bytes()).is_err() {
                    return;
                }
                continue;
            }
        }
        let mut piece = [0; 4096];
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(size) => bytes.extend_from_slice(&piece[..size]),
        }
    }
}

/// What became of the deliveries to `boards` in a run of `fleets` against a board, and the board.
fn run(fleets: &str, arguments: &[&str]) -> (Value, Arc<Mutex<Board>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("http://{}/out", listener.local_addr().unwrap());
    let board = Arc::new(Mutex::new(Board::default()));
    let book = Arc::clone(&board);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let board = Arc::clone(&board);
            thread::spawn(move || serve(stream, &board));
        }
    });
    let scenario = format!(
        "[scenario]\nname = \"polling\"\n[target]\nhttp = \"{target}\"\npoll = \"{target}\"\n[run]\nwarm_up = \"0s\"\ndrain = \"60s\"\n\
         connect_timeout = \"60s\"\n[[phase]]\nname = \"whole\"\nduration = \"4s\"\n{fleets}"
    );
    let output = Desk::with(&scenario).run(&[&["run", "s.toml", "--quiet", "--json"], arguments].concat());
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", told(&output)));
    let rows = report["summary"].as_array().unwrap();
    let own = rows.iter().find(|row| row["fleet"] == "boards" && row["kind"] == "delivery");
    (own.unwrap_or_else(|| panic!("no deliveries in {rows:?}")).clone(), book)
}

fn figure(row: &Value, key: &str) -> f64 {
    row[key].as_f64().unwrap_or_else(|| panic!("no {key} in {row}"))
}

fn count(row: &Value, key: &str) -> u64 {
    row[key].as_u64().unwrap_or_else(|| panic!("no {key} in {row}"))
}

/// Whether `found` is within 5 % of `expected`.
fn is_near(found: f64, expected: f64) -> bool {
    (found / expected - 1.0).abs() < 0.05
}

#[test]
fn who_polls_waits_for_half_an_interval_on_average_and_at_most_for_all_of_it() {
    let fleets = r#"
[fleet.sensors]
protocol = "http"
devices = 4
rate = "10/s"
[fleet.boards]
protocol = "poll"
model = "subscriber"
devices = 100
timeout = "20s"
poll = { every = "1s" }
"#;
    let (row, board) = run(fleets, &["--workers", "2"]);
    let board = board.lock().unwrap();
    assert_eq!(count(&row, "ok"), count(&row, "planned"), "{row}");
    assert!(count(&row, "planned") >= 2_000 && count(&row, "duplicated") == 0, "{row}");
    assert!(is_near(figure(&row, "mean_ms"), 500.0), "{row}");
    assert!(is_near(figure(&row, "p99_ms"), 990.0), "{row}");
    let requests = count(&row, "requests");
    // The first of each device went out before the run, and the last may have been on its way.
    assert!(requests <= board.requests && requests >= board.requests.saturating_sub(300), "{row}");
    assert!(count(&row, "wire_received_bytes") <= board.bytes, "{row}");
}

#[test]
fn what_a_server_repeats_reorders_and_keeps_back_is_what_the_ledger_has() {
    let fleets = r#"
[fleet.sensors]
protocol = "http"
devices = 1
rate = "20/s"
[fleet.boards]
protocol = "poll"
model = "subscriber"
devices = 2
timeout = "8s"
poll = { every = "250ms", path = "/odd" }
"#;
    let (row, board) = run(fleets, &[]);
    let board = board.lock().unwrap();
    let (published, withheld) = (board.events.len() as u64, board.withheld.len() as u64);
    assert!(published >= 40 && board.doubled > 10 && board.reordered > 10 && withheld >= 10, "{row}");
    assert_eq!(count(&row, "planned"), 2 * published, "{row}");
    assert_eq!(count(&row, "lost"), withheld, "{row}");
    assert_eq!(count(&row, "ok"), 2 * published - withheld, "{row}");
    assert_eq!(count(&row, "duplicated"), board.doubled, "{row}");
    assert_eq!(count(&row, "reordered"), board.reordered, "{row}");
}

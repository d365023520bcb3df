//! The target's own figures beside those of a run: `[[scrape]]` through the built binary.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use crate::program::{Desk, events, printed, told};

const RUN: &str = r#"
[scenario]
name = "watched"
[run]
warm_up = "0s"
drain = "1s"
interval = "250ms"
[[phase]]
name = "steady"
duration = "1500ms"
[fleet.meters]
protocol = "http"
devices = 4
rate = "10/s"
[[scrape]]
name = "exporter"
url = "http://ADDRESS"
every = "100ms"
select = ["co*"]
headers = { x-key = "k" }
[[scrape]]
name = "process"
pid = PID
every = "200ms"
[[scrape]]
name = "gone"
url = "http://127.0.0.1:1/metrics"
every = "100ms"
[[scrape]]
name = "service"
bundled = true
every = "200ms"
select = ["squall_readings_received_total"]
"#;

/// Serves a page whose counter grows by 10 every time; the third time it has none. Gives its address.
fn exporter() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for (nth, peer) in listener.incoming().enumerate() {
            let (mut peer, mut request) = (peer.unwrap(), Vec::new());
            while !request.ends_with(b"\r\n\r\n") {
                let mut piece = [0; 1_024];
                let read = peer.read(&mut piece).unwrap();
                request.extend_from_slice(&piece[..read]);
            }
            let request = String::from_utf8(request).unwrap();
            let is_asked = request.starts_with("GET /metrics ") && request.contains("\r\nx-key: k\r\n");
            let status = if !is_asked {
                "400 Bad Request"
            } else if nth == 2 {
                "503 Service Unavailable"
            } else {
                "200 OK"
            };
            let page =
                format!("# TYPE counted counter\ncounted_total{{a=\"b\"}} {}\nother 1\ncolour 7\n", nth * 10);
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", page.len());
            peer.write_all((head + &page).as_bytes()).unwrap();
        }
    });
    address
}

#[test]
fn a_run_has_the_targets_own_figures_on_its_clock() {
    let scenario = RUN.replace("ADDRESS", &exporter()).replace("PID", &std::process::id().to_string());
    let desk = Desk::with(&scenario);
    let output = desk.run(&["run", "s.toml"]);
    assert!(matches!(output.status.code(), Some(0 | 12)), "{}", told(&output));
    let run = desk.only_run();
    let mut table = csv::Reader::from_path(run.join("target.csv")).unwrap();
    assert_eq!(
        table.headers().unwrap(),
        vec!["run_id", "t_s", "scrape", "metric", "labels", "kind", "value"]
    );
    let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
    let number = |cell: &str| cell.parse::<f64>().unwrap();
    let of = |scrape: &str, metric: &str| -> Vec<(f64, f64)> {
        let rows = rows.iter().filter(|row| &row[2] == scrape && &row[3] == metric);
        rows.map(|row| (number(&row[1]), number(&row[6]))).collect()
    };
    // What grows by 10 from one time to the next, and by 20 over the one that failed.
    let rates = of("exporter", "counted_total");
    assert!(rates.len() > 3, "{rates:?}");
    for (nth, pair) in rates.windows(2).enumerate() {
        let (seconds, grown) = (pair[1].0 - pair[0].0, if nth == 0 { 20.0 } else { 10.0 });
        let found = pair[1].1 * seconds;
        // Instants are written to the millisecond.
        assert!((found - grown).abs() <= pair[1].1 * 0.001_1, "{grown}: {found} in {seconds} s");
    }
    assert!(of("exporter", "colour").iter().all(|(_, value)| (value - 7.0).abs() < 1e-9));
    assert!(of("exporter", "other").is_empty(), "it is not selected");
    for metric in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"] {
        assert!(!of("process", metric).is_empty(), "{metric}");
    }
    let received = of("service", "squall_readings_received_total");
    assert!(received.iter().any(|(_, rate)| *rate > 10.0), "{received:?}");
    assert!(of("gone", "up").is_empty());
    let events = events(&run);
    let told_of = |kind: &str| events.lines().filter(|line| line.split(',').nth(1) == Some(kind)).count();
    assert_eq!((told_of("scrape_failed"), told_of("scrape_resumed")), (2, 1), "{events}");
    assert!(events.contains("scrape_failed,gone,\"") || events.contains("scrape_failed,gone,"), "{events}");
    let page = "page.html";
    printed(&desk.path(""), 100, &["report", run.to_str().unwrap(), "--html", page]);
    let page = std::fs::read_to_string(desk.path(page)).unwrap();
    assert!(page.contains("exporter: counted_total{a=&quot;b&quot;}, per second, over time"));
}

#[test]
fn what_is_wrong_with_a_scrape_is_said_at_its_line() {
    let scenario = RUN
        .replace("PID", "1\npid_file = \"p\"")
        .replace("http://ADDRESS", "ftp://h/")
        .replace("bundled = true", "headers = { a = \"b\" }");
    let output = Desk::with(&scenario).run(&["check", "s.toml"]);
    assert_eq!(output.status.code(), Some(2));
    let said = told(&output);
    for part in [
        "s.toml:17:7: scrape.exporter.url: `ftp` is not the scheme of this key; write for example \"http://127.0.0.1:9100/metrics\"",
        "scrape.process.pid_file: stands beside `pid`; take one of the two out",
        "scrape.service: says of nothing whose figures are wanted; write one of url, pid, pid_file and bundled = true",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
}

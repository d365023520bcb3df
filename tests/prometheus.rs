//! The figures of a run under way, for Prometheus: `--metrics` through the built binary, and Debian's prometheus as a reader.
#![cfg(unix)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use squall::results::read_summary;

use crate::program::{Desk, ask, signal, wait_until};
use crate::{probe, skip};

const RUN: &str = r#"
[scenario]
name = "shown"
[run]
warm_up = "0s"
drain = "1s"
interval = "200ms"
[[phase]]
name = "first"
duration = "1s"
[[phase]]
name = "second"
duration = "5m"
[fleet.meters]
protocol = "http"
devices = 20
rate = "50/s"
"#;

/// A run under way, its address of figures, and what it prints besides.
fn begun(desk: &Desk) -> (Child, String) {
    let mut run = desk.begin(&["run", "s.toml", "--metrics", "127.0.0.1:0"]);
    let mut said = BufReader::new(run.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("figures for Prometheus: ") {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "it says where its figures are");
    }
    // Nobody waits for what it says afterwards.
    std::thread::spawn(move || said.read_to_end(&mut Vec::new()));
    let address = line.trim().rsplit("http://").next().unwrap().trim_end_matches("/metrics").to_owned();
    (run, address)
}

/// The value of the sample that begins so.
fn sample(page: &str, start: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(start)?.trim().parse().ok())
}

const FIRST: &str = "phase=\"first\",fleet=\"meters\",protocol=\"http\",kind=\"reading\"";

/// The page once the first phase is over and nothing of it is open, and how many readings that had.
fn of_the_second_phase(address: &str) -> (String, f64) {
    let mut found = None;
    wait_until("the first phase is over", || {
        let page = ask(address, "GET", "/metrics", "");
        let planned = sample(&page, &format!("squall_run_planned_total{{{FIRST}}}"));
        let ended = sample(&page, &format!("squall_run_response_seconds_count{{{FIRST}}}"));
        let is_over = page.contains("phase=\"second\",fleet=\"meters\",protocol=\"http\",kind=\"reading\"");
        found = planned.filter(|planned| is_over && ended == Some(*planned)).map(|planned| (page, planned));
        found.is_some()
    });
    found.unwrap()
}

/// A prometheus that asks `address`, until it is dropped; `None` where there is none.
struct Prometheus {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    fn start(address: &str) -> Option<Self> {
        if Command::new("prometheus").arg("--version").output().is_err() {
            skip::missing("prometheus");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "global:\n  scrape_interval: 200ms\n  scrape_timeout: 200ms\nscrape_configs:\n  - job_name: squall\n    static_configs:\n      - targets: [\"{address}\"]\n"
        );
        std::fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}/prometheus.yml", folder.path().display()))
            .arg(format!("--storage.tsdb.path={}/data", folder.path().display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(["--enable-feature=native-histograms", "--log.level=warn"])
            .env("GOMAXPROCS", "1");
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Some(Self { process, port, _folder: folder })
    }

    /// The value of a query that gives one; `None` while it gives none.
    fn query(&self, query: &str) -> Option<f64> {
        let output = Command::new("curl")
            .args(["-s", "--max-time", "10", "-G", "--data-urlencode"])
            .arg(format!("query={query}"))
            .arg(format!("http://127.0.0.1:{}/api/v1/query", self.port))
            .output()
            .unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).ok()?;
        answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn prometheus_computes_from_the_native_histograms_of_a_run_what_its_summary_says() {
    let desk = Desk::with(RUN);
    let (mut run, address) = begun(&desk);
    let (page, planned) = of_the_second_phase(&address);
    let unknown = probe::unknown("squall-run.json", &page);
    assert!(unknown.is_empty(), "{unknown:?} of {page}");
    assert!(!page.contains("quantile") && !page.contains("meters-0"), "{page}");
    assert_eq!(sample(&page, &format!("squall_run_ended_total{{{FIRST},outcome=\"ok\"}}")), Some(planned));
    let seen = Prometheus::start(&address).map(|prometheus| {
        let times = format!("squall_run_response_seconds{{{FIRST}}}");
        wait_until("prometheus has them all", || {
            prometheus.query(&format!("histogram_count({times})")) == Some(planned)
        });
        [0.5, 0.9, 0.99].map(|q| prometheus.query(&format!("histogram_quantile({q}, {times})")).unwrap())
    });
    signal(run.id(), "INT");
    run.wait().unwrap();
    let rows = read_summary(&desk.only_run()).unwrap();
    let first = rows.iter().find(|row| row.phase == "first" && row.kind == "reading").unwrap();
    assert!((first.figures.planned as f64 - planned).abs() < 0.5 && planned > 800.0, "{planned}");
    let Some(seen) = seen else { return };
    let summary = [first.figures.p50_ms, first.figures.p90_ms, first.figures.p99_ms];
    for (seen, known) in seen.into_iter().zip(summary) {
        let known = known.unwrap().as_ns() as f64 / 1e9;
        // A native bucket of scheme 3 is an eighth of a power of two wide; the summary itself is to three digits.
        let width = 2_f64.powf(1.0 / 8.0) * 1.001;
        assert!(seen <= known * width && seen >= known / width, "{seen} s, and {known} s in summary.csv");
    }
}

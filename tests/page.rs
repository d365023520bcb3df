//! The page of a run, through the built binary: its numbers are those of the report, and a browser loads nothing for it.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::skip;

const SCENARIO: &str = r#"
[scenario]
name = "small"
about = "two fleets <b>and</b> a fault"
[run]
connect_rate = "1000/s"
warm_up = "200ms"
drain = "2s"
interval = "200ms"
[[phase]]
name = "calm"
duration = "1s"
[[phase]]
name = "storm"
duration = "2s"
[fleet.alpha]
protocol = "http"
devices = 20
rate = "30/s"
budget = "100ms"
expects = "exactly-once"
[fleet.beta]
protocol = "mqtt"
devices = 20
rate = "30/s"
[[fault]]
name = "cut"
kind = "partition"
fleets = "beta"
start = "1200ms"
duration = "300ms"
[[budget]]
fleet = "alpha"
p99 = "<10s"
error_rate = "<1%"
"#;

fn squall(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    // What a busy machine made invalid still has its page.
    assert!(matches!(output.status.code(), Some(0 | 12 | 99)), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// A run with its page, and its directory.
fn run() -> (tempfile::TempDir, PathBuf, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("s.toml"), SCENARIO).unwrap();
    squall(folder.path(), &["run", "s.toml", "-q", "--html", "page.html"]);
    let runs = std::fs::read_dir(folder.path().join("results")).unwrap().next().unwrap().unwrap().path();
    let run = std::fs::read_dir(runs).unwrap().next().unwrap().unwrap().path();
    let page = std::fs::read_to_string(folder.path().join("page.html")).unwrap();
    (folder, run, page)
}

/// What stands between the tags of `markup`.
fn text(markup: &str) -> String {
    let mut text = String::new();
    for part in markup.split('<') {
        text += part.split_once('>').map_or("", |(_, text)| text);
    }
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'");
    text.replace("&amp;", "&").trim().to_owned()
}

/// The texts of the cells of every row of the table that `label` names.
fn rows(page: &str, label: &str) -> Vec<Vec<String>> {
    let table = page.split_once(&format!("aria-label=\"Table: {label}\"")).unwrap().1;
    let body = table.split_once("<tbody>").unwrap().1.split_once("</tbody>").unwrap().0;
    let cells = |row: &str| {
        let row = row.replace("<th", "<td").replace("</th>", "</td>");
        row.split("<td").skip(1).map(|cell| text(&format!("<{cell}"))).collect()
    };
    body.split("<tr").skip(1).map(cells).collect()
}

/// The cells of a line of the report: columns are two spaces apart at least.
fn cells(line: &str) -> Vec<&str> {
    line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
}

#[test]
fn every_number_is_that_of_the_report() {
    let (folder, run, page) = run();
    let report = squall(folder.path(), &["report", &run.display().to_string()]);
    let rows: Vec<_> =
        rows(&page, "fleets and phases").into_iter().chain(rows(&page, "connections")).collect();
    let mut compared = 0;
    for line in report.lines() {
        let cells = cells(line);
        let of_fleet = cells.first().is_some_and(|name| {
            name.starts_with("alpha ") || name.starts_with("beta ") || *name == "all fleets"
        });
        if !of_fleet || cells.len() < 9 {
            continue;
        }
        // A chart stands between the counts and the times.
        let figures = cells[1..].join("|");
        let found = rows.iter().any(|row| {
            let shown: Vec<_> = row.iter().map(String::as_str).filter(|cell| !cell.is_empty()).collect();
            shown.join("|").ends_with(&figures)
        });
        assert!(found, "{line}\n{rows:#?}");
        compared += 1;
    }
    assert!(compared >= 9, "{report}");
    let plain = report.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut labels = vec!["lag p50"];
    // On a busy machine a reading may be lost, and no promise be kept.
    labels.extend(report.contains("kept alpha").then_some("kept alpha"));
    // A busy machine may have made it invalid: then the page says nothing of the service.
    labels.extend(page.contains("<main id=\"main\">").then_some("readings answered ok"));
    for label in labels {
        let line = report.lines().find(|line| line.contains(label)).unwrap();
        let fact = cells(line).last().copied().unwrap().to_owned();
        assert!(text(&page).contains(fact.trim_start_matches("kept ")), "{fact}");
    }
    for tile in page
        .split("<div class=\"v")
        .skip(1)
        .map(|rest| text(&format!("<{}", rest.split("</div>").next().unwrap())))
    {
        assert!(plain.contains(&tile) || tile == "0.00 %", "{tile} is not in\n{report}");
    }
    assert!(page.contains("two fleets &lt;b&gt;and") && !page.contains("two fleets <b>"));
}

#[test]
fn a_stored_run_gives_the_same_page_byte_for_byte_also_where_it_was_killed() {
    let (folder, run, page) = run();
    let stored = run.display().to_string();
    squall(folder.path(), &["report", &stored, "--html", "again.html", "--format", "html=third.html"]);
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    // The run told its own exit code to its manifest after the first page was made; no page states it.
    assert!(page == read("again.html") && page == read("third.html"));
    assert!(page.len() < 250_000, "{}", page.len());
    let link = page.split_once("href=\"results/").unwrap().1.split_once('"').unwrap().0;
    assert!(folder.path().join("results").join(link).exists(), "{link}");

    let manifest = std::fs::read_to_string(run.join("run.json")).unwrap();
    let mut manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    manifest["state"] = "running".into();
    manifest["validity"] = serde_json::Value::Null;
    manifest["files"] = serde_json::json!({});
    std::fs::write(run.join("run.json"), manifest.to_string()).unwrap();
    std::fs::remove_file(run.join("summary.csv")).unwrap();
    squall(folder.path(), &["report", &stored, "--html", "killed.html"]);
    let killed = read("killed.html");
    let said = "the run did not come to its end";
    assert!(
        killed.contains("not finished") && killed.contains(said) && killed.contains("class=\"panel\""),
        "{killed}"
    );
}

#[test]
fn a_comparison_has_no_page_and_says_what_to_write() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
    command.current_dir(folder.path()).args(["compare", "a", "b", "--html", "x.html"]);
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && errors.contains("squall report RUN --html"), "{errors}");
}

/// Looks at the page in frames as wide as a phone, in both themes and by keyboard, and writes what it found into itself.
const FRAME: &str = r##"<!doctype html><link rel="icon" href="data:,"><iframe src="/page.html" width="390" height="800"></iframe><pre></pre><script>
const frame = document.querySelector("iframe");
frame.onload = () => {
  const page = frame.contentDocument, root = page.documentElement, told = {};
  told.overflow = root.scrollWidth - 390;
  told.hidden = page.querySelectorAll("[hidden]").length;
  const ground = () => frame.contentWindow.getComputedStyle(page.body).backgroundColor;
  told.grounds = [ground()];
  page.querySelector("#theme").click();
  told.grounds.push(ground());
  const line = page.querySelector(".tl");
  const press = key => line.dispatchEvent(new frame.contentWindow.KeyboardEvent("keydown", {key, bubbles: true}));
  press("ArrowRight"); press("n");
  told.readout = page.querySelector(".readout").textContent;
  const box = () => page.querySelector(".tl .plot").getAttribute("viewBox");
  told.boxes = [box()];
  press("+"); told.boxes.push(box());
  press("Escape"); told.boxes.push(box());
  told.charts = [...page.querySelectorAll("svg")].filter(svg => !svg.closest("details")).every(svg => svg.getBoundingClientRect().width > 0);
  document.querySelector("pre").textContent = JSON.stringify(told);
};
</script>"##;

/// Serves the frame and the page; notes every path that is asked for.
fn serve(page: String) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    let page = Arc::new(page);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (noted, page) = (Arc::clone(&noted), Arc::clone(&page));
            thread::spawn(move || answer(stream, &page, &noted));
        }
    });
    (address, asked)
}

fn answer(mut stream: TcpStream, page: &str, noted: &Mutex<Vec<String>>) -> Option<()> {
    let mut first = String::new();
    let mut input = BufReader::new(stream.try_clone().ok()?);
    input.read_line(&mut first).ok()?;
    let _ = input.lines().map_while(Result::ok).take_while(|line| !line.is_empty()).count();
    let path = first.split(' ').nth(1)?.to_owned();
    let body = if path == "/" { FRAME } else { page };
    noted.lock().ok()?.push(path);
    let length = body.len();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\n";
    write!(stream, "{head}Content-Length: {length}\r\n\r\n{body}").ok()
}

/// What the browser made of the page at `url`, and what it complained of; `None`, having said so, where there is none.
fn browse(url: &str) -> Option<(String, String)> {
    let profile = tempfile::tempdir().unwrap();
    for program in ["chromium", "chromium-browser", "google-chrome"] {
        let mut command = Command::new(program);
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]);
        command.args(["--disable-background-networking", "--disable-component-update"]);
        command.args(["--enable-logging=stderr", "--virtual-time-budget=10000", "--dump-dom"]);
        command.arg(format!("--user-data-dir={}", profile.path().display())).arg(url).stdin(Stdio::null());
        if let Ok(output) = command.output() {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            return Some((text(&output.stdout), text(&output.stderr)));
        }
    }
    skip::missing("chromium is not installed");
    None
}

#[test]
fn a_browser_loads_the_page_alone_and_has_nothing_to_complain_of() {
    let (_folder, _run, page) = run();
    let (url, asked) = serve(page);
    let Some((seen, errors)) = browse(&url) else { return };
    assert!(!errors.contains("CONSOLE"), "{errors}");
    assert_eq!(*asked.lock().unwrap(), ["/", "/page.html"]);
    let told = seen.split_once("<pre>").unwrap().1.split_once("</pre>").unwrap().0;
    let told: serde_json::Value = serde_json::from_str(&text(&format!("<i>{told}"))).unwrap();
    assert!(
        told["overflow"].as_i64().unwrap() <= 0 && told["hidden"] == 0 && told["charts"] == true,
        "{told}"
    );
    assert_ne!(told["grounds"][0], told["grounds"][1], "{told}");
    let readout = told["readout"].as_str().unwrap();
    assert!(readout.contains("storm") && readout.contains("cut on") && readout.contains("p50"), "{told}");
    assert!(told["boxes"][0] == told["boxes"][2] && told["boxes"][0] != told["boxes"][1], "{told}");
}

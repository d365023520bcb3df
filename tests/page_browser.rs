//! The pages in a browser: loaded alone, in both themes, on a phone, by keyboard, and where a policy forbids scripts and styles.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::page::{compared, run, text};
use crate::peer::start;
use crate::skip;

/// What Jenkins says of the files that a build leaves, but for `sandbox`, which keeps this test's frame out as well: no script runs and
/// no style of a page applies.
const JENKINS: &str = "default-src 'none'; img-src 'self'; style-src 'self'";

/// Looks at the page in a frame as wide as a phone, in both themes and by keyboard, and writes what it found into itself.
const LOOK: &str = r##"
  told.overflow = root.scrollWidth - 390;
  told.hidden = page.querySelectorAll("[hidden]").length;
  const ground = () => view.getComputedStyle(page.body).backgroundColor;
  told.grounds = [ground()];
  page.querySelector("#theme").click();
  told.grounds.push(ground());
  told.charts = charts.every(svg => svg.getBoundingClientRect().width > 0);
  const line = page.querySelector(".tl");
  if (line) {
    const press = key => line.dispatchEvent(new view.KeyboardEvent("keydown", {key, bubbles: true}));
    press("ArrowRight"); press("n");
    told.readout = page.querySelector(".readout").textContent;
    const box = () => page.querySelector(".tl .plot").getAttribute("viewBox");
    told.boxes = [box()];
    press("+"); told.boxes.push(box());
    press("Escape"); told.boxes.push(box());
  }
"##;

/// Finds the charts of which nothing is to be seen, and icons that fill the page.
const SEE: &str = r##"
  told.styled = view.getComputedStyle(page.body).marginTop;
  told.theme = page.querySelector("#theme").getClientRects().length;
  told.charts = charts.length;
  const drawn = shape => {
    const box = shape.getBoundingClientRect(), style = view.getComputedStyle(shape);
    return box.width + box.height > 0 && (style.fill !== "none" || style.stroke !== "none");
  };
  const seen = svg => {
    const box = svg.getBoundingClientRect();
    return box.width > 0 && box.height > 0 && [...svg.querySelectorAll("path, rect, circle, use, text")].some(drawn);
  };
  told.unseen = charts.filter(svg => !seen(svg)).map(svg => svg.outerHTML.slice(0, 200));
  told.icons = Math.max(...[...page.querySelectorAll(".chip svg")].map(svg => svg.getBoundingClientRect().width));
"##;

/// Has axe look at the page in both themes, and lists what it finds.
const AXE: &str = r#"
  const script = page.createElement("script");
  script.textContent = await (await fetch("/axe.js")).text();
  page.body.append(script);
  page.querySelectorAll("details").forEach(details => { details.open = true; });
  told.found = [];
  for (const theme of ["light", "dark"]) {
    root.dataset.theme = theme;
    const { violations } = await view.axe.run(page);
    for (const { id, impact, nodes } of violations) {
      told.found.push([theme, id, impact, nodes.length, nodes[0].html.slice(0, 300), nodes[0].failureSummary]);
    }
  }
  script.remove();
"#;

/// Draws a chart of the bundled service's own page in both themes, and counts the pixels of its line.
const DRAW: &str = r##"
  for (const theme of ["light", "dark"]) {
    root.style.colorScheme = theme;
    view.eval('trace("rates", [[1, "blue"]]); trace("rates", [[2, "blue"]])');
    const canvas = page.querySelector("#rates");
    const bytes = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    told[theme] = 0;
    for (let n = 0; n < bytes.length; n += 4) {
      if (bytes[n + 3] > 100 && bytes[n + 2] > bytes[n] + 60) told[theme] += 1;
    }
  }
"##;

/// A page that holds the one to look at in a frame, and does as `script` says.
fn frame(script: &str) -> String {
    format!(
        r#"<!doctype html><link rel="icon" href="data:,"><iframe src="/page.html" width="390" height="800"></iframe><pre></pre><script>
const frame = document.querySelector("iframe");
frame.onload = async () => {{
  const page = frame.contentDocument, view = frame.contentWindow, root = page.documentElement, told = {{}};
  const charts = [...page.querySelectorAll("svg")].filter(svg => !svg.closest("details") && !svg.parentElement.closest("svg"));
  try {{ {script} }} catch (error) {{ told.error = String(error); }}
  document.querySelector("pre").textContent = JSON.stringify(told);
}};
</script>"#
    )
}

/// What there is to be served.
struct Site {
    frame: String,
    page: String,
    /// A policy for the page.
    policy: &'static str,
    axe: String,
}

/// Serves a site; notes every path that is asked for.
fn serve(site: Site) -> (String, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (noted, site) = (Arc::clone(&asked), Arc::new(site));
    let port = start(move |stream| answer(stream, &site, &noted));
    (format!("http://127.0.0.1:{port}/"), asked)
}

fn answer(mut stream: TcpStream, site: &Site, noted: &Mutex<Vec<String>>) -> Option<()> {
    let mut first = String::new();
    let mut input = BufReader::new(stream.try_clone().ok()?);
    input.read_line(&mut first).ok()?;
    let _ = input.lines().map_while(Result::ok).take_while(|line| !line.is_empty()).count();
    let path = first.split(' ').nth(1)?.to_owned();
    let (body, kind) = match path.as_str() {
        "/" => (&site.frame, "html"),
        "/axe.js" => (&site.axe, "javascript"),
        _ => (&site.page, "html"),
    };
    let policy = match path.as_str() {
        "/page.html" if !site.policy.is_empty() => format!("Content-Security-Policy: {}\r\n", site.policy),
        _ => String::new(),
    };
    noted.lock().ok()?.push(path);
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/{kind}; charset=utf-8\r\nConnection: close\r\n{policy}"
    );
    write!(stream, "{head}Content-Length: {length}\r\n\r\n{body}").ok()
}

/// What a browser found.
struct Found {
    told: Value,
    /// What it complained of.
    errors: String,
    asked: Vec<String>,
}

/// Looks at `site` with a browser; `None`, having said so, where there is none.
fn look(site: Site) -> Option<Found> {
    let (url, asked) = serve(site);
    let profile = tempfile::tempdir().unwrap();
    for program in ["chromium", "chromium-browser", "google-chrome"] {
        let mut command = Command::new(program);
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]);
        command.args(["--disable-background-networking", "--disable-component-update"]);
        command.args(["--enable-logging=stderr", "--virtual-time-budget=10000", "--dump-dom"]);
        command.arg(format!("--user-data-dir={}", profile.path().display())).arg(&url).stdin(Stdio::null());
        if let Ok(output) = command.output() {
            let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let (seen, errors) = (lossy(&output.stdout), lossy(&output.stderr));
            let told = seen.split_once("<pre>").unwrap().1.split_once("</pre>").unwrap().0;
            let told: Value = serde_json::from_str(&text(&format!("<i>{told}")))
                .unwrap_or_else(|_| panic!("{seen} {errors}"));
            assert!(told["error"].is_null(), "{told}");
            return Some(Found { told, errors, asked: asked.lock().unwrap().clone() });
        }
    }
    skip::missing("chromium is not installed");
    None
}

/// The page of a run and that of a comparison.
fn pages() -> [String; 2] {
    let folder = tempfile::tempdir().unwrap();
    [run().2, compared(folder.path())]
}

#[test]
fn a_browser_loads_a_page_alone_and_has_nothing_to_complain_of() {
    for page in pages() {
        let site = Site { frame: frame(LOOK), page, policy: "", axe: String::new() };
        let Some(Found { told, errors, asked }) = look(site) else { return };
        assert!(!errors.contains("CONSOLE"), "{errors}");
        assert_eq!(asked, ["/", "/page.html"]);
        assert!(
            told["overflow"].as_i64().unwrap() <= 0 && told["hidden"] == 0 && told["charts"] == true,
            "{told}"
        );
        assert_ne!(told["grounds"][0], told["grounds"][1], "{told}");
        if let Some(readout) = told["readout"].as_str() {
            assert!(
                readout.contains("storm") && readout.contains("cut on") && readout.contains("p50"),
                "{told}"
            );
            assert!(told["boxes"][0] == told["boxes"][2] && told["boxes"][0] != told["boxes"][1], "{told}");
        }
    }
}

#[test]
fn every_chart_is_seen_where_a_policy_forbids_scripts_and_styles() {
    for page in pages() {
        let site = Site { frame: frame(SEE), page, policy: JENKINS, axe: String::new() };
        let Some(Found { told, errors, .. }) = look(site) else { return };
        assert!(errors.contains("Content Security Policy") && told["styled"] == "8px", "{told} {errors}");
        assert_eq!(told["theme"], 0, "what needs a script is not there without");
        assert!(told["charts"].as_u64().unwrap() >= 4 && told["unseen"] == serde_json::json!([]), "{told:#}");
        assert!(told["icons"].as_f64().unwrap() <= 20.0, "{told}");
    }
}

#[test]
fn the_charts_of_the_live_page_have_the_colours_of_both_themes() {
    let page = include_str!("../src/reference/endpoint/http/page.html").to_owned();
    let site = Site { frame: frame(DRAW), page, policy: "", axe: String::new() };
    let Some(Found { told, .. }) = look(site) else { return };
    assert!(told["light"].as_u64() > Some(5) && told["dark"].as_u64() > Some(5), "{told}");
}

#[test]
fn axe_finds_nothing_in_either_theme() {
    let Some(place) = std::env::var_os("SQUALL_AXE") else {
        skip::count("missing", "axe: npm install axe-core, and SQUALL_AXE=node_modules/axe-core/axe.min.js");
        return;
    };
    let axe = std::fs::read_to_string(place).unwrap();
    for page in pages() {
        let site = Site { frame: frame(AXE), page, policy: "", axe: axe.clone() };
        let Some(Found { told, .. }) = look(site) else { return };
        assert_eq!(told["found"], serde_json::json!([]), "{told:#}");
    }
}

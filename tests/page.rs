//! The pages of a run and of a comparison, through the built binary: their numbers are those of the terminal.

use std::path::{Path, PathBuf};

use squall::results::read_summary;

use crate::program::{cells, only_run, printed};

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

/// A run with its page, and its directory.
pub(crate) fn run() -> (tempfile::TempDir, PathBuf, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("s.toml"), SCENARIO).unwrap();
    printed(folder.path(), 160, &["run", "s.toml", "-q", "--html", "page.html"]);
    let run = only_run(&folder.path().join("results"));
    let page = std::fs::read_to_string(folder.path().join("page.html")).unwrap();
    (folder, run, page)
}

/// What stands between the tags of `markup`.
pub(crate) fn text(markup: &str) -> String {
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

#[test]
fn every_number_is_that_of_the_report() {
    let (folder, run, page) = run();
    let report = printed(folder.path(), 160, &["report", &run.display().to_string(), "-v", "--plain"]);
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
    assert_columns_add_up(&page, &run);
}

/// That no reading is lost or counted twice on the way from the files into the columns of the time line.
fn assert_columns_add_up(page: &str, run: &Path) {
    let data = page.split_once("id=\"data\">").unwrap().1.split_once("</script>").unwrap().0;
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    let number = |cell: &serde_json::Value| cell.as_str().unwrap().replace(',', "").parse::<u64>().unwrap();
    let failed: u64 = data["rows"].as_array().unwrap().iter().map(|row| number(&row[8])).sum();
    let rows = read_summary(run).unwrap();
    let readings = rows.iter().filter(|row| row.kind == "reading" && !row.is_headline());
    let counted: u64 = readings.map(|row| row.figures.planned - row.figures.ok).sum();
    assert_eq!(failed, counted);
}

#[test]
fn a_stored_run_gives_the_same_page_byte_for_byte_also_where_it_was_killed() {
    let (folder, run, page) = run();
    let stored = run.display().to_string();
    printed(folder.path(), 160, &["report", &stored, "--html", "again.html", "--format", "html=third.html"]);
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
    printed(folder.path(), 160, &["report", &stored, "--html", "killed.html"]);
    let killed = read("killed.html");
    let said = "the run did not come to its end";
    assert!(
        killed.contains("not finished") && killed.contains(said) && killed.contains("class=\"panel\""),
        "{killed}"
    );
}

/// Two runs of one plan in `folder`, taken for valid ones however busy the machine was, and the page of their comparison.
pub(crate) fn compared(folder: &Path) -> String {
    std::fs::write(folder.join("s.toml"), SCENARIO).unwrap();
    let mut sides = Vec::new();
    for label in ["main", "fix"] {
        printed(folder, 160, &["run", "s.toml", "-q", "--label", label, "--out", label]);
        let run = only_run(&folder.join(label));
        let manifest = std::fs::read_to_string(run.join("run.json")).unwrap();
        let mut manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
        manifest["validity"] = serde_json::json!({"verdict": "valid", "reasons": []});
        manifest["files"] = serde_json::json!({});
        std::fs::write(run.join("run.json"), manifest.to_string()).unwrap();
        sides.push(run.display().to_string());
    }
    printed(folder, 160, &["compare", &sides[0], &sides[1], "--html", "page.html"]);
    let page = std::fs::read_to_string(folder.join("page.html")).unwrap();
    let again = ["compare", &sides[0], &sides[1], "--format", "html=again.html"];
    let table = printed(folder, 160, &again);
    assert!(page == std::fs::read_to_string(folder.join("again.html")).unwrap(), "equal runs, equal bytes");
    assert_states_the_table(&page, &table);
    page
}

/// That every figure of the terminal's table stands on the page, character by character.
fn assert_states_the_table(page: &str, table: &str) {
    let rows = rows(page, "every figure");
    let lines: Vec<_> =
        table.lines().filter(|line| line.starts_with("  p") || line.starts_with("  error")).collect();
    assert!(lines.len() >= 5, "{table}");
    for line in lines {
        let cells = cells(line);
        let (said, figures) = cells.split_last().unwrap();
        let found = rows.iter().any(|row| {
            row.first().is_some_and(|name| name == figures[0])
                && figures.iter().all(|figure| row.iter().any(|cell| cell == figure))
                && row.last().is_some_and(|last| last == said)
        });
        assert!(found, "{line}\n{rows:#?}");
    }
    let sentence = table.lines().last().unwrap();
    assert!(text(page).contains(sentence), "{sentence}");
}

#[test]
fn the_page_of_a_comparison_states_what_the_terminal_states_and_links_its_runs() {
    let folder = tempfile::tempdir().unwrap();
    let page = compared(folder.path());
    assert!(page.len() < 250_000, "{}", page.len());
    assert!(text(&page).contains("one run of each build is described, not judged"));
    let links = page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let links: Vec<_> = links.filter(|link| link.starts_with("main/") || link.starts_with("fix/")).collect();
    assert_eq!(links.len(), 2, "{links:?}");
    for link in links {
        assert!(folder.path().join(link).is_dir(), "{link}");
    }
}

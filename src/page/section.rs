//! The parts of the page that are words and tables: failures, budgets, delivery, detection, validity, and how it was run.

use std::fmt::Write as _;

use super::colour::{GOOD, GRID};
use super::escape::{Escaped, clip};
use super::svg::{rect, small};
use super::table::{Align, Cell, Table, class_of};
use super::{STYLE, card, omitted};
use crate::display::figure::count;
use crate::display::{Tone, budget, delivery, detection, isolation, verdict};
use crate::record::AnomalyKind;
use crate::results::{Host, Report, StartSkew};
use crate::units::{plural, times};

/// Rows of a list that the scenario makes as long as it likes.
pub(super) const MOST_ROWS: usize = 25;
/// Bytes of the scenario's text, escaped.
const LONGEST_SCENARIO: usize = 16 * 1024;

/// Why readings and connections failed.
pub(super) fn failures(report: &Report) -> String {
    let reasons = report.reasons();
    if reasons.is_empty() {
        return String::new();
    }
    let left = ["reason", "of", "fleet"].map(|name| (name, Align::Left));
    let right = ["count", "devices"].map(|name| (name, Align::Right));
    let last = ["first device", "first reply"].map(|name| (name, Align::Left));
    let mut table = Table::new("failures", left.into_iter().chain(right).chain(last));
    for sum in reasons.iter().take(MOST_ROWS) {
        let of = if sum.is_unmatched() {
            "unmatched messages".to_owned()
        } else if sum.is_remark() {
            "remark".to_owned()
        } else if sum.is_retried() {
            "attempts: retried".to_owned()
        } else {
            format!("{}s: {}", sum.noun(), sum.outcome)
        };
        let reason = Cell::text(&sum.reason).wrapped();
        table.row(vec![
            if sum.is_failure() { reason.toned(Tone::Bad) } else { reason },
            Cell::text(&of),
            Cell::text(&sum.fleet),
            Cell::text(&count(sum.count, STYLE)),
            Cell::text(&count(sum.devices, STYLE)),
            Cell::text(&sum.first_device),
            Cell::text(&clip(&sum.sample, 120)).wrapped(),
        ]);
    }
    let more = reasons.len().saturating_sub(MOST_ROWS);
    card(&(table.draw() + &omitted(more, "reason", "failures.csv")))
}

/// What was demanded, failed budgets first.
pub(super) fn budgets(report: &Report) -> String {
    let results = &report.run.budgets;
    if results.is_empty() {
        return String::new();
    }
    let columns = ["budget", "demanded", "measured", "verdict"].map(|name| (name, Align::Left));
    let mut table = Table::new("budgets", columns);
    let invalid = report.run.is_invalid();
    let mut rows: Vec<_> = results.iter().map(|result| (budget::word(result, invalid), result)).collect();
    rows.sort_by_key(|((_, tone), _)| match tone {
        Tone::Bad => 0,
        Tone::Warning => 1,
        _ => 2,
    });
    for ((word, tone), result) in rows.iter().take(MOST_ROWS) {
        let aborted = if result.aborted { "; it ended the run" } else { "" };
        table.row(vec![
            Cell::text(&result.subject()),
            Cell::text(&result.demand),
            Cell::text(&STYLE.spoken(&result.found())).wrapped(),
            Cell::text(&format!("{word}{aborted}")).toned(*tone),
        ]);
    }
    let more = rows.len().saturating_sub(MOST_ROWS);
    card(&(table.draw() + &omitted(more, "budget", "run.json")))
}

/// A list of texts, each with a word that stands out.
fn list(texts: &[(String, Option<(&'static str, Tone)>)]) -> String {
    let mut out = String::new();
    for (text, word) in texts.iter().take(MOST_ROWS) {
        let text = clip(text, 600);
        let line = match word.and_then(|(word, tone)| Some((text.strip_prefix(word)?, word, tone))) {
            Some((rest, word, tone)) => {
                format!("<b class=\"{}\">{word}</b>{}", class_of(tone), Escaped(rest))
            }
            None => Escaped(&text).to_string(),
        };
        let _ = write!(out, "<li>{line}</li>");
    }
    let more = texts.len().saturating_sub(MOST_ROWS);
    if more > 0 {
        let _ = write!(out, "<li>{} in run.json</li>", plural(more as u64, "further one"));
    }
    if out.is_empty() { out } else { format!("<ul class=\"plain\">{out}</ul>") }
}

/// What the fleets expect of the delivery, and what was found.
pub(super) fn deliveries(report: &Report) -> String {
    let list = list(&delivery::delivery(&report.delivery));
    if list.is_empty() { list } else { card(&list) }
}

/// How many of the seeded anomalies were found.
pub(super) fn detections(report: &Report) -> String {
    let texts: Vec<_> =
        detection::detection(report, true, STYLE).into_iter().map(|text| (text, None)).collect();
    if texts.is_empty() {
        return String::new();
    }
    let mut out = list(&texts);
    let columns = [("anomaly", Align::Left), ("seeded", Align::Right), ("found", Align::Right)];
    let mut table = Table::new("detection", columns.into_iter().chain([("share found", Align::Left)]));
    for kind in AnomalyKind::ALL {
        let score = report.detection.all.of(kind);
        if score.seeded == 0 {
            continue;
        }
        let share = score.found as f64 / score.seeded as f64;
        let mut bar = small(200.0, 10.0, "bar", "share found");
        rect(&mut bar, [0.0, 0.0, 200.0, 10.0], GRID, 1.0);
        rect(&mut bar, [0.0, 0.0, 200.0 * share, 10.0], GOOD, 1.0);
        bar += "</svg>";
        table.row(vec![
            Cell::text(kind.name()),
            Cell::text(&count(score.seeded, STYLE)),
            Cell::text(&count(score.found, STYLE)),
            Cell::markup(bar),
        ]);
    }
    out += &table.draw();
    if !report.detection.arms.is_empty() {
        out += &arms(report);
    }
    card(&out)
}

/// What each of two models that judged side by side came to.
fn arms(report: &Report) -> String {
    let columns = [
        ("model", Align::Left),
        ("precision", Align::Right),
        ("recall", Align::Right),
        ("seeded", Align::Right),
        ("false alarms", Align::Right),
        ("delay", Align::Left),
    ];
    let mut table = Table::new("models", columns);
    for arm in &report.detection.arms {
        let [precision, recall] = detection::shares(arm, STYLE);
        table.row(vec![
            Cell::text(arm.arm.name()),
            Cell::text(&precision),
            Cell::text(&recall),
            Cell::text(&count(arm.score.anomalies().seeded, STYLE)),
            Cell::text(&count(arm.score.false_alarms, STYLE)),
            Cell::text(&detection::delay(arm, STYLE)),
        ]);
    }
    table.draw()
}

/// Facts by name.
pub(super) fn facts(facts: &[(&str, String)]) -> String {
    let mut out = "<dl>".to_owned();
    for (name, fact) in facts.iter().filter(|(_, fact)| !fact.is_empty()) {
        let _ = write!(out, "<dt>{name}</dt><dd>{}</dd>", Escaped(clip(fact, 400)));
    }
    out + "</dl>"
}

/// Whether the figures can be trusted, and what the generator used.
pub(super) fn validity(report: &Report) -> String {
    let run = &report.run;
    let covers = run.validity.as_ref().and_then(|validity| validity.covers.as_ref());
    let mut rows = vec![
        ("measurement", verdict::measurement(report).1),
        ("percentiles that hold", covers.map(|covers| covers.join(", ")).unwrap_or_default()),
        ("generator", verdict::lag(report, STYLE).unwrap_or_default()),
        ("floor", verdict::floor(report, STYLE).unwrap_or_default()),
    ];
    for (nth, used) in run.worker_use.iter().enumerate().take(16) {
        let cpu = used.cpu_s.filter(|_| used.wall_s > 0.0);
        let cpu = cpu.map(|cpu_s| format!("{:.0} % of a core", cpu_s / used.wall_s * 100.0));
        let starved = used
            .starved_share
            .map(|share| format!("ready without a processor {:.1} % of the measured phases", share * 100.0));
        let name = if nth == 0 { "workers" } else { "" };
        let texts: Vec<_> = cpu.into_iter().chain(starved).collect();
        rows.push((name, format!("worker {nth}: {}", texts.join("; "))));
    }
    let texts = isolation::isolation(&run.encounters, STYLE);
    rows.extend(texts.into_iter().take(8).map(|text| ("isolation", text)));
    card(&facts(&rows))
}

/// What generated the load, in a line.
pub(super) fn machine(host: &Host) -> String {
    let mut machine = vec![format!("{}: {}", host.name, plural(host.cores.into(), "core"))];
    machine.extend(host.cpu_model.clone());
    machine.extend(host.memory_bytes.map(|bytes| format!("{:.0} GiB", bytes as f64 / 1_073_741_824.0)));
    machine.push(host.kernel.clone());
    machine.join(", ")
}

/// How it was run and on what, the scenario, and where the files are.
pub(super) fn environment(report: &Report, base: &str) -> String {
    let run = &report.run;
    let mut rows = vec![
        ("run", run.run_id.clone()),
        ("state", run.ending().to_owned()),
        ("label", run.label.clone()),
        ("started", run.started.clone()),
        ("ended", run.ended.clone().unwrap_or_default()),
        ("seed", run.seed.clone()),
        ("plan digest", run.plan_digest.clone()),
        ("overrides", run.scenario.overrides.join(" ")),
        ("generator", machine(&run.host)),
        ("workers", run.workers.to_string()),
        ("source addresses", run.source_ips.join(", ")),
        ("squall", format!("{}, files of schema {}", run.tool_version, run.schema)),
    ];
    rows.extend(run.plan_altered.iter().map(|altered| ("plan altered", altered.sentence())));
    if run.faults_by_hand > 0 {
        let text = format!(
            "switched {}: not comparable with other runs of this plan",
            times(run.faults_by_hand.into())
        );
        rows.push(("faults by hand", text));
    }
    rows.extend(run.shard.iter().map(|part| ("shard", part.shard.to_string())));
    let merged = run.merged.iter().take(16);
    rows.extend(merged.map(|part| ("merged from", format!("{} ({})", part.run_id, part.shard))));
    rows.extend(StartSkew::of(&run.merged).map(|skew| ("shards began", skew.to_string())));
    let mut out = facts(&rows);
    let targets: Vec<_> =
        run.fleets.iter().map(|fleet| ("target", fleet.sentence())).take(MOST_ROWS).collect();
    if !targets.is_empty() {
        out += &facts(&targets);
    }
    out += &scenario(&run.scenario.text);
    card(&(out + &files(base)))
}

/// The scenario's text, folded; nothing without one.
pub(super) fn scenario(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    format!(
        "<details><summary>scenario</summary><pre tabindex=\"0\" role=\"group\" aria-label=\"Scenario\">{}</pre></details>",
        shortened(text)
    )
}

fn shortened(text: &str) -> String {
    let escaped = Escaped(text).to_string();
    if escaped.len() <= LONGEST_SCENARIO {
        return escaped;
    }
    let whole = escaped.lines().scan(0, |taken, line| {
        *taken += line.len() + 1;
        (*taken <= LONGEST_SCENARIO).then_some(line)
    });
    let lines: Vec<_> = whole.collect();
    lines.join("\n") + "\n… (run.json has the rest)"
}

const FILES: [(&str, &str); 9] = [
    ("run.json", "the manifest"),
    ("summary.csv", "figures by phase and fleet"),
    ("intervals.csv", "figures over time"),
    ("latency.hlog", "HDR histograms"),
    ("events.csv", "what happened when"),
    ("failures.csv", "why readings failed"),
    ("slowest.csv", "the slowest readings"),
    ("faults.csv", "what faults did"),
    ("anomalies.csv", "readings with an anomaly"),
];

/// Links to the files of the run, at `base` as seen from the page.
fn files(base: &str) -> String {
    let mut links = Vec::new();
    for (name, what) in FILES {
        links.push(format!("<a href=\"{}{name}\">{name}</a> ({what})", address(base)));
    }
    format!(
        "<p class=\"soft\">Files of the run, as long as this page stands where it was written: {}</p>",
        links.join(", ")
    )
}

/// A path as a relative reference.
pub(super) fn address(path: &str) -> String {
    let mut out = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    if out.is_empty() || out.ends_with('/') { out } else { out + "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_relative_and_harmless() {
        for (path, shown) in [
            ("", ""),
            ("../results/a b", "../results/a%20b/"),
            ("javascript:x\"><", "javascript%3Ax%22%3E%3C/"),
        ] {
            assert_eq!(address(path), shown);
        }
    }
}

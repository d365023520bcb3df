//! The table at the end of a run: whether to trust it, what was measured, what was demanded, and where the files are.

use super::budget::budgets;
use super::delivery::delivery;
use super::detection::detection;
use super::failure::{failures, has_failures, hints, notes, service};
use super::figure::{Marks, count, dash, rate, time};
use super::grid::{Grid, clip, wrap};
use super::recovery::recovery;
use super::style::{Style, Tone};
use crate::record::Judgement;
use crate::results::{Figures, Millis, Percentile, Report, RunState, SummaryRow};
use crate::units::Quantile;

/// Columns that give way on a narrow screen, the first one first: p99.9, ok, the maximum, service p99.
const EXPENDABLE: [usize; 4] = [6, 2, 7, 8];

/// The end of a run as a text of at most `width` columns (60 at least), each line ended. `report` may be fresh or stored.
pub(crate) fn verdict(report: &Report, width: usize, style: Style) -> String {
    let width = width.max(60);
    let mut lines = heading(report, width, style);
    let mut marks = Marks::default();
    lines.push(String::new());
    if report.summary.iter().any(|row| row.figures.planned > 0) {
        lines.extend(figures(report, &mut marks, style).draw(width, style));
    } else {
        lines.push("nothing was measured".to_owned());
    }
    lines.push(String::new());
    let faults = recovery(report, width, style);
    if !faults.is_empty() {
        lines.extend(faults);
        lines.push(String::new());
    }
    for (label, text) in failures(report, style) {
        lines.extend(labelled(label, &text, width, style));
    }
    for text in hints(report) {
        lines.extend(labelled("hint", &text, width, style));
    }
    for fleet in &report.run.fleets {
        // Never broken, so that it can be copied.
        lines.extend(labelled("target", &fleet.sentence(), usize::MAX, style));
    }
    lines.extend(facts(report, width, style));
    for text in detection(report, style) {
        lines.extend(labelled("detection", &text, width, style));
    }
    for (text, word) in delivery(&report.delivery) {
        lines.extend(stressed(labelled("delivery", &text, width, style), word, style));
    }
    for (text, word) in budgets(&report.run.budgets, report.run.is_invalid()) {
        lines.extend(stressed(labelled("budget", &text, width, style), word, style));
    }
    if let Some(text) = super::failure::warning(report) {
        lines.extend(stressed(labelled("warning", &text, width, style), Some((&text, Tone::Warning)), style));
    }
    if let Some(shard) = report.run.shard.as_ref().filter(|shard| !shard.budgets.is_empty()) {
        let text = format!("{} of all shards together; squall merge judges them", shard.budgets.len());
        lines.extend(labelled("budget", &text, width, style));
    }
    // Never broken, so that it can be copied.
    lines.extend(labelled("files", &report.directory.display().to_string(), usize::MAX, style));
    lines.extend(footnotes(marks, style));
    let lines: Vec<_> = lines.iter().map(|line| line.trim_end()).collect();
    lines.join("\n") + "\n"
}

/// Text with a word in the margin, in as many lines as it takes.
fn labelled(label: &str, text: &str, width: usize, style: Style) -> Vec<String> {
    const MARGIN: usize = 11;
    let margin = |index| {
        let label = if index == 0 { label } else { "" };
        style.paint(&format!("{label:<MARGIN$}"), Tone::Faint)
    };
    wrap(text, width - MARGIN)
        .iter()
        .enumerate()
        .map(|(index, line)| format!("{}{line}", margin(index)))
        .collect()
}

fn heading(report: &Report, width: usize, style: Style) -> Vec<String> {
    let run = &report.run;
    let idle =
        report.summary.iter().find(|row| row.is_headline()).is_some_and(|row| row.figures.planned == 0);
    let name = clip(&run.scenario.name, width / 2, style);
    let run_id = clip(&run.run_id, width - name.chars().count() - 3, style);
    let mut title = vec![style.paint(&name, Tone::Strong), run_id];
    title.extend(run.shard.as_ref().map(|part| format!("shard {}", part.shard)));
    title.extend(
        run.merged.first().map(|first| format!("{} of {} shards", run.merged.len(), first.shard.of())),
    );
    if run.state != RunState::Complete {
        title.push(run.ending().to_owned());
    }
    let mut lines = vec![title.join(style.dot())];
    let Some(validity) = &run.validity else {
        lines.push("not judged".to_owned());
        return lines;
    };
    let (tone, meaning) = match validity.verdict {
        Judgement::Valid if idle => (Tone::Warning, "nothing was measured"),
        Judgement::Valid => (Tone::Good, "the generator kept to its plan"),
        Judgement::Suspect => (Tone::Warning, "the generator may have affected the figures"),
        Judgement::Invalid if idle => (Tone::Bad, "nothing was measured"),
        Judgement::Invalid => (Tone::Bad, "the generator was the bottleneck, not the service"),
    };
    let text = format!("{}: {meaning}", validity.verdict.name());
    lines.extend(judgement("measurement", &text, validity.verdict.name(), tone, width, style));
    for reason in &validity.reasons {
        for (index, line) in wrap(reason, width - 4).into_iter().enumerate() {
            lines.push(format!("{}{line}", if index == 0 { "  - " } else { "    " }));
        }
    }
    if let Some((text, tone)) = service(report, style) {
        lines.extend(judgement("service", &text, &text, tone, width, style));
    }
    lines
}

/// One of the two judgements of a run, with `word` painted: what it says of the measurement must not pass for what it says of the
/// service.
fn judgement(label: &str, text: &str, word: &str, tone: Tone, width: usize, style: Style) -> Vec<String> {
    const MARGIN: usize = 13;
    let lines = wrap(text, width - MARGIN);
    let whole = lines.len() == 1 || word != text;
    let painted = |(index, line): (usize, &String)| {
        let label = if index == 0 { label } else { "" };
        let line = match (index, whole) {
            (0, true) => line.replacen(word, &style.paint(word, tone), 1),
            (_, true) => line.clone(),
            (_, false) => style.paint(line, tone),
        };
        format!("{label:<MARGIN$}{line}")
    };
    lines.iter().enumerate().map(painted).collect()
}

fn figures(report: &Report, marks: &mut Marks, style: Style) -> Grid {
    let rows = &report.summary;
    let mut grid = Grid::new(&EXPENDABLE);
    let header = ["response time", "planned", "ok", "failed", "p50", "p99", "p99.9", "max", "service p99"];
    grid.cells(header.map(str::to_owned).to_vec(), Some(Tone::Faint));
    let (headline, rows): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.is_headline());
    // With one fleet and one measured phase the headline would only repeat the line above it.
    let headline: Vec<_> =
        headline.into_iter().filter(|row| row.figures.planned > 0 && !group_of_one(&rows, row)).collect();
    for group in rows.chunk_by(|a, b| a.phase == b.phase) {
        for kind in ["connect", "reading"] {
            let rows: Vec<_> = group.iter().copied().filter(|row| row.kind == kind).collect();
            let Some(first) = rows.first() else { continue };
            grid.text(phase_heading(first, &rows, style), Some(Tone::Strong));
            for row in rows {
                // A kept budget is said once, in the headline; unless that is left out.
                let within = row
                    .figures
                    .within_budget
                    .filter(|within| headline.is_empty() || *within < row.figures.planned);
                let figures = Figures { within_budget: within, ..row.figures.clone() };
                let name = format!("  {} {}", row.fleet, row.protocol);
                add_row(&mut grid, name, &SummaryRow { figures, ..row.clone() }, report, marks, style);
            }
        }
    }
    for row in headline {
        grid.text(phase_heading(row, &[row], style), Some(Tone::Strong));
        // Readings of fleets without a budget are in neither part of that share.
        let budgeted = rows.iter().all(|row| row.kind != "reading" || row.figures.within_budget.is_some());
        let within_budget = row.figures.within_budget.filter(|_| budgeted);
        let figures = Figures { within_budget, ..row.figures.clone() };
        let row = SummaryRow { figures, ..row.clone() };
        add_row(&mut grid, "  all fleets".to_owned(), &row, report, marks, style);
    }
    grid
}

/// Whether `headline` says the same as a single one of `rows`.
fn group_of_one(rows: &[&SummaryRow], headline: &SummaryRow) -> bool {
    rows.iter().any(|row| row.kind == headline.kind && row.figures == headline.figures)
}

fn phase_heading(first: &SummaryRow, rows: &[&SummaryRow], style: Style) -> String {
    if first.kind == "connect" {
        return format!("connections{}{}", style.dot(), first.phase);
    }
    let name = if first.is_headline() { "measured" } else { &first.phase };
    let planned: u64 = rows.iter().map(|row| row.figures.planned).sum();
    let ok: f64 = rows.iter().map(|row| row.figures.rate_per_s).sum();
    let length = time((first.duration_s * 1e9) as u64, style);
    if first.duration_s <= 0.0 {
        return name.to_owned();
    }
    let offered = rate(planned as f64 / first.duration_s, style);
    [name.to_owned(), length, format!("offered {offered}"), format!("ok {}", rate(ok, style))]
        .join(style.dot())
}

fn add_row(
    grid: &mut Grid,
    name: String,
    row: &SummaryRow,
    report: &Report,
    marks: &mut Marks,
    style: Style,
) {
    let figures = &row.figures;
    let ended = figures.ended();
    let failed = figures.failed();
    let mut tail = |quantile| marks.tail(figures.percentile(quantile), quantile, ended, style);
    let [p50, p99, p99_9] = [Quantile::P50, Quantile::P99, Quantile::P99_9].map(&mut tail);
    let service = figures.service_p99_ms.map(|time| Percentile { ns: time.as_ns(), censored: false });
    let cells = vec![
        name,
        count(figures.planned, style),
        count(figures.ok, style),
        if failed == 0 { dash(style).to_owned() } else { count(failed, style) },
        p50,
        p99,
        p99_9,
        marks.bounded(figures.max(), style),
        marks.tail(service, Quantile::P99, figures.ok, style),
    ];
    grid.cells(cells, None);
    let mut notes = notes(row, &report.failures, style);
    if has_failures(figures) && figures.ok_p50_ms.is_some() {
        let mut ok = |time: Option<Millis>, quantile| {
            let time = time.map(|time| Percentile { ns: time.as_ns(), censored: false });
            marks.tail(time, quantile, figures.ok, style)
        };
        let (p50, p99) = (ok(figures.ok_p50_ms, Quantile::P50), ok(figures.ok_p99_ms, Quantile::P99));
        notes.push(format!("of those ok: p50 {p50}, p99 {p99}"));
    }
    if !notes.is_empty() {
        let tone = if failed > 0 { Tone::Warning } else { Tone::Faint };
        grid.text(format!("    {}", notes.join(style.dot())), Some(tone));
    }
}

/// Where the time goes, and how well the generator kept its plan.
fn facts(report: &Report, width: usize, style: Style) -> Vec<String> {
    let Some(headline) = report.summary.iter().find(|row| row.is_headline()) else { return Vec::new() };
    let figures = &headline.figures;
    let shown = |time_ms: Option<Millis>| time_ms.map(|ms| time(ms.as_ns(), style));
    let stages = [
        ("network", figures.stage_network_p50_ms),
        ("queue", figures.stage_queue_p50_ms),
        ("cache", figures.stage_cache_p50_ms),
        ("inference", figures.stage_inference_p50_ms),
    ];
    let stages: Vec<_> =
        stages.into_iter().filter_map(|(name, ms)| Some(format!("{name} {}", shown(ms)?))).collect();
    let mut lines = Vec::new();
    if !stages.is_empty() {
        let text = format!("median: {}", stages.join(style.dot()));
        lines.extend(labelled("stages", &text, width, style));
    }
    if let (Some(p50), Some(p99)) = (shown(figures.pacing_lag_p50_ms), shown(figures.pacing_lag_p99_ms)) {
        let text = format!("lag p50 {p50}, p99 {p99} ({} pacer)", report.run.pacer.kind);
        lines.extend(labelled("generator", &text, width, style));
    }
    lines.extend(floor(report, style).iter().flat_map(|text| labelled("floor", text, width, style)));
    lines
}

/// How far above the machine's own floor the fleets' medians are.
fn floor(report: &Report, style: Style) -> Option<String> {
    let calibration = report.run.calibration.as_ref()?;
    let fleets: Vec<_> =
        calibration.times_floor.iter().map(|(fleet, times)| format!("{fleet} {times:.1}")).collect();
    let floors = calibration.floor_p50_ms.iter();
    let floors: Vec<_> =
        floors.map(|(protocol, ms)| format!("{protocol} {}", time((ms * 1e6) as u64, style))).collect();
    let day = calibration.calibrated.get(..10).unwrap_or_default();
    (!fleets.is_empty()).then(|| {
        format!(
            "medians in multiples of this machine's floor: {} (floor {}, calibrated {day})",
            fleets.join(style.dot()),
            floors.join(style.dot())
        )
    })
}

/// `lines` with the first such word of their first line painted.
fn stressed(mut lines: Vec<String>, word: Option<(&str, Tone)>, style: Style) -> Vec<String> {
    if let (Some(first), Some((word, tone))) = (lines.first_mut(), word) {
        *first = first.replacen(word, &style.paint(word, tone), 1);
    }
    lines
}

fn footnotes(marks: Marks, style: Style) -> Vec<String> {
    let notes = [
        (marks.weak, "~ fewer than 100 samples lie beyond this percentile"),
        (marks.unsupported, "n/a: fewer than 10 samples lie beyond this percentile"),
        (marks.censored, "> at least: a failed reading counts as its time-out or more"),
    ];
    notes.into_iter().filter(|(used, _)| *used).map(|(_, text)| style.paint(text, Tone::Faint)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::record::Validity;
    use crate::results::{
        BudgetResult, ClockFacts, DetectionCount, Detections, Expectation, FirstViolation, FleetDelivery,
        Host, Manifest, PacerFacts, RecoveryRule, SCHEMA, ScenarioText, Score,
    };

    const RICH: Style = Style { colour: false, ascii: false };

    fn manifest(verdict: Judgement, reasons: &[&str]) -> Manifest {
        Manifest {
            schema: SCHEMA,
            tool_version: "0.1.0".into(),
            label: "main".into(),
            run_id: "2026-11-20T21-41-15Z-main".into(),
            state: RunState::Complete,
            seed: "7".into(),
            plan_digest: "ab".into(),
            scenario: ScenarioText { name: "quickstart".into(), text: String::new(), overrides: Vec::new() },
            started: String::new(),
            ended: None,
            host: Host {
                name: String::new(),
                kernel: String::new(),
                cores: 2,
                cpu_model: None,
                memory_bytes: None,
            },
            clock: ClockFacts { resolution_ns: 30 },
            pacer: PacerFacts { kind: "timerfd".into(), slack_ns: 0, awake_ns: 50_000 },
            workers: 2,
            targets: BTreeMap::new(),
            source_ips: Vec::new(),
            worker_use: Vec::new(),
            pacing_lag: None,
            calibration: None,
            validity: Some(Validity {
                verdict,
                reasons: reasons.iter().map(ToString::to_string).collect(),
                ..Validity::new()
            }),
            budgets: Vec::new(),
            anomaly_rows_omitted: 0,
            faults_by_hand: 0,
            recovery: RecoveryRule::default(),
            fault_spells_omitted: 0,
            switches_omitted: 0,
            delivery: Vec::new(),
            failures: Vec::new(),
            refused: None,
            shard: None,
            start_at: None,
            merged: Vec::new(),
            exit_code: None,
            fleets: Vec::new(),
        }
    }

    fn row(keys: [&str; 4], duration_s: f64, figures: Figures) -> SummaryRow {
        let [phase, fleet, protocol, kind] = keys.map(str::to_owned);
        SummaryRow { duration_s, phase, fleet, protocol, kind, figures }
    }

    fn quick(planned: u64, seconds: f64, slower: u64) -> Figures {
        let us = |us: u64| Some(Millis(us * slower * 1_000));
        Figures {
            planned,
            sent: planned,
            ok: planned,
            rate_per_s: planned as f64 / seconds,
            p50_ms: us(412),
            p99_ms: us(1_243),
            p99_9_ms: us(3_108),
            max_ms: us(8_211),
            service_p99_ms: us(1_199),
            ..Figures::default()
        }
    }

    fn troubled() -> Figures {
        Figures {
            ok: 11_900,
            timeout: 60,
            error: 40,
            error_reset: 40,
            late: 3,
            within_budget: Some(11_899),
            censored: 100,
            censored_floor_ms: Some(Millis(5_000_000_000)),
            p99_9_ms: Some(Millis(5_003_800_000)),
            max_ms: Some(Millis(5_003_800_000)),
            rate_per_s: 11_900.0 / 30.0,
            ..quick(12_000, 30.0, 2)
        }
    }

    fn report() -> Report {
        let measured = Figures {
            stage_network_p50_ms: Some(Millis(210_000)),
            stage_queue_p50_ms: Some(Millis(80_000)),
            stage_cache_p50_ms: Some(Millis(1_400)),
            stage_inference_p50_ms: Some(Millis(101_000)),
            pacing_lag_p50_ms: Some(Millis(61_000)),
            pacing_lag_p99_ms: Some(Millis(188_000)),
            ..troubled()
        };
        let mut run = manifest(Judgement::Valid, &[]);
        let budget = |demand: &str, measured: Option<&str>, met| BudgetResult {
            demand: demand.into(),
            fleet: "pumps".into(),
            measured: measured.map(str::to_owned),
            met,
            ..BudgetResult::default()
        };
        run.budgets = vec![
            budget("p99 < 250 ms", Some("2.49 ms"), true),
            budget("errors < 0.1 %", Some("0.83 %"), false),
        ];
        Report {
            run,
            directory: "results/quickstart/2026-11-20T21-41-15Z-main".into(),
            summary: vec![
                row(
                    ["connect", "meters", "http", "connect"],
                    3.0,
                    Figures { sent: 0, service_p99_ms: None, ..quick(300, 3.0, 1) },
                ),
                row(["warm-up", "meters", "http", "reading"], 5.0, quick(4_000, 5.0, 1)),
                row(["steady", "meters", "http", "reading"], 30.0, quick(1_234_000, 30.0, 1)),
                row(["steady", "pumps", "mqtt", "reading"], 30.0, troubled()),
                row(["all", "all", "all", "reading"], 30.0, measured),
            ],
            detection: Detections::default(),
            faults: Vec::new(),
            failures: Vec::new(),
            delivery: Vec::new(),
        }
    }

    #[test]
    fn the_table_of_a_run_is_calm_and_complete() {
        insta::assert_snapshot!(verdict(&report(), 100, RICH), @r#"
quickstart · 2026-11-20T21-41-15Z-main
measurement  valid: the generator kept to its plan
service      11 900 of 12 000 readings answered ok; 0.84 % failed

response time    planned         ok  failed     p50       p99    p99.9      max  service p99
connections · connect
  meters http        300        300       –  412 µs       n/a      n/a  8.21 ms            –
warm-up · 5.00 s · offered 800/s · ok 800/s
  meters http      4 000      4 000       –  412 µs  ~1.24 ms      n/a  8.21 ms     ~1.20 ms
steady · 30.0 s · offered 41 533/s · ok 41 530/s
  meters http  1 234 000  1 234 000       –  412 µs   1.24 ms  3.11 ms  8.21 ms      1.20 ms
  pumps mqtt      12 000     11 900     100  824 µs   2.49 ms    ~>5 s     >5 s      2.40 ms
    timeout: 60 · reset errors: 40 · late answers: 3 · within budget 99.15 %
measured · 30.0 s · offered 400/s · ok 397/s
  all fleets      12 000     11 900     100  824 µs   2.49 ms    ~>5 s     >5 s      2.40 ms
    timeout: 60 · reset errors: 40 · late answers: 3

stages     median: network 210 µs · queue 80.0 µs · cache 1.40 µs · inference 101 µs
generator  lag p50 61.0 µs, p99 188 µs (timerfd pacer)
budget     1 of 2 failed
budget     failed pumps: errors < 0.1 %, measured 0.83 %
budget     met pumps: p99 < 250 ms, measured 2.49 ms
files      results/quickstart/2026-11-20T21-41-15Z-main
~ fewer than 100 samples lie beyond this percentile
n/a: fewer than 10 samples lie beyond this percentile
> at least: a failed reading counts as its time-out or more
"#);
    }

    #[test]
    fn a_narrow_plain_stream_gets_ascii_and_fewer_columns() {
        let text = verdict(&report(), 72, Style::PLAIN);
        assert!(text.is_ascii(), "{text}");
        insta::assert_snapshot!(text, @r#"
quickstart, 2026-11-20T21-41-15Z-main
measurement  valid: the generator kept to its plan
service      11,900 of 12,000 readings answered ok; 0.84 % failed

response time    planned  failed     p50       p99      max  service p99
connections, connect
  meters http        300       -  412 us       n/a  8.21 ms            -
warm-up, 5.00 s, offered 800/s, ok 800/s
  meters http      4,000       -  412 us  ~1.24 ms  8.21 ms     ~1.20 ms
steady, 30.0 s, offered 41,533/s, ok 41,530/s
  meters http  1,234,000       -  412 us   1.24 ms  8.21 ms      1.20 ms
  pumps mqtt      12,000     100  824 us   2.49 ms     >5 s      2.40 ms
    timeout: 60, reset errors: 40, late answers: 3, within budget 99.15
    %
measured, 30.0 s, offered 400/s, ok 397/s
  all fleets      12,000     100  824 us   2.49 ms     >5 s      2.40 ms
    timeout: 60, reset errors: 40, late answers: 3

stages     median: network 210 us, queue 80.0 us, cache 1.40 us,
           inference 101 us
generator  lag p50 61.0 us, p99 188 us (timerfd pacer)
budget     1 of 2 failed
budget     failed pumps: errors < 0.1 %, measured 0.83 %
budget     met pumps: p99 < 250 ms, measured 2.49 ms
files      results/quickstart/2026-11-20T21-41-15Z-main
~ fewer than 100 samples lie beyond this percentile
n/a: fewer than 10 samples lie beyond this percentile
> at least: a failed reading counts as its time-out or more
"#);
    }

    #[test]
    fn a_run_that_cannot_be_trusted_says_so_and_why() {
        let reason = "pacing lag p99 of 4.1 ms is more than 10 % of the measured p50 of 12 ms, so that the generator adds to what it measures";
        let mut report = report();
        report.run = manifest(Judgement::Invalid, &[reason, "the machine was saturated"]);
        report.run.state = RunState::Interrupted;
        report.summary.clear();
        insta::assert_snapshot!(verdict(&report, 80, RICH), @r#"
quickstart · 2026-11-20T21-41-15Z-main · interrupted
measurement  invalid: the generator was the bottleneck, not the service
  - pacing lag p99 of 4.1 ms is more than 10 % of the measured p50 of 12 ms, so
    that the generator adds to what it measures
  - the machine was saturated

nothing was measured

files      results/quickstart/2026-11-20T21-41-15Z-main
"#);
    }

    #[test]
    fn what_was_seeded_and_found_stands_beside_the_other_facts() {
        let mut report = report();
        report.detection.all = Score {
            spike: DetectionCount { seeded: 121, found: 118 },
            shift: DetectionCount { seeded: 10, found: 9 },
            judged_normal: 95_012,
            false_alarms: 114,
            ..Score::default()
        };
        report.run.anomaly_rows_omitted = 1_000;
        let text = verdict(&report, 100, Style::PLAIN);
        let lines: Vec<_> = text.lines().skip_while(|line| !line.starts_with("generator")).take(4).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
generator  lag p50 61.0 us, p99 188 us (timerfd pacer)
detection  spikes 118 of 121 found, shifts 9 of 10 found, false alarms 0.12 % of 95,012 normal
           readings
detection  not scored: 1,000 readings with an anomaly, more than anomalies.csv holds per interval
");
    }

    #[test]
    fn faults_and_deliveries_have_their_place_between_the_figures_and_the_budgets() {
        let mut report = report();
        report.run.fault_spells_omitted = 7;
        report.delivery = vec![FleetDelivery {
            fleet: "pumps".into(),
            expects: Expectation { no_loss: true, ..Expectation::default() },
            lost: 60,
            first_lost: Some(FirstViolation { device: "pumps-00017".into(), seq: 42, t_s: 12.5 }),
            duplicated: 0,
            first_duplicated: None,
            reordered: 0,
            first_reordered: None,
            late: 3,
            kept: Some(false),
        }];
        let text = verdict(&report, 100, Style::PLAIN);
        let lines: Vec<_> = text.lines().skip_while(|line| !line.starts_with("faults")).take(9).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
faults  kind  at  for  devices  worst p99  failed  recovered after  backlog
  7 further activations, more than faults.csv holds
  recovered = 3 s without more failures and p99 at most 2 x its level before, its worst, or 1 ms
  above

stages     median: network 210 us, queue 80.0 us, cache 1.40 us, inference 101 us
generator  lag p50 61.0 us, p99 188 us (timerfd pacer)
delivery   broken pumps: 60 lost, first pumps-00017 seq 42
budget     1 of 2 failed
");
    }

    #[test]
    fn no_line_is_wider_than_the_screen_and_colour_adds_no_width() {
        for width in [60, 72, 80, 100] {
            for line in verdict(&report(), width, RICH).lines().filter(|line| !line.starts_with("files")) {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
        let coloured = verdict(&report(), 100, Style { colour: true, ascii: false });
        assert!(coloured.contains("\u{1b}[1;32mvalid\u{1b}[0m"), "{coloured}");
        let mut bare = String::new();
        for (index, part) in coloured.split('\u{1b}').enumerate() {
            bare.push_str(if index == 0 { part } else { part.split_once('m').unwrap().1 });
        }
        let trimmed = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
        assert_eq!(trimmed(&bare), trimmed(&verdict(&report(), 100, RICH)));
    }
}

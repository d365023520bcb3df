//! The page as a whole: golden pictures, the size of the fullest page, and what it leaves out.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde_json::json;

use super::*;
use crate::results::{Column, Curves, Detections, FleetTail, Mark, Millis, Outage, Stretch, row_of};

const MS: u64 = 1_000_000;

fn times(counts: impl IntoIterator<Item = (u64, u64)>) -> Histogram<u64> {
    let mut times = Histogram::new_with_bounds(1, 3_600_000 * MS, 3).unwrap();
    for (ns, count) in counts {
        times.record_n(ns, count).unwrap();
    }
    times
}

fn column(ok: u64, failed: u64, p50: u64, p99: u64) -> Column {
    let heat = BTreeMap::from([(row_of(p50), ok), (row_of(p50) + 1, ok), (row_of(p99), failed.max(1))]);
    Column {
        outcomes: Outcomes { planned: ok + failed, ok, timeout: failed, ..Outcomes::default() },
        open: Some(failed),
        overdue: Some(failed / 2),
        lag_p50: Some(50_000),
        lag_p99: Some(if failed > 0 { 400 * MS } else { 200_000 }),
        p50: Some(p50),
        p99: Some(p99),
        max: Some(p99),
        heat,
        ..Column::default()
    }
}

fn stretch(name: &str, start_s: f64, end_s: f64) -> Stretch {
    Stretch { name: name.to_owned(), start_s, end_s }
}

fn outage(name: &str, start_s: f64, end_s: f64) -> Outage {
    serde_json::from_value(json!({
        "fault": name, "layer": "service", "kind": "stall", "turn": 0, "planned_s": start_s,
        "start_s": start_s, "end_s": end_s, "instant": false, "devices": 0, "acted": 0,
        "state": "recovered", "recovered_after_s": 0.5, "p99_before_ms": 1.5, "worst_p99_ms": 9_900.0,
        "worst_p99_censored": false, "worst_at_s": start_s, "ok": 10, "shed": 0, "error": 0, "timeout": 3,
        "lost": 0, "dropped": 0, "duplicated": 0, "reordered": 0, "first_ok_after_s": 0.1,
        "backlog_before": 2, "peak_backlog": 10_000, "backlog_drained_after_s": 10.0, "reconnected": 0,
        "peak_reconnects_per_s": null, "reconnected_99_after_s": null, "remark": "a remark",
    }))
    .unwrap()
}

/// Four seconds with a fault in the third.
fn small() -> (History, Vec<Outage>) {
    let columns = vec![
        column(100, 0, MS, 4 * MS),
        column(120, 0, MS, 5 * MS),
        column(60, 40, 2 * MS, 900 * MS),
        column(100, 0, MS, 4 * MS),
    ];
    let history = History {
        column_s: 1.0,
        intervals: 1,
        end_s: 4.0,
        phases: vec![stretch("calm", 0.0, 2.0), stretch("storm", 2.0, 4.0)],
        marks: vec![Mark { event: "fleet_cut".into(), text: "meters: 10".into(), at_s: 1.0 }],
        columns,
        ..History::default()
    };
    (history, vec![outage("freeze", 2.0, 3.0)])
}

/// A picture with an element a line.
fn lines(svg: &str) -> String {
    svg.replace("><", ">\n<")
}

#[test]
fn golden_lanes() {
    let (history, faults) = small();
    insta::assert_snapshot!(lines(&timeline::lanes(&Frame { history: &history, faults: &faults })), @r##"
<svg xmlns="http://www.w3.org/2000/svg" width="1080" height="70" viewBox="0 0 1080 70" class="panel" role="img" aria-label="Phases, faults and other events over time" font-size="11.5" font-family="sans-serif">
<defs>
<g id="bands">
<path d="M488,0h244v400h-244z" fill="#c2550a" class="f-band" fill-opacity="0.12"/>
<path d="M244,0v400" class="s-band" stroke="#c2550a" stroke-width="1.2" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<path d="M854,0v400" class="s-good" stroke="#1d7d5a" stroke-width="1.4" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke" stroke-dasharray="4 3"/>
<path d="M488,0v400" class="s-axis" stroke="#6b7480" stroke-width="0.6" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke" stroke-dasharray="1 3"/>
</g>
</defs>
<text x="76" y="19" text-anchor="end" fill="#59616d" class="t-soft">phases</text>
<text x="76" y="43" text-anchor="end" fill="#c2550a" class="t-band">freeze</text>
<text x="76" y="63" text-anchor="end" fill="#c2550a" class="t-band">fleet cut</text>
<svg x="84" y="0" width="976" height="70" viewBox="0 0 976 70" preserveAspectRatio="none" class="plot">
<path d="M0,4h488v22h-488z" fill="#6b7480" class="f-axis" fill-opacity="0.22"/>
<path d="M488,4h488v22h-488z" fill="#6b7480" class="f-axis" fill-opacity="0.11"/>
<path d="M488,32h244v14h-244z" fill="#c2550a" class="f-band" fill-opacity="0.85"/>
<path d="M732,44h122v3h-122z" fill="#1d7d5a" class="f-good"/>
<path d="M243,52h2.5v14h-2.5z" fill="#c2550a" class="f-band"/>
</svg>
<text x="328" y="19" text-anchor="middle" fill="#1c1f24" class="t-ink" data-t="1.000">calm</text>
<text x="816" y="19" text-anchor="middle" fill="#1c1f24" class="t-ink" data-t="3.000">storm</text>
<text x="822" y="42" text-anchor="start" fill="#1d7d5a" class="t-good s-card" paint-order="stroke" stroke="#ffffff" stroke-width="3.5" data-t="3.000">stall: recovered after 500 ms</text>
<text x="336" y="63" text-anchor="start" fill="#c2550a" class="t-band s-card" paint-order="stroke" stroke="#ffffff" stroke-width="3.5" data-t="1.000">meters: 10</text>
</svg>
"##);
}

#[test]
fn golden_heat_map() {
    let (history, faults) = small();
    insta::assert_snapshot!(lines(&strip::heat(&Frame { history: &history, faults: &faults })), @r##"
<svg xmlns="http://www.w3.org/2000/svg" width="1080" height="300" viewBox="0 0 1080 300" class="panel" role="img" aria-label="Heat map of response times over time, with median and 99th percentile" font-size="11.5" font-family="sans-serif">
<path d="M84,292H1060" class="s-grid" stroke="#eceef0" stroke-width="1" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<text x="76" y="296" text-anchor="end" fill="#59616d" class="t-soft">1 ms</text>
<path d="M84,210.9H1060" class="s-grid" stroke="#eceef0" stroke-width="1" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<text x="76" y="214.9" text-anchor="end" fill="#59616d" class="t-soft">10 ms</text>
<path d="M84,129.7H1060" class="s-grid" stroke="#eceef0" stroke-width="1" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<text x="76" y="133.7" text-anchor="end" fill="#59616d" class="t-soft">100 ms</text>
<path d="M84,48.6H1060" class="s-grid" stroke="#eceef0" stroke-width="1" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<text x="76" y="52.6" text-anchor="end" fill="#59616d" class="t-soft">1 s</text>
<svg x="84" y="0" width="976" height="300" viewBox="0 0 976 300" preserveAspectRatio="none" class="plot">
<g transform="translate(0,289.1) scale(244.00000,-5.79592)" fill="none" stroke-width="1.04">
<path d="M0 8h1m2 0h1M1 9h1" stroke="#cbe0f2" class="h2"/>
<path d="M2 41h1" stroke="#125090" class="h8"/>
<path d="M2 4h1M2 5h1" stroke="#083a70" class="h9"/>
<path d="M0 0h2m1 0h1M0 1h2m1 0h1" stroke="#05264d" class="h10"/>
</g>
<use href="#bands"/>
<defs>
<path id="line-ink" d="M122,292L366,292L610,267.6L854,292" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
</defs>
<use href="#line-ink" class="s-card" stroke="#ffffff" stroke-width="3.5"/>
<use href="#line-ink" class="s-ink" stroke="#1c1f24" stroke-width="1.5"/>
<defs>
<path id="line-p99" d="M122,243.1L366,235.3L610,52.3L854,243.1" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
</defs>
<use href="#line-p99" class="s-card" stroke="#ffffff" stroke-width="3.9"/>
<use href="#line-p99" class="s-p99" stroke="#c2185b" stroke-width="1.9"/>
</svg>
<text x="90" y="14" text-anchor="start" fill="#1c1f24" class="t-ink s-card" paint-order="stroke" stroke="#ffffff" stroke-width="3.5">response time of all readings</text>
<text x="1052" y="14" text-anchor="end" fill="#c2185b" class="t-p99 s-card" paint-order="stroke" stroke="#ffffff" stroke-width="3.5">p99</text>
<path d="M1004.4,10h16" class="s-p99" stroke="#c2185b" stroke-width="2" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<text x="988.4" y="14" text-anchor="end" fill="#1c1f24" class="t-ink s-card" paint-order="stroke" stroke="#ffffff" stroke-width="3.5">p50</text>
<path d="M940.8,10h16" class="s-ink" stroke="#1c1f24" stroke-width="2" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<text x="924.8" y="14" text-anchor="end" fill="#59616d" class="t-soft s-card" paint-order="stroke" stroke="#ffffff" stroke-width="3.5">120 readings</text>
<text x="708.3" y="14" text-anchor="end" fill="#59616d" class="t-soft s-card" paint-order="stroke" stroke="#ffffff" stroke-width="3.5">1</text>
<path d="M714.3,10h11" stroke="#e3eef8" stroke-width="10" class="h1"/>
<path d="M725.3,10h11" stroke="#cbe0f2" stroke-width="10" class="h2"/>
<path d="M736.3,10h11" stroke="#aaccea" stroke-width="10" class="h3"/>
<path d="M747.3,10h11" stroke="#84b6df" stroke-width="10" class="h4"/>
<path d="M758.3,10h11" stroke="#5f9fd3" stroke-width="10" class="h5"/>
<path d="M769.3,10h11" stroke="#3f86c2" stroke-width="10" class="h6"/>
<path d="M780.3,10h11" stroke="#256bab" stroke-width="10" class="h7"/>
<path d="M791.3,10h11" stroke="#125090" stroke-width="10" class="h8"/>
<path d="M802.3,10h11" stroke="#083a70" stroke-width="10" class="h9"/>
<path d="M813.3,10h11" stroke="#05264d" stroke-width="10" class="h10"/>
</svg>
"##);
}

#[test]
fn golden_outcomes() {
    let (history, faults) = small();
    insta::assert_snapshot!(lines(&strip::outcomes(&Frame { history: &history, faults: &faults })), @r##"
<svg xmlns="http://www.w3.org/2000/svg" width="1080" height="120" viewBox="0 0 1080 120" class="panel" role="img" aria-label="Readings per second by outcome, against what came due" font-size="11.5" font-family="sans-serif">
<path d="M84,112H1060" class="s-grid" stroke="#eceef0" stroke-width="1" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<text x="76" y="116" text-anchor="end" fill="#59616d" class="t-soft">0/s</text>
<path d="M84,75.9H1060" class="s-grid" stroke="#eceef0" stroke-width="1" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<text x="76" y="79.9" text-anchor="end" fill="#59616d" class="t-soft">50/s</text>
<path d="M84,39.9H1060" class="s-grid" stroke="#eceef0" stroke-width="1" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<text x="76" y="43.9" text-anchor="end" fill="#59616d" class="t-soft">100/s</text>
<svg x="84" y="0" width="976" height="120" viewBox="0 0 976 120" preserveAspectRatio="none" class="plot">
<path d="M0.4,39.9h243.2V112h-243.2zM244.4,25.5h243.2V112h-243.2zM488.4,68.7h243.2V112h-243.2zM732.4,39.9h243.2V112h-243.2z" fill="#b9c9d9" class="f-ok"/>
<path d="M488.4,39.9h243.2V68.7h-243.2z" fill="#8e5ea2" class="f-timeout"/>
<use href="#bands"/>
<path d="M0,39.9L244,39.9L244,25.5L488,25.5L488,39.9L732,39.9L732,39.9L976,39.9" class="s-ink" stroke="#1c1f24" stroke-width="1.3" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
</svg>
<text x="90" y="14" text-anchor="start" fill="#1c1f24" class="t-ink s-card" paint-order="stroke" stroke="#ffffff" stroke-width="3.5">readings per second, by how they ended</text>
<text x="1052" y="14" text-anchor="end" fill="#59616d" class="t-soft s-card" paint-order="stroke" stroke="#ffffff" stroke-width="3.5">timeout</text>
<rect x="982.9" y="5" width="10" height="10" fill="#8e5ea2" class="f-timeout"/>
<text x="966.9" y="14" text-anchor="end" fill="#59616d" class="t-soft s-card" paint-order="stroke" stroke="#ffffff" stroke-width="3.5">ok</text>
<rect x="937.1" y="5" width="10" height="10" fill="#b9c9d9" class="f-ok"/>
<text x="921.1" y="14" text-anchor="end" fill="#1c1f24" class="t-ink s-card" paint-order="stroke" stroke="#ffffff" stroke-width="3.5">came due</text>
<path d="M834.1,10h16" class="s-ink" stroke="#1c1f24" stroke-width="2" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
</svg>
"##);
}

#[test]
fn golden_open_readings() {
    let (history, faults) = small();
    insta::assert_snapshot!(lines(&strip::open_readings(&Frame { history: &history, faults: &faults })), @r##"
<svg xmlns="http://www.w3.org/2000/svg" width="1080" height="92" viewBox="0 0 1080 92" class="panel" role="img" aria-label="Readings that came due and have not ended, over time" font-size="11.5" font-family="sans-serif">
<path d="M84,84H1060" class="s-grid" stroke="#eceef0" stroke-width="1" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<text x="76" y="88" text-anchor="end" fill="#59616d" class="t-soft">0</text>
<path d="M84,54.2H1060" class="s-grid" stroke="#eceef0" stroke-width="1" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<text x="76" y="58.2" text-anchor="end" fill="#59616d" class="t-soft">20</text>
<path d="M84,24.4H1060" class="s-grid" stroke="#eceef0" stroke-width="1" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<text x="76" y="28.4" text-anchor="end" fill="#59616d" class="t-soft">40</text>
<svg x="84" y="0" width="976" height="92" viewBox="0 0 976 92" preserveAspectRatio="none" class="plot">
<path d="M0,84L244,84L488,84L732,24.4L976,84V84H0Z" fill="#c2550a" class="f-serv" fill-opacity="0.18"/>
<path d="M0,84L244,84L488,84L732,24.4L976,84" class="s-serv" stroke="#c2550a" stroke-width="1.6" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<path d="M0,84L244,84L488,84L732,54.2L976,84V84H0Z" fill="#b3261e" class="f-bad" fill-opacity="0.18"/>
<path d="M0,84L244,84L488,84L732,54.2L976,84" class="s-bad" stroke="#b3261e" stroke-width="1.6" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<use href="#bands"/>
</svg>
<text x="90" y="14" text-anchor="start" fill="#1c1f24" class="t-ink s-card" paint-order="stroke" stroke="#ffffff" stroke-width="3.5">readings open: under way or waiting</text>
<text x="1052" y="14" text-anchor="end" fill="#b3261e" class="t-bad s-card" paint-order="stroke" stroke="#ffffff" stroke-width="3.5">of these overdue</text>
<path d="M902,10h16" class="s-bad" stroke="#b3261e" stroke-width="2" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<text x="886" y="14" text-anchor="end" fill="#c2550a" class="t-serv s-card" paint-order="stroke" stroke="#ffffff" stroke-width="3.5">open</text>
<path d="M830.5,10h16" class="s-serv" stroke="#c2550a" stroke-width="2" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
</svg>
"##);
}

#[test]
fn golden_lateness() {
    let (history, faults) = small();
    insta::assert_snapshot!(lines(&strip::lag(&Frame { history: &history, faults: &faults })), @r##"
<svg xmlns="http://www.w3.org/2000/svg" width="1080" height="78" viewBox="0 0 1080 78" class="panel" role="img" aria-label="Pacing lag of the generator: median as a line, 99th percentile as bars" font-size="11.5" font-family="sans-serif">
<path d="M84,64.4H1060" class="s-grid" stroke="#eceef0" stroke-width="1" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<text x="76" y="68.4" text-anchor="end" fill="#59616d" class="t-soft">100 us</text>
<path d="M84,42.2H1060" class="s-grid" stroke="#eceef0" stroke-width="1" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<text x="76" y="46.2" text-anchor="end" fill="#59616d" class="t-soft">10 ms</text>
<path d="M84,20H1060" class="s-grid" stroke="#eceef0" stroke-width="1" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<text x="76" y="24" text-anchor="end" fill="#59616d" class="t-soft">1 s</text>
<svg x="84" y="0" width="976" height="78" viewBox="0 0 976 78" preserveAspectRatio="none" class="plot">
<path d="M0.4,61.1h243.2V70h-243.2zM244.4,61.1h243.2V70h-243.2zM732.4,61.1h243.2V70h-243.2z" fill="#6b5bb5" class="f-lag" fill-opacity="0.35"/>
<path d="M488.4,24.4h243.2V70h-243.2z" fill="#a36200" class="f-warn" fill-opacity="0.75"/>
<path d="M122,67.8L366,67.8L610,67.8L854,67.8" class="s-lag" stroke="#6b5bb5" stroke-width="1.5" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<use href="#bands"/>
</svg>
<text x="90" y="14" text-anchor="start" fill="#1c1f24" class="t-ink s-card" paint-order="stroke" stroke="#ffffff" stroke-width="3.5">how late the generator itself was</text>
<text x="1052" y="14" text-anchor="end" fill="#59616d" class="t-soft s-card" paint-order="stroke" stroke="#ffffff" stroke-width="3.5">line p50, bars p99; amber: above a tenth of the p99 measured</text>
</svg>
"##);
}

#[test]
fn golden_curve() {
    let (response, service) = (times([(MS, 900), (5 * MS, 100)]), times([(MS, 950), (2 * MS, 50)]));
    let series = [
        Series { label: "response", colour: RESPONSE, times: &response, dashes: "", floor: Some(5 * MS) },
        Series { label: "service", colour: SERVICE, times: &service, dashes: "6 4", floor: None },
    ];
    insta::assert_snapshot!(lines(&curve::curves(&series, 400.0, 200.0)), @r##"
<svg xmlns="http://www.w3.org/2000/svg" width="400" height="200" viewBox="0 0 400 200" class="curve" role="img" aria-label="Percentile curves of response times: response, service" font-size="11.5" font-family="sans-serif">
<path d="M66,160H304" class="s-grid" stroke="#eceef0" stroke-width="1" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<text x="58" y="164" text-anchor="end" fill="#59616d" class="t-soft">1 ms</text>
<path d="M66,16H304" class="s-grid" stroke="#eceef0" stroke-width="1" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<text x="58" y="20" text-anchor="end" fill="#59616d" class="t-soft">10 ms</text>
<path d="M66,16V160" class="s-grid" stroke="#eceef0" stroke-width="1" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<text x="66" y="177" text-anchor="middle" fill="#59616d" class="t-soft">0 %</text>
<path d="M101.8,16V160" class="s-grid" stroke="#eceef0" stroke-width="1" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<text x="101.8" y="177" text-anchor="middle" fill="#59616d" class="t-soft">50 %</text>
<path d="M185,16V160" class="s-grid" stroke="#eceef0" stroke-width="1" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<text x="185" y="177" text-anchor="middle" fill="#59616d" class="t-soft">90 %</text>
<path d="M304,16V160" class="s-grid" stroke="#eceef0" stroke-width="1" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<text x="304" y="177" text-anchor="middle" fill="#59616d" class="t-soft">99 %</text>
<text x="66" y="194" text-anchor="start" fill="#59616d" class="t-soft">share of readings</text>
<path d="M66,160L185,160L185,59.3L304,59.3L304,116.6L220.8,116.6L220.8,160L66,160Z" fill="#c2550a" class="f-serv" fill-opacity="0.1"/>
<path d="M66,160L185,160" class="s-resp" stroke="#0b63b5" stroke-width="2" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<path d="M185,160L185,59.3L304,59.3" class="s-resp" stroke="#0b63b5" stroke-width="2" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke" stroke-dasharray="1.5 4"/>
<path d="M66,160L220.8,160L220.8,116.6L304,116.6" class="s-serv" stroke="#c2550a" stroke-width="2" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke" stroke-dasharray="6 4"/>
<text x="312" y="63.3" text-anchor="start" fill="#0b63b5" class="t-resp">response</text>
<text x="312" y="120.6" text-anchor="start" fill="#c2550a" class="t-serv">service</text>
<text x="304" y="194" text-anchor="end" fill="#59616d" class="t-soft">dotted: at least, as failed readings are among these</text>
</svg>
"##);
}

/// A run with more of everything than a page has room for.
fn crowded() -> (Report, History) {
    let names: Vec<_> = (0..60).map(|nth| format!("a-fleet-with-a-long-name-{nth}")).collect();
    let evil = "<&>\"'".repeat(20_000);
    let budget = json!({"demand": "p99 < 250 ms", "fleet": "all", "measured": "2.49 ms", "met": false, "name": &evil[..400]});
    let run = serde_json::from_value(json!({
        "schema": 1, "tool_version": "0.1.0", "label": evil, "run_id": evil, "state": "complete", "seed": "7",
        "plan_digest": evil, "scenario": {"name": evil, "text": evil, "overrides": [evil]}, "started": evil, "ended": evil,
        "host": {"name": evil, "kernel": evil, "cores": 2, "cpu_model": evil, "memory_bytes": null},
        "clock": {"resolution_ns": 30}, "pacer": {"kind": "timerfd", "slack_ns": 0}, "workers": 1, "targets": {},
        "pacing_lag": null, "validity": {"verdict": "suspect", "reasons": vec![evil.clone(); 100]},
        "budgets": vec![budget; 300], "exit_code": 0,
        "fleets": names.iter().map(|name| json!({"name": name, "protocol": "http", "method": "GET", "target": evil})).collect::<Vec<_>>(),
    }))
    .unwrap();
    let mut summary = Vec::new();
    for name in &names {
        for phase in 0..10 {
            let figures = figures(1_000_000 + phase);
            summary.push(row([&format!("phase-{phase}"), name, "http", "reading"], figures));
        }
    }
    summary.push(row(["all", "all", "all", "reading"], figures(60_000_000)));
    let failure = |nth: u64| {
        let row = json!({
            "phase": "phase-1", "fleet": names[0], "protocol": "http", "kind": "reading", "outcome": "error",
            "code": format!("{nth}"), "reason": evil, "count": nth, "devices": 1, "first_s": 1.0, "last_s": 2.0,
            "first_device": evil, "first_seq": 1, "sample": evil,
        });
        serde_json::from_value(row).unwrap()
    };
    let faults = (0..1_000).map(|nth| {
        outage(&format!("fault-{}", nth % 20), f64::from(nth) * 250.0, f64::from(nth) * 250.0 + 99.0)
    });
    let report = Report {
        run,
        directory: "results/crowded".into(),
        summary,
        detection: Detections::default(),
        faults: faults.collect(),
        failures: (0..200).map(failure).collect(),
        delivery: Vec::new(),
        rebuilt: Some(evil),
    };
    (report, endless(&names))
}

/// 72 hours in which every cell of the heat map has another count than its neighbours.
fn endless(names: &[String]) -> History {
    let wide =
        |nth: u64| times((0..4_000).map(|step| (1_000 + (step * step * (nth + 1)) * 4_000, 1 + step % 5)));
    let columns: Vec<_> = (0..400)
        .map(|nth: u64| {
            let mut column =
                column(1_000 + 37 * nth, nth, MS * (1 + nth % 9), MS * (100 + 977 * nth % 4_000));
            column.heat =
                (60..95_u16).map(|row| (row, 1 + (nth * u64::from(row) * 7_919) % 100_000)).collect();
            column.outcomes.shed = nth;
            column.outcomes.lost = 1 + nth % 3;
            column
        })
        .collect();
    History {
        column_s: 648.0,
        intervals: 648,
        end_s: 259_200.0,
        phases: (0..40)
            .map(|nth| stretch("phase", f64::from(nth) * 6_480.0, f64::from(nth + 1) * 6_480.0))
            .collect(),
        marks: (0..200)
            .map(|nth| Mark {
                event: format!("event_{}", nth % 20),
                text: "text".repeat(30),
                at_s: f64::from(nth) * 1_296.0,
            })
            .collect(),
        columns,
        fleets: names
            .iter()
            .map(|name| FleetTail {
                name: name.clone(),
                p99: (0..400).map(|nth| Some(MS * (1 + nth * 7_919 % 991))).collect(),
            })
            .collect(),
        faulty: (0..400).collect(),
        reconnects: true,
        curves: Curves {
            response: Some(wide(1)),
            service: Some(wide(0)),
            phases: (0..8).map(|nth| (format!("phase-{nth}"), wide(nth))).collect(),
            fleets: names.iter().take(8).zip(0..).map(|(name, nth)| (name.clone(), wide(nth))).collect(),
            ..Curves::default()
        },
        target: (Vec::new(), 0),
    }
}

fn figures(planned: u64) -> crate::results::Figures {
    crate::results::Figures {
        planned,
        sent: planned,
        ok: planned - 1_000,
        timeout: 400,
        lost: 600,
        rate_per_s: 1_234.5,
        p50_ms: Some(Millis(MS)),
        p99_ms: Some(Millis(5 * MS)),
        p99_9_ms: Some(Millis(50 * MS)),
        max_ms: Some(Millis(5_000 * MS)),
        service_p50_ms: Some(Millis(MS)),
        service_p99_ms: Some(Millis(5 * MS)),
        ok_p50_ms: Some(Millis(MS)),
        ok_p99_ms: Some(Millis(2 * MS)),
        stage_network_p50_ms: Some(Millis(200_000)),
        stage_queue_p50_ms: Some(Millis(400_000)),
        stage_cache_p50_ms: Some(Millis(100_000)),
        stage_inference_p50_ms: Some(Millis(300_000)),
        within_budget: Some(planned - 2_000),
        ..crate::results::Figures::default()
    }
}

fn row(keys: [&str; 4], figures: crate::results::Figures) -> SummaryRow {
    let [phase, fleet, protocol, kind] = keys.map(str::to_owned);
    SummaryRow { duration_s: 30.0, phase, fleet, protocol, kind, figures }
}

#[test]
fn the_fullest_page_of_the_longest_run_is_under_half_a_megabyte() {
    let (report, history) = crowded();
    let page = run(&report, &history, "../run");
    let sizes: Vec<_> =
        page.split("<section id=").map(|part| (part.get(..12).unwrap_or_default(), part.len())).collect();
    assert!(page.len() < 500_000, "{} bytes: {sizes:?}", page.len());
    assert!(page == run(&report, &history, "../run"), "equal files give equal bytes");
}

#[test]
fn a_page_loads_nothing_and_states_the_size_of_every_chart() {
    let (report, history) = crowded();
    let page = run(&report, &history, "../run");
    let without = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!without.contains("https:") && !without.contains("http:"), "no address but the name of SVG");
    for tag in page.split("<svg").skip(1).filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag) {
        assert!(tag.contains(" width=\"") && tag.contains(" height=\""), "{tag}");
    }
    for (place, _) in page.match_indices("<button") {
        assert!(page[place..].starts_with("<button hidden"), "what needs the script is hidden without it");
    }
    assert_eq!(page.matches("<h1>").count(), 1);
}

#[test]
fn what_the_files_lack_leaves_no_empty_chart() {
    let (mut report, _) = crowded();
    report.failures.clear();
    report.faults.clear();
    report.run.budgets.clear();
    report.summary.retain(SummaryRow::is_headline);
    report.summary[0].figures = crate::results::Figures::default();
    let page = run(&report, &History::default(), "");
    for anchor in ["time", "curve", "stages", "failures", "faults", "budgets", "delivery", "detection"] {
        assert!(!page.contains(&format!("id=\"{anchor}\"")), "{anchor}");
    }
    assert!(
        page.contains("id=\"validity\"") && page.contains("id=\"environment\"") && !page.contains("<script")
    );
}

#[test]
fn what_the_bundled_service_counted_stands_phase_by_phase() {
    let (mut report, _) = crowded();
    assert_eq!(service::section(&report), "", "of another target nothing is known");
    report.run.reference = serde_json::from_value(json!({
        "queue_capacity": 10_000, "workers": 2, "phases": [
            {"phase": "connect"},
            {"phase": "warm-up", "received": 100, "verdicts": 100, "inferences": 100, "queue_peak": 3},
            {"phase": "steady", "received": 50_980, "verdicts": 50_000, "shed": 980, "inferences": 8_000, "coalesced": 564,
             "hits": {"exact": 40_000, "semantic": 1_436}, "queue_peak": 1_017},
        ],
    }))
    .unwrap();
    let section = service::section(&report);
    let rows: Vec<_> = section.split("<tr").skip(2).collect();
    assert_eq!(rows.len(), 3, "warm-up, steady, measured: {section}");
    let steady = ">50,000<|>82.87 %<|>40,000<|>0<|>1,436<|>0<|>8,000<|>564<|>980<|>1,017<";
    for part in steady.split('|') {
        assert!(rows[1].contains(part) && rows[2].contains(part), "{part}: {section}");
    }
    assert!(rows[1].contains("aria-label=\"cache, coalesced, inference\""), "{section}");
    assert!(section.contains("takes 10,000 readings; 2 workers ran"), "{section}");
}

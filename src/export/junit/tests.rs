//! JUnit documents of made-up runs and comparisons.

use super::*;
use crate::export::specimen;

#[test]
fn a_run_has_cases_for_what_was_demanded_promised_and_measured() {
    insta::assert_snapshot!(run(&specimen::report()), @r#"
<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="quickstart" tests="12" failures="4" errors="0" time="30.000">
    <testsuite name="quickstart: run" tests="7" skipped="0" errors="0" failures="2" time="30.000" timestamp="2026-11-20T21:41:15" hostname="runner-1">
        <testcase name="the run ended as planned" classname="quickstart" time="0.000">
            <system-out>run 2026-11-20T21-41-15Z-main in results/quickstart/2026-11-20T21-41-15Z-main
meters PUT http://127.0.0.1:8080/v1/orders/{{device}}
pumps ws ws://127.0.0.1:8081/live?key=${KEY}</system-out>
        </testcase>
        <testcase name="the measurement is valid" classname="quickstart" time="0.000">
            <system-out>suspect
the generator used 80 % of a core: give it another</system-out>
        </testcase>
        <testcase name="the service answered" classname="quickstart" time="0.000">
            <system-out>135,300 of 135,400 readings answered ok; 0.08 % failed</system-out>
        </testcase>
        <testcase name="budget all p99.9 &lt; 1 s" classname="quickstart" time="0.000">
            <failure message="all: p99.9 &lt; 1 s, measured no data: 3 of 3100 samples lie beyond p99.9; 10 are needed" type="budget">all: p99.9 &lt; 1 s, measured no data: 3 of 3100 samples lie beyond p99.9; 10 are needed</failure>
        </testcase>
        <testcase name="budget all fleets in calm p99 &lt; 250 ms" classname="quickstart" time="0.000">
            <system-out>all fleets in calm: p99 &lt; 250 ms, measured 240 ms</system-out>
        </testcase>
        <testcase name="budget peak (all fleets in burst) p99 &lt; 250 ms" classname="quickstart" time="0.000">
            <failure message="peak (all fleets in burst): p99 &lt; 250 ms, measured 400 ms" type="budget">peak (all fleets in burst): p99 &lt; 250 ms, measured 400 ms</failure>
        </testcase>
        <testcase name="figures all" classname="quickstart" time="30.000">
            <system-out>planned 135,400, ok 135,300, failed 100
throughput 4,510/s
p50 412 us
p90 700 us
p95 900 us
p99 1.24 ms
p99.9 at least 5.00 s
p99.99 8.00 ms</system-out>
        </testcase>
    </testsuite>
    <testsuite name="quickstart: meters" tests="1" skipped="0" errors="0" failures="0" time="0.000" timestamp="2026-11-20T21:41:15" hostname="runner-1">
        <testcase name="figures steady meters http" classname="quickstart.meters" time="0.000">
            <system-out>planned 123,400, ok 123,400, failed 0
throughput 4,113/s
p50 412 us
p90 700 us
p95 900 us
p99 1.24 ms
p99.9 3.11 ms
p99.99 8.00 ms</system-out>
        </testcase>
    </testsuite>
    <testsuite name="quickstart: pumps" tests="4" skipped="0" errors="0" failures="2" time="0.000" timestamp="2026-11-20T21:41:15" hostname="runner-1">
        <testcase name="budget pumps p99 &lt; 250 ms" classname="quickstart.pumps" time="0.000">
            <system-out>pumps: p99 &lt; 250 ms, measured 2.49 ms</system-out>
        </testcase>
        <testcase name="budget pumps errors &lt; 0.1 %" classname="quickstart.pumps" time="0.000">
            <failure message="pumps: errors &lt; 0.1 %, measured 0.83 %" type="budget">pumps: errors &lt; 0.1 %, measured 0.83 %</failure>
        </testcase>
        <testcase name="delivery pumps" classname="quickstart.pumps" time="0.000">
            <failure message="pumps: 100 missing, first pumps-00017 seq 42" type="delivery">pumps: 100 missing, first pumps-00017 seq 42</failure>
        </testcase>
        <testcase name="figures steady pumps mqtt" classname="quickstart.pumps" time="0.000">
            <system-out>planned 12,000, ok 11,900, failed 100
throughput 397/s
p50 412 us
p90 700 us
p95 900 us
p99 1.24 ms
p99.9 at least 5.00 s</system-out>
        </testcase>
    </testsuite>
</testsuites>
"#);
}

#[test]
fn a_comparison_fails_by_its_regressions_and_skips_what_it_cannot_tell() {
    insta::assert_snapshot!(comparison(&specimen::comparison()), @r#"
<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="quickstart" tests="8" failures="2" errors="0" time="0.000">
    <testsuite name="quickstart: comparison" tests="1" skipped="0" errors="0" failures="1" time="0.000">
        <testcase name="comparison" classname="quickstart" time="0.000">
            <failure message="regression: a|b `c` &lt;img src=x&gt; ]]&gt; &amp; &quot;d&quot; @all; ::error::x against main, 8 pairs; steady meters p99 is 12.3 % slower; confirmation by 8 fresh pairs: regression" type="regression">regression: a|b `c` &lt;img src=x&gt; ]]&gt; &amp; &quot;d&quot; @all
::error::x against main, 8 pairs
steady meters p99 is 12.3 % slower
confirmation by 8 fresh pairs: regression</failure>
        </testcase>
    </testsuite>
    <testsuite name="quickstart: all" tests="1" skipped="0" errors="0" failures="0" time="0.000">
        <testcase name="all p50" classname="quickstart.all" time="0.000">
            <system-out>improvement: p50 -10.0 % [-13.5, -6.3], noise threshold ±5.1 %, 0.4 ms to 0.36 ms, p 0.0123, 8 pairs</system-out>
        </testcase>
    </testsuite>
    <testsuite name="quickstart: steady/meters" tests="4" skipped="2" errors="0" failures="1" time="0.000">
        <testcase name="steady/meters p50" classname="quickstart.steady.meters" time="0.000">
            <system-out>no difference: p50 +0.2 % [-3.7, 4.3], noise threshold ±5.1 %, 0.412 ms to 0.413 ms, p 0.0123, 8 pairs</system-out>
        </testcase>
        <testcase name="steady/meters p99" classname="quickstart.steady.meters" time="0.000">
            <failure message="regression: p99 +12.3 % [7.9, 16.9], noise threshold ±5.1 %, 1.243 ms to 1.396 ms, p 0.0123, 8 pairs" type="regression">regression: p99 +12.3 % [7.9, 16.9], noise threshold ±5.1 %, 1.243 ms to 1.396 ms, p 0.0123, 8 pairs</failure>
        </testcase>
        <testcase name="steady/meters p99.9" classname="quickstart.steady.meters" time="0.000">
            <skipped message="not judged: it lies among failed readings, so that the error rate judges; p99.9 +5.5 % [1.4, 9.9], noise threshold ±5.1 %, 9 ms to 9.5 ms, 8 pairs">not judged: it lies among failed readings, so that the error rate judges; p99.9 +5.5 % [1.4, 9.9], noise threshold ±5.1 %, 9 ms to 9.5 ms, 8 pairs</skipped>
        </testcase>
        <testcase name="steady/meters error rate" classname="quickstart.steady.meters" time="0.000">
            <skipped message="inconclusive: error rate +0.20 points [0.00, 0.40], noise threshold ±0.1 %, 0.1 % to 0.3 %, p 0.0123, 8 pairs, about 12 more pairs would decide">inconclusive: error rate +0.20 points [0.00, 0.40], noise threshold ±0.1 %, 0.1 % to 0.3 %, p 0.0123, 8 pairs, about 12 more pairs would decide</skipped>
        </testcase>
    </testsuite>
    <testsuite name="quickstart: steady/pumps" tests="2" skipped="2" errors="0" failures="0" time="0.000">
        <testcase name="steady/pumps p95" classname="quickstart.steady.pumps" time="0.000">
            <skipped message="not judged: it is shown only; p95 +1.1 % [-2.9, 5.2], noise threshold ±5.1 %, 0.9 ms to 0.91 ms, 8 pairs">not judged: it is shown only; p95 +1.1 % [-2.9, 5.2], noise threshold ±5.1 %, 0.9 ms to 0.91 ms, 8 pairs</skipped>
        </testcase>
        <testcase name="steady/pumps p99.9" classname="quickstart.steady.pumps" time="0.000">
            <skipped message="not judged: there are too few samples; p99.9 no data, noise threshold ±5.1 %, 8 pairs">not judged: there are too few samples; p99.9 no data, noise threshold ±5.1 %, 8 pairs</skipped>
        </testcase>
    </testsuite>
</testsuites>
"#);
}

#[test]
fn an_invalid_run_is_an_error_and_no_failure() {
    let mut report = specimen::report();
    if let Some(validity) = &mut report.run.validity {
        validity.verdict = record::Judgement::Invalid;
    }
    let text = run(&report);
    assert!(text.contains("failures=\"0\" errors=\"1\""), "{text}");
    assert!(text.contains("type=\"invalid\""), "{text}");
    assert!(text.contains("not judged, the measurement is invalid: pumps: errors"), "{text}");
    // Met or not: what the generator shaped says nothing of the service.
    assert_eq!(text.matches("<skipped message=\"not judged").count(), 7, "{text}");
}

#[test]
fn why_readings_failed_stands_with_the_service_and_with_the_budget_that_broke() {
    let report = specimen::failing();
    let text = run(&report);
    let reason = "HTTP 404 Not Found: 2,002 readings of 30 devices of fleet pumps";
    assert!(text.contains(reason), "{text}");
    assert!(text.contains("ECONNREFUSED") && !text.contains("<script>"), "{text}");
    assert!(!text.contains("status 2"), "{text}");
}

#[test]
fn failures_that_no_budget_looks_at_are_a_case_that_was_skipped() {
    let mut report = specimen::failing();
    report.run.budgets.clear();
    let text = run(&report);
    let case = text.split("<testcase").find(|case| case.contains("the service answered")).unwrap();
    assert!(case.contains("<skipped") && case.contains("no budget on failures watches"), "{case}");
}

#[test]
fn a_fleet_that_was_refused_is_an_error_in_its_own_words() {
    let mut report = specimen::failing();
    report.run.state = RunState::Aborted;
    report.run.refused = Some("all 30 devices of fleet pumps were refused: CONNACK 5".into());
    let text = run(&report);
    assert!(text.contains("type=\"incomplete\">all 30 devices of fleet pumps were refused"), "{text}");
    assert!(!text.contains("a budget ended the run"), "{text}");
}

#[test]
fn a_run_that_was_for_nothing_is_an_error() {
    let mut report = specimen::report();
    for row in &mut report.summary {
        row.figures.ok = 0;
    }
    let text = run(&report);
    assert!(text.contains("type=\"incomplete\">no reading of the measured phases was answered"), "{text}");
}

#[test]
fn what_does_not_decide_is_skipped_with_words() {
    for (comparison, word) in [
        (Comparison { gates: false, ..specimen::comparison() }, "advisory: "),
        (Comparison { verdict: Decision::NoDifference, ..specimen::comparison() }, "not confirmed: "),
    ] {
        let text = super::comparison(&comparison);
        assert!(text.contains("failures=\"0\"") && text.contains(word), "{text}");
    }
}

#[test]
fn names_never_break_the_document() {
    let mut report = specimen::report();
    report.run.scenario.name = specimen::EVIL.to_owned();
    report.run.budgets[0].demand = specimen::EVIL.to_owned();
    let text = run(&report);
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text}");
    // The crate's own reader wants a zone.
    let read = Document::deserialize_from_str(&text.replace("21:41:15\"", "21:41:15Z\""));
    assert!(read.is_ok(), "{read:?}\n{text}");
}

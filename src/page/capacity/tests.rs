//! Tests of the page: that it is whole, that nothing in it is markup that comes from elsewhere, and that marks are where they belong.

use super::*;
use crate::capacity::{Answer, Probe};
use crate::display::capacity::TrialOutline;
use crate::record::Judgement;

fn answer(finding: Finding) -> Answer {
    let probe = |(number, (factor, verdict)): (u32, (f64, Verdict))| Probe {
        number,
        factor,
        offered_per_s: 100.0 * factor,
        goodput_per_s: (100.0 * factor).min(140.0),
        p50_ms: Some(5.0),
        p99_ms: (verdict != Verdict::Unjudged).then_some(12.0 * factor),
        usage: Some(0.7 * factor),
        verdict,
    };
    let probes = [
        (0.5, Verdict::Met),
        (1.3, Verdict::Met),
        (1.5, Verdict::Missed),
        (4.0, Verdict::GeneratorLimited),
        (0.7, Verdict::Unjudged),
    ];
    Answer {
        finding,
        confidence: 0.95,
        precision: 0.05,
        fit: None,
        generator_limit: Some(4.0),
        trend: None,
        scalability: None,
        probes: (1..).zip(probes).map(probe).collect(),
    }
}

fn drawn(answer: &Answer, words: &str) -> String {
    let reasons = [words.to_owned()];
    let trials = answer.probes.iter().map(|_| TrialOutline {
        is_bound: true,
        validity: Judgement::Suspect,
        reasons: &reasons,
        budgets: &[],
    });
    let demands = [words.to_owned()];
    let outline = Outline {
        scenario: words,
        demands: &demands,
        answer,
        trials: trials.collect(),
        planned_per_s: 100.0,
        took_s: 95.0,
        remarks: vec![words.to_owned()],
        folder: words.to_owned(),
    };
    let origin = Origin {
        facts: vec![("service", words.to_owned())],
        runs: answer.probes.iter().map(|_| PathBuf::from(words)).collect(),
        files: vec![PathBuf::from(words)],
        started: "2026-11-29T10:00:00Z".to_owned(),
        tool_version: words.to_owned(),
        first: None,
    };
    page(&outline, &origin, &|path| path.display().to_string())
}

#[test]
fn every_probe_has_its_mark_in_both_charts_and_its_row() {
    let found = answer(Finding::Knee { factor: 1.4, low: 1.37, high: 1.43 });
    let page = drawn(&found, "plain");
    assert!(
        page.contains("<title>plain: capacity: 1.4 times the load (1.37 to 1.43, 95 % sure), 140 readings/s")
    );
    assert_eq!(page.matches("<title>probe ").count(), 5 + 4, "the one without a p99 is in one chart alone");
    assert_eq!(page.matches("<th scope=\"row\">").count(), 5);
    assert!(
        page.contains("1.4 (1.37 to 1.43)") && page.matches("class=\"f-band\"").count() == 2,
        "the interval is labelled"
    );
    let unknown = drawn(&answer(Finding::Unknown), "plain");
    assert!(!unknown.contains("class=\"f-band\"") && unknown.contains("no probe could be judged"));
}

#[test]
fn nothing_that_comes_from_elsewhere_is_markup() {
    let found = answer(Finding::Open { factor: 1.4, low: 1.0, high: 2.0 });
    let (harmless, page) =
        (drawn(&found, "x"), drawn(&found, "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"));
    for sign in ["<script", "<img", "<title"] {
        assert_eq!(page.matches(sign).count(), harmless.matches(sign).count(), "{sign}");
    }
    assert!(page.matches("&lt;script&gt;alert(1)").count() >= 8);
}

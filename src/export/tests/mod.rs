//! No output holds against the service what its generator did.

pub(crate) mod specimen;

use super::{bencher, benchmark_action, comment, github, junit, openmetrics, page};

#[test]
fn an_invalid_run_says_nothing_of_the_service_in_any_output() {
    let report = specimen::invalid();
    let junit = junit::run(&report);
    assert!(junit.contains("failures=\"0\" errors=\"1\""), "{junit}");
    let summary = page::run(&report);
    assert!(summary.starts_with("## 🚫 quickstart: measurement invalid\n"), "{summary}");
    assert!(comment::run(&report).contains("## 🚫 quickstart: measurement invalid\n"));
    for mark in ["✅", "❌"] {
        assert!(!summary.contains(mark), "{mark} in {summary}");
    }
    let annotations = github::run_annotations(&report);
    let errors: Vec<_> = annotations.lines().filter(|line| line.starts_with("::error")).collect();
    assert!(errors.len() == 1 && errors[0].contains("measurement invalid"), "{annotations}");
    let metrics = openmetrics::run(&report);
    assert!(metrics.contains("squall_run_valid{scenario=\"quickstart\"} 0"), "{metrics}");
    assert!(!metrics.contains("squall_budget_met{"), "{metrics}");
    // What holds every run against the ones before would take it for a slower service.
    assert!(bencher::run(&report).is_err());
    assert!(benchmark_action::run_smaller(&report).is_err());
    assert!(benchmark_action::run_bigger(&report).is_err());
}

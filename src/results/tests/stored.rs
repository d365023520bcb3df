//! Figures of stored runs: what budgets find while a run is in memory is found again in its files.

use super::*;
use crate::budget::{Budget, Comparison, Condition, Figure, Metric, Scope, Subject, Times};
use crate::units::Span;

/// Times whose percentiles a log holds.
const LOGGED: [Times; 4] = [Times::Response, Times::Ok, Times::Service, Times::PacingLag];

/// The run in `directory`, as its files tell it, with a manifest of no importance.
fn stored(directory: &RunDirectory) -> StoredRun {
    let manifest = serde_json::json!({
        "schema": 1, "tool_version": "0", "label": "", "run_id": "r", "state": "complete", "seed": "1", "plan_digest": "",
        "scenario": { "name": "s", "text": "", "overrides": [] }, "started": "", "ended": null,
        "host": { "name": "", "kernel": "", "cores": 1, "cpu_model": null, "memory_bytes": null },
        "clock": { "resolution_ns": 1 }, "pacer": { "kind": "timerfd", "slack_ns": 0 }, "workers": 1, "targets": {},
        "pacing_lag": null, "validity": null, "budgets": [], "exit_code": 0,
    });
    std::fs::write(directory.path().join("run.json"), manifest.to_string()).unwrap();
    StoredRun::load(directory.path()).unwrap()
}

/// Every condition whose figure both can know.
fn conditions() -> Vec<Condition> {
    let of = |metric| Condition { metric, comparison: Comparison::AtMost, bound: 1.0 };
    let quantiles = ["p25", "p50", "p90", "p97.5", "p99"].map(|text| text.parse::<Quantile>().unwrap());
    let percentiles = LOGGED
        .into_iter()
        .flat_map(|times| quantiles.map(|quantile| of(Metric::Percentile(times, quantile))));
    Figure::ALL.iter().map(|figure| of(Metric::Figure(*figure))).chain(percentiles).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn files_give_the_figures_that_budgets_were_judged_by(samples in samples()) {
        let out = tempfile::tempdir().unwrap();
        let (directory, totals, _) = run_of(out.path(), &samples, 2);
        let run = stored(&directory);
        let named = |name: &str| Some(name.to_owned());
        for scope in [
            Scope::default(),
            Scope { fleet: named("meters"), ..Scope::default() },
            Scope { phase: named("warm-up"), ..Scope::default() },
            Scope { protocol: named("mqtt"), phase: named("steady"), ..Scope::default() },
            Scope { subject: Subject::Connections, ..Scope::default() },
        ] {
            let conditions = conditions();
            let budget = Budget {
                name: None,
                scope: scope.clone(),
                conditions: conditions.clone(),
                abort_on_fail: false,
                grace: Span::ZERO,
            };
            let judged = judge(&totals, &[budget], None);
            for (condition, judged) in conditions.iter().zip(&judged) {
                let found = run.measure(&scope, condition).ok();
                let per = condition.metric.unit().in_files().1;
                let value = found.map(|found| found.value / per);
                // Summaries round durations to the millisecond.
                let alike = match (value, judged.value) {
                    (Some(one), Some(other)) => (one - other).abs() <= 1e-3 * other.abs(),
                    (None, None) => true,
                    _ => false,
                };
                prop_assert!(alike, "{} of {scope}: {value:?}, {:?}", condition.metric, judged.value);
                prop_assert_eq!(found.is_some_and(|found| found.at_least), judged.at_least, "{}", condition.metric);
            }
        }
    }
}

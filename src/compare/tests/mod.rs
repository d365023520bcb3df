//! Comparisons of made-up runs: what is claimed, refused, withdrawn, and that it is the same from both sides.

pub(crate) mod specimen;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::comparison::{Comparison, Decision, Figure, Group, Support};
use super::decision::Settings;
use super::evidence::{Evidence, Refusal, Value};
use super::judge::{Pair, confirm, paired, unpaired};

const FIGURES: [Figure; 4] = [Figure::P50, Figure::P95, Figure::P99, Figure::P999];

fn all() -> Group {
    Group { phase: "all".into(), fleet: "all".into(), protocol: "all".into() }
}

/// A run with these percentiles (ms) and this error rate.
fn run(name: &str, label: &str, times: [f64; 4], errors: f64) -> Evidence {
    let judged = |value| Value { value, support: Support::Judged };
    let times = FIGURES.into_iter().zip(times);
    let errors = [(Figure::ErrorRate, errors)];
    Evidence {
        run_id: name.into(),
        label: label.into(),
        scenario: "s".into(),
        plan_digest: "ab".repeat(32),
        tool_version: "0.1.0".into(),
        doubts: Vec::new(),
        disturbance: None,
        identity: name.into(),
        unanswered: Vec::new(),
        groups: vec![all()],
        values: times
            .chain(errors)
            .map(|(figure, value)| ((all(), figure), judged(value)))
            .collect::<BTreeMap<_, _>>(),
    }
}

/// The `i`-th of runs whose times scatter a little, by a fixed pattern.
fn scattered(i: usize, side: &str, factor: [f64; 4], errors: f64) -> Evidence {
    let wave = |k: usize| 1.0 + 0.01 * ((i * 7 + k * 3 + side.len()) as f64).sin();
    let times = std::array::from_fn(|k| [2.0, 5.0, 9.0, 20.0][k] * factor[k] * wave(k));
    run(&format!("{side}-{i}"), side, times, errors)
}

fn pairs(n: usize, factor: [f64; 4], base: f64, candidate: f64) -> Vec<Pair> {
    (0..n)
        .map(|i| Pair {
            base: scattered(i, "base", [1.0; 4], base),
            candidate: scattered(i, "candidate", factor, candidate),
            base_first: Some(i % 2 == 0),
        })
        .collect()
}

fn said(comparison: &Comparison, figure: Figure) -> Option<Decision> {
    let cell = comparison.cells.iter().find(|cell| cell.figure == figure).unwrap();
    cell.verdict.map(|own| own.verdict)
}

#[test]
fn a_slower_tail_is_a_regression_there_and_nowhere_else() {
    let comparison = paired(&pairs(8, [1.0, 1.0, 1.2, 1.0], 0.0, 0.0), &Settings::default()).unwrap();
    assert_eq!(comparison.verdict, Decision::Regression);
    assert_eq!(said(&comparison, Figure::P99), Some(Decision::Regression));
    for figure in [Figure::P50, Figure::P95, Figure::P999, Figure::ErrorRate] {
        assert_eq!(said(&comparison, figure), Some(Decision::NoDifference), "{figure:?}");
    }
    assert!(comparison.gates && !comparison.not_worse);
    assert!(comparison.reasons[0].starts_with("p99 of all fleets: +"), "{:?}", comparison.reasons);
}

#[test]
fn equal_builds_show_no_difference_and_few_pairs_cannot_accuse() {
    let equal = paired(&pairs(8, [1.0; 4], 0.0, 0.0), &Settings::default()).unwrap();
    assert_eq!((equal.verdict, equal.not_worse), (Decision::NoDifference, true));
    let few = paired(&pairs(5, [2.0; 4], 0.0, 0.0), &Settings::default()).unwrap();
    assert_eq!(few.verdict, Decision::Inconclusive);
    assert!(few.reasons.iter().any(|reason| reason.contains("at least 6 are needed")), "{:?}", few.reasons);
    let single = paired(&pairs(1, [2.0; 4], 0.0, 0.0), &Settings::default()).unwrap();
    assert_eq!(single.verdict, Decision::Inconclusive);
    assert!(single.cells.iter().all(|cell| cell.verdict.is_none() && cell.effect.is_some()));
}

#[test]
fn a_build_that_fails_fast_is_never_an_improvement() {
    // Guards against "faster by failing": with a fifth refused at once, the rest is served in half the time.
    let fast = pairs(8, [0.5; 4], 0.0, 0.2);
    let comparison = paired(&fast, &Settings::default()).unwrap();
    assert_eq!(comparison.verdict, Decision::Regression);
    assert_eq!(said(&comparison, Figure::ErrorRate), Some(Decision::Regression));
    for figure in FIGURES {
        assert_eq!(said(&comparison, figure), Some(Decision::Inconclusive), "{figure:?}");
    }
    assert!(comparison.reasons.iter().any(|reason| reason.contains("fails")), "{:?}", comparison.reasons);
    // A few more failures than can be proven are enough to keep the word back.
    let mut doubtful = pairs(8, [0.5; 4], 0.0, 0.0);
    doubtful[0].candidate = scattered(0, "candidate", [0.5; 4], 0.02);
    assert_eq!(paired(&doubtful, &Settings::default()).unwrap().verdict, Decision::Inconclusive);
}

#[test]
fn a_claim_that_fresh_pairs_do_not_show_is_withdrawn() {
    let settings = Settings::default();
    let slow = pairs(8, [1.0, 1.0, 1.2, 1.0], 0.0, 0.0);
    let first = paired(&slow, &settings).unwrap();
    let again = confirm(first.clone(), &slow, &settings).unwrap();
    assert_eq!(again.verdict, Decision::Regression);
    assert_eq!(again.reasons[0], "confirmed by 8 fresh pairs");
    let other = pairs(8, [1.2, 1.0, 1.0, 1.0], 0.0, 0.0);
    let withdrawn = confirm(first, &other, &settings).unwrap();
    assert_eq!(withdrawn.verdict, Decision::Inconclusive, "another cell is not a confirmation");
    assert_eq!(said(&withdrawn, Figure::P99), Some(Decision::Inconclusive));
    assert_eq!(withdrawn.reasons[0], "not confirmed: 8 fresh pairs did not show it again");
    assert_eq!(withdrawn.confirmation.unwrap().cells[0].verdict, None, "only claims are judged again");
}

#[test]
fn runs_that_do_not_compare_are_refused() {
    let settings = Settings::default();
    let mut pairs = pairs(6, [1.0; 4], 0.0, 0.0);
    pairs[2].candidate.plan_digest = "cd".repeat(32);
    let error = paired(&pairs, &settings).unwrap_err();
    assert!(matches!(error, Refusal::Plans { .. }), "{error}");
    let (base, candidate): (Vec<_>, Vec<_>) =
        pairs.iter().cloned().map(|pair| (pair.base, pair.candidate)).unzip();
    assert!(matches!(unpaired(&base, &candidate, &settings), Err(Refusal::Plans { .. })));
    assert!(matches!(unpaired(&base, &base, &settings), Err(Refusal::Twice { .. })));
    assert!(matches!(unpaired(&base, &[], &settings), Err(Refusal::Empty { side: "candidate" })));
}

#[test]
fn a_fleet_that_some_runs_had_no_reading_of_is_not_judged_and_refuses_nothing() {
    let mut pairs = pairs(6, [1.0; 4], 0.0, 0.0);
    for phase in ["calm", "burst"] {
        let group = Group { phase: phase.into(), fleet: "meters".into(), protocol: "http".into() };
        pairs[1].base.groups.push(group);
    }
    let comparison = paired(&pairs, &Settings::default()).unwrap();
    assert_eq!((comparison.verdict, comparison.cells.len()), (Decision::NoDifference, 15));
    assert!(comparison.cells[5..].iter().all(|cell| cell.verdict.is_none()));
}

#[test]
fn an_improvement_is_not_said_while_something_may_be_worse() {
    let mut better = pairs(8, [0.7, 1.0, 1.0, 1.0], 0.0, 0.0);
    assert_eq!(paired(&better, &Settings::default()).unwrap().verdict, Decision::Improvement);
    for (index, pair) in better.iter_mut().enumerate() {
        let value = pair.candidate.values.get_mut(&(all(), Figure::P99)).unwrap();
        value.value *= if index % 2 == 0 { 2.5 } else { 0.8 };
    }
    assert_eq!(paired(&better, &Settings::default()).unwrap().verdict, Decision::Inconclusive);
}

#[test]
fn shares_alone_prove_nothing() {
    let mut short = pairs(8, [1.0; 4], 0.0, 0.0);
    for figure in FIGURES {
        short[0].base.values.get_mut(&(all(), figure)).unwrap().support = Support::Shown;
    }
    let comparison = paired(&short, &Settings::default()).unwrap();
    assert_eq!((comparison.verdict, comparison.not_worse), (Decision::Inconclusive, false));
    assert!(
        comparison.reasons[0].starts_with("no response time has the samples"),
        "{:?}",
        comparison.reasons
    );
}

#[test]
fn different_versions_of_squall_are_named() {
    let make = |side: &str, version: &str| -> Vec<Evidence> {
        let runs = (0..2).map(|i| scattered(i, side, [1.0; 4], 0.0));
        runs.map(|run| Evidence { tool_version: version.to_owned(), ..run }).collect()
    };
    for (candidate, named) in [("0.1.0", false), ("0.2.0", true)] {
        let (base, candidate) = (make("base", "0.1.0"), make("candidate", candidate));
        let reasons = unpaired(&base, &candidate, &Settings::default()).unwrap().reasons;
        let told = "the runs were measured by different versions of squall (0.1.0, 0.2.0)";
        assert_eq!(reasons.iter().any(|reason| reason.starts_with(told)), named, "{reasons:?}");
    }
}

#[test]
fn plans_must_have_the_same_share_of_both_sides() {
    let make = |side: &str, plans: &[&str]| -> Vec<Evidence> {
        let runs = plans.iter().enumerate();
        runs.map(|(i, plan)| Evidence {
            plan_digest: (*plan).to_owned(),
            ..scattered(i, side, [1.0; 4], 0.0)
        })
        .collect()
    };
    let settings = Settings::default();
    let compared =
        |a: &[&str], b: &[&str]| unpaired(&make("base", a), &make("candidate", b), &settings).map(drop);
    assert_eq!(compared(&["p", "q"], &["p", "p", "q", "q"]), Ok(()));
    assert!(matches!(compared(&["p", "p", "q"], &["p", "q", "q"]), Err(Refusal::Shares { .. })));
    assert!(matches!(compared(&["p", "q"], &["p", "p"]), Err(Refusal::Plans { .. })));
}

#[test]
fn runs_that_are_not_paired_give_advice_only() {
    let pairs = pairs(8, [1.0, 1.0, 1.2, 1.0], 0.0, 0.0);
    let (base, candidate): (Vec<_>, Vec<_>) =
        pairs.into_iter().map(|pair| (pair.base, pair.candidate)).unzip();
    let comparison = unpaired(&base, &candidate[..6], &Settings::default()).unwrap();
    assert_eq!((comparison.verdict, comparison.gates), (Decision::Regression, false));
    assert_eq!(said(&comparison, Figure::P99), Some(Decision::Regression));
    assert!(
        comparison.reasons.iter().any(|reason| reason.starts_with("advisory")),
        "{:?}",
        comparison.reasons
    );
}

#[test]
fn percentiles_without_samples_or_among_failures_are_not_judged() {
    let mut pairs = pairs(8, [3.0; 4], 0.0, 0.0);
    for (figure, support) in
        [(Figure::P50, Support::Censored), (Figure::P99, Support::Shown), (Figure::P999, Support::None)]
    {
        let value = pairs[3].candidate.values.get_mut(&(all(), figure)).unwrap();
        value.support = support;
    }
    let comparison = paired(&pairs, &Settings::default()).unwrap();
    assert_eq!(said(&comparison, Figure::P50), None);
    assert_eq!(said(&comparison, Figure::P95), Some(Decision::Regression));
    assert_eq!(said(&comparison, Figure::P99), None);
    let tail = comparison.cells.iter().find(|cell| cell.figure == Figure::P999).unwrap();
    assert!(tail.base.is_some() && tail.candidate.is_none() && tail.effect.is_none());
}

/// The same comparison with the builds swapped: what must come out.
fn mirrored(comparison: &Comparison, swapped: &Comparison) -> Result<(), TestCaseError> {
    let turned = |verdict| match verdict {
        Decision::Regression => Decision::Improvement,
        Decision::Improvement => Decision::Regression,
        other => other,
    };
    for (cell, other) in comparison.cells.iter().zip(&swapped.cells) {
        prop_assert_eq!((cell.base, cell.candidate), (other.candidate, other.base));
        prop_assert_eq!(cell.effect.map(|effect| -effect), other.effect);
        prop_assert_eq!(cell.ci95.map(|[low, high]| [-high, -low]), other.ci95);
        prop_assert_eq!(cell.p_adjusted, other.p_adjusted);
        prop_assert_eq!(cell.verdict.map(|own| turned(own.verdict)), other.verdict.map(|own| own.verdict));
        prop_assert_eq!(cell.verdict.map(|own| own.more_pairs), other.verdict.map(|own| own.more_pairs));
    }
    let claims =
        |comparison: &Comparison, verdict| comparison.cells.iter().any(|cell| cell.claim() == Some(verdict));
    let mixed = claims(comparison, Decision::Regression) && claims(comparison, Decision::Improvement);
    // Better here and worse there is a regression from either side; and who fails more is never called better.
    let better = [comparison, swapped].iter().any(|own| own.verdict == Decision::Improvement);
    if !mixed
        && (better || comparison.verdict != Decision::Regression && swapped.verdict != Decision::Regression)
    {
        prop_assert_eq!(turned(comparison.verdict), swapped.verdict);
    }
    Ok(())
}

prop_compose! {
    fn two_builds(n: usize)(
        times in prop::collection::vec(prop::array::uniform4(0.2..20.0_f64), 2 * n),
        fails in prop::collection::vec(0.0..0.3_f64, 2 * n),
        calm in 0.0..1.0_f64,
        slower in 0.5..2.0_f64,
    ) -> (Vec<Evidence>, Vec<Evidence>) {
        let make = |side: &str, from: usize, factor: f64| -> Vec<Evidence> {
            (0..n)
                .map(|i| {
                    let times = times[from + i].map(|time| factor * time.powf(calm));
                    run(&format!("{side}{i}"), side, times, fails[from + i] * calm)
                })
                .collect()
        };
        (make("a", 0, 1.0), make("b", n, slower))
    }
}

proptest! {
    // Above 14 pairs, and 8 runs a side, 20 000 permutations are drawn for every case.
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn swapping_the_builds_swaps_everything(
        (base, candidate) in (2_usize..17).prop_flat_map(two_builds)
    ) {
        let pair = |base: &Evidence, candidate: &Evidence, first| Pair {
            base: base.clone(), candidate: candidate.clone(), base_first: Some(first),
        };
        let zip = || base.iter().zip(&candidate).enumerate();
        let forth: Vec<_> = zip().map(|(i, (a, b))| pair(a, b, i % 2 == 0)).collect();
        let back: Vec<_> = zip().map(|(i, (a, b))| pair(b, a, i % 2 == 1)).collect();
        let settings = Settings::default();
        let (one, other) = (paired(&forth, &settings).unwrap(), paired(&back, &settings).unwrap());
        mirrored(&one, &other)?;
        let bytes = |comparison: &Comparison| serde_json::to_string(comparison).unwrap();
        prop_assert_eq!(bytes(&one), bytes(&paired(&forth, &settings).unwrap()), "equal input, equal bytes");
        let read: Comparison = serde_json::from_str(&bytes(&one)).unwrap();
        prop_assert_eq!(bytes(&read), bytes(&one));
        mirrored(&unpaired(&base, &candidate, &settings).unwrap(), &unpaired(&candidate, &base, &settings).unwrap())?;
    }
}

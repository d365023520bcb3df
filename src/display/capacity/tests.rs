//! Tests of the screen: what is said of each finding, and that everything fits.

use super::*;
use crate::capacity::{Comparison, End, Finding};
use crate::compare::Decision;

fn probe(number: u32, factor: f64, verdict: Verdict) -> Probe {
    let offered = 200.0 * factor;
    Probe {
        number,
        factor,
        offered_per_s: offered,
        goodput_per_s: offered.min(210.0),
        p50_ms: Some(5.5),
        p99_ms: Some(if verdict == Verdict::Missed { 812.0 } else { 12.5 * factor }),
        usage: Some(if verdict == Verdict::Missed { 40.6 } else { 0.6 * factor }),
        verdict,
    }
}

fn answer(finding: Finding, probes: Vec<Probe>) -> Answer {
    Answer {
        finding,
        confidence: 0.95,
        precision: 0.05,
        fit: None,
        generator_limit: None,
        trend: None,
        scalability: None,
        probes,
    }
}

fn budget(value: f64) -> BudgetResult {
    BudgetResult {
        demand: "p99 < 20 ms".to_owned(),
        scope: "all fleets".to_owned(),
        comparison: "<".to_owned(),
        measured: Some(format!("{value:.1} ms")),
        met: value < 20.0,
        bound: Some(20.0),
        value: Some(value),
        ..BudgetResult::default()
    }
}

fn drawn(answer: &Answer, width: usize, style: Style) -> String {
    let budgets: Vec<_> =
        answer.probes.iter().map(|probe| [budget(probe.p99_ms.unwrap_or_default())]).collect();
    let trials = answer.probes.iter().zip(&budgets).map(|(_, budgets)| TrialOutline {
        is_bound: false,
        validity: Judgement::Valid,
        reasons: &[],
        budgets,
    });
    let demands = ["p99 < 20 ms of all fleets".to_owned()];
    let outline = Outline {
        scenario: "knee",
        demands: &demands,
        answer,
        trials: trials.collect(),
        planned_per_s: 200.0,
        took_s: 312.0,
        remarks: vec!["every probe had a bundled reference system of its own".to_owned()],
        folder: "results/knee/2026-11-29T10-00-00Z-capacity".to_owned(),
    };
    capacity(&outline, width, style)
}

fn several() -> Vec<Probe> {
    let met = [0.3, 0.6, 0.9, 0.97].into_iter().map(|factor| (factor, Verdict::Met));
    let missed = [1.05, 1.3, 2.4].into_iter().map(|factor| (factor, Verdict::Missed));
    met.chain(missed).zip(1..).map(|((factor, verdict), number)| probe(number, factor, verdict)).collect()
}

#[test]
fn an_answer_is_drawn_with_its_curve_and_its_probes() {
    let found = answer(Finding::Knee { factor: 1.01, low: 0.99, high: 1.03 }, several());
    let text = drawn(&found, 80, Style::PLAIN);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    insta::assert_snapshot!(text, @r"
    knee, 7 probes in 5 min
    capacity: 1.01 times the load (0.99 to 1.03, 95 % sure), 202 readings/s
      - what breaks first is p99 < 20 ms of all fleets: 12.1 ms at 0.97, 812.0 ms at
        1.05
      - every probe had a bundled reference system of its own

    goodput by offered load; dots: all that was offered
        210/s |                           o..x      x                              x
              |                       ...o. |
              |                  .....     ||
              |             ....o           |
              |        .o...               ||
              |   .....                     |
          0/s |...                         ||
              +---------------------------------------------------------------------
    p99 by offered load, logarithmic
          1 s |                            ||x      x                              x
              |                             |
              |                            ||
              |                             |
              |                          oo||
              |         o       o           |
         2 ms |                            ||
              +---------------------------------------------------------------------
              0/s                                                             480/s
    o budgets held, x missed; | the answer and its interval

    load  offered  goodput      p50      p99      used  budgets  probe
    0.3      60/s     60/s  5.50 ms  3.75 ms      18 %      met      1
    0.6     120/s    120/s  5.50 ms  7.50 ms      36 %      met      2
    0.9     180/s    180/s  5.50 ms  11.3 ms      54 %      met      3
    0.97    194/s    194/s  5.50 ms  12.1 ms      58 %      met      4
    1.05    210/s    210/s  5.50 ms   812 ms  41 times   missed      5
    1.3     260/s    210/s  5.50 ms   812 ms  41 times   missed      6
    2.4     480/s    210/s  5.50 ms   812 ms  41 times   missed      7
    files results/knee/2026-11-29T10-00-00Z-capacity
    ");
}

#[test]
fn every_finding_has_a_sentence_that_fits() {
    let end = End::Generator { factor: 8.4 };
    for (finding, said) in [
        (
            Finding::Knee { factor: 1.314, low: 1.28, high: 1.34 },
            "capacity: 1.31 times the load (1.28 to 1.34, 95 % sure), 263 readings/s",
        ),
        (
            Finding::Open { factor: 1.3, low: 1.1, high: 1.6 },
            "capacity: about 1.3 times the load (1.1 to 1.6, 95 % sure), not yet to the 5 % asked for",
        ),
        (
            Finding::AtLeast { factor: 9.7, end: End::Highest { factor: 10.0 } },
            "capacity: at least 9.7 times the load, 1,940 readings/s; the highest that was to be probed is 10",
        ),
        (
            Finding::AtLeast { factor: 8.1, end },
            "capacity: at least 8.1 times the load, 1,620 readings/s; the generator ends at 8.4",
        ),
        (Finding::AtMost { factor: 0.1 }, "capacity: less than 0.1 times the load, 20 readings/s"),
        (
            Finding::Unsteady { factor: 1.2, change: -0.21 },
            "the capacity did not hold still: it fell by 21 % from the first probe to the last, around 1.2 times the load",
        ),
        (Finding::Unknown, "capacity: unknown, no probe could be judged"),
    ] {
        for (width, style) in
            [(60, Style::PLAIN), (80, Style { colour: false, ascii: false }), (160, Style::PLAIN)]
        {
            let text = drawn(&answer(finding, several()), width, style);
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}: {text}");
            let flat = text.replace('\u{202f}', ",").replace('\n', " ");
            assert!(flat.contains(said), "{said}: {text}");
        }
    }
    let nothing = drawn(&answer(Finding::Unknown, Vec::new()), 80, Style::PLAIN);
    assert!(nothing.contains("0 probes") && !nothing.contains("goodput"), "{nothing}");
}

#[test]
fn factors_have_the_digits_that_matter() {
    for (value, text) in [
        (0.012_34, "0.0123"),
        (0.1, "0.1"),
        (0.9949, "0.995"),
        (1.0, "1"),
        (1.314, "1.31"),
        (12.44, "12.4"),
        (130.4, "130"),
    ] {
        assert_eq!(factor(value), text);
    }
}

#[test]
fn a_table_keeps_the_probes_that_are_nearest_to_the_answer() {
    let probes: Vec<_> = (1..=40).map(|nth| probe(nth, f64::from(nth) * 0.1, Verdict::Met)).collect();
    let found = answer(Finding::Knee { factor: 2.0, low: 1.9, high: 2.1 }, probes);
    let places = shown(&found, 5);
    assert_eq!(places, [17, 18, 19, 20, 21], "1.8 to 2.2");
    assert!(drawn(&found, 80, Style::PLAIN).contains("24 further probes in capacity.csv"));
}

#[test]
fn two_builds_are_told_by_how_much_more_or_less_they_take() {
    let [base, candidate] = [1.31, 1.1]
        .map(|knee| answer(Finding::Knee { factor: knee, low: knee - 0.02, high: knee + 0.02 }, several()));
    let mut comparison = Comparison {
        decision: Decision::Regression,
        is_certain: true,
        change: -0.16,
        ci95: [-0.19, -0.12],
        ci90: [-0.18, -0.13],
        p: 0.000_2,
        threshold: 0.05,
        base,
        candidate,
    };
    let told = |comparison: &Comparison, width| {
        let outline = PairOutline {
            scenario: "load",
            labels: ["main", "pull request"],
            comparison,
            planned_per_s: 100.0,
            took_s: 600.0,
            remark: Some("its time, 10 min, was up"),
            folder: "results/load".to_owned(),
        };
        pair(&outline, width, Style::PLAIN)
    };
    let text = told(&comparison, 80);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let flat = text.replace('\n', " ");
    for said in [
        "load, pull request against main, 7 pairs of probes in 10 min",
        "regression: the candidate takes 16.0 % less load (95 % interval -19.0 % to -12.0 %, p < 0.001)",
        "main: capacity: 1.31 times the load",
        "ended early: its time",
    ] {
        assert!(flat.contains(said), "{said}: {text}");
    }
    (comparison.decision, comparison.change, comparison.p) = (Decision::Improvement, 0.2, 0.04);
    assert!(told(&comparison, 160).contains("improvement: the candidate takes 20.0 % more load"));
}

//! A made-up comparison with everything in it, and names as evil as they come.

use crate::compare::{
    Cell, CellDecision, Comparison, Decision, Design, Figure, Group, InterimLook, Pairing, Side, Support,
};

/// What a label may hold: everything that some format gives a meaning to.
pub(crate) const EVIL: &str = "a|b `c` <img src=x> ]]> & \"d\" @all\u{1b}[31m\u{0}\n::error::x";

fn cell(fleet: &str, figure: Figure, values: [f64; 2], effect: f64, verdict: Option<Decision>) -> Cell {
    let protocol = if fleet == "all" { "all" } else { "http" };
    let phase = if fleet == "all" { "all" } else { "steady" };
    Cell {
        group: Group { phase: phase.into(), fleet: fleet.into(), protocol: protocol.into() },
        figure,
        support: if verdict.is_some() { Support::Judged } else { Support::Shown },
        base: Some(values[0]),
        candidate: Some(values[1]),
        effect: Some(effect),
        median: Some(effect),
        ci95: Some([effect - 0.04, effect + 0.04]),
        ci90: Some([effect - 0.03, effect + 0.03]),
        spread: Some(0.05),
        p_adjusted: verdict.map(|_| 0.0123),
        threshold: 0.05,
        differences: vec![effect; 8],
        values: vec![values; 8],
        verdict: verdict.map(|verdict| CellDecision {
            verdict,
            certain: verdict == Decision::Regression,
            more_pairs: (verdict == Decision::Inconclusive).then_some(12),
            withdrawn: None,
        }),
    }
}

fn bare(verdict: Decision) -> Comparison {
    let side =
        |label: &str| Side { label: label.into(), runs: (0..8).map(|n| format!("r{n}-{label}")).collect() };
    Comparison {
        schema: crate::compare::SCHEMA,
        scenario: "quickstart".into(),
        base: side("main"),
        candidate: Side { label: EVIL.into(), runs: vec!["r".into(); 8] },
        design: Design {
            pairing: Pairing::Paired,
            pairs: 8,
            alpha: 0.05,
            seed: "1".into(),
            plan_digests: vec!["ab".into()],
            base_first: vec![true, false],
        },
        verdict,
        gates: true,
        not_worse: false,
        suspect_runs: 0,
        tool_versions: Vec::new(),
        unanswered: Vec::new(),
        reasons: vec!["steady meters p99 is 12.3 % slower".into()],
        cells: Vec::new(),
        order_effect: Some(0.001),
        looks: vec![InterimLook { pairs: 4, alpha: 0.005, verdict: Decision::Inconclusive }],
        confirmation: None,
    }
}

/// A comparison with a cell of every kind.
pub(crate) fn comparison() -> Comparison {
    let censored =
        Cell { support: Support::Censored, ..cell("meters", Figure::P999, [9.0, 9.5], 0.054, None) };
    let absent = Cell {
        support: Support::None,
        base: None,
        candidate: None,
        effect: None,
        median: None,
        values: Vec::new(),
        ci95: None,
        ci90: None,
        spread: None,
        ..cell("pumps", Figure::P999, [0.0; 2], 0.0, None)
    };
    Comparison {
        cells: vec![
            cell("all", Figure::P50, [0.4, 0.36], -0.105, Some(Decision::Improvement)),
            cell("meters", Figure::P50, [0.412, 0.413], 0.0024, Some(Decision::NoDifference)),
            cell("meters", Figure::P99, [1.243, 1.396], 0.116, Some(Decision::Regression)),
            censored,
            Cell {
                threshold: 0.001,
                ci95: Some([0.0, 0.004]),
                ..cell("meters", Figure::ErrorRate, [0.001, 0.003], 0.002, Some(Decision::Inconclusive))
            },
            cell("pumps", Figure::P95, [0.9, 0.91], 0.011, None),
            absent,
        ],
        confirmation: Some(Box::new(bare(Decision::Regression))),
        ..bare(Decision::Regression)
    }
}

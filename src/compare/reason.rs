//! Why a comparison says what it says, in sentences.

use super::comparison::{Cell, Comparison, Decision, Pairing, Support, Unanswered, Withdrawal};
use crate::units::{part_of, plural};

/// Claims that are listed one by one; the rest is counted.
const LISTED: usize = 4;

/// The reasons for a verdict, the most important first.
pub(super) fn of(comparison: &Comparison) -> Vec<String> {
    let mut reasons: Vec<_> = comparison.unanswered.iter().map(Unanswered::sentence).collect();
    for verdict in [Decision::Regression, Decision::Improvement] {
        let mut claimed: Vec<_> =
            comparison.cells.iter().filter(|cell| cell.claim() == Some(verdict)).collect();
        let weight = |cell: &Cell| cell.effect.unwrap_or(0.0).abs() / cell.threshold;
        claimed.sort_by(|left, right| weight(right).total_cmp(&weight(left)));
        reasons.extend(claimed.iter().take(LISTED).map(|cell| claim(cell)));
        if claimed.len() > LISTED {
            reasons.push(format!("and {} more of the kind", claimed.len() - LISTED));
        }
    }
    let fails_more =
        |cell: &Cell| cell.verdict.is_some_and(|own| own.withdrawn == Some(Withdrawal::FailsMore));
    if comparison.cells.iter().any(fails_more) {
        reasons.push(
            "response times in favour of the build that fails clearly more are not counted: who fails has less to do".into(),
        );
    }
    reasons.extend(limits(comparison));
    if comparison.verdict == Decision::Inconclusive && comparison.design.pairing == Pairing::Paired {
        reasons.extend(open(comparison));
    }
    let (suspect, runs) =
        (comparison.suspect_runs, comparison.base.runs.len() + comparison.candidate.runs.len());
    if suspect > 0 {
        reasons.push(format!(
            "{} judged suspect: the generator may show through; their reports say why",
            part_of(suspect.into(), runs as u64, "run")
        ));
    }
    if !comparison.tool_versions.is_empty() {
        reasons.push(format!(
            "the runs were measured by different versions of squall ({}): a difference may be squall's own",
            comparison.tool_versions.join(", ")
        ));
    }
    reasons
}

fn claim(cell: &Cell) -> String {
    let p = cell.p_adjusted.unwrap_or(1.0);
    let interval = cell.ci95.map(|ci| interval(cell, ci)).unwrap_or_default();
    format!(
        "{} of {}: {}{interval}, beyond the threshold of {}, p = {p:.4}",
        cell.figure.name(),
        cell.group,
        cell.effect.map(|effect| change(cell, effect)).unwrap_or_default(),
        threshold(cell),
    )
}

fn interval(cell: &Cell, [low, high]: [f64; 2]) -> String {
    format!(" (95 % interval {} to {})", change(cell, low), change(cell, high))
}

/// `value`, in the unit of a cell's effect, as people read a change: `+12.3 %`, `-0.40 points`.
pub(super) fn change(cell: &Cell, value: f64) -> String {
    let percent = cell.as_share(value) * 100.0;
    // No sign before a nought.
    let percent = if percent.abs() < 0.005 { 0.0 } else { percent };
    if cell.figure.quantile().is_some() {
        format!("{percent:+.1} %")
    } else {
        format!("{percent:+.2} points")
    }
}

/// The threshold as people read it.
pub(super) fn threshold(cell: &Cell) -> String {
    change(cell, cell.threshold).trim_start_matches('+').to_owned()
}

fn limits(comparison: &Comparison) -> Vec<String> {
    let (design, mut limits) = (&comparison.design, Vec::new());
    match design.pairing {
        Pairing::Single => {
            limits.push("one run of each build is described, not judged: runs differ by chance, and one shows not by how much".into());
        }
        Pairing::Unpaired => limits.push(
            "advisory: the runs are not paired, so that whatever changed between them besides the build counts as the build's doing".into(),
        ),
        Pairing::Paired => {
            let least = (2.0 / design.alpha).log2().ceil();
            if f64::from(design.pairs) < least {
                limits.push(format!(
                    "with {} nothing can be significant at {}: at least {least} are needed",
                    plural(design.pairs.into(), "pair"),
                    design.alpha
                ));
            }
        }
    }
    if comparison.cells.iter().any(|cell| cell.support == Support::Censored) {
        limits.push(
            "percentiles among failed readings are only lower bounds: the error rate judges there".into(),
        );
    }
    limits
}

/// What is undecided, and how many pairs would decide it.
fn open(comparison: &Comparison) -> Vec<String> {
    let judged: Vec<_> = comparison.cells.iter().filter_map(|cell| Some((cell, cell.verdict?))).collect();
    let open: Vec<_> = judged
        .iter()
        .filter(|(_, own)| own.verdict == Decision::Inconclusive && own.withdrawn.is_none())
        .collect();
    if comparison.unanswered.iter().any(|own| own.by_base) && judged.is_empty() {
        return Vec::new();
    }
    if judged.iter().all(|(cell, _)| cell.figure.quantile().is_none()) {
        return vec![
            "no response time has the samples to be judged by: run longer, or at a higher rate".into(),
        ];
    }
    if open.is_empty() {
        return Vec::new();
    }
    let more = open.iter().map(|(_, own)| own.more_pairs).collect::<Option<Vec<_>>>();
    let most = more.and_then(|more| more.into_iter().max());
    let advice = most.map_or_else(
        || "longer runs or larger thresholds would decide rather than more pairs".to_owned(),
        |most| format!("about {most} more pairs would decide"),
    );
    vec![format!("{} of {} judged figures are open; {advice}", open.len(), judged.len())]
}

/// What the fresh pairs said.
pub(super) fn of_confirmation(held: bool, pairs: usize) -> String {
    if held {
        format!("confirmed by {pairs} fresh pairs")
    } else {
        format!("not confirmed: {pairs} fresh pairs did not show it again")
    }
}

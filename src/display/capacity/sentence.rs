//! The sentences: what was found, what limits the service, and what a probe said.

use super::{Outline, TrialOutline, place_of, used};
use crate::capacity::{Answer, Comparison, End, Finding, Probe, Verdict};
use crate::compare::Decision;
use crate::display::comparison::{length, name};
use crate::display::grid::{hanging, wrap};
use crate::display::style::{Style, Tone};
use crate::results::BudgetResult;
use crate::units::figure::{plural, rate};

/// A load factor with as many digits as its uncertainty leaves: `0.12`, `1.31`, `12.4`, `130`.
pub(crate) fn factor(factor: f64) -> String {
    let digits = match factor {
        _ if factor < 0.0995 => 4,
        _ if factor < 0.995 => 3,
        _ if factor < 9.995 => 2,
        _ if factor < 99.95 => 1,
        _ => 0,
    };
    let text = format!("{factor:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Readings per second at `load`, where the scenario says how many those are.
fn readings(planned_per_s: f64, load: f64) -> String {
    if planned_per_s > 0.0 { format!(", {}", readings_per_s(planned_per_s * load)) } else { String::new() }
}

fn readings_per_s(per_second: f64) -> String {
    rate(per_second).replace("/s", " readings/s")
}

/// The answer, and how it stands out.
pub(crate) fn finding(outline: &Outline<'_>) -> (Tone, String) {
    found(outline.answer, outline.planned_per_s)
}

fn found(answer: &Answer, planned_per_s: f64) -> (Tone, String) {
    let sure = format!("{} % sure", round(answer.confidence * 100.0));
    match answer.finding {
        Finding::Knee { factor: knee, low, high } => (
            Tone::Good,
            format!(
                "capacity: {} times the load ({} to {}, {sure}){}",
                factor(knee),
                factor(low),
                factor(high),
                readings(planned_per_s, knee)
            ),
        ),
        Finding::Open { factor: knee, low, high } => (
            Tone::Warning,
            format!(
                "capacity: about {} times the load ({} to {}, {sure}), not yet to the {} % asked for{}",
                factor(knee),
                factor(low),
                factor(high),
                round(answer.precision * 100.0),
                readings(planned_per_s, knee)
            ),
        ),
        Finding::AtLeast { factor: least, end: End::Highest { factor: highest } } => (
            Tone::Good,
            format!(
                "capacity: at least {} times the load{}; the highest that was to be probed is {}",
                factor(least),
                readings(planned_per_s, least),
                factor(highest)
            ),
        ),
        Finding::AtLeast { factor: least, end: End::Generator { factor: end } } => (
            Tone::Warning,
            format!(
                "capacity: at least {} times the load{}; the generator ends at {}",
                factor(least),
                readings(planned_per_s, least),
                factor(end)
            ),
        ),
        Finding::AtMost { factor: most } => (
            Tone::Bad,
            format!("capacity: less than {} times the load{}", factor(most), readings(planned_per_s, most)),
        ),
        Finding::Unsteady { factor: mean, change } => (
            Tone::Bad,
            format!(
                "the capacity did not hold still: it {} by {} % from the first probe to the last, around {} times the load",
                if change < 0.0 { "fell" } else { "rose" },
                round(change.abs() * 100.0),
                factor(mean)
            ),
        ),
        Finding::Unknown => (Tone::Warning, "capacity: unknown, no probe could be judged".to_owned()),
    }
}

fn round(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

/// What limits the service, or the search: the budget that breaks first, and where the generator ended, a sentence each.
pub(super) fn limit(outline: &Outline<'_>) -> Vec<String> {
    breaking(outline).into_iter().chain(generator(outline)).collect()
}

/// Of the probes that missed, by how much the lowest loads missed what, and how it stood just below.
fn breaking(outline: &Outline<'_>) -> Option<String> {
    let probes = || outline.answer.probes.iter().zip(&outline.trials);
    let (first, trial) = probes()
        .filter(|(probe, _)| probe.verdict == Verdict::Missed)
        .min_by(|one, other| one.0.factor.total_cmp(&other.0.factor))?;
    let broken = |budget: &&BudgetResult| !budget.met && !budget.unjudged && budget.measured.is_some();
    let budget =
        trial.budgets.iter().filter(broken).max_by(|one, other| share(one).total_cmp(&share(other)))?;
    let same = |trial: &TrialOutline<'_>| {
        let found = trial.budgets.iter().find(|other| other.is_of_same(budget));
        found.map(BudgetResult::found)
    };
    let below = probes()
        .filter(|(probe, _)| probe.verdict == Verdict::Met && probe.factor < first.factor)
        .max_by(|one, other| one.0.factor.total_cmp(&other.0.factor));
    let below =
        below.and_then(|(probe, trial)| Some(format!("{} at {}, ", same(trial)?, factor(probe.factor))));
    Some(format!(
        "what breaks first is {} of {}: {}{} at {}",
        budget.demand,
        budget.subject(),
        below.unwrap_or_default(),
        budget.found(),
        factor(first.factor)
    ))
}

/// How far a broken budget was missed; one without a bound counts for least.
fn share(budget: &BudgetResult) -> f64 {
    match (budget.value, budget.bound) {
        (Some(value), Some(bound)) if budget.comparison.starts_with('<') => value / bound,
        (Some(value), Some(bound)) => bound / value,
        _ => 0.0,
    }
}

/// From which load on the generator was the bottleneck, and why.
fn generator(outline: &Outline<'_>) -> Option<String> {
    let limit = outline.answer.generator_limit?;
    let beyond = |probe: &Probe| probe.verdict == Verdict::GeneratorLimited && probe.factor >= limit;
    let limited: Vec<_> =
        outline.answer.probes.iter().zip(&outline.trials).filter(|(probe, _)| beyond(probe)).collect();
    let (first, trial) = limited.iter().find(|(probe, _)| probe.factor <= limit).or(limited.first())?;
    let reason = trial.reasons.first().map(|reason| format!(": {reason}")).unwrap_or_default();
    Some(format!(
        "the generator ends at {} times the load, {} ({}){reason}",
        factor(limit),
        readings_per_s(first.offered_per_s),
        plural(limited.len() as u64, "probe"),
    ))
}

/// What a probe said, and what is known by now, in a line.
pub(crate) fn progress(probe: &Probe, so_far: &Answer) -> String {
    let used = probe.usage.map(|share| format!(", the tightest budget used to {}", used(share)));
    let known = match so_far.finding {
        Finding::Knee { low, high, .. } | Finding::Open { low, high, .. } => {
            format!("{} to {}", factor(low), factor(high))
        }
        Finding::AtLeast { factor: least, .. } => format!("at least {}", factor(least)),
        Finding::AtMost { factor: most } => format!("less than {}", factor(most)),
        Finding::Unsteady { factor: mean, .. } => format!("not holding still, around {}", factor(mean)),
        Finding::Unknown => "unknown".to_owned(),
    };
    format!(
        "probe {} at {}, {}: {}{}; capacity so far: {known}",
        probe.number,
        factor(probe.factor),
        readings_per_s(probe.offered_per_s),
        probe.verdict.name(),
        used.unwrap_or_default()
    )
}

/// Two builds compared, to tell of.
#[derive(Debug)]
pub(crate) struct PairOutline<'a> {
    /// The scenario's name.
    pub(crate) scenario: &'a str,
    /// Base and candidate.
    pub(crate) labels: [&'a str; 2],
    pub(crate) comparison: &'a Comparison,
    /// Readings per second that the scenario plans at a load of 1; 0 where that depends on the service.
    pub(crate) planned_per_s: f64,
    /// How long it took, seconds.
    pub(crate) took_s: f64,
    /// Why it ended early, if it did.
    pub(crate) remark: Option<&'a str>,
    /// Where its files are.
    pub(crate) folder: String,
}

/// The comparison as a text of at most `width` columns, each line ended.
pub(crate) fn pair(outline: &PairOutline<'_>, width: usize, style: Style) -> String {
    let width = width.max(60);
    let comparison = outline.comparison;
    let [base, candidate] = outline.labels.map(name);
    let pairs = plural(comparison.base.probes.len() as u64, "pair");
    let title = [
        style.paint(outline.scenario, Tone::Strong),
        format!("{candidate} against {base}"),
        format!("{pairs} of probes in {}", length(outline.took_s)),
    ];
    let mut lines = vec![title.join(style.dot())];
    let tone = match comparison.decision {
        Decision::Regression => Tone::Bad,
        Decision::Improvement | Decision::NoDifference => Tone::Good,
        Decision::Inconclusive => Tone::Warning,
    };
    let said = format!("{}: the candidate takes {}", comparison.decision.name(), change(comparison));
    lines.extend(wrap(&style.spoken(&said), width).iter().map(|line| style.paint(line, tone)));
    for (label, answer) in [(base, &comparison.base), (candidate, &comparison.candidate)] {
        let (_, found) = found(answer, outline.planned_per_s);
        lines.extend(hanging("  - ", &style.spoken(&format!("{label}: {found}")), width));
    }
    if let Some(remark) = outline.remark {
        lines.extend(hanging("  - ", &format!("the comparison ended early: {remark}"), width));
    }
    lines.push(format!("{} {}", style.paint("files", Tone::Faint), outline.folder));
    lines.join("\n") + "\n"
}

/// How much more or less load the candidate takes.
fn change(comparison: &Comparison) -> String {
    let [low, high] = comparison.ci95.map(|share| share * 100.0);
    let word = if comparison.change < 0.0 { "less" } else { "more" };
    let p = if comparison.p < 0.001 { "p < 0.001".to_owned() } else { format!("p = {:.3}", comparison.p) };
    format!(
        "{:.1} % {word} load (95 % interval {low:+.1} % to {high:+.1} %, {p}); changes up to {} % are taken for noise",
        comparison.change.abs() * 100.0,
        round(comparison.threshold * 100.0)
    )
}

/// What is known after so many pairs, in a line.
pub(crate) fn pair_progress(pairs: usize, so_far: &Comparison) -> String {
    let [low, high] = so_far.ci95.map(|share| share * 100.0);
    let [base, candidate] =
        [&so_far.base, &so_far.candidate].map(|answer| place_of(answer).map_or_else(String::new, factor));
    format!(
        "pair {pairs}: capacity of the base {base}, of the candidate {candidate}; change so far {:+.1} % ({low:+.1} to {high:+.1})",
        so_far.change * 100.0
    )
}

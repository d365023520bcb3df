//! The head of the page: the decision, and what it comes to in a sentence.

use super::run::Runs;
use super::section;
use crate::compare::{Comparison, Decision, Pairing};
use crate::display::Tone;
use crate::display::comparison::{advisory, against, meaning, notes, row, sentence, size, tone};
use crate::page::STYLE;
use crate::page::escape::{Escaped, clip};
use crate::page::head::{Banner, alert, chip, started, tile};
use crate::page::table::class_of;
use crate::units::part_of;

/// The title of the page: tabs and previews show it.
pub(super) fn title(comparison: &Comparison) -> String {
    let scenario = clip(&comparison.scenario, 80);
    let names = clip(&against(comparison), 80);
    format!("{scenario}: {} · {names} · squall", comparison.verdict.name())
}

pub(super) fn banner(comparison: &Comparison, runs: &Runs, repeated: usize) -> Banner {
    let design = &comparison.design;
    let mut facts = Vec::new();
    facts.extend(runs.first.as_ref().map(|first| started(&first.started)));
    facts.push(format!("<b>{}</b>", Escaped(size(comparison))));
    if design.pairing == Pairing::Paired {
        facts.push("equal plans within a pair".to_owned());
    }
    facts.push(format!("at most {} % false alarms", design.alpha * 100.0));
    facts.extend(
        runs.first.as_ref().map(|first| format!("squall {}", Escaped(clip(&first.tool_version, 24)))),
    );
    Banner {
        name: comparison.scenario.clone(),
        about: against(comparison),
        facts,
        chips: chips(comparison, runs, repeated),
        lede: lede(comparison),
    }
}

/// What the fresh pairs said, as its first reason has it.
fn confirmation(comparison: &Comparison) -> Option<(Tone, String)> {
    let said = comparison.reasons.iter().find_map(|reason| {
        let good = reason.starts_with("confirmed by");
        (good || reason.starts_with("not confirmed")).then_some((good, reason))
    });
    match said {
        Some((true, reason)) => Some((Tone::Good, reason.clone())),
        Some((false, reason)) => {
            Some((Tone::Warning, reason.split(':').next().unwrap_or_default().to_owned()))
        }
        None if comparison.verdict == Decision::Regression
            && comparison.design.pairing == Pairing::Paired =>
        {
            Some((Tone::Warning, "not confirmed by fresh pairs".to_owned()))
        }
        None => None,
    }
}

fn chips(comparison: &Comparison, runs: &Runs, repeated: usize) -> String {
    let mut out = String::new();
    let (tone, _) = meaning(comparison);
    chip(&mut out, tone, &format!("{}{}", comparison.verdict.name(), advisory(comparison)), "table");
    if let Some((tone, words)) = confirmation(comparison) {
        chip(&mut out, tone, &words, "pairs");
    }
    let all = comparison.base.runs.len() + comparison.candidate.runs.len();
    if comparison.suspect_runs > 0 {
        let suspect = part_of(comparison.suspect_runs.into(), all as u64, "run");
        chip(&mut out, Tone::Warning, &format!("{suspect} suspect"), "made");
    }
    if repeated > 0 {
        let pairs = if repeated == 1 { "pair was" } else { "pairs were" };
        chip(&mut out, Tone::Warning, &format!("{repeated} {pairs} run again"), "made");
    }
    if notes(comparison).iter().any(|(_, tone)| *tone == Tone::Warning) {
        chip(&mut out, Tone::Warning, "the order of runs shows", "table");
    }
    if let Some((tone, words)) = section::budget_word(runs) {
        chip(&mut out, tone, &words, "budgets");
    }
    out
}

fn lede(comparison: &Comparison) -> String {
    let (tone, words) = meaning(comparison);
    let mut decision = comparison.verdict.name().to_owned();
    if let Some(first) = decision.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let said = sentence(comparison, STYLE).map(|said| format!(" <b>{}</b>.", Escaped(said)));
    format!("<b class=\"{}\">{decision}</b>: {words}.{}", class_of(tone), said.unwrap_or_default())
}

/// Why the decision is as it is, word for word.
pub(super) fn reasons(comparison: &Comparison) -> String {
    let class = match comparison.verdict {
        Decision::Regression => "card alert bad-edge",
        Decision::Improvement | Decision::NoDifference => "card alert good-edge",
        Decision::Inconclusive => "card alert",
    };
    let reasons: Vec<&str> = comparison.reasons.iter().map(String::as_str).collect();
    alert(class, "Why.", &reasons)
}

/// The figures of all fleets.
pub(super) fn tiles(comparison: &Comparison) -> String {
    let mut out = String::new();
    for cell in comparison.cells.iter().filter(|cell| cell.group.is_all()) {
        let texts = row(cell, STYLE);
        let [_, before, after, change, .., said] = texts.as_slice() else { continue };
        let class = match tone(cell) {
            Some(tone @ (Tone::Bad | Tone::Good)) => class_of(tone),
            Some(_) => "faint",
            None => "",
        };
        let beneath =
            if cell.effect.is_some() { format!("{before} → {after}: {said}") } else { said.clone() };
        tile(&mut out, cell.figure.name(), change, &beneath, class);
    }
    if out.is_empty() { out } else { format!("<div class=\"tiles\">{out}</div>") }
}

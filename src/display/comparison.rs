//! The table of a comparison: what is said, why, and every figure with its change and uncertainty.

use std::path::Path;

use super::dot;
use super::figure::{count, dash, time};
use super::grid::{Grid, clip, hanging, wrap};
use super::style::{Style, Tone};
use crate::compare::{Cell, Comparison, Decision, Figure, Pairing, SelfTest, Support, Withdrawal};
use crate::units::{is_steering, plural};

/// Columns that give way on a narrow screen, the first one first: p, median, interval.
const EXPENDABLE: [usize; 3] = [6, 4, 5];
/// An effect of the order of runs that is worth a word, as a share, and in standard errors.
const ORDER_MATTERS: f64 = 0.02;
const ERRORS_BEYOND_CHANCE: f64 = 3.0;
/// Changes beyond are told as multiples, in per cent.
const MOST_PERCENT: f64 = 999.0;
/// Multiples beyond are told as this one: few pairs have intervals without bounds.
const MOST_TIMES: f64 = 9_999.0;
/// Of a label, in the head of its column.
const LONGEST_LABEL: usize = 16;

/// A comparison as a text of at most `width` columns (60 at least), each line ended.
pub(crate) fn comparison(
    comparison: &Comparison,
    folder: Option<&Path>,
    width: usize,
    style: Style,
) -> String {
    let width = width.max(60);
    let mut lines = heading(comparison, style);
    for reason in &comparison.reasons {
        lines.extend(hanging("  - ", reason, width));
    }
    lines.push(String::new());
    lines.extend(table(comparison, style).draw(width, style));
    lines.push(String::new());
    let pairs = dot::pairs(comparison, width, style);
    if !pairs.is_empty() {
        lines.extend(pairs);
        lines.push(String::new());
    }
    lines.extend(footnotes(comparison, width, style));
    if let Some(folder) = folder {
        lines.push(format!("{} {}", style.paint("files", Tone::Faint), folder.display()));
    }
    lines.extend(dot::sentence(comparison, style).iter().flat_map(|sentence| wrap(sentence, width)));
    let lines: Vec<_> = lines.iter().map(|line| line.trim_end()).collect();
    lines.join("\n").trim_end().to_owned() + "\n"
}

fn heading(comparison: &Comparison, style: Style) -> Vec<String> {
    let title = [style.paint(&comparison.scenario, Tone::Strong), against(comparison), size(comparison)];
    let (tone, text) = meaning(comparison);
    let verdict = style.paint(comparison.verdict.name(), tone);
    vec![title.join(style.dot()), format!("{verdict}{}: {text}", advisory(comparison))]
}

/// What is compared with what.
pub(crate) fn against(comparison: &Comparison) -> String {
    format!("{} against {}", name(&comparison.candidate.label), name(&comparison.base.label))
}

/// How many runs there are, and how they belong together.
pub(crate) fn size(comparison: &Comparison) -> String {
    let Comparison { base, candidate, design, .. } = comparison;
    match design.pairing {
        Pairing::Paired => plural(design.pairs.into(), "pair"),
        Pairing::Unpaired => {
            format!("{} and {}", base.runs.len(), plural(candidate.runs.len() as u64, "run"))
        }
        Pairing::Single => "one run each".to_owned(),
    }
}

/// What stands behind a decision that does not count.
pub(crate) const fn advisory(comparison: &Comparison) -> &'static str {
    if comparison.gates { "" } else { " (advisory)" }
}

/// What the decision means, in words.
pub(crate) fn meaning(comparison: &Comparison) -> (Tone, &'static str) {
    match comparison.verdict {
        Decision::Regression => (Tone::Bad, "the candidate is worse"),
        Decision::Improvement => (Tone::Good, "the candidate is better"),
        Decision::NoDifference => (Tone::Good, "no judged figure differs by more than its threshold"),
        Decision::Inconclusive if comparison.not_worse => {
            (Tone::Good, "no judged figure is worse; whether any is better, it cannot tell yet")
        }
        Decision::Inconclusive if comparison.headline().is_some_and(is_open_and_unanimous) => {
            (Tone::Warning, "all pairs differ the same way, but they are too few or too unlike to be sure")
        }
        Decision::Inconclusive => (Tone::Warning, "cannot tell yet"),
    }
}

/// What it comes to, as a sentence to read aloud; `None` where nothing was measured of both builds.
pub(crate) fn sentence(comparison: &Comparison, style: Style) -> Option<String> {
    dot::sentence(comparison, style)
}

fn is_open_and_unanimous(cell: &Cell) -> bool {
    cell.claim().is_none() && cell.is_unanimous()
}

/// A label on one line: it may come from anywhere, and is not to speak to the terminal.
pub(crate) fn name(label: &str) -> String {
    if label.is_empty() {
        return "unnamed".to_owned();
    }
    label.chars().map(|c| if is_steering(c) { ' ' } else { c }).collect()
}

/// The labels of base and candidate where there is little room.
pub(crate) fn names(comparison: &Comparison, style: Style) -> [String; 2] {
    [&comparison.base, &comparison.candidate].map(|side| clip(&name(&side.label), LONGEST_LABEL, style))
}

fn table(comparison: &Comparison, style: Style) -> Grid {
    let mut grid = Grid::new(&EXPENDABLE);
    let [base, candidate] = names(comparison, style);
    grid.cells(header(&base, &candidate).map(str::to_owned).to_vec(), Some(Tone::Faint));
    let mut group = None;
    for cell in &comparison.cells {
        if group != Some(&cell.group) {
            grid.text(cell.group.to_string(), None);
            group = Some(&cell.group);
        }
        grid.cells(row(cell, style), tone(cell));
    }
    grid
}

/// The columns of [`row`].
pub(crate) const fn header<'a>(base: &'a str, candidate: &'a str) -> [&'a str; 8] {
    ["response time", base, candidate, "change", "median", "95 % interval", "p", "verdict"]
}

/// A figure with its change, how sure that is, and what is said of it.
pub(crate) fn row(cell: &Cell, style: Style) -> Vec<String> {
    let known = |text: Option<String>| text.unwrap_or_else(|| dash(style).to_owned());
    let support = cell.support == Support::None;
    let shown =
        |value: Option<f64>| known(value.filter(|_| !support).map(|value| self::value(cell, value, style)));
    vec![
        format!("  {}", cell.figure.name()),
        shown(cell.base),
        shown(cell.candidate),
        known(cell.effect.map(|effect| change(cell, effect, true))),
        known(cell.median.map(|median| change(cell, median, true))),
        known(
            cell.ci95
                .map(|bounds| alike(cell, bounds))
                .map(|([low, high], unit)| format!("{low} to {high}{unit}")),
        ),
        known(cell.p_adjusted.map(|p| if p < 0.001 { "<0.001".to_owned() } else { format!("{p:.3}") })),
        said(cell),
    ]
}

/// A typical value of a side; a lower bound where it lies among failures.
pub(crate) fn value(cell: &Cell, value: f64, style: Style) -> String {
    if cell.figure.quantile().is_none() {
        return format!("{:.2} %", value * 100.0);
    }
    let text = time((value * 1e6).round() as u64, style);
    if cell.support == Support::Censored { format!(">{text}") } else { text }
}

/// A change as people read it: `+12.3 %`, `43.0 times`.
pub(crate) fn change(cell: &Cell, value: f64, unit: bool) -> String {
    let percent = cell.as_share(value) * 100.0;
    // No sign before a nought.
    let percent = if percent.abs() < 0.005 { 0.0 } else { percent };
    match (cell.figure.quantile().is_some(), unit) {
        (true, _) if value.exp() > MOST_TIMES => format!(">{MOST_TIMES:.0} times"),
        (true, _) if percent > MOST_PERCENT => format!("{} times", dot::factor(value.exp(), 2)),
        (true, true) => format!("{percent:+.1} %"),
        (true, false) => format!("{percent:+.1}"),
        (false, true) => format!("{percent:+.2} pt"),
        (false, false) => format!("{percent:+.2}"),
    }
}

/// Changes in one unit, and that unit: multiples where one of them is too much for per cent.
fn alike<const N: usize>(cell: &Cell, values: [f64; N]) -> ([String; N], &'static str) {
    let is_time = cell.figure.quantile().is_some();
    if is_time && values.iter().any(|value| cell.as_share(*value) * 100.0 > MOST_PERCENT) {
        let times = |value: f64| match value.exp() {
            times if times > MOST_TIMES => format!(">{MOST_TIMES:.0}"),
            times => dot::factor(times, 2),
        };
        return (values.map(times), " times");
    }
    (values.map(|value| change(cell, value, false)), if is_time { " %" } else { " pt" })
}

/// What is said of a figure, or why nothing is.
pub(crate) fn said(cell: &Cell) -> String {
    let Some(own) = cell.verdict else {
        return match cell.support {
            Support::None => "too few samples",
            Support::Shown => "not judged",
            Support::Censored => "among failures",
            Support::Judged => "described",
        }
        .to_owned();
    };
    match (own.verdict, own.withdrawn, own.more_pairs) {
        (_, Some(Withdrawal::FailsMore), _) => "not counted: fails more".to_owned(),
        (_, Some(Withdrawal::NotConfirmed), _) => "not confirmed".to_owned(),
        (Decision::Inconclusive, _, Some(more)) => format!("open, ~{}", plural(more.into(), "more pair")),
        (Decision::Inconclusive, _, None) => "open".to_owned(),
        (verdict, ..) => verdict.name().to_owned(),
    }
}

/// How that stands out.
pub(crate) fn tone(cell: &Cell) -> Option<Tone> {
    match cell.verdict.map(|own| own.verdict) {
        Some(Decision::Regression) => Some(Tone::Bad),
        Some(Decision::Improvement) => Some(Tone::Good),
        Some(_) => None,
        None => Some(Tone::Faint),
    }
}

fn footnotes(comparison: &Comparison, width: usize, style: Style) -> Vec<String> {
    let notes = notes(comparison);
    let lines = notes
        .iter()
        .flat_map(|(text, tone)| wrap(text, width).into_iter().map(|part| style.paint(&part, *tone)));
    lines.collect()
}

/// What has to be said about the figures and the order of runs.
pub(crate) fn notes(comparison: &Comparison) -> Vec<(String, Tone)> {
    let mut notes: Vec<(String, Tone)> = Vec::new();
    if let Some(effect) = comparison.order_effect.filter(|effect| order_matters(comparison, *effect)) {
        notes.push((
            format!(
                "order effect: p50 changes by {:+.1} % more where the base runs first, as if a run affected the next",
                libm::expm1(effect) * 100.0
            ),
            Tone::Warning,
        ));
    }
    let any = |support| comparison.cells.iter().any(|cell| cell.support == support);
    let marks = [
        (Support::Shown, "not judged: fewer than 100 samples lie beyond this percentile in some run"),
        (Support::None, "too few samples: fewer than 10 lie beyond this percentile in some run"),
        (Support::Censored, "> at least: a failed reading counts as its time-out or more"),
    ];
    let marks = marks.into_iter().filter(|(support, _)| any(*support));
    notes.extend(marks.map(|(_, text)| (text.to_owned(), Tone::Faint)));
    notes
}

/// Whether the order of runs shows beyond what chance makes of it.
fn order_matters(comparison: &Comparison, effect: f64) -> bool {
    let beyond = |error| effect.abs() > ERRORS_BEYOND_CHANCE * error;
    effect.abs() > ORDER_MATTERS && comparison.order_error().is_some_and(beyond)
}

/// The figures of all fleets in a line, for the way.
pub(crate) fn estimate(comparison: &Comparison) -> String {
    let wanted = [Figure::P50, Figure::P95, Figure::P99, Figure::ErrorRate];
    let cells = comparison.cells.iter().filter(|cell| cell.group.is_all() && wanted.contains(&cell.figure));
    let figures = cells.filter_map(|cell| {
        let effect = cell.effect.filter(|_| matches!(cell.support, Support::Judged | Support::Shown))?;
        // A rate of 0 on both sides is not news.
        if cell.figure == Figure::ErrorRate && cell.base == Some(0.0) && cell.candidate == Some(0.0) {
            return None;
        }
        let name = cell.figure.name();
        let Some([low, high]) = cell.ci95 else {
            return Some(format!("{name} {}", change(cell, effect, true)));
        };
        let ([effect, low, high], unit) = alike(cell, [effect, low, high]);
        Some(format!("{name} {effect}{unit} ({low} to {high})"))
    });
    let figures: Vec<_> = figures.collect();
    if figures.is_empty() { "nothing to tell yet".to_owned() } else { figures.join(", ") }
}

/// The first reason of a comparison, but for how far its confirmation is.
pub(crate) fn finding(comparison: &Comparison) -> String {
    let reason = comparison.reasons.iter().find(|reason| !reason.starts_with("not confirmed yet"));
    reason.cloned().unwrap_or_default()
}

/// A length of time as people plan with it: `40 s`, `3 min`, `1 h 20 min`.
pub(crate) fn length(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..=89 => format!("{whole} s"),
        90..=3_599 => format!("{} min", (whole + 30) / 60),
        _ => format!("{} h {} min", whole / 3_600, whole % 3_600 / 60),
    }
}

/// The table of a self-test.
pub(crate) fn self_test(test: &SelfTest, width: usize, style: Style) -> String {
    let mut grid = Grid::new(&[]);
    let header = ["simulated", "noise", "pairs", "any p", "red", "confirmed", "p99 same", "covered", ""];
    grid.cells(header.map(str::to_owned).to_vec(), Some(Tone::Faint));
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    for row in &test.rows {
        let rates = &row.rates;
        let (word, tone) = if row.met { ("ok", None) } else { ("FAILS", Some(Tone::Bad)) };
        let cells = vec![
            row.name.clone(),
            format!("{} {:.0} %", row.noise, row.spread * 100.0),
            format!("{:.0}", rates.pairs),
            percent(rates.significant),
            percent(rates.red),
            format!("{:.2} %", rates.confirmed * 100.0),
            percent(rates.green),
            percent(rates.covered),
            word.to_owned(),
        ];
        grid.cells(cells, tone);
    }
    let mut lines = vec![format!(
        "{} simulated comparisons per row, seed {}; the rules must hold in every row",
        count(u64::from(test.trials), style),
        test.seed
    )];
    lines.extend(grid.draw(width, style));
    let notes = [
        "any p: a figure called different, before the noise threshold; red: called a regression; confirmed: again by fresh pairs; p99 same: shown not to differ by its threshold; covered: true changes within their 95 % intervals",
        "noise: its distribution, and the standard deviation of a pair's difference at p99",
        "sequential runs must come out red too often: this shows that the test would notice",
    ];
    lines.extend(notes.iter().flat_map(|note| wrap(note, width)).map(|line| style.paint(&line, Tone::Faint)));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests;

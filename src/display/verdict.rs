//! The report at the end of a run: what happened over time, the figures, where the files are, and at its end what matters most: what
//! failed, what was demanded, and the two judgements.

use super::budget::{budgets, counted};
use super::bundled::bundled;
use super::delivery::delivery;
use super::detection::detection;
use super::failure::{failures, hints, service};
use super::figure::{Marks, time};
use super::glossary::glossary;
use super::grid::{clip, hanging, wrap};
use super::isolation::isolation;
use super::recovery::recovery;
use super::spark::sparklines;
use super::stage;
use super::style::{Style, Tone};
pub(crate) use super::table::{kind_title, row, within_budget};
use crate::record::Judgement;
use crate::results::{FleetTarget, History, Millis, Report, RunState, StartSkew};
use crate::units::part_of;

/// Columns of the words in the margin.
const MARGIN: usize = 11;
/// Narrower screens are not drawn for.
const LEAST_WIDTH: usize = 40;

/// How a report is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    /// Columns of the screen.
    pub(crate) width: usize,
    /// Everything, and not only what matters.
    pub(crate) verbose: bool,
    pub(crate) style: Style,
}

/// The end of a run as a text no wider than the screen but for paths and addresses, each line ended. `report` may be fresh or
/// stored; `history` is its course, where that is known.
pub(crate) fn verdict(report: &Report, history: Option<&History>, view: View) -> String {
    let view = View { width: view.width.max(LEAST_WIDTH), ..view };
    let mut marks = Marks::default();
    let mut lines = vec![title(report, view)];
    let over_time = history.map(|history| sparklines(history, &report.faults, view.width, view.style));
    lines.extend(over_time.unwrap_or_default());
    lines.push(String::new());
    lines.extend(measured(report, &mut marks, view));
    let notes = footnotes(marks, &lines, view);
    lines.extend(notes);
    lines.extend(facts(report, view));
    let words = glossary(&lines.join("\n"), view.width - MARGIN, view.style);
    lines.extend(words.iter().flat_map(|words| labelled("words", words, view)));
    let demands = demands(report, view);
    if !demands.is_empty() {
        lines.push(String::new());
        lines.extend(demands);
    }
    lines.extend(judgements(report, view));
    let mut lines: Vec<_> = lines.iter().map(|line| line.trim_end()).collect();
    lines.dedup_by(|line, before| line.is_empty() && before.is_empty());
    lines.join("\n") + "\n"
}

/// Name and state of the run.
fn title(report: &Report, View { width, style, .. }: View) -> String {
    let run = &report.run;
    let mut notes: Vec<String> = Vec::new();
    notes.extend(run.shard.as_ref().map(|part| format!("shard {}", part.shard)));
    notes.extend(
        run.merged.first().map(|first| part_of(run.merged.len() as u64, first.shard.of().into(), "shard")),
    );
    if run.state != RunState::Complete {
        notes.push(run.ending().to_owned());
    }
    if !run.plan_altered.is_empty() {
        notes.push("plan altered".to_owned());
    }
    let dot = style.dot();
    let beside: usize = notes.iter().map(|note| note.chars().count() + dot.chars().count()).sum();
    let room = width.saturating_sub(beside + dot.chars().count());
    let name = clip(&run.scenario.name, room / 2, style);
    let run_id = clip(&run.run_id, room - name.chars().count(), style);
    let title = [style.paint(&name, Tone::Strong), run_id];
    title.into_iter().chain(notes).collect::<Vec<_>>().join(dot)
}

/// The figures, and what faults did.
fn measured(report: &Report, marks: &mut Marks, View { width, verbose, style }: View) -> Vec<String> {
    if !report.summary.iter().any(|row| row.figures.planned > 0) {
        return vec!["nothing was measured".to_owned()];
    }
    let mut lines = super::table::figures(report, verbose, marks, style).draw(width, style);
    let faults = recovery(report, verbose, width, style);
    if !faults.is_empty() {
        lines.push(String::new());
        lines.extend(faults);
    }
    if let Some(grid) = stage::table(report, style).filter(|_| verbose) {
        lines.push(String::new());
        lines.extend(grid.draw(width, style));
    }
    lines
}

/// Where the time goes, what the generator did, and where the files are. What is as it should be stands there only where all does.
fn facts(report: &Report, view: View) -> Vec<String> {
    let View { verbose, style, .. } = view;
    let generator = lag(report, style).filter(|_| verbose || !is_trusted(report));
    let slowest = stage::slowest(report, verbose, style);
    let is_told = verbose || slowest.is_none() || !is_calm(report);
    let parts = [
        ("stages p50", stage::medians(report, style).into_iter().filter(|_| is_told).collect()),
        ("slowest 1%", slowest.into_iter().collect()),
        ("bundled", bundled(report, verbose, style)),
        ("generator", generator.into_iter().collect()),
        ("floor", floor(report, style).into_iter().filter(|_| verbose).collect()),
        ("detection", detection(report, verbose, style)),
    ];
    let texts = parts.iter().flat_map(|(label, texts)| texts.iter().map(move |text| (*label, text)));
    let mut lines: Vec<String> = texts.flat_map(|(label, text)| labelled(label, text, view)).collect();
    if let Some(skew) = StartSkew::of(&report.run.merged) {
        lines.extend(labelled("shards", &style.spoken(&skew.to_string()), view));
    }
    for fleet in report.run.fleets.iter().filter(|_| verbose) {
        lines.extend(whole("target", &fleet.sentence(), view));
    }
    lines.extend(whole("files", &report.directory.display().to_string(), view));
    lines
}

/// Whether nothing speaks against the measurement.
fn is_trusted(report: &Report) -> bool {
    report.run.validity.as_ref().is_some_and(|validity| validity.verdict == Judgement::Valid)
}

/// Whether nothing speaks against the service either: every reading was answered ok, and every budget met.
fn is_calm(report: &Report) -> bool {
    let all_ok =
        report.headline().is_some_and(|row| row.figures.planned > 0 && row.figures.ok == row.figures.planned);
    is_trusted(report) && all_ok && report.run.budgets.iter().all(|budget| budget.met)
}

/// What failed and why, what was promised, and what was demanded; of what was kept only how much, unless all is shown.
fn demands(report: &Report, view: View) -> Vec<String> {
    let (style, run) = (view.style, &report.run);
    let warned =
        |label, text: &str| stressed(labelled(label, text, view), Some((text, Tone::Warning)), style);
    let mut lines = Vec::new();
    for altered in &run.plan_altered {
        let text = format!("{}: do not compare with other runs of this plan", altered.sentence());
        lines.extend(warned("plan", &text));
    }
    for text in run.fleets.iter().filter_map(FleetTarget::insecurity) {
        lines.extend(warned("insecure", &text));
    }
    for (label, text) in failures(report, style) {
        lines.extend(labelled(label, &text, view));
    }
    for text in hints(report) {
        lines.extend(labelled("hint", &text, view));
    }
    for text in isolation(&run.encounters, style) {
        lines.extend(labelled("isolation", &text, view));
    }
    for (text, word) in delivery(&report.delivery) {
        lines.extend(stressed(labelled("delivery", &style.spoken(&text), view), word, style));
    }
    // Where all is well, the judgement of the service says it of the budgets, too.
    let listed = if view.verbose || !is_calm(report) { &*run.budgets } else { &[] };
    for (nth, (text, word)) in budgets(listed, run.is_invalid()).into_iter().enumerate() {
        // The first line says how many are met, or is the only one.
        if view.verbose || nth == 0 || word.is_none_or(|(word, _)| word != "met") {
            lines.extend(stressed(labelled("budget", &style.spoken(&text), view), word, style));
        }
    }
    if let Some(shard) = run.shard.as_ref().filter(|shard| !shard.budgets.is_empty()) {
        let text = format!("{} of all shards together; squall merge judges them", shard.budgets.len());
        lines.extend(labelled("budget", &text, view));
    }
    if let Some(text) = super::failure::warning(report) {
        lines.extend(warned("warning", &text));
    }
    lines
}

/// The two judgements, at the very end.
fn judgements(report: &Report, view: View) -> Vec<String> {
    let View { width, style, .. } = view;
    let (tone, text) = measurement(report);
    let mut lines = Vec::new();
    if let Some((mut text, tone)) = service(report, style) {
        let all = report.run.budgets.len();
        if all > 0 && !view.verbose && is_calm(report) {
            text = format!("{text}; {}", counted(all, all, "met"));
        }
        lines.extend(judgement("service", &text, &text, tone, view));
    }
    let Some(validity) = &report.run.validity else {
        lines.extend(judgement("measurement", &text, &text, tone, view));
        return lines;
    };
    lines.extend(judgement("measurement", &text, validity.verdict.name(), tone, view));
    for reason in &validity.reasons {
        lines.extend(hanging("  - ", &style.spoken(reason), width));
    }
    lines
}

/// Text with a word in the margin, in as many lines as it takes.
fn labelled(label: &str, text: &str, view: View) -> Vec<String> {
    let margin = |index| {
        let label = if index == 0 { label } else { "" };
        view.style.paint(&format!("{label:<MARGIN$}"), Tone::Faint)
    };
    wrap(text, view.width - MARGIN)
        .iter()
        .enumerate()
        .map(|(index, line)| format!("{}{line}", margin(index)))
        .collect()
}

/// The same of what is never broken, so that it can be copied: what does not fit beside the margin has a line of its own.
fn whole(label: &str, text: &str, view: View) -> Vec<String> {
    let label = view.style.paint(&format!("{label:<MARGIN$}"), Tone::Faint);
    if text.chars().count() + MARGIN <= view.width {
        return vec![format!("{label}{text}")];
    }
    vec![label, text.to_owned()]
}

/// The judgement of the measurement.
pub(crate) fn measurement(report: &Report) -> (Tone, String) {
    let idle = report.headline().is_some_and(|row| row.figures.planned == 0);
    let Some(validity) = &report.run.validity else { return (Tone::Warning, "not judged".to_owned()) };
    let (tone, meaning) = match validity.verdict {
        Judgement::Valid if idle => (Tone::Warning, "nothing was measured"),
        Judgement::Valid => (Tone::Good, "the generator kept to its plan"),
        Judgement::Suspect => (Tone::Warning, validity.doubt()),
        Judgement::Invalid if idle => (Tone::Bad, "nothing was measured"),
        Judgement::Invalid => (Tone::Bad, "the generator was the bottleneck, not the service"),
    };
    (tone, format!("{}: {meaning}", validity.verdict.name()))
}

/// One of the two judgements of a run, with `word` painted: what it says of the measurement must not pass for what it says of the
/// service.
fn judgement(
    label: &str,
    text: &str,
    word: &str,
    tone: Tone,
    View { width, style, .. }: View,
) -> Vec<String> {
    const MARGIN: usize = 13;
    let lines = wrap(text, width - MARGIN);
    let whole = lines.len() == 1 || word != text;
    let painted = |(index, line): (usize, &String)| {
        let label = if index == 0 { label } else { "" };
        let line = match (index, whole) {
            (0, true) => line.replacen(word, &style.paint(word, tone), 1),
            (_, true) => line.clone(),
            (_, false) => style.paint(line, tone),
        };
        format!("{label:<MARGIN$}{line}")
    };
    lines.iter().enumerate().map(painted).collect()
}

/// How late the generator woke.
pub(crate) fn lag(report: &Report, style: Style) -> Option<String> {
    let figures = &report.headline()?.figures;
    let shown = |time_ms: Millis| time(time_ms.as_ns(), style);
    let (p50, p99) = (figures.pacing_lag_p50_ms.map(shown)?, figures.pacing_lag_p99_ms.map(shown)?);
    Some(format!("lag p50 {p50}, p99 {p99} ({} pacer)", report.run.pacer.kind))
}

/// How far above the machine's own floor the fleets' medians are.
pub(crate) fn floor(report: &Report, style: Style) -> Option<String> {
    let calibration = report.run.calibration.as_ref()?;
    let fleets: Vec<_> =
        calibration.times_floor.iter().map(|(fleet, times)| format!("{fleet} {times:.1}")).collect();
    let floors = calibration.floor_p50_ms.iter();
    let floors: Vec<_> =
        floors.map(|(protocol, ms)| format!("{protocol} {}", time((ms * 1e6) as u64, style))).collect();
    let day = calibration.calibrated.get(..10).unwrap_or_default();
    (!fleets.is_empty()).then(|| {
        format!(
            "medians in multiples of this machine's floor: {} (floor {}, calibrated {day})",
            fleets.join(style.dot()),
            floors.join(style.dot())
        )
    })
}

/// `lines` with the first such word of their first line painted.
fn stressed(mut lines: Vec<String>, word: Option<(&str, Tone)>, style: Style) -> Vec<String> {
    if let (Some(first), Some((word, tone))) = (lines.first_mut(), word) {
        *first = first.replacen(word, &style.paint(word, tone), 1);
    }
    lines
}

/// What the signs mean that stand in `lines`: not those of columns for which there was no room.
fn footnotes(marks: Marks, lines: &[String], View { width, style, .. }: View) -> Vec<String> {
    let stands = |note: &&str| {
        let sign = note.split([' ', ':']).next().unwrap_or_default();
        lines.iter().any(|line| line.contains(sign))
    };
    let notes = super::figure::footnotes(marks).into_iter().filter(stands);
    let lines = notes.flat_map(|text| wrap(text, width));
    lines.map(|line| style.paint(&line, Tone::Faint)).collect()
}

#[cfg(test)]
mod tests;

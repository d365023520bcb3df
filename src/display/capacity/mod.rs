//! What a search for a capacity found: the answer in sentences, the curve behind it, and its probes.

mod plot;
mod sentence;
#[cfg(test)]
mod tests;

use super::figure::{dash, rate, time};
use super::grid::{Grid, hanging, wrap};
use super::style::{Style, Tone};
use crate::capacity::{Answer, Finding, Probe, Verdict};
use crate::record::Judgement;
use crate::results::BudgetResult;
use crate::units::{figure, plural};

pub(crate) use plot::offered_at;
pub(crate) use sentence::{PairOutline, factor, finding, pair, pair_progress, progress};

/// Columns that give way on a narrow screen, the first one first: p50, used.
const EXPENDABLE: [usize; 2] = [3, 5];
/// Probes in the table; of more, those that are nearest to the answer.
const MOST_ROWS: usize = 16;

/// A search to tell of.
#[derive(Debug)]
pub(crate) struct Outline<'a> {
    /// The scenario's name.
    pub(crate) scenario: &'a str,
    /// What had to hold.
    pub(crate) demands: &'a [String],
    pub(crate) answer: &'a Answer,
    /// One for each probe of the answer.
    pub(crate) trials: Vec<TrialOutline<'a>>,
    /// Readings per second that the scenario plans at a load of 1; 0 where that depends on the service.
    pub(crate) planned_per_s: f64,
    /// How long it took, seconds.
    pub(crate) took_s: f64,
    /// What else is to be said of how it was made and why it ended, sentences.
    pub(crate) remarks: Vec<String>,
    /// Where its files are.
    pub(crate) folder: String,
}

/// What a probe's run says besides its figures.
#[derive(Debug)]
pub(crate) struct TrialOutline<'a> {
    /// Whether the p99 is only known to be at least that.
    pub(crate) is_bound: bool,
    pub(crate) validity: Judgement,
    pub(crate) reasons: &'a [String],
    pub(crate) budgets: &'a [BudgetResult],
}

/// The search as a text of at most `width` columns (60 at least), each line ended.
pub(crate) fn capacity(outline: &Outline<'_>, width: usize, style: Style) -> String {
    let width = width.max(60);
    let mut lines = Vec::new();
    let probes = plural(outline.answer.probes.len() as u64, "probe");
    let title = [
        style.paint(outline.scenario, Tone::Strong),
        format!("{probes} in {}", super::length(outline.took_s)),
    ];
    lines.push(title.join(style.dot()));
    let (tone, answer) = finding(outline);
    lines.extend(wrap(&style.spoken(&answer), width).iter().map(|line| style.paint(line, tone)));
    for remark in remarks(outline) {
        lines.extend(hanging("  - ", &style.spoken(&remark), width));
    }
    if !outline.answer.probes.is_empty() {
        lines.push(String::new());
        lines.extend(plot::plots(outline.answer, width, style));
        lines.push(String::new());
        lines.extend(table(outline, style).draw(width, style));
    }
    lines.push(format!("{} {}", style.paint("files", Tone::Faint), outline.folder));
    let lines: Vec<_> = lines.iter().map(|line| line.trim_end()).collect();
    lines.join("\n").trim_end().to_owned() + "\n"
}

/// What limits the service, what limited the search, and the rest.
pub(crate) fn remarks(outline: &Outline<'_>) -> Vec<String> {
    sentence::limit(outline).into_iter().chain(outline.remarks.iter().cloned()).collect()
}

/// The columns of [`row`].
pub(crate) const HEADER: [&str; 8] = ["load", "offered", "goodput", "p50", "p99", "used", "budgets", "probe"];

/// The probes in the order of their loads, as many as [`MOST_ROWS`].
fn table(outline: &Outline<'_>, style: Style) -> Grid {
    let mut grid = Grid::new(&EXPENDABLE);
    grid.cells(HEADER.map(str::to_owned).to_vec(), Some(Tone::Faint));
    let shown = shown(outline.answer, MOST_ROWS);
    for place in &shown {
        let (probe, trial) = (&outline.answer.probes[*place], outline.trials.get(*place));
        grid.cells(row(probe, trial, style), tone(probe));
    }
    let more = outline.answer.probes.len() - shown.len();
    if more > 0 {
        let more = plural(more as u64, "further probe");
        grid.text(
            format!("{more} in capacity.csv; used: how much of its bound the tightest budget took"),
            Some(Tone::Faint),
        );
    }
    grid
}

/// The places of the probes that a table of `most` rows shows, in the order of their loads.
pub(crate) fn shown(answer: &Answer, most: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..answer.probes.len()).collect();
    let far = |place: &usize| {
        let knee = place_of(answer).unwrap_or(1.0);
        (answer.probes[*place].factor / knee).ln().abs()
    };
    places.sort_by(|one, other| far(one).total_cmp(&far(other)));
    places.truncate(most);
    places.sort_by(|one, other| answer.probes[*one].factor.total_cmp(&answer.probes[*other].factor));
    places
}

/// Where on the axis of loads the answer is.
pub(crate) fn place_of(answer: &Answer) -> Option<f64> {
    match answer.finding {
        Finding::Knee { factor, .. }
        | Finding::Open { factor, .. }
        | Finding::AtLeast { factor, .. }
        | Finding::AtMost { factor }
        | Finding::Unsteady { factor, .. } => Some(factor),
        Finding::Unknown => None,
    }
}

/// The cells of a probe, in the columns of [`HEADER`].
pub(crate) fn row(probe: &Probe, trial: Option<&TrialOutline<'_>>, style: Style) -> Vec<String> {
    let shown = |ms: Option<f64>, sign: &str| {
        ms.map_or_else(
            || dash(style).to_owned(),
            |ms| format!("{sign}{}", time((ms * 1e6).round() as u64, style)),
        )
    };
    let is_bound = trial.is_some_and(|trial| trial.is_bound);
    vec![
        factor(probe.factor),
        rate(probe.offered_per_s, style),
        rate(probe.goodput_per_s, style),
        shown(probe.p50_ms, ""),
        shown(probe.p99_ms, if is_bound { ">" } else { "" }),
        probe.usage.map_or_else(|| dash(style).to_owned(), |share| style.spoken(&used(share))),
        probe.verdict.name().to_owned(),
        probe.number.to_string(),
    ]
}

/// How much of its bound a budget took: a share, and from the tenfold on how many times.
fn used(share: f64) -> String {
    if share < 9.995 {
        format!("{:.0} %", share * 100.0)
    } else {
        format!("{} times", figure::count(share.round() as u64))
    }
}

/// How a probe stands out.
pub(crate) const fn tone(probe: &Probe) -> Option<Tone> {
    match probe.verdict {
        Verdict::Met => None,
        Verdict::Missed => Some(Tone::Warning),
        Verdict::GeneratorLimited | Verdict::Unjudged => Some(Tone::Faint),
    }
}

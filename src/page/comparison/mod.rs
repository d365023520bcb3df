//! The page of a comparison: the decision, both builds' curves, how much each figure moved, pair by pair, and how it was made.

mod change;
mod head;
mod origin;
mod overlay;
mod pair;
mod run;
mod section;
mod shift;

use std::path::Path;

use super::escape::clip;
use super::{Part, SCRIPT, STYLE, Sheet, figure, two};
use crate::compare::Comparison;
use crate::results::LoadError;
use crate::units::{part_of, plural};
use run::Runs;

pub(crate) use origin::{Origin, Trial};

/// The page of a comparison that was made as `origin` says; `link` gives the way to a file as seen from where the page will be, a
/// relative path.
///
/// # Errors
/// If a run that counts cannot be read.
pub(crate) fn page(
    comparison: &Comparison,
    origin: &Origin,
    link: &dyn Fn(&Path) -> String,
) -> Result<String, LoadError> {
    let runs = Runs::read(comparison, origin)?;
    Ok(document(comparison, origin, &runs, link))
}

fn document(comparison: &Comparison, origin: &Origin, runs: &Runs, link: &dyn Fn(&Path) -> String) -> String {
    let repeated = origin.trials.iter().filter(|trial| trial.discarded.is_some()).count();
    let sheet = Sheet {
        title: head::title(comparison),
        banner: head::banner(comparison, runs, repeated),
        is_muted: false,
        is_live: false,
        first: head::reasons(comparison) + &head::tiles(comparison),
        parts: parts(comparison, origin, runs, link),
        source: format!("a comparison of {}", clip(&crate::display::comparison::against(comparison), 120)),
        scripts: format!("<script>{SCRIPT}</script>"),
    };
    sheet.draw()
}

/// The labels of base and candidate where there is little room.
fn labels(comparison: &Comparison) -> [String; 2] {
    crate::display::comparison::names(comparison, STYLE)
}

fn parts(comparison: &Comparison, origin: &Origin, runs: &Runs, link: &dyn Fn(&Path) -> String) -> Vec<Part> {
    let part =
        |anchor, [word, title]: [&'static str; 2], about, body| Part { anchor, word, title, about, body };
    let curves_about = "Thick: all runs of a build together. Thin: single runs; where they scatter, no single run says anything. \
                        Response time runs from the instant a reading was due.";
    vec![
        part("shift", ["Change", "How much each figure moved"], "", shifts(comparison)),
        part("curve", ["Percentiles", "Percentiles"], curves_about, curves(comparison, runs)),
        part(
            "pairs",
            ["Pairs", "Pair by pair"],
            "A trend, or a single outlier, means that the machine changed, not the build.",
            pairs(comparison, origin, runs),
        ),
        part("table", ["Figures", "Every figure"], "", section::figures(comparison)),
        part("budgets", ["Budgets", "Budgets"], "", section::budgets(comparison, runs)),
        part(
            "made",
            ["How it was made", "How it was made"],
            "",
            section::made(comparison, origin, runs, link),
        ),
    ]
}

fn shifts(comparison: &Comparison) -> String {
    let mut out = String::new();
    for (ratios, caption) in [(true, "Response times"), (false, "Error rates, in percentage points")] {
        let cells = shift::shown(&comparison.cells, ratios);
        let chart = shift::chart(&cells);
        if !chart.is_empty() {
            if out.is_empty() {
                out += &super::soft(&shift::about(&cells));
            }
            out += &figure(&chart, caption);
        }
    }
    out
}

fn curves(comparison: &Comparison, runs: &Runs) -> String {
    let chart = overlay::chart(&runs.builds, &labels(comparison));
    let drawn = |build: &run::Build| build.lines.len() < build.runs;
    let caption = if runs.builds.iter().any(drawn) {
        let [base, candidate] = runs.builds.each_ref().map(|build| (build.lines.len(), build.runs));
        format!(
            "Drawn singly: {} of the base, {} of {} of the candidate",
            part_of(base.0 as u64, base.1 as u64, "run"),
            candidate.0,
            candidate.1
        )
    } else {
        String::new()
    };
    if chart.is_empty() { chart } else { figure(&chart, &caption) }
}

fn pairs(comparison: &Comparison, origin: &Origin, runs: &Runs) -> String {
    let mut charts = Vec::new();
    let (mut left_out, mut is_wide) = (0, false);
    for cell in pair::cells(comparison) {
        let dots = pair::dots(comparison, cell, &origin.trials, &runs.trials);
        left_out = dots.len().saturating_sub(pair::MOST_PAIRS);
        is_wide = dots.len() > pair::FEW;
        if !dots.is_empty() {
            let caption = format!("{} of {}: change of each pair", cell.figure.name(), cell.group);
            charts.push(figure(&pair::chart(cell, &dots), &caption));
        }
    }
    let more = if left_out > 0 {
        super::soft(&format!("{} not drawn", plural(left_out as u64, "further pair")))
    } else {
        String::new()
    };
    (if is_wide { charts.concat() } else { two(&charts) }) + &more
}

#[cfg(test)]
mod tests;

//! Pairs of runs as rows of dots, both values of each on one scale; and what a comparison comes to, as a sentence to read aloud.

use super::comparison::{change, names};
use super::figure::time;
use super::grid::wrap;
use super::style::Style;
use crate::compare::{Cell, Comparison, Decision, Support};

/// Columns of the widest row.
const WIDTH: usize = 80;
/// Columns beside the dots: the number of the pair and its change.
const BESIDE: usize = 6 + 14;
/// Marks of the base, of the candidate, and of both in one place.
const MARKS: [char; 3] = ['o', 'x', '*'];
/// Bounds that are further off say nothing.
const FURTHEST: f64 = 1_000.0;

/// Every pair of `comparison` in a row of its own, those that were run to confirm it last; nothing where runs are not paired.
pub(crate) fn pairs(comparison: &Comparison, width: usize, style: Style) -> Vec<String> {
    let Some(cell) = comparison.headline() else { return Vec::new() };
    let all = || [Some(cell), comparison.fresh(cell)].into_iter().flatten();
    let values = || all().flat_map(|cell| &cell.values).flatten().copied();
    let (low, high) =
        values().fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    if !low.is_finite() {
        return Vec::new();
    }
    let track = width.min(WIDTH) - BESIDE;
    let [base, candidate] = names(comparison, style);
    let title = format!(
        "{} of {}, pair by pair: {} {}, {} {}; {} to {}",
        cell.figure.name(),
        cell.group,
        MARKS[0],
        base,
        MARKS[1],
        candidate,
        shown(cell, low, style),
        shown(cell, high, style),
    );
    let mut rows = wrap(&title, width);
    for (cell, kind) in all().zip(["", "+"]) {
        let numbered = cell.values.iter().zip(&cell.differences).enumerate();
        rows.extend(numbered.map(|(index, (values, difference))| {
            let dots = row(values.map(|value| place(cell, value, [low, high], track)), track);
            let number = format!("{kind}{}", index + 1);
            format!("{number:>4}  {dots}  {:>12}", change(cell, *difference, true))
        }));
    }
    rows
}

fn shown(cell: &Cell, value: f64, style: Style) -> String {
    if cell.figure.quantile().is_none() {
        return format!("{:.2} %", value * 100.0);
    }
    time((value * 1e6).round() as u64, style)
}

/// The column of a value: by its logarithm for times, so that equal ratios are equally long.
fn place(cell: &Cell, value: f64, [low, high]: [f64; 2], track: usize) -> usize {
    let scale = |value: f64| if cell.figure.quantile().is_some() { value.ln() } else { value };
    let (length, at) = (scale(high) - scale(low), scale(value) - scale(low));
    let share = if length > 0.0 { (at / length).clamp(0.0, 1.0) } else { 0.5 };
    (share * (track - 1) as f64).round() as usize
}

/// Dots from one value to the other, each with its mark.
fn row([base, candidate]: [usize; 2], track: usize) -> String {
    let between = base.min(candidate)..=base.max(candidate);
    let mark = |column| match (column == base, column == candidate) {
        (true, true) => MARKS[2],
        (true, false) => MARKS[0],
        (false, true) => MARKS[1],
        _ if between.contains(&column) => '.',
        _ => ' ',
    };
    (0..track).map(mark).collect()
}

/// What `comparison` comes to: `candidate is 1.20 times slower at p50 (1.196 to 1.202)`.
pub(super) fn sentence(comparison: &Comparison, style: Style) -> Option<String> {
    let cell = comparison.headline()?;
    let effect = cell.effect?;
    let [base, candidate] = names(comparison, style);
    let group = if cell.group.is_all() { String::new() } else { format!(" of {}", cell.group) };
    if cell.figure.quantile().is_none() {
        let [other, own] = [cell.base?, cell.candidate?].map(|share| format!("{:.2} %", share * 100.0));
        return Some(format!("{candidate} fails {own} of the readings{group}, {base} {other}"));
    }
    let verdict = cell.verdict.map(|own| own.verdict);
    let place = format!("at {}{group}", cell.figure.name());
    if verdict == Some(Decision::NoDifference) {
        let bounds = cell.ci95.map_or(String::new(), |bounds| bounds_of(bounds.map(f64::exp)));
        return Some(format!("{candidate} takes as long as {base} {place}{bounds}"));
    }
    let slower = effect >= 0.0;
    let times = |value: f64| if slower { value.exp() } else { (-value).exp() };
    let bounds = cell.ci95.map(|[low, high]| if slower { [low, high] } else { [high, low] });
    let bounds = bounds.map_or(String::new(), |bounds| bounds_of(bounds.map(times)));
    let word = if slower { "slower" } else { "faster" };
    let least = if cell.support == Support::Censored { "at least " } else { "" };
    let claimed = matches!(verdict, Some(Decision::Regression | Decision::Improvement));
    let (verb, end) = match cell.values.len() {
        _ if claimed => ("is", ""),
        // What all pairs agree on is not in doubt for its size.
        _ if cell.is_unanimous() => ("was", " in every pair, too few to be sure"),
        0 | 1 => ("was", ", which one run cannot prove"),
        _ => ("was", ", which these pairs cannot prove"),
    };
    let factor = factor(times(effect), 2);
    Some(format!("{candidate} {verb} {least}{factor} times {word} {place}{bounds}{end}"))
}

/// The bounds of a factor; nothing where there are none to speak of.
fn bounds_of([low, high]: [f64; 2]) -> String {
    if low >= 1.0 / FURTHEST && high <= FURTHEST {
        format!(" ({} to {})", factor(low, 3), factor(high, 3))
    } else {
        String::new()
    }
}

/// A factor with so many places below ten, and fewer above.
pub(super) fn factor(value: f64, places: usize) -> String {
    let fewer = if value >= 100.0 { 2 } else { usize::from(value >= 10.0) };
    format!("{value:.*}", places.saturating_sub(fewer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{CellDecision, specimen};

    fn tame() -> Comparison {
        let mut comparison = specimen::comparison();
        comparison.candidate.label = "fix".into();
        comparison
    }

    /// A comparison whose headline is the median of all fleets, with these pairs, and this said of it.
    fn pairwise(pairs: &[[f64; 2]], verdict: Option<Decision>) -> Comparison {
        let mut comparison = tame();
        comparison.confirmation = None;
        comparison.verdict = verdict.unwrap_or(Decision::Inconclusive);
        let cell = &mut comparison.cells[0];
        cell.values = pairs.to_vec();
        cell.differences = pairs.iter().map(|[base, candidate]| (candidate / base).ln()).collect();
        let mean = cell.differences.iter().sum::<f64>() / pairs.len() as f64;
        (cell.effect, cell.ci95) = (Some(mean), Some([mean - 0.003, mean + 0.003]));
        cell.verdict = verdict.map(|verdict| CellDecision {
            verdict,
            certain: false,
            more_pairs: None,
            withdrawn: None,
        });
        comparison.cells.truncate(1);
        comparison
    }

    #[test]
    fn every_pair_is_a_row_of_dots_on_one_scale() {
        let pairs = [[1.0, 1.2], [1.0, 0.64], [1.1, 1.1]];
        let mut comparison = pairwise(&pairs, Some(Decision::Regression));
        comparison.confirmation = Some(Box::new(pairwise(&[[1.0, 43.0]], None)));
        let rows = super::pairs(&comparison, 100, Style::PLAIN);
        assert!(rows.iter().all(|row| row.chars().count() <= 80), "{rows:#?}");
        insta::assert_snapshot!(rows.join("\n"), @r"
p50 of all fleets, pair by pair: o main, x fix; 640 us to 43.0 ms
   1        o..x                                                         +20.0 %
   2  x.....o                                                            -36.0 %
   3          *                                                           +0.0 %
  +1        o....................................................x    43.0 times
");
        comparison.cells[0].values.clear();
        comparison.confirmation = None;
        assert!(super::pairs(&comparison, 100, Style::PLAIN).is_empty());
    }

    #[test]
    fn the_end_is_a_sentence_to_read_aloud() {
        use Decision::{Improvement, Inconclusive, NoDifference, Regression};
        let said = |pairs: &[[f64; 2]], verdict| sentence(&pairwise(pairs, verdict), Style::PLAIN).unwrap();
        let mut failing = tame();
        failing.cells.retain(|cell| cell.figure.quantile().is_none());
        let lines = [
            said(&[[1.0, 1.2]; 6], Some(Regression)),
            said(&[[1.2, 1.0]; 6], Some(Improvement)),
            said(&[[1.0, 1.001]; 6], Some(NoDifference)),
            said(&[[1.0, 1.2], [1.0, 0.9]], Some(Inconclusive)),
            said(&[[1.0, 43.0]; 2], Some(Inconclusive)),
            said(&[[1.0, 4_300.0]; 6], Some(Regression)),
            said(&[[1.0, 1.2]], None),
            sentence(&tame(), Style::PLAIN).unwrap(),
            sentence(&failing, Style::PLAIN).unwrap(),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r"
fix is 1.20 times slower at p50 (1.196 to 1.204)
fix is 1.20 times faster at p50 (1.196 to 1.204)
fix takes as long as main at p50 (0.998 to 1.004)
fix was 1.04 times slower at p50 (1.036 to 1.042), which these pairs cannot prove
fix was 43.0 times slower at p50 (42.87 to 43.13) in every pair, too few to be sure
fix is 4300 times slower at p50
fix was 1.20 times slower at p50 (1.196 to 1.204), which one run cannot prove
fix is 1.12 times slower at p99 of meters in steady (1.079 to 1.169)
fix fails 0.30 % of the readings of meters in steady, main 0.10 %
");
    }
}

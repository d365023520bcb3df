//! What is kept of a run by tools that follow figures over time: names that stay, and only what the samples carry.

use crate::compare::{Cell, Figure, Group};
use crate::results::{Figures, Percentile, Report, SummaryRow, is_measured};
use crate::units::Quantile;

/// Fewer samples than this beyond a percentile, and it is noise that no series should hold.
const LEAST_SUPPORT: u64 = 10;

/// The readings of every fleet in every measured phase, and the headline, in the order of `summary.csv`.
pub(super) fn measured(report: &Report) -> impl Iterator<Item = &SummaryRow> {
    report
        .summary
        .iter()
        .filter(|row| row.kind == "reading" && row.figures.planned > 0 && is_measured(&row.phase))
}

/// The same for tools that follow figures over time and fail a build by them: nothing of an invalid run, whose figures are the
/// generator's.
pub(super) fn tracked(report: &Report) -> impl Iterator<Item = &SummaryRow> {
    measured(report).filter(|_| !report.run.is_invalid())
}

/// The response-time percentiles that at least 10 samples lie beyond.
pub(super) fn percentiles(figures: &Figures) -> impl Iterator<Item = (Quantile, Percentile)> {
    let ended = figures.ended();
    Quantile::REPORTED
        .into_iter()
        .filter(move |quantile| quantile.samples_beyond(ended) >= LEAST_SUPPORT)
        .filter_map(|quantile| Some((quantile, figures.percentile(quantile)?)))
}

/// Share of the planned readings that were not answered ok; 0 where none was planned.
pub(super) fn error_rate(figures: &Figures) -> f64 {
    figures.outcomes().error_rate().unwrap_or(0.0)
}

/// Of these, the share that was never sent or never answered.
pub(super) fn shortfall(figures: &Figures) -> f64 {
    figures.outcomes().share(figures.lost + figures.dropped).unwrap_or(0.0)
}

/// `phase/fleet`, and `all` for all of them.
pub(super) fn place(phase: &str, fleet: &str) -> String {
    if phase == "all" && fleet == "all" { "all".to_owned() } else { format!("{phase}/{fleet}") }
}

/// The same of a group of a comparison.
pub(super) fn group_place(group: &Group) -> String {
    place(&group.phase, &group.fleet)
}

/// A cell's interval in the unit of its figure: the base moved by either end of the 95 % interval of the change.
pub(super) fn interval(cell: &Cell) -> Option<[f64; 2]> {
    let (base, ends) = (cell.base?, cell.ci95?);
    let moved = |end: f64| {
        let end = cell.as_share(end);
        if cell.figure.quantile().is_some() { base * (1.0 + end) } else { (base + end).max(0.0) }
    };
    Some(ends.map(moved))
}

/// `p99-9` and the like: a name that is its own slug.
pub(super) fn slug(figure: Figure) -> String {
    figure.name().replace(['.', ' '], "-")
}

/// `value` with so many significant digits; not finite reads as 0.
pub(super) fn significant(value: f64, digits: i32) -> f64 {
    if !value.is_finite() || value == 0.0 {
        return 0.0;
    }
    let places = digits - 1 - value.abs().log10().floor() as i32;
    // Dividing by a whole power of ten gives the nearest number to what is meant; multiplying by 0.001 would not.
    let scale = 10_f64.powi(places.abs());
    if places >= 0 { (value * scale).round() / scale } else { (value / scale).round() * scale }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_rounded_to_what_they_can_carry() {
        for (value, digits, text) in [
            (0.001_243_5, 3, "0.00124"),
            (0.000_097_2, 3, "0.0000972"),
            (1_234_567.0, 3, "1230000"),
            (9_999.0, 3, "10000"),
            (-0.052_34, 2, "-0.052"),
            (0.0, 3, "0"),
            (f64::NAN, 3, "0"),
        ] {
            assert_eq!(significant(value, digits).to_string(), text);
        }
    }
}

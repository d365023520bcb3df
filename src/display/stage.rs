//! Where the time of a reading goes: the medians of the service's stages, and what the slowest readings were made of.

use super::figure::{dash, time};
use super::grid::Grid;
use super::style::{Style, Tone};
use crate::results::{Figures, Millis, Report, SummaryRow};

/// Fewer readings than this are no tail.
const LEAST_READINGS: u64 = 10;
/// A part of the tail of fewer per cent is small.
const SMALL: f64 = 5.0;
/// The columns of the table after the names, in the order of [`parts`].
const PARTS: [&str; 6] = ["wait", "network", "queue", "cache", "inference", "other"];

/// The text of the report's margin words `stages p50`: the medians of all fleets; `None` where no service says so.
pub(super) fn medians(report: &Report, style: Style) -> Option<String> {
    let named = [PARTS[1], PARTS[2], PARTS[3], PARTS[4]].into_iter().zip(p50s(&report.headline()?.figures));
    let told: Vec<_> =
        named.filter_map(|(name, ms)| Some(format!("{name} {}", time(ms?.as_ns(), style)))).collect();
    (!told.is_empty()).then(|| told.join(style.dot()))
}

/// The medians of network, queue, cache and inference.
pub(crate) const fn p50s(figures: &Figures) -> [Option<Millis>; 4] {
    [
        figures.stage_network_p50_ms,
        figures.stage_queue_p50_ms,
        figures.stage_cache_p50_ms,
        figures.stage_inference_p50_ms,
    ]
}

/// What the slowest 1 % spent where, in the order of [`PARTS`], nanoseconds; `None` where they are too few or nobody says.
pub(crate) fn tail(figures: &Figures) -> Option<[u64; 6]> {
    figures.tail_readings.filter(|readings| *readings >= LEAST_READINGS)?;
    let parts = [
        figures.tail_wait_ms,
        figures.tail_network_ms,
        figures.tail_queue_ms,
        figures.tail_cache_ms,
        figures.tail_inference_ms,
        figures.tail_other_ms,
    ];
    Some(parts.map(|part| part.map_or(0, Millis::as_ns)))
}

/// The text of the margin words `slowest 1%`: what those of all fleets spent where, by what took them longest. Small parts are left
/// out unless all of it is shown.
pub(super) fn slowest(report: &Report, verbose: bool, style: Style) -> Option<String> {
    told(tail(&report.headline()?.figures)?, verbose, style)
}

fn told(tail: [u64; 6], verbose: bool, style: Style) -> Option<String> {
    let whole = tail.iter().sum::<u64>().max(1);
    let mut parts: Vec<_> = PARTS.into_iter().zip(tail).collect();
    parts.sort_by_key(|(_, ns)| std::cmp::Reverse(*ns));
    let percent = |ns: u64| (ns as f64 / whole as f64 * 100.0).round();
    let told = parts.into_iter().filter(|(_, ns)| verbose || percent(*ns) >= SMALL);
    let told: Vec<_> =
        told.map(|(name, ns)| format!("{name} {} ({:.0} %)", time(ns, style), percent(ns))).collect();
    (!told.is_empty()).then(|| told.join(style.dot()))
}

/// The same by fleet and phase, as a table; nothing where no service says so, or there is but one row.
pub(super) fn table(report: &Report, style: Style) -> Option<Grid> {
    let is_told = |row: &&SummaryRow| {
        row.is_measured() && (p50s(&row.figures).iter().any(Option::is_some) || tail(&row.figures).is_some())
    };
    let rows: Vec<_> = report.summary.iter().filter(is_told).collect();
    if rows.len() < 2 {
        return None;
    }
    let mut grid = Grid::new(&[6, 4, 1]);
    let header = std::iter::once("where the time goes").chain(PARTS).map(str::to_owned);
    grid.cells(header.collect(), Some(Tone::Faint));
    let mut phase = "";
    for row in rows {
        if row.phase != phase {
            phase = &row.phase;
            grid.text(phase.to_owned(), Some(Tone::Strong));
        }
        let shown = |part: Option<u64>| part.map_or_else(|| dash(style).to_owned(), |ns| time(ns, style));
        let name = format!("  {} {}", row.fleet, row.protocol);
        let [network, queue, cache, inference] = p50s(&row.figures).map(|median| median.map(Millis::as_ns));
        let medians = [None, network, queue, cache, inference, None].map(shown);
        grid.cells(std::iter::once(format!("{name}, median")).chain(medians).collect(), None);
        if let Some(tail) = tail(&row.figures) {
            let parts = tail.map(|ns| shown(Some(ns)));
            grid.cells(std::iter::once(format!("{name}, slowest 1 %")).chain(parts).collect(), None);
        }
    }
    Some(grid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RICH: Style = Style { colour: false, ascii: false };

    fn figures(readings: u64) -> Figures {
        let ms = |ms: f64| Some(Millis((ms * 1e6) as u64));
        Figures {
            tail_readings: Some(readings),
            tail_wait_ms: ms(30.0),
            tail_network_ms: ms(2.0),
            tail_queue_ms: ms(967.0),
            tail_cache_ms: ms(0.002),
            tail_inference_ms: ms(1.0),
            tail_other_ms: ms(0.01),
            ..Figures::default()
        }
    }

    #[test]
    fn the_tail_names_first_what_took_longest_and_says_nothing_of_too_few() {
        let said = |readings, verbose, style| told(tail(&figures(readings))?, verbose, style);
        assert_eq!(said(10, false, RICH).unwrap(), "queue 967 ms (97 %)");
        assert_eq!(
            said(10, true, Style::PLAIN).unwrap(),
            "queue 967 ms (97 %), wait 30.0 ms (3 %), network 2.00 ms (0 %), inference 1.00 ms (0 %), other 10.0 us (0 %), \
             cache 2.00 us (0 %)"
        );
        assert_eq!(said(9, true, RICH), None);
        assert_eq!(tail(&Figures::default()), None);
    }
}

//! What the bundled service counted of its own work, in a line.

use super::figure::{count, percent};
use super::style::Style;
use crate::record::ServiceCounts;
use crate::results::{Report, is_measured};
use crate::units::plural;

/// The texts of the report's margin word `bundled`: the measured phases together, and one by one where all is shown and there are
/// several. None where it was not the target.
pub(super) fn bundled(report: &Report, verbose: bool, style: Style) -> Vec<String> {
    let Some(service) = &report.run.reference else { return Vec::new() };
    let capacity = service.queue_capacity;
    let told = |counts| told(counts, capacity, verbose, style);
    let whole = service.counts(is_measured).map(told);
    let phases: Vec<_> = service.phases.iter().filter(|phase| is_measured(&phase.phase)).collect();
    let by_phase = phases.iter().filter(|_| verbose && phases.len() > 1);
    let by_phase = by_phase.map(|phase| format!("{}: {}", phase.phase, told(phase.counts)));
    whole.into_iter().chain(by_phase).collect()
}

fn told(counts: ServiceCounts, capacity: u64, verbose: bool, style: Style) -> String {
    let hits = counts.hits;
    let tiers =
        [("exact", hits.exact), ("stale", hits.stale), ("semantic", hits.semantic), ("shared", hits.shared)];
    let tiers = tiers.into_iter().filter(|(_, number)| verbose && *number > 0);
    let tiers: Vec<_> = tiers.map(|(name, number)| format!("{name} {}", count(number, style))).collect();
    let tiers = if tiers.is_empty() { String::new() } else { format!(" ({})", tiers.join(", ")) };
    let mut parts = Vec::new();
    parts.extend(verbose.then(|| style.spoken(&plural(counts.verdicts, "verdict"))));
    parts.push(format!("cache hits {}{tiers}", percent(hits.all(), counts.verdicts)));
    parts.push(style.spoken(&plural(counts.inferences, "inference")));
    if counts.coalesced > 0 {
        parts.push(format!("{} waited for another's", count(counts.coalesced, style)));
    }
    if counts.shed > 0 {
        parts.push(format!("{} shed", count(counts.shed, style)));
    }
    parts.push(format!("queue peak {} of {}", count(counts.queue_peak, style), count(capacity, style)));
    parts.join(style.dot())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::CacheHits;

    #[test]
    fn the_line_says_what_the_cache_spared_and_how_full_the_queue_was() {
        let hits = CacheHits { exact: 60, stale: 1, semantic: 20, shared: 2 };
        let counts = ServiceCounts {
            verdicts: 100,
            inferences: 12_345,
            hits,
            queue_peak: 17,
            ..ServiceCounts::default()
        };
        assert_eq!(
            told(counts, 10_000, false, Style::PLAIN),
            "cache hits 83.00 %, 12,345 inferences, queue peak 17 of 10,000"
        );
        let counts = ServiceCounts { coalesced: 5, shed: 3, ..counts };
        assert_eq!(
            told(counts, 50, false, Style::PLAIN),
            "cache hits 83.00 %, 12,345 inferences, 5 waited for another's, 3 shed, queue peak 17 of 50"
        );
        assert_eq!(
            told(counts, 50, true, Style::PLAIN),
            "100 verdicts, cache hits 83.00 % (exact 60, stale 1, semantic 20, shared 2), 12,345 inferences, 5 waited for \
             another's, 3 shed, queue peak 17 of 50"
        );
    }
}

//! What the bundled service counted of its own work, in a line.

use super::figure::{count, percent};
use super::style::Style;
use crate::record::ServiceCounts;
use crate::results::{Report, is_measured};

/// The texts of the report's margin word `bundled`: the measured phases together, and one by one where all is shown and there are
/// several. None where it was not the target.
pub(super) fn bundled(report: &Report, verbose: bool, style: Style) -> Vec<String> {
    let Some(service) = &report.run.reference else { return Vec::new() };
    let capacity = service.queue_capacity;
    let whole = service.counts(is_measured).map(|counts| told(counts, capacity, style));
    let phases: Vec<_> = service.phases.iter().filter(|phase| is_measured(&phase.phase)).collect();
    let by_phase = phases.iter().filter(|_| verbose && phases.len() > 1);
    let by_phase = by_phase.map(|phase| format!("{}: {}", phase.phase, told(phase.counts, capacity, style)));
    whole.into_iter().chain(by_phase).collect()
}

fn told(counts: ServiceCounts, capacity: u64, style: Style) -> String {
    let hits = counts.hits.all();
    let mut parts = vec![format!("cache hits {}", percent(hits, counts.verdicts))];
    parts.push(format!("{} inferences", count(counts.inferences, style)));
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
            told(counts, 10_000, Style::PLAIN),
            "cache hits 83.00 %, 12,345 inferences, queue peak 17 of 10,000"
        );
        let counts = ServiceCounts { coalesced: 5, shed: 3, ..counts };
        assert_eq!(
            told(counts, 50, Style::PLAIN),
            "cache hits 83.00 %, 12,345 inferences, 5 waited for another's, 3 shed, queue peak 17 of 50"
        );
    }
}

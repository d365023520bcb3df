//! What the end of a run says about the seeded anomalies: how many were found, and how often the alarm was false.

use super::figure::{count, percent_up};
use super::style::Style;
use crate::record::AnomalyKind;
use crate::results::{Report, Score};

/// The texts of the report's margin word `detection`, with how many readings were normal where all is shown;
/// none where nothing was seeded or nothing judged.
pub(crate) fn detection(report: &Report, verbose: bool, style: Style) -> Vec<String> {
    let score = &report.detection.all;
    let mut texts = Vec::new();
    if score.anomalies().seeded > 0 {
        texts.push(scored(score, verbose, style));
    }
    let omitted = report.run.anomaly_rows_omitted;
    if omitted > 0 {
        texts.push(format!(
            "not scored: {} readings with an anomaly, more than anomalies.csv holds per interval",
            count(omitted, style)
        ));
    }
    texts
}

fn scored(score: &Score, verbose: bool, style: Style) -> String {
    let found = AnomalyKind::ALL.iter().filter_map(|&kind| {
        let anomalies = score.of(kind);
        let (found, seeded) = (count(anomalies.found, style), count(anomalies.seeded, style));
        (anomalies.seeded > 0).then(|| format!("{} {found} of {seeded} found", plural(kind)))
    });
    let false_alarms = (score.judged_normal > 0).then(|| {
        let share = percent_up(score.false_alarms, score.judged_normal);
        let of = if verbose {
            format!(" of {} normal readings", count(score.judged_normal, style))
        } else {
            String::new()
        };
        format!("false alarms {share}{of}")
    });
    found.chain(false_alarms).collect::<Vec<_>>().join(style.dot())
}

fn plural(kind: AnomalyKind) -> &'static str {
    match kind {
        AnomalyKind::Spike => "spikes",
        AnomalyKind::Shift => "shifts",
        AnomalyKind::Drift => "drifts",
        AnomalyKind::Stuck => "stuck values",
        AnomalyKind::Variance => "changes of noise",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::DetectionCount;

    const RICH: Style = Style { colour: false, ascii: false };

    #[test]
    fn the_line_names_the_kinds_that_were_seeded_and_the_false_alarms() {
        let found = |found, seeded| DetectionCount { seeded, found };
        let score = Score {
            spike: found(118, 121),
            shift: found(9, 10),
            judged_normal: 95_012,
            false_alarms: 114,
            ..Score::default()
        };
        assert_eq!(
            scored(&score, true, RICH),
            "spikes 118 of 121 found · shifts 9 of 10 found · false alarms 0.12 % of 95\u{202f}012 normal readings"
        );
        assert_eq!(
            scored(&score, false, RICH),
            "spikes 118 of 121 found · shifts 9 of 10 found · false alarms 0.12 %"
        );
        let score = Score { stuck: found(0, 1_000), ..Score::default() };
        assert_eq!(scored(&score, true, Style::PLAIN), "stuck values 0 of 1,000 found");
    }
}

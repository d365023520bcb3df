//! What the end of a run says about the seeded anomalies: how many were found, and how often the alarm was false.

use super::figure::{count, dash, percent, percent_up, time};
use super::style::Style;
use crate::record::AnomalyKind;
use crate::results::{ArmDetection, Report, Score};
use crate::units;

/// The texts of the report's margin word `detection`, with how many readings were normal where all is shown;
/// none where nothing was seeded or nothing judged.
pub(crate) fn detection(report: &Report, verbose: bool, style: Style) -> Vec<String> {
    let score = &report.detection.all;
    let mut texts = Vec::new();
    if score.anomalies().seeded > 0 {
        texts.push(scored(score, verbose, style));
        texts.extend(report.detection.arms.iter().map(|arm| armed(arm, verbose, style)));
    }
    let omitted = report.run.anomaly_rows_omitted;
    if omitted > 0 {
        texts.push(format!(
            "not scored: {} with an anomaly, more than anomalies.csv holds per interval",
            style.spoken(&units::plural(omitted, "reading"))
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

/// What one of two models that judged side by side came to.
fn armed(arm: &ArmDetection, verbose: bool, style: Style) -> String {
    let found = arm.score.anomalies();
    let of = if verbose {
        format!(" ({} of {})", count(found.found, style), count(found.seeded, style))
    } else {
        String::new()
    };
    let [precision, recall] = shares(arm, style);
    let facts = [format!("precision {precision}"), format!("recall {recall}{of}"), delay(arm, style)];
    format!("{}: {}", arm.arm.name(), facts.join(", "))
}

/// Precision and recall of a model, as far as it has them.
pub(crate) fn shares(arm: &ArmDetection, style: Style) -> [String; 2] {
    let (anomalies, alarms) = (arm.score.anomalies(), arm.score.false_alarms);
    let share = |part, whole| if whole == 0 { dash(style).to_owned() } else { percent(part, whole) };
    [share(anomalies.found, anomalies.found + alarms), share(anomalies.found, anomalies.seeded)]
}

/// How long it took a model to find what it found, on average.
pub(crate) fn delay(arm: &ArmDetection, style: Style) -> String {
    match arm.delay_readings.zip(arm.delay_s) {
        None => "nothing found".to_owned(),
        Some((0.0, _)) => "found at once".to_owned(),
        Some((readings, seconds)) => {
            format!("found after {readings:.1} readings ({})", time((seconds * 1e9) as u64, style))
        }
    }
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
    use crate::record::Arm;
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
        let arm = |spike, false_alarms, delay: Option<(f64, f64)>| ArmDetection {
            arm: Arm::Challenger,
            precision: None,
            recall: None,
            delay_readings: delay.map(|delay| delay.0),
            delay_s: delay.map(|delay| delay.1),
            score: Score { spike, false_alarms, ..Score::default() },
        };
        for (arm, text) in [
            (
                arm(found(90, 100), 10, Some((1.25, 0.5))),
                "challenger: precision 90.00 %, recall 90.00 % (90 of 100), found after 1.2 readings (500 ms)",
            ),
            (
                arm(found(2, 3), 0, Some((0.0, 0.0))),
                "challenger: precision 100.00 %, recall 66.66 % (2 of 3), found at once",
            ),
            (arm(found(0, 0), 0, None), "challenger: precision -, recall - (0 of 0), nothing found"),
        ] {
            assert_eq!(armed(&arm, true, Style::PLAIN), text);
        }
        let score = Score { stuck: found(0, 1_000), ..Score::default() };
        assert_eq!(scored(&score, true, Style::PLAIN), "stuck values 0 of 1,000 found");
    }
}

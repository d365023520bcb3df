//! The rule by which a challenger takes over: what it needs to have seen, and how right and how dear it may be.

use super::truth::{Accuracy, chance};
use super::{CHALLENGER, CHAMPION};
use crate::service::Experiment as Setup;
use crate::units::figure::{count, plural, time};

/// Chance-corrected agreement that is asked for where nothing is known of the truth (Cohen 1960).
const AGREEMENT: f64 = 0.8;
/// How much lower the p99 of inference must be, as a share, to be called lower.
const GAIN: f64 = 0.1;
/// How improbable the difference in errors must be between models that are equally good.
const CHANCE: f64 = 0.05;
/// Inferences of a model before its p99 is one.
const INFERENCES: u64 = 100;

/// What the two models came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evidence {
    /// Chance-corrected agreement.
    pub(super) kappa: f64,
    /// Inferences of each, and their p99 in nanoseconds.
    pub(super) inferences: [(u64, u64); 2],
    pub(super) accuracy: Accuracy,
}

/// Whether enough was seen to decide by: readings that each `judged`, and of these such on which one of the two `alerted`, or where
/// the truth is known anomalies that are over.
pub(super) fn is_enough(setup: &Setup, judged: [u64; 2], alerted: u64, accuracy: &Accuracy) -> bool {
    let anomalies = if setup.truth { accuracy.anomalies } else { alerted };
    judged.iter().all(|judged| *judged >= setup.least) && anomalies >= setup.anomalies
}

impl Evidence {
    /// Whether the challenger is to take over, and why.
    pub(super) fn decide(&self, setup: &Setup) -> (bool, String) {
        let (better, facts) = if setup.truth { self.by_truth(setup) } else { self.by_agreement() };
        let verdict = if better { "the challenger took over" } else { "the champion stays" };
        (better, format!("{verdict}: {facts}, {}", self.cost()))
    }

    fn by_agreement(&self) -> (bool, String) {
        (self.kappa >= AGREEMENT && self.is_cheaper(), format!("kappa {:.2}", self.kappa))
    }

    fn by_truth(&self, setup: &Setup) -> (bool, String) {
        let Accuracy { anomalies, normal, alone, .. } = self.accuracy;
        let chance = chance(alone[CHAMPION], alone[CHALLENGER]);
        let is_right = alone[CHALLENGER] < alone[CHAMPION] && chance < CHANCE;
        let is_no_worse = alone[CHALLENGER] <= alone[CHAMPION];
        let better = is_right && self.is_affordable(setup.most_cost) || is_no_worse && self.is_cheaper();
        let errors = [CHALLENGER, CHAMPION].map(|model| self.accuracy.errors(model));
        let facts = format!(
            "{} against {} in {} and {} (by chance with probability {chance:.3})",
            plural(errors[0], "error"),
            count(errors[1]),
            if anomalies == 1 { "1 anomaly".to_owned() } else { format!("{} anomalies", count(anomalies)) },
            plural(normal, "normal reading"),
        );
        (better, facts)
    }

    /// The p99 of inference of both, challenger first, where both have one.
    fn p99(&self) -> Option<[u64; 2]> {
        let is_known = self.inferences.iter().all(|(inferences, _)| *inferences >= INFERENCES);
        is_known.then(|| [CHALLENGER, CHAMPION].map(|model| self.inferences[model].1))
    }

    fn is_cheaper(&self) -> bool {
        self.p99().is_some_and(|[challenger, champion]| challenger as f64 <= champion as f64 * (1.0 - GAIN))
    }

    /// What costs neither of them enough to be measured is no ground against a model.
    fn is_affordable(&self, most: f64) -> bool {
        self.p99().is_none_or(|[challenger, champion]| challenger as f64 <= champion as f64 * most)
    }

    fn cost(&self) -> String {
        match self.p99() {
            Some([challenger, champion]) => {
                format!("inference p99 {} against {}", time(challenger), time(champion))
            }
            None => format!("fewer than {INFERENCES} inferences each to tell their cost by"),
        }
    }
}

/// The rule in words.
pub(super) fn words(setup: &Setup) -> String {
    let Setup { least, anomalies, most_cost, .. } = setup;
    let gain = GAIN * 100.0;
    let applied = if setup.automatic { "" } else { " (not applied: automatic = false)" };
    let rule = if setup.truth {
        format!(
            "once each has judged {least} readings and {anomalies} labelled anomalies are over, the challenger takes over if it \
             makes fewer errors (missed anomalies and false alarms; sign test on those of one model alone, below {:.0} %) and its \
             inference p99 is at most {most_cost} times the champion's, or if it makes no more of them and its inference p99 is at \
             least {gain:.0} % lower; else the champion stays",
            CHANCE * 100.0
        )
    } else {
        format!(
            "once each has judged {least} readings and at least one of them has alerted on {anomalies}, the challenger takes over if \
             kappa is at least {AGREEMENT} and its inference p99 at least {gain:.0} % lower; else the champion stays"
        )
    };
    rule + applied
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(truth: bool) -> Setup {
        Setup { share: 0.5, automatic: true, least: 100, anomalies: 30, truth, ..Setup::default() }
    }

    fn evidence(alone: [u64; 2], p99_us: [u64; 2]) -> Evidence {
        let accuracy =
            Accuracy { anomalies: 100, found: [90, 90], normal: 1_000, alone, ..Accuracy::default() };
        Evidence { kappa: 0.9, inferences: p99_us.map(|us| (1_000, us * 1_000)), accuracy }
    }

    #[test]
    fn a_challenger_wins_by_being_right_or_by_being_cheaper_and_no_worse() {
        for (name, alone, p99_us, better) in [
            ("right more often, as dear", [20, 5], [1_000, 1_000], true),
            ("right more often, twice as dear", [20, 5], [1_000, 2_000], true),
            ("right more often, too dear", [20, 5], [1_000, 2_001], false),
            ("right more often, which may be chance", [12, 5], [1_000, 1_000], false),
            ("as right, as dear", [10, 10], [1_000, 1_000], false),
            ("as right, cheaper", [10, 10], [1_000, 900], true),
            ("a little better and cheaper", [12, 9], [1_000, 500], true),
            ("as right, hardly cheaper", [10, 10], [1_000, 901], false),
            ("wrong once more, much cheaper", [9, 10], [1_000, 10], false),
            ("much cheaper, wrong more often", [5, 20], [1_000, 10], false),
        ] {
            let (decided, why) = evidence(alone, p99_us).decide(&setup(true));
            assert_eq!(decided, better, "{name}: {why}");
        }
    }

    #[test]
    fn without_the_truth_it_must_agree_and_be_cheaper() {
        for (name, kappa, p99_us, better) in [
            ("agrees, cheaper", 0.8, [1_000, 500], true),
            ("agrees, no cheaper", 0.8, [1_000, 950], false),
            ("cheaper, disagrees", 0.79, [1_000, 500], false),
        ] {
            let (decided, why) = Evidence { kappa, ..evidence([0, 0], p99_us) }.decide(&setup(false));
            assert_eq!(decided, better, "{name}: {why}");
        }
    }

    #[test]
    fn normal_readings_alone_decide_nothing() {
        for (name, truth, judged, alerted, anomalies, expected) in [
            ("anomalies enough", true, [600, 100], 0, 30, true),
            ("too few that are known", true, [600, 100], 1_000, 29, false),
            ("alerts enough", false, [600, 100], 30, 0, true),
            ("too few alerts", false, [600, 100], 29, 1_000, false),
            ("the challenger judged too few", true, [600, 99], 30, 30, false),
            ("the champion judged too few", false, [99, 600], 30, 30, false),
        ] {
            let accuracy = Accuracy { anomalies, ..Accuracy::default() };
            assert_eq!(is_enough(&setup(truth), judged, alerted, &accuracy), expected, "{name}");
        }
    }

    #[test]
    fn what_was_hardly_ever_inferred_is_not_called_cheaper() {
        let rare = |inferences| Evidence { inferences, ..evidence([10, 10], [0, 0]) };
        for inferences in [[(0, 0), (0, 0)], [(1_000, 5), (99, 1)], [(99, 5), (1_000, 1)]] {
            let (decided, why) = rare(inferences).decide(&setup(true));
            assert!(
                !decided && why.ends_with("fewer than 100 inferences each to tell their cost by"),
                "{why}"
            );
        }
        let right = Evidence { inferences: [(0, 0), (0, 0)], ..evidence([20, 5], [0, 0]) };
        assert_eq!(
            right.decide(&setup(true)),
            (
                true,
                "the challenger took over: 10 errors against 10 in 100 anomalies and 1,000 normal readings (by chance with \
                 probability 0.004), fewer than 100 inferences each to tell their cost by"
                    .to_owned()
            )
        );
    }
}

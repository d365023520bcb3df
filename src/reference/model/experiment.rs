//! Champion and challenger side by side: who judges which device, and which of them is better.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::rule::{Evidence, is_enough, words};
use super::truth::{Accuracy, Lesson, chance};
use super::{CHALLENGER, CHAMPION, MODELS};
use crate::reference::hash::fnv1a;
use crate::service::Experiment as Setup;

/// Inference times up to this many nanoseconds are told apart.
const LONGEST_NS: u64 = 60_000_000_000;

/// What one model did.
#[derive(Debug)]
struct Variant {
    judged: u64,
    alerts: u64,
    inference: Histogram<u32>,
}

/// How it came that the models judge whom they do.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Decision {
    /// `rule`, or what whoever decided is called.
    by: String,
    /// What was decided, and why.
    text: String,
}

#[derive(Debug)]
struct Tally {
    variants: [Variant; 2],
    /// Readings by what both models said: neither, champion alone, challenger alone, both.
    said: [u64; 4],
    accuracy: Accuracy,
    decision: Option<Decision>,
}

/// The experiment, fed by all workers.
#[derive(Debug)]
pub(in crate::reference) struct Experiment {
    setup: Setup,
    promoted: AtomicBool,
    tally: Mutex<Tally>,
}

/// A reading that was judged.
#[derive(Debug, Clone, Copy)]
pub(in crate::reference) struct Judged {
    /// The model whose verdict counted.
    pub(in crate::reference) variant: usize,
    /// How long its inference took, nanoseconds; 0: the score was in the cache.
    pub(in crate::reference) inference_ns: u64,
    /// Which of both models flagged it.
    pub(in crate::reference) flagged: [bool; 2],
    /// What it teaches of them, where its sender knows the truth.
    pub(in crate::reference) lesson: Option<Lesson>,
}

/// What the experiment shows, as `GET /v1/experiment` tells it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(in crate::reference) struct Report {
    /// Share of devices that the challenger judges.
    share: f64,
    champion: VariantReport,
    challenger: VariantReport,
    /// Readings on which both agree whether there is an anomaly, as a share; none without readings.
    agreement: Option<f64>,
    /// The same corrected for chance: 1 is full agreement, 0 what chance gives.
    kappa: Option<f64>,
    /// What is known of the truth; none where readings are not asked for it.
    truth: Option<TruthReport>,
    /// Whether the challenger judges all devices now.
    promoted: bool,
    /// The rule by which it may.
    rule: String,
    /// What came of it, or what was decided by hand.
    decision: Option<Decision>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct VariantReport {
    model: &'static str,
    judged: u64,
    alert_rate: Option<f64>,
    inference_p50_ms: Option<f64>,
    inference_p99_ms: Option<f64>,
    /// Of all labelled readings, whichever model's verdict counted; none where nothing is known of the truth.
    precision: Option<f64>,
    recall: Option<f64>,
    delay_readings: Option<f64>,
}

/// What both models were held against.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct TruthReport {
    /// Labelled anomalies that are over.
    anomalies: u64,
    /// Readings labelled as normal.
    normal: u64,
    /// Missed anomalies and false alarms of the champion alone, and of the challenger alone.
    champion_alone: u64,
    challenger_alone: u64,
    /// How probable so large a difference is between models that are equally good.
    chance: f64,
}

impl Experiment {
    pub(in crate::reference) fn new(setup: Setup) -> Self {
        // Bounds that are constant and sound.
        let inference = || {
            Histogram::new_with_bounds(1, LONGEST_NS, 2)
                .unwrap_or_else(|_| Histogram::new(2).expect("2 digits are sound"))
        };
        let variant = || Variant { judged: 0, alerts: 0, inference: inference() };
        let (variants, accuracy) = ([variant(), variant()], Accuracy::default());
        let tally = Tally { variants, said: [0; 4], accuracy, decision: None };
        Self { setup, promoted: AtomicBool::new(false), tally: Mutex::new(tally) }
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        // Counts are sound whatever a worker was at when it crashed.
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is one.
    pub(in crate::reference) fn is_on(&self) -> bool {
        self.setup.share > 0.0
    }

    /// Whether the models are held against what readings say of the truth.
    pub(in crate::reference) fn asks_for_truth(&self) -> bool {
        self.is_on() && self.setup.truth
    }

    /// Which model judges the device with this number.
    pub(in crate::reference) fn variant_of(&self, device: &str) -> usize {
        if self.is_on() && (self.promoted.load(Ordering::Relaxed) || fraction(device) < self.setup.share) {
            CHALLENGER
        } else {
            CHAMPION
        }
    }

    /// Takes note of a reading, and decides once there is enough to decide by.
    pub(in crate::reference) fn note(&self, judged: Judged) {
        let Judged { variant, inference_ns, flagged, lesson } = judged;
        let mut tally = self.tally();
        let of = &mut tally.variants[variant];
        of.judged += 1;
        of.alerts += u64::from(flagged[variant]);
        if inference_ns > 0 {
            of.inference.saturating_record(inference_ns);
        }
        tally.said[usize::from(flagged[0]) + 2 * usize::from(flagged[1])] += 1;
        if let Some(lesson) = lesson {
            tally.accuracy.add(lesson);
        }
        if self.setup.automatic && tally.decision.is_none() && tally.is_enough(&self.setup) {
            let (better, text) = tally.evidence().decide(&self.setup);
            tracing::info!(promoted = better, "{text}");
            tally.decision = Some(Decision { by: "rule".to_owned(), text });
            self.promoted.store(better, Ordering::Relaxed);
        }
    }

    /// Has the challenger judge all devices from now on, or again only its share, as `who` decided. The rule decides no more.
    pub(in crate::reference) fn decide_by_hand(&self, promoted: bool, who: &str) {
        let text = if promoted { "the challenger was promoted" } else { "the challenger was rolled back" };
        self.tally().decision = Some(Decision { by: who.to_owned(), text: text.to_owned() });
        self.promoted.store(promoted, Ordering::Relaxed);
    }

    /// Whether the challenger judges all devices.
    pub(in crate::reference) fn is_promoted(&self) -> bool {
        self.promoted.load(Ordering::Relaxed)
    }

    /// Goes on as before the service was started anew. A challenger that was promoted stays so.
    pub(in crate::reference) fn resume(&self, promoted: bool) {
        if self.is_on() && promoted != self.is_promoted() {
            self.decide_by_hand(promoted, "before the restart");
        }
    }

    pub(in crate::reference) fn report(&self) -> Report {
        let tally = self.tally();
        let accuracy = &tally.accuracy;
        let variant = |index: usize| {
            let Variant { judged, alerts, inference } = &tally.variants[index];
            let quantile = |q| (!inference.is_empty()).then(|| inference.value_at_quantile(q) as f64 / 1e6);
            VariantReport {
                model: MODELS[index].name(),
                judged: *judged,
                alert_rate: (*judged > 0).then(|| *alerts as f64 / *judged as f64),
                inference_p50_ms: quantile(0.5),
                inference_p99_ms: quantile(0.99),
                precision: accuracy.precision(index),
                recall: accuracy.recall(index),
                delay_readings: accuracy.mean_delay(index),
            }
        };
        let [champion_alone, challenger_alone] = accuracy.alone;
        Report {
            share: self.setup.share,
            champion: variant(CHAMPION),
            challenger: variant(CHALLENGER),
            agreement: tally.agreement().map(|(plain, _)| plain),
            kappa: tally.agreement().map(|(_, kappa)| kappa),
            truth: self.asks_for_truth().then(|| TruthReport {
                anomalies: accuracy.anomalies,
                normal: accuracy.normal,
                champion_alone,
                challenger_alone,
                chance: chance(champion_alone, challenger_alone),
            }),
            promoted: self.promoted.load(Ordering::Relaxed),
            rule: words(&self.setup),
            decision: tally.decision.clone(),
        }
    }
}

impl Tally {
    /// Observed agreement and Cohen's kappa.
    fn agreement(&self) -> Option<(f64, f64)> {
        let [neither, first, second, both] = self.said.map(|count| count as f64);
        let all = neither + first + second + both;
        if all == 0.0 {
            return None;
        }
        let observed = (neither + both) / all;
        let chance =
            ((first + both) * (second + both) + (neither + second) * (neither + first)) / (all * all);
        // Two models that both never alert agree fully; kappa is 0 / 0 then.
        let kappa = if chance >= 1.0 { 1.0 } else { (observed - chance) / (1.0 - chance) };
        Some((observed, kappa))
    }

    fn is_enough(&self, setup: &Setup) -> bool {
        let judged = [CHAMPION, CHALLENGER].map(|model| self.variants[model].judged);
        is_enough(setup, judged, self.said[1..].iter().sum(), &self.accuracy)
    }

    fn evidence(&self) -> Evidence {
        let of = |model: usize| &self.variants[model];
        let inference = |model| (of(model).inference.len(), of(model).inference.value_at_quantile(0.99));
        Evidence {
            kappa: self.agreement().map_or(0.0, |(_, kappa)| kappa),
            inferences: [CHAMPION, CHALLENGER].map(inference),
            accuracy: self.accuracy,
        }
    }
}

/// Where a device lies between 0 and 1, by its name: the same in every instance and with every start.
fn fraction(device: &str) -> f64 {
    // A multiplication spreads the low bits over the word.
    (fnv1a(device.bytes()).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_split_by_name_in_the_share_asked_for() {
        let experiment = Experiment::new(Setup { share: 0.2, ..Setup::default() });
        let challenged =
            (0..10_000).filter(|n| experiment.variant_of(&format!("meters-{n:05}")) == CHALLENGER).count();
        assert!((1_850..2_150).contains(&challenged), "{challenged}");
        assert_eq!(experiment.variant_of("meters-00017"), experiment.variant_of("meters-00017"));
        assert_eq!(Experiment::new(Setup::default()).variant_of("meters-00017"), CHAMPION);
    }

    #[test]
    fn agreement_is_cohens() {
        // Cohen's kappa of the table 20, 5, 10, 15 is 0.4: the textbook's example.
        let experiment = Experiment::new(Setup::default());
        for (anomalies, times) in
            [([true, true], 20), ([true, false], 5), ([false, true], 10), ([false, false], 15)]
        {
            (0..times).for_each(|_| {
                experiment.note(Judged {
                    variant: CHAMPION,
                    inference_ns: 0,
                    flagged: anomalies,
                    lesson: None,
                });
            });
        }
        let report = experiment.report();
        assert!(
            (report.agreement.unwrap() - 0.7).abs() < 1e-12 && (report.kappa.unwrap() - 0.4).abs() < 1e-12
        );
        assert_eq!(report.champion.alert_rate, Some(0.5));
    }

    /// Judges 200 readings, every fourth flagged by both models; the challenger is twice as fast.
    fn run(experiment: &Experiment) {
        for nth in 0..200 {
            let (variant, inference_ns) =
                if nth % 2 == 0 { (CHAMPION, 1_000_000) } else { (CHALLENGER, 500_000) };
            experiment.note(Judged { variant, inference_ns, flagged: [nth % 4 == 0; 2], lesson: None });
        }
    }

    fn of_the_champion(experiment: &Experiment) -> usize {
        let devices = (0..1_000).map(|nth| format!("meters-{nth:05}"));
        devices.filter(|device| experiment.variant_of(device) == CHAMPION).count()
    }

    #[test]
    fn the_rule_decides_once_and_only_where_it_is_to() {
        let setup = Setup { share: 0.5, automatic: true, least: 100, anomalies: 50, ..Setup::default() };
        for (name, setup, promoted) in [
            ("enough", setup, true),
            ("too few alerts", Setup { anomalies: 51, ..setup }, false),
            ("by hand alone", Setup { automatic: false, ..setup }, false),
        ] {
            let experiment = Experiment::new(setup);
            run(&experiment);
            let report = experiment.report();
            assert_eq!(
                (report.promoted, report.decision.is_some()),
                (promoted, promoted),
                "{name}: {report:?}"
            );
            assert_eq!(of_the_champion(&experiment) == 0, promoted, "{name}");
        }
    }

    #[test]
    fn what_is_decided_by_hand_stands() {
        let setup = Setup { share: 0.5, automatic: true, least: 100, anomalies: 50, ..Setup::default() };
        let experiment = Experiment::new(setup);
        experiment.decide_by_hand(true, "ann");
        assert_eq!(of_the_champion(&experiment), 0);
        experiment.decide_by_hand(false, "ann");
        run(&experiment);
        let Report { promoted, decision, .. } = experiment.report();
        assert!(!promoted && of_the_champion(&experiment) > 400, "the rule does not overrule it");
        let decision = decision.unwrap();
        assert_eq!((decision.by.as_str(), decision.text.as_str()), ("ann", "the challenger was rolled back"));
    }

    #[test]
    fn a_challenger_that_is_right_takes_over_without_being_faster() {
        use super::super::truth::Labelled;
        let setup =
            Setup { share: 0.5, automatic: true, least: 100, anomalies: 30, truth: true, ..Setup::default() };
        let experiment = Experiment::new(setup);
        let mut labelled = Labelled::default();
        for nth in 0..400_u32 {
            // Every tenth reading is an anomaly; the champion finds every third of them, the challenger all.
            let truth = if nth % 10 == 0 { nth / 10 + 1 } else { 0 };
            let flagged = [truth > 0 && truth % 3 == 0, truth > 0];
            let lesson = Some(labelled.learn(truth, flagged));
            let variant = nth as usize % 2;
            experiment.note(Judged { variant, inference_ns: 1_000_000, flagged, lesson });
        }
        let report = experiment.report();
        assert!(report.promoted, "{report:?}");
        let truth = report.truth.unwrap();
        assert_eq!((truth.anomalies, truth.challenger_alone, truth.champion_alone), (40, 0, 27));
        assert_eq!((report.champion.recall, report.challenger.recall), (Some(13.0 / 40.0), Some(1.0)));
        assert_eq!(report.challenger.precision, Some(1.0));
    }
}

//! Champion and challenger side by side: who judges which device, and which of them is better.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{CHALLENGER, CHAMPION, MODELS};
use crate::service::Experiment as Setup;
use crate::units::figure::time;

/// Inference times up to this many nanoseconds are told apart.
const LONGEST_NS: u64 = 60_000_000_000;
/// Chance-corrected agreement that the rule asks for (Cohen 1960).
const AGREEMENT: f64 = 0.8;
/// How much lower the p99 of inference must be, as a share.
const GAIN: f64 = 0.1;

/// What one model did.
#[derive(Debug)]
struct Variant {
    judged: u64,
    alerts: u64,
    inference: Histogram<u32>,
}

#[derive(Debug)]
struct Tally {
    variants: [Variant; 2],
    /// Readings by what both models said: neither, champion alone, challenger alone, both.
    said: [u64; 4],
    decision: Option<String>,
}

/// The experiment, fed by all workers.
#[derive(Debug)]
pub(in crate::reference) struct Experiment {
    setup: Setup,
    promoted: AtomicBool,
    tally: Mutex<Tally>,
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
    /// Whether the challenger judges all devices now.
    promoted: bool,
    /// The rule by which it may.
    rule: String,
    /// What came of it.
    decision: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct VariantReport {
    model: &'static str,
    judged: u64,
    alert_rate: Option<f64>,
    inference_p50_ms: Option<f64>,
    inference_p99_ms: Option<f64>,
}

impl Experiment {
    pub(in crate::reference) fn new(setup: Setup) -> Self {
        // Bounds that are constant and sound.
        let inference = || {
            Histogram::new_with_bounds(1, LONGEST_NS, 2)
                .unwrap_or_else(|_| Histogram::new(2).expect("2 digits are sound"))
        };
        let variant = || Variant { judged: 0, alerts: 0, inference: inference() };
        let tally = Tally { variants: [variant(), variant()], said: [0; 4], decision: None };
        Self { setup, promoted: AtomicBool::new(false), tally: Mutex::new(tally) }
    }

    /// Whether there is one.
    pub(in crate::reference) fn is_on(&self) -> bool {
        self.setup.share > 0.0
    }

    /// Which model judges the device with this number.
    pub(in crate::reference) fn variant_of(&self, device: &str) -> usize {
        if self.is_on() && (self.promoted.load(Ordering::Relaxed) || fraction(device) < self.setup.share) {
            CHALLENGER
        } else {
            CHAMPION
        }
    }

    /// Takes note of a reading that `variant` judged within `inference_ns` (0: from the cache), with what both models say of it.
    pub(in crate::reference) fn note(&self, variant: usize, inference_ns: u64, anomalies: [bool; 2]) {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = &mut *tally;
        let of = &mut tally.variants[variant];
        of.judged += 1;
        of.alerts += u64::from(anomalies[variant]);
        if inference_ns > 0 {
            of.inference.saturating_record(inference_ns);
        }
        tally.said[usize::from(anomalies[0]) + 2 * usize::from(anomalies[1])] += 1;
        if self.setup.automatic
            && tally.decision.is_none()
            && tally.variants.iter().all(|variant| variant.judged >= self.setup.least)
        {
            let (better, decision) = tally.decide();
            tally.decision = Some(decision);
            self.promoted.store(better, Ordering::Relaxed);
        }
    }

    pub(in crate::reference) fn report(&self) -> Report {
        let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        let variant = |index: usize| {
            let Variant { judged, alerts, inference } = &tally.variants[index];
            let quantile = |q| (!inference.is_empty()).then(|| inference.value_at_quantile(q) as f64 / 1e6);
            VariantReport {
                model: MODELS[index].name(),
                judged: *judged,
                alert_rate: (*judged > 0).then(|| *alerts as f64 / *judged as f64),
                inference_p50_ms: quantile(0.5),
                inference_p99_ms: quantile(0.99),
            }
        };
        Report {
            share: self.setup.share,
            champion: variant(CHAMPION),
            challenger: variant(CHALLENGER),
            agreement: tally.agreement().map(|(plain, _)| plain),
            kappa: tally.agreement().map(|(_, kappa)| kappa),
            promoted: self.promoted.load(Ordering::Relaxed),
            rule: format!(
                "once each has judged {} readings: the challenger takes over if kappa is at least {AGREEMENT} and its \
                 inference p99 at least {:.0} % lower; else the champion stays{}",
                self.setup.least,
                GAIN * 100.0,
                if self.setup.automatic { "" } else { " (not applied: automatic = false)" }
            ),
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

    fn decide(&self) -> (bool, String) {
        let kappa = self.agreement().map_or(0.0, |(_, kappa)| kappa);
        let [champion, challenger] = [CHAMPION, CHALLENGER]
            .map(|variant| self.variants[variant].inference.value_at_quantile(0.99) as f64);
        let faster = challenger <= champion * (1.0 - GAIN);
        let better = kappa >= AGREEMENT && faster;
        let facts = format!(
            "kappa {kappa:.2}, inference p99 {} against {}",
            time(challenger as u64),
            time(champion as u64)
        );
        let verdict = if better { "the challenger took over" } else { "the champion stays" };
        (better, format!("{verdict}: {facts}"))
    }
}

/// Where a device lies between 0 and 1, by its name: the same in every instance and with every start (FNV-1a).
fn fraction(device: &str) -> f64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = device.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, step);
    // The low bits of FNV mix best; a multiplication spreads them over the word.
    (hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11) as f64 / (1_u64 << 53) as f64
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
            (0..times).for_each(|_| experiment.note(CHAMPION, 0, anomalies));
        }
        let report = experiment.report();
        assert!(
            (report.agreement.unwrap() - 0.7).abs() < 1e-12 && (report.kappa.unwrap() - 0.4).abs() < 1e-12
        );
        assert_eq!(report.champion.alert_rate, Some(0.5));
    }

    #[test]
    fn the_rule_promotes_what_agrees_and_is_faster_and_nothing_else() {
        for (name, disagreement, challenger_ns, promoted) in [
            ("agrees, faster", 0, 500_000, true),
            ("agrees, no faster", 0, 950_000, false),
            ("faster, disagrees", 1, 500_000, false),
        ] {
            let setup = Setup { share: 0.5, automatic: true, least: 100, ..Setup::default() };
            let experiment = Experiment::new(setup);
            for n in 0..200 {
                let alert = n % 4 == 0;
                let said = [alert, if disagreement == 0 { alert } else { n % 3 == 0 }];
                let (variant, ns) =
                    if n % 2 == 0 { (CHAMPION, 1_000_000) } else { (CHALLENGER, challenger_ns) };
                experiment.note(variant, ns, said);
            }
            let report = experiment.report();
            assert_eq!(report.promoted, promoted, "{name}: {report:?}");
            assert!(report.decision.is_some(), "{name}");
            assert_eq!(
                experiment.variant_of("any") == CHALLENGER || fraction("any") < 0.5,
                promoted || fraction("any") < 0.5
            );
        }
    }
}

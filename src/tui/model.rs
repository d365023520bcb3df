//! What the screen shows, and what follows from it in words.

use super::palette::Ink;
use crate::display::figure::{self, Marks, short_percent_up};
use crate::display::{Style, recovery, time};
use crate::engine::{Fit, Level};
use crate::record::{Judgement, Outcomes};
use crate::results::{
    FleetPulse, Manifest, Outage, Percentile, Present, Recovery, RunState, Times, Watched, is_measured,
};
use crate::units::Quantile;

/// How figures are written.
pub(super) const STYLE: Style = Style { colour: false, ascii: false };

/// How the run is seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Mode {
    /// As it goes on.
    Live,
    /// An earlier instant of it: at so many times the speed it had, or standing still.
    Replay { speed: f64, runs: bool },
    /// As it was when it had ended.
    Ended,
}

/// A fault that can be switched by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Switch {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) on: bool,
}

/// Everything that is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Model<'a> {
    pub(crate) run: &'a Manifest,
    pub(crate) watched: &'a Watched,
    /// How the generator does at present.
    pub(crate) present: Option<Present>,
    /// What became of the spells of faults, as far as that is known by now.
    pub(crate) outages: &'a [Outage],
    /// Faults that can be switched; none where nobody is there to do it.
    pub(crate) switches: &'a [Switch],
    pub(crate) mode: Mode,
    /// The run has no end of its own: it was killed.
    pub(crate) is_killed: bool,
    /// What is to be told once, such as what became of a switch.
    pub(crate) message: Option<&'a str>,
}

/// What figures are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Last,
    Whole,
}

/// A light: how something stands, as a colour, a shape and words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Light {
    pub(super) ink: Ink,
    pub(super) words: String,
}

impl Light {
    fn new(ink: Ink, words: &str) -> Self {
        let shape = match ink {
            Ink::Good => '●',
            Ink::Warn => '▲',
            Ink::Bad => '■',
            _ => '·',
        };
        Self { ink, words: format!("{shape} {words}") }
    }
}

impl Model<'_> {
    /// Where the screen stands, seconds since the run began.
    pub(super) fn now_s(&self) -> f64 {
        self.watched.reached_s
    }

    /// Length of the plan, or of the run where that is longer or no plan is told.
    pub(super) fn end_s(&self) -> f64 {
        let planned = self.run.plan.as_ref().map_or(0.0, |plan| plan.end_s);
        planned.max(self.watched.reached_s).max(1e-3)
    }

    /// The phases with their beginning and end, planned ones too.
    pub(super) fn phases(&self) -> Vec<(&str, f64, f64)> {
        if let Some(plan) = &self.run.plan {
            let phases = plan.phases.iter();
            return phases
                .map(|phase| (phase.name.as_str(), phase.begin_s, phase.begin_s + phase.length_s))
                .collect();
        }
        let end_s = self.end_s();
        let phases = self.watched.phases.iter();
        phases.map(|phase| (phase.name.as_str(), phase.start_s, phase.end_s.min(end_s))).collect()
    }

    /// Whether the run as a whole is shown, which has ended.
    fn is_over(&self) -> bool {
        self.mode == Mode::Ended && (self.is_killed || self.run.state != RunState::Running)
    }

    /// What figures are of: the measured phases as a whole once the run has ended, else its last interval. With its length in seconds.
    pub(super) fn scope(&self) -> (Scope, f64) {
        if self.is_over() {
            let phases = self.phases().into_iter().filter(|(name, ..)| is_measured(name));
            let now_s = self.now_s();
            let seconds =
                phases.map(|(_, start_s, end_s)| (end_s.min(now_s) - start_s).max(0.0)).sum::<f64>();
            return (Scope::Whole, seconds.max(1e-3));
        }
        let last = self.watched.recent.back();
        (Scope::Last, last.map_or(1.0, |last| last.end_s - last.start_s))
    }

    /// What became of a fleet in what figures are of, and how long it took.
    pub(super) fn figures<'f>(&self, fleet: &'f FleetPulse) -> (Outcomes, &'f Times) {
        match self.scope().0 {
            Scope::Last => (fleet.last, &fleet.times),
            Scope::Whole => (fleet.so_far, &fleet.measured),
        }
    }

    /// The same of all fleets.
    pub(super) fn total(&self) -> (Outcomes, &Times) {
        match self.scope().0 {
            Scope::Last => (self.watched.now(), &self.watched.last),
            Scope::Whole => (self.watched.so_far(), &self.watched.measured),
        }
    }

    /// Readings that came due and have not ended, and those of them whose time-out has passed.
    pub(super) fn open(&self) -> (u64, u64) {
        let fleets = self.watched.fleets.iter();
        fleets.fold((0, 0), |sum, fleet| (sum.0 + fleet.open, sum.1 + fleet.overdue))
    }

    /// What the run itself is worth: as it was judged, or as the last intervals look.
    pub(super) fn validity(&self) -> Light {
        if self.is_killed && self.mode == Mode::Ended {
            return Light::new(Ink::Bad, "killed before its end: not judged");
        }
        if let (Some(validity), Mode::Ended) = (&self.run.validity, self.mode) {
            let (ink, word) = match validity.verdict {
                Judgement::Valid => (Ink::Good, "valid"),
                Judgement::Suspect => (Ink::Warn, "suspect"),
                Judgement::Invalid => (Ink::Bad, "invalid"),
            };
            let reason =
                validity.reasons.first().map(|reason| format!(": {}", spoken(reason))).unwrap_or_default();
            return Light::new(ink, &format!("{word}{reason}"));
        }
        let Some(Present { lag, service, response }) = self.present else {
            return Light::new(Ink::Soft, "nothing sent yet");
        };
        let level =
            Level { quantile: Quantile::P99, lag_ns: lag, service_ns: service, response_ns: response };
        let (ink, word) = match level.fit(level.own_ns(), 0.0, 0) {
            Fit::Holds => (Ink::Good, "valid"),
            Fit::Touched => (Ink::Warn, "suspect"),
            Fit::Lost => (Ink::Bad, "invalid"),
        };
        Light::new(ink, &format!("{word}: generator late {} at p99", time(lag, STYLE)))
    }

    /// How the service does.
    pub(super) fn service(&self) -> Light {
        let watched = self.watched;
        let last = watched.now();
        let (open, overdue) = self.open();
        let failed = last.failed();
        if self.scope().0 == Scope::Whole {
            return Self::whole(&watched.so_far());
        }
        if watched.so_far().ended() == 0 && open == 0 {
            return Light::new(Ink::Soft, "service: not asked yet");
        }
        if last.ended() == 0 && open > 0 {
            return Light::new(Ink::Bad, "service: silent");
        }
        if failed.saturating_mul(100) > last.ended() {
            return Light::new(
                Ink::Bad,
                &format!("service: {} fail", short_percent_up(failed, last.ended())),
            );
        }
        if overdue > 0 {
            return Light::new(Ink::Warn, &format!("service: {} overdue", count(overdue)));
        }
        if failed > 0 {
            return Light::new(Ink::Warn, &format!("service: {} failed", count(failed)));
        }
        Light::new(Ink::Good, "service: answers")
    }

    /// How the service did in all.
    fn whole(sum: &Outcomes) -> Light {
        let failed = sum.failed();
        let ink = match failed {
            0 => Ink::Good,
            _ if failed.saturating_mul(100) > sum.ended() => Ink::Bad,
            _ => Ink::Warn,
        };
        match (sum.ended(), failed) {
            (0, _) => Light::new(Ink::Soft, "service: not asked"),
            (_, 0) => Light::new(ink, "service: all ok"),
            (ended, _) => Light::new(ink, &format!("service: {} failed", short_percent_up(failed, ended))),
        }
    }

    /// How far the run is, in words.
    pub(super) fn clock(&self) -> String {
        let planned_s = self.run.plan.as_ref().map_or(self.end_s(), |plan| plan.end_s);
        let now_s = self.now_s();
        if self.is_over() {
            let ending = if self.is_killed { "killed" } else { self.run.ending() };
            format!("{ending}, {}", clock(now_s))
        } else if now_s > planned_s + 1e-6 {
            format!("{}, drain", clock(now_s))
        } else {
            format!("{} of {}", clock(now_s), clock(planned_s))
        }
    }

    /// The last spell that began, in words.
    pub(super) fn fault_words(&self) -> Option<Light> {
        let spell = self.watched.spells.last()?;
        let Some(end_s) = spell.end_s.filter(|end_s| *end_s <= self.now_s()) else {
            let by = if spell.by_hand { " by hand" } else { "" };
            return Some(Light { ink: Ink::Fault, words: format!("{} on{by}", spell.fault) });
        };
        let outage = self.outages.iter().rev().find(|outage| outage.fault == spell.fault);
        let since = clock((self.now_s() - end_s).max(0.0));
        Some(match outage.map(|outage| (outage.state, outage.recovered_after_s)) {
            Some((Recovery::Recovered, Some(after_s))) => {
                let after =
                    if after_s > 0.0 { format!("after {}", exact(after_s)) } else { "at once".to_owned() };
                Light { ink: Ink::Good, words: format!("{} off, recovered {after}", spell.fault) }
            }
            Some((Recovery::NotRecovered, _)) => {
                Light { ink: Ink::Bad, words: format!("{} off for {since}, not recovered", spell.fault) }
            }
            Some((Recovery::Open, _)) => {
                Light { ink: Ink::Warn, words: format!("{} off for {since}, recovering", spell.fault) }
            }
            _ => Light { ink: Ink::Soft, words: format!("{} off for {since}", spell.fault) },
        })
    }
}

/// `outages` as far as they are known at `at_s` of a run that goes on.
pub(crate) fn known_by(outages: &[Outage], at_s: f64) -> Vec<Outage> {
    let begun = outages.iter().filter(|outage| outage.start_s <= at_s).cloned();
    begun
        .map(|mut outage| {
            let over_s = outage.ended_s().unwrap_or(outage.start_s);
            let recovered_s = outage.recovered_after_s.map(|after_s| over_s + after_s);
            if !recovered_s.is_some_and(|recovered_s| recovered_s <= at_s) {
                outage.recovered_after_s = None;
                outage.state = Recovery::Open;
                (outage.worst_p99_ms, outage.worst_at_s, outage.backlog_drained_after_s) = (None, None, None);
            }
            outage.end_s = outage.end_s.filter(|end_s| *end_s <= at_s);
            outage
        })
        .collect()
}

/// A count in groups of three.
pub(super) fn count(number: u64) -> String {
    figure::count(number, STYLE).replace('\u{202f}', " ")
}

/// Events per second.
pub(super) fn rate(number: u64, seconds: f64) -> String {
    figure::rate(number as f64 / seconds.max(1e-9), STYLE).replace('\u{202f}', " ").replace("/s", "")
}

/// A percentile of the response time, with the support of its tail.
pub(super) fn tail(times: &Times, quantile: Quantile) -> String {
    let found = times.at(quantile.fraction());
    if quantile == Quantile::MAX {
        // The longest needs no support.
        return Marks::default().bounded(found, STYLE);
    }
    supported(found, quantile, times.samples())
}

/// A percentile of `samples`, as the report writes it.
pub(super) fn supported(found: Option<Percentile>, quantile: Quantile, samples: u64) -> String {
    Marks::default().tail(found, quantile, samples, STYLE)
}

/// A sentence of the files, with its numbers as this screen writes them.
pub(super) fn spoken(sentence: &str) -> String {
    STYLE.spoken(sentence).replace('\u{202f}', " ")
}

/// A length of time as a clock shows it.
pub(super) fn clock(seconds: f64) -> String {
    let whole = (seconds + 1e-6) as u64;
    match whole {
        0..600 if seconds.fract() > 0.05 && seconds < 10.0 => format!("{seconds:.1} s"),
        0..600 => format!("{whole} s"),
        600..7_200 => format!("{}:{:02} min", whole / 60, whole % 60),
        _ => format!("{}:{:02} h", whole / 3_600, whole % 3_600 / 60),
    }
}

/// A length of time to three digits.
pub(super) fn exact(seconds: f64) -> String {
    recovery::seconds(seconds, STYLE)
}

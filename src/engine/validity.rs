//! The tool judges itself: was the generator good enough for the figures to be about the service?
//!
//! A pure rule over the figures of a run. A slow service can never make a run invalid: its slowness shows as backlog
//! wait and service time, and the pacing lag judged here holds neither. And no figure that starvation makes worse ever makes
//! the judgement milder: bounds rise only with what the service itself took, and that is believed the less the more the
//! generator was starved.

use super::level::{Fit, LAG_FLOOR_NS, Level};
use super::stall::StallStats;
use crate::clock::Throttling;
use crate::record::{Cause, Encounters, Judgement, RunToken, ScarceResource, Validity};
use crate::units::figure::{count, counted, instant, time};
use crate::units::{Quantile, Span, plural, times};

/// What the devices of one fleet met of other runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FleetMet {
    /// The fleet's name.
    pub fleet: String,
    /// What they met.
    pub met: Encounters,
    /// The run's token, where their identifiers name it and it was not drawn: another run may have it.
    pub token: Option<RunToken>,
}

impl FleetMet {
    /// What to do so that no other run's devices have the same identifiers.
    fn remedy(&self) -> String {
        self.token.map_or_else(
            || "let client_id name {{run}}".to_owned(),
            |token| {
                format!("the identifiers name the run token {token}, which another run may have: give each its own --run-token")
            },
        )
    }
}

/// The figures the judgement rests on; times in nanoseconds, measured phases only.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Figures {
    /// Readings that came due.
    pub planned: u64,
    /// Readings the plan's closed formula expects, and the standard deviation of that number; `None` for closed
    /// models and for runs that ended early.
    pub expected: Option<(f64, f64)>,
    /// Of each fleet of which the plan has readings, and none in the measured phases, a sentence that says so.
    pub unmeasured: Vec<String>,
    /// Pacing lag and the service's part at every percentile that is judged, in rising order; those without data are left out.
    pub levels: Vec<Level>,
    /// p98 of pacing lag.
    pub pacing_lag_p98_ns: Option<u64>,
    /// What a service takes at the least on this machine, as calibrated; 0 where that is not known.
    pub floor_ns: u64,
    /// How long the measured phases lasted, seconds.
    pub measured_s: f64,
    /// When the machine itself, or this process as a whole, stood still.
    pub standstills: StallStats,
    /// Share of its core that each worker worked, 0 to 1, waiting left out.
    pub worker_cpu: Vec<f64>,
    /// Share of the time that each worker was ready to run and had no processor, 0 to 1.
    pub worker_starved: Vec<f64>,
    /// How a quota of processor time held the process up.
    pub throttling: Option<Throttling>,
    /// Share of the machine's processor time that the hypervisor gave to others, 0 to 1.
    pub stolen: Option<f64>,
    /// When the main loop of a worker stood still, of the worker that did so for longest.
    pub stalls: StallStats,
    /// Length of the plan from the first measured phase to its end, and how long after that everything due in it had been
    /// released, seconds.
    pub overrun: Option<(f64, f64)>,
    /// Connections and readings that failed because this machine ran out of descriptors, ports or memory.
    pub resource_errors: u64,
    /// How many of them for want of what, as far as that is known.
    pub scarce: Vec<(ScarceResource, u64)>,
    /// Values that did not fit the histograms.
    pub overflow: u64,
    /// Readings and connection attempts that came due and of which no outcome was recorded.
    pub unaccounted: u64,
    /// Deliveries that workers could not pass to each other.
    pub undelivered: u64,
    /// What each fleet met of other runs.
    pub encounters: Vec<FleetMet>,
    /// Percentiles that squall's own waiting decides, those of one fleet and phase after each other.
    pub own_waits: Vec<OwnWait>,
}

/// A percentile of a fleet's response times that squall's own waiting decides.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OwnWait {
    /// Whose it is, in words: the fleet, and the phase where it is of one alone.
    pub scope: String,
    /// The first wait of the fleet's back-off.
    pub first: Span,
    /// Which percentile.
    pub quantile: Quantile,
    /// As measured, nanoseconds.
    pub response_ns: u64,
    /// Had nothing waited by squall's own rule, nanoseconds.
    pub without_ns: u64,
}

/// A worker that works more than this share of the time has no room for bursts.
const BUSY: f64 = 0.9;

/// A worker that had no processor for more than this share of the time was late for that, if it was late.
const STARVED: f64 = 0.1;

/// A worker that has no processor for more than this share of the time is at the mercy of others, even if it was not late.
const CROWDED: f64 = 0.3;

/// With more than this the others decide when it notices replies, even if it was not late. Generous, since a worker that waits awake
/// gives its core away and counts as ready.
const DISPLACED: f64 = 0.7;

/// Periods in which a quota was used up, as a share of all: beyond the first it may show, beyond the second it decides.
const THROTTLED: [f64; 2] = [0.01, 0.25];

/// Processor time lost to the hypervisor's other guests: beyond the first share it shows, beyond the second it decides.
const STOLEN: [f64; 2] = [0.05, 0.2];

/// What stands still for no more than this share of the time does so rarely: every virtual machine does.
const RARE: f64 = 0.02;

/// What fails for want of a resource: one, and several.
const ATTEMPTS: [&str; 2] = ["connection or reading", "connections or readings"];

/// An overrun below this never matters: the last readings are due at the very end.
const OVERRUN_FLOOR_S: f64 = 0.05;

/// Up to this an overrun may be one pause of the machine, which happened to fall on the end.
const OVERRUN_LIMIT_S: f64 = 0.3;

/// Percentiles beyond this are covered or not, and never decide what a run is.
const LAST_JUDGED: Quantile = Quantile::P99;

impl Figures {
    /// The percentiles that are judged.
    pub(crate) const JUDGED: [Quantile; 5] =
        [Quantile::P50, Quantile::P90, Quantile::P95, Quantile::P99, Quantile::P99_9];

    /// Judges the run they are of.
    pub(crate) fn judge(&self) -> Validity {
        let mut judgement = ValidityBuilder(Validity::new());
        judgement.judge_completeness(self);
        judgement.judge_scarcity(self);
        judgement.judge_own_waits(self);
        judgement.judge_starvation(self);
        judgement.judge_rate(self);
        judgement.judge_records(self);
        judgement.judge_identity(self);
        // What makes the whole run doubtful spares none of its percentiles.
        let spared = judgement.0.verdict < Judgement::Invalid;
        let held = self.levels.iter().filter(|level| spared && self.fit(level) == Fit::Holds);
        let covers: Vec<_> = held.map(|level| level.quantile.to_string()).collect();
        judgement.judge_levels(self, &covers);
        judgement.0.covers = Some(covers);
        judgement.0
    }

    /// The share of the measured time that `stood` covers, 0 to 1.
    fn share(&self, stood: StallStats) -> f64 {
        if self.measured_s > 0.0 { (stood.total_ns as f64 / 1e9 / self.measured_s).min(1.0) } else { 0.0 }
    }

    fn starved(&self) -> f64 {
        self.worker_starved.iter().copied().fold(0.0, f64::max)
    }

    fn throttled(&self) -> f64 {
        self.throttling.map_or(0.0, |throttling| throttling.share())
    }

    /// The share of the time that was kept from the generator, where it is more than noise.
    fn withheld(&self) -> f64 {
        let kept = [
            (self.starved(), STARVED),
            (self.throttled(), THROTTLED[0]),
            (self.stolen.unwrap_or(0.0), STOLEN[0]),
        ];
        let kept = kept.into_iter().filter(|(share, noise)| share > noise).map(|(share, _)| share);
        kept.fold(0.0, f64::max).min(1.0)
    }

    /// What became of a percentile.
    fn fit(&self, level: &Level) -> Fit {
        level.fit(self.own_ns(level), self.share(self.stalls), self.stalls.longest_ns)
    }

    /// What of it the service took at the least, nanoseconds. A reply that waits for its stamp makes the service look slower: the less
    /// the generator ran, the less of what it saw is believed.
    fn own_ns(&self, level: &Level) -> u64 {
        ((level.own_ns() as f64 * (1.0 - self.withheld())) as u64).max(self.floor_ns)
    }

    /// Whether lag that only p99 shows is the machine's rare pause, and not a generator that was starved or overtaxed.
    fn is_rare(&self) -> bool {
        let free = self.withheld() <= 0.0 && self.worker_cpu.iter().all(|share| *share <= BUSY);
        let rare = self.share(self.standstills) <= RARE && self.share(self.stalls) <= RARE;
        let worst = self.levels.iter().find(|level| level.quantile == LAST_JUDGED);
        let few = worst.zip(self.pacing_lag_p98_ns).is_some_and(|(level, lag_ns)| {
            let others = self.levels.iter().filter(|other| other.quantile < LAST_JUDGED);
            Level { lag_ns, ..*level }.fit(self.own_ns(level), 0.0, 0) == Fit::Holds
                && others.into_iter().all(|other| self.fit(other) != Fit::Lost)
        });
        free && rare && few
    }
}

/// A judgement in the making.
struct ValidityBuilder(Validity);

impl ValidityBuilder {
    fn add(&mut self, verdict: Judgement, cause: Cause, reason: String) {
        self.0.add(verdict, cause, reason);
    }

    fn judge_completeness(&mut self, figures: &Figures) {
        if figures.planned == 0 {
            self.add(
                Judgement::Invalid,
                Cause::Plan,
                "no reading came due in the measured phases: there is nothing to judge".into(),
            );
        }
        for sentence in &figures.unmeasured {
            self.add(Judgement::Suspect, Cause::Plan, sentence.clone());
        }
        let Some((expected, deviation)) = figures.expected else { return };
        let off = (figures.planned as f64 - expected).abs();
        if off > 5.0 * deviation + 1.0 + 0.01 * expected {
            self.add(
                Judgement::Invalid,
                Cause::Plan,
                format!(
                    "{} came due where the plan has {}: the generator lost its plan",
                    plural(figures.planned, "reading"),
                    count(expected.round() as u64)
                ),
            );
        }
    }

    /// Lag and stalls are judged at every percentile against what the service itself took there: up to half of it (and never
    /// below 1 ms) they cannot have shaped it; above twice of it (and 10 ms) they have.
    fn judge_levels(&mut self, figures: &Figures, covers: &[String]) {
        let judged = || figures.levels.iter().filter(|level| level.quantile <= LAST_JUDGED);
        // Of the percentiles that are as bad as the worst, the last is the one people look at.
        let Some(worst) = judged().max_by_key(|level| (figures.fit(level), level.quantile)) else { return };
        let fit = figures.fit(worst);
        let rare = figures.is_rare();
        let verdict = match fit {
            Fit::Holds => return,
            Fit::Lost if !rare => Judgement::Invalid,
            Fit::Lost | Fit::Touched => Judgement::Suspect,
        };
        let still = figures.standstills;
        let (cause, what) = if rare && still.longest_ns >= worst.lag_ns {
            let what = format!(
                "the machine itself stalled {} (longest {}, until {}): percentiles from {} up show that, not the \
                 service; run again, or on a machine of its own",
                times(still.count),
                time(still.longest_ns),
                instant(still.longest_at.0),
                worst.quantile
            );
            (Cause::Stall, what)
        } else if worst.lag_ns > LAG_FLOOR_NS.max(figures.stalls.longest_ns / 2) {
            let what = format!(
                "the generator sent late: pacing lag {} {}, where the service itself took at least {}; {}",
                worst.quantile,
                time(worst.lag_ns),
                time(figures.own_ns(worst)),
                remedy(figures)
            );
            (Cause::Lag, what)
        } else {
            let stalls = figures.stalls;
            let what = format!(
                "the generator stalled {} (longest {}, until {}) for {:.1} % of the time, where the service itself \
                 took at least {} at {}: replies were stamped late; {}",
                times(stalls.count),
                time(stalls.longest_ns),
                instant(stalls.longest_at.0),
                100.0 * figures.share(stalls),
                time(figures.own_ns(worst)),
                worst.quantile,
                remedy(figures)
            );
            (Cause::Stall, what)
        };
        self.add(verdict, cause, format!("{what}; {}", coverage(covers)));
    }

    /// A plan that takes longer than it says was beyond the generator's power: what is released late is released all the same,
    /// only at a lower rate than planned.
    fn judge_rate(&mut self, figures: &Figures) {
        let Some((length_s, overrun_s)) = figures.overrun else { return };
        if length_s <= 0.0 || overrun_s <= OVERRUN_FLOOR_S.max(0.01 * length_s) {
            return;
        }
        let verdict = if overrun_s > OVERRUN_LIMIT_S.max(0.05 * length_s) {
            Judgement::Invalid
        } else {
            Judgement::Suspect
        };
        let achieved = 100.0 * length_s / (length_s + overrun_s);
        self.add(
            verdict,
            Cause::Rate,
            format!(
                "the generator achieved {achieved:.0} % of the planned rate: a plan of {} took {}; {}",
                time(Span::from_secs_f64(length_s).as_ns()),
                time(Span::from_secs_f64(length_s + overrun_s).as_ns()),
                remedy(figures)
            ),
        );
    }

    /// Processor time that the generator did not have.
    fn judge_starvation(&mut self, figures: &Figures) {
        if let (Some(verdict), Some(throttling)) =
            (beyond(figures.throttled(), THROTTLED), &figures.throttling)
        {
            let advice = "raise the quota of the control group, or lower the rate";
            self.add(verdict, Cause::Processor, format!("{}: {advice}", throttled(throttling)));
        }
        for (index, share) in figures.worker_cpu.iter().enumerate().filter(|(_, share)| **share > BUSY) {
            let reason = format!(
                "worker {index} used {:.0} % of its core: add workers or lower the rate",
                share * 100.0
            );
            self.add(Judgement::Suspect, Cause::Processor, reason);
        }
        for (index, share) in figures.worker_starved.iter().enumerate() {
            let Some(verdict) = beyond(*share, [CROWDED, DISPLACED]) else { continue };
            let lacked = format!("for {:.0} % of the time it was ready and had no processor", share * 100.0);
            let reason = if figures.throttled() > THROTTLED[0] {
                format!("a quota stopped worker {index}: {lacked}")
            } else {
                format!(
                    "another process took the core of worker {index}: {lacked}; stop it, or give the generator a core of its own"
                )
            };
            self.add(verdict, Cause::Processor, reason);
        }
        let stolen = figures.stolen.unwrap_or(0.0);
        if let Some(verdict) = beyond(stolen, STOLEN) {
            let reason = format!(
                "the hypervisor gave {:.0} % of this machine's processor time to others: percentiles show that too; run again, or on a machine of its own",
                stolen * 100.0
            );
            self.add(verdict, Cause::Processor, reason);
        }
    }

    /// What this machine ran out of is never the service's failure.
    fn judge_scarcity(&mut self, figures: &Figures) {
        let mut explained = 0;
        for (what, failed) in figures.scarce.iter().filter(|(_, failed)| *failed > 0) {
            explained += failed;
            let reason = format!(
                "the generator ran out of {what}: {} failed for that; {}",
                counted(*failed, ATTEMPTS),
                what.remedy()
            );
            self.add(Judgement::Invalid, Cause::Scarcity, reason);
        }
        let unexplained = figures.resource_errors.saturating_sub(explained);
        if unexplained > 0 {
            let reason = format!(
                "{} failed because this machine ran out of descriptors, ports or memory: raise the limits or use fewer devices",
                counted(unexplained, ATTEMPTS)
            );
            self.add(Judgement::Invalid, Cause::Scarcity, reason);
        }
    }

    /// What another run may have had a part in.
    fn judge_identity(&mut self, figures: &Figures) {
        for known in &figures.encounters {
            let (FleetMet { fleet, met, .. }, remedy) = (known, known.remedy());
            if met.sessions_found > 0 {
                let text = format!(
                    "the broker had sessions of {} of fleet {fleet} before their first connection (session present): what an earlier \
                     run left there may have been taken for this run's; {remedy}, or write wipe_sessions = true",
                    plural(met.sessions_found, "device")
                );
                self.add(Judgement::Suspect, Cause::Identity, text);
            }
            if met.taken_over > 0 {
                let (was, they) = if met.taken_over == 1 { ("was", "it") } else { ("were", "they") };
                let text = format!(
                    "{} of fleet {fleet} {was} disconnected again and again soon after {they} had connected, as a broker does when \
                     another client connects with the same identifier; {remedy}",
                    plural(met.taken_over, "device")
                );
                self.add(Judgement::Suspect, Cause::Identity, text);
            }
        }
    }

    /// What was not recorded as it happened.
    fn judge_records(&mut self, figures: &Figures) {
        if figures.unaccounted > 0 {
            let text = format!(
                "{} without an outcome: the generator lost sight of them",
                plural(figures.unaccounted, "reading")
            );
            self.add(Judgement::Invalid, Cause::Record, text);
        }
        if figures.undelivered > 0 {
            let text = format!(
                "{} to subscribers could not be passed between workers: use one worker, or fewer subscribers",
                plural(figures.undelivered, "delivery")
            );
            self.add(Judgement::Invalid, Cause::Record, text);
        }
        if figures.overflow > 0 {
            let text = format!(
                "{} did not fit the histograms, counted at their bound",
                plural(figures.overflow, "value")
            );
            self.add(Judgement::Suspect, Cause::Record, text);
        }
    }
}

impl ValidityBuilder {
    /// Pauses of squall's own are told apart from the service, but no percentile is without them.
    fn judge_own_waits(&mut self, figures: &Figures) {
        for group in figures.own_waits.chunk_by(|one, other| one.scope == other.scope) {
            let Some(first) = group.first() else { continue };
            let names: Vec<String> = group.iter().map(|wait| wait.quantile.to_string()).collect();
            let verb = if group.len() == 1 { "is" } else { "are" };
            let reason = format!(
                "{} of {} {verb} squall's own reconnect pauses (first = {}), not the service: {} is {}, and would be {} without \
                 them",
                names.join(", "),
                first.scope,
                first.first,
                first.quantile,
                time(first.response_ns),
                time(first.without_ns)
            );
            self.add(Judgement::Suspect, Cause::Backoff, reason);
        }
    }
}

/// What a share comes to that may show beyond the first limit and decides beyond the second.
fn beyond(share: f64, [suspect, invalid]: [f64; 2]) -> Option<Judgement> {
    if share > invalid { Some(Judgement::Invalid) } else { (share > suspect).then_some(Judgement::Suspect) }
}

/// Which percentiles are the service's all the same.
fn coverage(covers: &[String]) -> String {
    let names = Figures::JUDGED.map(|quantile| quantile.to_string());
    match covers {
        [] => "no percentile holds".to_owned(),
        [only] => format!("of the percentiles {only} holds"),
        [.., last] if names.starts_with(covers) => format!("percentiles up to {last} hold"),
        [others @ .., last] => format!("of the percentiles {} and {last} hold", others.join(", ")),
    }
}

fn throttled(throttling: &Throttling) -> String {
    format!(
        "throttled in {} of {} periods by a quota of {} processors",
        count(throttling.throttled),
        count(throttling.periods),
        (throttling.processors * 1e3).round() / 1e3
    )
}

/// What a generator was late for, and what to do about it.
fn remedy(figures: &Figures) -> String {
    let still = figures.share(figures.standstills);
    if let Some(throttling) = figures.throttling.filter(|_| figures.throttled() > THROTTLED[0]) {
        throttled(&throttling)
    } else if figures.starved() > STARVED {
        "another process took its core: stop it, or give the generator a core of its own".to_owned()
    } else if still > RARE {
        format!(
            "the whole process stalled {}, for {:.0} % of the time: it was stopped, or its machine was",
            times(figures.standstills.count),
            still * 100.0
        )
    } else if figures.stolen.is_some_and(|stolen| stolen > STOLEN[0]) {
        "the hypervisor gave its processor to others: run again, or on a machine of its own".to_owned()
    } else if figures.worker_cpu.iter().any(|share| *share > BUSY) {
        "its core was full: lower the rate, or add workers and cores".to_owned()
    } else {
        "lower the rate, add workers, or give it a core of its own".to_owned()
    }
}

#[cfg(test)]
mod tests;

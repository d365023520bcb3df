//! The tool judges itself: was the generator good enough for the figures to be about the service?
//!
//! A pure rule over the figures of a run. A slow service can never make a run invalid: its slowness shows as backlog
//! wait and service time, and the pacing lag judged here holds neither.

use super::watch::Standstills;
use crate::record::{Validity, Verdict};
use crate::units::{Quantile, Span};

/// The figures the judgement rests on; times in nanoseconds, measured phases only.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// Readings that came due.
    pub planned: u64,
    /// Readings the plan's closed formula expects, and the standard deviation of that number; `None` for closed
    /// models and for runs that ended early.
    pub expected: Option<(f64, f64)>,
    /// p95 of pacing lag.
    pub pacing_lag_p95_ns: Option<u64>,
    /// p99 of pacing lag.
    pub pacing_lag_p99_ns: Option<u64>,
    /// When the machine itself stood still.
    pub standstills: Standstills,
    /// Median of response time.
    pub response_p50_ns: Option<u64>,
    /// Share of its core that each worker worked, 0 to 1, waiting left out.
    pub worker_cpu: Vec<f64>,
    /// Share of the time that each worker was ready to run and had no processor, 0 to 1.
    pub worker_starved: Vec<f64>,
    /// Share of the machine's processor time that the hypervisor gave to others, 0 to 1.
    pub stolen: Option<f64>,
    /// When the main loops of workers stood still, all together.
    pub stalls: Standstills,
    /// Length of the plan from the first measured phase to its end, and how long after that everything due in it had been
    /// released, seconds.
    pub overrun: Option<(f64, f64)>,
    /// Connections and readings that failed because this machine ran out of descriptors, ports or memory.
    pub resource_errors: u64,
    /// Values that did not fit the histograms.
    pub overflow: u64,
    /// Readings and connection attempts that came due and of which no outcome was recorded.
    pub unaccounted: u64,
    /// Deliveries that workers could not pass to each other.
    pub unheard: u64,
    /// Percentiles that squall's own waiting decides, those of one fleet and phase after each other.
    pub own_waits: Vec<OwnWait>,
}

/// A percentile of a fleet's response times that squall's own waiting decides.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnWait {
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

/// Pacing lag at p99 below this never matters, nanoseconds: it is the scheduling noise of an ordinary operating system.
pub const LAG_FLOOR_NS: u64 = 1_000_000;

/// A worker that works more than this share of the time has no room for bursts.
const BUSY: f64 = 0.9;

/// A worker that was late, and had no processor for more than this share of the time, was late for that.
const STARVED: f64 = 0.1;

/// A worker that has no processor for more than this share of the time is at the mercy of others, even if it was not late.
const CROWDED: f64 = 0.3;

/// Processor time lost to the hypervisor's other guests beyond this share shows in percentiles.
const STOLEN: f64 = 0.05;

/// An overrun below this never matters: the last readings are due at the very end.
const OVERRUN_FLOOR_S: f64 = 0.05;

impl Figures {
    /// Judges the run they are of.
    pub fn judge(&self) -> Validity {
        let mut judgement = Judgement(Validity { verdict: Verdict::Valid, reasons: Vec::new() });
        let (validity, figures) = (&mut judgement, self);
        validity.judge_completeness(figures);
        validity.judge_rate(figures);
        validity.judge_lag(figures);
        validity.judge_stalls(figures);
        validity.judge_processor(figures);
        validity.judge_own_waits(figures);
        if figures.resource_errors > 0 {
            validity.add(
                Verdict::Suspect,
                format!(
                    "{} connections or readings failed because this machine ran out of descriptors, ports or memory: \
                     raise the limits or use fewer devices",
                    figures.resource_errors
                ),
            );
        }
        if figures.unaccounted > 0 {
            let text =
                format!("{} readings have no outcome: the generator lost sight of them", figures.unaccounted);
            validity.add(Verdict::Invalid, text);
        }
        if figures.unheard > 0 {
            let text = format!(
                "{} deliveries to subscribers could not be passed between workers: use one worker, or fewer subscribers",
                figures.unheard
            );
            validity.add(Verdict::Invalid, text);
        }
        if figures.overflow > 0 {
            let text =
                format!("{} values did not fit the histograms and stand at their bound", figures.overflow);
            validity.add(Verdict::Suspect, text);
        }
        judgement.0
    }
}

/// A judgement in the making.
struct Judgement(Validity);

impl Judgement {
    fn add(&mut self, verdict: Verdict, reason: String) {
        self.0.verdict = self.0.verdict.max(verdict);
        self.0.reasons.push(reason);
    }

    fn judge_completeness(&mut self, figures: &Figures) {
        if figures.planned == 0 {
            self.add(
                Verdict::Invalid,
                "no reading came due in the measured phases: there is nothing to judge".into(),
            );
        }
        let Some((expected, deviation)) = figures.expected else { return };
        let off = (figures.planned as f64 - expected).abs();
        if off > 5.0 * deviation + 1.0 + 0.01 * expected {
            self.add(
                Verdict::Invalid,
                format!(
                    "{} readings came due where the plan has {expected:.0}: the generator lost its plan",
                    figures.planned
                ),
            );
        }
    }

    /// Lag is judged against the median the run measured: up to half of it (and never below 1 ms) it cannot have
    /// shaped the percentiles; above twice the median (and 10 ms) it has. Lag that only a standstill of the machine explains,
    /// rare enough to leave p95 alone, makes a run suspect: generator and service stood still alike.
    fn judge_lag(&mut self, figures: &Figures) {
        let Some(lag) = figures.pacing_lag_p99_ns else { return };
        let median = figures.response_p50_ns.unwrap_or(0);
        let (suspect, invalid) = (LAG_FLOOR_NS.max(median / 2), (10 * LAG_FLOOR_NS).max(2 * median));
        if lag <= suspect {
            return;
        }
        let ms = |ns: u64| ns as f64 / 1e6;
        let still = figures.standstills;
        let sustained = figures.pacing_lag_p95_ns.is_none_or(|lag| lag > suspect);
        if still.longest_ns >= lag && !sustained {
            let reason = format!(
                "the machine itself stood still {} times, for {:.0} ms at the longest (until {}): percentiles from p99 up \
                 show that, not the service; run again, or on a machine of its own",
                still.count,
                ms(still.longest_ns),
                still.longest_at
            );
            return self.add(Verdict::Suspect, reason);
        }
        let verdict = if lag > invalid { Verdict::Invalid } else { Verdict::Suspect };
        let reason = format!(
            "the generator sent late: pacing lag p99 {:.3} ms against a median response time of {:.3} ms; {}",
            ms(lag),
            ms(median),
            remedy(figures)
        );
        self.add(verdict, reason);
    }

    /// A plan that takes longer than it says was beyond the generator's power: what is released late is released all the same,
    /// only at a lower rate than planned.
    fn judge_rate(&mut self, figures: &Figures) {
        let Some((length_s, overrun_s)) = figures.overrun else { return };
        let beyond_s = overrun_s - figures.standstills.total_ns as f64 / 1e9;
        if length_s <= 0.0 || beyond_s <= OVERRUN_FLOOR_S.max(0.01 * length_s) {
            return;
        }
        let verdict = if beyond_s > 0.05 * length_s { Verdict::Invalid } else { Verdict::Suspect };
        let achieved = 100.0 * length_s / (length_s + overrun_s);
        self.add(
            verdict,
            format!(
                "the generator achieved {achieved:.0} % of the planned rate: a plan of {length_s:.1} s took {:.1} s; {}",
                length_s + overrun_s,
                remedy(figures)
            ),
        );
    }

    /// A loop that stands still while the machine does not was held up by its own work or by whoever took its core.
    fn judge_stalls(&mut self, figures: &Figures) {
        let own_ns = figures.stalls.total_ns.saturating_sub(figures.standstills.total_ns);
        let Some((length_s, _)) = figures.overrun else { return };
        if figures.stalls.count == 0 || own_ns as f64 / 1e9 <= 0.01 * length_s {
            return;
        }
        self.add(
            Verdict::Suspect,
            format!(
                "the workers' loops stood still {} times, for {:.0} ms at the longest (until {}), while the machine went on: replies were stamped late; {}",
                figures.stalls.count,
                figures.stalls.longest_ns as f64 / 1e6,
                figures.stalls.longest_at,
                remedy(figures)
            ),
        );
    }

    fn judge_processor(&mut self, figures: &Figures) {
        for (index, share) in figures.worker_cpu.iter().enumerate().filter(|(_, share)| **share > BUSY) {
            let reason = format!(
                "worker {index} used {:.0} % of its core: add workers or lower the rate",
                share * 100.0
            );
            self.add(Verdict::Suspect, reason);
        }
        for (index, share) in figures.worker_starved.iter().enumerate().filter(|(_, share)| **share > CROWDED)
        {
            let reason = format!(
                "something else used the core of worker {index}: for {:.0} % of the time it was ready and had no processor; stop what else runs, or give the generator a core of its own",
                share * 100.0
            );
            self.add(Verdict::Suspect, reason);
        }
        if let Some(stolen) = figures.stolen.filter(|stolen| *stolen > STOLEN) {
            let reason = format!(
                "the hypervisor gave {:.0} % of this machine's processor time to others: percentiles show that too; run again, or on a machine of its own",
                stolen * 100.0
            );
            self.add(Verdict::Suspect, reason);
        }
    }
}

impl Judgement {
    /// Pauses of squall's own are told apart from the service, but no percentile is without them.
    fn judge_own_waits(&mut self, figures: &Figures) {
        for group in figures.own_waits.chunk_by(|one, other| one.scope == other.scope) {
            let Some(first) = group.first() else { continue };
            let names: Vec<String> = group.iter().map(|wait| wait.quantile.to_string()).collect();
            let verb = if group.len() == 1 { "is" } else { "are" };
            let reason = format!(
                "{} of {} {verb} squall's own reconnect pauses (first = {}), not the service: {} is {:.1} ms, and would be {:.1} ms \
                 without them",
                names.join(", "),
                first.scope,
                first.first,
                first.quantile,
                first.response_ns as f64 / 1e6,
                first.without_ns as f64 / 1e6
            );
            self.add(Verdict::Suspect, reason);
        }
    }
}

/// What to do about a generator that is late, by what it was late for.
fn remedy(figures: &Figures) -> &'static str {
    let above = |shares: &[f64], limit: f64| shares.iter().any(|share| *share > limit);
    if above(&figures.worker_starved, STARVED) {
        "something else used its core: stop what else runs, or give the generator a core of its own"
    } else if above(&figures.worker_cpu, BUSY) {
        "its core was full: lower the rate, or add workers and cores"
    } else {
        "lower the rate, add workers, or give it a core of its own"
    }
}

#[cfg(test)]
mod tests;

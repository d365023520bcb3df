//! The tool judges itself: was the generator good enough for the figures to be about the service?
//!
//! A pure rule over the figures of a run. A slow service can never make a run invalid: its slowness shows as backlog
//! wait and service time, and the pacing lag judged here holds neither.

use super::watch::Standstills;
use crate::record::{Validity, Verdict};

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
    /// Share of its core that each worker used, 0 to 1.
    pub worker_cpu: Vec<f64>,
    /// Connections and readings that failed because this machine ran out of descriptors, ports or memory.
    pub resource_errors: u64,
    /// Values that did not fit the histograms.
    pub overflow: u64,
    /// Readings and connection attempts that came due and of which no outcome was recorded.
    pub unaccounted: u64,
    /// Deliveries that workers could not pass to each other.
    pub unheard: u64,
}

/// Pacing lag below this never matters: it is the scheduling noise of an ordinary operating system.
const LAG_FLOOR_NS: u64 = 1_000_000;

impl Figures {
    /// Judges the run they are of.
    pub fn judge(&self) -> Validity {
        let mut judgement = Judgement(Validity { verdict: Verdict::Valid, reasons: Vec::new() });
        let (validity, figures) = (&mut judgement, self);
        validity.judge_completeness(figures);
        validity.judge_lag(figures);
        validity.judge_processor(figures);
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
            "the generator sent late: pacing lag p99 {:.3} ms against a median response time of {:.3} ms; \
             lower the rate, add workers, or give it a core of its own",
            ms(lag),
            ms(median)
        );
        self.add(verdict, reason);
    }

    fn judge_processor(&mut self, figures: &Figures) {
        for (index, share) in figures.worker_cpu.iter().enumerate().filter(|(_, share)| **share > 0.9) {
            let reason = format!(
                "worker {index} used {:.0} % of its core: add workers or lower the rate",
                share * 100.0
            );
            self.add(Verdict::Suspect, reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Figures {
        Figures {
            planned: 10_000,
            expected: Some((10_000.0, 100.0)),
            pacing_lag_p95_ns: Some(100_000),
            pacing_lag_p99_ns: Some(200_000),
            response_p50_ns: Some(300_000),
            worker_cpu: vec![0.2, 0.3],
            ..Figures::default()
        }
    }

    #[test]
    fn runs_are_judged_as_the_table_says() {
        let ms = 1_000_000;
        let cases: [(&str, Figures, Verdict, &str); 11] = [
            ("sound", sound(), Verdict::Valid, ""),
            ("late", Figures { pacing_lag_p99_ns: Some(3 * ms), ..sound() }, Verdict::Suspect, "sent late"),
            (
                "very late",
                Figures { pacing_lag_p99_ns: Some(30 * ms), ..sound() },
                Verdict::Invalid,
                "sent late",
            ),
            ("slow service", Figures { response_p50_ns: Some(9_000 * ms), ..sound() }, Verdict::Valid, ""),
            (
                "busy core",
                Figures { worker_cpu: vec![0.2, 0.97], ..sound() },
                Verdict::Suspect,
                "worker 1 used 97 %",
            ),
            ("no ports", Figures { resource_errors: 3, ..sound() }, Verdict::Suspect, "ran out of"),
            ("overflow", Figures { overflow: 1, ..sound() }, Verdict::Suspect, "did not fit"),
            ("relay", Figures { unheard: 1, ..sound() }, Verdict::Invalid, "could not be passed"),
            ("lost plan", Figures { planned: 8_000, ..sound() }, Verdict::Invalid, "lost its plan"),
            ("unaccounted", Figures { unaccounted: 2, ..sound() }, Verdict::Invalid, "no outcome"),
            (
                "nothing",
                Figures { planned: 0, expected: None, ..sound() },
                Verdict::Invalid,
                "nothing to judge",
            ),
        ];
        for (name, figures, verdict, reason) in cases {
            let judged = figures.judge();
            assert_eq!(judged.verdict, verdict, "{name}: {judged:?}");
            assert!(
                judged.reasons.iter().any(|r| r.contains(reason)) || reason.is_empty(),
                "{name}: {judged:?}"
            );
            assert_eq!(judged.reasons.is_empty(), verdict == Verdict::Valid, "{name}: {judged:?}");
        }
    }

    #[test]
    fn a_standstill_of_the_machine_excuses_only_what_it_explains() {
        let ms = 1_000_000;
        let standstills =
            Standstills { count: 1, total_ns: 160 * ms, longest_ns: 160 * ms, ..Standstills::default() };
        let stood = Figures { pacing_lag_p99_ns: Some(40 * ms), standstills, ..sound() };
        let judged = stood.judge();
        assert_eq!(judged.verdict, Verdict::Suspect);
        assert!(judged.reasons[0].contains("stood still 1 times, for 160 ms"), "{judged:?}");
        let sustained = Figures { pacing_lag_p95_ns: Some(20 * ms), ..stood.clone() };
        assert_eq!(sustained.judge().verdict, Verdict::Invalid, "a starved generator");
        let longer = Figures { pacing_lag_p99_ns: Some(200 * ms), ..stood };
        assert_eq!(longer.judge().verdict, Verdict::Invalid, "lag beyond any standstill");
        let unharmed = Figures { standstills, ..sound() };
        assert_eq!(unharmed.judge().verdict, Verdict::Valid);
    }

    #[test]
    fn a_slow_service_raises_what_lag_is_allowed() {
        let lag = Some(20_000_000);
        let slow = Figures { pacing_lag_p99_ns: lag, response_p50_ns: Some(50_000_000), ..sound() };
        assert_eq!(slow.judge().verdict, Verdict::Valid);
    }
}

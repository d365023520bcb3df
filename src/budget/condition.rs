//! One condition of a budget: `p99 < 250ms`.

use std::fmt;

use super::{BudgetError, Metric, Unit};

/// How a figure must stand to its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
}

impl Comparison {
    /// All of them; of two that begin alike, the longer one first.
    pub const ALL: [Self; 4] = [Self::AtMost, Self::AtLeast, Self::Less, Self::More];

    /// As it is written.
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::More => ">",
            Self::AtLeast => ">=",
        }
    }

    /// Whether it says what must not be exceeded.
    pub const fn is_ceiling(self) -> bool {
        matches!(self, Self::Less | Self::AtMost)
    }
}

/// What one figure must keep to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Condition {
    /// The figure.
    pub metric: Metric,
    /// How it must stand to the bound.
    pub comparison: Comparison,
    /// The bound, in the measure of the figure's [`Unit`].
    pub bound: f64,
}

impl Condition {
    /// The condition that `text` states of the figure `key`: `"<250ms"` of `p99`.
    ///
    /// # Errors
    /// `None` if `key` names no figure; an error if it cannot be, or if `text` is not a comparison or its bound not in the
    /// figure's unit.
    pub fn parse(key: &str, text: &str) -> Option<Result<Self, BudgetError>> {
        Some(Metric::parse(key)?.and_then(|metric| Self::of(metric, key, text)))
    }

    fn of(metric: Metric, key: &str, text: &str) -> Result<Self, BudgetError> {
        let (unit, text) = (metric.unit(), text.trim());
        let help = || format!("write for example {}", unit.example());
        if unit == Unit::Truth {
            return match text {
                "true" => Ok(Self { metric, comparison: Comparison::AtLeast, bound: 1.0 }),
                _ => Err(BudgetError {
                    message: format!("`{text}` cannot be demanded"),
                    help: "write true, or take this out".to_owned(),
                }),
            };
        }
        let stated =
            Comparison::ALL.into_iter().find_map(|sign| Some((sign, text.strip_prefix(sign.sign())?)));
        let Some((comparison, bound)) = stated else {
            let help = match unit.read(text, Metric::step_ns(key)) {
                Ok(_) => format!("write \"<{text}\", or one of <=, > and >="),
                Err(_) => help(),
            };
            return Err(BudgetError {
                message: format!("`{text}` does not begin with <, <=, > or >="),
                help,
            });
        };
        let bound = unit.read(bound.trim(), Metric::step_ns(key))?;
        let idle = match comparison {
            Comparison::Less if bound <= 0.0 => Some("nothing is less than that"),
            Comparison::AtLeast if bound <= 0.0 => Some("everything is at least that"),
            Comparison::More if unit == Unit::Share && bound >= 1.0 => Some("nothing is more than that"),
            Comparison::AtMost if unit == Unit::Share && bound >= 1.0 => Some("everything is at most that"),
            _ => None,
        };
        match idle {
            Some(why) => {
                Err(BudgetError { message: format!("`{text}` decides nothing: {why}"), help: help() })
            }
            None => Ok(Self { metric, comparison, bound }),
        }
    }

    /// The value of its key, as [`Condition::parse`] takes it.
    pub fn text(&self) -> String {
        match self.metric.unit() {
            Unit::Truth => "true".to_owned(),
            unit => format!("{}{}", self.comparison.sign(), unit.write(self.bound)),
        }
    }

    /// Whether `measured` keeps to it. A value that is only known to be `at_least` that keeps under no ceiling.
    pub fn is_met(&self, measured: f64, at_least: bool) -> bool {
        if self.comparison.is_ceiling() && at_least {
            return false;
        }
        match self.comparison {
            Comparison::Less => measured < self.bound,
            Comparison::AtMost => measured <= self.bound,
            Comparison::More => measured > self.bound,
            Comparison::AtLeast => measured >= self.bound,
        }
    }

    /// Whether it can be said to fail while figures are still coming in.
    pub const fn decides_early(&self) -> bool {
        self.comparison.is_ceiling() || !self.metric.grows()
    }
}

impl fmt::Display for Condition {
    /// As a person would say it: `p99.9 < 250ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.metric.unit() {
            Unit::Truth => write!(f, "{}", self.metric),
            unit => write!(f, "{} {} {}", self.metric, self.comparison.sign(), unit.write(self.bound)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Figure, Recovery, Times};
    use super::*;
    use crate::units::Quantile;
    use proptest::prelude::*;

    fn parsed(key: &str, text: &str) -> Condition {
        Condition::parse(key, text).unwrap().unwrap()
    }

    #[test]
    fn conditions_read_as_people_write_them() {
        for (key, text, said, value) in [
            ("p99", "<250ms", "p99 < 250ms", 250e6),
            ("p99_9", "<= 1s", "p99.9 <= 1s", 1e9),
            ("p99_95", "<1ns", "p99.95 < 1ns", 1.0),
            ("p99_ms", "<250", "p99 < 250ms", 250e6),
            ("service_p99_ms", "<0.5", "service p99 < 500us", 5e5),
            ("service_p75", ">1us", "service p75 > 1us", 1e3),
            ("pacing_lag_p99_ms", "<2ms", "pacing lag p99 < 2ms", 2e6),
            ("stage_queue_p50", "<1ms", "stage queue p50 < 1ms", 1e6),
            ("max", "<5s", "max < 5s", 5e9),
            ("max_ms", "<5_000", "max < 5s", 5e9),
            ("error_rate", "<0.1%", "error rate < 0.1%", 0.001),
            ("error_rate", "<=0.7 %", "error rate <= 0.7%", 7.0 / 1_000.0),
            ("ok_rate", ">= 0.999", "ok rate >= 99.9%", 0.999),
            ("shed", "<=0", "shed <= 0", 0.0),
            ("within_budget", ">1_000", "within budget > 1000", 1_000.0),
            ("rate_per_s", ">=100", "goodput >= 100/s", 100.0),
            ("goodput", ">6/m", "goodput > 0.1/s", 0.1),
            ("recovered", "true", "recovered", 1.0),
            ("recovered_after", "<5s", "recovered after < 5s", 5e9),
            ("recovered_after_s", "<5", "recovered after < 5s", 5e9),
            ("worst_p99_ms", "<2000", "worst p99 < 2s", 2e9),
        ] {
            let condition = parsed(key, text);
            assert_eq!(condition.to_string(), said, "{key} {text}");
            assert!((condition.bound - value).abs() <= value * 1e-12, "{key} {text}: {}", condition.bound);
        }
    }

    #[test]
    fn bounds_are_finite() {
        let huge = "9".repeat(400);
        let long = "9".repeat(300);
        for (key, text) in [
            ("p99_ms", format!("<{huge}")),
            ("p99_ms", format!("<{long}")),
            ("p99_ms", "<99999999999999999999".to_owned()),
            ("p99", format!("<{huge}s")),
            ("rate_per_s", format!("<{huge}")),
            ("rate_per_s", format!("<{huge}/s")),
            ("ok_rate", format!(">{huge}%")),
            ("planned", format!("<{huge}")),
        ] {
            let parsed = Condition::parse(key, &text).unwrap();
            assert!(parsed.is_err(), "{key}: {parsed:?}");
        }
    }

    #[test]
    fn what_is_no_condition_says_what_to_write() {
        for (key, text, said) in [
            (
                "p99",
                "250ms",
                "`250ms` does not begin with <, <=, > or >=; write \"<250ms\", or one of <=, > and >=",
            ),
            ("p99", "quick", "`quick` does not begin with <, <=, > or >=; write for example \"<250ms\""),
            ("p99", "<250", "`250` has no unit; write for example \"<250ms\""),
            ("p99", "<soon", "`soon` is not a valid span of time; write for example \"<250ms\""),
            ("p99", "==5ms", "`==5ms` does not begin with <, <=, > or >=; write for example \"<250ms\""),
            (
                "p100",
                "<5ms",
                "is not a valid percentile; write for example p50, p99 or p99_9: from p0 to p99_9999, or max",
            ),
            (
                "p99_99999",
                "<5ms",
                "is not a valid percentile; write for example p50, p99 or p99_9: from p0 to p99_9999, or max",
            ),
            ("error_rate", "<5", "`5` is more than the whole, and has no %; write for example \"<0.1%\""),
            ("error_rate", "<120%", "`120%` is more than the whole; write for example \"<0.1%\""),
            ("error_rate", "<few", "`few` is not a valid share; write for example \"<0.1%\""),
            (
                "error_rate",
                "<=100%",
                "`<=100%` decides nothing: everything is at most that; write for example \"<0.1%\"",
            ),
            ("shed", "<0", "`<0` decides nothing: nothing is less than that; write for example \"<100\""),
            ("shed", "<1.5", "`1.5` is not a number of readings; write for example \"<100\""),
            ("shed", "<-1", "`-1` is not a number of readings; write for example \"<100\""),
            ("goodput", ">fast", "`fast` is not a valid rate; write for example \">=100/s\""),
            ("recovered", "false", "`false` cannot be demanded; write true, or take this out"),
        ] {
            assert_eq!(Condition::parse(key, text).unwrap().unwrap_err().to_string(), said, "{key} {text}");
        }
        for key in ["p", "px", "p9x", "p99_", "sp99", "p+5", "p1e1", "fault", "p99_s_ms", "error_rate_ms", ""]
        {
            assert_eq!(Condition::parse(key, "<1"), None, "{key}");
        }
    }

    #[test]
    fn bounds_are_in_or_out_as_the_sign_says_and_lower_bounds_keep_under_no_ceiling() {
        for (text, below, at, above, at_least) in [
            ("<2", true, false, false, false),
            ("<=2", true, true, false, false),
            (">2", false, false, true, false),
            (">=2", false, true, true, true),
        ] {
            let condition = parsed("shed", text);
            assert_eq!(
                [1.0, 2.0, 3.0].map(|value| condition.is_met(value, false)),
                [below, at, above],
                "{text}"
            );
            assert_eq!(condition.is_met(2.0, true), at_least, "{text}");
        }
        assert!(!parsed("p99", "<60s").is_met(5e9, true), "at least 5 s may be an hour");
        assert!(parsed("error_rate", "<=0.7%").is_met(7.0 / 1_000.0, false));
        assert!(!parsed("ok", ">5").decides_early() && parsed("ok", "<5").decides_early());
        assert!(parsed("ok_rate", ">5%").decides_early());
    }

    fn metrics() -> impl Strategy<Value = Metric> {
        let times = proptest::sample::select(Times::ALL);
        let quantile = (0_u32..1_000_000)
            .prop_map(|millionths| format!("p{}", f64::from(millionths) / 1e4).parse::<Quantile>().unwrap());
        prop_oneof![
            (times, quantile).prop_map(|(times, quantile)| Metric::Percentile(times, quantile)),
            proptest::sample::select(Figure::ALL).prop_map(Metric::Figure),
            proptest::sample::select(Recovery::ALL).prop_map(Metric::Recovery),
        ]
    }

    proptest! {
        #[test]
        fn printing_and_reading_give_the_condition_back(
            metric in metrics(),
            comparison in proptest::sample::select(&Comparison::ALL[..]),
            whole in 1_u64..1 << 50,
            share in 1e-9_f64..0.999,
        ) {
            let condition = match metric.unit() {
                Unit::Time | Unit::Count => Condition { metric, comparison, bound: whole as f64 },
                Unit::Share => Condition { metric, comparison, bound: share },
                Unit::Rate => Condition { metric, comparison, bound: share * 1e6 },
                Unit::Truth => Condition { metric, comparison: Comparison::AtLeast, bound: 1.0 },
            };
            prop_assert_eq!(Condition::parse(&metric.key(), &condition.text()), Some(Ok(condition)));
        }

        #[test]
        fn no_text_at_all_makes_it_panic(key in "\\PC{0,12}", text in "\\PC{0,12}") {
            let _ = Condition::parse(&key, &text);
            let _ = Condition::parse("p99", &text);
            let _ = Condition::parse("error_rate", &text);
        }
    }
}

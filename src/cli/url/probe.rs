//! The short closed loop that chooses a rate where none is stated.

use std::sync::Arc;

use crate::cli::exit::Exit;
use crate::cli::folder::Scratch;
use crate::cli::run::InterruptHandler;
use crate::cli::{CliError, unanswered};
use crate::run::{Conclusion, Observer, Run, Settings};
use crate::scenario::{Plan, Scenario};
use crate::units::{Rate, Span, figure};

/// How long it sends.
pub(super) const LENGTH: Span = Span::from_ms(2_000);
/// How long it waits for the last answers.
pub(super) const DRAIN: Span = Span::from_ms(2_000);

/// Plain figures of one decade, the largest first.
const PLAIN: [f64; 10] = [8.0, 6.0, 5.0, 4.0, 3.0, 2.5, 2.0, 1.5, 1.2, 1.0];

/// What a probe came to.
#[derive(Debug)]
pub(super) struct Chosen {
    /// Half of what the service did, or a little less.
    pub(super) rate: Rate,
    /// Readings per second that were answered ok.
    reached: f64,
}

impl Chosen {
    fn of(reached: f64) -> Option<Self> {
        let rate = Rate::per_second(plain(reached / 2.0)).filter(|rate| rate.as_per_second() > 0.0)?;
        Some(Self { rate, reached })
    }

    /// How the rate was found.
    pub(super) fn sentence(&self) -> String {
        format!(
            "{} in all, half of the {} that these devices reached in a closed loop of {LENGTH}, rounded down",
            figure::rate(self.rate.as_per_second()),
            figure::rate(self.reached)
        )
    }
}

/// Runs `scenario`, a closed loop; its files are not kept. `None`: the user has interrupted it.
///
/// # Errors
/// If it cannot be run, or nothing is answered ok: then with the reason.
pub(super) fn probe(scenario: Scenario, settings: Settings) -> Result<Option<Chosen>, CliError> {
    let scratch = Scratch::new("probe").map_err(CliError::failed)?;
    let plan = Plan::new(scenario);
    let began = plan.sending_starts();
    let run = Run::prepare(plan, &[], Settings { out: scratch.0.clone(), ..settings })?;
    let interrupts = Arc::new(InterruptHandler(Arc::new(Unseen)));
    let finished = run.start(vec![interrupts])?.wait()?;
    if finished.conclusion == Conclusion::Interrupted {
        return Ok(None);
    }
    let seconds = finished.engine.finished.since(began) as f64 / 1e9;
    let reached = finished.totals.readings(None).ok() as f64 / seconds.max(LENGTH.as_secs_f64());
    if let Some(chosen) = Chosen::of(reached) {
        return Ok(Some(chosen));
    }
    let why = match finished.unwritten.clone().or_else(|| finished.refused.clone()) {
        Some(why) => why,
        None => unanswered(&finished.report()?),
    };
    Err(CliError::new(Exit::Failed, &format!("no rate could be chosen, for in the probe {why}")))
}

/// Shows nothing.
struct Unseen;

impl Observer for Unseen {}

/// The largest plain figure that is not above `value`; 0 for what is not above 0.
fn plain(value: f64) -> f64 {
    if value <= 0.0 {
        return 0.0;
    }
    let decade = value.log10().floor() as i32;
    // Dividing by a whole number keeps tenths and hundredths exact.
    let scaled = |figure: f64| {
        if decade < 0 { figure / 10_f64.powi(-decade) } else { figure * 10_f64.powi(decade) }
    };
    PLAIN.into_iter().map(scaled).find(|figure| *figure <= value).unwrap_or_else(|| scaled(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_what_was_reached_is_rounded_down_to_a_plain_figure() {
        for (reached, rate) in [
            (13_482.0, "6000/s"),
            (412.0, "200/s"),
            (2_000.0, "1000/s"),
            (1_999.9, "800/s"),
            (50.0, "25/s"),
            (3.0, "1.5/s"),
            (0.7, "0.3/s"),
            (0.05, "0.025/s"),
        ] {
            assert_eq!(Chosen::of(reached).unwrap().rate.to_string(), rate, "{reached}");
        }
        assert!(Chosen::of(0.0).is_none());
    }
}

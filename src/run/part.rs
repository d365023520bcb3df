//! Which part of a plan this process drives, and from when.

use std::thread;
use std::time::Duration;

use super::RunError;
use crate::clock::WallTime;
use crate::record::{RunToken, Shard};
use crate::scenario::{Model, Plan};
use crate::units::plural;

/// The furthest start: what is further away is a slip of the pen.
const FURTHEST: Duration = Duration::from_secs(24 * 3_600);
/// A run begins at most so late; beyond, the shards would be too far apart.
const LATEST: Duration = Duration::from_secs(1);
/// The last part of waiting is spent when the run's directory is there.
const LEAD: Duration = Duration::from_millis(200);
/// The wall clock, which may be set meanwhile, is looked at so often while waiting, and whether the run still goes on.
const LOOK: Duration = Duration::from_millis(100);

/// The part of a plan that this process drives, and when it begins.
#[derive(Debug, Clone, Copy, Default)]
pub struct Part {
    /// `None`: all of it.
    pub asked: Option<Shard>,
    /// The instant of the wall clock; `None`: at once.
    pub start_at: Option<WallTime>,
}

impl Part {
    pub(crate) fn shard(self) -> Shard {
        self.asked.unwrap_or(Shard::WHOLE)
    }

    /// Refuses an instant that has passed, or is too far away.
    fn judge_start(self, now: WallTime) -> Result<(), RunError> {
        let Some(at) = self.start_at else { return Ok(()) };
        let (now_ns, at_ns) = (now.epoch_ns(), at.epoch_ns());
        if at_ns <= now_ns {
            let ago = (now_ns - at_ns) as f64 / 1e9;
            return Err(RunError::usage(format!(
                "--start-at {at} was {ago:.1} s ago; name an instant to come, the same for all shards"
            )));
        }
        if Duration::from_nanos(at_ns - now_ns) > FURTHEST {
            return Err(RunError::usage(format!(
                "--start-at {at} is more than a day away, and it is {now} now"
            )));
        }
        Ok(())
    }

    /// Refuses an instant that cannot be kept, and a plan that does not come apart or says itself when to begin.
    pub(crate) fn judge(self, plan: &Plan) -> Result<(), RunError> {
        self.judge_start(WallTime::now())?;
        let scenario = plan.scenario();
        if self.start_at.is_some() && scenario.run.align.is_some() {
            return Err(RunError::usage(
                "--start-at and the scenario's run.align both say when to begin; leave one out",
            ));
        }
        let Some(shard) = self.asked.filter(|shard| shard.of() > 1) else { return Ok(()) };
        if let Some((name, hearers)) =
            scenario.fleets.iter().find_map(|fleet| Some((&fleet.name, fleet.heard_by()?)))
        {
            return Err(RunError::usage(format!(
                "--shard {shard}: a reading of fleet `{name}` ends when fleet `{hearers}` hears it, which may be another shard's \
                 device, timed by another clock; run the scenario on one machine, or close `{name}` by \"ack\""
            )));
        }
        if let Some(fleet) = scenario.fleets.iter().find(|fleet| fleet.model == Model::Subscriber) {
            return Err(RunError::usage(format!(
                "--shard {shard}: fleet `{}` hears the readings of others, which may be another shard's devices, timed by another \
                 clock; run the scenario on one machine, or take the fleet out",
                fleet.name
            )));
        }
        if plan.devices() < shard.of() {
            return Err(RunError::usage(format!(
                "--shard {shard}: the scenario has only {}; use at most that many shards",
                plural(plan.devices().into(), "device")
            )));
        }
        Ok(())
    }

    /// Whether the run draws its token, where `given` is the one it was told to have.
    pub(crate) const fn draws_token(self, given: Option<RunToken>) -> bool {
        given.is_none() && self.asked.is_none()
    }

    /// What the run is called in its devices' messages, `given` if it is, and a note where other runs are called the same.
    pub(crate) fn token(self, given: Option<RunToken>, plan: &Plan) -> (RunToken, Option<String>) {
        match (given, self.asked, self.start_at) {
            (Some(token), ..) => (token, None),
            (None, None, _) => (RunToken::draw(), None),
            (None, Some(_), at) => {
                let token = RunToken::of_shards(plan.digest(), at.map(WallTime::epoch_ns));
                let note = at.is_none().then(|| {
                    format!(
                        "note: without --start-at every run of these shards has the token {token}, so that one cannot be told from \
                         another; give all of them the same --start-at, or --run-token"
                    )
                });
                (token, note)
            }
        }
    }

    /// How long it is until the run is to begin; `None` without such an instant or if it has come.
    pub(crate) fn remaining(self) -> Option<Duration> {
        let left = self.start_at?.epoch_ns().checked_sub(WallTime::now().epoch_ns())?;
        Some(Duration::from_nanos(left)).filter(|left| !left.is_zero())
    }

    /// Waits until shortly before the run is to begin, for as long as it `goes_on`.
    ///
    /// # Errors
    /// If preparing the run took so long that it would begin too late.
    pub(crate) fn approach(self, goes_on: impl Fn() -> bool) -> Result<(), RunError> {
        while let Some(left) = self.remaining().and_then(|left| left.checked_sub(LEAD)).filter(|_| goes_on())
        {
            thread::sleep(left.min(LOOK));
        }
        self.punctual()
    }

    /// Refuses to begin after the instant, by more than shards of one plan may be apart.
    pub(crate) fn punctual(self) -> Result<(), RunError> {
        match self.late() {
            Some((at, late)) if late > LATEST.as_secs_f64() => Err(RunError::failed(format!(
                "the run was ready only {late:.1} s after --start-at {at}; name a later instant"
            ))),
            _ => Ok(()),
        }
    }

    /// Waits for the instant itself, for as long as the run `goes_on`.
    pub(crate) fn arrive(self, goes_on: impl Fn() -> bool) {
        while let Some(left) = self.remaining().filter(|_| goes_on()) {
            thread::sleep(left);
        }
    }

    /// The instant, and by how many seconds it has passed.
    fn late(self) -> Option<(WallTime, f64)> {
        let at = self.start_at?;
        Some((at, (WallTime::now().epoch_ns() as f64 - at.epoch_ns() as f64) / 1e9))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_run_that_is_given_no_token_draws_its_own() {
        for (given, asked, draws) in
            [(None, None, true), (RunToken::of("k3x9q2ab"), None, false), (None, Some(Shard::WHOLE), false)]
        {
            assert_eq!(Part { asked, start_at: None }.draws_token(given), draws, "{given:?} {asked:?}");
        }
    }

    #[test]
    fn a_start_lies_in_the_next_day() {
        let now = WallTime::parse("2026-11-20T21:45:00Z").unwrap();
        for (at, said) in [
            ("2026-11-20T21:45:00Z", Some("0.0 s ago")),
            ("2026-11-20T21:44:30Z", Some("30.0 s ago")),
            ("2026-11-20T22:45:01+01:00", None),
            ("2026-11-21T21:45:00Z", None),
            ("2026-11-21T21:45:01Z", Some("more than a day away")),
        ] {
            let part = Part { asked: None, start_at: Some(WallTime::parse(at).unwrap()) };
            let judged = part.judge_start(now).err().map(|error| error.to_string());
            assert_eq!(judged.is_some(), said.is_some(), "{at}");
            assert!(judged.unwrap_or_default().contains(said.unwrap_or_default()), "{at}");
        }
    }
}

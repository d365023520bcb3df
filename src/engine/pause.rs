//! Whose doing it is that a device cannot send: the service's, squall's own rule, or the plan's. Pure; the caller brings the time.

use std::collections::VecDeque;

use crate::clock::Tick;

/// Why a device that cannot send does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Hold {
    /// The service: a connection being made, or too much in flight. Also what a device is held by that can send.
    #[default]
    Service,
    /// A pause after a connection attempt that failed: the service's doing until the fleet connects again, ours from then on.
    Refused,
    /// Our own rule: a pause that no failed attempt caused, or the rate at which a fleet connects.
    Own,
    /// The plan: offline, cut off by a fault of the scenario, or what was stored going out at its rate.
    Plan,
}

/// How long a device has waited otherwise than for the service, nanoseconds since the run began. The difference of two says how
/// long it did in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct WaitTotals {
    pub(super) own_ns: u64,
    pub(super) plan_ns: u64,
}

impl WaitTotals {
    /// What came on top since `earlier`.
    pub(super) const fn since(self, earlier: Self) -> Self {
        Self {
            own_ns: self.own_ns.saturating_sub(earlier.own_ns),
            plan_ns: self.plan_ns.saturating_sub(earlier.plan_ns),
        }
    }

    /// As much of it as fits into a wait of `wait_ns`.
    pub(super) fn within(self, wait_ns: u64) -> Self {
        let own_ns = self.own_ns.min(wait_ns);
        Self { own_ns, plan_ns: self.plan_ns.min(wait_ns - own_ns) }
    }
}

/// What holds a device, and what has held it so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct WaitTracker {
    waited: WaitTotals,
    since: Tick,
    hold: Hold,
}

impl WaitTracker {
    /// A device held by `hold` from the beginning.
    pub(super) fn new(hold: Hold) -> Self {
        Self { hold, ..Self::default() }
    }

    /// What holds it.
    pub(super) const fn hold(&self) -> Hold {
        self.hold
    }

    /// From `at` on it is held by `hold`. `reach` is that of its fleet. Gives how long it has just waited by our own rule, nanoseconds.
    pub(super) fn change(&mut self, hold: Hold, at: Tick, reach: &Reachability) -> u64 {
        let before = self.waited;
        *self = Self { waited: self.waited(at, reach), since: at, hold };
        self.waited.since(before).own_ns
    }

    /// What it has waited until `at`.
    pub(super) fn waited(&self, at: Tick, reach: &Reachability) -> WaitTotals {
        let WaitTotals { own_ns, plan_ns } = self.waited;
        let ours = |from: Tick| WaitTotals { own_ns: own_ns + at.since(from), plan_ns };
        match self.hold {
            Hold::Service => self.waited,
            Hold::Own => ours(self.since),
            Hold::Refused => {
                reach.again_after(self.since).map_or(self.waited, |again| ours(again.max(self.since)))
            }
            Hold::Plan => WaitTotals { own_ns, plan_ns: plan_ns + at.since(self.since) },
        }
    }
}

/// When a fleet could connect again after it could not, as far as one worker sees it.
#[derive(Debug, Default)]
pub(super) struct Reachability {
    failing: bool,
    /// The first success after each failure, in the order of time. No pause begins between a success and the next failure, so
    /// that these are all that can end one.
    returns: VecDeque<Tick>,
    /// The latest of those that were forgotten.
    forgotten: Option<Tick>,
    is_tried: bool,
    /// Connections that there are.
    open: u32,
    /// Since when there has been none while attempts failed that no fault of the scenario cut off.
    away_since: Option<Tick>,
    /// How long it was so before, within the time that is measured.
    away_ns: u64,
}

impl Reachability {
    /// Returns that are kept; with more, pauses that began before count as the service's for longer than they should.
    const MOST: usize = 1_024;

    /// A connection attempt of the fleet ended at `at`.
    pub(super) fn attempted(&mut self, connected: bool, at: Tick) {
        if std::mem::replace(&mut self.failing, !connected) && connected {
            if self.returns.len() == Self::MOST {
                self.forgotten = self.returns.pop_front();
            }
            self.returns.push_back(at);
        }
    }

    /// A connection was made at `at`, which is closed by [`Self::parted`]; `measured` is the time that is measured.
    pub(super) fn joined(&mut self, at: Tick, measured: (Tick, Tick)) {
        (self.is_tried, self.open) = (true, self.open.saturating_add(1));
        if let Some(since) = self.away_since.take() {
            self.away_ns += overlap((since, at), measured);
        }
    }

    /// A connection has ended.
    pub(super) const fn parted(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    /// An attempt failed at `at`, and no fault of the scenario had a part in that.
    pub(super) fn unreachable(&mut self, at: Tick) {
        self.is_tried = true;
        if self.open == 0 {
            self.away_since.get_or_insert(at);
        }
    }

    /// For how much of the time that is `measured` no device had a connection because every attempt failed, nanoseconds; `None`
    /// where none was made.
    pub(super) fn away_ns(&self, measured: (Tick, Tick)) -> Option<u64> {
        let last = self.away_since.map_or(0, |since| overlap((since, measured.1), measured));
        self.is_tried.then_some(self.away_ns + last)
    }

    /// The first success at `failed` or later, if there was one; a failure was seen then.
    pub(super) fn again_after(&self, failed: Tick) -> Option<Tick> {
        if let Some(forgotten) = self.forgotten.filter(|forgotten| *forgotten >= failed) {
            return Some(forgotten);
        }
        self.returns.get(self.returns.partition_point(|at| *at < failed)).copied()
    }
}

/// How much of `span` lies within `window`, nanoseconds.
fn overlap(span: (Tick, Tick), window: (Tick, Tick)) -> u64 {
    span.1.min(window.1).since(span.0.max(window.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_is_away_while_it_has_no_connection_and_attempts_fail() {
        let measured = (Tick(100), Tick(200));
        let away = |acts: &str| {
            let mut reach = Reachability::default();
            for act in acts.split_whitespace() {
                let at = Tick(act[1..].parse().unwrap());
                match &act[..1] {
                    "+" => reach.joined(at, measured),
                    "-" => reach.parted(),
                    _ => reach.unreachable(at),
                }
            }
            reach.away_ns(measured)
        };
        for (acts, expected) in [
            ("", None),
            ("+10", Some(0)),
            ("+10 -110", Some(0)),
            ("x10", Some(100)),
            ("+10 -110 x120", Some(80)),
            ("+10 -110 x120 x130 +140", Some(20)),
            ("+10 -110 x120 +140 -150 x190", Some(30)),
            // Another device is still connected.
            ("+10 +20 -110 x120", Some(0)),
            ("+10 -50 x60 +110", Some(10)),
            ("+10 -150 x250", Some(0)),
        ] {
            assert_eq!(away(acts), expected, "{acts}");
        }
    }

    fn reach(returns: &[u64]) -> Reachability {
        let mut reach = Reachability::default();
        for at in returns {
            reach.attempted(false, Tick(*at - 1));
            reach.attempted(true, Tick(*at));
        }
        reach
    }

    #[test]
    fn each_wait_is_booked_where_it_belongs() {
        // (hold from 100 to 400, when the fleet came back) → (own, by plan)
        for (hold, returns, own_ns, plan_ns) in [
            (Hold::Service, &[][..], 0, 0),
            (Hold::Own, &[], 300, 0),
            (Hold::Plan, &[], 0, 300),
            (Hold::Refused, &[], 0, 0),
            (Hold::Refused, &[150], 250, 0),
            (Hold::Refused, &[90, 150, 300], 250, 0),
            (Hold::Refused, &[90], 0, 0),
            (Hold::Refused, &[100], 300, 0),
        ] {
            let (mut wait, reach) = (WaitTracker::default(), reach(returns));
            wait.change(hold, Tick(100), &reach);
            assert_eq!(
                wait.waited(Tick(400), &reach),
                WaitTotals { own_ns, plan_ns },
                "{hold:?} {returns:?}"
            );
            wait.change(Hold::Service, Tick(400), &reach);
            assert_eq!(
                wait.waited(Tick(900), &reach),
                WaitTotals { own_ns, plan_ns },
                "{hold:?} {returns:?}"
            );
        }
    }

    #[test]
    fn a_pause_ends_being_the_services_once_another_device_of_the_fleet_is_back() {
        let (mut wait, mut reach) = (WaitTracker::default(), Reachability::default());
        reach.attempted(false, Tick(100));
        wait.change(Hold::Refused, Tick(100), &reach);
        assert_eq!(wait.waited(Tick(250), &reach).own_ns, 0);
        // Further attempts change nothing for this pause.
        for (connected, at) in [(true, 300), (true, 320), (false, 350), (true, 380)] {
            reach.attempted(connected, Tick(at));
        }
        assert_eq!(wait.waited(Tick(250), &reach).own_ns, 0);
        assert_eq!(wait.waited(Tick(400), &reach).own_ns, 100);
        assert_eq!(wait.change(Hold::Own, Tick(400), &reach), 100);
        assert_eq!(wait.waited(Tick(450), &reach).own_ns, 150);
    }

    #[test]
    fn what_is_forgotten_still_bounds_a_pause() {
        let times: Vec<u64> = (1..=Reachability::MOST as u64 + 3).map(|n| n * 10).collect();
        let reach = reach(&times);
        assert_eq!(reach.returns.len(), Reachability::MOST);
        assert_eq!(reach.again_after(Tick(1)), Some(Tick(30)));
        assert_eq!(reach.again_after(Tick(31)), Some(Tick(40)));
        assert_eq!(reach.again_after(Tick(times[times.len() - 1] + 1)), None);
    }

    #[test]
    fn no_part_of_a_wait_is_longer_than_the_wait() {
        let waited = WaitTotals { own_ns: 70, plan_ns: 50 };
        for (wait, own_ns, plan_ns) in [(200, 70, 50), (100, 70, 30), (60, 60, 0), (0, 0, 0)] {
            assert_eq!(waited.within(wait), WaitTotals { own_ns, plan_ns });
        }
        let later = WaitTotals { own_ns: 100, plan_ns: 60 };
        assert_eq!(later.since(waited), WaitTotals { own_ns: 30, plan_ns: 10 });
    }
}

//! Follows the faults of a run: which are on, what switched them, and what each activation did.

use std::collections::VecDeque;
use std::sync::Arc;

use super::level::{Level, Observation};
use super::tracker::ImpactTracker;
use crate::clock::Tick;
use crate::record::{FaultId, Layout, SwitchEvent, SwitchLog};
use crate::results::files::outage::{Outage, RecoveryRule};
use crate::results::record::ok_timeline::OkTimeline;
use crate::units::is_steering;

/// Activations that are tracked; further ones are counted.
const MOST_TRACKERS: usize = 1_000;
/// Intervals remembered, so that a level can be found from before all the trouble.
const MOST_PAST: usize = 120;
/// Ended activations remembered, so that a worker's late log of one is not taken for a new activation.
const MOST_OVER: usize = 256;
/// A fault counts as active in an interval if it was on for more than a 100th of it: workers switch it off microseconds
/// after the boundary at which the plan has it end.
const LEAST_SHARE: u64 = 100;

/// An interval of the past, and the faults that were on in it or not yet recovered from.
#[derive(Debug)]
struct PastInterval {
    observation: Observation,
    company: Vec<FaultId>,
}

/// An activation that is on, or was in the present interval.
#[derive(Debug)]
struct OpenActivation {
    fault: FaultId,
    occurrence: u32,
    since: Tick,
    until: Option<Tick>,
}

/// What is known of the faults of a run. Its memory is bounded by the bounds above and the number of faults.
#[derive(Debug)]
pub(crate) struct FaultWatch {
    layout: Arc<Layout>,
    log: SwitchLog,
    /// What was taken in last, as it was logged.
    heard: Vec<SwitchEvent>,
    rule: RecoveryRule,
    trackers: Vec<ImpactTracker>,
    /// Places of the trackers that are open.
    open: Vec<usize>,
    /// Activations beyond [`MOST_TRACKERS`].
    pub(crate) omitted: u64,
    active: Vec<OpenActivation>,
    over: VecDeque<(FaultId, u32)>,
    past: VecDeque<PastInterval>,
    /// Whether the table on disk is behind.
    changed: bool,
}

impl FaultWatch {
    pub(crate) fn new(layout: Arc<Layout>, log: SwitchLog) -> Self {
        Self {
            layout,
            log,
            heard: Vec::new(),
            rule: RecoveryRule::default(),
            trackers: Vec::new(),
            open: Vec::new(),
            omitted: 0,
            active: Vec::new(),
            over: VecDeque::new(),
            past: VecDeque::new(),
            changed: false,
        }
    }

    /// Switches that nobody could note, because the log was full.
    pub(crate) fn unlogged(&self) -> u64 {
        self.log.omitted()
    }

    /// Takes in what was switched before `until` and gives it back with the workers' parts of each switch put together. What a
    /// worker logs of a switch that has been given back earlier still counts in the impact of the activation.
    pub(crate) fn switch(&mut self, until: Tick) -> Vec<SwitchEvent> {
        let mut merged: Vec<SwitchEvent> = Vec::new();
        self.heard = self.log.take_before(until);
        for mut switch in self.heard.clone() {
            switch.remark = switch.remark.as_deref().and_then(legible);
            if self.layout.faults.get(usize::from(switch.fault.0)).is_none() {
                continue;
            }
            let same = |other: &&mut SwitchEvent| {
                (other.fault, other.occurrence, other.on) == (switch.fault, switch.occurrence, switch.on)
            };
            self.changed = true;
            let fresh = if switch.on { self.on(&switch) } else { self.off(&switch) };
            if let Some(tracker) = self
                .trackers
                .iter_mut()
                .rfind(|s| (s.fault, s.occurrence) == (switch.fault, switch.occurrence))
            {
                tracker.note(&switch);
            }
            if let Some(first) = merged.iter_mut().find(same) {
                first.devices = first.devices.saturating_add(switch.devices);
                first.acted = first.acted.saturating_add(switch.acted);
                first.remark = first.remark.take().or(switch.remark);
            } else if fresh {
                merged.push(switch);
            }
        }
        merged
    }

    /// What was taken in last, as workers and operators logged it.
    pub(crate) fn heard(&mut self) -> Vec<SwitchEvent> {
        std::mem::take(&mut self.heard)
    }

    /// Whether this began the activation.
    fn on(&mut self, switch: &SwitchEvent) -> bool {
        let activation = (switch.fault, switch.occurrence);
        if self.over.contains(&activation)
            || self.active.iter().any(|on| (on.fault, on.occurrence) == activation)
        {
            return false;
        }
        for &place in &self.open {
            if let Some(tracker) =
                self.trackers.get_mut(place).filter(|tracker| tracker.fault == switch.fault)
            {
                tracker.supersede();
            }
        }
        if self.trackers.len() < MOST_TRACKERS {
            let level = self.level(switch.fault, switch.at);
            self.open.push(self.trackers.len());
            self.trackers.push(ImpactTracker::begin(switch, self.layout.fault(switch.fault), level));
        } else {
            self.omitted += 1;
        }
        self.active.push(OpenActivation {
            fault: switch.fault,
            occurrence: switch.occurrence,
            since: switch.at,
            until: None,
        });
        true
    }

    /// Whether this ended the activation.
    fn off(&mut self, switch: &SwitchEvent) -> bool {
        let activation = (switch.fault, switch.occurrence);
        if self.over.contains(&activation) {
            return false;
        }
        if self.over.len() >= MOST_OVER {
            self.over.pop_front();
        }
        self.over.push_back(activation);
        if let Some(on) = self.active.iter_mut().find(|on| (on.fault, on.occurrence) == activation) {
            on.until = Some(switch.at);
        }
        true
    }

    /// The faults that were active between `start` and `end`, in the order of the layout. Ended ones are forgotten.
    pub(crate) fn active(&mut self, start: Tick, end: Tick) -> Vec<FaultId> {
        let least_ns = end.since(start) / LEAST_SHARE;
        let counts = |on: &&OpenActivation| {
            on.since >= start || on.until.is_none_or(|until| until.since(start) > least_ns)
        };
        let mut active: Vec<_> = self.active.iter().filter(counts).map(|on| on.fault).collect();
        active.sort_unstable();
        active.dedup();
        self.active.retain(|on| on.until.is_none());
        active
    }

    /// How the service was before an activation of `fault` that begins at `at`: in the last whole intervals in which the same other
    /// faults were on or not recovered from that are on now; without such, in those in which no others were; without such, simply in
    /// the last ones.
    fn level(&self, fault: FaultId, at: Tick) -> Level {
        let on = |other: &FaultId| {
            *other != fault && self.active.iter().any(|on| on.fault == *other && on.until.is_none())
        };
        let most = self.rule.before_intervals as usize;
        let past = || {
            let whole =
                |interval: &&PastInterval| interval.observation.judged && interval.observation.end <= at;
            self.past.iter().rev().filter(whole)
        };
        let fewer = |interval: &&PastInterval| interval.company.iter().all(on);
        let present = self.active.iter().filter(|on| on.fault != fault && on.until.is_none());
        let present: Vec<FaultId> = present.map(|on| on.fault).collect();
        let same = |interval: &&PastInterval| present.iter().all(|on| interval.company.contains(on));
        let same = past().filter(fewer).filter(same).map(|interval| &interval.observation);
        let level = Level::of(same.take(most));
        if level.p99_ns.is_some() {
            return level;
        }
        let alike = past().filter(fewer).map(|interval| &interval.observation);
        let level = Level::of(alike.take(most));
        if level.p99_ns.is_some() {
            return level;
        }
        Level::of(past().map(|interval| &interval.observation).take(most))
    }

    /// Books an interval in which the faults of `active` were, and readings ended ok as `ok_timeline` says.
    /// `connected`: connections set up in it, by fleet.
    pub(crate) fn observe(
        &mut self,
        observation: &Observation,
        connected: &[u64],
        active: Vec<FaultId>,
        ok_timeline: &OkTimeline,
    ) {
        if self.layout.faults.is_empty() {
            return;
        }
        for &place in &self.open {
            if let Some(tracker) = self.trackers.get_mut(place) {
                // Reconnections are those of the fleets that the fault hits.
                let fleets = &self.layout.fault(tracker.fault).fleets;
                let own = fleets.iter().filter_map(|fleet| connected.get(usize::from(fleet.0))).sum();
                let connected = if fleets.is_empty() { observation.connected } else { own };
                tracker.observe(&Observation { connected, ..*observation }, ok_timeline, &self.rule);
            }
        }
        let before = self.open.len();
        self.open.retain(|place| self.trackers.get(*place).is_some_and(ImpactTracker::is_open));
        self.changed |= self.open.len() < before;
        let mut company = active;
        let unrecovered = self.open.iter().filter_map(|place| self.trackers.get(*place));
        // An activation without a level can never be seen to recover; it must not spoil the levels of all others.
        company.extend(
            unrecovered.filter(|tracker| tracker.level.p99_ns.is_some()).map(|tracker| tracker.fault),
        );
        if self.past.len() >= MOST_PAST {
            self.past.pop_front();
        }
        self.past.push_back(PastInterval { observation: *observation, company });
    }

    /// The run has ended: no activation is tracked any longer.
    pub(crate) fn finish(&mut self) {
        for tracker in &mut self.trackers {
            tracker.finish(&self.rule);
        }
        self.changed |= !self.open.is_empty();
        self.open.clear();
    }

    /// The rows of `faults.csv`, if there is anything new in them.
    pub(crate) fn news(&mut self) -> Option<Vec<Outage>> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        Some(self.rows())
    }

    /// The state of every activation, in the order in which they began.
    pub(crate) fn rows(&self) -> Vec<Outage> {
        let mut trackers: Vec<_> = self.trackers.iter().collect();
        trackers.sort_by_key(|tracker| (tracker.start, tracker.fault, tracker.occurrence));
        trackers.into_iter().map(|tracker| tracker.row(self.layout.fault(tracker.fault))).collect()
    }
}

/// What a command printed may hold anything: `text` on one line and not too long; `None` if nothing is left.
fn legible(text: &str) -> Option<String> {
    const LONGEST: usize = 200;
    let plain = |c: char| if is_steering(c) { ' ' } else { c };
    let text: String = text.chars().map(plain).skip_while(|c| *c == ' ').take(LONGEST).collect();
    let text = text.trim_end();
    (!text.is_empty()).then(|| text.to_owned())
}

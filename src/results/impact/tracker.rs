//! What became of the service in one activation of a fault, interval by interval: how bad it got, and when it had recovered.
//!
//! Times count from the end of the activation, or from its start where it is but an instant. The resolution is one interval: a
//! activation takes all of the interval in which it begins, and backlog and connections are known at interval boundaries only.

use super::level::{Level, Observation};
use crate::clock::Tick;
use crate::record::{FaultId, FaultInfo, SwitchEvent};
use crate::results::files::outage::{Outage, Recovery, RecoveryRule};
use crate::results::files::replaced::{millis, seconds};
use crate::results::record::cell::Percentile;
use crate::results::record::count::ReadingCounts;
use crate::results::record::ok_timeline::OkTimeline;

/// Connections since the start of an activation, by interval; coarser once there have been many such intervals.
#[derive(Debug, Default)]
struct Reconnects {
    /// The end of an interval, and the connections made by then.
    steps: Vec<(Tick, u64)>,
    most_per_s: f64,
}

impl Reconnects {
    const MOST_STEPS: usize = 512;

    fn observe(&mut self, o: &Observation) {
        if o.connected == 0 {
            return;
        }
        let seconds = o.length_ns().max(1) as f64 / 1e9;
        self.most_per_s = self.most_per_s.max(o.connected as f64 / seconds);
        if self.steps.len() >= Self::MOST_STEPS {
            let mut index = 0;
            self.steps.retain(|_| {
                index += 1;
                index % 2 == 0
            });
        }
        self.steps.push((o.end, self.all() + o.connected));
    }

    fn all(&self) -> u64 {
        self.steps.last().map_or(0, |(_, all)| *all)
    }

    /// When 99 % of them had been made.
    fn nearly_all_by(&self) -> Option<Tick> {
        let enough = |all: u64| u128::from(all) * 100 >= u128::from(self.all()) * 99;
        self.steps.iter().find(|(_, all)| enough(*all)).map(|(at, _)| *at)
    }
}

/// The backlog above the level before.
#[derive(Debug, Default)]
struct Backlog {
    peak: u64,
    is_up: bool,
    /// When it was back within max(5 % of its peak, 1).
    drained: Option<Tick>,
}

impl Backlog {
    /// Books that it was so far `above` at `end`; times count from `origin`.
    fn observe(&mut self, above: u64, end: Tick, origin: Option<Tick>) {
        self.peak = self.peak.max(above);
        let was_up = std::mem::replace(&mut self.is_up, above > (self.peak / 20).max(1));
        if self.is_up {
            self.drained = None;
        } else if self.drained.is_none() {
            // Where it was not up when the activation ended, it needed no time.
            self.drained = origin.map(|origin| if was_up { end } else { origin });
        }
    }
}

/// One activation of a fault, from its start until the service has recovered, the same fault begins again, or the run ends.
#[derive(Debug)]
pub(crate) struct ImpactTracker {
    pub(crate) fault: FaultId,
    pub(crate) occurrence: u32,
    pub(crate) start: Tick,
    planned: Option<Tick>,
    end: Option<Tick>,
    /// Whether the plan has it at an instant.
    instant: bool,
    devices: u32,
    /// How many of a hundred of them have to be connected again before it counts as recovered.
    to_return: u64,
    acted: u64,
    remarks: Vec<String>,
    pub(crate) level: Level,
    state: Recovery,
    /// The next activation of the same fault has begun, in the same interval.
    superseded: bool,
    observed: bool,
    /// Start of the first of the good intervals in a row that have led up to now.
    good_from: Option<Tick>,
    /// How much of them, and how much in all, lies behind the end of the activation, in whole intervals.
    held_ns: u64,
    judged_ns: u64,
    recovered: Option<Tick>,
    worst: Option<(Percentile, Tick)>,
    counts: ReadingCounts,
    first_ok: Option<Tick>,
    backlog: Backlog,
    reconnects: Reconnects,
}

/// Remarks kept of an activation.
const MOST_REMARKS: usize = 4;

impl ImpactTracker {
    /// An activation begun by `switch`.
    pub(crate) fn begin(switch: &SwitchEvent, info: &FaultInfo, level: Level) -> Self {
        let activation =
            info.activations.get(switch.occurrence as usize).filter(|_| switch.planned.is_some());
        Self {
            fault: switch.fault,
            occurrence: switch.occurrence,
            start: switch.at,
            planned: switch.planned,
            end: None,
            instant: activation.is_some_and(|(from, until)| from == until),
            devices: 0,
            to_return: if info.cuts { 99 } else { 0 },
            acted: 0,
            remarks: Vec::new(),
            level,
            state: Recovery::Open,
            superseded: false,
            observed: false,
            good_from: None,
            held_ns: 0,
            judged_ns: 0,
            recovered: None,
            worst: None,
            counts: ReadingCounts::default(),
            first_ok: None,
            backlog: Backlog::default(),
            reconnects: Reconnects::default(),
        }
    }

    /// Books one worker's log of its beginning or end.
    pub(crate) fn note(&mut self, switch: &SwitchEvent) {
        if switch.on {
            self.start = self.start.min(switch.at);
            self.devices = self.devices.saturating_add(switch.devices);
        } else {
            self.end = Some(self.end.map_or(switch.at, |end| end.min(switch.at)));
            self.instant |= self.end == Some(self.start);
        }
        self.acted = self.acted.saturating_add(switch.acted);
        if let Some(remark) = &switch.remark
            && self.remarks.len() < MOST_REMARKS
            && !self.remarks.contains(remark)
        {
            self.remarks.push(remark.clone());
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state == Recovery::Open
    }

    /// The next activation of the same fault has begun.
    pub(crate) fn supersede(&mut self) {
        self.superseded = true;
        // Else the interval that is still to come is the only one it will ever have.
        if self.observed {
            self.close(Recovery::Overlapped);
        }
    }

    /// From where its times count.
    fn origin(&self) -> Option<Tick> {
        if self.instant { Some(self.start) } else { self.end }
    }

    /// Books an interval, in which readings ended ok as `ok_timeline` says.
    pub(crate) fn observe(&mut self, o: &Observation, ok_timeline: &OkTimeline, rule: &RecoveryRule) {
        if !self.is_open() {
            return;
        }
        self.observed = true;
        self.counts.add(&o.counts);
        self.reconnects.observe(o);
        if let Some(p99) = o.p99
            && self.worst.is_none_or(|(worst, _)| p99.ns > worst.ns)
        {
            self.worst = Some((p99, o.start));
        }
        if self.first_ok.is_none() {
            self.first_ok = self.origin().and_then(|origin| ok_timeline.after(origin));
        }
        self.backlog.observe(o.backlog.saturating_sub(self.level.backlog), o.end, self.origin());
        if o.judged {
            self.observe_level(o, rule);
        }
        if self.superseded && self.is_open() {
            self.close(Recovery::Overlapped);
        }
    }

    fn observe_level(&mut self, o: &Observation, rule: &RecoveryRule) {
        let Some(kept) = self.level.is_kept_in(o, rule) else { return };
        let good = kept && self.reconnects.all() * 100 >= u64::from(self.devices) * self.to_return;
        let after = self.origin().is_some_and(|origin| o.end > origin);
        let length_ns = if after { o.length_ns() } else { 0 };
        self.judged_ns += length_ns;
        if !good {
            (self.good_from, self.held_ns) = (None, 0);
            return;
        }
        let from = *self.good_from.get_or_insert(o.start);
        self.held_ns += length_ns;
        if after && self.held_ns >= rule.hold_ns() {
            self.recovered = Some(from);
            self.close(Recovery::Recovered);
        }
    }

    fn close(&mut self, state: Recovery) {
        self.state = state;
    }

    /// The run has ended.
    pub(crate) fn finish(&mut self, rule: &RecoveryRule) {
        if !self.is_open() {
            return;
        }
        self.close(if self.level.p99_ns.is_none() {
            Recovery::NoLevel
        } else if self.judged_ns < rule.hold_ns() {
            Recovery::RunEnded
        } else {
            Recovery::NotRecovered
        });
    }

    /// Its row in `faults.csv`.
    pub(crate) fn row(&self, info: &FaultInfo) -> Outage {
        let origin = self.origin();
        let after = |at: Option<Tick>| at.zip(origin).map(|(at, origin)| seconds(Tick(at.since(origin))));
        let reconnected = self.reconnects.all();
        Outage {
            fault: info.name.clone(),
            layer: info.layer.to_string(),
            kind: info.kind.to_string(),
            turn: self.occurrence,
            planned_s: self.planned.map(seconds),
            start_s: seconds(self.start),
            end_s: self.end.map(seconds),
            instant: self.instant,
            devices: self.devices,
            acted: info.counted.then_some(self.acted),
            state: self.state,
            recovered_after_s: after(self.recovered),
            p99_before_ms: self.level.p99_ns.map(millis),
            worst_p99_ms: self.worst.map(|(p99, _)| millis(p99.ns)),
            worst_p99_censored: self.worst.is_some_and(|(p99, _)| p99.censored),
            worst_at_s: self.worst.map(|(_, at)| seconds(at)),
            ok: self.counts.outcomes.ok,
            shed: self.counts.outcomes.shed,
            error: self.counts.outcomes.error,
            timeout: self.counts.outcomes.timeout,
            lost: self.counts.outcomes.lost,
            dropped: self.counts.outcomes.dropped,
            duplicated: self.counts.duplicated,
            reordered: self.counts.reordered,
            first_ok_after_s: after(self.first_ok),
            backlog_before: self.level.backlog,
            peak_backlog: self.backlog.peak,
            backlog_drained_after_s: after(self.backlog.drained),
            reconnected,
            peak_reconnects_per_s: (reconnected > 0)
                .then_some((self.reconnects.most_per_s * 1e3).round() / 1e3),
            reconnected_99_after_s: after(self.reconnects.nearly_all_by()),
            remark: self.remarks.join("; "),
        }
    }
}

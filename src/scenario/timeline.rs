//! The time line of a plan: phases, and when the devices of a fleet are there.

use rand::RngExt;

use super::model::{Fleet, Model, Phase, Scenario};
use crate::arrival::{Shape, Stretch};
use crate::clock::{Course, Skip, Tick};
use crate::record::{FleetInfo, Layout, PhaseInfo, PhaseRole};
use crate::seed::Seed;
use crate::units::{Rate, Span};

/// Time after a planned connection attempt, so that its handshake ends before readings come due.
const SETTLE_NS: u64 = 500_000_000;

/// A stretch in which the plan keeps a device offline, `from` inclusive to `until` exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// When its connection is cut.
    pub from: Tick,
    /// When it connects again.
    pub until: Tick,
}

impl Outage {
    /// What is left of it in a run that leaves out `skip`; `None`: nothing.
    pub(crate) fn shortened(self, skip: Skip) -> Option<Self> {
        let (from, until) = skip.shortened((self.from, self.until))?;
        Some(Self { from, until })
    }
}

/// Something a plan does to a whole fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetEvent {
    /// When it begins, by the plan.
    pub at: Tick,
    /// When its last device is through, by the plan.
    pub until: Tick,
    /// `join`, `leave` or `cut`.
    pub what: &'static str,
    /// The fleet.
    pub fleet: String,
    /// Devices concerned, on average.
    pub devices: u32,
}

/// The instants that matter to all fleets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timeline {
    /// The end of the connect phase.
    pub(super) sending: Tick,
    /// The beginning of the first measured phase.
    pub(super) measuring: Tick,
    /// The end of the last.
    pub(super) end: Tick,
}

impl Timeline {
    pub(super) fn of(layout: &Layout) -> Self {
        let start_of =
            |role: PhaseRole| layout.phases.iter().find(|phase| phase.role == role).map(|phase| phase.start);
        let measuring = start_of(PhaseRole::Measured).unwrap_or_default();
        Self {
            sending: start_of(PhaseRole::WarmUp).unwrap_or(measuring),
            measuring,
            end: layout.phases.last().map_or(Tick::ZERO, |phase| phase.end),
        }
    }
}

/// Phases and fleets for records. The connect phase is as long as the slowest fleet takes, in whole intervals.
pub(super) fn layout(scenario: &Scenario) -> Layout {
    let interval_ns = scenario.run.interval.as_ns();
    let ramp_ns = scenario.fleets.iter().filter(|fleet| is_early(fleet)).map(ramp_ns).max().unwrap_or(0);
    let connect_ns = (ramp_ns + SETTLE_NS).next_multiple_of(interval_ns);
    let warm_up_ns = scenario.run.warm_up.as_ns();
    let opening = [("connect", PhaseRole::Connect, connect_ns), ("warm-up", PhaseRole::WarmUp, warm_up_ns)];
    let measured = scenario
        .phases
        .iter()
        .map(|phase| (phase.name.as_str(), PhaseRole::Measured, phase.duration.as_ns()));
    let mut start = Tick::ZERO;
    let phases = opening
        .into_iter()
        .filter(|(_, _, ns)| *ns > 0)
        .chain(measured)
        .map(|(name, role, ns)| {
            let phase = PhaseInfo { name: name.to_owned(), role, start, end: start.plus_ns(ns) };
            start = phase.end;
            phase
        })
        .collect();
    let fleets = scenario
        .fleets
        .iter()
        .map(|fleet| FleetInfo {
            name: fleet.name.clone(),
            protocol: fleet.protocol,
            devices: fleet.devices,
            timeout_ns: fleet.timeout.as_ns(),
            budget_ns: fleet.budget.map(Span::as_ns),
            expects: fleet.expects,
            trace: fleet.device_model.trace.as_ref().map(|trace| trace.share),
            hears: fleet.model == Model::Subscriber,
        })
        .collect();
    Layout { phases, fleets, interval_ns, faults: Vec::new(), course: Course::default() }
}

/// Whether a fleet connects before anything is sent.
fn is_early(fleet: &Fleet) -> bool {
    fleet.behaviour.join.is_none() && !fleet.on_demand()
}

/// How long a fleet takes to connect or to leave.
fn ramp_ns(fleet: &Fleet) -> u64 {
    slot_ns(fleet.devices, fleet.behaviour.connect_rate)
}

fn slot_ns(slots: u32, rate: Rate) -> u64 {
    Span::from_secs_f64(f64::from(slots) / rate.as_per_second()).as_ns()
}

/// The load on `fleet` over warm-up, at 1, and the measured phases.
pub(super) fn stretches(scenario: &Scenario, layout: &Layout, fleet: &Fleet) -> Vec<Stretch> {
    let of = |phase: &PhaseInfo| {
        let own =
            scenario.phases.iter().find(|own| own.name == phase.name && phase.role == PhaseRole::Measured);
        let flat = || vec![Stretch { start: phase.start, end: phase.end, shape: Shape::Flat(1.0) }];
        own.map_or_else(flat, |own: &Phase| own.load_of(&fleet.name).stretches(phase.start, phase.end))
    };
    layout.phases.iter().filter(|phase| phase.role != PhaseRole::Connect).flat_map(of).collect()
}

/// When the devices of a fleet are there.
#[derive(Debug, Clone)]
pub(super) struct Presence {
    devices: u32,
    rate: Rate,
    /// Where between two of its own connection slots the fleet begins, 0 to 1.
    offset: f64,
    timeline: Timeline,
    /// When the first device connects; `None` for devices that connect when they have something to send.
    connect: Option<Tick>,
    /// When the first device would connect.
    first: Tick,
    /// Whether it joins after sending has begun.
    late: bool,
    leave: Option<Tick>,
    cut: Option<(super::model::Cut, Tick)>,
    seed: Seed,
    label: Box<str>,
}

impl Presence {
    pub(super) fn of(fleet: &Fleet, timeline: &Timeline, seed: Seed) -> Self {
        let behaviour = fleet.behaviour;
        let at = |span: Span| timeline.measuring.plus_ns(span.as_ns());
        let first = match behaviour.join {
            Some(join) => at(join),
            // The last device connects at the same instant before sending, however many fleets there are.
            None => Tick(timeline.sending.0.saturating_sub(SETTLE_NS + ramp_ns(fleet))),
        };
        Self {
            devices: fleet.devices,
            rate: behaviour.connect_rate,
            offset: seed.stream(&format!("connect/{}", fleet.name), 0).random(),
            timeline: *timeline,
            connect: (!fleet.on_demand()).then_some(first),
            first,
            late: behaviour.join.is_some(),
            leave: behaviour.leave.map(at),
            cut: behaviour.cut.map(|cut| (cut, at(cut.at))),
            seed,
            label: format!("cut/{}", fleet.name).into(),
        }
    }

    /// Whether all devices send during the whole plan.
    pub(super) const fn is_constant(&self) -> bool {
        !self.late && self.leave.is_none()
    }

    fn slot(&self, first: Tick, index: u32) -> Tick {
        let share = (f64::from(index) + self.offset) / f64::from(self.devices);
        first.plus_ns((slot_ns(self.devices, self.rate) as f64 * share) as u64)
    }

    pub(super) fn connect_at(&self, index: u32) -> Option<Tick> {
        self.connect.map(|first| self.slot(first, index))
    }

    pub(super) fn leave_at(&self, index: u32) -> Option<Tick> {
        self.leave.map(|first| self.slot(first, index))
    }

    /// The stretch in which the device's readings may come due.
    pub(super) fn sending(&self, index: u32) -> (Tick, Tick) {
        let starts = if self.late {
            // A device that connects on demand has nothing to settle.
            let settle_ns = if self.connect.is_some() { SETTLE_NS } else { 0 };
            self.slot(self.first, index).plus_ns(settle_ns)
        } else {
            self.timeline.sending
        };
        let ends = self.leave_at(index).unwrap_or(self.timeline.end);
        (starts, ends.min(self.timeline.end))
    }

    pub(super) fn outage(&self, index: u32) -> Option<Outage> {
        let (cut, first) = self.cut?;
        // A stream of its own for each device: the choice must not depend on how many there are.
        if cut.share < 1.0 {
            let drawn: f64 = self.seed.stream(&self.label, u64::from(index)).random();
            if drawn >= cut.share {
                return None;
            }
        }
        let turn = cut.pace.map_or(0, |pace| slot_ns(index, pace));
        let from = first.plus_ns(turn);
        Some(Outage { from, until: from.plus_ns(cut.away.as_ns()) })
    }

    /// What happens to the fleet as a whole.
    pub(super) fn events(&self, fleet: &str) -> Vec<FleetEvent> {
        let ramp_ns = slot_ns(self.devices, self.rate);
        let event = |at: Tick, until: Tick, what, devices| FleetEvent {
            at,
            until: until.min(self.timeline.end),
            what,
            fleet: fleet.to_owned(),
            devices,
        };
        let mut events = Vec::new();
        if self.late {
            let at = self.first;
            events.push(event(at, at.plus_ns(ramp_ns), "join", self.devices));
        }
        if let Some(at) = self.leave {
            events.push(event(at, at.plus_ns(ramp_ns), "leave", self.devices));
        }
        if let Some((cut, at)) = self.cut {
            let last = cut.pace.map_or(0, |pace| slot_ns(self.devices.saturating_sub(1), pace));
            let until = at.plus_ns(last).plus_ns(cut.away.as_ns());
            let concerned = (f64::from(self.devices) * cut.share).round() as u32;
            events.push(event(at, until, "cut", concerned));
        }
        events
    }
}

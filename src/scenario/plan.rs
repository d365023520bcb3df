//! The plan: the time line of a scenario, and every device's part in it, expanded only where asked.

use std::sync::Arc;

use rand::RngExt;

use super::digest;
use super::model::{Fleet, Model, Scenario};
use crate::arrival::{Arrivals, Load, Shape, Stretch, expected_count};
use crate::clock::Tick;
use crate::fleet::Device;
use crate::record::{FleetId, FleetInfo, Layout, PhaseId, PhaseInfo, PhaseRole};
use crate::seed::Seed;
use crate::units::Span;

/// Time after the last planned connection attempt, so that its handshake ends before readings come due.
const SETTLE_NS: u64 = 500_000_000;

/// What will be sent and when, as a pure function of the scenario. Cheap to hold: devices are expanded on demand.
#[derive(Debug, Clone)]
pub struct Plan {
    scenario: Scenario,
    layout: Layout,
    /// Load over warm-up and measured phases; the time change of every open fleet.
    load: Arc<Load>,
    fleets: Vec<Planned>,
    digest: String,
}

/// What the devices of one fleet share.
#[derive(Debug, Clone)]
struct Planned {
    /// Global index of its first device.
    first: u32,
    signal: Arc<crate::fleet::SignalSpec>,
    backoff: Arc<str>,
    /// Where between two of its own connection slots the fleet begins, 0 to 1.
    offset: f64,
}

impl Plan {
    /// The plan of `scenario`: connect, warm-up if any, then the measured phases.
    pub fn new(scenario: Scenario) -> Self {
        let layout = layout(&scenario);
        let stretches = layout
            .phases
            .iter()
            .filter(|phase| phase.role != PhaseRole::Connect)
            .map(|phase| Stretch {
                start: phase.start,
                end: phase.end,
                shape: Shape::Flat(load_of(&scenario, phase)),
            })
            .collect();
        let mut first = 0;
        let fleets = scenario
            .fleets
            .iter()
            .map(|fleet| {
                let planned = Planned {
                    first,
                    signal: Arc::new(fleet.signal),
                    backoff: format!("backoff/{}", fleet.name).into(),
                    offset: scenario.seed.stream(&format!("connect/{}", fleet.name), 0).random(),
                };
                first += fleet.devices;
                planned
            })
            .collect();
        let mut plan =
            Self { scenario, layout, load: Arc::new(Load::new(stretches)), fleets, digest: String::new() };
        plan.digest = digest::of(&plan);
        plan
    }

    /// The scenario it was made from.
    pub const fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// Names and bounds of phases and fleets, for records.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The fleet's part of the scenario.
    ///
    /// # Panics
    /// If `fleet` is not of this plan.
    pub fn fleet(&self, fleet: FleetId) -> &Fleet {
        &self.scenario.fleets[usize::from(fleet.0)]
    }

    /// Number of devices of all fleets; global indexes run from 0 to below it.
    pub fn devices(&self) -> u32 {
        self.scenario.devices()
    }

    /// The device with global index `global`: its position among the devices of the fleets sorted by name.
    ///
    /// # Panics
    /// If `global` is not below [`Plan::devices`].
    pub fn device(&self, global: u32) -> DevicePlan {
        let after = self.fleets.partition_point(|planned| planned.first <= global);
        let at = after.saturating_sub(1);
        let (planned, fleet) = (&self.fleets[at], &self.scenario.fleets[at]);
        let index = global - planned.first;
        assert!(index < fleet.devices, "device {global} is not of this plan");
        let seed = self.scenario.seed;
        let arrivals = match &fleet.model {
            Model::Open { rate, arrival, .. } => {
                let stream = seed.stream(&format!("arrival/{}", fleet.name), u64::from(index));
                Some(Arrivals::new(arrival, *rate, None, Arc::clone(&self.load), stream))
            }
            Model::Closed { .. } => None,
        };
        DevicePlan {
            fleet: FleetId(at as u16),
            index,
            connect_at: self.connect_at(planned, fleet, index),
            device: Device::new(&fleet.name, index, &planned.signal, self.sending_starts(), seed),
            arrivals,
            backoff: BackoffState { law: fleet.backoff, label: Arc::clone(&planned.backoff), seed, taken: 0 },
        }
    }

    fn connect_at(&self, planned: &Planned, fleet: &Fleet, index: u32) -> Tick {
        let ramp_secs = f64::from(self.devices()) / self.scenario.run.connect_rate.as_per_second();
        let share = (f64::from(index) + planned.offset) / f64::from(fleet.devices);
        Tick::from_secs_f64(ramp_secs * share)
    }

    /// End of the last phase: no reading is due then or later.
    pub fn end(&self) -> Tick {
        self.layout.phases.last().map_or(Tick::ZERO, |phase| phase.end)
    }

    /// When the first reading may be due: the end of the connect phase.
    pub fn sending_starts(&self) -> Tick {
        self.load.stretches().first().map_or(Tick::ZERO, |stretch| stretch.start)
    }

    /// How many readings `fleet` is expected to have due in `phase`: rate × load × length × devices, exactly.
    /// `None` for a closed fleet, whose number depends on the service.
    ///
    /// # Panics
    /// If `phase` or `fleet` is not of this plan.
    pub fn expected_readings(&self, phase: PhaseId, fleet: FleetId) -> Option<f64> {
        let (phase, fleet) = (self.layout.phase(phase), self.fleet(fleet));
        let Model::Open { rate, arrival, .. } = &fleet.model else { return None };
        let one = expected_count(arrival, *rate, None, &self.load, phase.start, phase.end);
        Some(one * f64::from(fleet.devices))
    }

    /// Expected readings per second of all open fleets, averaged over the measured phases.
    pub fn expected_rate(&self) -> f64 {
        let measured = || self.layout.phases.iter().filter(|phase| phase.role == PhaseRole::Measured);
        let weighted: f64 = measured()
            .map(|phase| phase.end.since(phase.start) as f64 * load_of(&self.scenario, phase))
            .sum();
        let length: f64 = measured().map(|phase| phase.end.since(phase.start) as f64).sum();
        self.base_rate() * weighted / length
    }

    /// Expected readings per second of all open fleets in the busiest phase.
    pub fn peak_rate(&self) -> f64 {
        self.base_rate() * self.load.peak()
    }

    fn base_rate(&self) -> f64 {
        self.scenario
            .fleets
            .iter()
            .map(|fleet| match fleet.model {
                Model::Open { rate, .. } => rate.as_per_second() * f64::from(fleet.devices),
                Model::Closed { .. } => 0.0,
            })
            .sum()
    }

    /// Hex SHA-256 of everything that shapes the plan; runs are comparable only if theirs agree. It does not
    /// depend on the order of the file, on its comments, target or reference settings, nor on workers.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

fn layout(scenario: &Scenario) -> Layout {
    let interval_ns = scenario.run.interval.as_ns();
    let ramp = Span::from_secs_f64(f64::from(scenario.devices()) / scenario.run.connect_rate.as_per_second());
    let connect_ns = (ramp.as_ns() + SETTLE_NS).next_multiple_of(interval_ns);
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
        })
        .collect();
    Layout { phases, fleets, interval_ns }
}

/// The load in a phase of the layout; 1 while warming up.
fn load_of(scenario: &Scenario, phase: &PhaseInfo) -> f64 {
    match phase.role {
        PhaseRole::Connect => 0.0,
        PhaseRole::WarmUp => 1.0,
        PhaseRole::Measured => {
            scenario.phases.iter().find(|stated| stated.name == phase.name).map_or(1.0, |stated| stated.load)
        }
    }
}

/// One device's part in the plan, drawn as it is asked for. Everything in it depends on the seed, the fleet's own
/// settings and the phases only; other fleets merely share the connect phase, and so move the whole plan by its length.
#[derive(Debug, Clone)]
pub struct DevicePlan {
    /// Its fleet.
    pub fleet: FleetId,
    /// Its number within the fleet, from 0.
    pub index: u32,
    /// When it opens its connection.
    pub connect_at: Tick,
    /// What it reads and how it writes it.
    pub device: Device,
    arrivals: Option<Arrivals>,
    backoff: BackoffState,
}

impl DevicePlan {
    /// When its next reading is due, within warm-up and measured phases; `None` when no more come, and always for
    /// a closed fleet. Instants never go back.
    pub fn next_due(&mut self) -> Option<Tick> {
        self.arrivals.as_mut()?.next()
    }

    /// The wait before attempt `attempt` (from 0) to reconnect after a connection failed: `min(first × 2ⁿ, max)`
    /// less a seeded random part of it. Successive calls draw anew.
    pub fn backoff(&mut self, attempt: u32) -> Span {
        self.backoff.wait(self.index, attempt)
    }
}

/// Draws waits. The stream is made anew for each, so that a device that never fails holds none.
#[derive(Debug, Clone)]
struct BackoffState {
    law: super::model::Backoff,
    label: Arc<str>,
    seed: Seed,
    taken: u32,
}

impl BackoffState {
    fn wait(&mut self, device: u32, attempt: u32) -> Span {
        let doublings = i32::try_from(attempt.min(64)).unwrap_or(64);
        let longest = (self.law.first.as_secs_f64() * 2_f64.powi(doublings)).min(self.law.max.as_secs_f64());
        let mut stream = self.seed.stream(&self.label, u64::from(device) << 32 | u64::from(self.taken));
        self.taken = self.taken.wrapping_add(1);
        Span::from_secs_f64(longest * (1.0 - self.law.jitter * stream.random::<f64>()))
    }
}

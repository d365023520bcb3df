//! The plan: the time line of a scenario, and every device's part in it, expanded only where asked.

use std::sync::Arc;

use super::device::{DeviceDraws, DevicePlan, StreamLabels};
use super::digest;
use super::model::{Fleet, Model, Scenario};
use super::surge::{self, FaultHit, SurgeSource, Surges};
use super::timeline::{self, Presence, Timeline};
use crate::arrival::{ArrivalProcess, Arrivals, Load, expected_count};
use crate::clock::{Course, Tick};
use crate::fault::{Draw, Fault, Schedule};
use crate::fleet::{Device, RunFacts};
use crate::protocol::Rendering;
use crate::record::{FaultInfo, FleetId, Layout, PhaseId, PhaseRole, Shard};

pub(crate) use super::timeline::FleetEvent;

/// What will be sent and when, as a pure function of the scenario. Cheap to hold: devices are expanded on demand.
#[derive(Debug, Clone)]
pub struct Plan {
    scenario: Scenario,
    layout: Layout,
    timeline: Timeline,
    fleets: Vec<FleetPlan>,
    digest: String,
    faults: Vec<Arc<Fault>>,
}

/// What the devices of one fleet share.
#[derive(Debug, Clone)]
struct FleetPlan {
    /// Global index of its first device.
    first: u32,
    /// Load over warm-up and measured phases: the time change of the fleet.
    load: Arc<Load>,
    presence: Presence,
    labels: Arc<StreamLabels>,
    /// By fault: which of the devices it hits.
    draws: Vec<Option<Draw>>,
}

impl Plan {
    /// The plan of `scenario`: connect, warm-up if any, then the measured phases.
    pub fn new(scenario: Scenario) -> Self {
        let mut layout = timeline::layout(&scenario);
        let timeline = Timeline::of(&layout);
        let faults = placed(&scenario, &timeline);
        let mut first = 0;
        let fleets = scenario
            .fleets
            .iter()
            .map(|fleet| {
                let label = |what: &str| Arc::from(format!("{what}/{}", fleet.name));
                let planned = FleetPlan {
                    first,
                    load: Arc::new(Load::new(timeline::stretches(&scenario, &layout, fleet))),
                    presence: Presence::of(fleet, &timeline, scenario.seed),
                    draws: faults.iter().map(|fault| surge::draw(fault, fleet, scenario.seed)).collect(),
                    labels: Arc::new(StreamLabels {
                        arrival: label("arrival"),
                        backoff: label("backoff"),
                        phase: label("phase"),
                        repeat: label("repeat"),
                        retry: label("retry"),
                    }),
                };
                first += fleet.devices;
                planned
            })
            .collect::<Vec<FleetPlan>>();
        layout.faults = fault_infos(&faults, &fleets, timeline.end);
        let mut plan = Self { scenario, layout, timeline, fleets, digest: String::new(), faults };
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

    /// What device number `index` of `fleet` shows that must be told to nobody else.
    ///
    /// # Panics
    /// If `fleet` is not of this plan.
    pub(crate) fn secrets(&self, fleet: FleetId, index: u32, run: RunFacts) -> Vec<String> {
        let fleet = self.fleet(fleet);
        let Some(credentials) = &fleet.credentials else { return Vec::new() };
        let device = Device::new(&fleet.device_model, index, Tick::ZERO, self.scenario.seed);
        let format = &fleet.device_model.payload.format;
        credentials.of(&Rendering { device: &device, format, run }).secrets()
    }

    /// The faults, in the order of the scenario; [`Layout::faults`] has them at the same places.
    pub fn faults(&self) -> &[Arc<Fault>] {
        &self.faults
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
        let hits = self.hits(planned, index);
        let (starts, ends) = planned.presence.sending(index);
        let outage = planned.presence.outage(index);
        let mut device = Device::new(&fleet.device_model, index, self.sending_starts(), seed);
        if let Some((outage, schema)) = outage.zip(fleet.behaviour.cut.and_then(|cut| cut.schema)) {
            device.upgrade(outage.until, schema);
        }
        DevicePlan {
            fleet: FleetId(at as u16),
            index,
            connect_at: planned.presence.connect_at(index),
            leave_at: planned.presence.leave_at(index),
            outage,
            starts,
            ends,
            device,
            surges: Surges::of(&hits, &self.faults, || self.source(planned, fleet, index)),
            hits,
            arrivals: self.arrivals(planned, fleet, index),
            held: None,
            repeat_one_in: fleet.behaviour.repeat_one_in,
            draws: DeviceDraws {
                backoff: fleet.backoff,
                labels: Arc::clone(&planned.labels),
                seed,
                taken: 0,
            },
        }
    }

    fn arrivals(&self, planned: &FleetPlan, fleet: &Fleet, index: u32) -> Option<Arrivals> {
        let Model::Open { rate, arrival, recorded_rate, .. } = &fleet.model else { return None };
        let process = of_device(arrival, index);
        let stream = self.scenario.seed.stream(&planned.labels.arrival, u64::from(index));
        let (starts, ends) = planned.presence.sending(index);
        let arrivals =
            Arrivals::new(&process, *rate, recorded_rate.clone(), Arc::clone(&planned.load), stream);
        Some(arrivals.between(starts, ends))
    }

    /// The faults that hit device `index` of a fleet.
    fn hits(&self, planned: &FleetPlan, index: u32) -> Box<[FaultHit]> {
        let hits = self.faults.iter().zip(&planned.draws).enumerate().filter_map(|(nth, (fault, draw))| {
            let draw = draw.as_ref()?;
            let late_ns = draw.lateness_ns(draw.rank(index)?, fault.ramp_ns);
            Some(FaultHit { fault: nth as u16, late_ns })
        });
        hits.collect()
    }

    /// What further readings of a device are drawn from.
    fn source(&self, planned: &FleetPlan, fleet: &Fleet, index: u32) -> Option<SurgeSource> {
        let Model::Open { rate, arrival, recorded_rate, .. } = &fleet.model else { return None };
        Some(SurgeSource {
            fleet: fleet.name.as_str().into(),
            process: of_device(arrival, index),
            rate: *rate,
            recorded_rate: recorded_rate.clone(),
            load: Arc::clone(&planned.load),
            window: planned.presence.sending(index),
            seed: self.scenario.seed,
            index,
        })
    }

    /// Expected further readings of the fleet's spikes, on the devices of `shard`.
    fn expected_surplus(&self, at: usize, (from, to): (Tick, Tick), shard: Shard) -> f64 {
        let (planned, fleet) = (&self.fleets[at], &self.scenario.fleets[at]);
        let Some(source) = self.source(planned, fleet, 0) else { return 0.0 };
        let each = self.faults.iter().zip(&planned.draws).filter_map(|(fault, draw)| {
            let draw = draw.as_ref()?;
            let whole = surge::expected(fault, draw, &source, from, to);
            if whole == 0.0 || shard == Shard::WHOLE {
                return Some(whole);
            }
            let own = self.members(at, shard).filter(|index| draw.rank(*index).is_some()).count();
            Some(whole * own as f64 / f64::from(draw.hit().max(1)))
        });
        each.sum()
    }

    /// The devices of fleet number `at` that `shard` drives, by their index within the fleet.
    fn members(&self, at: usize, shard: Shard) -> impl Iterator<Item = u32> {
        let (first, devices) = (self.fleets[at].first, self.scenario.fleets[at].devices);
        (0..shard.count(first, devices)).map(move |nth| shard.member(first, nth))
    }

    /// How many devices of `fleet` `shard` drives.
    ///
    /// # Panics
    /// If `fleet` is not of this plan.
    pub fn devices_of(&self, fleet: FleetId, shard: Shard) -> u32 {
        shard.count(self.fleets[usize::from(fleet.0)].first, self.fleet(fleet).devices)
    }

    /// Gives it to one run: what an earlier run of it left out comes in this one.
    pub(crate) fn begin(&mut self) {
        self.layout.course = Course::default();
    }

    /// End of the last phase, when the run comes to it: no reading is due then or later.
    pub fn end(&self) -> Tick {
        self.layout.course.moved(self.timeline.end)
    }

    /// When the first reading may be due: the end of the connect phase.
    pub const fn sending_starts(&self) -> Tick {
        self.timeline.sending
    }

    /// Beginning of the first measured phase, from which a scenario's instants count, when the run comes to it.
    pub fn measuring_starts(&self) -> Tick {
        self.layout.course.moved(self.timeline.measuring)
    }

    /// How many readings `fleet` is expected to have due in `phase`, exactly. `None` for a closed fleet, whose number
    /// depends on the service.
    ///
    /// # Panics
    /// If `phase` or `fleet` is not of this plan.
    pub fn expected_readings(&self, phase: PhaseId, fleet: FleetId) -> Option<f64> {
        let phase = self.layout.phase(phase);
        self.expected_between(fleet, phase.start, phase.end)
    }

    /// The same of the devices that `shard` drives, and of what the run keeps of the phase. Where a spike hits devices
    /// one after the other, the shard's are taken to be spread over that time like all of them.
    ///
    /// # Panics
    /// If `phase` or `fleet` is not of this plan.
    pub fn expected_of_shard(&self, phase: PhaseId, fleet: FleetId, shard: Shard) -> Option<f64> {
        let kept = self.layout.kept(self.layout.phase(phase));
        self.expected_of(fleet, kept, u32::MAX, shard)
    }

    /// How many readings `fleet` is expected to have due from `from` to before `to` of the plan; `None` for a closed fleet.
    ///
    /// # Panics
    /// If `fleet` is not of this plan.
    pub fn expected_between(&self, fleet: FleetId, from: Tick, to: Tick) -> Option<f64> {
        self.expected_of(fleet, (from, to), u32::MAX, Shard::WHOLE)
    }

    /// The same from `most` evenly spaced devices where a fleet joins or leaves; exact for all other fleets. For charts.
    ///
    /// # Panics
    /// If `fleet` is not of this plan.
    pub fn estimated_between(&self, fleet: FleetId, from: Tick, to: Tick, most: u32) -> Option<f64> {
        self.expected_of(fleet, (from, to), most.max(1), Shard::WHOLE)
    }

    fn expected_of(&self, id: FleetId, (from, to): (Tick, Tick), most: u32, shard: Shard) -> Option<f64> {
        let at = usize::from(id.0);
        let (planned, fleet) = (&self.fleets[at], self.fleet(id));
        let (rate, arrival, recorded_rate) = match &fleet.model {
            Model::Open { rate, arrival, recorded_rate, .. } => (rate, arrival, recorded_rate),
            Model::Closed { .. } => return None,
            Model::Subscriber => return Some(0.0),
        };
        let surplus = self.expected_surplus(at, (from, to), shard);
        let one = |process: &ArrivalProcess, from, to| {
            expected_count(process, *rate, recorded_rate.as_deref(), &planned.load, from, to)
        };
        if planned.presence.is_constant() {
            return Some(match arrival {
                ArrivalProcess::Recorded { times, .. } if shard == Shard::WHOLE => {
                    one(&ArrivalProcess::Recorded { times: times.clone(), device: 0, devices: 1 }, from, to)
                }
                ArrivalProcess::Recorded { .. } => {
                    self.members(at, shard).map(|index| one(&of_device(arrival, index), from, to)).sum()
                }
                process => one(process, from, to) * f64::from(self.devices_of(id, shard)) + surplus,
            });
        }
        let devices = self.devices_of(id, shard);
        let sample = devices.min(most);
        let each = (0..sample).map(|nth| {
            let nth = (u64::from(nth) * u64::from(devices) / u64::from(sample)) as u32;
            let index = shard.member(planned.first, nth);
            let (starts, ends) = planned.presence.sending(index);
            let (from, to) = (from.max(starts), to.min(ends));
            if from < to { one(&of_device(arrival, index), from, to) } else { 0.0 }
        });
        Some(each.sum::<f64>() * f64::from(devices) / f64::from(sample.max(1)) + surplus)
    }

    /// Standard deviation of the number of readings `fleet` has due in a stretch where `expected` are: `None` where the
    /// law has none.
    ///
    /// # Panics
    /// If `fleet` is not of this plan.
    pub fn deviation(&self, fleet: FleetId, expected: f64) -> Option<f64> {
        let (rate, arrival) = match &self.fleet(fleet).model {
            Model::Open { rate, arrival, .. } => (rate, arrival),
            Model::Closed { .. } => return None,
            Model::Subscriber => return Some(0.0),
        };
        let dispersion = arrival.dispersion(*rate);
        dispersion.is_finite().then(|| (expected * dispersion).sqrt())
    }

    /// Expected readings per second of all open fleets, averaged over the measured phases.
    pub fn expected_rate(&self) -> f64 {
        let length = self.end().since(self.measuring_starts()) as f64 / 1e9;
        self.expected_in_all(self.measuring_starts(), self.end()) / length
    }

    /// Expected readings of all open fleets due from `from` to before `to`.
    pub fn expected_in_all(&self, from: Tick, to: Tick) -> f64 {
        let fleets = 0..self.fleets.len();
        fleets.filter_map(|fleet| self.expected_between(FleetId(fleet as u16), from, to)).sum()
    }

    /// An upper bound on the expected readings per second of all open fleets at any instant.
    pub fn peak_rate(&self) -> f64 {
        (0..self.fleets.len()).filter_map(|fleet| self.peak_rate_of(FleetId(fleet as u16))).sum()
    }

    /// The same of one fleet; `None` for a closed one.
    ///
    /// # Panics
    /// If `fleet` is not of this plan.
    pub(crate) fn peak_rate_of(&self, fleet: FleetId) -> Option<f64> {
        let (planned, fleet) = (&self.fleets[usize::from(fleet.0)], self.fleet(fleet));
        match &fleet.model {
            Model::Open { rate, recorded_rate, .. } => {
                let recorded_rate = recorded_rate.as_ref().map_or(1.0, |recorded_rate| recorded_rate.peak());
                let spikes = surge::peak(&self.faults, fleet, self.scenario.seed);
                Some(
                    rate.as_per_second()
                        * f64::from(fleet.devices)
                        * planned.load.peak()
                        * recorded_rate
                        * spikes,
                )
            }
            Model::Closed { .. } => None,
            Model::Subscriber => Some(0.0),
        }
    }

    /// Whether the devices of `fleet` hear the same, as far as the plan shows: they listen at one place, and present the same there.
    ///
    /// # Panics
    /// If `fleet` is not of this plan.
    pub(crate) fn hears_alike(&self, fleet: FleetId) -> bool {
        let fleet = self.fleet(fleet);
        let place = |index| {
            let device = Device::new(&fleet.device_model, index, Tick::ZERO, self.scenario.seed);
            let (format, run) = (&fleet.device_model.payload.format, RunFacts { epoch_ns: 0, token: None });
            let identity = fleet.identity(&Rendering { device: &device, format, run });
            (identity.reply_topic, identity.address, identity.headers)
        };
        fleet.devices == 1 || place(0) == place(1)
    }

    /// The fleets that `fleet` is to hear, by the pattern that it states.
    ///
    /// # Panics
    /// If `fleet` is not of this plan.
    pub(crate) fn heard_by(&self, fleet: FleetId) -> Vec<FleetId> {
        let fleet = self.fleet(fleet);
        let others = (0..).zip(&self.scenario.fleets);
        others.filter(|(_, other)| fleet.is_to_hear(other)).map(|(number, _)| FleetId(number)).collect()
    }

    /// The global index of the first device of `fleet`.
    pub(crate) fn first(&self, fleet: FleetId) -> u32 {
        self.fleets.get(usize::from(fleet.0)).map_or(0, |planned| planned.first)
    }

    /// The global index of the device with this name, if it is of this plan.
    pub fn find(&self, device: &str) -> Option<u32> {
        let (fleet, index) = device.rsplit_once('-')?;
        let at = self.scenario.fleets.binary_search_by(|own| own.name.as_str().cmp(fleet)).ok()?;
        let index: u32 = index.parse().ok()?;
        (index < self.scenario.fleets[at].devices).then(|| self.fleets[at].first + index)
    }

    /// What the scenario plans besides readings, in the order of time: joining, leaving, cut connections.
    pub fn events(&self) -> Vec<FleetEvent> {
        let fleets = self.scenario.fleets.iter().zip(&self.fleets);
        let mut events: Vec<FleetEvent> =
            fleets.flat_map(|(fleet, planned)| planned.presence.events(&fleet.name)).collect();
        events.sort_by(|one, other| (one.at, &one.fleet).cmp(&(other.at, &other.fleet)));
        events
    }

    /// Phases of the layout that are measured.
    pub fn measured_phases(&self) -> impl Iterator<Item = PhaseId> {
        let phases = self.layout.phases.iter().enumerate();
        phases.filter(|(_, phase)| phase.role == PhaseRole::Measured).map(|(nth, _)| PhaseId(nth as u16))
    }

    /// Hex SHA-256 of everything that shapes the plan; runs are comparable only if theirs agree. It does not
    /// depend on the order of the file, on its comments, target or reference settings, nor on workers.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Hex SHA-256 of everything that shapes the plan of one fleet, whatever other fleets there are.
    ///
    /// # Panics
    /// If `fleet` is not of this plan.
    pub fn fleet_digest(&self, fleet: FleetId) -> String {
        digest::of_fleet(self, fleet, self.fleets[usize::from(fleet.0)].first)
    }
}

/// The faults of a scenario in ticks of the run.
fn placed(scenario: &Scenario, timeline: &Timeline) -> Vec<Arc<Fault>> {
    let place =
        |schedule: Schedule| Schedule { start: timeline.measuring.plus_ns(schedule.start.0), ..schedule };
    let faults = scenario.faults.iter().cloned();
    faults.map(|fault| Arc::new(Fault { schedule: fault.schedule.map(place), ..fault })).collect()
}

/// The faults as records name them; no activation lasts beyond the plan.
fn fault_infos(faults: &[Arc<Fault>], fleets: &[FleetPlan], end: Tick) -> Vec<FaultInfo> {
    let infos = faults.iter().enumerate().map(|(nth, fault)| FaultInfo {
        name: fault.name.clone(),
        layer: fault.effect.layer().into(),
        kind: fault.kind.into(),
        cuts: fault.effect.cuts(),
        counted: fault.effect.is_counted(),
        fleets: (0..fleets.len())
            .filter(|at| fleets[*at].draws.get(nth).is_some_and(Option::is_some))
            .map(|at| FleetId(at as u16))
            .collect(),
        devices: fleets.iter().filter_map(|fleet| fleet.draws.get(nth)?.as_ref().map(Draw::hit)).sum(),
        activations: fault
            .schedule
            .iter()
            .flat_map(Schedule::activations)
            .map(|activation| (activation.start, activation.end.min(end)))
            .collect(),
    });
    infos.collect()
}

/// The law of the device with this index: a recording deals its instants out to the devices of a fleet.
fn of_device(process: &ArrivalProcess, index: u32) -> ArrivalProcess {
    match process {
        ArrivalProcess::Recorded { times, devices, .. } => {
            ArrivalProcess::Recorded { times: times.clone(), device: index, devices: *devices }
        }
        other => other.clone(),
    }
}

//! Faults that act on devices: when they are on for whom, by plan or by hand.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use rand::RngExt;

use super::control::FaultSwitch;
use super::device::Device;
use super::timer::Task;
use super::worker::{Stage, Worker};
use crate::clock::Tick;
use crate::fault::{self, Effect, Ending, Fault, Front, Mishap, Sensor, Timer, Weather};
use crate::fleet::Reading;
use crate::record::{AnomalyKind, ErrorKind, FaultId, Mark, Sink, Switch, SwitchLog};
use crate::scenario::{DevicePlan, Hit, Plan};
use crate::seed::{Seed, Stream};

/// Readings of a shifted level that count as anomalous; from then on the new level is normal.
const SETTLING: u32 = 10;

/// An instant at which a fault begins or ends by plan. What ends comes before what begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    at: Tick,
    on: bool,
    fault: u16,
    turn: u32,
}

/// A spell that is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spell {
    turn: u32,
    pub(super) since: Tick,
}

/// A fault as one worker holds it.
#[derive(Debug)]
struct Held {
    fault: Arc<Fault>,
    /// How often it acted on devices of this worker, in all and at the beginning of the present spell.
    tally: Rc<Cell<u64>>,
    before: Cell<u64>,
    /// Switched on by hand.
    live: Cell<Option<Spell>>,
    /// A planned spell that was ended by hand.
    ended: Cell<Option<u32>>,
    /// The planned spell that began last.
    begun: Cell<Option<u32>>,
    /// The planned spell whose beginning was logged, and whose end was not.
    open: Cell<Option<u32>>,
}

/// The faults of a worker's devices.
#[derive(Debug)]
pub(super) struct Faults {
    list: Vec<Held>,
    edges: RefCell<BinaryHeap<Reverse<Edge>>>,
    log: SwitchLog,
}

impl Faults {
    pub(super) fn new(plan: &Plan, log: SwitchLog) -> Self {
        let held = |fault: &Arc<Fault>| Held {
            fault: Arc::clone(fault),
            tally: Rc::default(),
            before: Cell::new(0),
            live: Cell::new(None),
            ended: Cell::new(None),
            begun: Cell::new(None),
            open: Cell::new(None),
        };
        let first = |(number, fault): (usize, &Arc<Fault>)| {
            let schedule = fault.schedule.filter(|_| fault.effect.by_device())?;
            let (at, _) = schedule.spell(0)?;
            Some(Reverse(Edge { at, on: true, fault: number as u16, turn: 0 }))
        };
        Self {
            list: plan.faults().iter().map(held).collect(),
            edges: RefCell::new(plan.faults().iter().enumerate().filter_map(first).collect()),
            log,
        }
    }

    /// When the next fault begins or ends by plan.
    pub(super) fn next(&self) -> Tick {
        self.edges.borrow().peek().map_or(Tick::FAR, |Reverse(edge)| edge.at)
    }

    fn pop_due(&self, now: Tick) -> Option<Edge> {
        let mut edges = self.edges.borrow_mut();
        let Reverse(edge) = *edges.peek().filter(|Reverse(edge)| edge.at <= now)?;
        edges.pop();
        let schedule = self.list.get(usize::from(edge.fault))?.fault.schedule?;
        if edge.on {
            if let Some((_, until)) = schedule.spell(edge.turn) {
                edges.push(Reverse(Edge { at: until, on: false, ..edge }));
            }
            if let Some((from, _)) = schedule.spell(edge.turn + 1) {
                edges.push(Reverse(Edge { at: from, turn: edge.turn + 1, ..edge }));
            }
        }
        Some(edge)
    }

    /// The spell of the fault that is on at `at` for a device that it hits.
    fn spell(&self, hit: Hit, at: Tick) -> Option<Spell> {
        let held = self.list.get(usize::from(hit.fault))?;
        if let Some(live) = held.live.get().filter(|live| live.since <= at) {
            return Some(live);
        }
        let schedule = held.fault.schedule?;
        let turn = schedule.on_at(at, hit.late_ns).filter(|turn| held.ended.get() != Some(*turn))?;
        let (from, _) = schedule.spell(turn)?;
        Some(Spell { turn, since: from.plus_ns(hit.late_ns) })
    }

    /// The faults that are on at `at` for a device with these hits.
    fn active(&self, hits: &[Hit], at: Tick) -> impl Iterator<Item = (&Held, Hit, Spell)> {
        hits.iter().filter_map(move |hit| {
            Some((self.list.get(usize::from(hit.fault))?, *hit, self.spell(*hit, at)?))
        })
    }

    /// Whether any of these has an effect that is `wanted`.
    pub(super) fn any(&self, hits: &[Hit], wanted: fn(&Effect) -> bool) -> bool {
        hits.iter().any(|hit| {
            let held = self.list.get(usize::from(hit.fault));
            held.is_some_and(|held| wanted(&held.fault.effect))
        })
    }

    /// Whether a hand has ended the planned spell that began last.
    pub(super) fn was_stopped(&self, number: u16) -> bool {
        let held = self.list.get(usize::from(number));
        held.is_none_or(|held| held.ended.get().is_some() && held.ended.get() == held.begun.get())
    }

    fn note(&self, number: u16, spell: (u32, bool), planned: Option<Tick>, at: Tick, devices: u32) {
        let Some(held) = self.list.get(usize::from(number)) else { return };
        let (turn, on) = spell;
        let acted = if on { 0 } else { held.tally.get() - held.before.get() };
        if on {
            held.before.set(held.tally.get());
        }
        let fault = FaultId(number);
        self.log.note(Switch { fault, turn, on, planned, at, devices, acted, remark: None });
    }
}

impl<S: Sink> Worker<S> {
    /// Begins and ends what is due by plan.
    pub(super) fn turn_faults(&self, now: Tick) {
        while let Some(edge) = self.faults.pop_due(now) {
            let Some(held) = self.faults.list.get(usize::from(edge.fault)) else { continue };
            if !edge.on && held.ended.get() == Some(edge.turn) {
                continue;
            }
            if edge.on {
                held.begun.set(Some(edge.turn));
            }
            held.open.set(edge.on.then_some(edge.turn));
            let devices = self.switch(edge.fault, edge.on, edge.at, now);
            self.faults.note(edge.fault, (edge.turn, edge.on), Some(edge.at), now, devices);
        }
    }

    /// Switches a fault by hand.
    pub(super) fn pull(&self, switch: FaultSwitch, now: Tick) {
        let number = switch.fault.0;
        let Some(held) = self.faults.list.get(usize::from(number)) else { return };
        // Once the end has begun everything stays mended.
        if self.stage() != Stage::Running {
            return;
        }
        if switch.on {
            held.live.set(Some(Spell { turn: switch.turn, since: now }));
        } else if held.live.get().is_some_and(|live| live.turn == switch.turn) {
            held.live.set(None);
        } else if held.open.get() == Some(switch.turn) {
            held.ended.set(held.open.take());
        } else {
            // It is over already.
            return;
        }
        let devices = self.switch(number, switch.on, now, now);
        self.faults.note(number, (switch.turn, switch.on), None, now, devices);
    }

    /// Ends everything that is on: nothing may keep what is open from being settled.
    pub(super) fn heal(&self, now: Tick) {
        self.faults.edges.borrow_mut().clear();
        for (number, held) in self.faults.list.iter().enumerate() {
            let number = number as u16;
            let planned = held.open.take();
            held.ended.set(planned.or(held.ended.get()));
            let live = held.live.take();
            for (turn, end) in planned
                .map(|turn| {
                    (turn, held.fault.schedule.and_then(|when| when.spell(turn)).map(|(_, until)| until))
                })
                .into_iter()
                .chain(live.map(|live| (live.turn, None)))
            {
                let devices = self.switch(number, false, now, now);
                self.faults.note(number, (turn, false), end, now, devices);
            }
        }
    }

    /// Lets the devices that the fault hits feel that it began or ended at `from`; gives their number.
    fn switch(&self, number: u16, on: bool, from: Tick, now: Tick) -> u32 {
        let mut devices = 0;
        let by_hand = self.faults.list.get(usize::from(number)).is_some_and(|held| held.live.get().is_some());
        for device in &self.devices {
            let hit = device.hits.iter().find(|hit| hit.fault == number).copied();
            let Some(hit) = hit else { continue };
            devices += 1;
            if on && hit.late_ns > 0 && !by_hand {
                self.schedule(from.plus_ns(hit.late_ns), device, Task::Strike(number));
            } else {
                self.strike(device, number, on, now);
            }
        }
        devices
    }

    /// Lets one device feel that a fault that hits it began or ended.
    pub(super) fn strike(&self, device: &Device, number: u16, on: bool, now: Tick) {
        let Some(held) = self.faults.list.get(usize::from(number)) else { return };
        match held.fault.effect {
            Effect::Device(Mishap::Disconnect { ending }) if on => device.struck.set(Some(ending)),
            // One that comes late may find it ended by hand.
            Effect::Device(Mishap::Offline { ending }) if on && self.is_offline(device, now) => {
                device.struck.set(Some(ending));
                device.policy.ground();
            }
            Effect::Device(Mishap::Offline { .. })
                if device.policy.is_grounded() && !self.is_offline(device, now) =>
            {
                self.come_back(device, now);
            }
            Effect::Network(_) | Effect::Message(_) => self.refresh(device, now),
            _ => return,
        }
        device.wake();
    }

    /// Lets a device connect again, by its back-off.
    pub(super) fn come_back(&self, device: &Device, now: Tick) {
        let wait = device.plan.borrow_mut().backoff(0);
        let at = now.plus_ns(wait.as_ns());
        device.policy.release(at);
        self.schedule(at, device, Task::Wake);
    }

    /// Whether a fault keeps the device away.
    pub(super) fn is_offline(&self, device: &Device, now: Tick) -> bool {
        self.faults
            .active(&device.hits, now)
            .any(|(held, ..)| matches!(held.fault.effect, Effect::Device(Mishap::Offline { .. })))
    }

    fn refresh(&self, device: &Device, now: Tick) {
        let Some(weather) = &device.weather else { return };
        let fronts =
            self.faults.active(&device.hits, now).filter(|(held, ..)| held.fault.effect.on_connections());
        let fronts = fronts.map(|(held, hit, spell)| Front {
            fault: Arc::clone(&held.fault),
            number: hit.fault,
            turn: spell.turn,
            since: spell.since,
            tally: Rc::clone(&held.tally),
        });
        weather.set(fronts.collect());
    }

    /// Lets the sensors of a device misbehave, if a fault wants them to.
    pub(super) fn misread(&self, device: &Device, reading: &mut Reading) {
        for (held, hit, spell) in self.faults.active(&device.hits, reading.intended) {
            let Effect::Device(Mishap::Sensor { trouble, size }) = held.fault.effect else { continue };
            let mut ailments = device.ailments.borrow_mut();
            let episodes = ailments.iter().map(|ailment| ailment.episode).max().unwrap_or(EPISODES);
            let place = ailments.iter().position(|ailment| ailment.fault == hit.fault);
            let place = place.unwrap_or_else(|| {
                ailments.push(Ailment::of(hit.fault));
                ailments.len() - 1
            });
            let Some(ailment) = ailments.get_mut(place) else { continue };
            let fresh = ailment.spell.replace(spell) != Some(spell);
            if fresh {
                (ailment.episode, ailment.readings) = (episodes + 1, 0);
            }
            ailment.readings += 1;
            let age_s = reading.intended.since(spell.since) as f64 / 1e9;
            let mut stream = self.draw(device, &held.fault.name, reading.seq);
            ailment.held.show(trouble, size, (age_s, fresh), &mut stream, reading.values.as_mut_slice());
            let kind = match trouble {
                Sensor::Stuck => AnomalyKind::Stuck,
                Sensor::Drift => AnomalyKind::Drift,
                Sensor::Shift => AnomalyKind::Shift,
                Sensor::Noise => AnomalyKind::Variance,
            };
            if kind != AnomalyKind::Shift || ailment.readings <= SETTLING {
                let episode = ailment.episode;
                reading.mark = reading.mark.or(Some(Mark { kind, episode, onset: fresh }));
            }
        }
    }

    /// By how much the device's clock is ahead at `at`, nanoseconds.
    pub(super) fn skew_ns(&self, device: &Device, at: Tick) -> i64 {
        let skews =
            self.faults.active(&device.hits, at).filter_map(|(held, _, spell)| match held.fault.effect {
                Effect::Device(Mishap::ClockSkew { offset_ns, drift_ppm }) => {
                    let drift = drift_ppm / 1e6 * at.since(spell.since) as f64;
                    Some(offset_ns.saturating_add(drift as i64))
                }
                _ => None,
            });
        skews.fold(0, i64::saturating_add)
    }

    /// Damages the payload of a reading, if a fault wants it.
    pub(super) fn damage(&self, device: &Device, reading: &Reading, payload: &mut Vec<u8>) {
        for (held, ..) in self.faults.active(&device.hits, reading.intended) {
            let Effect::Device(Mishap::Payload { damage, chance, size }) = held.fault.effect else {
                continue;
            };
            let mut stream = self.draw(device, &held.fault.name, reading.seq);
            if stream.random::<f64>() < chance {
                fault::damage(damage, size, &mut stream, payload);
                held.tally.set(held.tally.get() + 1);
            }
        }
    }

    /// The random stream of one fault for one reading.
    fn draw(&self, device: &Device, fault: &str, seq: u64) -> Stream {
        let fleet = &self.plan.fleet(device.fleet).name;
        let index = u64::from(device.plan.borrow().index) << 40 ^ seq;
        self.plan.scenario().seed.stream(&format!("fault/{fault}/reading/{fleet}"), index)
    }
}

/// Numbers of anomalies that come by faults begin beyond those of the signal.
const EPISODES: u32 = 1_000_000;

/// What a device's sensors remember of one fault.
#[derive(Debug)]
pub(super) struct Ailment {
    fault: u16,
    held: fault::Held,
    spell: Option<Spell>,
    /// Number of the present spell among all of the device.
    episode: u32,
    /// Readings since the present spell began.
    readings: u32,
}

impl Ailment {
    fn of(fault: u16) -> Self {
        Self { fault, held: fault::Held::default(), spell: None, episode: EPISODES, readings: 0 }
    }
}

/// The connection of a device that faults can reach.
pub(super) fn weather<S: Sink>(
    worker: &Weak<Worker<S>>,
    plan: &Plan,
    slot: u32,
    device: &DevicePlan,
) -> Rc<Weather> {
    let bell = Rc::new(Bell { worker: worker.clone() });
    // A seed of the fleet's own: what befalls its devices must not depend on which other fleets there are.
    let label = format!("fault/fleet/{}", plan.fleet(device.fleet).name);
    let seed = Seed(plan.scenario().seed.stream(&label, 0).random());
    Rc::new(Weather::new(bell, slot, seed, device.index))
}

/// Wakes a device when bytes or messages that were held are due.
struct Bell<S> {
    worker: Weak<Worker<S>>,
}

impl<S: Sink> Timer for Bell<S> {
    fn now(&self) -> Tick {
        self.worker.upgrade().map_or(Tick::ZERO, |worker| worker.clock.now())
    }

    fn wake_at(&self, at: Tick, who: u32) {
        let Some(worker) = self.worker.upgrade() else { return };
        let Some(device) = worker.devices.get(who as usize) else { return };
        // Whoever asks asks once: an earlier entry of another would not do. Only what is asked twice in a row is one.
        if device.bell_at.replace(Some(at)) != Some(at) {
            worker.schedule(at, device, Task::Wake);
        }
    }
}

/// How a connection that a fault cuts ends, as an error of what was under way on it.
pub(super) const fn error_of(ending: Ending) -> ErrorKind {
    match ending {
        Ending::Fin => ErrorKind::Closed,
        Ending::Reset => ErrorKind::Reset,
    }
}

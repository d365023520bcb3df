//! Faults of the service on purpose: which are on, what they come to together, and how often each acted.
//!
//! Overlaps compose by law: factors multiply, delays add, capacities take the least, each chance is drawn apart (so that together they
//! are 1 − ∏(1 − p)), and of the others one is enough. What several would do alike is done once, and counted for the one
//! that was switched on first; what each adds to (a factor, a delay) is counted for each.

mod order;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rand::RngExt;
use serde_json::{Map, Value};
use tokio::sync::Notify;

pub(super) use self::order::{Order, name};
use crate::clock::Tick;
use crate::fault::ServiceFault;
use crate::seed::Stream;
use crate::service::FaultKind;

/// Faults that may be on at a time.
const MOST: usize = 64;
/// Faults that ended by themselves and are remembered until somebody stops them.
const MOST_OVER: usize = 64;
/// Largest product of factors.
const LARGEST_FACTOR: f64 = 1e6;

const KINDS: usize = FaultKind::ALL.len();

/// A fault that is on, or was.
#[derive(Debug)]
pub(super) struct Fault {
    name: String,
    kind: FaultKind,
    effect: ServiceFault,
    seed: u64,
    since: Tick,
    lasts_ns: Option<u64>,
    acted: u64,
    /// Draws, one for each thing that it may strike.
    stream: Stream,
}

impl Fault {
    fn new(order: Order, now: Tick) -> Self {
        let Order { name, kind, effect, seed, lasts } = order;
        // By its name too: two of a kind with the seed of the same run draw apart.
        let stream = seed.stream(&format!("reference/fault/{}/{name}", kind.name()), 0);
        let lasts_ns = lasts.map(crate::units::Span::as_ns);
        Self { name, kind, effect, seed: seed.0, since: now, lasts_ns, acted: 0, stream }
    }

    fn until(&self) -> Option<Tick> {
        self.lasts_ns.map(|lasts| self.since.plus_ns(lasts))
    }

    /// Draws whether it strikes.
    fn draw(&mut self) -> bool {
        match self.effect {
            ServiceFault::Errors { chance }
            | ServiceFault::Overload { chance, .. }
            | ServiceFault::VerdictDrop { chance }
            | ServiceFault::VerdictDuplicate { chance } => self.stream.random::<f64>() < chance,
            _ => true,
        }
    }

    /// As `/v1/faults` lists it.
    pub(super) fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("name".into(), self.name.as_str().into());
        object.insert("kind".into(), self.kind.name().into());
        for (name, value) in order::values(&self.effect) {
            object.insert(name.into(), number(value));
        }
        object.insert("seed".into(), self.seed.into());
        object.insert("since_ms".into(), (self.since.0 / 1_000_000).into());
        if let Some(lasts) = self.lasts_ns {
            object.insert("for_ms".into(), number(lasts as f64 / 1e6));
        }
        object.insert("acted".into(), self.acted.into());
        Value::Object(object)
    }

    /// How often it acted.
    pub(super) const fn acted(&self) -> u64 {
        self.acted
    }

    /// Its kind and parameters, for people.
    fn description(&self) -> String {
        let values = order::values(&self.effect).into_iter();
        values.fold(self.kind.name().to_owned(), |text, (name, value)| format!("{text}, {name} {value}"))
    }
}

/// A number as JSON has it: whole ones without a point.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 9e15 { (value as i64).into() } else { value.into() }
}

/// What becomes of a verdict on its way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    Once,
    Never,
    Twice,
}

/// A fault that is on, for health and metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ActiveFault {
    pub(super) name: String,
    pub(super) kind: FaultKind,
    /// The sentence for health.
    pub(super) sentence: String,
}

/// As many as may be on are on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

#[derive(Debug, Default)]
struct State {
    /// In the order in which they were switched on.
    on: Vec<Fault>,
    over: VecDeque<Fault>,
}

/// All faults of a service.
#[derive(Debug, Default)]
pub(super) struct FaultRegistry {
    /// One bit for each kind of which any is on: all that is looked at while none is.
    on: AtomicU32,
    /// Acts by kind, since the service started.
    acts: [AtomicU64; KINDS],
    state: Mutex<State>,
    /// When the next one is to be undone may have changed.
    pub(super) changed: Notify,
}

impl FaultRegistry {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that could panic is called under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a fault of `kind` is on.
    pub(super) fn is_on(&self, kind: FaultKind) -> bool {
        self.on.load(Ordering::Relaxed) & bit(kind) != 0
    }

    /// Whether any fault of `kinds` is on.
    fn is_any_on(&self, kinds: &[FaultKind]) -> bool {
        let on = self.on.load(Ordering::Relaxed);
        on != 0 && kinds.iter().any(|kind| on & bit(*kind) != 0)
    }

    fn note_what_is_on(&self, state: &State) {
        self.on.store(state.on.iter().fold(0, |on, fault| on | bit(fault.kind)), Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// Switches a fault on; one of the same name gives way. One that happens at an instant acted `acted` times by that, and
    /// is over. Gives it as JSON.
    ///
    /// # Errors
    /// If as many as may be on are on.
    pub(super) fn begin(&self, order: Order, now: Tick, acted: u64) -> Result<Value, Full> {
        let mut state = self.state();
        let lasts = !order.effect.is_instant();
        let replaced = state.on.iter().position(|fault| fault.name == order.name);
        if lasts && replaced.is_none() && state.on.len() >= MOST {
            return Err(Full);
        }
        if let Some(place) = replaced {
            say_end(&state.on.remove(place), "another of its name begins");
        }
        state.over.retain(|fault| fault.name != order.name);
        let mut fault = Fault::new(order, now);
        fault.acted = acted;
        tracing::info!(fault = fault.name, what = fault.description(), seed = fault.seed, "a fault begins");
        let begun = fault.to_json();
        self.note_acts(fault.kind, acted);
        if lasts {
            state.on.push(fault);
        } else {
            state.remember(fault);
        }
        self.note_what_is_on(&state);
        Ok(begun)
    }

    /// Switches a fault off; also gives one that has ended by itself, once.
    pub(super) fn end(&self, name: &str) -> Option<Fault> {
        let mut state = self.state();
        if let Some(place) = state.on.iter().position(|fault| fault.name == name) {
            let fault = state.on.remove(place);
            self.note_what_is_on(&state);
            say_end(&fault, "asked for");
            return Some(fault);
        }
        let place = state.over.iter().position(|fault| fault.name == name)?;
        state.over.remove(place)
    }

    /// Switches all faults off; gives those that were on.
    pub(super) fn end_all(&self) -> Vec<Fault> {
        let mut state = self.state();
        state.over.clear();
        let ended = std::mem::take(&mut state.on);
        self.note_what_is_on(&state);
        for fault in &ended {
            say_end(fault, "asked for");
        }
        ended
    }

    /// Switches those off whose time is up; whether there were any, and when the next one's is.
    pub(super) fn expire(&self, now: Tick) -> (bool, Option<Tick>) {
        let mut state = self.state();
        let is_over = |fault: &mut Fault| fault.until().is_some_and(|until| until <= now);
        let over: Vec<Fault> = state.on.extract_if(.., is_over).collect();
        let any = !over.is_empty();
        for fault in over {
            say_end(&fault, "its time is up");
            state.remember(fault);
        }
        if any {
            self.note_what_is_on(&state);
        }
        (any, state.on.iter().filter_map(Fault::until).min())
    }

    /// Those that are on.
    pub(super) fn to_json(&self) -> Value {
        self.state().on.iter().map(Fault::to_json).collect()
    }

    /// Those that are on, for health and metrics.
    pub(super) fn active(&self, now: Tick) -> Vec<ActiveFault> {
        if self.on.load(Ordering::Relaxed) == 0 {
            return Vec::new();
        }
        let sign = |fault: &Fault| {
            let (name, what) = (&fault.name, fault.description());
            let seconds = now.since(fault.since) as f64 / 1e9;
            let sentence =
                format!("the fault `{name}` ({what}) has been on for {seconds:.1} s; none should be");
            ActiveFault { name: name.clone(), kind: fault.kind, sentence }
        };
        self.state().on.iter().map(sign).collect()
    }

    /// How often faults of `kind` acted since the service started.
    pub(super) fn acts(&self, kind: FaultKind) -> u64 {
        self.acts[kind as usize].load(Ordering::Relaxed)
    }

    fn note_acts(&self, kind: FaultKind, count: u64) {
        self.acts[kind as usize].fetch_add(count, Ordering::Relaxed);
    }

    /// The first fault of `kind` that strikes now; it is counted. Each that is on draws, whoever strikes: what one draws does
    /// not hang on the others.
    fn strike<T>(&self, kind: FaultKind, what: impl Fn(&ServiceFault) -> T) -> Option<T> {
        if !self.is_on(kind) {
            return None;
        }
        let mut struck = None;
        for fault in self.state().on.iter_mut().filter(|fault| fault.kind == kind) {
            if fault.draw() && struck.is_none() {
                fault.acted += 1;
                struck = Some(what(&fault.effect));
            }
        }
        self.note_acts(kind, u64::from(struck.is_some()));
        struck
    }

    /// Whether a fault of `kind` strikes now; it is counted.
    pub(super) fn strikes(&self, kind: FaultKind) -> bool {
        self.strike(kind, |_| ()).is_some()
    }

    /// Whether a reading is refused as by an overloaded service: when to try again, milliseconds.
    pub(super) fn overload(&self) -> Option<u64> {
        self.strike(FaultKind::Overload, |effect| match effect {
            ServiceFault::Overload { retry_after, .. } => retry_after.as_ns().div_ceil(1_000_000),
            _ => 0,
        })
    }

    /// Sums up all faults of `kind`, and counts each.
    fn fold(&self, kind: FaultKind, start: f64, add: impl Fn(f64, &ServiceFault) -> f64) -> f64 {
        if !self.is_on(kind) {
            return start;
        }
        let mut count = 0;
        let mut state = self.state();
        let faults = state.on.iter_mut().filter(|fault| fault.kind == kind);
        let sum = faults.fold(start, |sum, fault| {
            fault.acted += 1;
            count += 1;
            add(sum, &fault.effect)
        });
        self.note_acts(kind, count);
        sum
    }

    /// What the cost of an inference is multiplied by, at the most a million; counted.
    pub(super) fn slowdown(&self) -> f64 {
        let product = self.fold(FaultKind::Slow, 1.0, |product, effect| match effect {
            ServiceFault::Slow { factor } => product * factor,
            _ => product,
        });
        product.min(LARGEST_FACTOR)
    }

    /// What becomes of a verdict, and after how many nanoseconds; counted. Where one cannot be sent twice, none is drawn for it.
    pub(super) fn delivery(&self, may_repeat: bool) -> (Delivery, u64) {
        use FaultKind::{VerdictDelay, VerdictDrop, VerdictDuplicate};
        if !self.is_any_on(&[VerdictDrop, VerdictDelay, VerdictDuplicate]) {
            return (Delivery::Once, 0);
        }
        if self.strikes(VerdictDrop) {
            return (Delivery::Never, 0);
        }
        let twice = may_repeat && self.strikes(VerdictDuplicate);
        let delay = self.fold(VerdictDelay, 0.0, |delay, effect| match effect {
            ServiceFault::VerdictDelay { delay: more } => delay + more.as_ns() as f64,
            _ => delay,
        });
        (if twice { Delivery::Twice } else { Delivery::Once }, delay as u64)
    }

    /// By how many nanoseconds something that comes from another instance is late; counted.
    pub(super) fn bus_delay(&self) -> u64 {
        let delay = self.fold(FaultKind::BusDelay, 0.0, |delay, effect| match effect {
            ServiceFault::BusDelay { delay: more } => delay + more.as_ns() as f64,
            _ => delay,
        });
        delay as u64
    }

    /// Readings that may wait, if a fault says so.
    pub(super) fn capacity(&self) -> Option<usize> {
        if !self.is_on(FaultKind::QueueShrink) {
            return None;
        }
        let state = self.state();
        let capacities = state.on.iter().filter_map(|fault| match fault.effect {
            ServiceFault::QueueShrink { capacity } => Some(capacity as usize),
            _ => None,
        });
        capacities.min()
    }
}

impl State {
    fn remember(&mut self, fault: Fault) {
        if self.over.len() >= MOST_OVER {
            self.over.pop_front();
        }
        self.over.push_back(fault);
    }
}

const fn bit(kind: FaultKind) -> u32 {
    1 << kind as u32
}

fn say_end(fault: &Fault, why: &'static str) {
    tracing::info!(fault = fault.name, kind = fault.kind.name(), acted = fault.acted, why, "a fault ends");
}

#[cfg(test)]
mod tests;

//! Faults for the sessions' tests: that come and go by hand, under a clock set by hand.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use super::super::Identity;
use crate::clock::Tick;
use crate::fault::{Action, Delay, DelayLaw, Effect, Fault, MessageKind, Tampering};
use crate::net::{ActiveFault, ConnectionFaults, EngineTimer};
use crate::seed::Seed;
use crate::units::Span;

/// A clock set by hand, which remembers when it was asked to wake somebody.
#[derive(Debug, Default)]
struct Dial {
    now: Cell<Tick>,
    wakes: RefCell<Vec<Tick>>,
}

impl EngineTimer for Dial {
    fn now(&self) -> Tick {
        self.now.get()
    }

    fn wake_at(&self, at: Tick, _: u32) {
        self.wakes.borrow_mut().push(at);
    }
}

/// The faults of one device.
pub(in crate::protocol) struct FaultHarness {
    dial: Rc<Dial>,
    faults: Rc<ConnectionFaults>,
    activations: Cell<u32>,
}

impl FaultHarness {
    pub(in crate::protocol) fn new() -> Self {
        let dial = Rc::new(Dial::default());
        let timer: Rc<dyn EngineTimer> = Rc::<Dial>::clone(&dial);
        Self { dial, faults: Rc::new(ConnectionFaults::new(timer, 0, Seed(1), 0)), activations: Cell::new(0) }
    }

    /// The device `d`, under this harness.
    pub(in crate::protocol) fn identity(&self) -> Identity {
        Identity { faults: Some(Rc::clone(&self.faults)), ..Identity::of("d") }
    }

    pub(in crate::protocol) fn set_clock(&self, ns: u64) {
        self.dial.now.set(Tick(ns));
    }

    /// When somebody wanted to be woken, since the last call.
    pub(in crate::protocol) fn take_wakes(&self) -> Vec<u64> {
        self.dial.wakes.take().into_iter().map(|at| at.0).collect()
    }

    /// From now on only this acts; gives how often it does.
    pub(in crate::protocol) fn bring(&self, tampering: Tampering) -> Rc<Cell<u64>> {
        let occurrence = self.activations.replace(self.activations.get() + 1);
        let fault = Fault {
            name: "fault".to_owned(),
            kind: "drop",
            schedule: None,
            fleets: Vec::new(),
            share: 1.0,
            ramp_ns: 0,
            new_only: false,
            effect: Effect::Message(tampering),
        };
        let tally = Rc::<Cell<u64>>::default();
        let since = self.dial.now.get();
        let front =
            ActiveFault { fault: Arc::new(fault), number: 0, occurrence, since, tally: Rc::clone(&tally) };
        self.faults.set(vec![front]);
        tally
    }

    /// Nothing acts any more.
    pub(in crate::protocol) fn clear(&self) {
        self.faults.set(Vec::new());
    }
}

/// `act` on one message of `kind` in `nth`.
pub(in crate::protocol) fn every(nth: u64, kind: MessageKind, act: Action) -> Tampering {
    Tampering { message: kind, act, skip: 0, nth, chance: 1.0, most: None }
}

pub(in crate::protocol) fn later(ns: u64) -> Action {
    Action::Delay(Delay { law: DelayLaw::Constant(Span::from_ns(ns)), correlation: 0.0 })
}

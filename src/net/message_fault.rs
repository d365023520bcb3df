//! What message faults do to single messages: a pure decision for each, by counts that a device keeps through all its
//! connections.

use std::rc::Rc;

use rand::Rng as _;

use super::active_fault::ActiveFault;
use super::connection_fault::ConnectionFaults;
use super::toxic::Lag;
use crate::clock::Tick;
use crate::fault::{Action, Effect, MessageKind, Tampering};
use crate::seed::Stream;

/// What is to happen to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Nothing out of the ordinary.
    Pass,
    /// It vanishes.
    Drop,
    /// It comes twice.
    Duplicate,
    /// It comes so many nanoseconds later, and may be overtaken.
    Delay(u64),
    /// It waits for later ones to overtake it.
    Hold {
        /// How many, at least 1.
        depth: u32,
        /// It waits no longer than this is on.
        activation: Activation,
    },
}

/// One activation of one fault, for one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Activation {
    number: u16,
    occurrence: u32,
}

impl Activation {
    const fn of(one: &ActiveFault) -> Self {
        Self { number: one.number, occurrence: one.occurrence }
    }
}

/// What the faults of a device do to the messages of one connection. Costs the comparison of two numbers as long as nothing
/// changes and nothing acts.
#[derive(Debug, Clone)]
pub(crate) struct MessageFaults {
    faults: Rc<ConnectionFaults>,
    /// When the connection was begun.
    born: Tick,
    /// The version of the faults that `kinds` was made from.
    version: u32,
    /// Bit k: something acts on messages of the kind number k.
    kinds: u8,
}

impl MessageFaults {
    /// For a connection that is begun now.
    pub(crate) fn new(faults: Rc<ConnectionFaults>) -> Self {
        let born = faults.now();
        Self { faults, born, version: 0, kinds: 0 }
    }

    /// Whether something may act on messages of `kind`.
    pub(crate) fn touches(&mut self, kind: MessageKind) -> bool {
        let version = self.faults.version();
        if version != self.version {
            let mut message_state = self.faults.message_state().borrow_mut();
            message_state.refresh(&self.faults);
            self.kinds = message_state.kinds(self.born);
            self.version = version;
        }
        self.kinds & bit(kind) != 0
    }

    /// Decides about the next message of `kind`, where only what is `able` can be done to it. Every tampering that is meant for
    /// it is asked, in the order of the plan. A drop wins over everything; otherwise the first that acts does, and if that is a
    /// delay, all delays add up. Only what is done is counted.
    pub(crate) fn decide(&mut self, kind: MessageKind, able: fn(&Action) -> bool) -> Decision {
        if !self.touches(kind) {
            return Decision::Pass;
        }
        self.faults.message_state().borrow_mut().decide(kind, self.born, able)
    }

    /// Whether the activation has not ended.
    pub(crate) fn is_on(&self, activation: Activation) -> bool {
        let mut message_state = self.faults.message_state().borrow_mut();
        message_state.refresh(&self.faults);
        message_state.rules.iter().any(|rule| rule.on && Activation::of(&rule.one) == activation)
    }

    /// The present instant.
    pub(crate) fn now(&self) -> Tick {
        self.faults.now()
    }

    /// The present instant and `wait_ns`, at which the driver of the connection will poll it.
    pub(crate) fn wake_after(&self, wait_ns: u64) -> Tick {
        let at = self.faults.now().plus_ns(wait_ns);
        self.faults.wake_at(at);
        at
    }
}

const fn bit(kind: MessageKind) -> u8 {
    1 << kind as u8
}

/// What the message faults of one device have done, by activation.
#[derive(Debug, Default)]
pub(super) struct MessageFaultState {
    version: u32,
    /// In the order of the plan.
    rules: Vec<RuleState>,
}

impl MessageFaultState {
    /// Takes over what acts at present. Counts of an activation stay until the next one of its fault, for a one may be away for a
    /// moment.
    fn refresh(&mut self, faults: &ConnectionFaults) {
        if self.version == faults.version() {
            return;
        }
        self.version = faults.version();
        for rule in &mut self.rules {
            rule.on = false;
        }
        for one in faults.active() {
            if !matches!(one.fault.effect, Effect::Message(_)) {
                continue;
            }
            let activation = Activation::of(&one);
            if let Some(rule) = self.rules.iter_mut().find(|rule| Activation::of(&rule.one) == activation) {
                (rule.one, rule.on) = (one, true);
                continue;
            }
            self.rules.retain(|rule| rule.on || rule.one.number != activation.number);
            self.rules.push(RuleState::new(one, faults));
        }
        self.rules.sort_by_key(|rule| (rule.one.number, rule.one.occurrence));
    }

    /// The kinds of messages that something acts on, of a connection begun at `born`.
    fn kinds(&self, born: Tick) -> u8 {
        let acting = self.rules.iter().filter(|rule| rule.concerns(born));
        acting.filter_map(RuleState::tampering).fold(0, |kinds, tampering| kinds | bit(tampering.message))
    }

    fn decide(&mut self, kind: MessageKind, born: Tick, able: fn(&Action) -> bool) -> Decision {
        let mut acting: Option<(usize, Action)> = None;
        let mut delaying = Vec::new();
        for (place, rule) in self.rules.iter_mut().enumerate() {
            let Some(act) = rule.wants(kind, born).filter(able) else { continue };
            let first = acting.as_ref().map(|(_, act)| act);
            match (first, &act) {
                (Some(Action::Drop), _) => {}
                (None, _) | (Some(_), Action::Drop) => acting = Some((place, act)),
                (Some(Action::Delay(_)), Action::Delay(_)) => delaying.push(place),
                _ => {}
            }
        }
        let Some((place, act)) = acting else { return Decision::Pass };
        if !matches!(act, Action::Delay(_)) {
            delaying.clear();
        }
        delaying.push(place);
        let (mut delay_ns, mut activation) = (0_u64, None);
        for place in delaying {
            if let Some(rule) = self.rules.get_mut(place) {
                rule.count();
                delay_ns = delay_ns.saturating_add(rule.delay_ns());
                activation = Some(Activation::of(&rule.one));
            }
        }
        match (act, activation) {
            (Action::Drop, _) => Decision::Drop,
            (Action::Duplicate, _) => Decision::Duplicate,
            (Action::Delay(_), _) => Decision::Delay(delay_ns),
            (Action::Reorder { depth }, Some(activation)) => {
                Decision::Hold { depth: depth.max(1), activation }
            }
            (Action::Reorder { .. }, None) => Decision::Pass,
        }
    }
}

/// One activation of one message fault.
#[derive(Debug)]
struct RuleState {
    one: ActiveFault,
    on: bool,
    /// Messages of its kind so far.
    seen: u64,
    /// Those it acted on.
    acted: u64,
    stream: Box<Stream>,
    lag: Option<Box<Lag>>,
}

impl RuleState {
    fn new(one: ActiveFault, faults: &ConnectionFaults) -> Self {
        let stream = |what| faults.stream(&one.fault.name, what, one.occurrence);
        let lag = match &one.fault.effect {
            Effect::Message(Tampering { act: Action::Delay(delay), .. }) => {
                Some(Box::new(Lag::new(delay.clone(), stream("message delay"))))
            }
            _ => None,
        };
        let stream = Box::new(stream("message"));
        Self { one, on: true, seen: 0, acted: 0, stream, lag }
    }

    fn tampering(&self) -> Option<&Tampering> {
        match &self.one.fault.effect {
            Effect::Message(tampering) => Some(tampering),
            _ => None,
        }
    }

    /// Whether it acts on connections begun at `born`.
    fn concerns(&self, born: Tick) -> bool {
        self.on && (!self.one.fault.new_only || self.one.since <= born)
    }

    /// Lets a message pass by; what is to be done to it, if anything.
    fn wants(&mut self, kind: MessageKind, born: Tick) -> Option<Action> {
        if !self.concerns(born) {
            return None;
        }
        let tampering = self.tampering().filter(|tampering| tampering.message == kind)?;
        let Tampering { act, skip, nth, chance, most, .. } = tampering.clone();
        let past = self.seen.checked_sub(skip);
        self.seen += 1;
        let chosen = (past? + 1).is_multiple_of(nth.max(1)) && most.is_none_or(|most| self.acted < most);
        (chosen && self.strikes(chance)).then_some(act)
    }

    /// Draws with probability `chance`, from the 53 bits a fraction below 1 can show; certainty draws nothing.
    fn strikes(&mut self, chance: f64) -> bool {
        const STEPS: f64 = (1_u64 << 53) as f64;
        chance >= 1.0 || ((self.stream.next_u64() >> 11) as f64) < chance * STEPS
    }

    fn count(&mut self) {
        self.acted += 1;
        self.one.tally.set(self.one.tally.get() + 1);
    }

    /// The next delay, nanoseconds; 0 where it does not delay.
    fn delay_ns(&mut self) -> u64 {
        self.lag.as_mut().map_or(0, |lag| lag.draw())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::sync::Arc;

    use super::*;
    use crate::fault::{Delay, DelayLaw, Fault};
    use crate::net::EngineTimer;
    use crate::seed::Seed;
    use crate::units::Span;

    const READING: MessageKind = MessageKind::Reading;

    /// A clock set by hand.
    #[derive(Default)]
    struct Dial {
        now: Cell<Tick>,
        woken: RefCell<Vec<(Tick, u32)>>,
    }

    impl EngineTimer for Dial {
        fn now(&self) -> Tick {
            self.now.get()
        }

        fn wake_at(&self, at: Tick, who: u32) {
            self.woken.borrow_mut().push((at, who));
        }
    }

    fn faults(device: u32) -> (Rc<Dial>, Rc<ConnectionFaults>) {
        let dial = Rc::new(Dial::default());
        let timer: Rc<dyn EngineTimer> = Rc::<Dial>::clone(&dial);
        (dial, Rc::new(ConnectionFaults::new(timer, 3, Seed(1), device)))
    }

    fn all(message: MessageKind, act: Action) -> Tampering {
        Tampering { message, act, skip: 0, nth: 1, chance: 1.0, most: None }
    }

    fn delay(ns: u64) -> Action {
        Action::Delay(Delay { law: DelayLaw::Constant(Span::from_ns(ns)), correlation: 0.0 })
    }

    fn one(number: u16, occurrence: u32, tampering: Tampering) -> ActiveFault {
        let fault = Fault {
            name: format!("fault-{number}"),
            kind: "drop",
            schedule: None,
            fleets: Vec::new(),
            share: 1.0,
            ramp_ns: 0,
            new_only: false,
            effect: Effect::Message(tampering),
        };
        ActiveFault { fault: Arc::new(fault), number, occurrence, since: Tick::ZERO, tally: Rc::default() }
    }

    fn fates(tamper: &mut MessageFaults, count: usize) -> Vec<Decision> {
        (0..count).map(|_| tamper.decide(READING, |_| true)).collect()
    }

    fn letters(fates: &[Decision]) -> String {
        let letter = |decision: &Decision| match decision {
            Decision::Pass => '.',
            Decision::Drop => 'x',
            Decision::Duplicate => '2',
            Decision::Delay(_) => '>',
            Decision::Hold { .. } => '|',
        };
        fates.iter().map(letter).collect()
    }

    #[test]
    fn the_choice_of_messages_is_by_skip_nth_and_most() {
        let rule = |skip, nth, most| Tampering { skip, nth, most, ..all(READING, Action::Drop) };
        let table = [
            (rule(0, 1, None), "xxxxxxxxxx"),
            (rule(3, 1, None), "...xxxxxxx"),
            (rule(0, 3, None), "..x..x..x."),
            (rule(2, 3, None), "....x..x.."),
            (rule(0, 1, Some(2)), "xx........"),
            (rule(1, 2, Some(3)), "..x.x.x..."),
            (rule(0, 0, Some(1)), "x........."),
            (rule(u64::MAX, 1, None), ".........."),
            (Tampering { chance: 0.0, ..rule(0, 1, None) }, ".........."),
            (Tampering { message: MessageKind::Verdict, ..rule(0, 1, None) }, ".........."),
        ];
        for (tampering, expected) in table {
            let (_, faults) = faults(0);
            let one = one(0, 0, tampering.clone());
            let tally = Rc::clone(&one.tally);
            faults.set(vec![one]);
            let found = letters(&fates(&mut MessageFaults::new(faults), 10));
            assert_eq!(found, expected, "{tampering:?}");
            assert_eq!(tally.get(), expected.matches('x').count() as u64);
        }
    }

    #[test]
    fn what_overlaps_is_asked_in_the_order_of_the_plan() {
        let (two, hold) = (Action::Duplicate, Action::Reorder { depth: 2 });
        let every = |nth, act| Tampering { nth, ..all(READING, act) };
        // The active, the fates of six messages, and how often each one acted.
        let table: [(Vec<Tampering>, &str, &[u64]); 6] = [
            (vec![every(2, Action::Drop), every(3, Action::Drop)], ".xxx.x", &[3, 1]),
            (vec![every(1, two.clone()), every(2, Action::Drop)], "2x2x2x", &[3, 3]),
            (vec![every(2, delay(5)), every(1, two.clone())], "2>2>2>", &[3, 3]),
            (vec![every(2, two.clone()), every(1, delay(5))], ">2>2>2", &[3, 3]),
            (vec![every(3, hold.clone()), every(2, two)], ".2|2.|", &[2, 2]),
            (vec![every(2, delay(5)), every(1, hold), every(1, delay(7))], "|>|>|>", &[3, 3, 3]),
        ];
        for (rules, expected, tallies) in table {
            let (_, faults) = faults(0);
            let active: Vec<_> = (0..).zip(&rules).map(|(n, rule)| one(n, 0, rule.clone())).collect();
            let counts: Vec<_> = active.iter().map(|one| Rc::clone(&one.tally)).collect();
            // The order in which they came on does not matter.
            faults.set(active.into_iter().rev().collect());
            assert_eq!(letters(&fates(&mut MessageFaults::new(faults), 6)), expected, "{rules:?}");
            assert_eq!(counts.iter().map(|count| count.get()).collect::<Vec<_>>(), tallies, "{rules:?}");
        }
    }

    #[test]
    fn delays_add_up_and_holds_name_their_spell() {
        let (_, faults) = faults(0);
        faults.set(vec![one(0, 0, all(READING, delay(5))), one(1, 0, all(READING, delay(7)))]);
        let mut tamper = MessageFaults::new(Rc::clone(&faults));
        assert_eq!(fates(&mut tamper, 2), [Decision::Delay(12); 2]);
        faults.set(vec![one(4, 6, all(READING, Action::Reorder { depth: 0 }))]);
        let activation = Activation { number: 4, occurrence: 6 };
        assert_eq!(fates(&mut tamper, 1), [Decision::Hold { depth: 1, activation }]);
        assert!(tamper.is_on(activation));
        faults.set(vec![one(4, 7, all(READING, Action::Drop))]);
        assert!(!tamper.is_on(activation) && !tamper.is_on(Activation { number: 3, occurrence: 7 }));
        faults.set(Vec::new());
        assert_eq!(fates(&mut tamper, 1), [Decision::Pass]);
        assert!(!tamper.touches(READING));
    }

    #[test]
    fn counts_live_as_long_as_the_spell_whatever_the_connection() {
        let rule = || Tampering { skip: 3, most: Some(2), ..all(READING, Action::Drop) };
        let (_, faults) = faults(0);
        faults.set(vec![one(0, 0, rule())]);
        let mut found = letters(&fates(&mut MessageFaults::new(Rc::clone(&faults)), 2));
        // Another connection, and a moment without the one.
        faults.set(Vec::new());
        found += &letters(&fates(&mut MessageFaults::new(Rc::clone(&faults)), 2));
        faults.set(vec![one(0, 0, rule())]);
        found += &letters(&fates(&mut MessageFaults::new(Rc::clone(&faults)), 4));
        assert_eq!(found, ".....xx.");
        // The next activation counts anew, and the last one's counts are gone.
        faults.set(vec![one(0, 1, rule())]);
        assert_eq!(letters(&fates(&mut MessageFaults::new(Rc::clone(&faults)), 6)), "...xx.");
        assert_eq!(faults.message_state().borrow().rules.len(), 1);
    }

    #[test]
    fn chances_are_drawn_by_device_and_come_out_the_same_again() {
        let drawn = |device, occurrence| {
            let (_, faults) = faults(device);
            faults.set(vec![one(0, occurrence, Tampering { chance: 0.3, ..all(READING, Action::Drop) })]);
            letters(&fates(&mut MessageFaults::new(faults), 10_000))
        };
        let first = drawn(0, 0);
        assert_eq!(first, drawn(0, 0));
        assert!(first != drawn(1, 0) && first != drawn(0, 1));
        // Binomial: mean 3 000, standard deviation 46.
        let struck = first.matches('x').count();
        assert!((2_800..=3_200).contains(&struck), "{struck}");
    }

    #[test]
    fn a_fault_for_new_connections_leaves_older_ones_alone() {
        let (dial, faults) = faults(0);
        let mut old = MessageFaults::new(Rc::clone(&faults));
        dial.now.set(Tick(10));
        let mut one = one(0, 0, all(READING, Action::Drop));
        Arc::make_mut(&mut one.fault).new_only = true;
        one.since = Tick(10);
        faults.set(vec![one]);
        assert_eq!(letters(&fates(&mut old, 2)), "..");
        assert_eq!(letters(&fates(&mut MessageFaults::new(faults), 2)), "xx");
    }

    #[test]
    fn what_cannot_be_done_is_not_done_and_not_counted() {
        let (dial, faults) = faults(0);
        let one = one(0, 0, all(READING, Action::Duplicate));
        let tally = Rc::clone(&one.tally);
        faults.set(vec![one]);
        let mut tamper = MessageFaults::new(faults);
        assert_eq!(tamper.decide(READING, |act| *act == Action::Drop), Decision::Pass);
        assert_eq!(tally.get(), 0);
        dial.now.set(Tick(5));
        assert_eq!(tamper.wake_after(20), Tick(25));
        assert_eq!(*dial.woken.borrow(), [(Tick(25), 3)]);
    }
}

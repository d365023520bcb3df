//! Which faults are on and what comes next: plain state, moved on by the plan and by hand.

use std::sync::Arc;

use super::protocol;
use crate::clock::Tick;
use crate::fault::{DeviceFault, Effect, Fault};
use crate::record::FaultId;

/// Workers hear of an activation by hand only when they next look; it ends this long before a planned one, so that the two are
/// told apart. Nanoseconds.
const LEAD_NS: u64 = 20_000_000;

/// The faults of a run and their activations.
#[derive(Debug)]
pub(super) struct FaultController {
    places: Vec<ScheduledFault>,
    /// Nothing is on from here.
    end: Tick,
}

#[derive(Debug)]
struct ScheduledFault {
    id: FaultId,
    fault: Arc<Fault>,
    /// No activation lasts longer.
    end: Tick,
    /// The planned activation that begins next.
    next: u32,
    /// Activations by hand so far.
    by_hand: u32,
    on: Option<Activation>,
    /// Another process sees to it.
    elsewhere: bool,
}

#[derive(Debug, Clone, Copy)]
struct Activation {
    occurrence: u32,
    since: Tick,
    until: Option<Tick>,
    by_hand: bool,
}

/// A fault is to be switched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Transition {
    pub(super) fault: FaultId,
    pub(super) occurrence: u32,
    pub(super) on: bool,
    /// When the plan wants it; `None`: by hand.
    pub(super) planned: Option<Tick>,
    /// With `on`: when the activation ends by itself.
    pub(super) until: Option<Tick>,
}

impl FaultController {
    /// All faults off, at the beginning of a run that sends until `end`.
    pub(super) fn new(faults: &[Arc<Fault>], end: Tick) -> Self {
        let place = |(nth, fault): (usize, &Arc<Fault>)| ScheduledFault {
            id: FaultId(nth as u16),
            fault: Arc::clone(fault),
            end,
            next: 0,
            by_hand: 0,
            on: None,
            elsewhere: false,
        };
        Self { places: faults.iter().enumerate().map(place).collect(), end }
    }

    /// Leaves what breaks the service or runs commands to shard 1.
    #[must_use]
    pub(super) fn following(mut self) -> Self {
        for place in &mut self.places {
            place.elsewhere = !place.fault.effect.by_device();
        }
        self
    }

    /// When something is due next; the end of the run at the latest.
    pub(super) fn next(&self) -> Tick {
        self.places.iter().filter_map(ScheduledFault::due).min().unwrap_or(self.end).min(self.end)
    }

    /// Takes all that is due up to `now`, in the order of time.
    pub(super) fn advance(&mut self, now: Tick) -> Vec<Transition> {
        let mut steps = Vec::new();
        loop {
            let due = self.places.iter_mut().filter_map(|place| Some((place.due()?, place)));
            let due = due.min_by_key(|(at, _)| *at).filter(|(at, _)| *at <= now);
            let Some(step) = due.and_then(|(at, place)| place.step(at)) else { return steps };
            steps.push(step);
        }
    }

    /// Switches a fault on by hand: for `length_ns` or until further notice, and never into the next activation of the plan.
    ///
    /// # Errors
    /// What to tell the client: there is no such fault, or it is on already.
    pub(super) fn start(
        &mut self,
        name: &str,
        now: Tick,
        length_ns: Option<u64>,
    ) -> Result<Transition, String> {
        let place = self.find(name)?;
        refuse_foreign(place)?;
        if let Some(activation) = place.on {
            let whose = if activation.by_hand { "by hand" } else { "by plan" };
            return Err(format!("`{name}` is on already, {whose}, since {}", activation.since));
        }
        let instant = is_instant(&place.fault);
        if instant && length_ns.is_some() {
            return Err(format!("`{name}` happens at an instant; leave out --for"));
        }
        let lead_ns = if place.fault.effect.by_device() { LEAD_NS } else { 0 };
        let next = place.upcoming().map(|(from, _)| Tick(from.0.saturating_sub(lead_ns)));
        if next.is_some_and(|next| next <= now) {
            return Err(format!("`{name}` begins by plan at this moment"));
        }
        let occurrence =
            place.fault.schedule.map_or(0, |schedule| schedule.times).saturating_add(place.by_hand);
        place.by_hand = place.by_hand.saturating_add(1);
        let asked = if instant { Some(now) } else { length_ns.map(|ns| now.plus_ns(ns)) };
        let until = asked.into_iter().chain(next).min();
        place.on = Some(Activation { occurrence, since: now, until, by_hand: true });
        Ok(Transition { fault: place.id, occurrence, on: true, planned: None, until })
    }

    /// Switches a fault off by hand, also one that is on by plan; the plan's later activations still come.
    ///
    /// # Errors
    /// What to tell the client: there is no such fault, or it is off already.
    pub(super) fn stop(&mut self, name: &str) -> Result<Transition, String> {
        let place = self.find(name)?;
        refuse_foreign(place)?;
        place.off().ok_or_else(|| format!("`{name}` is off already"))
    }

    /// Switches everything off by hand.
    pub(super) fn stop_all(&mut self) -> Vec<Transition> {
        let movable = self.places.iter_mut().filter(|place| refuse_foreign(place).is_ok());
        movable.filter_map(ScheduledFault::off).collect()
    }

    /// Every fault as it is now.
    pub(super) fn states(&self) -> Vec<protocol::FaultState> {
        self.places.iter().map(ScheduledFault::state).collect()
    }

    fn find(&mut self, name: &str) -> Result<&mut ScheduledFault, String> {
        let known: Vec<String> =
            self.places.iter().map(|place| format!("`{}`", place.fault.name)).take(20).collect();
        let found = self.places.iter_mut().find(|place| place.fault.name == name);
        found.ok_or_else(|| format!("the run has no fault `{name}`; it has {}", known.join(", ")))
    }
}

impl ScheduledFault {
    /// When the present activation ends by itself or the next one begins.
    fn due(&self) -> Option<Tick> {
        let end = self.on.and_then(|activation| activation.until);
        let begin = self.upcoming().map(|(from, _)| from);
        [end, begin].into_iter().flatten().min()
    }

    /// The planned activation that begins next.
    fn upcoming(&self) -> Option<(Tick, Tick)> {
        let schedule = self.fault.schedule.filter(|_| !self.elsewhere)?;
        let (from, until) = schedule.activation(self.next).filter(|(from, _)| *from < self.end)?;
        Some((from, until.min(self.end)))
    }

    /// Does one thing that is due at `at`: what ends comes before what begins.
    fn step(&mut self, at: Tick) -> Option<Transition> {
        if let Some(activation) = self.on {
            self.on = None;
            let planned = if activation.by_hand { None } else { activation.until };
            return Some(Transition {
                fault: self.id,
                occurrence: activation.occurrence,
                on: false,
                planned,
                until: None,
            });
        }
        let (from, until) = self.upcoming().filter(|(from, _)| *from <= at)?;
        let (occurrence, until) = (self.next, Some(until));
        self.next += 1;
        self.on = Some(Activation { occurrence, since: from, until, by_hand: false });
        Some(Transition { fault: self.id, occurrence, on: true, planned: Some(from), until })
    }

    fn off(&mut self) -> Option<Transition> {
        let activation = self.on.take()?;
        Some(Transition {
            fault: self.id,
            occurrence: activation.occurrence,
            on: false,
            planned: None,
            until: None,
        })
    }

    fn state(&self) -> protocol::FaultState {
        let next = self.upcoming();
        protocol::FaultState {
            name: self.fault.name.clone(),
            layer: self.fault.effect.layer().to_owned(),
            kind: self.fault.kind.to_owned(),
            on: self.on.is_some(),
            occurrence: self.on.map(|activation| activation.occurrence),
            since_s: self.on.map(|activation| activation.since.as_secs_f64()),
            until_s: self.on.and_then(|activation| activation.until).map(Tick::as_secs_f64),
            by_hand: self.on.is_some_and(|activation| activation.by_hand),
            next_start_s: next.map(|(from, _)| from.as_secs_f64()),
            next_end_s: next.map(|(_, until)| until.as_secs_f64()),
            planned_spells: self.fault.schedule.map_or(0, |schedule| schedule.times),
            spells_by_hand: self.by_hand,
        }
    }
}

/// A spike's readings are part of the plan: no hand can bring them or send them back. Nor can one of another shard do what is to
/// happen once.
fn refuse_foreign(place: &ScheduledFault) -> Result<(), String> {
    if place.elsewhere {
        return Err(format!("`{}` is switched by shard 1 alone; ask the run of that one", place.fault.name));
    }
    match place.fault.effect {
        Effect::Device(DeviceFault::Spike { .. }) => Err(format!(
            "`{}` is a spike: its readings are part of the plan and cannot be switched",
            place.fault.name
        )),
        _ => Ok(()),
    }
}

/// Whether a fault happens at an instant, so that it has no length.
pub(super) fn is_instant(fault: &Fault) -> bool {
    fault.effect.is_instant() || fault.schedule.is_some_and(|schedule| schedule.duration_ns == 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fault::{Schedule, ServiceFault};

    const END: Tick = Tick(1_000_000_000_000);

    fn fault(name: &str, effect: Effect, schedule: Option<(u64, u64, u64, u32)>) -> Arc<Fault> {
        let schedule = schedule.map(|(start, duration_ns, every_ns, times)| Schedule {
            start: Tick(start),
            duration_ns,
            every_ns,
            times,
        });
        Arc::new(Fault {
            name: name.into(),
            kind: "slow",
            schedule,
            fleets: Vec::new(),
            share: 1.0,
            ramp_ns: 0,
            new_only: false,
            effect,
        })
    }

    fn slow(schedule: Option<(u64, u64, u64, u32)>) -> Arc<Fault> {
        fault("slow", Effect::Service(ServiceFault::Slow { factor: 2.0 }), schedule)
    }

    /// Occurrence, on, and by plan at.
    fn told(steps: &[Transition]) -> Vec<(u32, bool, Option<u64>)> {
        steps.iter().map(|step| (step.occurrence, step.on, step.planned.map(|at| at.0))).collect()
    }

    #[test]
    fn planned_activations_begin_and_end_at_their_instants() {
        let mut controller = FaultController::new(&[slow(Some((100, 10, 50, 2)))], END);
        assert_eq!(controller.next(), Tick(100));
        assert_eq!(controller.advance(Tick(99)), []);
        assert_eq!(told(&controller.advance(Tick(100))), [(0, true, Some(100))]);
        assert_eq!(controller.next(), Tick(110));
        assert_eq!(
            told(&controller.advance(Tick(1_000))),
            [(0, false, Some(110)), (1, true, Some(150)), (1, false, Some(160))]
        );
        assert_eq!(controller.next(), END);
    }

    #[test]
    fn activations_that_touch_end_before_they_begin() {
        let mut controller = FaultController::new(&[slow(Some((0, 10, 10, 3)))], END);
        let steps = told(&controller.advance(Tick(15)));
        assert_eq!(steps, [(0, true, Some(0)), (0, false, Some(10)), (1, true, Some(10))]);
    }

    #[test]
    fn activations_by_hand_count_after_the_planned_ones() {
        let mut controller = FaultController::new(&[slow(Some((100, 10, 50, 2)))], END);
        let step = controller.start("slow", Tick(5), Some(20)).unwrap();
        assert_eq!((step.occurrence, step.on, step.planned, step.until), (2, true, None, Some(Tick(25))));
        assert!(controller.start("slow", Tick(6), None).unwrap_err().contains("on already, by hand"));
        assert_eq!(told(&controller.advance(Tick(30))), [(2, false, None)]);
        let step = controller.start("slow", Tick(40), None).unwrap();
        // The planned activation takes its place.
        assert_eq!((step.occurrence, step.until), (3, Some(Tick(100))));
        assert_eq!(told(&controller.advance(Tick(100))), [(3, false, None), (0, true, Some(100))]);
        let stopped = controller.stop("slow").unwrap();
        assert_eq!((stopped.occurrence, stopped.on, stopped.planned), (0, false, None));
        assert_eq!(controller.stop("slow").unwrap_err(), "`slow` is off already");
        assert_eq!(told(&controller.advance(Tick(155))), [(1, true, Some(150))]);
    }

    #[test]
    fn an_activation_by_hand_leaves_workers_time_before_a_planned_one() {
        let effect = Effect::Network(Vec::new());
        let far = LEAD_NS * 10;
        let mut controller = FaultController::new(&[fault("far", effect, Some((far, 10, 50, 1)))], END);
        let step = controller.start("far", Tick(0), Some(far)).unwrap();
        assert_eq!(step.until, Some(Tick(far - LEAD_NS)));
        controller.stop("far").unwrap();
        let refused = controller.start("far", Tick(far - LEAD_NS), None).unwrap_err();
        assert_eq!(refused, "`far` begins by plan at this moment");
    }

    #[test]
    fn what_is_to_happen_once_is_left_to_the_first_shard() {
        let near = fault("near", Effect::Network(Vec::new()), Some((100, 10, 50, 1)));
        let mut controller = FaultController::new(&[slow(Some((100, 10, 50, 2))), near], END).following();
        let steps = controller.advance(Tick(1_000));
        assert_eq!(steps.iter().map(|step| step.fault.0).collect::<Vec<_>>(), [1, 1]);
        assert!(controller.start("slow", Tick(2_000), None).unwrap_err().contains("by shard 1 alone"));
        assert!(controller.stop("slow").unwrap_err().contains("by shard 1 alone"));
        assert!(controller.start("near", Tick(2_000), None).is_ok());
    }

    #[test]
    fn nothing_begins_at_the_end_of_the_run_or_lasts_beyond_it() {
        let mut controller = FaultController::new(&[slow(Some((100, 60, 100, 9)))], Tick(250));
        let steps = controller.advance(Tick(1_000));
        assert_eq!(
            told(&steps),
            [(0, true, Some(100)), (0, false, Some(160)), (1, true, Some(200)), (1, false, Some(250))]
        );
        assert_eq!(controller.states()[0].next_start_s, None);
    }

    #[test]
    fn instants_end_at_once_and_take_no_length() {
        let flush = fault("flush", Effect::Service(ServiceFault::CacheFlush), None);
        let mut controller = FaultController::new(&[flush], END);
        assert!(controller.start("flush", Tick(7), Some(1)).unwrap_err().contains("leave out --for"));
        assert_eq!(controller.start("flush", Tick(7), None).unwrap().until, Some(Tick(7)));
        assert_eq!(told(&controller.advance(Tick(7))), [(0, false, None)]);
        assert!(controller.start("nothing", Tick(8), None).unwrap_err().contains("it has `flush`"));
    }

    #[test]
    fn states_say_what_is_on_since_when_and_what_comes() {
        let mut controller =
            FaultController::new(&[slow(Some((1_000_000_000, 500_000_000, 2_000_000_000, 2)))], END);
        controller.advance(Tick(1_100_000_000));
        let state = &controller.states()[0];
        assert_eq!((state.on, state.by_hand, state.occurrence), (true, false, Some(0)));
        assert_eq!((state.since_s, state.until_s), (Some(1.0), Some(1.5)));
        assert_eq!((state.next_start_s, state.next_end_s), (Some(3.0), Some(3.5)));
    }

    proptest! {
        /// Whatever plan and hand do, every activation that begins ends once, before the next one, and occurrences never come back.
        #[test]
        fn activations_never_overlap_and_turns_are_unique(
            start in 0_u64..50, length in 0_u64..20, gap in 0_u64..20, times in 1_u32..6,
            acts in proptest::collection::vec((0_u64..40, 0_u8..3, 1_u64..30), 0..40),
        ) {
            let mut controller = FaultController::new(&[slow(Some((start, length, length + gap, times)))], END);
            let (mut now, mut steps) = (0, Vec::new());
            for (wait, act, length) in acts {
                now += wait;
                steps.extend(controller.advance(Tick(now)));
                match act {
                    0 => steps.extend(controller.start("slow", Tick(now), Some(length))),
                    1 => steps.extend(controller.start("slow", Tick(now), None)),
                    _ => steps.extend(controller.stop("slow")),
                }
            }
            steps.extend(controller.advance(Tick(1_000_000)));
            steps.extend(controller.stop_all());
            let mut occurrences = std::collections::BTreeSet::new();
            for pair in steps.chunks(2) {
                prop_assert_eq!(pair.len(), 2);
                prop_assert!(pair[0].on && !pair[1].on && pair[0].occurrence == pair[1].occurrence);
                prop_assert!(occurrences.insert(pair[0].occurrence));
            }
            prop_assert_eq!(occurrences.iter().filter(|occurrence| **occurrence < times).count(), times as usize);
        }
    }
}

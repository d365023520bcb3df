//! Which faults are on and what comes next: plain state, moved on by the plan and by hand.

use std::sync::Arc;

use super::protocol;
use crate::clock::{Course, Skip, Tick};
use crate::fault::{DeviceFault, Effect, Fault, StartError, TimeLine, Transition};
use crate::language::guess;
use crate::record::FaultId;

/// The faults of a run and their activations.
#[derive(Debug)]
pub(super) struct FaultController {
    places: Vec<ScheduledFault>,
    /// Nothing is on from here, by the plan.
    end: Tick,
    course: Course,
}

#[derive(Debug)]
struct ScheduledFault {
    id: FaultId,
    fault: Arc<Fault>,
    line: TimeLine,
    /// Another shard switches it.
    elsewhere: bool,
}

impl FaultController {
    /// All faults off, at the beginning of a run that sends until `end` of its plan, less what `course` leaves out.
    pub(super) fn new(faults: &[Arc<Fault>], end: Tick, course: &Course) -> Self {
        let place = |(nth, fault): (usize, &Arc<Fault>)| ScheduledFault {
            id: FaultId(nth as u16),
            fault: Arc::clone(fault),
            line: TimeLine::new(fault.schedule, end, course.clone()),
            elsewhere: false,
        };
        Self { places: faults.iter().enumerate().map(place).collect(), end, course: course.clone() }
    }

    /// Leaves what breaks the service or runs commands to shard 1.
    #[must_use]
    pub(super) fn following(mut self) -> Self {
        for place in &mut self.places {
            place.elsewhere = !place.fault.effect.by_device();
            if place.elsewhere {
                place.line = TimeLine::new(None, self.end, self.course.clone());
            }
        }
        self
    }

    /// When something is due next; the end of the run at the latest.
    pub(super) fn next(&self) -> Tick {
        let (due, end) =
            (self.places.iter().filter_map(|place| place.line.due()), self.course.moved(self.end));
        due.map(|(at, _)| at).min().unwrap_or(end).min(end)
    }

    /// The run leaves out `skip`, which its course says already.
    pub(super) fn leave_out(&mut self, skip: Skip) {
        self.places.iter_mut().for_each(|place| place.line.leave_out(skip));
    }

    /// Takes all that is due up to `now`, in the order of time.
    pub(super) fn advance(&mut self, now: Tick) -> Vec<(FaultId, Transition)> {
        let mut steps = Vec::new();
        loop {
            let due = self.places.iter_mut().filter_map(|place| Some((place.line.due()?, place)));
            let first = due.min_by_key(|(due, _)| *due);
            let Some(step) = first.and_then(|(_, place)| Some((place.id, place.line.step(now)?))) else {
                return steps;
            };
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
    ) -> Result<(FaultId, Transition), String> {
        let place = self.find(name)?;
        refuse_foreign(place)?;
        let instant = is_instant(&place.fault);
        if instant && length_ns.is_some() && place.line.current().is_none() {
            return Err(format!("`{name}` happens at an instant; leave out --for"));
        }
        let length_ns = if instant { Some(0) } else { length_ns };
        let started = place.line.start(place.line.next_by_hand(), now, length_ns);
        started.map(|step| (place.id, step)).map_err(|error| match error {
            StartError::IsOn(activation) => {
                let whose = if activation.by_hand { "by hand" } else { "by plan" };
                format!("`{name}` is already on, {whose}, since {}", activation.start)
            }
            StartError::IsDue => format!("`{name}` begins by plan at this moment"),
        })
    }

    /// Switches a fault off by hand, also one that is on by plan; the plan's later activations still come.
    ///
    /// # Errors
    /// What to tell the client: there is no such fault, or it is off already.
    pub(super) fn stop(&mut self, name: &str, now: Tick) -> Result<(FaultId, Transition), String> {
        let place = self.find(name)?;
        refuse_foreign(place)?;
        let stopped = place.line.stop(now).map(|step| (place.id, step));
        stopped.ok_or_else(|| format!("`{name}` is already off"))
    }

    /// Switches everything off by hand.
    pub(super) fn stop_all(&mut self, now: Tick) -> Vec<(FaultId, Transition)> {
        let movable = self.places.iter_mut().filter(|place| refuse_foreign(place).is_ok());
        movable.filter_map(|place| Some((place.id, place.line.stop(now)?))).collect()
    }

    /// Every fault as it is now.
    pub(super) fn states(&self) -> Vec<protocol::FaultState> {
        self.places.iter().map(ScheduledFault::state).collect()
    }

    fn find(&mut self, name: &str) -> Result<&mut ScheduledFault, String> {
        let names = || self.places.iter().map(|place| place.fault.name.as_str());
        let meant = guess(name, names());
        let known: Vec<String> = names().map(|name| format!("`{name}`")).take(20).collect();
        let found = self.places.iter_mut().find(|place| place.fault.name == name);
        found.ok_or_else(|| format!("the run has no fault `{name}`; {meant}it has {}", known.join(", ")))
    }
}

impl ScheduledFault {
    fn state(&self) -> protocol::FaultState {
        let (next, current) = (self.line.upcoming(), self.line.current());
        protocol::FaultState {
            name: self.fault.name.clone(),
            layer: self.fault.effect.layer().to_owned(),
            kind: self.fault.kind.to_owned(),
            on: current.is_some(),
            occurrence: current.map(|activation| activation.occurrence),
            since_s: current.map(|activation| activation.start.as_secs_f64()),
            until_s: current
                .map(|activation| activation.end)
                .filter(|end| *end < Tick::FAR)
                .map(Tick::as_secs_f64),
            by_hand: current.is_some_and(|activation| activation.by_hand),
            next_start_s: next.map(|activation| activation.start.as_secs_f64()),
            next_end_s: next.map(|activation| activation.end.as_secs_f64()),
            planned_spells: self.fault.schedule.map_or(0, |schedule| schedule.times),
            spells_by_hand: self.line.by_hand(),
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
    fn steps_of(steps: &[(FaultId, Transition)]) -> Vec<(u32, bool, Option<u64>)> {
        steps.iter().map(|(_, step)| (step.occurrence, step.on, step.planned.map(|at| at.0))).collect()
    }

    #[test]
    fn planned_activations_begin_and_end_at_their_instants() {
        let mut controller = FaultController::new(&[slow(Some((100, 10, 50, 2)))], END, &Course::default());
        assert_eq!(controller.next(), Tick(100));
        assert_eq!(controller.advance(Tick(99)), []);
        assert_eq!(steps_of(&controller.advance(Tick(100))), [(0, true, Some(100))]);
        assert_eq!(controller.next(), Tick(110));
        assert_eq!(
            steps_of(&controller.advance(Tick(1_000))),
            [(0, false, Some(110)), (1, true, Some(150)), (1, false, Some(160))]
        );
        assert_eq!(controller.next(), END);
    }

    #[test]
    fn activations_by_hand_count_after_the_planned_ones() {
        let mut controller = FaultController::new(&[slow(Some((100, 10, 50, 2)))], END, &Course::default());
        let step = controller.start("slow", Tick(5), Some(20)).unwrap().1;
        assert_eq!((step.occurrence, step.on, step.planned, step.until), (2, true, None, Some(Tick(25))));
        assert!(controller.start("slow", Tick(6), None).unwrap_err().contains("already on, by hand"));
        assert_eq!(steps_of(&controller.advance(Tick(30))), [(2, false, None)]);
        let step = controller.start("slow", Tick(40), None).unwrap().1;
        // The planned activation takes its place.
        assert_eq!((step.occurrence, step.until), (3, Some(Tick(100))));
        assert_eq!(steps_of(&controller.advance(Tick(100))), [(3, false, None), (0, true, Some(100))]);
        let stopped = controller.stop("slow", Tick(105)).unwrap().1;
        assert_eq!((stopped.occurrence, stopped.on, stopped.planned), (0, false, None));
        assert_eq!(controller.stop("slow", Tick(2_000)).unwrap_err(), "`slow` is already off");
        assert_eq!(steps_of(&controller.advance(Tick(155))), [(1, true, Some(150))]);
    }

    #[test]
    fn what_is_to_happen_once_is_left_to_the_first_shard() {
        let near = fault("near", Effect::Network(Vec::new()), Some((100, 10, 50, 1)));
        let mut controller =
            FaultController::new(&[slow(Some((100, 10, 50, 2))), near], END, &Course::default()).following();
        let steps = controller.advance(Tick(1_000));
        assert_eq!(steps.iter().map(|(fault, _)| fault.0).collect::<Vec<_>>(), [1, 1]);
        assert!(controller.start("slow", Tick(2_000), None).unwrap_err().contains("by shard 1 alone"));
        assert!(controller.stop("slow", Tick(2_000)).unwrap_err().contains("by shard 1 alone"));
        assert!(controller.start("near", Tick(2_000), None).is_ok());
    }

    #[test]
    fn instants_end_at_once_and_take_no_length() {
        let flush = fault("flush", Effect::Service(ServiceFault::CacheFlush), None);
        let mut controller = FaultController::new(&[flush], END, &Course::default());
        assert!(controller.start("flush", Tick(7), Some(1)).unwrap_err().contains("leave out --for"));
        assert_eq!(controller.start("flush", Tick(7), None).unwrap().1.until, Some(Tick(7)));
        assert_eq!(steps_of(&controller.advance(Tick(7))), [(0, false, None)]);
        assert!(controller.start("nothing", Tick(8), None).unwrap_err().contains("it has `flush`"));
    }

    #[test]
    fn states_say_what_is_on_since_when_and_what_comes() {
        let mut controller = FaultController::new(
            &[slow(Some((1_000_000_000, 500_000_000, 2_000_000_000, 2)))],
            END,
            &Course::default(),
        );
        controller.advance(Tick(1_100_000_000));
        let state = &controller.states()[0];
        assert_eq!((state.on, state.by_hand, state.occurrence), (true, false, Some(0)));
        assert_eq!((state.since_s, state.until_s), (Some(1.0), Some(1.5)));
        assert_eq!((state.next_start_s, state.next_end_s), (Some(3.0), Some(3.5)));
    }
}

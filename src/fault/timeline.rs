//! The one time line of a fault: plan and orders by hand give its activations, for all who act on it or show it.

use std::collections::VecDeque;

use super::activation::Activation;
use super::schedule::Schedule;
use crate::clock::{Course, Skip, Tick};

/// Activations remembered that the plan does not tell; of more the oldest are forgotten.
const MOST_PAST: usize = 256;

/// An activation begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Transition {
    pub(crate) occurrence: u32,
    pub(crate) on: bool,
    pub(crate) at: Tick,
    /// When the plan wants it; `None`: by hand.
    pub(crate) planned: Option<Tick>,
    /// With `on`: when the activation ends by itself.
    pub(crate) until: Option<Tick>,
}

/// Why a fault cannot be started by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartError {
    /// It is on.
    IsOn(Activation),
    /// The plan starts it at this instant.
    IsDue,
}

/// When one fault is on. No two activations overlap: one by hand ends at the latest where the next planned one begins.
///
/// The schedule is the plan's; all that comes in and goes out is on the clock of the run.
#[derive(Debug, Clone)]
pub(crate) struct TimeLine {
    schedule: Option<Schedule>,
    course: Course,
    /// Nothing is on from here, by the plan.
    end: Tick,
    /// The planned activation that begins next.
    next: u32,
    /// Activations by hand so far.
    by_hand: u32,
    current: Option<Activation>,
    /// When one by hand was to end, were there no plan.
    asked_end: Tick,
    /// Those by hand, and planned ones that were stopped by hand, in the order of time.
    past: VecDeque<Activation>,
}

impl TimeLine {
    /// The fault is off, and comes by `schedule` until `end`, less what `course` leaves out.
    pub(crate) const fn new(schedule: Option<Schedule>, end: Tick, course: Course) -> Self {
        Self {
            schedule,
            course,
            end,
            next: 0,
            by_hand: 0,
            current: None,
            asked_end: Tick::FAR,
            past: VecDeque::new(),
        }
    }

    /// The activation that has begun and not ended.
    pub(crate) const fn current(&self) -> Option<Activation> {
        self.current
    }

    /// The planned activation that begins next.
    pub(crate) fn upcoming(&self) -> Option<Activation> {
        let schedule = self.schedule?;
        let planned = (self.next..schedule.times).filter_map(|occurrence| schedule.activation(occurrence));
        let mut planned = planned.take_while(|planned| planned.start < self.end);
        planned.find_map(|planned| {
            let (start, end) = self.course.shortened((planned.start, planned.end.min(self.end)))?;
            Some(Activation { start, end, ..planned })
        })
    }

    /// When the planned activation that is on was to begin, by the plan; `None` for one by hand.
    pub(crate) fn planned_start(&self) -> Option<Tick> {
        let current = self.current.filter(|current| !current.by_hand)?;
        self.schedule?.activation(current.occurrence).map(|planned| planned.start)
    }

    /// The run leaves out `skip`, which its course says already: what is on ends earlier. One by hand ends at the latest
    /// where the next planned one begins now.
    pub(crate) fn leave_out(&mut self, skip: Skip) {
        let next = self.upcoming().map_or(Tick::FAR, |next| next.start);
        if let Some(current) = &mut self.current {
            current.end = if current.by_hand { self.asked_end.min(next) } else { skip.moved(current.end) };
        }
    }

    /// Activations by hand so far.
    pub(crate) const fn by_hand(&self) -> u32 {
        self.by_hand
    }

    /// Whether the planned activation that began last was stopped by hand.
    pub(crate) fn was_stopped(&self) -> bool {
        let stopped = self.past.iter().rev().find(|past| !past.by_hand);
        stopped.is_some_and(|stopped| stopped.occurrence + 1 == self.next)
    }

    /// When the next activation begins or the present one ends by itself, and which of the two.
    pub(crate) fn due(&self) -> Option<(Tick, bool)> {
        match self.current {
            Some(current) => (current.end < Tick::FAR).then_some((current.end, false)),
            None => self.upcoming().map(|next| (next.start, true)),
        }
    }

    /// Takes the first step that is due at `now`: of two at one instant, an end comes before a beginning.
    pub(crate) fn step(&mut self, now: Tick) -> Option<Transition> {
        let (at, on) = self.due().filter(|(at, _)| *at <= now)?;
        if on {
            let next = self.upcoming()?;
            self.next = next.occurrence + 1;
            self.current = Some(next);
            return Some(began(next));
        }
        let current = self.current.take()?;
        if current.by_hand {
            self.keep(current);
        }
        let planned = (!current.by_hand).then_some(at);
        Some(Transition { occurrence: current.occurrence, on, at, planned, until: None })
    }

    /// The number of the next activation by hand.
    pub(crate) fn next_by_hand(&self) -> u32 {
        self.planned().saturating_add(self.by_hand)
    }

    fn planned(&self) -> u32 {
        self.schedule.map_or(0, |schedule| schedule.times)
    }

    /// Starts the fault by hand, for `length_ns` or until further notice, as activation number `occurrence`.
    ///
    /// # Errors
    /// If it is on, or begins by plan at `now`.
    pub(crate) fn start(
        &mut self,
        occurrence: u32,
        now: Tick,
        length_ns: Option<u64>,
    ) -> Result<Transition, StartError> {
        if let Some(current) = self.current {
            return Err(StartError::IsOn(current));
        }
        let next = self.upcoming().map_or(Tick::FAR, |next| next.start);
        if next <= now {
            return Err(StartError::IsDue);
        }
        self.by_hand = occurrence.saturating_sub(self.planned()).saturating_add(1).max(self.by_hand);
        self.asked_end = length_ns.map_or(Tick::FAR, |length_ns| now.plus_ns(length_ns));
        let activation = Activation { occurrence, start: now, end: self.asked_end.min(next), by_hand: true };
        self.current = Some(activation);
        Ok(began(activation))
    }

    /// Stops the fault by hand, also where it is on by plan; later planned activations still come.
    pub(crate) fn stop(&mut self, now: Tick) -> Option<Transition> {
        let current = self.current.take()?;
        self.keep(Activation { end: now.min(current.end), ..current });
        Some(Transition { occurrence: current.occurrence, on: false, at: now, planned: None, until: None })
    }

    /// Stops the fault, and lets none of its activations begin any more. Gives the one that was on.
    pub(crate) fn finish(&mut self, now: Tick) -> Option<Activation> {
        let current = self.current;
        self.stop(now);
        self.end = self.end.min(self.course.planned(now));
        current
    }

    /// The activation that is on at `at` for a device that is hit `late_ns` after the start of planned ones, with the start
    /// for this device.
    pub(crate) fn at(&self, at: Tick, late_ns: u64) -> Option<Activation> {
        let mut activations = self.current.iter().chain(self.past.iter().rev());
        if let Some(by_hand) = activations.find(|activation| activation.by_hand && activation.covers(at)) {
            return Some(*by_hand);
        }
        let now = self.course.planned(at);
        let planned = self.schedule?.at(now, late_ns).filter(|_| now < self.end)?;
        let stopped = self.past.iter().rev().find(|past| past.occurrence == planned.occurrence);
        let (start, end) = (self.course.moved(planned.start), self.course.moved(planned.end));
        stopped.is_none_or(|stopped| at < stopped.end).then_some(Activation { start, end, ..planned })
    }

    fn keep(&mut self, past: Activation) {
        if self.past.len() >= MOST_PAST {
            self.past.pop_front();
        }
        self.past.push_back(past);
    }
}

fn began(activation: Activation) -> Transition {
    Transition {
        occurrence: activation.occurrence,
        on: true,
        at: activation.start,
        planned: (!activation.by_hand).then_some(activation.start),
        until: Some(activation.end).filter(|end| *end < Tick::FAR),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn schedule(start: u64, duration_ns: u64, every_ns: u64, times: u32) -> Schedule {
        Schedule { start: Tick(start), duration_ns, every_ns, times }
    }

    #[derive(Debug, Clone, Copy)]
    enum Order {
        Start(Option<u64>),
        Stop,
    }

    fn orders() -> impl Strategy<Value = Vec<(u64, Order)>> {
        let order = prop_oneof![
            (1_u64..30).prop_map(|length| Order::Start(Some(length))),
            Just(Order::Start(None)),
            Just(Order::Stop),
        ];
        proptest::collection::vec((0_u64..40, order), 0..40)
    }

    const END: u64 = 900;

    /// What happens on a time line when `orders` are given, and how it stands afterwards.
    fn drive(schedule: Schedule, orders: Vec<(u64, Order)>) -> (TimeLine, Vec<Transition>) {
        let mut line = TimeLine::new(Some(schedule), Tick(END), Course::default());
        let (mut now, mut steps) = (Tick(0), Vec::new());
        for (wait, order) in orders {
            now = now.plus_ns(wait);
            steps.extend(std::iter::from_fn(|| line.step(now)));
            match order {
                Order::Start(length) => steps.extend(line.start(line.next_by_hand(), now, length)),
                Order::Stop => steps.extend(line.stop(now)),
            }
        }
        steps.extend(std::iter::from_fn(|| line.step(Tick(END).max(now))));
        steps.extend(line.stop(Tick(END).max(now)));
        (line, steps)
    }

    proptest! {
        #[test]
        fn a_fault_is_on_exactly_in_its_activations(
            (start, length, gap, times) in (0_u64..50, 0_u64..20, 0_u64..20, 1_u32..6),
            orders in orders(),
        ) {
            let (line, steps) = drive(schedule(start, length, length + gap, times), orders);
            for at in (0..END).map(Tick) {
                let on = steps.chunks(2).find(|pair| pair[0].at <= at && at < pair[1].at);
                let expected = on.map(|pair| (pair[0].occurrence, pair[0].at));
                let found = line.at(at, 0).map(|activation| (activation.occurrence, activation.start));
                prop_assert_eq!(found, expected, "{:?}", at);
            }
        }

        #[test]
        fn activations_end_before_the_next_begins_and_are_numbered_in_order(
            (start, length, gap, times) in (0_u64..50, 0_u64..20, 0_u64..20, 1_u32..6),
            orders in orders(),
        ) {
            let (_, steps) = drive(schedule(start, length, length + gap, times), orders);
            prop_assert!(steps.is_sorted_by_key(|step| step.at));
            let (mut planned, mut by_hand) = (0, times);
            for pair in steps.chunks(2) {
                prop_assert_eq!((pair.len(), pair[0].on, pair[1].on), (2, true, false));
                prop_assert_eq!(pair[0].occurrence, pair[1].occurrence);
                let next = if pair[0].planned.is_some() { &mut planned } else { &mut by_hand };
                prop_assert_eq!(pair[0].occurrence, *next);
                *next += 1;
            }
            prop_assert_eq!(planned, times);
        }

        #[test]
        fn a_stop_by_hand_overrides_the_plan_until_its_next_activation(
            (start, length, gap, times) in (0_u64..50, 2_u64..20, 1_u64..20, 2_u32..6), into in 0_u64..20,
        ) {
            let schedule = schedule(start, length, length + gap, times);
            let stop = Tick(start + into % length);
            let mut line = TimeLine::new(Some(schedule), Tick::FAR, Course::default());
            prop_assert!(line.step(stop).is_some_and(|step| step.on));
            prop_assert!(line.stop(stop).is_some() && line.was_stopped());
            for at in (0..start + length + gap).map(Tick) {
                prop_assert_eq!(line.at(at, 0).is_some(), Tick(start) <= at && at < stop);
            }
            let next = Tick(start + length + gap);
            prop_assert_eq!(line.step(next).map(|step| (step.occurrence, step.on)), Some((1, true)));
            prop_assert!(!line.was_stopped() && line.at(next, 0).is_some());
        }
    }

    proptest! {
        #[test]
        fn what_a_run_leaves_out_ends_what_is_on_and_brings_what_follows_earlier(
            (start, length, gap, times) in (0_u64..50, 0_u64..20, 0_u64..20, 1_u32..6),
            (learned, at, length_ns) in (0_u64..90, 1_u64..30, 1_u64..80),
        ) {
            let (schedule, course) = (schedule(start, length, length + gap, times), Course::default());
            let mut line = TimeLine::new(Some(schedule), Tick(END), course.clone());
            let mut steps: Vec<_> = std::iter::from_fn(|| line.step(Tick(learned))).collect();
            // It is known before it comes.
            let skip = Skip { at: Tick(learned + at), length_ns };
            course.leave_out(skip);
            line.leave_out(skip);
            steps.extend(std::iter::from_fn(|| line.step(Tick(END))));
            let kept = schedule.activations().filter_map(|on| Some((on.occurrence, skip.shortened((on.start, on.end))?)));
            let expected: Vec<_> = kept.flat_map(|(occurrence, (from, until))| {
                [(occurrence, true, from), (occurrence, false, until)]
            }).collect();
            let found: Vec<_> = steps.iter().map(|step| (step.occurrence, step.on, step.at)).collect();
            prop_assert_eq!(&found, &expected);
            for at in (0..END - length_ns).map(Tick) {
                let on = expected.chunks(2).find(|pair| pair[0].2 <= at && at < pair[1].2);
                prop_assert_eq!(line.at(at, 0).map(|on| on.occurrence), on.map(|pair| pair[0].0), "{:?}", at);
            }
        }
    }

    #[test]
    fn one_by_hand_gives_way_to_a_planned_one_that_comes_earlier() {
        let (schedule, course) = (schedule(100, 60, 100, 2), Course::default());
        let mut line = TimeLine::new(Some(schedule), Tick::FAR, course.clone());
        line.start(2, Tick(10), Some(80)).unwrap();
        let skip = Skip { at: Tick(50), length_ns: 30 };
        course.leave_out(skip);
        line.leave_out(skip);
        assert_eq!(line.current().map(|on| on.end), Some(Tick(70)));
        let steps: Vec<_> = std::iter::from_fn(|| line.step(Tick(200)))
            .map(|step| (step.at.0, step.occurrence, step.on))
            .collect();
        assert_eq!(steps, [(70, 2, false), (70, 0, true), (130, 0, false), (170, 1, true)]);
        assert_eq!(line.planned_start(), Some(Tick(200)));
    }

    #[test]
    fn nothing_begins_at_the_end_or_lasts_beyond_it() {
        let mut line = TimeLine::new(Some(schedule(100, 60, 100, 9)), Tick(250), Course::default());
        let steps: Vec<_> =
            std::iter::from_fn(|| line.step(Tick(1_000))).map(|step| (step.at.0, step.on)).collect();
        assert_eq!(steps, [(100, true), (160, false), (200, true), (250, false)]);
        assert_eq!((line.at(Tick(249), 0).is_some(), line.at(Tick(250), 0)), (true, None));
    }

    #[test]
    fn a_fault_that_is_on_or_due_cannot_be_started() {
        let mut line = TimeLine::new(Some(schedule(100, 60, 100, 1)), Tick::FAR, Course::default());
        assert_eq!(line.start(1, Tick(100), None), Err(StartError::IsDue));
        let started = line.start(1, Tick(90), Some(5_000)).unwrap();
        assert_eq!((started.planned, started.until), (None, Some(Tick(100))));
        assert!(matches!(line.start(2, Tick(91), None), Err(StartError::IsOn(on)) if on.by_hand));
    }

    #[test]
    fn what_is_finished_stays_off() {
        let mut line = TimeLine::new(Some(schedule(100, 60, 100, 9)), Tick::FAR, Course::default());
        line.step(Tick(100));
        assert_eq!(line.finish(Tick(120)).map(|on| (on.occurrence, on.end)), Some((0, Tick(160))));
        assert_eq!((line.due(), line.at(Tick(130), 0), line.at(Tick(210), 0)), (None, None, None));
    }

    #[test]
    fn devices_are_hit_late_by_plan_and_at_once_by_hand() {
        let mut line = TimeLine::new(Some(schedule(100, 60, 100, 1)), Tick::FAR, Course::default());
        line.start(1, Tick(10), Some(20)).unwrap();
        for (at, late_ns, start) in [(10, 5, Some(10)), (100, 5, None), (105, 5, Some(105)), (159, 70, None)]
        {
            assert_eq!(line.at(Tick(at), late_ns).map(|on| on.start.0), start, "{at}");
        }
    }
}

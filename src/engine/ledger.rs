//! One device's book: which readings wait, which are in flight, and how each ended. Pure; the caller brings the time.

use std::collections::VecDeque;

use crate::clock::Tick;
use crate::fleet::Reading;
use crate::record::{Finding, FleetId, Kind, Outcome, PhaseId, Sample, Stages};

/// A reading that was sent and is not yet closed.
#[derive(Debug, Clone)]
struct Outstanding {
    reading: Reading,
    phase: PhaseId,
    eligible: Tick,
    actual: Tick,
    /// It was sent before: its end is no reading's end.
    repeat: bool,
}

/// What came to its time-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expired {
    Reading(Sample),
    Repeat,
}

/// What came back for a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closing {
    pub(super) outcome: Outcome,
    pub(super) stages: Option<Stages>,
    /// Whether the peer judged the reading anomalous.
    pub(super) flagged: Option<bool>,
}

impl From<Outcome> for Closing {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, stages: None, flagged: None }
    }
}

/// What an answer turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    /// It closed a reading; it may also have come out of order.
    Closed { sample: Sample, reordered: bool },
    /// It belongs to a reading that had already ended.
    Finding(Finding),
    /// It belongs to no reading of this device.
    Stray,
}

/// The book of one device. Bounded by its in-flight limit and its backlog bound.
#[derive(Debug)]
pub(super) struct Ledger {
    fleet: FleetId,
    timeout_ns: u64,
    in_flight_limit: usize,
    backlog_bound: usize,
    backlog: VecDeque<(PhaseId, Reading)>,
    /// In the order of their actual start, so that the first is the first to time out.
    in_flight: VecDeque<Outstanding>,
    /// When the device last became able to send after it had not been.
    unblocked: Tick,
    history: History,
}

impl Ledger {
    pub(super) fn new(fleet: FleetId, timeout_ns: u64, in_flight_limit: u32, backlog_bound: u32) -> Self {
        Self {
            fleet,
            timeout_ns,
            in_flight_limit: in_flight_limit as usize,
            backlog_bound: backlog_bound as usize,
            backlog: VecDeque::new(),
            in_flight: VecDeque::new(),
            unblocked: Tick::ZERO,
            history: History::default(),
        }
    }

    /// Takes in a reading that came due. `can_send`: the device could hand it to the transport now.
    /// Gives the sample of a dropped reading if the backlog was full.
    pub(super) fn due(
        &mut self,
        phase: PhaseId,
        reading: Reading,
        can_send: bool,
        now: Tick,
    ) -> Option<Sample> {
        // Readings that will go out as soon as the device's task runs do not wait in the backlog.
        let leaving = if can_send { self.in_flight_limit - self.in_flight.len() } else { 0 };
        if self.backlog.len() >= self.backlog_bound + leaving {
            return Some(self.unsent(phase, &reading, Outcome::Dropped, now));
        }
        self.backlog.push_back((phase, reading));
        None
    }

    /// Whether the in-flight limit leaves room.
    pub(super) fn has_room(&self) -> bool {
        self.in_flight.len() < self.in_flight_limit
    }

    /// Whether nothing waits and nothing is in flight.
    pub(super) fn is_settled(&self) -> bool {
        self.backlog.is_empty() && self.in_flight.is_empty()
    }

    /// The reading to send next, if the in-flight limit leaves room.
    pub(super) fn take_next(&mut self) -> Option<(PhaseId, Reading)> {
        if self.has_room() { self.backlog.pop_front() } else { None }
    }

    /// Notes that the device became able to send at `at`.
    pub(super) fn unblock(&mut self, at: Tick) {
        self.unblocked = self.unblocked.max(at);
    }

    /// Notes that a reading's first byte is about to be handed to the transport.
    pub(super) fn start(&mut self, phase: PhaseId, reading: Reading, actual: Tick) {
        let eligible = reading.intended.max(self.unblocked).min(actual);
        self.in_flight.push_back(Outstanding { reading, phase, eligible, actual, repeat: false });
    }

    /// Notes that a reading is about to be sent once more.
    pub(super) fn start_repeat(&mut self, phase: PhaseId, reading: Reading, actual: Tick) {
        self.in_flight.push_back(Outstanding { reading, phase, eligible: actual, actual, repeat: true });
    }

    /// When the reading to be sent next was due.
    pub(super) fn next_intended(&self) -> Option<Tick> {
        self.backlog.front().map(|(_, reading)| reading.intended)
    }

    /// Takes back what is in flight, because the plan cuts the connection: it will be sent again, in its old order, before
    /// anything newer. May go beyond the backlog's bound by the in-flight limit.
    pub(super) fn recall(&mut self) {
        let mut recalled: Vec<_> = self.in_flight.drain(..).filter(|open| !open.repeat).collect();
        recalled.sort_by_key(|open| open.reading.seq);
        for open in recalled.into_iter().rev() {
            self.backlog.push_front((open.phase, open.reading));
        }
    }

    /// Settles an answer for `seq` that was decoded at `at`.
    pub(super) fn close(&mut self, seq: u64, closing: Closing, at: Tick) -> Settled {
        let of_seq = |open: &Outstanding| open.reading.seq == seq;
        // The original, where it is still open: an answer does not tell the two apart.
        let original = self.in_flight.iter().position(|open| of_seq(open) && !open.repeat);
        let Some(open) = original.and_then(|place| self.in_flight.remove(place)) else {
            if let Some(repeat) = self.in_flight.iter().position(of_seq) {
                self.in_flight.remove(repeat);
            }
            return self.history.classify(seq).map_or(Settled::Stray, Settled::Finding);
        };
        let reordered = self.history.answer(seq);
        Settled::Closed { sample: self.sample(&open, closing, at), reordered }
    }

    /// Settles a reading that a subscriber heard at `at`; `None` if it had ended before: every subscriber hears it.
    pub(super) fn deliver(&mut self, seq: u64, at: Tick) -> Option<Sample> {
        if !self.in_flight.iter().any(|open| open.reading.seq == seq && !open.repeat) {
            return None;
        }
        match self.close(seq, Outcome::Ok.into(), at) {
            Settled::Closed { sample, .. } => Some(sample),
            Settled::Finding(_) | Settled::Stray => None,
        }
    }

    /// The instant at which the oldest reading in flight times out.
    pub(super) fn next_expiry(&self) -> Option<Tick> {
        self.in_flight.front().map(|open| open.actual.plus_ns(self.timeout_ns))
    }

    /// Takes out the oldest thing in flight if it has timed out.
    pub(super) fn expire(&mut self, now: Tick) -> Option<Expired> {
        if self.next_expiry()? > now {
            return None;
        }
        if self.in_flight.front()?.repeat {
            self.in_flight.pop_front();
            return Some(Expired::Repeat);
        }
        self.give_up(Outcome::Timeout, now).map(Expired::Reading)
    }

    /// Takes out the oldest reading in flight, ended as `outcome`, and the repeats before it.
    pub(super) fn give_up(&mut self, outcome: Outcome, now: Tick) -> Option<Sample> {
        let open = loop {
            let open = self.in_flight.pop_front()?;
            if !open.repeat {
                break open;
            }
        };
        self.history.give_up(open.reading.seq);
        Some(self.sample(&open, outcome.into(), now))
    }

    /// Takes out one of the readings that are still open at the end of the drain: it is lost.
    pub(super) fn lose(&mut self, now: Tick) -> Option<Sample> {
        if let Some(sample) = self.give_up(Outcome::Lost, now) {
            return Some(sample);
        }
        let (phase, reading) = self.backlog.pop_front()?;
        Some(self.unsent(phase, &reading, Outcome::Lost, now))
    }

    fn sample(&self, open: &Outstanding, closing: Closing, completed: Tick) -> Sample {
        Sample {
            eligible: Some(open.eligible),
            actual: Some(open.actual),
            stages: closing.stages,
            flagged: closing.flagged,
            ..self.unsent(open.phase, &open.reading, closing.outcome, completed)
        }
    }

    fn unsent(&self, phase: PhaseId, reading: &Reading, outcome: Outcome, completed: Tick) -> Sample {
        Sample {
            phase,
            fleet: self.fleet,
            kind: Kind::Reading,
            seq: reading.seq,
            intended: reading.intended,
            eligible: None,
            actual: None,
            completed,
            outcome,
            stages: None,
            mark: reading.mark,
            flagged: None,
        }
    }
}

/// The last sequence numbers a device ended, for the delivery audit: a sliding window of 64.
#[derive(Debug, Default)]
struct History {
    /// The highest sequence number that was sent and has ended, plus one; 0 while none has.
    top: u64,
    /// The highest sequence number that was answered, plus one.
    answered_top: u64,
    /// Bit k: sequence number `top − 1 − k` was answered.
    answered: u64,
}

impl History {
    const WINDOW: u64 = 64;

    /// Notes the first answer to `seq`; true if a later reading had been answered before it.
    fn answer(&mut self, seq: u64) -> bool {
        self.advance(seq);
        self.mark(seq);
        let reordered = seq + 1 < self.answered_top;
        self.answered_top = self.answered_top.max(seq + 1);
        reordered
    }

    /// Notes that `seq` ended without an answer.
    fn give_up(&mut self, seq: u64) {
        self.advance(seq);
    }

    /// What an answer to a reading that is not in flight means; `None` if no such reading was ever sent.
    fn classify(&mut self, seq: u64) -> Option<Finding> {
        if seq >= self.top {
            return None;
        }
        let age = self.top - 1 - seq;
        if age >= Self::WINDOW {
            return Some(Finding::Late);
        }
        if self.answered >> age & 1 == 1 {
            return Some(Finding::Duplicated);
        }
        self.mark(seq);
        Some(Finding::Late)
    }

    fn advance(&mut self, seq: u64) {
        if seq >= self.top {
            let step = seq + 1 - self.top;
            self.answered = if step >= Self::WINDOW { 0 } else { self.answered << step };
            self.top = seq + 1;
        }
    }

    fn mark(&mut self, seq: u64) {
        let age = self.top - 1 - seq;
        if age < Self::WINDOW {
            self.answered |= 1 << age;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Values;
    use crate::record::ErrorKind;

    const PHASE: PhaseId = PhaseId(1);
    const MS: u64 = 1_000_000;

    fn reading(seq: u64, intended: u64) -> Reading {
        Reading { seq, intended: Tick(intended), values: Values::One(0.0), mark: None }
    }

    fn ledger(in_flight: u32, backlog: u32) -> Ledger {
        Ledger::new(FleetId(0), 100 * MS, in_flight, backlog)
    }

    /// Takes in and at once sends a reading.
    fn send(ledger: &mut Ledger, seq: u64, intended: u64, actual: u64) {
        assert_eq!(ledger.due(PHASE, reading(seq, intended), true, Tick(actual)), None);
        let (phase, next) = ledger.take_next().expect("room for the reading");
        ledger.start(phase, next, Tick(actual));
    }

    fn expired(ledger: &mut Ledger, now: u64) -> Option<Sample> {
        match ledger.expire(Tick(now))? {
            Expired::Reading(sample) => Some(sample),
            Expired::Repeat => panic!("a repeat is no reading"),
        }
    }

    fn closed(settled: Settled) -> (Sample, bool) {
        match settled {
            Settled::Closed { sample, reordered } => (sample, reordered),
            other => panic!("not closed: {other:?}"),
        }
    }

    #[test]
    fn lag_is_split_between_the_generator_and_the_service() {
        // (intended, unblocked, actual) → (backlog wait, pacing lag)
        for (intended, unblocked, actual, wait, lag) in [
            (100, 0, 130, 0, 30),     // the device was free: all lateness is ours
            (100, 400, 410, 300, 10), // the device was blocked until 400
            (100, 50, 100, 0, 0),
        ] {
            let mut book = ledger(1, 4);
            book.unblock(Tick(unblocked));
            send(&mut book, 1, intended, actual);
            let (sample, _) = closed(book.close(1, Outcome::Ok.into(), Tick(1_000)));
            assert_eq!(sample.backlog_wait_ns(), Some(wait));
            assert_eq!(sample.pacing_lag_ns(), Some(lag));
            assert_eq!(sample.response_time_ns(), 1_000 - intended);
            assert_eq!(sample.service_time_ns(), Some(1_000 - actual));
        }
    }

    #[test]
    fn a_full_backlog_drops_the_newest_and_an_idle_device_needs_none() {
        let mut book = ledger(1, 1);
        send(&mut book, 1, 10, 10);
        assert_eq!(book.due(PHASE, reading(2, 20), false, Tick(20)), None);
        let dropped = book.due(PHASE, reading(3, 30), false, Tick(31)).expect("the backlog is full");
        assert_eq!((dropped.outcome, dropped.intended, dropped.actual), (Outcome::Dropped, Tick(30), None));
        assert!(book.take_next().is_none(), "the in-flight limit holds");

        let mut unbuffered = ledger(2, 0);
        assert_eq!(unbuffered.due(PHASE, reading(1, 10), true, Tick(10)), None);
        assert_eq!(unbuffered.due(PHASE, reading(2, 10), true, Tick(10)), None);
        assert!(unbuffered.due(PHASE, reading(3, 10), true, Tick(10)).is_some());
    }

    #[test]
    fn the_audit_tells_duplicates_reordering_late_and_stray_answers_apart() {
        let mut book = ledger(8, 8);
        for seq in 1..=4 {
            send(&mut book, seq, seq, seq);
        }
        assert!(!closed(book.close(2, Outcome::Ok.into(), Tick(10))).1);
        assert!(closed(book.close(1, Outcome::Ok.into(), Tick(11))).1, "1 came after 2");
        assert_eq!(book.close(2, Outcome::Ok.into(), Tick(12)), Settled::Finding(Finding::Duplicated));
        assert_eq!(expired(&mut book, 3 + 100 * MS).map(|s| s.outcome), Some(Outcome::Timeout));
        assert_eq!(book.close(3, Outcome::Ok.into(), Tick(200 * MS)), Settled::Finding(Finding::Late));
        assert_eq!(book.close(3, Outcome::Ok.into(), Tick(201 * MS)), Settled::Finding(Finding::Duplicated));
        assert_eq!(book.close(99, Outcome::Ok.into(), Tick(202 * MS)), Settled::Stray);
        assert!(!closed(book.close(4, Outcome::Ok.into(), Tick(203 * MS))).1);
        assert!(book.is_settled());
    }

    #[test]
    fn a_reading_sent_twice_ends_once_and_its_second_answer_is_a_duplicate() {
        let mut book = ledger(4, 8);
        send(&mut book, 1, 10, 10);
        book.start_repeat(PHASE, reading(1, 10), Tick(12));
        send(&mut book, 2, 20, 20);
        assert!(!closed(book.close(1, Outcome::Ok.into(), Tick(30))).1);
        assert!(!book.is_settled(), "the repeat is still under way");
        assert_eq!(book.close(1, Outcome::Ok.into(), Tick(31)), Settled::Finding(Finding::Duplicated));
        assert!(!closed(book.close(2, Outcome::Ok.into(), Tick(32))).1);
        assert!(book.is_settled());

        send(&mut book, 3, 40, 40);
        book.start_repeat(PHASE, reading(3, 40), Tick(41));
        closed(book.close(3, Outcome::Ok.into(), Tick(42)));
        assert_eq!(
            book.expire(Tick(41 + 100 * MS)),
            Some(Expired::Repeat),
            "it must not block the device for ever"
        );
        assert!(book.is_settled());
    }

    #[test]
    fn what_a_cut_interrupts_is_sent_again_in_its_old_order_before_anything_newer() {
        let mut book = ledger(4, 8);
        for seq in 1..=3 {
            send(&mut book, seq, seq, seq);
        }
        book.start_repeat(PHASE, reading(1, 1), Tick(5));
        assert_eq!(book.due(PHASE, reading(4, 6), false, Tick(6)), None);
        closed(book.close(2, Outcome::Ok.into(), Tick(7)));
        book.recall();
        assert_eq!(book.next_intended(), Some(Tick(1)));
        let order: Vec<u64> =
            std::iter::from_fn(|| book.take_next()).map(|(_, reading)| reading.seq).collect();
        assert_eq!(order, [1, 3, 4]);
        assert!(book.is_settled());
    }

    #[test]
    fn time_outs_run_from_the_actual_start_and_only_when_due() {
        let mut book = ledger(2, 8);
        send(&mut book, 1, 10, 50);
        send(&mut book, 2, 20, 60);
        assert_eq!(book.next_expiry(), Some(Tick(50 + 100 * MS)));
        assert_eq!(book.expire(Tick(49 + 100 * MS)), None);
        let sample = expired(&mut book, 50 + 100 * MS).expect("the first is due");
        assert_eq!((sample.outcome, sample.intended), (Outcome::Timeout, Tick(10)));
        assert_eq!(book.next_expiry(), Some(Tick(60 + 100 * MS)));
    }

    mod identity {
        use super::*;
        use proptest::prelude::*;

        #[derive(Debug, Clone)]
        enum Step {
            Due { can_send: bool },
            Send,
            Answer(u64),
            Expire,
            Break,
        }

        fn step() -> impl Strategy<Value = Step> {
            prop_oneof![
                any::<bool>().prop_map(|can_send| Step::Due { can_send }),
                Just(Step::Send),
                (0_u64..60).prop_map(Step::Answer),
                Just(Step::Expire),
                Just(Step::Break),
            ]
        }

        proptest! {
            /// Every reading that came due ends exactly once, whatever happens in between.
            #[test]
            fn planned_is_the_sum_of_the_outcomes(
                steps in proptest::collection::vec(step(), 0..300), in_flight in 1_u32..6, backlog in 0_u32..6,
            ) {
                let mut book = ledger(in_flight, backlog);
                let (mut planned, mut ended, mut now) = (0_u64, 0_u64, 0_u64);
                for step in steps {
                    now += 30 * MS;
                    match step {
                        Step::Due { can_send } => {
                            planned += 1;
                            let can_send = can_send && book.has_room();
                            ended += u64::from(book.due(PHASE, reading(planned, now), can_send, Tick(now)).is_some());
                        }
                        Step::Send => {
                            if let Some((phase, next)) = book.take_next() {
                                book.start(phase, next, Tick(now));
                            }
                        }
                        Step::Answer(seq) => {
                            let settled = book.close(seq, Outcome::Ok.into(), Tick(now));
                            ended += u64::from(matches!(settled, Settled::Closed { .. }));
                        }
                        Step::Expire => while book.expire(Tick(now)).is_some() { ended += 1; },
                        Step::Break => {
                            let kind = Outcome::Error(ErrorKind::Reset);
                            while book.give_up(kind, Tick(now)).is_some() { ended += 1; }
                        }
                    }
                    prop_assert!(book.in_flight.len() <= in_flight as usize);
                    prop_assert!(book.backlog.len() <= (backlog + in_flight) as usize);
                }
                while book.lose(Tick(now)).is_some() { ended += 1; }
                prop_assert_eq!(planned, ended);
                prop_assert!(book.is_settled());
            }
        }
    }
}

//! One device's book: which readings wait, which are in flight, and how each ended. Pure; the caller brings the time.

mod history;
mod outstanding;
mod retry;

use std::collections::VecDeque;

use self::history::History;
use self::outstanding::Attempts;
pub(super) use self::outstanding::Outstanding;
use self::retry::{EarlyAnswer, RetryBook};
pub(super) use self::retry::{NextAttempt, Resting};
use super::pause::WaitTotals;
use crate::clock::Tick;
use crate::fleet::Reading;
use crate::record::{
    Ages, Arm, AuditFinding, FleetId, Gauge, Kind, Outcome, PhaseId, Reason, Sample, Stages,
};

/// A reading that came due and waits to be sent.
#[derive(Debug, Clone)]
struct Waiting {
    phase: PhaseId,
    reading: Reading,
    /// When the worker noticed that it was due.
    released: Tick,
    /// What the device had waited until then.
    before: WaitTotals,
    attempts: Attempts,
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
    /// Which of two models judged it, where the peer says so.
    pub(super) arm: Option<Arm>,
}

impl From<Outcome> for Closing {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, stages: None, flagged: None, arm: None }
    }
}

/// What an answer turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    /// It closed a reading; it may also have come out of order.
    Closed { sample: Sample, reordered: bool },
    /// It belongs to a reading that had already ended.
    AuditFinding(AuditFinding),
    /// It belongs to no reading of this device.
    Stray,
}

/// What the hearing of a reading by one of its subscribers turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivered {
    /// The first of all: it closed the reading.
    First(Sample),
    /// The first of a reading that had been given up.
    Late,
    /// Another one heard it before.
    Again,
    /// The device sent no such reading.
    Stray,
}

/// The book of one device. Bounded by its in-flight limit and its backlog bound.
#[derive(Debug)]
pub(super) struct Ledger {
    fleet: FleetId,
    /// Number of the device within its fleet.
    device: u32,
    timeout_ns: u64,
    in_flight_limit: u32,
    backlog_bound: u32,
    /// What it takes to send readings again, where the fleet does.
    retry: Option<Box<RetryBook>>,
    backlog: VecDeque<Waiting>,
    /// How many at the front of the backlog have been sent before.
    recalled: u32,
    /// In the order of their actual start, so that without retries the first is the first to time out.
    in_flight: VecDeque<Outstanding>,
    /// When the device last became able to send after it had not been.
    unblocked: Tick,
    history: History,
}

impl Ledger {
    pub(super) fn new(
        fleet: FleetId,
        device: u32,
        timeout_ns: u64,
        in_flight_limit: u32,
        backlog_bound: u32,
    ) -> Self {
        Self {
            fleet,
            device,
            timeout_ns,
            in_flight_limit,
            backlog_bound,
            retry: None,
            backlog: VecDeque::new(),
            recalled: 0,
            in_flight: VecDeque::new(),
            unblocked: Tick::ZERO,
            history: History::default(),
        }
    }

    /// The same of a device that sends again what failed, with `attempt_ns` for each attempt.
    pub(super) fn with_retry(self, attempt_ns: u64) -> Self {
        Self { retry: Some(Box::new(RetryBook::new(attempt_ns))), ..self }
    }

    /// Takes in a reading that came due. `can_send`: the device could hand it to the transport now; `before`: what it has waited so
    /// far. Gives the sample of a dropped reading if the backlog was full.
    pub(super) fn due(
        &mut self,
        phase: PhaseId,
        reading: Reading,
        can_send: bool,
        now: Tick,
        before: WaitTotals,
    ) -> Option<Sample> {
        // Readings that will go out as soon as the device's task runs do not wait in the backlog.
        let leaving = if can_send { self.in_flight_limit as usize - self.under_way() } else { 0 };
        if self.backlog.len() >= self.backlog_bound as usize + leaving {
            return Some(self.unsent(phase, &reading, Outcome::Dropped, now));
        }
        let attempts = Attempts::default();
        push(&mut self.backlog, Waiting { phase, reading, released: now, before, attempts });
        None
    }

    /// Whether the in-flight limit leaves room.
    pub(super) fn has_room(&self) -> bool {
        self.under_way() < self.in_flight_limit as usize
    }

    /// Whether a reading is to be sent, now or later, for the first time or once more.
    pub(super) fn has_waiting(&self) -> bool {
        !self.backlog.is_empty() || !self.resting().is_empty()
    }

    /// How many readings were sent and have not ended. One that is to be sent again keeps its place.
    fn under_way(&self) -> usize {
        self.in_flight.len() + self.resting().len()
    }

    /// Whether nothing waits and nothing is under way.
    pub(super) fn is_settled(&self) -> bool {
        self.backlog.is_empty() && self.under_way() == 0
    }

    /// Whether nothing is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// The reading to send next and its phase, if the in-flight limit leaves room.
    pub(super) fn front(&self) -> Option<(PhaseId, &Reading)> {
        let next = self.backlog.front().filter(|_| self.has_room())?;
        Some((next.phase, &next.reading))
    }

    /// Notes that it is about to be handed to the transport at `actual`; `so_far` is what the device has waited. Gives its phase, and
    /// whether it has been sent before.
    pub(super) fn start_next(&mut self, actual: Tick, so_far: WaitTotals) -> Option<(PhaseId, bool)> {
        let (next, again) = self.take_next()?;
        let phase = next.phase;
        self.start(next, actual, so_far);
        Some((phase, again))
    }

    /// The reading to send next, and whether it has been sent before.
    fn take_next(&mut self) -> Option<(Waiting, bool)> {
        if !self.has_room() {
            return None;
        }
        let next = self.backlog.pop_front()?;
        let again = self.recalled > 0;
        self.recalled = self.recalled.saturating_sub(1);
        Some((next, again))
    }

    /// Notes that the device became able to send at `at`.
    pub(super) fn unblock(&mut self, at: Tick) {
        self.unblocked = self.unblocked.max(at);
    }

    /// Notes that a reading's first byte is about to be handed to the transport.
    ///
    /// What passed before the worker noticed that it was due is pacing lag, also where the device then waited for the
    /// readings before it: after a stall of the generator that queue is the generator's doing. `so_far`: what the device has waited.
    fn start(&mut self, next: Waiting, actual: Tick, so_far: WaitTotals) {
        let Waiting { phase, reading, released, before, attempts } = next;
        let attempts = if attempts.made == 0 { Attempts::FIRST } else { attempts };
        let wait_ns = self.unblocked.min(actual).since(released);
        let eligible = reading.intended.plus_ns(wait_ns).min(actual);
        let waited = so_far.since(before).within(eligible.since(reading.intended));
        push(
            &mut self.in_flight,
            Outstanding { reading, phase, released, eligible, actual, waited, repeat: false, attempts },
        );
    }

    /// Notes that the device waited by our own rule for so long with readings in flight that outlive their connection.
    pub(super) fn delay(&mut self, own_ns: u64) {
        for open in &mut self.in_flight {
            open.waited.own_ns += own_ns;
        }
    }

    /// Notes that a reading is about to be sent once more.
    pub(super) fn start_repeat(&mut self, phase: PhaseId, reading: Reading, actual: Tick) {
        let repeat = Outstanding {
            reading,
            phase,
            released: actual,
            eligible: actual,
            actual,
            waited: WaitTotals::default(),
            repeat: true,
            attempts: Attempts::default(),
        };
        push(&mut self.in_flight, repeat);
    }

    /// Adds to `gauge` what is open at `now`, and to `overdue` the ages of what is overdue. What the plan kept from being answered until `excused` counts from there.
    pub(super) fn gauge(&self, excused: Tick, now: Tick, (gauge, overdue): (&mut Gauge, &mut Ages)) {
        let open = self.in_flight.iter().filter(|open| !open.repeat).map(|open| open.reading.intended);
        let waiting = self.backlog.iter().map(|waiting| waiting.reading.intended);
        let resting = self.resting().iter().map(Resting::intended);
        for intended in open.chain(resting).chain(waiting) {
            gauge.open += 1;
            if now.since(intended.max(excused)) >= self.timeout_ns {
                overdue.count(now.since(intended));
            }
        }
    }

    /// When the reading to be sent next was due.
    pub(super) fn next_intended(&self) -> Option<Tick> {
        self.backlog.front().map(|next| next.reading.intended)
    }

    /// Takes back what is in flight, because the plan cuts the connection: it will be sent again, in its old order, before
    /// anything newer. May go beyond the backlog's bound by the in-flight limit. `so_far`: what the device has waited.
    pub(super) fn recall(&mut self, so_far: WaitTotals) {
        let mut recalled: Vec<_> = self.in_flight.drain(..).filter(|open| !open.repeat).collect();
        recalled.sort_by_key(|open| open.reading.seq);
        self.recalled += recalled.len() as u32;
        for open in recalled.into_iter().rev() {
            let Outstanding { phase, reading, released, waited, attempts, .. } = open;
            let before = so_far.since(waited);
            self.backlog.push_front(Waiting { phase, reading, released, before, attempts });
        }
    }

    /// Takes out the reading `seq`, sent as far as the device knows, while the server may still refuse the device.
    pub(super) fn set_aside(&mut self, seq: u64) -> Option<Outstanding> {
        let place = self.in_flight.iter().position(|open| open.reading.seq == seq && !open.repeat)?;
        self.in_flight.remove(place)
    }

    /// Takes back a reading that was set aside, for it to be settled or recalled.
    pub(super) fn put_back(&mut self, open: Outstanding) {
        push(&mut self.in_flight, open);
    }

    /// Settles an answer for `seq` that was decoded at `at`.
    pub(super) fn close(&mut self, seq: u64, closing: Closing, at: Tick) -> Settled {
        let of_seq = |open: &Outstanding| open.reading.seq == seq;
        // The original, where it is still open: an answer does not tell the two apart.
        let original = self.in_flight.iter().position(|open| of_seq(open) && !open.repeat);
        let take = |place| match place {
            // Nearly always, and it costs less.
            0 => self.in_flight.pop_front(),
            _ => self.in_flight.remove(place),
        };
        let Some(open) = original.and_then(take) else {
            match self.retry.as_mut().and_then(|book| book.hear(seq, closing.outcome == Outcome::Ok)) {
                Some(EarlyAnswer::Ends(open)) => return self.answered(&open, closing, at),
                Some(EarlyAnswer::Finding(finding)) => return Settled::AuditFinding(finding),
                None => {}
            }
            if let Some(repeat) = self.in_flight.iter().position(of_seq) {
                self.in_flight.remove(repeat);
            }
            let Some(finding) = self.history.classify(seq) else { return Settled::Stray };
            let found = self.retry.as_mut().map_or(finding, |book| book.found(seq, finding));
            return Settled::AuditFinding(found);
        };
        self.answered(&open, closing, at)
    }

    /// Ends a reading by its first answer.
    fn answered(&mut self, open: &Outstanding, closing: Closing, at: Tick) -> Settled {
        let seq = open.reading.seq;
        if let Some(book) = &mut self.retry {
            book.expect_spare(seq, open.attempts.unanswered.saturating_sub(1));
        }
        // What a device sends again comes after later readings by its own doing.
        let reordered = self.history.answer(seq) && open.attempts.made <= 1;
        Settled::Closed { sample: self.sample(open, closing, at), reordered }
    }

    /// Settles a reading that a subscriber heard at `at`: every subscriber gets it, and the first hearing closes it.
    pub(super) fn deliver(&mut self, seq: u64, at: Tick) -> Delivered {
        match self.close(seq, Outcome::Ok.into(), at) {
            Settled::Closed { sample, .. } => Delivered::First(sample),
            // Further back than it remembers, it cannot tell a reading that was given up from one that others heard.
            Settled::AuditFinding(AuditFinding::Late) if self.history.remembers(seq) => Delivered::Late,
            Settled::AuditFinding(_) => Delivered::Again,
            Settled::Stray => Delivered::Stray,
        }
    }

    /// The instant at which something in flight times out first, or the deadline of a reading passes that is to be sent again.
    pub(super) fn next_expiry(&self) -> Option<Tick> {
        let in_flight = self.first_to_expire().map(|(_, at)| at);
        // This is asked several times for every reading, and hardly ever does one rest.
        let Some(deadline) = self.next_deadline() else { return in_flight };
        Some(in_flight.map_or(deadline, |at| at.min(deadline)))
    }

    /// The instant at which the deadline of a reading passes first that is to be sent again.
    pub(super) fn next_deadline(&self) -> Option<Tick> {
        self.resting().iter().map(|resting| resting.intended().plus_ns(self.timeout_ns)).min()
    }

    /// The place of what times out first of all in flight, and when.
    fn first_to_expire(&self) -> Option<(usize, Tick)> {
        let Some(book) = &self.retry else {
            return self.in_flight.front().map(|open| (0, open.actual.plus_ns(self.timeout_ns)));
        };
        let expiries = self.in_flight.iter().map(|open| book.expiry(open, self.timeout_ns));
        expiries.enumerate().min_by_key(|(_, at)| *at)
    }

    /// Takes out what timed out first of all in flight, if anything has.
    pub(super) fn expire(&mut self, now: Tick) -> Option<Expired> {
        let (place, _) = self.first_to_expire().filter(|(_, at)| *at <= now)?;
        let open = self.in_flight.remove(place)?;
        if open.repeat {
            return Some(Expired::Repeat);
        }
        Some(Expired::Reading(self.unanswered(&open, Outcome::Timeout, now)))
    }

    /// The reading that [`Ledger::expire`] would end, if it is one.
    pub(super) fn expiring(&self, now: Tick) -> Option<u64> {
        let (place, _) = self.first_to_expire().filter(|(_, at)| *at <= now)?;
        self.in_flight.get(place).filter(|open| !open.repeat).map(|open| open.reading.seq)
    }

    /// The reading that [`Ledger::give_up`] would end.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.in_flight.iter().find(|open| !open.repeat).map(|open| open.reading.seq)
    }

    /// Takes out the oldest reading in flight, ended as `outcome`, and the repeats before it.
    pub(super) fn give_up(&mut self, outcome: Outcome, now: Tick) -> Option<Sample> {
        let open = loop {
            let open = self.in_flight.pop_front()?;
            if !open.repeat {
                break open;
            }
        };
        Some(self.unanswered(&open, outcome, now))
    }

    /// Ends a reading to whose last attempt no answer came.
    fn unanswered(&mut self, open: &Outstanding, outcome: Outcome, now: Tick) -> Sample {
        self.history.give_up(open.reading.seq);
        if let Some(book) = self.retry.as_mut().filter(|_| open.attempts.made > 1) {
            book.expect_spare(open.reading.seq, open.attempts.unanswered);
        }
        self.sample(open, outcome.into(), now)
    }

    fn resting(&self) -> &[Resting] {
        self.retry.as_ref().map_or(&[], |book| &book.resting)
    }

    /// Phase, intended start and attempts of the reading `seq`, which is in flight.
    pub(super) fn attempt(&self, seq: u64) -> Option<(PhaseId, Tick, u8)> {
        let open = self.in_flight.iter().find(|open| open.reading.seq == seq && !open.repeat)?;
        Some((open.phase, open.reading.intended, open.attempts.made))
    }

    /// Puts aside the reading `seq`, whose attempt failed, until `next`. `answered`: by an answer; `so_far`: what the device has waited.
    pub(super) fn rest(&mut self, seq: u64, answered: bool, next: NextAttempt, so_far: WaitTotals) {
        if self.retry.is_none() {
            return;
        }
        if let (Some(open), Some(book)) = (self.set_aside(seq), &mut self.retry) {
            book.rest(open, answered, next, so_far);
        }
    }

    /// Takes the reading that is to be sent again first of those due at `now`.
    pub(super) fn take_due(&mut self, now: Tick) -> Option<Resting> {
        self.retry.as_mut()?.take_due(now)
    }

    /// Notes that the first byte of a further attempt is about to be handed to the transport.
    pub(super) fn start_again(&mut self, resting: Resting, actual: Tick, so_far: WaitTotals) {
        push(&mut self.in_flight, resting.begun(self.unblocked, actual, so_far));
    }

    /// When something is to be sent next: at once if something waits, else when a reading is to be sent again.
    pub(super) fn next_wanted(&self) -> Option<Tick> {
        self.next_intended().or_else(|| self.resting().iter().map(|resting| resting.next.at).min())
    }

    /// When the device next has to be connected, if all it has to do is to send readings again.
    pub(super) fn rests_until(&self) -> Option<Tick> {
        let rests = self.backlog.is_empty() && self.in_flight.is_empty();
        self.next_wanted().filter(|_| rests)
    }

    /// Ends a reading that was to be sent again and whose deadline has passed at `now`; `all`: whether it has or not. It ends as its
    /// last attempt did.
    pub(super) fn end_resting(&mut self, now: Tick, all: bool) -> Option<(Sample, Reason)> {
        let Resting { open, next, .. } = self.retry.as_mut()?.take_over(now, self.timeout_ns, all)?;
        Some((self.unanswered(&open, next.outcome, now), next.reason))
    }

    /// Takes out one of the readings that are still open at the end of the drain: it is lost.
    pub(super) fn lose(&mut self, now: Tick) -> Option<Sample> {
        self.give_up(Outcome::Lost, now).or_else(|| {
            let Waiting { phase, reading, attempts, .. } = self.backlog.pop_front()?;
            Some(Sample { attempts: attempts.made, ..self.unsent(phase, &reading, Outcome::Lost, now) })
        })
    }

    fn sample(&self, open: &Outstanding, closing: Closing, completed: Tick) -> Sample {
        Sample {
            eligible: Some(open.eligible),
            actual: Some(open.actual),
            stages: closing.stages,
            flagged: closing.flagged,
            arm: closing.arm,
            attempts: open.attempts.made,
            own_wait_ns: open.waited.own_ns,
            plan_wait_ns: open.waited.plan_ns,
            ..self.unsent(open.phase, &open.reading, closing.outcome, completed)
        }
    }

    fn unsent(&self, phase: PhaseId, reading: &Reading, outcome: Outcome, completed: Tick) -> Sample {
        Sample {
            phase,
            fleet: self.fleet,
            device: self.device,
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
            arm: None,
            attempts: 0,
            own_wait_ns: 0,
            plan_wait_ns: 0,
        }
    }
}

/// Appends to a queue that hardly ever holds more than one entry: a queue's usual first four places would be half a kilobyte
/// of every device.
fn push<T>(queue: &mut VecDeque<T>, entry: T) {
    if queue.capacity() == 0 {
        queue.reserve_exact(1);
    }
    queue.push_back(entry);
}

#[cfg(test)]
mod tests;
